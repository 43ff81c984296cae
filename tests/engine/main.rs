//! The engine against an API server in memory: what a user sees, come what may. No cluster, no waiting.

#[path = "../support/api_server/mod.rs"]
mod api_server;

mod buoy;
mod cache;
mod crash;
mod drift;
mod encryption;
mod finalizer;
mod harbor;
mod harness;
mod install;
mod isolation;
mod lease;
mod leaving;
mod ownership;
mod pace;
mod retention;
mod server;
mod status;
