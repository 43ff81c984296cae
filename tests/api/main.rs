//! On a real etcd and kube-apiserver alone: what users are told at once, and what the operator makes.
#![allow(missing_docs, clippy::unwrap_used)]

mod bad_input;
mod killed;
mod operator;
#[path = "../support/outside.rs"]
mod outside;
mod process;
mod server;
mod shape;
