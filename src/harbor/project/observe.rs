//! What is read of projects, and what gives one a turn. The only place of the family that reads.

use jiff::Timestamp;
use kube::{Client, runtime::watcher};

use super::{
    name,
    world::{Seen, World},
};
use crate::{
    api::HarborProject,
    clients::harbor::HarborClient,
    harbor::{
        Error,
        access::{Access, Locate},
        observe::{Answers, held},
    },
    reconcile::{Cache, Key, Scope, Trigger, cache},
    telemetry::Metrics,
};

/// What is known of projects besides what Kubernetes tells.
pub(super) struct Observer {
    pub(super) access: Access,
    /// Which project of which registry each resource names.
    names: Cache<Name>,
    answers: Answers<Option<Seen>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Name {
    harbor: String,
    project: String,
    made: Option<Timestamp>,
}

impl Observer {
    pub(super) fn new(client: &Client, scope: &Scope, locate: Locate, metrics: &Metrics) -> (Self, Vec<Trigger>) {
        let (access, of_registries) = Access::new(client, scope, locate, metrics);
        let keep = |resource: HarborProject| Name {
            harbor: resource.spec.harbor_name.clone(),
            project: name(&resource).to_owned(),
            made: resource.metadata.creation_timestamp.as_ref().map(|time| time.0),
        };
        let (names, feed) = cache::namespaced(client, scope, &watcher::Config::default(), metrics, keep);
        // The one that waits for a name looks again soon enough by itself.
        let of_names = feed.triggers(|_| vec![]);
        (Self { access, names, answers: Answers::default() }, vec![of_registries, of_names])
    }

    /// Reads all that a plan may depend on. Harbor is asked again only when its answer is old, the spec is another, or
    /// something was done.
    pub(super) async fn world(&self, resource: &HarborProject) -> World {
        let key = Key::of(resource);
        let registry = self.access.registry(&key, &resource.spec.harbor_name);
        let mut world = World { registry, rival: self.rival(&key, resource), asked: None };
        let leaving = resource.metadata.deletion_timestamp.is_some();
        // One that is to go is asked for as long as anybody may answer.
        let ready = world.registry.as_ref().is_some_and(|registry| registry.waits.is_none() || leaving);
        if !ready || world.rival.is_some() {
            return world;
        }
        let harbor = registry_of(resource);
        let whom = format!("Harbor {} as of {:?}", harbor.name(), resource.metadata.generation);
        let ask = async || {
            let asked = async { look(&self.access.administrator(&harbor).await?, resource).await };
            asked.await.map_err(|error| self.access.problem(&harbor, &error))
        };
        world.asked = self.answers.get(&key, whom, held(|_| true), ask).await;
        world
    }

    /// The resource that named the same project first.
    fn rival(&self, key: &Key, resource: &HarborProject) -> Option<String> {
        let same = self.names.within(key.namespace()).into_iter().filter(|(other, known)| {
            other != key && known.harbor == resource.spec.harbor_name && known.project == name(resource)
        });
        let made = resource.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let first = same.min_by(|(one, of), (other, than)| (of.made, one).cmp(&(than.made, other)))?;
        ((first.1.made, &first.0) < (made, key)).then(|| first.0.name().to_owned())
    }

    /// Has Harbor asked again at once.
    pub(super) fn hurry(&self, key: &Key) {
        self.answers.forget(key);
    }

    /// Drops what is remembered of a resource that is gone.
    pub(super) fn forget(&self, key: &Key) {
        self.access.forget(key);
        self.answers.forget(key);
    }
}

/// Where the registry of a project is.
pub(super) fn registry_of(resource: &HarborProject) -> Key {
    Key::new(resource.metadata.namespace.as_deref().unwrap_or_default(), &resource.spec.harbor_name)
}

async fn look(harbor: &HarborClient, resource: &HarborProject) -> Result<Option<Seen>, Error> {
    let Some(project) = harbor.project(name(resource)).await? else { return Ok(None) };
    let (spec, status) = (&resource.spec, resource.status.as_ref());
    let quota = harbor.quota(project.id).await?;
    let with_members = !spec.members.is_empty() || status.is_some_and(|status| !status.members.is_empty());
    let members = if with_members { harbor.members(project.id).await? } else { vec![] };
    let retention = match project.retention_id() {
        Some(id) if spec.retention.is_some() => harbor.retention(id).await?,
        _ => None,
    };
    Ok(Some(Seen { project, quota, members, retention }))
}
