//! The lines of a backend. Pure.

use std::net::{IpAddr, SocketAddr};

use super::{TABLE_SIZE, mode};
use crate::{
    agent::protocol::EXPECTED_OPTIONS,
    api::{MonitorMethod, ProxyProtocol},
    loadbalancer::config::{
        Backend, BackendSettings, Balance, Check, HttpCheck, Mode, Persistence, Server, ServerTls, Word,
    },
};

/// Whether it remembers clients in a table.
pub(super) fn has_table(backend: &Backend) -> bool {
    match backend.settings.persistence {
        None | Some(Persistence::InsertedCookie { .. }) => false,
        Some(Persistence::Source { .. }) => true,
        Some(Persistence::ApplicationCookie { .. }) => backend.mode == Mode::Http,
    }
}

pub(super) fn render(text: &mut String, backend: &Backend) {
    let settings = &backend.settings;
    line!(text, "mode {}", mode(backend.mode));
    line!(text, "log global");
    match settings.balance {
        Balance::RoundRobin => line!(text, "balance roundrobin"),
        Balance::LeastConnections => line!(text, "balance leastconn"),
        Balance::Source => {
            line!(text, "balance source");
            // Without it, weights that change are ignored.
            line!(text, "hash-type consistent");
        }
    }
    if let Some(persistence) = &settings.persistence {
        render_persistence(text, persistence, backend);
    }
    if backend.servers.iter().any(|server| server.backup) {
        line!(text, "option allbackups");
    }
    line!(text, "timeout connect {}s", settings.connect_timeout);
    line!(text, "timeout server {}s", settings.server_timeout);
    if let Some(check) = &settings.check {
        render_check(text, check, settings);
    }
    let options = server_options(settings);
    if !options.is_empty() {
        line!(text, "default-server {}", options.join(" "));
    }
    if backend.servers.is_empty() {
        let check = if settings.check.is_some() { " check" } else { "" };
        line!(text, "{EXPECTED_OPTIONS}{check}");
    }
    for server in &backend.servers {
        render_server(text, server, settings.check.as_ref());
    }
}

fn render_persistence(text: &mut String, persistence: &Persistence, backend: &Backend) {
    let table =
        |key: &str, expiry: u32| format!("stick-table type {key} size {TABLE_SIZE} expire {expiry}s peers fairway");
    match (persistence, backend.mode) {
        (Persistence::Source { expiry }, _) => {
            line!(text, "{}", table("ipv6", *expiry));
            line!(text, "stick on src");
        }
        (Persistence::InsertedCookie { name, expiry }, Mode::Http) => {
            let expiry = expiry.map(|expiry| format!(" maxidle {expiry}s")).unwrap_or_default();
            // The value follows from the server's address, so that it is the same in every replica and stays
            // when servers come and go.
            line!(text, "cookie {name} insert indirect nocache httponly dynamic{expiry}");
            line!(text, "dynamic-cookie-key {}", backend.name);
        }
        (Persistence::ApplicationCookie { name, expiry }, Mode::Http) => {
            line!(text, "{}", table("string len 128", *expiry));
            line!(text, "stick on req.cook({name})");
            line!(text, "stick store-response res.cook({name})");
        }
        // Cookies are HTTP's.
        (Persistence::InsertedCookie { .. } | Persistence::ApplicationCookie { .. }, Mode::Tcp) => {}
    }
}

fn render_check(text: &mut String, check: &Check, settings: &BackendSettings) {
    let ruleset = if check.http.is_some() { "http-check" } else { "tcp-check" };
    // Without a rule, a check connects as traffic does; with one it does only what is said.
    let connects = check.tls || settings.tls.is_some() || settings.send_proxy.is_some();
    if check.http.is_some() {
        line!(text, "option httpchk");
    } else if connects {
        line!(text, "option tcp-check");
    }
    if connects {
        let proxy = if settings.send_proxy.is_some() { " send-proxy" } else { "" };
        let tls = if check.tls { " ssl" } else { "" };
        let name = check.server_name.as_ref().filter(|_| check.tls).map(|name| format!(" sni {name}"));
        line!(text, "{ruleset} connect{proxy}{tls}{}", name.unwrap_or_default());
    }
    if let Some(HttpCheck { method, path, host, status }) = &check.http {
        let method = match method {
            MonitorMethod::Get => "GET",
            MonitorMethod::Head => "HEAD",
            MonitorMethod::Options => "OPTIONS",
            MonitorMethod::Post => "POST",
        };
        let host = host.as_ref().map(Word::escape_format).map(|host| format!(" ver HTTP/1.1 hdr Host {host}"));
        line!(text, "http-check send meth {method} uri {path}{}", host.unwrap_or_default());
        line!(text, "http-check expect status {status}");
    }
    line!(text, "timeout check {}s", check.timeout);
}

/// What holds for all servers alike.
fn server_options(settings: &BackendSettings) -> Vec<String> {
    let mut options = vec![];
    if let Some(Check { interval, rises, falls, .. }) = &settings.check {
        options.push(format!("inter {interval}s rise {rises} fall {falls}"));
    }
    options.extend(settings.slow_start.map(|seconds| format!("slowstart {seconds}s")));
    if let Some(ServerTls { authorities, server_name }) = &settings.tls {
        options.push("ssl".to_owned());
        match authorities {
            Some(file) => options.push(format!("verify required ca-file {file}")),
            None => options.push("verify none".to_owned()),
        }
        if let Some(name) = server_name {
            options.push(format!("sni str({name})"));
            options.extend(authorities.as_ref().map(|_| format!("verifyhost {name}")));
        }
    } else if settings.check.as_ref().is_some_and(|check| check.tls) {
        options.push("verify none".to_owned());
    }
    options.extend(settings.send_proxy.map(|version| match version {
        ProxyProtocol::V1 => "send-proxy".to_owned(),
        ProxyProtocol::V2 => "send-proxy-v2".to_owned(),
    }));
    options
}

fn render_server(text: &mut String, server: &Server, check: Option<&Check>) {
    let Server { name, address, port, weight, backup, check_address, check_port } = server;
    let mut options = String::new();
    if let Some(check) = check {
        options.push_str(" check");
        if let Some(address) = check_address {
            // IPv6 without brackets would be read as an address and its port.
            options = match address {
                IpAddr::V4(address) => format!("{options} addr {address}"),
                IpAddr::V6(address) => format!("{options} addr [{address}]"),
            };
        }
        // Here and not among what holds for all: so it can change while HAProxy runs.
        if let Some(port) = check_port.or(check.port) {
            options = options + " port " + &port.to_string();
        }
    }
    if *backup {
        options.push_str(" backup");
    }
    line!(text, "server {name} {} weight {weight}{options}", SocketAddr::new(*address, *port));
}
