//! Ports that are listened on, and the rules for what comes in. Pure.

use ipnet::IpNet;

use super::{Mode, Step, Word, routes};
use crate::api::{Alpn, CipherSuite, ClientAuthenticationMode, InsertHeaders, MatchKind, MatchOperator, TlsVersion};

/// A port that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// `[a-z0-9-]+`, unique among frontends.
    pub name: String,
    /// What is understood.
    pub mode: Mode,
    /// The port, on all IPv4 addresses.
    pub port: u16,
    /// How TLS ends here, where it does.
    pub tls: Option<Tls>,
    /// For TLS that is passed on: how long the client's first words are waited for, in seconds.
    pub inspect_timeout: Option<u32>,
    /// What else holds.
    pub settings: FrontendSettings,
    /// What happens to which requests, in their order.
    pub rules: Vec<Rule>,
    /// Where what no rule decides is sent with HTTPS.
    pub https_redirect: Option<HttpsRedirect>,
    /// Where traffic goes that no rule decides; nowhere when none.
    pub backend: Option<String>,
}

impl Frontend {
    /// The backends that it sends to.
    pub fn backends(&self) -> impl Iterator<Item = &str> {
        let of_rules = self.rules.iter().filter_map(|rule| match &rule.action {
            Action::Backend(backend) => Some(backend.as_str()),
            Action::Redirect { .. } | Action::Reject(_) => None,
        });
        of_rules.chain(self.backend.as_deref())
    }

    /// Whether it reads what rules are about.
    #[must_use]
    pub fn takes_rules(&self) -> bool {
        self.mode == Mode::Http || self.inspect_timeout.is_some()
    }

    /// What is done with a request until its backend is chosen.
    #[must_use]
    pub fn steps(&self) -> Vec<Step<'_>> {
        if self.takes_rules() { routes::steps(&self.rules) } else { vec![] }
    }
}

/// What holds for a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendSettings {
    /// Client networks that may connect; all when empty.
    pub allowed: Vec<IpNet>,
    /// How long a silent client is kept, in seconds.
    pub client_timeout: u32,
    /// How many connections at a time.
    pub connection_limit: Option<u32>,
    /// How much a client address may ask.
    pub rate_limit: Option<RateLimit>,
    /// Whether connections begin with the PROXY protocol.
    pub accept_proxy: bool,
    /// Whether requests are logged.
    pub access_log: bool,
    /// What members are told of clients.
    pub headers: InsertHeaders,
    /// What browsers are told to remember.
    pub hsts: Option<Hsts>,
}

/// How TLS ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The file that lists the certificates.
    pub certificate_list: String,
    /// The oldest version.
    pub minimum_version: TlsVersion,
    /// `[A-Z0-9-]+` each.
    pub ciphers: Vec<String>,
    /// Those of TLS 1.3.
    pub cipher_suites: Vec<CipherSuite>,
    /// At least one.
    pub alpn: Vec<Alpn>,
    /// Which certificates clients show.
    pub authentication: Option<Authentication>,
}

/// Which certificates clients show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// The file with the trusted authorities.
    pub authorities: String,
    /// Whether they have to.
    pub mode: ClientAuthenticationMode,
}

/// How much a client address may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests, or connections.
    pub requests: u32,
    /// Seconds.
    pub period: u32,
}

/// HTTP Strict Transport Security.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// Seconds.
    pub max_age: u32,
    /// Whether it holds below as well.
    pub include_subdomains: bool,
    /// Whether browsers may come with it.
    pub preload: bool,
}

/// To the same place with HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpsRedirect {
    /// The status code.
    pub status: u16,
    /// The port of HTTPS.
    pub port: u16,
}

/// What happens to which requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `[a-z0-9-]+`, unique in its frontend.
    pub name: String,
    /// All must hold.
    pub matches: Vec<Match>,
    /// What happens.
    pub action: Action,
}

/// What a request must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// What is looked at.
    pub kind: MatchKind,
    /// `[A-Za-z0-9_.-]+`: the name of a header or cookie, else empty.
    pub key: String,
    /// How it is compared.
    pub operator: MatchOperator,
    /// With what.
    pub value: Word,
    /// Whether it must not be so.
    pub invert: bool,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes to this backend.
    Backend(String),
    /// The client is sent elsewhere.
    Redirect {
        /// What `to` is.
        kind: RedirectKind,
        /// Where.
        to: Word,
        /// The status code.
        status: u16,
    },
    /// It is refused with this status; where HTTP is not understood, the connection is closed.
    Reject(u16),
}

/// Where a client is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectKind {
    /// There and nowhere else.
    Location,
    /// There, followed by the path and query that it asked for.
    Prefix,
}
