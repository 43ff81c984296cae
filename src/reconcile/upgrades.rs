//! Whether the Operator Lifecycle Manager may upgrade this operator now: the condition `Upgradeable` of its
//! `OperatorCondition`. It writes that object and nothing else; where there is none, nothing is told.

use std::time::Duration;

use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{REQUEST_LIMIT, fingerprint::MANAGER};

/// How long a telling that failed waits: OLM makes the object while it installs the operator.
const AGAIN: Duration = Duration::from_secs(5);

/// Why the operator must not be upgraded now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// `UpperCamelCase`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// Tells OLM for as long as it is polled; `name` is what OLM calls the object, and `busy` whether something must not be
/// interrupted.
pub async fn tell(client: Client, namespace: &str, name: &str, mut busy: watch::Receiver<Option<Busy>>) {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("operators.coreos.com", "v2", "OperatorCondition"));
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &kind);
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    loop {
        let now = busy.borrow_and_update().clone();
        let conditions = json!({ "spec": { "conditions": [condition(now.as_ref(), Timestamp::now())] } });
        let change = Patch::Merge(&conditions);
        match timeout(REQUEST_LIMIT, api.patch(name, &parameters, &change)).await {
            Ok(Ok(_)) => {
                let reason = now.as_ref().map(|busy| busy.reason);
                info!(upgradeable = now.is_none(), reason, "OLM is told.");
                if busy.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
            Ok(Err(error)) => {
                warn!(name, %error, "OLM can't be told whether an upgrade may begin.");
                sleep(AGAIN).await;
            }
            Err(_) => warn!(name, "OLM can't be told in time whether an upgrade may begin."),
        }
    }
}

fn condition(busy: Option<&Busy>, now: Timestamp) -> Value {
    let (status, reason, message) = match busy {
        None => ("True", "Idle", "nothing is under way that must not be interrupted"),
        Some(busy) => ("False", busy.reason, busy.message.as_str()),
    };
    let since = Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
    json!({
        "type": "Upgradeable", "status": status, "reason": reason, "message": message, "lastTransitionTime": since,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Busy, condition};

    #[test]
    fn olm_is_told_why_not() {
        let idle = condition(None, Timestamp::UNIX_EPOCH);
        assert_eq!((&idle["type"], &idle["status"]), (&"Upgradeable".into(), &"True".into()));
        let busy = Busy { reason: "PodsBeingReplaced", message: "of shop".to_owned() };
        let told = condition(Some(&busy), Timestamp::UNIX_EPOCH);
        assert_eq!((&told["status"], &told["reason"]), (&"False".into(), &"PodsBeingReplaced".into()));
        assert_eq!(told["lastTransitionTime"], "1970-01-01T00:00:00Z");
    }
}
