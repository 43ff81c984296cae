//! How what was planned of a project is done in Harbor. The only place of the family that writes.

use super::{
    HarborProjects,
    observe::registry_of,
    wanted::{Act, Effect},
};
use crate::{
    api::HarborProject,
    clients::harbor::{HarborClient, HarborError, NewMember},
    harbor::Error,
    reconcile::Key,
};

impl HarborProjects {
    /// Performs one effect; each may be performed again.
    pub(super) async fn perform_effect(&self, resource: &HarborProject, effect: &Effect) -> Result<(), Error> {
        let registry = registry_of(resource);
        let harbor = self.observer.access.administrator(&registry).await?;
        let done = match (act(&harbor, &effect.act).await, &effect.act) {
            // It was not in the list by this name: a list that shows it by another never will.
            (Err(HarborError::Conflict { .. }), Act::AddMember { member, .. }) => {
                Err(Error::MemberNamedOtherwise(called(member).to_owned()))
            }
            (done, _) => done.map_err(Error::from),
        };
        self.observer.hurry(&Key::of(resource));
        if let Err(error) = &done {
            self.observer.access.problem(&registry, error);
        }
        done
    }
}

async fn act(harbor: &HarborClient, act: &Act) -> Result<(), HarborError> {
    match act {
        // One that another turn made meanwhile is looked at again.
        Act::Create(project) => settled(harbor.create_project(project).await.map(drop)),
        Act::Update { id, change } => harbor.update_project(*id, change).await,
        Act::SetQuota { quota, limit } => harbor.set_quota(*quota, *limit).await,
        Act::AddMember { id, member, role } => harbor.add_member(*id, member, *role).await.map(drop),
        Act::SetRole { id, member, role } => harbor.update_member(*id, *member, *role).await,
        Act::RemoveMember { id, member } => gone(harbor.remove_member(*id, *member).await),
        Act::SetRetention { id, policy: None, retention } => harbor.create_retention(*id, retention).await.map(drop),
        Act::SetRetention { id, policy: Some(policy), retention } => {
            harbor.update_retention(*policy, *id, retention).await
        }
        Act::Delete { id } => gone(harbor.delete_project(*id).await),
    }
}

fn called(member: &NewMember) -> &str {
    match member {
        NewMember::User { username } => username,
        NewMember::Group { group_name, .. } => group_name,
    }
}

/// What is there already is made.
fn settled(done: Result<(), HarborError>) -> Result<(), HarborError> {
    match done {
        Err(HarborError::Conflict { .. }) => Ok(()),
        other => other,
    }
}

/// What is not there is gone.
fn gone(done: Result<(), HarborError>) -> Result<(), HarborError> {
    match done {
        Err(HarborError::NotFound { .. }) => Ok(()),
        other => other,
    }
}
