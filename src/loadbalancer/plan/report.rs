//! What the user reads: status and events, computed from what was observed. Pure.

mod certificates;
mod health;
pub mod version;

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    configuration::Wanted,
    parse::Spec,
    references::{ReferenceError, References},
};
use crate::{
    api::{Address, AddressKind, ConfigurationStatus, ExposureKind, LoadBalancer, LoadBalancerStatus, ReplicaStatus},
    loadbalancer::{
        names,
        world::{Replica, World},
    },
    reconcile::{
        Event,
        conditions::{condition, settle},
    },
};

/// How many addresses are told.
const ADDRESSES: usize = 16;
/// How many pods are told.
const REPLICAS: usize = 100;

/// The types of condition, in their order.
pub const ACCEPTED: &str = "Accepted";
/// Whether all that the spec names can be used.
pub const RESOLVED: &str = "ResolvedRefs";
/// Whether every serving replica has proven the wanted configuration.
pub const PROGRAMMED: &str = "Programmed";
/// Whether a replica serves.
pub const READY: &str = "Ready";
/// Whether no certificate that is served ends soon; only where certificates are served.
pub const CERTIFICATES: &str = "CertificatesCurrent";
/// Whether every replica runs a version of `HAProxy` that is supported; only once one has told its version.
pub const VERSION: &str = "VersionSupported";

/// Of [`PROGRAMMED`], when a replica has said no.
const REFUSED: &str = "Refused";

/// One condition's verdict.
struct Verdict {
    kind: &'static str,
    good: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn good(kind: &'static str, reason: &'static str, message: String) -> Self {
        Self { kind, good: true, reason, message }
    }

    fn bad(kind: &'static str, reason: &'static str, message: String) -> Self {
        Self { kind, good: false, reason, message }
    }
}

/// Reasons of verdicts that are bad only because something is under way.
const UNDER_WAY: [&str; 3] = ["Pending", "Starting", "ScaledToZero"];

/// What the plan found, for the report.
pub struct Findings<'a> {
    /// Why the spec can't be followed, as reason and message; none when it can.
    pub refusal: Option<(&'static str, String)>,
    /// The spec, when it makes sense.
    pub spec: Option<&'a Spec>,
    /// What it names, when it makes sense.
    pub references: Option<&'a References>,
    /// What every replica shall run.
    pub wanted: Option<&'a Wanted>,
    /// How clients reach the pods.
    pub exposure: ExposureKind,
}

/// The status, and what to tell of what has changed.
#[must_use]
pub fn report(
    resource: &LoadBalancer,
    world: &World,
    findings: &Findings<'_>,
    now: Timestamp,
) -> (LoadBalancerStatus, Vec<Event>) {
    let before = resource.status.clone().unwrap_or_default();
    let name = resource.metadata.name.as_deref().unwrap_or_default();
    let replicas: Vec<&Replica> = world.replicas.iter().filter(|replica| !replica.deleting).collect();
    let wanted = findings.wanted.map_or_else(
        || before.configuration.clone(),
        |wanted| Some(ConfigurationStatus { hash: wanted.hash().to_owned(), sequence: wanted.sequence }),
    );
    let hash = wanted.as_ref().map(|wanted| wanted.hash.as_str());
    let pools = health::pools(findings, &before.pools, &replicas);
    let listeners = health::listeners(resource, findings, &before.listeners, &pools, &replicas);
    let refused = hash.and_then(|hash| refused_before(resource, hash));
    let verdicts =
        [accepted(findings), resolved(findings.references), programmed(&replicas, hash, refused), ready(&replicas)];
    let replica_statuses: Vec<ReplicaStatus> =
        replicas.iter().map(|replica| replica_status(replica, hash, &before.replica_statuses)).collect();
    let sometimes = version::supported(&replica_statuses).into_iter().chain(certificates::current(&listeners, now));
    let verdicts: Vec<Verdict> = verdicts.into_iter().chain(sometimes).collect();
    let events = verdicts.iter().filter_map(|verdict| event(verdict, &before.conditions)).collect();
    let mut conditions: Vec<Condition> = verdicts
        .iter()
        .map(|verdict| {
            let Verdict { kind, good, reason, message } = verdict;
            condition(kind, *good, reason, message, resource.metadata.generation, now)
        })
        .collect();
    settle(&mut conditions, &before.conditions);
    let proven =
        replicas.iter().filter(|replica| replica.ready && replica.proven().is_some() && replica.proven() == hash);
    let status = LoadBalancerStatus {
        observed_generation: before.observed_generation,
        conditions,
        addresses: addresses(findings.exposure, &replicas, world),
        replicas: count(replicas.len()),
        proven_replicas: count(proven.count()),
        selector: format!("{}={name}", names::LOAD_BALANCER_LABEL),
        replica_statuses: replica_statuses.into_iter().take(REPLICAS).collect(),
        operating_status: health::overall(resource, &listeners, &replicas),
        listeners,
        pools,
        configuration: wanted,
    };
    (status, events)
}

fn accepted(findings: &Findings<'_>) -> Verdict {
    match &findings.refusal {
        None => Verdict::good(ACCEPTED, "Accepted", "the spec is followed".to_owned()),
        Some((reason, message)) => {
            Verdict::bad(ACCEPTED, reason, format!("{message}; until then what served before serves on"))
        }
    }
}

fn resolved(references: Option<&References>) -> Verdict {
    match references.map_or(&[][..], |references| &references.errors) {
        [] => Verdict::good(RESOLVED, "ResolvedRefs", "all that the spec names is there".to_owned()),
        [first, ..] => {
            let errors = references.map_or(&[][..], |references| &references.errors);
            let messages: Vec<_> = errors.iter().map(ReferenceError::to_string).collect();
            Verdict::bad(RESOLVED, first.reason(), messages.join(". "))
        }
    }
}

/// Why a replica has refused this configuration, as the status remembers: replicas come and go, and none
/// may be there to say it again. It is told until one has proven it, or something else is wanted.
#[must_use]
pub fn refused_before<'a>(resource: &'a LoadBalancer, wanted: &str) -> Option<&'a str> {
    let before = resource.status.as_ref()?;
    let same = before.configuration.as_ref()?.hash == wanted;
    let told = before.conditions.iter().find(|condition| condition.type_ == PROGRAMMED)?;
    (same && told.reason == REFUSED).then_some(told.message.as_str())
}

fn programmed(replicas: &[&Replica], wanted: Option<&str>, refused_before: Option<&str>) -> Verdict {
    let serving: Vec<_> = replicas.iter().filter(|replica| replica.ready || replica.answer().is_some()).collect();
    if let Some(message) = refused_before
        && !replicas.iter().any(|replica| replica.proven() == wanted || refusal(replica, wanted).is_some())
    {
        return Verdict::bad(PROGRAMMED, REFUSED, message.to_owned());
    }
    if replicas.is_empty() {
        return Verdict::bad(PROGRAMMED, "Pending", "there are no replicas".to_owned());
    }
    let behind: Vec<_> = serving.iter().filter(|replica| wanted.is_none() || replica.proven() != wanted).collect();
    if let Some((replica, message)) =
        behind.iter().find_map(|replica| refusal(replica, wanted).map(|message| (replica, message)))
    {
        let message = format!(
            "HAProxy in pod {} does not take the configuration and runs the one before: {message}",
            replica.pod
        );
        return Verdict::bad(PROGRAMMED, REFUSED, message);
    }
    if let Some((replica, error)) = behind.iter().find_map(|replica| match &replica.report {
        Some(Err(error)) => Some((replica, error)),
        _ => None,
    }) {
        return Verdict::bad(
            PROGRAMMED,
            "AgentUnreachable",
            format!("the agent in pod {} does not answer: {error}", replica.pod),
        );
    }
    let all = serving.len();
    match (behind.len(), all) {
        (_, 0) => Verdict::bad(PROGRAMMED, "Pending", "no replica has started yet".to_owned()),
        (0, _) => {
            Verdict::good(PROGRAMMED, "Programmed", format!("{all} of {all} replicas have proven the configuration"))
        }
        (behind, _) => {
            let message = format!("{} of {all} replicas have proven the configuration", all - behind);
            Verdict::bad(PROGRAMMED, "Pending", message)
        }
    }
}

/// Why a replica does not take the wanted configuration, if it was asked to.
fn refusal<'a>(replica: &'a Replica, wanted: Option<&str>) -> Option<&'a str> {
    let refused = replica.answer()?.refused.as_ref()?;
    (Some(refused.hash.as_str()) == wanted).then_some(refused.message.as_str())
}

fn ready(replicas: &[&Replica]) -> Verdict {
    let serving = replicas.iter().filter(|replica| replica.ready).count();
    if serving > 0 {
        return Verdict::good(READY, "Serving", format!("{serving} of {} replicas serve", replicas.len()));
    }
    if replicas.is_empty() {
        return Verdict::bad(READY, "ScaledToZero", "there are no replicas".to_owned());
    }
    let why: BTreeSet<&str> =
        replicas.iter().map(|replica| replica.waiting.as_str()).filter(|why| !why.is_empty()).collect();
    let why = why.into_iter().collect::<Vec<_>>().join("; ");
    if why.is_empty() {
        return Verdict::bad(READY, "Starting", "no replica serves yet".to_owned());
    }
    Verdict::bad(READY, "NoReplicaServes", format!("no replica serves: {why}"))
}

/// Tells a verdict that is new: bad ones that somebody should know of, good ones that end a bad one.
fn event(verdict: &Verdict, before: &[Condition]) -> Option<Event> {
    let known = before.iter().find(|condition| condition.type_ == verdict.kind);
    let was_good = known.map(|known| known.status == "True");
    let was_under_way = known.is_none_or(|known| UNDER_WAY.contains(&known.reason.as_str()));
    let tell = if verdict.good {
        was_good != Some(true) && (!was_under_way || verdict.kind == READY)
    } else {
        let same = known.is_some_and(|known| known.reason == verdict.reason && known.message == verdict.message);
        !UNDER_WAY.contains(&verdict.reason) && !same
    };
    tell.then(|| Event { reason: verdict.reason, warning: !verdict.good, note: verdict.message.clone() })
}

fn addresses(exposure: ExposureKind, replicas: &[&Replica], world: &World) -> Vec<Address> {
    match exposure {
        ExposureKind::Service => world.service_addresses.iter().take(ADDRESSES).cloned().collect(),
        ExposureKind::HostNetwork => {
            let nodes: BTreeSet<_> =
                replicas.iter().filter(|replica| replica.ready).filter_map(|replica| replica.node_address).collect();
            nodes
                .into_iter()
                .take(ADDRESSES)
                .map(|address| Address { kind: AddressKind::IPAddress, value: address.to_string() })
                .collect()
        }
    }
}

fn replica_status(replica: &Replica, wanted: Option<&str>, before: &[ReplicaStatus]) -> ReplicaStatus {
    let proven = replica.proven().unwrap_or_default();
    let message = match &replica.report {
        _ if Some(proven) == wanted => String::new(),
        Some(Ok(_)) => refusal(replica, wanted).unwrap_or("the configuration is on its way").to_owned(),
        // An agent that has not started can't answer: what it waits for says more.
        Some(Err(error)) if replica.waiting.is_empty() => error.clone(),
        Some(Err(_)) | None => replica.waiting.clone(),
    };
    ReplicaStatus {
        pod: replica.pod.clone(),
        node: replica.node.clone(),
        ready: replica.ready,
        proven_hash: proven.to_owned(),
        haproxy_version: version::told(replica, before).to_owned(),
        message: message.chars().take(256).collect(),
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
