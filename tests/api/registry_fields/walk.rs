//! The way of one case: the first value, the second, the first again, a wrong one, and out of it to the second.

use fairway::api::{Harbor, HarborClass};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, ValidationDirective},
};
use serde_json::{Value, json};

use super::{
    case::{Answer, Case, OF_THE_CASE, On, put},
    planned::{Planned, changed, settled},
};
use crate::fields::schema::{Field, values};

/// A case that is under way.
struct Walk<'a> {
    case: &'a Case,
    name: String,
    harbors: Api<DynamicObject>,
    classes: Api<DynamicObject>,
}

/// Specs of a registry and its class as the API server has them: of the same ones the same is planned. (What was taken
/// away may come back as `null` where it was empty.)
#[derive(PartialEq)]
struct Live {
    harbor: Value,
    class: Option<Value>,
}

/// Runs a case; what went wrong.
pub(super) async fn run(
    case: &Case,
    number: usize,
    client: Client,
    namespace: &str,
    fields: &[Field],
) -> Result<(), String> {
    let harbors = Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<Harbor>(&()));
    let classes = Api::all_with(client, &ApiResource::erase::<HarborClass>(&()));
    let walk = Walk { case, name: format!("{namespace}-{number}"), harbors, classes };
    let told = |error: String| format!("{} {} ({}): {error}", case.on.kind(), case.fields.join(", "), case.at);
    walk.whole(fields).await.map_err(told)
}

impl Walk<'_> {
    async fn whole(&self, fields: &[Field]) -> Result<(), String> {
        let Case { first, second, effect, wrong, answer, .. } = self.case;
        let other = &self.begin().await?;
        let one = self.write(other, first).await.map_err(|error| format!("the first value is refused: {error}"))?;
        let before = one.plan();
        well(&before)?;
        let two = self.write(other, second).await.map_err(|error| format!("the second value is refused: {error}"))?;
        self.changes(fields, &one, &two)?;
        let after = two.plan();
        well(&after)?;
        match (effect(&before), effect(&after)) {
            (false, true) => {}
            (true, _) => return Err("its effect is there before".to_owned()),
            (_, false) => return Err(format!("it has no effect:\n{}", difference(&before, &after))),
        }
        let back = self.write(other, first).await.map_err(|error| format!("the first value is refused: {error}"))?;
        if back != one && back.plan() != before {
            return Err(format!("the first value again is something else:\n{}", difference(&before, &back.plan())));
        }
        match (answer, self.write(other, wrong).await) {
            (Answer::Refused(words), Err(message)) if message.contains(words) => {}
            (Answer::Refused(words), Err(message)) => return Err(format!("{message:?} does not say {words:?}")),
            (Answer::Refused(_), Ok(_)) => return Err(format!("{wrong} is not refused")),
            (Answer::Told(..), Err(message)) => return Err(format!("{wrong} is refused: {message}")),
            (Answer::Told(kind, verdict), Ok(live)) => self.told(&back, &live, &before, kind, verdict)?,
        }
        let out =
            self.write(other, second).await.map_err(|error| format!("the second value is refused now: {error}"))?;
        if out != two && out.plan() != after {
            return Err(format!("out of the error it is something else:\n{}", difference(&after, &out.plan())));
        }
        Ok(())
    }

    /// The condition tells, and what runs is left as it is.
    fn told(&self, back: &Live, live: &Live, before: &Planned, kind: &str, verdict: &str) -> Result<(), String> {
        let planned = changed((&back.harbor, back.class.as_ref()), &live.harbor, live.class.as_ref());
        let told = planned.conditions.get(kind);
        if told.is_none_or(|told| told != verdict) {
            return Err(format!("{} is told as {kind} {told:?}", self.case.wrong));
        }
        if planned.conditions["Ready"] != "True/Ready" {
            return Err(format!("what runs is not ready any more: {}", planned.conditions["Ready"]));
        }
        // Nothing is planned, or the same.
        if !planned.objects.is_empty() && planned.objects != before.objects {
            return Err(format!("{} has an effect:\n{}", self.case.wrong, difference(before, &planned)));
        }
        Ok(())
    }

    /// Makes what is not changed.
    async fn begin(&self) -> Result<Value, String> {
        match self.case.on {
            On::Harbor => self.apply(&self.classes, "HarborClass", &self.case.class).await,
            On::Class => self.apply(&self.harbors, "Harbor", &self.named(&self.case.harbor)).await,
        }
    }

    /// A registry of the case's class.
    fn named(&self, harbor: &Value) -> Value {
        let mut harbor = harbor.clone();
        harbor["className"] = json!(self.name);
        harbor
    }

    /// Applies what is changed with this value; `other` is what is not.
    async fn write(&self, other: &Value, value: &Value) -> Result<Live, String> {
        let Case { on, harbor, class, at, .. } = self.case;
        if *on == On::Class {
            let mut class = class.clone();
            put(&mut class, at, value.clone());
            let class = self.apply(&self.classes, "HarborClass", &class).await?;
            return Ok(Live { harbor: other.clone(), class: Some(class) });
        }
        let mut harbor = self.named(harbor);
        put(&mut harbor, at, value.clone());
        if harbor["className"] == OF_THE_CASE {
            harbor["className"] = json!(self.name);
        }
        let named = harbor["className"] == json!(self.name);
        let harbor = self.apply(&self.harbors, "Harbor", &harbor).await?;
        Ok(Live { harbor, class: named.then(|| other.clone()) })
    }

    /// The spec as the API server has it, with its defaults.
    async fn apply(&self, api: &Api<DynamicObject>, kind: &str, spec: &Value) -> Result<Value, String> {
        let object = json!({
            "apiVersion": "fairway.dev/v1alpha1", "kind": kind, "metadata": { "name": self.name }, "spec": spec,
        });
        let strict = PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply("test") };
        let live = api.patch(&self.name, &strict, &Patch::Apply(&object)).await.map_err(|error| error.to_string())?;
        Ok(live.data["spec"].clone())
    }

    /// Whether the two states differ in every field that the case names.
    fn changes(&self, fields: &[Field], one: &Live, two: &Live) -> Result<(), String> {
        let spec = |live: &Live| match self.case.on {
            On::Harbor => json!({ "spec": live.harbor }),
            On::Class => json!({ "spec": live.class }),
        };
        let (one, two) = (spec(one), spec(two));
        for (path, full) in self.case.fields.iter().zip(self.case.covers()) {
            let (from, to) = (values(&one, path), values(&two, path));
            let holds_fields = fields.iter().any(|field| field.path == full && field.holds_fields);
            let count =
                |found: &[Value]| -> usize { found.iter().map(|value| value.as_array().map_or(1, Vec::len)).sum() };
            let differ = if holds_fields { count(&from) != count(&to) } else { from != to };
            if !differ {
                return Err(format!("{path} is not changed: {from:?}"));
            }
        }
        Ok(())
    }
}

impl Live {
    fn plan(&self) -> Planned {
        let class = self.class.as_ref();
        if self.harbor["paused"] == true {
            // One that is paused from the beginning is never made.
            let mut running = self.harbor.clone();
            put(&mut running, "/paused", Value::Null);
            return changed((&running, class), &self.harbor, class);
        }
        settled(&self.harbor, class)
    }
}

/// Whether clients can push and pull.
fn well(planned: &Planned) -> Result<(), String> {
    let bad: Vec<_> = planned.conditions.iter().filter(|(_, verdict)| !verdict.starts_with("True/")).collect();
    // Harbor's own settings are not changed here by anybody.
    let bad: Vec<_> = bad.into_iter().filter(|(kind, _)| *kind != "Configured").collect();
    if bad.is_empty() { Ok(()) } else { Err(format!("not all is well: {bad:?}")) }
}

fn difference(one: &Planned, other: &Planned) -> String {
    let mut found = vec![];
    for (name, text) in &one.objects {
        match other.objects.get(name) {
            Some(same) if same == text => {}
            now => found.push(format!("- {name}: {text}\n+ {now:?}")),
        }
    }
    found.extend(other.objects.keys().filter(|name| !one.objects.contains_key(*name)).map(|name| format!("+ {name}")));
    if one.effects != other.effects {
        found.push(format!("- {:?}\n+ {:?}", one.effects, other.effects));
    }
    if one.conditions != other.conditions {
        found.push(format!("- {:?}\n+ {:?}", one.conditions, other.conditions));
    }
    found.join("\n")
}
