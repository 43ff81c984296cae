//! What a user sees, on real nodes with real traffic. `make test-e2e` makes the cluster and the images first;
//! with `CLUSTER=existing` and `KUBECONFIG` it is a cluster of the user's own.
//!
//! Each test has a namespace of its own, which is kept and described when the test fails; one runs at a time,
//! since some take the operator or a node away. Clients are on this machine and ask Services and pods at
//! their own addresses: a cluster of the user's own has to let them in.
#![allow(missing_docs, clippy::unwrap_used)]

mod application;
mod balancer;
mod certificates;
mod client;
mod cluster;
#[path = "../support/outside.rs"]
mod outside;
mod processes;
mod sandbox;
mod traffic;
mod wait;

mod absence;
mod changes;
mod crashes;
mod drift;
mod harbor;
mod host_network;
mod identity;
mod install;
mod mistakes;
mod mixed;
mod nodes;
mod olm;
mod replacement;
mod selected;
mod siege;
