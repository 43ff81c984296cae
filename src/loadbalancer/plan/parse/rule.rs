//! Rules, as values that can't be misunderstood.

use super::{SpecError, error, label, listener::REDIRECTS, one_of, token, unique, word};
use crate::{
    api::{self, MatchKind, MatchOperator},
    loadbalancer::config::{Action, Match, Mode, RedirectKind, Rule},
};

/// The status codes of rejections: those that HAProxy has an answer for.
const REJECTIONS: [u16; 10] = [400, 401, 403, 404, 405, 410, 413, 429, 500, 503];

/// The rules of one listener. `pool` gives a pool's backend, when there is such a pool.
pub(super) fn parse(
    field: &str,
    rules: &[api::ListenerRule],
    mode: Mode,
    pool: &impl Fn(&str, &String) -> Result<String, SpecError>,
) -> Result<Vec<Rule>, SpecError> {
    unique(&format!("{field}.rules"), "name", rules.iter().map(|rule| rule.name.clone()))?;
    rules.iter().map(|rule| self::rule(field, rule, mode, pool)).collect()
}

fn rule(
    field: &str,
    rule: &api::ListenerRule,
    mode: Mode,
    pool: &impl Fn(&str, &String) -> Result<String, SpecError>,
) -> Result<Rule, SpecError> {
    let api::ListenerRule { name, matches, pool: to_pool, redirect, reject } = rule;
    let field = format!("{field}.rules[{name}]");
    label(&field, name)?;
    if matches.is_empty() || matches.len() > 8 {
        return Err(error(&format!("{field}.matches"), "1 to 8 are needed"));
    }
    let action = match (to_pool, redirect, reject) {
        (Some(name), None, None) => Action::Backend(pool(&format!("{field}.pool"), name)?),
        (None, Some(redirect), None) if mode == Mode::Http => self::redirect(&format!("{field}.redirect"), redirect)?,
        (None, Some(_), None) => return Err(error(&format!("{field}.redirect"), "it is for HTTP and HTTPS only")),
        (None, None, Some(api::Reject { status_code })) => {
            let status = one_of(&format!("{field}.reject.statusCode"), status_code.unwrap_or(403), &REJECTIONS)?;
            Action::Reject(status)
        }
        _ => return Err(error(&field, "exactly one of pool, redirect and reject is needed")),
    };
    let matches = matches.iter().map(|matched| self::matched(&field, matched, mode)).collect::<Result<_, _>>()?;
    Ok(Rule { name: name.clone(), matches, action })
}

fn matched(field: &str, matched: &api::Match, mode: Mode) -> Result<Match, SpecError> {
    let api::Match { kind, key, operator, value, invert } = matched;
    let field = format!("{field}.matches");
    if mode == Mode::Tcp && *kind != MatchKind::Host {
        return Err(error(&field, "with TLS only Host can be matched: the rest is encrypted"));
    }
    if *kind == MatchKind::FileType && *operator != MatchOperator::Equals {
        return Err(error(&field, "a FileType can only be Equals"));
    }
    let key = match (kind, key) {
        (MatchKind::Header | MatchKind::Cookie, Some(key)) => token(&format!("{field}.key"), key)?,
        (MatchKind::Header | MatchKind::Cookie, None) => {
            return Err(error(&format!("{field}.key"), "the name of the header or cookie is needed"));
        }
        (_, Some(_)) => return Err(error(&format!("{field}.key"), "it is for Header and Cookie only")),
        (_, None) => String::new(),
    };
    if value.is_empty() {
        return Err(error(&format!("{field}.value"), "it must not be empty"));
    }
    Ok(Match { kind: *kind, key, operator: *operator, value: word(&format!("{field}.value"), value)?, invert: *invert })
}

fn redirect(field: &str, redirect: &api::Redirect) -> Result<Action, SpecError> {
    let api::Redirect { url, prefix, status_code } = redirect;
    let (kind, name, to) = match (url, prefix) {
        (Some(url), None) => (RedirectKind::Location, "url", url),
        (None, Some(prefix)) => (RedirectKind::Prefix, "prefix", prefix),
        _ => return Err(error(field, "either url or prefix is needed")),
    };
    let field = |name: &str| format!("{field}.{name}");
    if !["https://", "http://", "/"].iter().any(|start| to.starts_with(start)) {
        return Err(error(&field(name), "it must start with https://, http:// or /"));
    }
    Ok(Action::Redirect {
        kind,
        to: word(&field(name), to)?,
        status: one_of(&field("statusCode"), *status_code, &REDIRECTS)?,
    })
}
