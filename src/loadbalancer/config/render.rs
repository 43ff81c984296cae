//! From the value to the text of `haproxy.cfg` and its pattern files. The same value gives the same bytes. Pure.

use std::{collections::BTreeMap, fmt::Write};

use super::{HaproxyConfig, Mode};
use crate::agent::protocol::MAIN_FILE;

/// Writes one line of a section.
macro_rules! line {
    ($text:expr, $($argument:tt)*) => {{
        use std::fmt::Write as _;
        // Writing to a String does not fail.
        let _ = writeln!($text, "    {}", format_args!($($argument)*));
    }};
}

mod backend;
mod frontend;
mod rules;

/// Where the state file is, and whether there is one, is the agent's to say.
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
    load-server-state-from-file global
";

/// What tables know goes from an old worker to a new one through a socket that only their pod sees. A worker that
/// found nobody to learn from does not tell for ten seconds (twice HAProxy's `PEER_RESYNC_TIMEOUT`).
const TABLES: &str = "\
global
    localpeer local

peers fairway
    peer local abns@fairway-peers

";
/// How many addresses or cookies a table holds, a hundred bytes each at most; the oldest give way.
const TABLE_SIZE: &str = "100k";

/// Renders what the operator decides of HAProxy: the main file, and those that it refers to for patterns.
#[must_use]
pub fn render(config: &HaproxyConfig) -> BTreeMap<String, String> {
    let tables = config.frontends.iter().any(|frontend| frontend.settings.rate_limit.is_some())
        || config.backends.iter().any(backend::has_table);
    let mut text = String::from(if tables { TABLES } else { "" });
    let mut files = BTreeMap::new();
    text.push_str(DEFAULTS);
    for frontend in &config.frontends {
        let _ = writeln!(text, "\nfrontend {}", frontend.name);
        frontend::render(&mut text, frontend);
        files.extend(frontend::files(frontend));
    }
    for backend in &config.backends {
        let _ = writeln!(text, "\nbackend {}", backend.name);
        backend::render(&mut text, backend);
    }
    files.insert(MAIN_FILE.to_owned(), text);
    files
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Http => "http",
        Mode::Tcp => "tcp",
    }
}
