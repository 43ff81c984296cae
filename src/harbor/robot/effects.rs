//! How what was planned of a robot is done: in Harbor, and in the robot's Secret. The only place of the family that
//! writes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    HarborRobots,
    observe::registry_of,
    plan::Effect,
    secret::{self, DOCKER, Login, MARK, Mark, NEXT, TYPE, acceptable},
    secret_name, wanted,
};
use crate::{
    api::HarborRobot,
    clients::harbor::{HarborClient, HarborError, Robot},
    harbor::{Error, credentials},
    reconcile::{FAMILY, Family, INSTANCE, Key, MANAGED_BY, MANAGER, instance_label, stamp},
};

impl HarborRobots {
    /// Performs one effect; each may be performed again.
    pub(super) async fn perform_effect(&self, resource: &HarborRobot, effect: &Effect) -> Result<(), Error> {
        let registry = registry_of(resource);
        let done = self.act(resource, &registry, effect).await;
        self.observer.hurry(&Key::of(resource));
        if let Err(error) = &done {
            self.observer.access.problem(&registry, error);
        }
        done
    }

    async fn act(&self, resource: &HarborRobot, registry: &Key, effect: &Effect) -> Result<(), Error> {
        if let Effect::ChooseSecret { seen, .. } = effect {
            return self.choose(resource, seen.as_ref()).await;
        }
        let harbor = self.observer.access.administrator(registry).await?;
        match effect {
            Effect::ChooseSecret { .. } => Ok(()),
            // The secret that Harbor tells is not kept: another is chosen. One that another turn made meanwhile, and one
            // that is not ours, is looked at again.
            Effect::Create { robot } => match harbor.create_robot(robot).await {
                Ok(_) | Err(HarborError::Conflict { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            },
            Effect::Update { robot, .. } => Ok(harbor.update_robot(robot).await?),
            Effect::SetSecret { robot, login, at } => self.set(resource, &harbor, robot, login, *at).await,
            Effect::Delete { id } => match harbor.delete_robot(*id).await {
                Ok(()) | Err(HarborError::NotFound { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Keeps a secret in the Secret that Harbor is to be given. Where one is kept already, and where another was given
    /// since the plan was made, nothing is done.
    async fn choose(&self, resource: &HarborRobot, seen: Option<&Mark>) -> Result<(), Error> {
        let found = self.read(resource).await?;
        let chosen = BTreeMap::from([(NEXT, ByteString(credentials::password().into_bytes()))]);
        let Some(found) = found else { return self.create(resource, chosen).await };
        if !belongs(resource, &found) {
            return Err(Error::PullSecretTaken(secret_name(resource)));
        }
        if next(&found).is_some() || mark(&found).as_ref() != seen {
            return Ok(());
        }
        self.patch(resource, json!({ "metadata": { "resourceVersion": found.resource_version() }, "data": chosen }))
            .await
    }

    async fn create(&self, resource: &HarborRobot, mut data: BTreeMap<&str, ByteString>) -> Result<(), Error> {
        let name = secret_name(resource);
        // The type wants this key from the beginning.
        data.insert(DOCKER, ByteString(br#"{"auths":{}}"#.to_vec()));
        let kind = ApiResource::erase::<Secret>(&());
        let mut object = DynamicObject::new(&name, &kind).data(json!({ "type": TYPE, "data": data }));
        stamp::<Self>(resource, &mut object);
        let namespace = resource.namespace().unwrap_or_default();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &kind);
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        settled(api.create(&parameters, &object).await.map(drop), &name)
    }

    /// Gives Harbor the secret that is kept for it, and moves it to where pods read it.
    async fn set(
        &self,
        resource: &HarborRobot,
        harbor: &HarborClient,
        robot: &Robot,
        login: &Login,
        at: Timestamp,
    ) -> Result<(), Error> {
        let Some(found) = self.read(resource).await?.filter(|found| belongs(resource, found)) else { return Ok(()) };
        let Some(next) = next(&found) else { return Ok(()) };
        let secret = SecretString::from(next.clone());
        let mark = Mark::new(robot.id, at, &next);
        let duration = wanted::duration(resource.spec.duration, robot, Some(mark.at));
        if duration != robot.duration {
            harbor.update_robot(&Robot { duration, ..robot.clone() }).await?;
        }
        // From here on until the Secret is written, what pods read lets nobody in: nothing else comes in between.
        harbor.refresh_robot(robot.id, Some(&secret)).await?;
        let mut data: BTreeMap<&str, Value> = secret::data(login, &next);
        data.insert(NEXT, Value::Null);
        let metadata = json!({
            "resourceVersion": found.resource_version(),
            "annotations": { MARK: mark.to_string() },
        });
        self.patch(resource, json!({ "metadata": metadata, "data": data })).await
    }

    async fn read(&self, resource: &HarborRobot) -> Result<Option<Secret>, Error> {
        let name = secret_name(resource);
        let found = self.secrets(resource).get_opt(&name).await;
        found.map_err(|source| Error::Kubernetes { act: format!("read Secret {name}"), source })
    }

    /// Changes the Secret, unless it is no longer what was read.
    async fn patch(&self, resource: &HarborRobot, change: Value) -> Result<(), Error> {
        let name = secret_name(resource);
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let done = self.secrets(resource).patch(&name, &parameters, &Patch::Merge(change)).await;
        settled(done.map(drop), &name)
    }

    fn secrets(&self, resource: &HarborRobot) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &resource.namespace().unwrap_or_default())
    }
}

/// Where another was faster, the next turn sees what is left to do.
fn settled(done: kube::Result<()>, secret: &str) -> Result<(), Error> {
    match done {
        Err(kube::Error::Api(status)) if status.is_already_exists() || status.is_conflict() => Ok(()),
        other => other.map_err(|source| Error::Kubernetes { act: format!("write Secret {secret}"), source }),
    }
}

fn next(secret: &Secret) -> Option<String> {
    let next = String::from_utf8(secret.data.as_ref()?.get(NEXT)?.0.clone()).ok()?;
    acceptable(&next).then_some(next)
}

fn mark(secret: &Secret) -> Option<Mark> {
    secret.annotations().get(MARK).and_then(|text| Mark::parse(text))
}

/// Whether a Secret is the robot's by its labels, and no other's by its owner.
fn belongs(resource: &HarborRobot, secret: &Secret) -> bool {
    let label = |name: &str| secret.labels().get(name).map_or("", String::as_str);
    let owned = secret.owner_references().iter().any(|owner| Some(&owner.uid) != resource.metadata.uid.as_ref());
    !owned
        && label(MANAGED_BY) == MANAGER
        && label(FAMILY) == HarborRobots::NAME
        && label(INSTANCE) == instance_label(&resource.name_any())
}
