//! How what was planned beyond objects is done. The only place of the family that writes.

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;
use tracing::info;

use super::{Error, LoadBalancers, names, plan::Effect};
use crate::{
    agent::protocol::agent_name,
    api::LoadBalancer,
    clients::agent::AgentError,
    reconcile::{MANAGER, stamp},
};

impl LoadBalancers {
    /// Performs one effect; each may be performed again.
    pub(super) async fn perform_effect(&self, resource: &LoadBalancer, effect: &Effect) -> Result<(), Error> {
        match effect {
            Effect::IssueIdentity { .. } => self.issue_identity(resource).await,
            Effect::Push { pod, address, configuration, .. } => {
                let name = agent_name(&resource.namespace().unwrap_or_default(), &resource.name_any());
                match self.agents.push(*address, &name, configuration).await {
                    Ok(_) => Ok(()),
                    // The agent keeps it in its report, from where it comes into the status.
                    Err(AgentError::Refused(_) | AgentError::Stale { .. } | AgentError::NotRunning) => {
                        info!(pod, "The agent did not take the configuration.");
                        Ok(())
                    }
                    Err(source) => Err(Error::Agent { pod: pod.clone(), source }),
                }
            }
        }
    }

    /// Issues the agents' certificate and keeps it in its Secret, which pods mount.
    async fn issue_identity(&self, resource: &LoadBalancer) -> Result<(), Error> {
        let (namespace, name) = (resource.namespace().unwrap_or_default(), resource.name_any());
        let identity = self.authority.current().issue_agent(&namespace, &name, Timestamp::now())?;
        let data: std::collections::BTreeMap<String, ByteString> =
            identity.to_data().into_iter().map(|(name, content)| (name, ByteString(content))).collect();
        let secret = names::identity_secret(&name);
        let kind = kube::api::ApiResource::erase::<Secret>(&());
        let mut object = DynamicObject::new(&secret, &kind).data(json!({ "type": "Opaque", "data": data }));
        stamp::<Self>(resource, &mut object);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &kind);
        api.patch(&secret, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object))
            .await
            .map_err(|source| Error::Kubernetes { act: format!("write Secret {secret}"), source })?;
        Ok(())
    }
}
