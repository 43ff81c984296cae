//! The agent's own part of what HAProxy loads, `process.cfg`: what follows from the pod and not from
//! the user's wishes. Pure. It lies beside the configuration that it names, so that both change at once.

use std::{fmt::Write, path::Path};

use crate::clients::haproxy::{LOADED, MARKER};

/// What `process.cfg` depends on.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a> {
    /// [`Configuration::hash`](super::protocol::Configuration::hash).
    pub hash: &'a str,
    /// The worker's own socket.
    pub worker_socket: &'a Path,
    /// The server state file.
    pub health: &'a Path,
    /// The CPU limit, in thousandths of a core.
    pub cpu_millis: u32,
    /// The memory limit, in bytes.
    pub memory_bytes: u64,
    /// Where the worker answers `/healthz`.
    pub health_port: u16,
    /// Whether the pod has IPv6.
    pub ipv6: bool,
}

/// The memory of one connection, in bytes: measured 20,000 a GB in plain, 8,000 with TLS to the client,
/// 5,000 with TLS on both sides.
const PLAIN: u64 = (1 << 30) / 20_000;
const TLS: u64 = (1 << 30) / 8_000;
const TLS_BOTH: u64 = (1 << 30) / 5_000;
/// What a worker needs before any connection, and for each `server` line (both measured).
const WORKER: u64 = 8 << 20;
const SERVER: u64 = 8 << 10;
/// How many reloads an old worker may outlive before the master ends it, with what it has left. Each
/// keeps its memory, so a quarter of all is given to them.
const OUTLIVED: std::ops::RangeInclusive<u64> = 3..=20;
const OUTLIVED_KEY: &str = "mworker-max-reloads";
/// However small the limit, that many connections are tried.
const FEWEST_CONNECTIONS: u64 = 100;
/// Listeners, sockets, event polls and pipes.
const SPARE_DESCRIPTORS: u64 = 200;

impl Process<'_> {
    /// The file's text. `main_file` is the content of `haproxy.cfg`, which tells what a connection costs.
    #[must_use]
    pub fn render(&self, main_file: &str) -> String {
        let mut text = String::from("# Written by the agent.\nglobal\n");
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "    {arguments}");
        };
        line(format_args!("default-path config"));
        line(format_args!("setenv {LOADED} {}", self.hash));
        line(format_args!("set-var {MARKER} str({})", self.hash));
        line(format_args!("stats socket {} mode 600 level admin", self.worker_socket.display()));
        // Backends read it where the configuration says `load-server-state-from-file global`.
        line(format_args!("server-state-file {}", self.health.display()));
        line(format_args!("nbthread {}", self.cpu_millis.div_ceil(1_000).max(1)));
        // Without an explicit maxconn HAProxy derives it from this and from the container's own limit of
        // descriptors; an explicit one that the limit cannot hold would keep it from starting.
        let needs = self.needs(main_file);
        line(format_args!("fd-hard-limit {}", needs.descriptors));
        line(format_args!("{OUTLIVED_KEY} {}", needs.outlived));
        line(format_args!("hard-stop-after 30m"));
        text.push_str("\nfrontend fairway-health\n    mode http\n");
        let bind = if self.ipv6 { format!(":::{} v4v6", self.health_port) } else { format!(":{}", self.health_port) };
        let _ = writeln!(text, "    bind {bind}");
        text.push_str(
            "    timeout client 5s\n    http-request return status 200 content-type text/plain string ok if { path /healthz }\n    http-request return status 404\n\n",
        );
        text
    }

    /// Descriptors are two for each connection that the memory holds beside the master, a new and the old
    /// workers; one for the check of each server; and some.
    fn needs(&self, main_file: &str) -> Needs {
        let mut servers = 0;
        let (mut client_tls, mut server_tls) = (false, false);
        for line in main_file.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("bind") => client_tls |= words.any(|word| word == "ssl"),
                Some("server") => {
                    servers += 1;
                    server_tls |= words.any(|word| word == "ssl");
                }
                Some("default-server") => server_tls |= words.any(|word| word == "ssl"),
                _ => {}
            }
        }
        let cost = match (client_tls, server_tls) {
            (false, false) => PLAIN,
            (true, true) => TLS_BOTH,
            _ => TLS,
        };
        let worker = WORKER + servers * SERVER;
        let outlived = (self.memory_bytes / 4 / worker).clamp(*OUTLIVED.start(), *OUTLIVED.end());
        let free = self.memory_bytes.saturating_sub((outlived + 2) * worker);
        let connections = (free / cost).max(FEWEST_CONNECTIONS);
        Needs { outlived, descriptors: 2 * connections + servers + SPARE_DESCRIPTORS }
    }
}

struct Needs {
    outlived: u64,
    descriptors: u64,
}

/// How many reloads an old worker may outlive, read from a `process.cfg`.
#[must_use]
pub fn reloads_outlived(text: &str) -> Option<usize> {
    text.lines().find_map(|line| line.trim_start().strip_prefix(OUTLIVED_KEY)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn process() -> Process<'static> {
        Process {
            hash: "0123abcd",
            worker_socket: Path::new("/run/fairway/worker.sock"),
            health: Path::new("/run/fairway/health"),
            cpu_millis: 1_500,
            memory_bytes: 1 << 30,
            health_port: 9102,
            ipv6: true,
        }
    }

    #[test]
    fn golden() {
        insta::assert_snapshot!(process().render("frontend a\n    bind :443 ssl crt a.pem\n"));
    }

    #[test]
    fn golden_without_ipv6() {
        let process = Process { ipv6: false, cpu_millis: 0, memory_bytes: 64 << 20, ..process() };
        insta::assert_snapshot!(process.render(""));
    }

    #[rstest]
    #[case::smallest(32 << 20, 3)]
    #[case::small(256 << 20, 8)]
    #[case::large(8 << 30, 20)]
    fn old_workers_are_kept_as_the_memory_allows(#[case] memory_bytes: u64, #[case] expected: usize) {
        let text = Process { memory_bytes, ..process() }.render("");
        assert_eq!(reloads_outlived(&text), Some(expected));
        assert_eq!(reloads_outlived("global"), None);
    }

    #[rstest]
    #[case::plain("bind :80", 33_000..34_000)]
    #[case::client_tls("bind :443 ssl crt a.pem", 13_000..14_000)]
    #[case::both("bind :443 ssl crt a.pem\nserver a 10.0.0.1:443 ssl verify none", 8_400..8_700)]
    #[case::not_a_word("bind :80 name ssl-like", 33_000..34_000)]
    fn descriptors_follow_the_cost_of_a_connection(#[case] main_file: &str, #[case] expected: std::ops::Range<u64>) {
        let descriptors = process().needs(main_file).descriptors;
        assert!(expected.contains(&descriptors), "{descriptors}");
    }
}
