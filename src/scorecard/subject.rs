//! What a test tries: a custom resource that it has made, written to and waited for. Touches the test's namespace.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{Api, CustomResourceExt, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    result::{Seen, Trouble, seen},
    testbed::Testbed,
};
use crate::api::{Harbor, HarborStatus, LoadBalancer, LoadBalancerStatus};

/// How long nobody may say anything about a new resource.
const SILENCE: Duration = Duration::from_secs(30);

/// A status that tells conditions.
pub(super) trait Conditions {
    /// As they are told.
    fn conditions(&self) -> &[Condition];
}

impl Conditions for LoadBalancerStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

impl Conditions for HarborStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

/// A kind of custom resource that has a status.
pub(super) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + CustomResourceExt + Clone + Debug + DeserializeOwned
{
    /// What it tells.
    type Status: Conditions + Clone + Default;
    /// What a person calls it.
    const WORDS: &'static str;
    /// What it tells, if anything yet.
    fn status(&self) -> Option<&Self::Status>;
}

impl Kind for LoadBalancer {
    type Status = LoadBalancerStatus;
    const WORDS: &'static str = "load balancer";

    fn status(&self) -> Option<&LoadBalancerStatus> {
        self.status.as_ref()
    }
}

impl Kind for Harbor {
    type Status = HarborStatus;
    const WORDS: &'static str = "registry";

    fn status(&self) -> Option<&HarborStatus> {
        self.status.as_ref()
    }
}

/// A resource of a test.
pub(super) struct Subject<'a, K> {
    pub(super) testbed: &'a Testbed,
    pub(super) api: Api<K>,
    pub(super) name: String,
}

impl<'a, K: Kind> Subject<'a, K> {
    /// Makes one of an example, and waits until somebody looks after it.
    pub(super) async fn make(testbed: &'a Testbed, example: &Value) -> Result<Self, Trouble> {
        let api = Api::namespaced(testbed.client.clone(), &testbed.namespace);
        let name = example["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let subject = Self { testbed, api, name };
        subject.write(&example["spec"]).await?;
        let begun = Instant::now();
        let status = async || {
            let told = subject.api.get(&subject.name).await?.status().is_some();
            if begun.elapsed() > SILENCE && !told {
                return Err(Seen::Never(Trouble::NotWatched(K::WORDS, testbed.namespace.clone(), SILENCE)));
            }
            Ok(seen(told, || "it has no status".to_owned())?)
        };
        testbed.until("the operator to take it up", 2 * SILENCE, status).await?;
        testbed.note(&format!("the operator looks after {} {}", K::WORDS, subject.name));
        Ok(subject)
    }

    /// Writes the whole spec.
    pub(super) async fn write(&self, spec: &Value) -> Result<(), Trouble> {
        let object = json!({ "metadata": { "name": self.name }, "spec": spec });
        self.testbed.apply(K::api_resource(), object).await
    }

    /// Waits until it is as `look` wants it.
    pub(super) async fn becomes<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&K, &K::Status) -> Result<T, String>,
    ) -> Result<T, Trouble> {
        let what = format!("{} {} {what}", K::WORDS, self.name);
        let found = self.testbed.until(&what, limit, async || {
            let resource = self.api.get(&self.name).await?;
            let status = resource.status().cloned().unwrap_or_default();
            Ok(look(&resource, &status)?)
        });
        let found = found.await?;
        self.testbed.note(&what);
        Ok(found)
    }

    /// Waits until a condition is bad for a reason, and says why; `otherwise` must hold meanwhile.
    pub(super) async fn tells(
        &self,
        kind: &str,
        reason: &str,
        limit: Duration,
        otherwise: impl Fn(&K, &K::Status) -> Result<(), String>,
    ) -> Result<String, Trouble> {
        self.becomes(&format!("to tell {kind} {reason}"), limit, |resource, status| {
            let told = condition(status, kind)?;
            let current = told.observed_generation == resource.meta().generation;
            seen(current && (told.status.as_str(), told.reason.as_str()) == ("False", reason), || format!("{told:?}"))?;
            otherwise(resource, status)?;
            Ok(told.message.clone())
        })
        .await
    }
}

/// A condition, if it is told.
pub(super) fn condition<'a>(status: &'a impl Conditions, kind: &str) -> Result<&'a Condition, String> {
    status.conditions().iter().find(|condition| condition.type_ == kind).ok_or_else(|| format!("{kind} is not told"))
}

/// Whether a condition is true of the present generation.
pub(super) fn good<K: Kind>(resource: &K, status: &K::Status, kind: &str) -> Result<(), String> {
    let Condition { status, reason, message, observed_generation, .. } = condition(status, kind)?;
    seen(status == "True" && *observed_generation == resource.meta().generation, || {
        format!("{kind}={status} ({reason}: {message}) of generation {observed_generation:?}")
    })
}
