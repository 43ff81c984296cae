//! How listeners and pools fare, from what HAProxy in the replicas says. Pure. Where nobody says anything for
//! a moment, as while a worker is exchanged, what was said last is told on.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Findings, count};
use crate::{
    agent::{
        naming,
        protocol::{self, MemberHealth, MemberState, Report},
    },
    api::{CertificateStatus, ListenerState, ListenerStatus, LoadBalancer, OperatingStatus, PoolStatus},
    loadbalancer::{
        config::{Mode, Server},
        names,
        plan::{
            configuration::is_served,
            parse::{Listener, Pool},
            references::References,
        },
        world::Replica,
    },
};

/// How many members that are down are named for each pool.
const NAMED: usize = 5;

/// The listeners, each as all replicas together see it.
pub(super) fn listeners(
    resource: &LoadBalancer,
    findings: &Findings<'_>,
    before: &[ListenerStatus],
    pools: &[PoolStatus],
    replicas: &[&Replica],
) -> Vec<ListenerStatus> {
    let (Some(spec), Some(references)) = (findings.spec, findings.references) else { return before.to_vec() };
    // Agents of before there were listeners in reports say nothing of them.
    let told: Vec<_> = answers(replicas).map(|report| &report.listeners).filter(|told| !told.is_empty()).collect();
    let serving = replicas.iter().any(|replica| replica.ready);
    let each = spec.listeners.iter().map(|listener| {
        let name = &listener.frontend.name;
        let before = before.iter().find(|before| before.name == *name);
        if told.is_empty() && serving && listener.enabled {
            let message = "no replica has told: agents of before this version say nothing of listeners".to_owned();
            let unknown = || ListenerStatus { name: name.clone(), message, ..ListenerStatus::default() };
            return before.cloned().unwrap_or_else(unknown);
        }
        let of_replicas: Vec<_> = told.iter().filter_map(|told| told.get(name)).collect();
        let open = of_replicas.iter().filter(|told| told.state == protocol::ListenerState::Open).count();
        let (state, message) = state(resource, listener, references, open, told.len());
        let operating_status = match state {
            _ if !listener.enabled => OperatingStatus::Offline,
            ListenerState::Serving => through(listener, pools, open == told.len()),
            _ => OperatingStatus::Error,
        };
        let first = of_replicas.iter().filter_map(|told| told.certificate.as_ref()).min_by_key(|it| it.not_after);
        let certificate = match first.and_then(certificate) {
            None if is_served(listener, references) => before.and_then(|before| before.certificate.clone()),
            certificate => certificate,
        };
        ListenerStatus { name: name.clone(), state, operating_status, message, certificate }
    });
    each.collect()
}

/// Whether it is listened on, in `open` of `all` replicas, and why not.
fn state(
    resource: &LoadBalancer,
    listener: &Listener,
    references: &References,
    open: usize,
    all: usize,
) -> (ListenerState, String) {
    let some = format!("{open} of {all} replicas listen");
    match (listener.enabled, open) {
        (false, 0) if !resource.spec.enabled => (ListenerState::Disabled, "spec.enabled is false".to_owned()),
        (false, 0) => (ListenerState::Disabled, "enabled is false".to_owned()),
        (false, _) => (ListenerState::Serving, format!("{some}, until they have taken the configuration")),
        (true, 0) if !is_served(listener, references) => {
            let message = "the certificates or authorities that it names can't be used: see ResolvedRefs";
            (ListenerState::Closed, message.to_owned())
        }
        (true, 0) if all == 0 => (ListenerState::Closed, "no replica serves: see Ready".to_owned()),
        (true, 0) => (ListenerState::Closed, "no replica listens: see Programmed".to_owned()),
        (true, open) if open < all => (ListenerState::Serving, format!("{some}: see Programmed")),
        (true, _) => (ListenerState::Serving, String::new()),
    }
}

/// How a listener that is open fares with the pools that it uses.
fn through(listener: &Listener, pools: &[PoolStatus], everywhere: bool) -> OperatingStatus {
    let used: BTreeSet<&str> = listener.frontend.backends().map(|backend| naming::pool(backend).0).collect();
    let used = pools.iter().filter(|pool| used.contains(pool.name.as_str()));
    let used: Vec<OperatingStatus> = used.map(|pool| pool.operating_status).collect();
    let is_well = |status: &&OperatingStatus| {
        matches!(status, OperatingStatus::Online | OperatingStatus::NoMonitor | OperatingStatus::Unknown)
    };
    let serves = |status: &&OperatingStatus| is_well(status) || matches!(status, OperatingStatus::Degraded);
    if !used.is_empty() && used.iter().filter(serves).count() == 0 {
        OperatingStatus::Error
    } else if everywhere && used.iter().filter(is_well).count() == used.len() {
        OperatingStatus::Online
    } else {
        OperatingStatus::Degraded
    }
}

fn certificate(told: &protocol::CertificateHealth) -> Option<CertificateStatus> {
    let not_after = Time(Timestamp::from_second(told.not_after).ok()?);
    Some(CertificateStatus { secret_name: naming::secret(&told.file)?.to_owned(), not_after })
}

/// The load balancer as a whole.
pub(super) fn overall(resource: &LoadBalancer, listeners: &[ListenerStatus], replicas: &[&Replica]) -> OperatingStatus {
    let wanted: Vec<_> = listeners
        .iter()
        .map(|listener| listener.operating_status)
        .filter(|status| *status != OperatingStatus::Offline)
        .collect();
    let count = |status| wanted.iter().filter(|wanted| **wanted == status).count();
    if !resource.spec.enabled || replicas.is_empty() || (wanted.is_empty() && !listeners.is_empty()) {
        OperatingStatus::Offline
    } else if wanted.is_empty() || count(OperatingStatus::Unknown) > 0 {
        OperatingStatus::Unknown
    } else if count(OperatingStatus::Online) == wanted.len() {
        OperatingStatus::Online
    } else if count(OperatingStatus::Error) == wanted.len() {
        OperatingStatus::Error
    } else {
        OperatingStatus::Degraded
    }
}

/// The pools, each as all replicas together see it.
pub(super) fn pools(findings: &Findings<'_>, before: &[PoolStatus], replicas: &[&Replica]) -> Vec<PoolStatus> {
    let (Some(spec), Some(references)) = (findings.spec, findings.references) else { return before.to_vec() };
    let told: Vec<&Report> =
        answers(replicas).filter(|report| !report.pools.is_empty() || !report.listeners.is_empty()).collect();
    let open = spec.listeners.iter().filter(|listener| is_served(listener, references));
    let used: BTreeSet<&str> = open.flat_map(|listener| listener.frontend.backends()).collect();
    let each = spec.pools.iter().map(|pool| {
        let backends = [Mode::Http, Mode::Tcp].map(|mode| names::backend(&pool.name, mode));
        let used = backends.iter().any(|backend| used.contains(backend.as_str()));
        let servers = references.servers.get(&pool.name).map_or(&[][..], Vec::as_slice);
        let before = before.iter().find(|before| before.name == pool.name);
        match before {
            Some(before) if told.is_empty() && used && replicas.iter().any(|replica| replica.ready) => before.clone(),
            _ if used => of_members(pool, servers, &seen(&told, &backends), told.is_empty()),
            // HAProxy does not know it at all.
            _ => PoolStatus {
                name: pool.name.clone(),
                operating_status: OperatingStatus::Offline,
                members: count(servers.len()),
                ..PoolStatus::default()
            },
        }
    });
    each.collect()
}

/// What the replicas have said of each member.
fn seen<'a>(told: &[&'a Report], backends: &[String]) -> HashMap<&'a str, Vec<&'a MemberHealth>> {
    let mut seen: HashMap<&str, Vec<&MemberHealth>> = HashMap::new();
    for report in told {
        for member in backends.iter().filter_map(|backend| report.pools.get(backend)).flatten() {
            seen.entry(member.name.as_str()).or_default().push(member);
        }
    }
    seen
}

/// A member is up when every replica sees it up.
fn of_members(
    pool: &Pool,
    servers: &[Server],
    seen: &HashMap<&str, Vec<&MemberHealth>>,
    nobody_told: bool,
) -> PoolStatus {
    let takes_traffic = |health: &&MemberHealth| matches!(health.state, MemberState::Up | MemberState::NoMonitor);
    let is_up = |server: &&Server| {
        let told = seen.get(server.name.as_str()).map_or(&[][..], Vec::as_slice);
        !told.is_empty() && told.iter().all(takes_traffic)
    };
    let (up, down): (Vec<&Server>, Vec<&Server>) = servers.iter().partition(is_up);
    let drains = |health: &&MemberHealth| health.state == MemberState::Drain || health.weight == 0;
    let operating_status = if nobody_told {
        OperatingStatus::Unknown
    } else if !seen.is_empty() && seen.values().flatten().all(drains) {
        OperatingStatus::Draining
    } else if up.is_empty() {
        OperatingStatus::Error
    } else if !down.is_empty() {
        OperatingStatus::Degraded
    } else if pool.settings.check.is_none() {
        OperatingStatus::NoMonitor
    } else {
        OperatingStatus::Online
    };
    PoolStatus {
        name: pool.name.clone(),
        operating_status,
        members: count(servers.len()),
        up: count(up.len()),
        down: down.into_iter().take(NAMED).map(|server| server.name.clone()).collect(),
    }
}

fn answers<'a>(replicas: &[&'a Replica]) -> impl Iterator<Item = &'a Report> {
    replicas.iter().filter_map(|replica| replica.answer())
}
