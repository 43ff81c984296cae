//! How events are told. It creates objects of `events.k8s.io/v1` and nothing else.
//!
//! `kube`'s own recorder folds events of one reason into a series that keeps the first note; here another
//! note is another event, and that the same one is told once is the engine's own memory.

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::{REQUEST_LIMIT, conditions::bounded, family::Event};

/// Characters of a note (`events.k8s.io` takes 1 kB).
const NOTE_LIMIT: usize = 1000;

/// Sends an event about `regarding`; whether it was taken.
pub(crate) async fn send(
    client: &Client,
    (controller, instance): (&str, &str),
    regarding: ObjectReference,
    event: &Event,
    now: Timestamp,
) -> bool {
    let namespace = regarding.namespace.clone().unwrap_or_default();
    let about = regarding.name.clone().unwrap_or_default();
    let mut note = bounded(&event.note, NOTE_LIMIT);
    while note.len() > NOTE_LIMIT {
        note = bounded(&note, note.chars().count() - 1);
    }
    let seed = format!("{:?}/{}/{note}/{now}", regarding.uid, event.reason);
    let hash = format!("{:x}", Sha256::digest(seed.as_bytes()));
    let object = v1::Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{}", about.get(..200).unwrap_or(&about), &hash[..16])),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        action: Some("Reconcile".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(note),
        reason: Some(event.reason.to_owned()),
        regarding: Some(regarding),
        reporting_controller: Some(controller.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        type_: Some(if event.warning { "Warning" } else { "Normal" }.to_owned()),
        ..v1::Event::default()
    };
    let events: Api<v1::Event> = Api::namespaced(client.clone(), &namespace);
    let parameters = PostParams::default();
    let created = timeout(REQUEST_LIMIT, events.create(&parameters, &object)).await;
    match created {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => {
            tracing::warn!(reason = event.reason, %error, "An event was not taken.");
            false
        }
        Err(_) => {
            tracing::warn!(reason = event.reason, "An event was not taken in time.");
            false
        }
    }
}
