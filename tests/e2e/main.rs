//! What a user sees, on real nodes with real traffic. `make test-e2e` makes the cluster and the images first;
//! with `CLUSTER=existing` and `KUBECONFIG` it is a cluster of the user's own.
//!
//! Each test has a namespace of its own, which is kept and described when the test fails. Run them with
//! `--test-threads 1`: some take the operator or a node away.
#![allow(missing_docs, clippy::unwrap_used)]

mod application;
mod balancer;
mod certificates;
mod client;
mod cluster;
mod sandbox;
mod traffic;
mod wait;

mod changes;
mod install;
mod replacement;
