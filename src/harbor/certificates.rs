//! How certificates for TLS between Harbor's programs are made and kept. Writes the Secrets of the registry's own
//! authority and of its programs' certificates.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{
    Error, Harbors,
    effects::belongs,
    names::{self, AUTHORITY, CERTIFICATE, COMPONENT_LABEL, Component},
};
use crate::{
    api::Harbor,
    authority::{AuthorityError, AuthoritySet, Leaf},
    reconcile::{KEEP, MANAGER, stamp},
};

impl Harbors {
    /// Makes certificates for these, signed by the authority that signs now.
    pub(super) async fn make_certificates(&self, resource: &Harbor, components: &[Component]) -> Result<(), Error> {
        let now = (self.clock)();
        let (name, namespace) = Self::identify(resource);
        let authorities = self.authorities(resource, now).await?;
        for component in components {
            let names = names::called(&namespace, &name, *component);
            self.keep_certificate(resource, *component, &authorities, names, now).await?;
        }
        Ok(())
    }

    /// The registry's authorities as they shall be now, kept in their Secret. It is created, or replaced as it was
    /// read, so that of two who do so at the same time one fails and no authority is lost that has signed something.
    async fn authorities(&self, resource: &Harbor, now: Timestamp) -> Result<AuthoritySet, Error> {
        let (name, namespace) = Self::identify(resource);
        let secret = names::authority(&name);
        let kind = ApiResource::erase::<Secret>(&());
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
        let failed = |verb: &'static str| {
            let act = format!("{verb} Secret {secret}");
            move |source| Error::Kubernetes { act, source }
        };
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let Some(found) = api.get_opt(&secret).await.map_err(failed("read"))? else {
            let made = AuthoritySet::first(now)?;
            let data = json!({ "type": "Opaque", "data": encoded(made.to_data()) });
            let mut object = DynamicObject::new(&secret, &kind).data(data);
            object.labels_mut().insert(COMPONENT_LABEL.to_owned(), AUTHORITY.to_owned());
            object.labels_mut().insert(KEEP.to_owned(), "true".to_owned());
            stamp::<Self>(resource, &mut object);
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &kind);
            return match api.create(&parameters, &object).await {
                Ok(_) => Ok(made),
                // Another was faster; what it made counts, in the next turn.
                Err(kube::Error::Api(status)) if status.is_already_exists() => Err(AuthorityError::Contended.into()),
                Err(source) => Err(failed("create")(source)),
            };
        };
        if !belongs(resource, &found) {
            return Err(Error::SecretTaken(secret));
        }
        let data = found.data.clone().unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
        let known = AuthoritySet::from_data(&data)?;
        let Some(renewed) = known.renewed(now)? else { return Ok(known) };
        let patch = json!({
            "metadata": { "resourceVersion": found.resource_version() }, "data": encoded(renewed.to_data()),
        });
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch(&secret, &parameters, &Patch::Merge(&patch)).await {
            Ok(_) => Ok(renewed),
            Err(kube::Error::Api(status)) if status.is_conflict() => Err(AuthorityError::Contended.into()),
            Err(source) => Err(failed("change")(source)),
        }
    }

    /// Issues a certificate and keeps it in its Secret, unless one is there that is good: each new one replaces pods,
    /// and what was planned may not have seen the one that was made before.
    async fn keep_certificate(
        &self,
        resource: &Harbor,
        component: Component,
        authorities: &AuthoritySet,
        names: Vec<String>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (name, namespace) = Self::identify(resource);
        let secret = names::certificate(&name, component);
        let failed = |source| Error::Kubernetes { act: format!("write Secret {secret}"), source };
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
        let found = secrets.get_opt(&secret).await.map_err(failed)?;
        match found {
            Some(found) if !belongs(resource, &found) => return Err(Error::SecretTaken(secret)),
            Some(found) if good(&found, authorities, now) => return Ok(()),
            _ => {}
        }
        let identity = authorities.issue_program(names, now)?;
        let kind = ApiResource::erase::<Secret>(&());
        let data = json!({ "type": "Opaque", "data": encoded(identity.to_data()) });
        let mut object = DynamicObject::new(&secret, &kind).data(data);
        object.labels_mut().insert(COMPONENT_LABEL.to_owned(), CERTIFICATE.to_owned());
        stamp::<Self>(resource, &mut object);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &kind);
        let parameters = PatchParams::apply(MANAGER).force();
        api.patch(&secret, &parameters, &Patch::Apply(&object)).await.map_err(failed)?;
        Ok(())
    }
}

/// Whether a Secret holds a certificate that need not be replaced.
fn good(secret: &Secret, authorities: &AuthoritySet, now: Timestamp) -> bool {
    let part = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map_or(&[][..], |part| &part.0);
    let labelled = secret.labels().get(COMPONENT_LABEL).is_some_and(|label| label == CERTIFICATE);
    let leaf = Leaf::read(part("tls.crt"), part("ca.crt")).filter(|_| labelled && !part("tls.key").is_empty());
    leaf.is_some_and(|leaf| leaf.needs_renewal(authorities, now).is_none())
}

fn encoded(data: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, ByteString> {
    data.into_iter().map(|(key, value)| (key, ByteString(value))).collect()
}
