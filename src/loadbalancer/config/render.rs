//! From the value to the text of `haproxy.cfg`. The same value gives the same bytes. Pure.

use std::{fmt::Write, net::SocketAddr};

use super::{Backend, Balance, Check, Frontend, HaproxyConfig, HttpCheck, Mode, Server};

/// How many networks stand on one `acl` line: HAProxy takes 64 words on a line (`MAX_LINE_ARGS`).
const NETWORKS_A_LINE: usize = 32;

/// Renders the part of `haproxy.cfg` that the operator decides.
#[must_use]
pub fn render(config: &HaproxyConfig) -> String {
    let mut text = String::from(DEFAULTS);
    for frontend in &config.frontends {
        render_frontend(&mut text, frontend);
    }
    for backend in &config.backends {
        render_backend(&mut text, backend);
    }
    text
}

const DEFAULTS: &str = "\
defaults
    mode http
    option redispatch
    retries 3
    timeout http-request 10s
    timeout http-keep-alive 10s
    timeout queue 30s
    timeout client 50s
    timeout client-fin 30s
    timeout connect 5s
    timeout server 50s
    timeout tunnel 1h
";

macro_rules! line {
    ($text:expr, $($argument:tt)*) => {{
        // Writing to a String does not fail.
        let _ = writeln!($text, "    {}", format_args!($($argument)*));
    }};
}

fn render_frontend(text: &mut String, frontend: &Frontend) {
    let _ = writeln!(text, "\nfrontend {}", frontend.name);
    line!(text, "mode {}", mode(frontend.mode));
    match &frontend.certificate_list {
        Some(list) => line!(text, "bind :{} ssl crt-list {list} ssl-min-ver TLSv1.2", frontend.port),
        None => line!(text, "bind :{}", frontend.port),
    }
    line!(text, "timeout client {}s", frontend.client_timeout);
    for networks in frontend.allowed.chunks(NETWORKS_A_LINE) {
        let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
        line!(text, "acl allowed src {}", networks.join(" "));
    }
    if !frontend.allowed.is_empty() {
        line!(text, "tcp-request connection reject if !allowed");
    }
    if frontend.mode == Mode::Http {
        let scheme = if frontend.certificate_list.is_some() { "https" } else { "http" };
        // Idle keep-alive connections are closed with their next response: a reload loses no request.
        line!(text, "option idle-close-on-response");
        line!(text, "option forwardfor");
        line!(text, "http-request set-header X-Forwarded-Proto {scheme}");
        line!(text, "http-request set-header X-Forwarded-Port {}", frontend.port);
    }
    line!(text, "default_backend {}", frontend.backend);
}

fn render_backend(text: &mut String, backend: &Backend) {
    let _ = writeln!(text, "\nbackend {}", backend.name);
    line!(text, "mode {}", mode(backend.mode));
    line!(text, "log global");
    match backend.balance {
        Balance::RoundRobin => line!(text, "balance roundrobin"),
        Balance::LeastConnections => line!(text, "balance leastconn"),
        Balance::Source => {
            line!(text, "balance source");
            // Without it, weights that change are ignored.
            line!(text, "hash-type consistent");
        }
    }
    line!(text, "timeout connect {}s", backend.connect_timeout);
    line!(text, "timeout server {}s", backend.server_timeout);
    if let Some(check) = &backend.check {
        render_check(text, check);
    }
    for server in &backend.servers {
        render_server(text, server, backend.check.is_some());
    }
}

fn render_check(text: &mut String, check: &Check) {
    if let Some(HttpCheck { path, host, status }) = &check.http {
        line!(text, "option httpchk");
        match host {
            Some(host) => {
                line!(text, "http-check send meth GET uri {path} ver HTTP/1.1 hdr Host {}", host.escape_format());
            }
            None => line!(text, "http-check send meth GET uri {path}"),
        }
        line!(text, "http-check expect status {status}");
    }
    line!(text, "timeout check {}s", check.timeout);
    line!(text, "default-server inter {}s rise {} fall {}", check.interval, check.rises, check.falls);
}

fn render_server(text: &mut String, server: &Server, checked: bool) {
    let socket = SocketAddr::new(server.address, server.port);
    let check = if checked { " check" } else { "" };
    line!(text, "server {} {socket} weight {}{check}", server.name, server.weight);
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Http => "http",
        Mode::Tcp => "tcp",
    }
}
