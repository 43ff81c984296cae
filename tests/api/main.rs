//! On a real etcd and kube-apiserver alone: what users are told at once, and what the operator makes.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../support/agents.rs"]
mod agents;
#[path = "../support/simulated_agent.rs"]
mod simulated_agent;

mod bad_input;
mod definitions;
mod fields;
mod guard;
mod killed;
mod operator;
#[path = "../support/outside.rs"]
mod outside;
mod pods;
mod process;
mod released;
mod reports;
mod server;
mod shape;
