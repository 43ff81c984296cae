//! Groups of servers, and how they are checked. Pure.

use std::net::IpAddr;

use super::{Mode, Word};
use crate::api::{MonitorMethod, ProxyProtocol};

/// A group of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// `[a-z0-9.-]+`, unique among backends.
    pub name: String,
    /// What is understood.
    pub mode: Mode,
    /// What holds for it.
    pub settings: BackendSettings,
    /// Where traffic goes.
    pub servers: Vec<Server>,
}

/// What holds for a group of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendSettings {
    /// How a server is chosen.
    pub balance: Balance,
    /// How servers are checked; not at all when none.
    pub check: Option<Check>,
    /// How clients stay with their server.
    pub persistence: Option<Persistence>,
    /// TLS towards servers.
    pub tls: Option<ServerTls>,
    /// What connections to servers, and checks, begin with.
    pub send_proxy: Option<ProxyProtocol>,
    /// Seconds in which a server that has come back gets its share.
    pub slow_start: Option<u32>,
    /// How long connecting may take, in seconds.
    pub connect_timeout: u32,
    /// How long a silent server is kept, in seconds.
    pub server_timeout: u32,
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn, by weight.
    RoundRobin,
    /// Fewest connections, by weight.
    LeastConnections,
    /// By the client's address, consistently hashed.
    Source,
}

/// How clients stay with their server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// By their address.
    Source {
        /// Seconds until they are forgotten.
        expiry: u32,
    },
    /// By a cookie of HAProxy's own.
    InsertedCookie {
        /// `[A-Za-z0-9_.-]+`.
        name: String,
        /// Seconds until it counts no more; when the browser is closed if none.
        expiry: Option<u32>,
    },
    /// By a cookie that servers set.
    ApplicationCookie {
        /// `[A-Za-z0-9_.-]+`.
        name: String,
        /// Seconds until it is forgotten.
        expiry: u32,
    },
}

/// TLS towards servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The file with the trusted authorities; none where nothing is verified.
    pub authorities: Option<String>,
    /// `[A-Za-z0-9.-]+`: the name that is asked for and expected.
    pub server_name: Option<String>,
}

/// How servers are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Seconds between two checks.
    pub interval: u32,
    /// Seconds that one may take.
    pub timeout: u32,
    /// Successes in a row until a server is up.
    pub rises: u32,
    /// Failures in a row until a server is down.
    pub falls: u32,
    /// The port, where it is not the server's.
    pub port: Option<u16>,
    /// Whether it is by TLS.
    pub tls: bool,
    /// The name that is asked for by TLS.
    pub server_name: Option<Word>,
    /// What is asked; only a connection when none.
    pub http: Option<HttpCheck>,
}

/// What an HTTP check asks and expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// The method.
    pub method: MonitorMethod,
    /// Path and query.
    pub path: Word,
    /// The Host header, with HTTP/1.1; HTTP/1.0 without one when none.
    pub host: Option<Word>,
    /// Such as `200-399`.
    pub status: Word,
}

/// A server of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `address:port`, or `origin:address:port` where it was found in the cluster: the origin is the name of a
    /// Service, or `pods.` and the name of a selector. Unique in its backend.
    pub name: String,
    /// Where it is.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// 0 to 256.
    pub weight: u16,
    /// Whether it gets traffic only when no other can.
    pub backup: bool,
    /// What is checked in place of its address.
    pub check_address: Option<IpAddr>,
    /// What is checked in place of its port.
    pub check_port: Option<u16>,
}

impl Server {
    /// A server whose name tells where it is and, where it was found in the cluster, by what.
    #[must_use]
    pub fn new(origin: Option<&str>, address: IpAddr, port: u16, weight: u16) -> Self {
        let name = match origin {
            Some(origin) => format!("{origin}:{address}:{port}"),
            None => format!("{address}:{port}"),
        };
        Self { name, address, port, weight, backup: false, check_address: None, check_port: None }
    }

    /// What it was found by; none where it was given by address.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.name.strip_suffix(&format!(":{}:{}", self.address, self.port))
    }

    /// Reads back a line that [`render`](super::render()) wrote; none when it is another line.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("server") {
            return None;
        }
        let name = words.next()?.to_owned();
        let socket: std::net::SocketAddr = words.next()?.parse().ok()?;
        let options: Vec<&str> = words.collect();
        let after = |option: &str| {
            let at = options.iter().position(|word| *word == option)?;
            options.get(at + 1)
        };
        Some(Self {
            name,
            address: socket.ip(),
            port: socket.port(),
            weight: after("weight")?.parse().ok()?,
            backup: options.contains(&"backup"),
            check_address: after("addr").and_then(|address| address.trim_matches(['[', ']']).parse().ok()),
            check_port: after("port").and_then(|port| port.parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_back_with_its_options() {
        let line = "    server app:192.0.2.1:80 192.0.2.1:80 weight 7 check addr [::1] port 81 backup";
        let expected = Server {
            backup: true,
            check_address: "::1".parse().ok(),
            check_port: Some(81),
            ..Server::new(Some("app"), [192, 0, 2, 1].into(), 80, 7)
        };
        assert_eq!(Server::from_line(line), Some(expected.clone()));
        assert_eq!(Server::from_line("    bind :80"), None);
        assert_eq!(expected.origin(), Some("app"));
        for address in ["192.0.2.1", "2001:db8::1"] {
            assert_eq!(Server::new(None, address.parse().expect("an address"), 80, 1).origin(), None);
            let found = Server::new(Some("pods.web"), address.parse().expect("an address"), 80, 1);
            assert_eq!(found.origin(), Some("pods.web"));
        }
    }
}
