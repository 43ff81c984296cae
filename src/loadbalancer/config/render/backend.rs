//! The lines of a backend. Pure.

use std::net::SocketAddr;

use super::mode;
use crate::loadbalancer::config::{Backend, Balance, Check, HttpCheck, Server};

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
    line!(text, "timeout connect {}s", settings.connect_timeout);
    line!(text, "timeout server {}s", settings.server_timeout);
    if let Some(check) = &settings.check {
        render_check(text, check);
    }
    for server in &backend.servers {
        render_server(text, server, settings.check.is_some());
    }
}

fn render_check(text: &mut String, check: &Check) {
    if let Some(HttpCheck { path, host, status }) = &check.http {
        line!(text, "option httpchk");
        let host = host.as_ref().map(|host| format!(" ver HTTP/1.1 hdr Host {}", host.escape_format()));
        line!(text, "http-check send meth GET uri {path}{}", host.unwrap_or_default());
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
