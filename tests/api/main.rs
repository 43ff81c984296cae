//! On a real etcd and kube-apiserver alone: what users are told at once, and what the operator makes.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../support/agents.rs"]
mod agents;
mod bad_input;
mod operator;
mod process;
mod reports;
mod server;
mod shape;
