//! The examples that come with the package: the samples of `config/samples`, and what a user reads of the load
//! balancer among them once it serves. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Value, json};

use super::super::GenerateError;
use crate::api::{
    Address, AddressKind, ComponentStatus, ConfigurationStatus, ConnectionBudget, HarborProjectStatus,
    HarborRobotStatus, HarborStatus, ListenerState, ListenerStatus, LoadBalancerStatus, OperatingStatus, PoolStatus,
    ProjectQuotaStatus, RedisDatabases, ReplicaStatus, StorageKind, StorageStatus, VolumeStatus,
};

const LOAD_BALANCER: &str = include_str!("../../../config/samples/loadbalancer.yaml");
const CLASS: &str = include_str!("../../../config/samples/loadbalancerclass.yaml");
const HARBOR: &str = include_str!("../../../config/samples/harbor.yaml");
const HARBOR_CLASS: &str = include_str!("../../../config/samples/harborclass.yaml");
const HARBOR_PROJECT: &str = include_str!("../../../config/samples/harborproject.yaml");
const HARBOR_ROBOT: &str = include_str!("../../../config/samples/harborrobot.yaml");

/// One of each custom resource, as they are at a time.
pub(super) fn examples(now: Timestamp) -> Result<[Value; 6], GenerateError> {
    let mut load_balancer = load_balancer()?;
    load_balancer["status"] = json!(status(now));
    let mut harbor = read("config/samples/harbor.yaml", HARBOR)?;
    harbor["status"] = json!(harbor_status(now));
    let class = read("config/samples/loadbalancerclass.yaml", CLASS)?;
    let mut project = read("config/samples/harborproject.yaml", HARBOR_PROJECT)?;
    project["status"] = json!(project_status(now));
    let mut robot = read("config/samples/harborrobot.yaml", HARBOR_ROBOT)?;
    robot["status"] = json!(robot_status(now));
    Ok([load_balancer, class, harbor, read("config/samples/harborclass.yaml", HARBOR_CLASS)?, project, robot])
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

/// A registry that clients push to.
fn harbor_status(now: Timestamp) -> HarborStatus {
    let conditions = [
        ("Accepted", "the spec is followed"),
        ("ResolvedRefs", "all that the spec names is there"),
        ("DatabaseReady", "PostgreSQL 15.18 answers, with 9 MiB of data"),
        ("CacheReady", "the cache stands"),
        ("Migrated", "the database is that of 2.15.2"),
        ("AdministratorReady", "Harbor takes the administrator's password, which is in Secret registry-credentials"),
        ("StorageReady", "the registry can write to volume registry-registry-data"),
        ("RolledOut", "all pods are as they were asked for"),
        ("Healthy", "all 7 parts say that they are healthy"),
        ("Ready", "clients can push and pull"),
        ("Reconciled", ""),
    ];
    let component = |name: &str| ComponentStatus {
        name: name.to_owned(),
        replicas: 1,
        ready_replicas: 1,
        health: "healthy".to_owned(),
        message: String::new(),
    };
    HarborStatus {
        database: "Managed".to_owned(),
        observed_generation: Some(1),
        conditions: conditions.map(|(kind, message)| condition(kind, kind, message, now)).to_vec(),
        version: "2.15.2".to_owned(),
        url: "http://registry.example.com".to_owned(),
        credentials_secret_name: "registry-credentials".to_owned(),
        waiting_for: String::new(),
        components: ["database", "cache", "core", "registry", "jobservice", "portal"].map(component).to_vec(),
        connections: Some(ConnectionBudget { usable: 39, pods: 4, per_pod: 9 }),
        storage: Some(StorageStatus {
            kind: StorageKind::Filesystem,
            used_bytes: Some(107_312_640),
            volumes: [("registry", 10), ("database", 5), ("cache", 1)]
                .map(|(component, gibibytes)| VolumeStatus {
                    name: format!("registry-{component}-data"),
                    requested_bytes: gibibytes << 30,
                    capacity_bytes: Some(gibibytes << 30),
                })
                .to_vec(),
        }),
        redis_databases: Some(RedisDatabases { core: 0, jobservice: 1, registry: 2, trivy: 5 }),
    }
}

/// A project that is as its spec says.
fn project_status(now: Timestamp) -> HarborProjectStatus {
    let conditions = [
        ("Accepted", "no other resource names this project"),
        ("ResolvedRefs", "the Harbor registry is ready"),
        ("Synced", "the project is as the spec says"),
        ("Ready", "the project team can be used"),
        ("Reconciled", ""),
    ];
    HarborProjectStatus {
        observed_generation: Some(1),
        conditions: conditions.map(|(kind, message)| condition(kind, kind, message, now)).to_vec(),
        synced_generation: Some(1),
        project_id: Some(2),
        project_name: "team".to_owned(),
        repositories: Some(0),
        quota: Some(ProjectQuotaStatus { limit: 10 << 30, used: 0 }),
        ..HarborProjectStatus::default()
    }
}

/// A robot that pods pull with.
fn robot_status(now: Timestamp) -> HarborRobotStatus {
    let conditions = [
        ("Accepted", "the robot's name is this resource's"),
        ("ResolvedRefs", "the Harbor registry is ready, with all projects that the spec names"),
        ("Synced", "the robot is as the spec says"),
        ("Ready", "robot$team+pull can log in with Secret pull-pull"),
        ("Reconciled", ""),
    ];
    let days = |days: i64| now.checked_add(SignedDuration::from_hours(24 * days)).ok().map(Time);
    HarborRobotStatus {
        observed_generation: Some(1),
        conditions: conditions.map(|(kind, message)| condition(kind, kind, message, now)).to_vec(),
        synced_generation: Some(1),
        robot_id: Some(1),
        robot_name: "robot$team+pull".to_owned(),
        secret_name: "pull-pull".to_owned(),
        rotated_at: Some(Time(now)),
        next_rotation_at: days(30),
        expires_at: days(90),
        drift: vec![],
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
