//! `haproxy.cfg` as a value: what is listened on, where it goes. Only what can be rendered can be said
//! here. Pure.

mod backend;
mod frontend;
mod render;
mod routes;
mod word;

pub use backend::{Backend, BackendSettings, Balance, Check, HttpCheck, Persistence, Server, ServerTls};
pub use frontend::{
    Action, Authentication, Frontend, FrontendSettings, Hsts, HttpsRedirect, Match, RateLimit, RedirectKind, Rule, Tls,
};
pub use render::render;
pub use routes::{Routes, Step};
pub use word::{ControlCharacter, Word};

/// All that the operator decides of an HAProxy; the agent adds what is the process's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaproxyConfig {
    /// Ports that are listened on.
    pub frontends: Vec<Frontend>,
    /// Groups of servers.
    pub backends: Vec<Backend>,
}

/// Whether HTTP is understood or bytes are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// HTTP is understood.
    Http,
    /// Bytes are passed on.
    Tcp,
}
