//! Pools, as values that can't be misunderstood.

use std::net::IpAddr;

use super::{
    SpecError, error, label, number, object_name,
    pods::{self, Pods},
    token, unique, word,
};
use crate::{
    api::{self, MonitorKind, PersistenceKind, Verification},
    loadbalancer::{
        config::{BackendSettings, Balance, Check, HttpCheck, Persistence, Server, ServerTls, Word},
        names,
    },
};

/// A group of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Unique.
    pub name: String,
    /// What HAProxy is told of it.
    pub settings: BackendSettings,
    /// The name of the `ConfigMap` with the authorities of members' certificates.
    pub authorities: Option<String>,
    /// Servers by address.
    pub members: Vec<Server>,
    /// Servers by Service.
    pub services: Vec<api::ServiceMembers>,
    /// Servers by the labels of pods.
    pub pods: Vec<Pods>,
}

pub(super) fn parse(pool: &api::Pool) -> Result<Pool, SpecError> {
    let field = format!("spec.pools[{}]", pool.name);
    label(&field, &pool.name)?;
    for service in &pool.services {
        number::<u16>(&format!("{field}.services[{}].weight", service.name), service.weight, 0, 256)?;
    }
    let pods: Vec<Pods> = pool.pods.iter().map(|pods| pods::parse(&field, pods)).collect::<Result<_, _>>()?;
    unique(&format!("{field}.pods"), "name", pods.iter().map(|pods| pods.name.clone()))?;
    let tls = pool.tls.as_ref().map(|tls| self::tls(&format!("{field}.tls"), tls)).transpose()?;
    let (tls, authorities) = tls.map_or((None, None), |(tls, authorities)| (Some(tls), authorities));
    let members = pool.members.iter().filter(|member| member.enabled);
    Ok(Pool {
        name: pool.name.clone(),
        settings: settings(&field, pool, tls)?,
        authorities,
        members: members.map(|member| self::member(&field, member)).collect::<Result<_, _>>()?,
        services: pool.services.clone(),
        pods,
    })
}

fn settings(field: &str, pool: &api::Pool, tls: Option<ServerTls>) -> Result<BackendSettings, SpecError> {
    let api::Pool { algorithm, monitor, persistence, proxy_protocol, slow_start_seconds, timeouts, .. } = pool;
    let timeouts = timeouts.clone().unwrap_or_default();
    let field_of = |name: &str| format!("{field}.{name}");
    Ok(BackendSettings {
        balance: match algorithm {
            api::Algorithm::RoundRobin => Balance::RoundRobin,
            api::Algorithm::LeastConnections => Balance::LeastConnections,
            api::Algorithm::Source => Balance::Source,
        },
        check: monitor.as_ref().map(|monitor| check(&field_of("monitor"), monitor, tls.as_ref())).transpose()?,
        persistence: persistence
            .as_ref()
            .map(|persistence| self::persistence(&field_of("persistence"), persistence))
            .transpose()?,
        send_proxy: *proxy_protocol,
        slow_start: slow_start_seconds
            .map(|seconds| number(&field_of("slowStartSeconds"), seconds, 1, 3_600))
            .transpose()?,
        connect_timeout: number(&field_of("timeouts.connectSeconds"), timeouts.connect_seconds.unwrap_or(5), 1, 3_600)?,
        server_timeout: number(&field_of("timeouts.serverSeconds"), timeouts.server_seconds.unwrap_or(50), 1, 86_400)?,
        tls,
    })
}

fn member(field: &str, member: &api::Member) -> Result<Server, SpecError> {
    let api::Member { address, port, weight, enabled: _, backup, monitor_address, monitor_port } = member;
    let field = format!("{field}.members[{address}:{port}]");
    let ip = |name: &str, text: &str| {
        text.parse::<IpAddr>().map_err(|_| error(&format!("{field}.{name}"), "it is not an IPv4 or IPv6 address"))
    };
    let check_address = monitor_address.as_deref().map(|address| ip("monitorAddress", address)).transpose()?;
    let check_port = monitor_port.map(|port| number(&format!("{field}.monitorPort"), port, 1, u16::MAX)).transpose()?;
    let address = ip("address", address)?;
    let port = number(&format!("{field}.port"), *port, 1, u16::MAX)?;
    let weight = number(&format!("{field}.weight"), *weight, 0, 256)?;
    Ok(Server { backup: *backup, check_address, check_port, ..Server::new(None, address, port, weight) })
}

fn persistence(field: &str, persistence: &api::Persistence) -> Result<Persistence, SpecError> {
    let api::Persistence { kind, cookie_name, expiry_seconds } = persistence;
    let expiry = |default| number(&format!("{field}.expirySeconds"), expiry_seconds.unwrap_or(default), 1, 604_800);
    let name = |name: &str| token(&format!("{field}.cookieName"), name);
    Ok(match (kind, cookie_name.as_deref()) {
        (PersistenceKind::SourceAddress, None) => Persistence::Source { expiry: expiry(3_600)? },
        (PersistenceKind::SourceAddress, Some(_)) => {
            return Err(error(&format!("{field}.cookieName"), "it is for cookies only"));
        }
        (PersistenceKind::InsertedCookie, cookie) => Persistence::InsertedCookie {
            name: name(cookie.unwrap_or("SRV"))?,
            expiry: expiry_seconds.map(expiry).transpose()?,
        },
        (PersistenceKind::ApplicationCookie, Some(cookie)) => {
            Persistence::ApplicationCookie { name: name(cookie)?, expiry: expiry(3_600)? }
        }
        (PersistenceKind::ApplicationCookie, None) => {
            return Err(error(&format!("{field}.cookieName"), "the name of the cookie that members set is needed"));
        }
    })
}

/// TLS towards members, and the name of the `ConfigMap` with the authorities.
fn tls(field: &str, tls: &api::PoolTls) -> Result<(ServerTls, Option<String>), SpecError> {
    let api::PoolTls { verification, ca_config_map_name, server_name } = tls;
    let authorities = match (verification, ca_config_map_name) {
        (Verification::None, _) => None,
        (Verification::Required, Some(name)) => Some(object_name(&format!("{field}.caConfigMapName"), name)?),
        (Verification::Required, None) => {
            return Err(error(&format!("{field}.caConfigMapName"), "it is needed, unless verification is None"));
        }
    };
    let server_name = server_name.as_deref().map(|name| token(&format!("{field}.serverName"), name)).transpose()?;
    Ok((ServerTls { authorities: authorities.as_deref().map(names::authorities_file), server_name }, authorities))
}

fn check(field: &str, monitor: &api::Monitor, tls: Option<&ServerTls>) -> Result<Check, SpecError> {
    let api::Monitor { kind, interval_seconds, timeout_seconds, rises, falls, port, host, .. } = monitor;
    let field_of = |name: &str| format!("{field}.{name}");
    let host = host.as_deref().map(|host| word(&field_of("host"), host)).transpose()?;
    let by_tls = matches!(kind, MonitorKind::Https | MonitorKind::TlsHello);
    let expected = || tls.and_then(|tls| tls.server_name.as_deref());
    let server_name = match &host {
        Some(host) => Some(host.before(':')),
        None => expected().map(|name| word(&field_of("host"), name)).transpose()?,
    };
    Ok(Check {
        interval: number(&field_of("intervalSeconds"), *interval_seconds, 1, 3_600)?,
        timeout: number(&field_of("timeoutSeconds"), *timeout_seconds, 1, 3_600)?,
        rises: number(&field_of("rises"), *rises, 1, 10)?,
        falls: number(&field_of("falls"), *falls, 1, 10)?,
        port: port.map(|port| number(&field_of("port"), port, 1, u16::MAX)).transpose()?,
        tls: by_tls,
        server_name: server_name.filter(|_| by_tls),
        http: matches!(kind, MonitorKind::Http | MonitorKind::Https)
            .then(|| http_check(field, monitor, host))
            .transpose()?,
    })
}

fn http_check(field: &str, monitor: &api::Monitor, host: Option<Word>) -> Result<HttpCheck, SpecError> {
    let api::Monitor { method, path, expected_status, .. } = monitor;
    let field_of = |name: &str| format!("{field}.{name}");
    let path = path.as_deref().unwrap_or("/");
    if !path.starts_with('/') {
        return Err(error(&field_of("path"), "it must start with /"));
    }
    let status = expected_status.as_deref().unwrap_or("200-399");
    if !status.bytes().all(|byte| byte.is_ascii_digit() || b",-".contains(&byte)) {
        return Err(error(&field_of("expectedStatus"), "it must be like 200, 200,204 or 200-399"));
    }
    Ok(HttpCheck {
        method: method.unwrap_or_default(),
        path: word(&field_of("path"), path)?,
        host,
        status: word(&field_of("expectedStatus"), status)?,
    })
}
