//! How what was planned beyond objects is done. The only place of the family that writes.

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;
use tracing::info;

use super::{Error, LoadBalancers, names, observe::Agent, plan::Effect};
use crate::{
    agent::protocol::Configuration,
    api::LoadBalancer,
    clients::agent::AgentError,
    reconcile::{Key, MANAGER, stamp},
};

impl LoadBalancers {
    /// Performs one effect; each may be performed again.
    pub(super) async fn perform_effect(&self, resource: &LoadBalancer, effect: &Effect) -> Result<(), Error> {
        match effect {
            Effect::IssueIdentity { .. } => self.issue_identity(resource).await,
            Effect::Push { pod, address, configuration, .. } => {
                let load_balancer = Key::of(resource);
                let agent = Agent { load_balancer, pod: pod.clone(), address: *address };
                self.push(&agent, configuration).await
            }
        }
    }

    /// Hands a configuration to an agent, and takes in what it says.
    async fn push(&self, agent: &Agent, configuration: &Configuration) -> Result<(), Error> {
        let reports = &self.observer.reports;
        match self.agents.push(agent.address, &agent.name(), configuration).await {
            Ok(told) => reports.learn(agent, &told),
            // The agent keeps it in its report, from where it comes into the status.
            Err(AgentError::Refused(told)) => reports.learn(agent, &told),
            Err(error @ (AgentError::Stale { .. } | AgentError::NotRunning)) => {
                info!(pod = agent.pod, %error, "The agent did not take the configuration.");
                reports.look(agent).await;
            }
            Err(source) => {
                reports.lose(agent, &source);
                return Err(Error::Agent { pod: agent.pod.clone(), source });
            }
        }
        Ok(())
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
