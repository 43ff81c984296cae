//! What is remembered of each owned object: the little that a plan depends on. Pure.

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Secret, Service},
};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::{
    credentials::Credentials,
    names::{self, COMPONENT_LABEL},
    quantity,
    world::Claim,
};
use crate::{
    api::{LoadBalancer, OperatingStatus},
    authority::{AuthoritySet, Leaf},
    reconcile::dynamic::{self, typed},
};

/// What is remembered of an owned object.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// The Secret of what was made up.
    Credentials {
        /// What it holds.
        credentials: Box<Credentials>,
        /// Which databases of a shared Redis it claims.
        claim: Option<Box<Claim>>,
    },
    /// The Secret of the registry's own certificate authorities; none when it can't be read.
    Authority(Option<Box<AuthoritySet>>),
    /// The Secret of a component's certificate.
    Certificate {
        /// What tells when it is to be replaced; none when it can't be read.
        leaf: Option<Box<Leaf>>,
        /// A hash over certificate, key and authorities.
        hash: String,
    },
    /// A `Certificate` of cert-manager's.
    Issuance {
        /// Whether its Secret holds what was asked for.
        ready: bool,
        /// What cert-manager says of it.
        message: String,
    },
    /// A Deployment or `StatefulSet`.
    Pods {
        /// How many there shall be.
        wanted: i32,
        /// How many are ready.
        ready: i32,
        /// Whether all are made of the newest template.
        current: bool,
        /// What that was made from, as the JSON of [`Pins`](super::world::Pins): of a fleet some ten thousand are kept.
        pins: Option<Box<str>>,
    },
    /// The Job of a migration.
    Job(JobState),
    /// A claim of a volume.
    Volume {
        /// How many bytes were asked for.
        requested: u64,
        /// How many there are; none until there is a volume.
        capacity: Option<u64>,
        /// Its storage class.
        class: Option<String>,
        /// Which one it is among all that have, or had, its name.
        uid: Box<str>,
    },
    /// A Service.
    Service {
        /// Where it is reached, if anywhere.
        address: Option<String>,
    },
    /// The `LoadBalancer` in front.
    LoadBalancer {
        /// Whether it serves what it was told.
        ready: bool,
        /// Why it does not.
        message: String,
    },
    /// Nothing that matters.
    Nothing,
}

/// How far a Job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It has yet to end.
    Running,
    /// It has ended well.
    Complete,
    /// It has given up.
    Failed {
        /// When.
        at: Option<Timestamp>,
        /// Why, in Kubernetes' words.
        message: String,
    },
}

/// What to remember of an object.
pub(super) fn fact(object: &DynamicObject) -> Fact {
    let fact = match dynamic::kind(object) {
        "Secret" => credentials(object).or_else(|| certificates(object)),
        "Certificate" => Some(issuance(object)),
        "Deployment" => typed(object).map(|deployment| deployed(&deployment)),
        "StatefulSet" => typed(object).map(|set| kept(&set)),
        "Job" => typed(object).map(|job| Fact::Job(state(&job))),
        "PersistentVolumeClaim" => typed(object).and_then(|claim| volume(&claim)),
        "Service" => typed(object).map(|service| Fact::Service { address: address(&service) }),
        "LoadBalancer" => typed(object).map(|balancer| front(&balancer)),
        _ => None,
    };
    fact.unwrap_or(Fact::Nothing)
}

fn credentials(object: &DynamicObject) -> Option<Fact> {
    object.labels().get(COMPONENT_LABEL).filter(|component| *component == "credentials")?;
    let claim = object.annotations().get(names::CLAIM_ANNOTATION).and_then(|text| Claim::parse(text)).map(Box::new);
    let data = typed::<Secret>(object)?.data.unwrap_or_default();
    let credentials = Credentials::read(data.into_iter().map(|(key, value)| (key, value.0)).collect());
    Some(Fact::Credentials { credentials: Box::new(credentials), claim })
}

fn certificates(object: &DynamicObject) -> Option<Fact> {
    let component = object.labels().get(COMPONENT_LABEL)?.as_str();
    let data = || Some(typed::<Secret>(object)?.data.unwrap_or_default());
    match component {
        names::AUTHORITY => {
            let data = data()?.into_iter().map(|(key, value)| (key, value.0)).collect();
            Some(Fact::Authority(AuthoritySet::from_data(&data).ok().map(Box::new)))
        }
        names::CERTIFICATE => {
            let data = data()?;
            let part = |name: &str| data.get(name).map_or(&[][..], |part| part.0.as_slice());
            let leaf = Leaf::read(part("tls.crt"), part("ca.crt")).filter(|_| !part("tls.key").is_empty());
            let texts = ["tls.crt", "tls.key", "ca.crt"].map(|key| (key, String::from_utf8_lossy(part(key))));
            let hash = names::hash(texts.iter().map(|(key, text)| (*key, &**text)));
            Some(Fact::Certificate { leaf: leaf.map(Box::new), hash })
        }
        _ => None,
    }
}

/// cert-manager says `Ready` of what its Secret holds.
fn issuance(object: &DynamicObject) -> Fact {
    let conditions = object.data["status"]["conditions"].as_array().into_iter().flatten();
    let told = conditions.clone().find(|condition| condition["type"] == "Ready");
    let ready = told.is_some_and(|told| told["status"] == "True");
    let said = |of: Option<&Value>| of.and_then(|told| told["message"].as_str()).unwrap_or_default().to_owned();
    // Why it is issued says less than why issuing it failed.
    let failed = conditions.clone().find(|condition| condition["type"] == "Issuing" && condition["status"] == "False");
    let message = [said(failed), said(told)].into_iter().find(|said| !said.is_empty());
    Fact::Issuance { ready, message: message.unwrap_or_else(|| "cert-manager has not looked at it yet".to_owned()) }
}

/// What the pod template of a Deployment or `StatefulSet` was made from.
fn pins(object: &impl ResourceExt) -> Option<Box<str>> {
    Some(object.annotations().get(names::PINS_ANNOTATION)?.as_str().into())
}

fn deployed(deployment: &Deployment) -> Fact {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    let seen = status.observed_generation >= deployment.metadata.generation;
    Fact::Pods {
        wanted,
        ready: status.ready_replicas.unwrap_or(0),
        current: seen
            && status.updated_replicas.unwrap_or(0) >= wanted
            && status.replicas.unwrap_or(0) <= wanted
            && status.ready_replicas.unwrap_or(0) >= wanted,
        pins: pins(deployment),
    }
}

fn kept(set: &StatefulSet) -> Fact {
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = set.status.clone().unwrap_or_default();
    let seen = status.observed_generation >= set.metadata.generation;
    Fact::Pods {
        wanted,
        ready: status.ready_replicas.unwrap_or(0),
        current: seen && status.update_revision == status.current_revision && status.ready_replicas >= Some(wanted),
        pins: pins(set),
    }
}

fn state(job: &Job) -> JobState {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ended = |kind: &str| {
        conditions.clone().find(|condition| condition.type_ == kind && condition.status == "True").cloned()
    };
    if ended("Complete").is_some() {
        return JobState::Complete;
    }
    match ended("Failed") {
        Some(failed) => JobState::Failed {
            at: failed.last_transition_time.map(|time| time.0),
            message: failed.message.unwrap_or_default(),
        },
        None => JobState::Running,
    }
}

fn volume(claim: &PersistentVolumeClaim) -> Option<Fact> {
    let spec = claim.spec.as_ref()?;
    let requested = spec.resources.as_ref()?.requests.as_ref()?.get("storage")?;
    let capacity = claim.status.as_ref().and_then(|status| status.capacity.as_ref()?.get("storage"));
    Some(Fact::Volume {
        requested: quantity::bytes(&requested.0)?,
        capacity: capacity.and_then(|capacity| quantity::bytes(&capacity.0)),
        class: spec.storage_class_name.clone(),
        uid: claim.metadata.uid.as_deref().unwrap_or_default().into(),
    })
}

fn address(service: &Service) -> Option<String> {
    let address = service.spec.as_ref()?.cluster_ip.clone()?;
    (address != "None" && !address.is_empty()).then_some(address)
}

fn front(balancer: &LoadBalancer) -> Fact {
    let status = balancer.status.clone().unwrap_or_default();
    let current = status.observed_generation == balancer.metadata.generation;
    let bad = ["Accepted", "ResolvedRefs", "Ready", "Programmed"].into_iter().find_map(|kind| {
        let found = status.conditions.iter().find(|condition| condition.type_ == kind);
        match found {
            Some(condition) if condition.status == "True" => None,
            Some(condition) => Some(format!("{kind}: {}", condition.message)),
            None => Some("it has not been looked at yet".to_owned()),
        }
    });
    // Programs that are ready are not let in before its own monitors have seen them.
    let shut = status.pools.iter().find(|pool| pool.operating_status == OperatingStatus::Error);
    let bad = bad.or_else(|| shut.map(|pool| format!("its pool {} has no member that takes requests", pool.name)));
    match bad {
        None if current => Fact::LoadBalancer { ready: true, message: String::new() },
        None => Fact::LoadBalancer { ready: false, message: "a change is on its way".to_owned() },
        Some(message) => Fact::LoadBalancer { ready: false, message },
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::new(json!({}), JobState::Running)]
    #[case::done(json!({"conditions": [{"type": "Complete", "status": "True"}]}), JobState::Complete)]
    #[case::given_up(
        json!({"conditions": [{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]}),
        JobState::Failed { at: None, message: "BackoffLimitExceeded".to_owned() }
    )]
    fn jobs_are_read(#[case] status: Value, #[case] expected: JobState) {
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "status": status,
            "spec": {"template": {}},
        });
        let object: DynamicObject = serde_json::from_value(job).expect("an object");
        assert_eq!(fact(&object), Fact::Job(expected));
    }

    #[rstest]
    #[case::open("Online", "True", None)]
    #[case::one_of_two("Degraded", "True", None)]
    #[case::not_let_in("Error", "True", Some("its pool core has no member that takes requests"))]
    #[case::not_ready("Error", "False", Some("Accepted: why"))]
    fn a_front_door_is_open_when_somebody_is_behind_it(
        #[case] pool: &str,
        #[case] verdict: &str,
        #[case] why: Option<&str>,
    ) {
        let condition = |kind: &str| {
            json!({
                "type": kind, "status": verdict, "reason": kind, "message": "why",
                "lastTransitionTime": "2026-11-23T09:00:00Z",
            })
        };
        let conditions = ["Accepted", "ResolvedRefs", "Ready", "Programmed"].map(condition);
        let balancer = json!({
            "apiVersion": "fairway.dev/v1alpha1", "kind": "LoadBalancer",
            "metadata": {"name": "a", "generation": 1}, "spec": {"listeners": [], "pools": []},
            "status": {
                "observedGeneration": 1,
                "conditions": conditions,
                "pools": [{"name": "core", "operatingStatus": pool}],
            },
        });
        let expected = Fact::LoadBalancer { ready: why.is_none(), message: why.unwrap_or_default().to_owned() };
        assert_eq!(fact(&serde_json::from_value(balancer).expect("an object")), expected);
    }

    #[test]
    fn a_rollout_is_seen() {
        let deployment = |ready: i32, updated: i32, observed: i64| {
            let object = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "generation": 2},
                "spec": {"replicas": 2, "selector": {}, "template": {}},
                "status": {"replicas": 2, "readyReplicas": ready, "updatedReplicas": updated,
                    "observedGeneration": observed},
            });
            fact(&serde_json::from_value(object).expect("an object"))
        };
        assert_eq!(deployment(2, 2, 2), Fact::Pods { wanted: 2, ready: 2, current: true, pins: None });
        assert_eq!(deployment(2, 1, 2), Fact::Pods { wanted: 2, ready: 2, current: false, pins: None });
        assert_eq!(deployment(2, 2, 1), Fact::Pods { wanted: 2, ready: 2, current: false, pins: None });
    }
}
