//! What the status says after a turn, and the smallest patch that makes it say so. Nothing here does I/O.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    conditions::{self, RECONCILED, condition},
    error::Error,
    family::Status,
};

/// The status after a turn: what was planned (or, if no plan came about, what was known), with times
/// that were kept where nothing changed, and with what the engine itself says.
pub(crate) fn compose<S: Status>(
    planned: Option<S>,
    known: Option<&S>,
    result: Result<(), &Error>,
    generation: Option<i64>,
    now: Timestamp,
) -> S {
    let mut known = known.cloned().unwrap_or_default();
    let mut status = planned.unwrap_or_else(|| known.clone());
    conditions::settle(status.conditions(), known.conditions());
    let reconciled = match result {
        Ok(()) => condition(RECONCILED, true, "Reconciled", "", generation, now),
        Err(error) => condition(RECONCILED, false, error.reason(), &error.to_string(), generation, now),
    };
    let mut settled = [reconciled];
    conditions::settle(&mut settled, known.conditions());
    let [reconciled] = settled;
    status.conditions().retain(|condition| condition.type_ != RECONCILED);
    status.conditions().push(reconciled);
    *status.observed_generation() = if result.is_ok() { generation } else { *known.observed_generation() };
    status
}

/// The merge patch that makes `to` of `from`, null for what vanishes; none if they are equal.
pub(crate) fn difference(from: &Value, to: &Value) -> Option<Value> {
    let (Value::Object(from_fields), Value::Object(to_fields)) = (from, to) else {
        return (from != to).then(|| to.clone());
    };
    let mut patch = Map::new();
    for (name, value) in to_fields {
        let change = match from_fields.get(name) {
            Some(known) => difference(known, value),
            // A patch cannot tell null from absent.
            None => (!value.is_null()).then(|| value.clone()),
        };
        if let Some(change) = change {
            patch.insert(name.clone(), change);
        }
    }
    for (name, known) in from_fields {
        if !known.is_null() && !to_fields.contains_key(name) {
            patch.insert(name.clone(), Value::Null);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Map, Value, json};

    use super::difference;

    #[rstest]
    #[case(json!({"a": 1}), json!({"a": 1}), None)]
    #[case(json!({"a": 1, "b": {"c": 1, "d": 2}}), json!({"a": 1, "b": {"c": 1}}), Some(json!({"b": {"d": null}})))]
    #[case(json!({"list": [1, 2]}), json!({"list": [1]}), Some(json!({"list": [1]})))]
    #[case(json!({}), json!({"a": null}), None)]
    #[case(json!({"a": 1}), json!({"a": null}), Some(json!({"a": null})))]
    #[case(Value::Null, json!({"a": 1}), Some(json!({"a": 1})))]
    fn only_what_differs_is_sent(#[case] from: Value, #[case] to: Value, #[case] patch: Option<Value>) {
        assert_eq!(difference(&from, &to), patch);
    }

    /// RFC 7386.
    fn merge(target: Value, patch: Value) -> Value {
        let Value::Object(patch) = patch else { return patch };
        let mut target = if let Value::Object(target) = target { target } else { Map::new() };
        for (name, value) in patch {
            if value.is_null() {
                target.remove(&name);
            } else {
                let below = target.remove(&name).unwrap_or_default();
                target.insert(name, merge(below, value));
            }
        }
        Value::Object(target)
    }

    fn any_object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..3_i64).prop_map(Value::from)];
        let value = leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[ab]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[abc]", value, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn the_patch_makes_one_of_the_other(from in any_object(), to in any_object()) {
            let made = match difference(&from, &to) {
                Some(patch) => merge(from, patch),
                None => from,
            };
            prop_assert_eq!(made, to);
        }
    }
}
