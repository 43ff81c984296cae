//! Groups of servers, and how they are checked. Pure.

use std::net::IpAddr;

use super::{Mode, Word};

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
    /// What is asked; only a connection when none.
    pub http: Option<HttpCheck>,
}

/// What an HTTP check asks and expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
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
    /// `address:port`, or `service:address:port` where it comes from a Service; unique in its backend.
    pub name: String,
    /// Where it is.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// 0 to 256.
    pub weight: u16,
}

impl Server {
    /// A server whose name tells where it is and, where it comes from a Service, of which.
    #[must_use]
    pub fn new(service: Option<&str>, address: IpAddr, port: u16, weight: u16) -> Self {
        let name = match service {
            Some(service) => format!("{service}:{address}:{port}"),
            None => format!("{address}:{port}"),
        };
        Self { name, address, port, weight }
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
        let weight = words.skip_while(|word| *word != "weight").nth(1)?.parse().ok()?;
        Some(Self { name, address: socket.ip(), port: socket.port(), weight })
    }
}
