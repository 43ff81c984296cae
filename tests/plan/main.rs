//! What a load balancer is planned to be, without a cluster: tables and golden files. HAProxy itself
//! judges every configuration that is rendered here.
#![allow(missing_docs, clippy::unwrap_used)]

mod configuration;
mod documentation;
mod effects;
mod fixtures;
mod harbor;
mod harbor_resources;
mod health;
mod hostile;
mod judge;
mod listeners;
mod objects;
mod pools;
mod random;
mod references;
mod routes;
mod status;
mod traffic;
