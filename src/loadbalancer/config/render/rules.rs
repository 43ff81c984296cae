//! The lines that choose a request's backend, refuse it or send it elsewhere. Pure.

use crate::{
    api::{MatchKind, MatchOperator},
    loadbalancer::{
        config::{Action, Frontend, Match, Mode, RedirectKind, Rule, Step},
        names,
    },
};

/// The `acl` that holds once a backend is chosen. No rule can have its name, nor that of `allowed` and `odd`:
/// those of rules hold a dot.
pub(super) const DECIDED: &str = "decided";
/// The `acl` of hosts with a `|`, which no table can tell from the next part of a key.
const ODD: &str = "odd";

/// HAProxy chooses backends only after all that may refuse or redirect. So that rules count in their order,
/// the backend that is chosen first is noted, and all later rules hold still.
pub(super) fn render(text: &mut String, frontend: &Frontend) {
    let (request, host, path) = match frontend.mode {
        Mode::Http => ("http-request", "req.fhdr(host),host_only", "%[path]"),
        Mode::Tcp => ("tcp-request content", "req.ssl_sni", ""),
    };
    line!(text, "acl {DECIDED} var(txn.pool) -m found");
    line!(text, "acl {ODD} {host} -m sub |");
    // The keys that are looked up in tables: of its host, and of any host.
    line!(text, "{request} set-var-fmt(txn.named) |%[{host},lower]|{path}?");
    line!(text, "{request} set-var-fmt(txn.any) ||{path}?");
    let file = names::routes_file(&frontend.name);
    let mut table = 0;
    for step in frontend.steps() {
        match step {
            Step::Rule(rule) => render_rule(text, request, frontend.mode, rule),
            Step::Routes(routes) => {
                table += 1;
                let look_up = |text: &mut String, key: &str, condition: &str| {
                    let found = format!("str(|{table}),concat(,{key}),map_beg({file})");
                    line!(text, "{request} set-var(txn.pool) {found} if !{DECIDED}{condition}");
                };
                look_up(text, "txn.named", &format!(" !{ODD}"));
                if routes.has_ends() {
                    let end = format!("{host},lower,concat(|{table}),map_end({file})");
                    line!(text, "{request} set-var-fmt(txn.ending) |*%[{end}]|{path}? if !{DECIDED}");
                    look_up(text, "txn.ending", "");
                }
                look_up(text, "txn.any", "");
            }
        }
    }
}

/// The file with all tables.
pub(super) fn routes(frontend: &Frontend) -> String {
    let routes = frontend.steps().into_iter().filter_map(|step| match step {
        Step::Rule(_) => None,
        Step::Routes(routes) => Some(routes),
    });
    routes.zip(1..).map(|(routes, number)| routes.render(number)).collect()
}

fn render_rule(text: &mut String, request: &str, understood: Mode, rule: &Rule) {
    let mut condition = vec![format!("!{DECIDED}")];
    for (number, matched) in rule.matches.iter().enumerate() {
        let name = format!("{}.{number}", rule.name);
        line!(text, "acl {name} {}", criterion(understood, matched));
        condition.push(if matched.invert { format!("!{name}") } else { name });
    }
    let condition = condition.join(" ");
    match &rule.action {
        Action::Backend(backend) => line!(text, "{request} set-var(txn.pool) str({backend}) if {condition}"),
        Action::Redirect { kind, to, status } => {
            let kind = match kind {
                RedirectKind::Location => "location",
                RedirectKind::Prefix => "prefix",
            };
            line!(text, "http-request redirect {kind} {} code {status} if {condition}", to.escape_format());
        }
        Action::Reject(status) if understood == Mode::Http => {
            line!(text, "http-request deny deny_status {status} if {condition}");
        }
        Action::Reject(_) => line!(text, "tcp-request content reject if {condition}"),
    }
}

/// What an `acl` looks for. After `--` nothing is an option any more, whatever it looks like.
fn criterion(understood: Mode, Match { kind, key, operator, value, .. }: &Match) -> String {
    let fetched = match (kind, understood) {
        (MatchKind::Host, Mode::Http) => "req.fhdr(host),host_only -i".to_owned(),
        (MatchKind::Host, Mode::Tcp) => "req.ssl_sni -i".to_owned(),
        (MatchKind::Path, _) => "path".to_owned(),
        (MatchKind::Header, _) => format!("req.fhdr({key})"),
        (MatchKind::Cookie, _) => format!("req.cook({key})"),
        (MatchKind::FileType, _) => return format!("path -i -m end -- {}", value.after_dot()),
    };
    let method = match operator {
        MatchOperator::Equals => "str",
        MatchOperator::StartsWith => "beg",
        MatchOperator::EndsWith => "end",
        MatchOperator::Contains => "sub",
        MatchOperator::Regex => "reg",
    };
    format!("{fetched} -m {method} -- {value}")
}
