//! What the user wrote, as values that the rest of the plan can't misunderstand. What the API server's
//! schema should have refused is refused here as well: stored objects may be older than the schema.

mod listener;
pub(in crate::loadbalancer) mod pods;
mod pool;
mod rule;

use std::collections::BTreeSet;

pub use self::{
    listener::Listener,
    pods::{PodPort, Pods},
    pool::Pool,
};
use crate::{
    api::LoadBalancerSpec,
    loadbalancer::{
        config::{Mode, Persistence, Word},
        names,
    },
};

/// What is wrong with a spec, in words for its user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SpecError {
    /// Such as `spec.pools[web].monitor.path`.
    pub field: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// A spec that makes sense in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Ports that are listened on.
    pub listeners: Vec<Listener>,
    /// Groups of servers.
    pub pools: Vec<Pool>,
}

/// Parses a whole spec.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(spec: &LoadBalancerSpec) -> Result<Spec, SpecError> {
    let pools: Vec<Pool> = spec.pools.iter().map(pool::parse).collect::<Result<_, _>>()?;
    unique("spec.pools", "name", pools.iter().map(|pool| pool.name.clone()))?;
    let names: BTreeSet<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    let mut listeners = vec![];
    for listener in &spec.listeners {
        let mut parsed = listener::parse(listener, &names)?;
        parsed.enabled &= spec.enabled;
        listeners.push(parsed);
    }
    unique("spec.listeners", "name", listeners.iter().map(|listener| listener.frontend.name.clone()))?;
    unique("spec.listeners", "port", listeners.iter().map(|listener| listener.frontend.port.to_string()))?;
    for pool in &pools {
        cookies_are_of_http(pool, &listeners)?;
    }
    Ok(Spec { listeners, pools })
}

fn cookies_are_of_http(pool: &Pool, listeners: &[Listener]) -> Result<(), SpecError> {
    if matches!(pool.settings.persistence, None | Some(Persistence::Source { .. })) {
        return Ok(());
    }
    let backend = names::backend(&pool.name, Mode::Tcp);
    let uses = |listener: &&Listener| listener.frontend.backends().any(|used| used == backend);
    match listeners.iter().find(uses) {
        None => Ok(()),
        Some(listener) => Err(error(
            &format!("spec.pools[{}].persistence", pool.name),
            &format!(
                "listener {} passes bytes on and knows no cookies: choose persistence of type SourceAddress, or another pool",
                listener.frontend.name
            ),
        )),
    }
}

fn error(field: &str, problem: &str) -> SpecError {
    SpecError { field: field.to_owned(), problem: problem.to_owned() }
}

fn label(field: &str, name: &str) -> Result<(), SpecError> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 40 || !name.bytes().all(good) {
        return Err(error(
            &format!("{field}.name"),
            "it must hold only a-z, 0-9 and -, and be 1 to 40 characters long",
        ));
    }
    Ok(())
}

/// The name of an object in the cluster, which is a part of a file's name as well.
fn object_name(field: &str, name: &str) -> Result<String, SpecError> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    if name.is_empty() || name.len() > 253 || name.starts_with('.') || !name.bytes().all(good) {
        return Err(error(field, "it must be an object's name: a-z, 0-9, - and ."));
    }
    Ok(name.to_owned())
}

/// A text that HAProxy takes only whole, such as a header's name.
fn token(field: &str, text: &str) -> Result<String, SpecError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || !text.bytes().all(good) {
        return Err(error(field, "it must hold only letters, digits, -, _ and ."));
    }
    Ok(text.to_owned())
}

fn word(field: &str, text: &str) -> Result<Word, SpecError> {
    Word::parse(text).map_err(|problem| error(field, &problem.to_string()))
}

fn number<N: TryFrom<i32> + PartialOrd + std::fmt::Display + Copy>(
    field: &str,
    value: i32,
    least: N,
    most: N,
) -> Result<N, SpecError> {
    match N::try_from(value) {
        Ok(value) if value >= least && value <= most => Ok(value),
        _ => Err(error(field, &format!("{value} is not between {least} and {most}"))),
    }
}

/// One of a few numbers, such as status codes.
fn one_of(field: &str, value: i32, known: &[u16]) -> Result<u16, SpecError> {
    let found = known.iter().find(|known| i32::from(**known) == value);
    found.copied().ok_or_else(|| error(field, &format!("{value} is not one of {known:?}")))
}

fn unique(field: &str, key: &str, values: impl Iterator<Item = String>) -> Result<(), SpecError> {
    let mut seen = BTreeSet::new();
    for value in values {
        if !seen.insert(value.clone()) {
            return Err(error(field, &format!("two entries have the {key} {value}: give each its own")));
        }
    }
    Ok(())
}
