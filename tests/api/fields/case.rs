//! A row of the tables: a change, its effect, and what is wrong.

use serde_json::{Value, json};

use super::effect::Effect;

/// What is changed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum On {
    LoadBalancer,
    /// A class that the load balancer names.
    Class,
}

impl On {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::Class => "LoadBalancerClass",
        }
    }
}

/// What becomes of a wrong value.
pub(super) enum Answer {
    /// The API server refuses it with these words.
    Refused(&'static str),
    /// It is taken, and a condition has this verdict, such as `False/Invalid`.
    Told(&'static str, &'static str),
}

/// A change there and back, and a wrong one.
pub(super) struct Case {
    pub(super) on: On,
    /// Paths such as `spec.pools[].name`; those that the change really changes.
    pub(super) fields: &'static [&'static str],
    /// The spec of the load balancer.
    pub(super) spec: Value,
    /// Where in the spec of what is changed, as a JSON pointer.
    pub(super) at: &'static str,
    /// Null where there is nothing.
    pub(super) first: Value,
    /// Null where there is nothing.
    pub(super) second: Value,
    /// Holds with the second value and not with the first.
    pub(super) effect: Effect,
    pub(super) wrong: Value,
    pub(super) answer: Answer,
}

/// A case that does not say yet what is wrong.
pub(super) struct Change(Case);

/// A change of a load balancer at `at`, from `first` to `second`, and its effect.
pub(super) fn change(
    fields: &'static [&'static str],
    spec: Value,
    at: &'static str,
    [first, second]: [Value; 2],
    effect: Effect,
) -> Change {
    let (wrong, answer) = (Value::Null, Answer::Refused(""));
    Change(Case { on: On::LoadBalancer, fields, spec, at, first, second, effect, wrong, answer })
}

impl Change {
    /// The change is one of the class that the load balancer names.
    pub(super) fn of_class(mut self) -> Self {
        self.0.on = On::Class;
        self
    }

    /// A value that the API server refuses with these words.
    pub(super) fn refused(self, wrong: Value, words: &'static str) -> Case {
        Case { wrong, answer: Answer::Refused(words), ..self.0 }
    }

    /// A value that is taken, and told in a condition.
    pub(super) fn told(self, wrong: Value, condition: &'static str, verdict: &'static str) -> Case {
        Case { wrong, answer: Answer::Told(condition, verdict), ..self.0 }
    }
}

impl Case {
    /// The fields, with the kind of their resource.
    pub(super) fn covers(&self) -> impl Iterator<Item = String> {
        self.fields.iter().map(|field| format!("{}.{field}", self.on.kind()))
    }
}

/// A listener of this protocol with a pool of one member.
pub(super) fn listening(protocol: &str) -> Value {
    let mut spec = json!({
        "listeners": [{ "name": "web", "protocol": protocol, "port": 80, "pool": "app" }],
        "pools": [{ "name": "app", "members": [{ "address": "192.0.2.10", "port": 8080 }] }],
    });
    if protocol == "HTTPS" {
        spec["listeners"][0]["certificates"] = json!([{ "secretName": "shop" }]);
    }
    spec
}

/// With another value at a JSON pointer.
pub(super) fn with(mut spec: Value, at: &str, value: Value) -> Value {
    put(&mut spec, at, value);
    spec
}

/// Puts a value at a JSON pointer, or takes away what is there if it is null.
pub(super) fn put(spec: &mut Value, at: &str, value: Value) {
    let (parent, key) = at.rsplit_once('/').unwrap();
    match spec.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {parent}")) {
        Value::Object(object) if value.is_null() => drop(object.remove(key)),
        Value::Object(object) => drop(object.insert(key.to_owned(), value)),
        Value::Array(list) => match (key.parse::<usize>().unwrap(), value) {
            (place, Value::Null) if place < list.len() => drop(list.remove(place)),
            (_, Value::Null) => {}
            (place, value) if place < list.len() => list[place] = value,
            (_, value) => list.push(value),
        },
        _ => panic!("nothing can be put at {at}"),
    }
}
