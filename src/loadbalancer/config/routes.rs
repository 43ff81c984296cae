//! Rules that look at host and path alone and choose a backend, as tables that can change while HAProxy runs.
//! A table says exactly what its rules say in their order. Pure.
//!
//! Each host that a rule names, each end of hosts, and the rest of all hosts have their own part of the table,
//! with all rules that can hold for them: a request is looked up in one part, that of its very host, else that of
//! the longest end that its host has, else that of the rest. Within a part the longest beginning of a path
//! wins. It agrees with the order of the rules, because a rule that comes after one whose paths include all of its
//! own can never hold, and is left out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Match, Rule};
use crate::api::{MatchKind, MatchOperator};

/// What is done with a request, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// What one rule says.
    Rule(&'a Rule),
    /// What a table says.
    Routes(Routes),
}

/// What consecutive rules say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// Ends of hosts, the longest first.
    ends: Vec<String>,
    /// Backends by what the key of a request begins with: `|<host>|<beginning of a path>` or `|<host>|<path>?`, where
    /// an end of hosts is `*<end>` and the rest of all hosts is nothing.
    backends: BTreeMap<String, String>,
}

impl Routes {
    /// Whether hosts are looked up by their ends.
    #[must_use]
    pub fn has_ends(&self) -> bool {
        !self.ends.is_empty()
    }

    /// The table's lines in the map file: a key, a space, a value. The number keeps a listener's tables apart: they
    /// share a file, so that all change at one moment. Ends are followed by it, all else begins with it.
    #[must_use]
    pub fn render(&self, number: usize) -> String {
        let ends = self.ends.iter().map(|end| format!("{end}|{number} {end}\n"));
        let backends = self.backends.iter().map(|(key, backend)| format!("|{number}{key} {backend}\n"));
        ends.chain(backends).collect()
    }
}

/// What is done by rules, as few tables as can be. The last step is always a table, so that a rule can come
/// where there was none.
pub(super) fn steps(rules: &[Rule]) -> Vec<Step<'_>> {
    let mut steps = vec![];
    let mut run = vec![];
    for rule in rules {
        if let Some(route) = Route::of(rule) {
            run.push(route);
            continue;
        }
        if !run.is_empty() {
            steps.push(Step::Routes(table(&std::mem::take(&mut run))));
        }
        steps.push(Step::Rule(rule));
    }
    steps.push(Step::Routes(table(&run)));
    steps
}

/// A rule that a table can hold.
struct Route<'a> {
    host: Host,
    /// What the key of a path begins with: that is the path and a `?`, which no path holds.
    path: String,
    backend: &'a str,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    Any,
    Is(String),
    EndsWith(String),
}

impl<'a> Route<'a> {
    fn of(rule: &'a Rule) -> Option<Self> {
        let Action::Backend(backend) = &rule.action else { return None };
        let (mut host, mut path) = (None, None);
        for Match { kind, operator, value, invert, .. } in &rule.matches {
            let value = value.text();
            let is_other = match (kind, operator) {
                _ if *invert => true,
                (MatchKind::Host, MatchOperator::Equals) => host.replace(Host::Is(plain_host(value)?)).is_some(),
                (MatchKind::Host, MatchOperator::EndsWith) => {
                    host.replace(Host::EndsWith(plain_host(value)?)).is_some()
                }
                (MatchKind::Path, MatchOperator::Equals) => path.replace(plain_path(value)? + "?").is_some(),
                (MatchKind::Path, MatchOperator::StartsWith) => path.replace(plain_path(value)?).is_some(),
                _ => true,
            };
            if is_other {
                return None;
            }
        }
        Some(Self { host: host.unwrap_or(Host::Any), path: path.unwrap_or_default(), backend })
    }

    /// Whether it can hold for a part of the hosts, and then holds for all of it.
    fn holds_for(&self, part: &Host) -> bool {
        match (&self.host, part) {
            (Host::Any, _) => true,
            (Host::Is(host), Host::Is(part)) => host == part,
            (Host::EndsWith(end), Host::Is(part) | Host::EndsWith(part)) => part.ends_with(end),
            _ => false,
        }
    }
}

fn table(run: &[Route<'_>]) -> Routes {
    let parts: BTreeSet<&Host> = run.iter().map(|route| &route.host).collect();
    let mut routes = Routes::default();
    for part in parts {
        let name = match part {
            Host::Any => String::new(),
            Host::Is(host) => host.clone(),
            Host::EndsWith(end) => {
                routes.ends.push(end.clone());
                format!("*{end}")
            }
        };
        let mut paths: BTreeMap<&str, &str> = BTreeMap::new();
        for route in run.iter().filter(|route| route.holds_for(part)) {
            if !paths.keys().any(|earlier| route.path.starts_with(earlier)) {
                paths.insert(&route.path, route.backend);
            }
        }
        let keys = paths.into_iter().map(|(path, backend)| (format!("|{name}|{path}"), backend.to_owned()));
        routes.backends.extend(keys);
    }
    routes.ends.sort_by_key(|end| std::cmp::Reverse(end.len()));
    routes
}

/// As it is compared: in lower case. None when it could be more than one word of a map file.
fn plain_host(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)).then_some(host)
}

/// None when it could be more than one word of a map file, or no path begins so.
fn plain_path(path: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@".contains(&byte);
    (path.starts_with('/') && path.bytes().all(plain)).then(|| path.to_owned())
}
