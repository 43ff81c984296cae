//! The agent with real HAProxy processes, driven through its mutual TLS port as the operator would.
//! Needs `haproxy` on the path. Each pod has its own loopback address and its own directory.

mod certificates;
mod changes;
mod draining;
mod healing;
mod health;
mod latency;
mod loss;
mod metrics;
mod persistence;
mod pod;
mod refusals;
mod routes;
mod runtime;
mod traffic;
mod trust;
mod web;
