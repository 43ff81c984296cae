//! A row of the tables: a change, its effect on what is planned, and what is wrong.

use serde_json::{Value, json};

use super::planned::Planned;

/// Stands for the name of the case's class.
pub(super) const OF_THE_CASE: &str = "@";

/// What is changed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum On {
    Harbor,
    /// The class that the registry names.
    Class,
}

impl On {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Harbor => "Harbor",
            Self::Class => "HarborClass",
        }
    }
}

/// Holds with the second value and not with the first.
pub(super) type Effect = Box<dyn Fn(&Planned) -> bool + Send + Sync>;

/// What becomes of a wrong value.
#[derive(Clone)]
pub(super) enum Answer {
    /// The API server refuses it with these words.
    Refused(&'static str),
    /// It is taken, a condition has this verdict, such as `False/Invalid`, and nothing that runs is changed.
    Told(&'static str, &'static str),
}

/// A change there and back, and a wrong one.
pub(super) struct Case {
    pub(super) on: On,
    /// Paths such as `spec.database.type`; those that the change really changes.
    pub(super) fields: Vec<String>,
    /// The spec of the registry, and that of its class.
    pub(super) harbor: Value,
    pub(super) class: Value,
    /// Where in the spec of what is changed, as a JSON pointer.
    pub(super) at: String,
    /// Null where there is nothing.
    pub(super) first: Value,
    /// Null where there is nothing.
    pub(super) second: Value,
    pub(super) effect: Effect,
    pub(super) wrong: Value,
    pub(super) answer: Answer,
}

/// What may be said by a registry for itself, or by a class for many.
pub(super) struct Row(Case, Value);

/// A change at `at`, from `first` to `second`, in a spec that is `base` otherwise, and its effect.
pub(super) fn row(base: Value, at: &str, [first, second]: [Value; 2], effect: Effect) -> Row {
    let case = Case {
        on: On::Harbor,
        fields: vec![path(at)],
        harbor: json!({ "externalURL": "http://registry.example.com" }),
        class: class(),
        at: at.to_owned(),
        first,
        second,
        effect,
        wrong: Value::Null,
        answer: Answer::Refused(""),
    };
    Row(case, base)
}

/// What the class has in every case: something to be known by, and servers to share.
fn class() -> Value {
    json!({
        "nodeSelector": { "example.com/of": "the-class" },
        "databaseServers": [
            { "name": "main", "host": "db.example.com", "administratorSecretName": "root" },
            { "name": "other", "host": "other-db.example.com", "administratorSecretName": "root" },
        ],
        "cacheServers": [
            { "name": "main", "host": "redis.example.com", "administratorSecretName": "root" },
            { "name": "other", "host": "other-redis.example.com", "administratorSecretName": "root" },
        ],
    })
}

impl Row {
    /// These fields are changed, and not that at `at` alone.
    pub(super) fn changes(mut self, fields: &[&str]) -> Self {
        self.0.fields = fields.iter().map(|field| format!("spec.{field}")).collect();
        self
    }

    /// The URL that clients use begins with `https`.
    pub(super) fn secure(mut self) -> Self {
        self.0.harbor["externalURL"] = json!("https://registry.example.com");
        self
    }

    /// A value that the API server refuses with these words.
    pub(super) fn refused(mut self, wrong: Value, words: &'static str) -> Self {
        (self.0.wrong, self.0.answer) = (wrong, Answer::Refused(words));
        self
    }

    /// A value that is taken, and told in a condition.
    pub(super) fn told(mut self, wrong: Value, condition: &'static str, verdict: &'static str) -> Self {
        (self.0.wrong, self.0.answer) = (wrong, Answer::Told(condition, verdict));
        self
    }

    /// Who says it.
    pub(super) fn on(self, on: On) -> Case {
        let Self(mut case, base) = self;
        case.on = on;
        let holder = if on == On::Harbor { &mut case.harbor } else { &mut case.class };
        for (key, value) in base.as_object().into_iter().flatten() {
            holder[key] = value.clone();
        }
        case
    }

    /// A class that the registry names says it, and the registry says this besides.
    pub(super) fn of_class_with(self, harbor: &Value) -> Case {
        let mut case = self.on(On::Class);
        for (key, value) in harbor.as_object().into_iter().flatten() {
            case.harbor[key] = value.clone();
        }
        case
    }
}

impl Case {
    /// The fields, with the kind of their resource.
    pub(super) fn covers(&self) -> impl Iterator<Item = String> {
        self.fields.iter().map(|field| format!("{}.{field}", self.on.kind()))
    }
}

/// The path of a JSON pointer in the spec: places in lists are all the same.
fn path(at: &str) -> String {
    at.split('/').skip(1).fold("spec".to_owned(), |path, step| match step.parse::<usize>() {
        Ok(_) => path + "[]",
        Err(_) => format!("{path}.{step}"),
    })
}

/// Puts a value at a JSON pointer, with all that is needed around it, or takes away what is there if it is null.
pub(super) fn put(spec: &mut Value, at: &str, value: Value) {
    let (parent, key) = at.rsplit_once('/').unwrap();
    let mut holder = spec;
    for step in parent.split('/').skip(1) {
        holder = match step.parse::<usize>() {
            Ok(place) => &mut holder[place],
            Err(_) => &mut holder[step],
        };
    }
    match value {
        Value::Null => drop(holder.as_object_mut().map(|holder| holder.remove(key))),
        value => holder[key] = value,
    }
}

/// The text stands somewhere in what is planned.
pub(super) fn text(text: &str) -> Effect {
    let text = text.to_owned();
    Box::new(move |planned| planned.objects.values().any(|object| object.contains(&text)))
}

/// The text stands in this object, such as `Deployment main-core`.
pub(super) fn of(object: &str, text: &str) -> Effect {
    let (object, text) = (object.to_owned(), text.to_owned());
    Box::new(move |planned| planned.objects.get(&object).is_some_and(|found| found.contains(&text)))
}

/// There is such an object.
pub(super) fn there(object: &str) -> Effect {
    let object = object.to_owned();
    Box::new(move |planned| planned.objects.contains_key(&object))
}

/// The text stands in what is done besides objects.
pub(super) fn done(text: &str) -> Effect {
    let text = text.to_owned();
    Box::new(move |planned| planned.effects.iter().any(|effect| effect.contains(&text)))
}
