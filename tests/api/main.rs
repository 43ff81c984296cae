//! On a real etcd and kube-apiserver alone: what users are told at once, and what the operator makes.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../support/agents.rs"]
mod agents;
#[allow(dead_code, reason = "other tests of these servers want more of them")]
#[path = "../clients/certificates.rs"]
mod certificates;
#[allow(dead_code, reason = "other tests of these servers want more of them")]
#[path = "../clients/postgresql_server.rs"]
mod postgresql_server;
#[allow(dead_code, reason = "other tests of these servers want more of them")]
#[path = "../clients/redis_server.rs"]
mod redis_server;
#[allow(dead_code, reason = "other tests of these servers want more of them")]
#[path = "../clients/server_process.rs"]
mod server_process;
#[path = "../support/simulated_agent.rs"]
mod simulated_agent;

mod bad_input;
mod cert_manager;
mod definitions;
mod fields;
mod guard;
mod harbor_input;
mod harbor_install;
mod harbor_leaving;
mod harbor_resources_input;
mod harbor_shared;
mod killed;
mod operator;
#[path = "../support/outside.rs"]
mod outside;
mod pods;
mod process;
mod registry_fields;
mod released;
mod reports;
mod server;
mod shape;
