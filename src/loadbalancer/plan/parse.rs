//! What the user wrote, as values that the rest of the plan can't misunderstand. What the API server's
//! schema should have refused is refused here as well: stored objects may be older than the schema.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use crate::{
    api::{self, LoadBalancerSpec, MonitorKind, Protocol},
    loadbalancer::config::{Balance, Check, HttpCheck, Word},
};

/// What is wrong with a spec, in words for its user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SpecError {
    /// Such as `spec.pools[web].monitor.path`.
    pub field: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// A spec that makes sense in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Ports that are listened on.
    pub listeners: Vec<Listener>,
    /// Groups of servers.
    pub pools: Vec<Pool>,
}

/// A port that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Unique.
    pub name: String,
    /// What is spoken.
    pub protocol: Protocol,
    /// Unique.
    pub port: u16,
    /// The name of a pool that exists.
    pub pool: String,
    /// Names of Secrets; none but for HTTPS, at least one for HTTPS.
    pub certificates: Vec<String>,
    /// Client networks; all when empty.
    pub allowed: Vec<IpNet>,
    /// Seconds.
    pub client_timeout: u32,
}

/// A group of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Unique.
    pub name: String,
    /// How a server is chosen.
    pub balance: Balance,
    /// How servers are checked.
    pub check: Option<Check>,
    /// Servers by address.
    pub members: Vec<Member>,
    /// Servers by Service.
    pub services: Vec<api::ServiceMembers>,
    /// Seconds.
    pub connect_timeout: u32,
    /// Seconds.
    pub server_timeout: u32,
}

/// A server by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// 0 to 256.
    pub weight: u16,
}

/// Parses a whole spec.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(spec: &LoadBalancerSpec) -> Result<Spec, SpecError> {
    let pools: Vec<Pool> = spec.pools.iter().map(pool).collect::<Result<_, _>>()?;
    unique("spec.pools", "name", pools.iter().map(|pool| pool.name.clone()))?;
    let listeners: Vec<Listener> = spec.listeners.iter().map(listener).collect::<Result<_, _>>()?;
    unique("spec.listeners", "name", listeners.iter().map(|listener| listener.name.clone()))?;
    unique("spec.listeners", "port", listeners.iter().map(|listener| listener.port.to_string()))?;
    for listener in &listeners {
        if !pools.iter().any(|pool| pool.name == listener.pool) {
            return Err(error(
                &format!("spec.listeners[{}].pool", listener.name),
                &format!("there is no pool {:?} in spec.pools: add it or correct the name", listener.pool),
            ));
        }
    }
    Ok(Spec { listeners, pools })
}

fn listener(listener: &api::Listener) -> Result<Listener, SpecError> {
    let api::Listener { name, protocol, port, pool, certificates, allowed_cidrs, timeouts } = listener;
    let field = format!("spec.listeners[{name}]");
    label(&field, name)?;
    if (*protocol == Protocol::Https) == certificates.is_empty() {
        return Err(error(&format!("{field}.certificates"), "HTTPS needs at least one, other protocols take none"));
    }
    let allowed = allowed_cidrs
        .iter()
        .map(|text| {
            text.parse().map_err(|_| {
                error(&format!("{field}.allowedCidrs"), &format!("{text:?} is not a network in CIDR notation"))
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Listener {
        name: name.clone(),
        protocol: *protocol,
        port: number(&format!("{field}.port"), *port, 1, u16::MAX)?,
        pool: pool.clone(),
        certificates: certificates.iter().map(|certificate| certificate.secret_name.clone()).collect(),
        allowed,
        client_timeout: number(
            &format!("{field}.timeouts.clientSeconds"),
            timeouts.as_ref().and_then(|timeouts| timeouts.client_seconds).unwrap_or(50),
            1,
            86_400,
        )?,
    })
}

fn pool(pool: &api::Pool) -> Result<Pool, SpecError> {
    let api::Pool { name, algorithm, monitor, members, services, timeouts } = pool;
    let field = format!("spec.pools[{name}]");
    label(&field, name)?;
    let timeouts = timeouts.clone().unwrap_or_default();
    for service in services {
        number::<u16>(&format!("{field}.services[{}].weight", service.name), service.weight, 0, 256)?;
    }
    Ok(Pool {
        name: name.clone(),
        balance: match algorithm {
            api::Algorithm::RoundRobin => Balance::RoundRobin,
            api::Algorithm::LeastConnections => Balance::LeastConnections,
            api::Algorithm::Source => Balance::Source,
        },
        check: monitor.as_ref().map(|monitor| check(&format!("{field}.monitor"), monitor)).transpose()?,
        members: members.iter().map(|member| self::member(&field, member)).collect::<Result<_, _>>()?,
        services: services.clone(),
        connect_timeout: number(
            &format!("{field}.timeouts.connectSeconds"),
            timeouts.connect_seconds.unwrap_or(5),
            1,
            3_600,
        )?,
        server_timeout: number(
            &format!("{field}.timeouts.serverSeconds"),
            timeouts.server_seconds.unwrap_or(50),
            1,
            86_400,
        )?,
    })
}

fn member(field: &str, member: &api::Member) -> Result<Member, SpecError> {
    let api::Member { address, port, weight } = member;
    let field = format!("{field}.members[{address}:{port}]");
    Ok(Member {
        address: address
            .parse()
            .map_err(|_| error(&format!("{field}.address"), "it is not an IPv4 or IPv6 address"))?,
        port: number(&format!("{field}.port"), *port, 1, u16::MAX)?,
        weight: number(&format!("{field}.weight"), *weight, 0, 256)?,
    })
}

fn check(field: &str, monitor: &api::Monitor) -> Result<Check, SpecError> {
    let api::Monitor { kind, interval_seconds, timeout_seconds, rises, falls, path, host, expected_status } = monitor;
    let word = |name: &str, text: &str| {
        Word::parse(text).map_err(|problem| error(&format!("{field}.{name}"), &problem.to_string()))
    };
    let http = match kind {
        MonitorKind::Tcp => None,
        MonitorKind::Http => {
            let path = path.as_deref().unwrap_or("/");
            if !path.starts_with('/') {
                return Err(error(&format!("{field}.path"), "it must start with /"));
            }
            let status = expected_status.as_deref().unwrap_or("200-399");
            if !status.bytes().all(|byte| byte.is_ascii_digit() || b",-".contains(&byte)) {
                return Err(error(&format!("{field}.expectedStatus"), "it must be like 200, 200,204 or 200-399"));
            }
            Some(HttpCheck {
                path: word("path", path)?,
                host: host.as_deref().map(|host| word("host", host)).transpose()?,
                status: word("expectedStatus", status)?,
            })
        }
    };
    Ok(Check {
        interval: number(&format!("{field}.intervalSeconds"), *interval_seconds, 1, 3_600)?,
        timeout: number(&format!("{field}.timeoutSeconds"), *timeout_seconds, 1, 3_600)?,
        rises: number(&format!("{field}.rises"), *rises, 1, 10)?,
        falls: number(&format!("{field}.falls"), *falls, 1, 10)?,
        http,
    })
}

fn error(field: &str, problem: &str) -> SpecError {
    SpecError { field: field.to_owned(), problem: problem.to_owned() }
}

fn label(field: &str, name: &str) -> Result<(), SpecError> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 40 || !name.bytes().all(good) {
        return Err(error(
            &format!("{field}.name"),
            "it must hold only a-z, 0-9 and -, and be 1 to 40 characters long",
        ));
    }
    Ok(())
}

fn number<N: TryFrom<i32> + PartialOrd + std::fmt::Display + Copy>(
    field: &str,
    value: i32,
    least: N,
    most: N,
) -> Result<N, SpecError> {
    match N::try_from(value) {
        Ok(value) if value >= least && value <= most => Ok(value),
        _ => Err(error(field, &format!("{value} is not between {least} and {most}"))),
    }
}

fn unique(field: &str, key: &str, values: impl Iterator<Item = String>) -> Result<(), SpecError> {
    let mut seen = BTreeSet::new();
    for value in values {
        if !seen.insert(value.clone()) {
            return Err(error(field, &format!("two entries have the {key} {value}: give each its own")));
        }
    }
    Ok(())
}
