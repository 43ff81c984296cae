//! Pods as members, as values that can't be misunderstood.

use std::collections::BTreeSet;

use kube::core::Expression;

use super::{SpecError, error, label, number};
use crate::api::{self, LabelOperator, LabelRequirement};

/// The pods that a selector matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pods {
    /// Unique in its pool.
    pub name: String,
    /// The selector's [`text`].
    pub selector: String,
    /// Which port of them.
    pub port: PodPort,
    /// 0 to 256.
    pub weight: u16,
    /// Whether they get traffic only when no other can.
    pub backup: bool,
}

/// A port of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodPort {
    /// By its number, whether a container tells of it or not.
    Number(u16),
    /// By the name that a container gives it.
    Name(String),
}

pub(super) fn parse(field: &str, pods: &api::PodMembers) -> Result<Pods, SpecError> {
    let api::PodMembers { name, selector, port, weight, backup } = pods;
    let field = format!("{field}.pods[{name}]");
    label(&field, name)?;
    Ok(Pods {
        name: name.clone(),
        selector: text(selector).map_err(|problem| error(&format!("{field}.selector"), &problem))?,
        port: match port {
            api::PodPort::Number(number) => {
                PodPort::Number(self::number(&format!("{field}.port"), *number, 1, u16::MAX)?)
            }
            api::PodPort::Name(name) => PodPort::Name(name.clone()),
        },
        weight: number(&format!("{field}.weight"), *weight, 0, 256)?,
        backup: *backup,
    })
}

/// A selector as the Kubernetes API takes it; the same text for all that say the same in another order.
///
/// # Errors
/// What is wrong with it.
pub(in crate::loadbalancer) fn text(selector: &api::PodSelector) -> Result<String, String> {
    let api::PodSelector { match_labels, match_expressions } = selector;
    let mut requirements = BTreeSet::new();
    for (key, value) in match_labels {
        requirements.insert(Expression::Equal(key_of(key)?, value_of(value)?).to_string());
    }
    for LabelRequirement { key, operator, values } in match_expressions {
        let key = key_of(key)?;
        let values: BTreeSet<String> = values.iter().map(|value| value_of(value)).collect::<Result<_, _>>()?;
        let needs_values = matches!(operator, LabelOperator::In | LabelOperator::NotIn);
        if needs_values == values.is_empty() {
            return Err(format!(
                "the requirement of {key} needs values with In and NotIn, and none with other operators"
            ));
        }
        let requirement = match operator {
            LabelOperator::In => Expression::In(key, values),
            LabelOperator::NotIn => Expression::NotIn(key, values),
            LabelOperator::Exists => Expression::Exists(key),
            LabelOperator::DoesNotExist => Expression::DoesNotExist(key),
        };
        requirements.insert(requirement.to_string());
    }
    if requirements.is_empty() {
        return Err("it needs at least one label: an empty one would take every pod of the namespace".to_owned());
    }
    Ok(requirements.into_iter().collect::<Vec<_>>().join(","))
}

/// The name of a label: a name, with a domain before it or not.
fn key_of(key: &str) -> Result<String, String> {
    let (domain, name) = key.split_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    let good_domain = domain.is_none_or(|domain| {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        !domain.is_empty() && domain.len() <= 253 && domain.bytes().all(known)
    });
    if name.is_empty() || !good_domain || !is_part(name) {
        return Err(format!("{key:?} is not the name of a label, such as app or app.kubernetes.io/name"));
    }
    Ok(key.to_owned())
}

/// The value of a label, which may be empty.
fn value_of(value: &str) -> Result<String, String> {
    if !is_part(value) {
        return Err(format!("{value:?} is not a value of a label: at most 63 of letters, digits, -, _ and ."));
    }
    Ok(value.to_owned())
}

fn is_part(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63 && text.bytes().all(good) && ends(text.bytes().next()) && ends(text.bytes().last())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::text;

    fn of(selector: Value) -> Result<String, String> {
        text(&serde_json::from_value(selector).expect("a selector"))
    }

    #[rstest]
    #[case::labels(json!({ "matchLabels": { "b": "2", "a.example/a": "" } }), "a.example/a=,b=2")]
    #[case::expressions(
        json!({ "matchExpressions": [
            { "key": "tier", "operator": "NotIn", "values": ["b", "a", "b"] },
            { "key": "app", "operator": "Exists" },
            { "key": "old", "operator": "DoesNotExist" },
            { "key": "app", "operator": "In", "values": ["web"] },
        ] }),
        "!old,app,app in (web),tier notin (a,b)"
    )]
    fn a_selector_has_one_text(#[case] selector: Value, #[case] expected: &str) {
        assert_eq!(of(selector), Ok(expected.to_owned()));
    }

    #[rstest]
    #[case::empty(json!({}), "it needs at least one label")]
    #[case::key(json!({ "matchLabels": { "a,b": "1" } }), "\"a,b\" is not the name of a label")]
    #[case::domain(json!({ "matchLabels": { "A b/a": "1" } }), "is not the name of a label")]
    #[case::no_name(json!({ "matchLabels": { "a/": "1" } }), "is not the name of a label")]
    #[case::value(json!({ "matchLabels": { "a": "1)" } }), "\"1)\" is not a value of a label")]
    #[case::no_values(json!({ "matchExpressions": [{ "key": "a", "operator": "In" }] }), "needs values")]
    #[case::values(json!({ "matchExpressions": [{ "key": "a", "operator": "Exists", "values": ["b"] }] }), "needs values")]
    fn a_selector_that_makes_no_sense_is_refused(#[case] selector: Value, #[case] words: &str) {
        let problem = of(selector).expect_err("it is refused");
        assert!(problem.contains(words), "{problem}");
    }
}
