//! All that a plan of a project may depend on, as plain data.

use crate::{
    clients::harbor::{Member, Project, Quota, Retention},
    harbor::{access::Registry, world::Problem},
};

/// What was seen in one go.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The registry that the spec names, when it is there.
    pub registry: Option<Registry>,
    /// The older resource that names the same project, if there is one.
    pub rival: Option<String>,
    /// What Harbor told, when it was asked; nothing inside when it has no such project.
    pub asked: Option<Result<Option<Seen>, Problem>>,
}

/// A project, as Harbor told it. What neither spec nor status names was not asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The project itself.
    pub project: Project,
    /// Its quota, where Harbor keeps quotas.
    pub quota: Option<Quota>,
    /// Its members.
    pub members: Vec<Member>,
    /// Which of its images are kept, if it says so.
    pub retention: Option<Retention>,
}
