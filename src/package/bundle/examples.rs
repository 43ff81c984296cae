//! The examples that come with the package: the samples of `config/samples`, and what a user reads of the load
//! balancer among them once it serves. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Value, json};

use super::super::GenerateError;
use crate::api::{
    Address, AddressKind, ConfigurationStatus, ListenerState, ListenerStatus, LoadBalancerStatus, OperatingStatus,
    PoolStatus, ReplicaStatus,
};

const LOAD_BALANCER: &str = include_str!("../../../config/samples/loadbalancer.yaml");
const CLASS: &str = include_str!("../../../config/samples/loadbalancerclass.yaml");

/// One of each custom resource, as they are at a time.
pub(super) fn examples(now: Timestamp) -> Result<[Value; 2], GenerateError> {
    let mut load_balancer = load_balancer()?;
    load_balancer["status"] = json!(status(now));
    Ok([load_balancer, read("config/samples/loadbalancerclass.yaml", CLASS)?])
}

/// The one that a new user begins with.
pub(super) fn load_balancer() -> Result<Value, GenerateError> {
    read("config/samples/loadbalancer.yaml", LOAD_BALANCER)
}

/// A file that was built in.
pub(in crate::package) fn read(path: &str, text: &str) -> Result<Value, GenerateError> {
    serde_saphyr::from_str(text)
        .map_err(|source| GenerateError::Input { path: path.to_owned(), source: Box::new(source) })
}

/// A load balancer with one replica that serves.
fn status(now: Timestamp) -> LoadBalancerStatus {
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let conditions = [
        ("Accepted", "Accepted", "the spec is followed"),
        ("ResolvedRefs", "ResolvedRefs", "all that the spec names is there"),
        ("Programmed", "Programmed", "1 of 1 replicas have proven the configuration"),
        ("Ready", "Serving", "1 of 1 replicas serve"),
        ("VersionSupported", "Supported", "the replicas run HAProxy 2.6.12"),
        ("Reconciled", "Reconciled", ""),
    ];
    LoadBalancerStatus {
        observed_generation: Some(1),
        conditions: conditions.map(|(kind, reason, message)| condition(kind, reason, message, now)).to_vec(),
        operating_status: OperatingStatus::Online,
        addresses: vec![Address { kind: AddressKind::IPAddress, value: "10.96.41.7".to_owned() }],
        configuration: Some(ConfigurationStatus { hash: hash.to_owned(), sequence: 1 }),
        replicas: 1,
        proven_replicas: 1,
        selector: "fairway.dev/loadbalancer=hello".to_owned(),
        replica_statuses: vec![ReplicaStatus {
            pod: "hello-lb-5d8c7b9f6-x2x4k".to_owned(),
            node: "node-1".to_owned(),
            ready: true,
            proven_hash: hash.to_owned(),
            haproxy_version: "2.6.12".to_owned(),
            ..ReplicaStatus::default()
        }],
        listeners: vec![ListenerStatus {
            name: "web".to_owned(),
            state: ListenerState::Serving,
            operating_status: OperatingStatus::Online,
            ..ListenerStatus::default()
        }],
        pools: vec![PoolStatus {
            name: "hello".to_owned(),
            operating_status: OperatingStatus::Online,
            members: 3,
            up: 3,
            ..PoolStatus::default()
        }],
    }
}

fn condition(kind: &str, reason: &str, message: &str, now: Timestamp) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: Some(1),
        last_transition_time: Time(now),
    }
}
