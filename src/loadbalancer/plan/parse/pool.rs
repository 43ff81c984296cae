//! Pools, as values that can't be misunderstood.

use std::net::IpAddr;

use super::{SpecError, error, label, number, word};
use crate::{
    api::{self, MonitorKind},
    loadbalancer::config::{BackendSettings, Balance, Check, HttpCheck},
};

/// A group of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Unique.
    pub name: String,
    /// What HAProxy is told of it.
    pub settings: BackendSettings,
    /// Servers by address.
    pub members: Vec<Member>,
    /// Servers by Service.
    pub services: Vec<api::ServiceMembers>,
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

pub(super) fn parse(pool: &api::Pool) -> Result<Pool, SpecError> {
    let api::Pool { name, algorithm, monitor, members, services, timeouts } = pool;
    let field = format!("spec.pools[{name}]");
    label(&field, name)?;
    let timeouts = timeouts.clone().unwrap_or_default();
    for service in services {
        number::<u16>(&format!("{field}.services[{}].weight", service.name), service.weight, 0, 256)?;
    }
    let settings = BackendSettings {
        balance: match algorithm {
            api::Algorithm::RoundRobin => Balance::RoundRobin,
            api::Algorithm::LeastConnections => Balance::LeastConnections,
            api::Algorithm::Source => Balance::Source,
        },
        check: monitor.as_ref().map(|monitor| check(&format!("{field}.monitor"), monitor)).transpose()?,
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
    };
    Ok(Pool {
        name: name.clone(),
        settings,
        members: members.iter().map(|member| self::member(&field, member)).collect::<Result<_, _>>()?,
        services: services.clone(),
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
    let field_of = |name: &str| format!("{field}.{name}");
    let http = match kind {
        MonitorKind::Tcp => None,
        MonitorKind::Http => {
            let path = path.as_deref().unwrap_or("/");
            if !path.starts_with('/') {
                return Err(error(&field_of("path"), "it must start with /"));
            }
            let status = expected_status.as_deref().unwrap_or("200-399");
            if !status.bytes().all(|byte| byte.is_ascii_digit() || b",-".contains(&byte)) {
                return Err(error(&field_of("expectedStatus"), "it must be like 200, 200,204 or 200-399"));
            }
            Some(HttpCheck {
                path: word(&field_of("path"), path)?,
                host: host.as_deref().map(|host| word(&field_of("host"), host)).transpose()?,
                status: word(&field_of("expectedStatus"), status)?,
            })
        }
    };
    Ok(Check {
        interval: number(&field_of("intervalSeconds"), *interval_seconds, 1, 3_600)?,
        timeout: number(&field_of("timeoutSeconds"), *timeout_seconds, 1, 3_600)?,
        rises: number(&field_of("rises"), *rises, 1, 10)?,
        falls: number(&field_of("falls"), *falls, 1, 10)?,
        http,
    })
}
