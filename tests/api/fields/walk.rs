//! The way of one case: the first value, the second, the first again, a wrong one, and out of it to the second.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use fairway::api::{LoadBalancer, LoadBalancerClass};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    case::{Answer, Case, On, put},
    effect::Snapshot,
    schema::{Field, values},
    surroundings::Surroundings,
};

/// How long an effect may take on a machine that is busy.
const LIMIT: Duration = Duration::from_mins(1);
/// How often is looked.
const PACE: Duration = Duration::from_millis(100);

/// A case that is under way.
struct Walk<'a> {
    case: &'a Case,
    name: String,
    surroundings: &'a Surroundings,
    load_balancers: Api<DynamicObject>,
    /// Where what is changed is.
    changed: Api<DynamicObject>,
}

/// Runs a case; what went wrong.
pub(super) async fn run(
    case: &Case,
    number: usize,
    surroundings: &Surroundings,
    fields: &[Field],
) -> Result<(), String> {
    let client = surroundings.client.clone();
    let load_balancers =
        Api::namespaced_with(client.clone(), &surroundings.namespace, &ApiResource::erase::<LoadBalancer>(&()));
    let changed = match case.on {
        On::LoadBalancer => load_balancers.clone(),
        On::Class => Api::all_with(client, &ApiResource::erase::<LoadBalancerClass>(&())),
    };
    let walk = Walk { case, name: format!("field-{number}"), surroundings, load_balancers, changed };
    let told = |error: String| format!("{} {}: {error}", case.on.kind(), case.fields.join(", "));
    walk.whole(fields).await.map_err(told)
}

impl Walk<'_> {
    async fn whole(&self, fields: &[Field]) -> Result<(), String> {
        let Case { first, second, effect, wrong, answer, .. } = self.case;
        let one = self.create().await;
        let before = self.until("no effect", |snapshot| !effect(snapshot)).await?;
        let two = self.write(second).await.map_err(|error| format!("the second value is refused: {error}"))?;
        self.changes(fields, &one, &two)?;
        let after = self.until("its effect", effect).await?;
        self.write(first).await.map_err(|error| format!("the first value is refused: {error}"))?;
        self.back("the first value", &before).await?;
        match (answer, self.write(wrong).await) {
            (Answer::Refused(words), Err(message)) if message.contains(words) => {}
            (Answer::Refused(words), Err(message)) => return Err(format!("{message:?} does not say {words:?}")),
            (Answer::Refused(_), Ok(_)) => return Err(format!("{wrong} is not refused")),
            (Answer::Told(..), Err(message)) => return Err(format!("{wrong} is refused: {message}")),
            (Answer::Told(kind, verdict), Ok(_)) => self.told(kind, verdict).await?,
        }
        let kept = self.snapshot(&self.load_balancer().await).await;
        if kept != before {
            return Err(format!("{wrong} is wrong and has an effect:\n{}", before.difference(&kept)));
        }
        self.write(second).await.map_err(|error| format!("the second value is refused now: {error}"))?;
        self.back("the second value, out of the error,", &after).await?;
        self.load_balancers.delete(&self.name, &DeleteParams::default()).await.map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Makes what is changed, with the first value.
    async fn create(&self) -> Value {
        let Case { on, spec, at, first, .. } = self.case;
        let (mut spec, mut class) = (spec.clone(), json!({}));
        match on {
            On::LoadBalancer => put(&mut spec, at, first.clone()),
            On::Class => {
                spec["className"] = json!(self.name);
                put(&mut class, at, first.clone());
                self.make(&self.changed, On::Class, &class).await;
            }
        }
        let made = self.make(&self.load_balancers, On::LoadBalancer, &spec).await;
        if *on == On::Class { json!({ "spec": class }) } else { made }
    }

    async fn make(&self, api: &Api<DynamicObject>, kind: On, spec: &Value) -> Value {
        let object = json!({
            "apiVersion": "fairway.dev/v1alpha1", "kind": kind.kind(), "metadata": { "name": self.name }, "spec": spec,
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let made = api.create(&PostParams::default(), &object).await;
        let made = made.unwrap_or_else(|error| panic!("{}: {error}", self.case.fields.join(", ")));
        serde_json::to_value(made).unwrap()
    }

    /// Writes a value where the case says, and that alone, as `kubectl patch --type=json` does.
    async fn write(&self, value: &Value) -> Result<Value, String> {
        let live = serde_json::to_value(self.changed.get(&self.name).await.unwrap()).unwrap();
        let at = format!("/spec{}", self.case.at);
        let operation = match (live.pointer(&at), value) {
            (None, Value::Null) => return Ok(live),
            (Some(_), Value::Null) => json!({ "op": "remove", "path": at }),
            (Some(_), _) => json!({ "op": "replace", "path": at, "value": value }),
            (None, _) => json!({ "op": "add", "path": at, "value": value }),
        };
        let patch: Patch<()> = Patch::Json(serde_json::from_value(json!([operation])).unwrap());
        let written = self.changed.patch(&self.name, &PatchParams::default(), &patch).await;
        written.map(|written| serde_json::to_value(written).unwrap()).map_err(|error| error.to_string())
    }

    /// Whether the two states differ in every field that the case names.
    fn changes(&self, fields: &[Field], one: &Value, two: &Value) -> Result<(), String> {
        for (path, full) in self.case.fields.iter().zip(self.case.covers()) {
            let (from, to) = (values(one, path), values(two, path));
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

    async fn load_balancer(&self) -> Value {
        serde_json::to_value(self.load_balancers.get(&self.name).await.unwrap()).unwrap()
    }

    async fn snapshot(&self, load_balancer: &Value) -> Snapshot {
        let Surroundings { client, namespace } = self.surroundings;
        Snapshot::take(client, namespace, &self.name, &load_balancer["status"]).await
    }

    /// Waits until all is well and the snapshot is as `look` wants it.
    async fn until(&self, what: &str, look: impl Fn(&Snapshot) -> bool) -> Result<Snapshot, String> {
        self.wait(what, async || {
            let load_balancer = self.load_balancer().await;
            for kind in ["Accepted", "ResolvedRefs", "Reconciled"] {
                verdict(&load_balancer, kind, |verdict| verdict.starts_with("True/"))?;
            }
            let snapshot = self.snapshot(&load_balancer).await;
            if snapshot.objects["Deployment"].is_null() {
                return Err("there is no Deployment".to_owned());
            }
            if look(&snapshot) { Ok(snapshot) } else { Err(format!("{:#?}", snapshot.files)) }
        })
        .await
    }

    /// Waits until all is well and as it was.
    async fn back(&self, what: &str, expected: &Snapshot) -> Result<(), String> {
        let what = format!("the same effect as before of {what}");
        self.wait(&what, async || {
            let load_balancer = self.load_balancer().await;
            for kind in ["Accepted", "ResolvedRefs", "Reconciled"] {
                verdict(&load_balancer, kind, |verdict| verdict.starts_with("True/"))?;
            }
            let snapshot = self.snapshot(&load_balancer).await;
            if snapshot == *expected { Ok(()) } else { Err(expected.difference(&snapshot)) }
        })
        .await
    }

    /// Waits until a condition has a verdict.
    async fn told(&self, kind: &str, expected: &str) -> Result<(), String> {
        let what = format!("{kind} to be {expected}");
        self.wait(&what, async || verdict(&self.load_balancer().await, kind, |verdict| verdict == expected)).await
    }

    async fn wait<T, F: Future<Output = Result<T, String>>>(
        &self,
        what: &str,
        look: impl Fn() -> F,
    ) -> Result<T, String> {
        let begun = Instant::now();
        loop {
            match look().await {
                Ok(found) => return Ok(found),
                Err(seen) if begun.elapsed() > LIMIT => return Err(format!("waited in vain for {what}: {seen}")),
                Err(_) => tokio::time::sleep(PACE).await,
            }
        }
    }
}

/// Looks at a condition of the present generation, as `status/reason`.
fn verdict(load_balancer: &Value, kind: &str, good: impl Fn(&str) -> bool) -> Result<(), String> {
    let conditions = load_balancer["status"]["conditions"].as_array().into_iter().flatten();
    let found =
        conditions.into_iter().find(|condition| condition["type"] == kind).ok_or(format!("{kind} is not told"))?;
    let word = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    let said = format!("{}/{}", word("status"), word("reason"));
    if found["observedGeneration"] != load_balancer["metadata"]["generation"] {
        return Err(format!("{kind} is of an older generation"));
    }
    if good(&said) { Ok(()) } else { Err(format!("{kind} is {said}: {}", word("message"))) }
}
