//! Fairway: a Kubernetes operator that runs HAProxy load balancers and Harbor registries, one small
//! instance for each customer, by the thousand.
//!
//! The map of the crate, in the order in which one may call the other:
//!
//! | room | what it decides | what it may touch |
//! |---|---|---|
//! | [`api`] | what a user may write and will read: the CRDs | nothing |
//! | [`reconcile`] | how a resource's plan becomes real: the engine, which knows no family | the Kubernetes API |
//! | [`authority`] | when certificates of the operator's own CA are made and renewed | the Kubernetes API |
//! | [`loadbalancer`] | what a `LoadBalancer` needs: observe → plan → effects | its `observe` and `effects` alone do I/O |
//! | [`harbor`] | what a `Harbor`, its projects and its robots need: observe → plan → effects | its `observe` and `effects` alone do I/O |
//! | [`agent`] | how a pod's HAProxy takes a configuration and proves that it runs | files, sockets and processes of its pod |
//! | [`clients`] | nothing: one file for each system that is spoken to | the network |
//! | [`telemetry`] | what is logged, traced and measured | standard error, HTTP |
//! | [`scorecard`] | whether the package does what it claims of each capability level, on a cluster | the namespace of the test, HTTP |
//! | [`package`] | what `fairway generate` writes: CRDs, RBAC, docs, the package for OLM | files |

pub mod agent;
pub mod api;
pub mod authority;
pub mod cli;
pub mod clients;
pub mod harbor;
pub mod loadbalancer;
pub mod package;
pub mod reconcile;
pub mod scorecard;
pub mod telemetry;
