//! What is read of robots, and what gives one a turn. The only place of the family that reads.

use kube::Client;

use super::{
    name,
    secret::PullSecret,
    secret_name, wanted,
    world::{Seen, World},
};
use crate::{
    api::{HarborRobot, RobotLevel as Level},
    clients::harbor::{HarborClient, HarborCredentials, Robot, RobotLevel},
    harbor::{
        Error,
        access::{Access, Locate},
        observe::{Answers, held},
    },
    reconcile::{Key, Owned, Scope, Trigger},
    telemetry::Metrics,
};

/// What Harbor puts before the names of robots unless it is configured otherwise.
const PREFIX: &str = "robot$";

/// What is known of robots besides what Kubernetes tells.
pub(super) struct Observer {
    pub(super) access: Access,
    answers: Answers<Seen>,
}

impl Observer {
    pub(super) fn new(client: &Client, scope: &Scope, locate: Locate, metrics: &Metrics) -> (Self, Vec<Trigger>) {
        let (access, of_registries) = Access::new(client, scope, locate, metrics);
        (Self { access, answers: Answers::default() }, vec![of_registries])
    }

    /// Reads all that a plan may depend on. Harbor is asked again only when its answer is old, the spec or the Secret is
    /// another, or something was done.
    pub(super) async fn world(&self, resource: &HarborRobot, owned: &[Owned<PullSecret>]) -> World {
        let key = Key::of(resource);
        let registry = self.access.registry(&key, &resource.spec.harbor_name);
        let secret = owned.iter().find(|one| !one.deleting && one.name == secret_name(resource));
        let mut world = World { registry, secret: secret.map(|one| PullSecret::clone(&one.fact)), asked: None };
        let leaving = resource.metadata.deletion_timestamp.is_some();
        if !world.registry.as_ref().is_some_and(|registry| registry.waits.is_none() || leaving) {
            return world;
        }
        let harbor = registry_of(resource);
        let mark = world.secret.as_ref().and_then(|secret| secret.current()).map(|(mark, _)| mark.to_string());
        let whom = format!("Harbor {} as of {:?} and {mark:?}", harbor.name(), resource.metadata.generation);
        let ask = async || {
            let asked =
                async { look(&self.access.administrator(&harbor).await?, resource, world.secret.as_ref()).await };
            asked.await.map_err(|error| self.access.problem(&harbor, &error))
        };
        let well = |seen: &Seen| seen.missing.is_empty() && !seen.taken;
        let asked = self.answers.get(&key, whom, held(well), ask).await;
        world.asked = asked;
        world
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

/// Where the registry of a robot is.
pub(super) fn registry_of(resource: &HarborRobot) -> Key {
    Key::new(resource.metadata.namespace.as_deref().unwrap_or_default(), &resource.spec.harbor_name)
}

async fn look(harbor: &HarborClient, resource: &HarborRobot, secret: Option<&PullSecret>) -> Result<Seen, Error> {
    let (robot, taken) = find(harbor, resource).await?;
    let mark = secret.and_then(PullSecret::current).map(|(mark, _)| mark);
    let differs = |robot: &Robot| wanted::mended(resource, robot, mark).1.contains(&"permissions".to_owned());
    let mut missing = vec![];
    if robot.as_ref().is_none_or(differs) {
        for project in wanted::projects(resource) {
            if harbor.project(project).await?.is_none() {
                missing.push(project.to_owned());
            }
        }
    }
    let accepted = match &robot {
        Some(robot) => accepted(harbor, robot, secret).await?,
        None => None,
    };
    Ok(Seen { robot, taken, accepted, missing })
}

/// The robot by its number, else by its name; and whether one of that name is somebody else's.
async fn find(harbor: &HarborClient, resource: &HarborRobot) -> Result<(Option<Robot>, bool), Error> {
    if let Some(id) = resource.status.as_ref().and_then(|status| status.robot_id)
        && let Some(robot) = harbor.robot(id).await?
        && wanted::same(resource, &robot)
    {
        return Ok((Some(robot), false));
    }
    let level = match resource.spec.level {
        Level::System => RobotLevel::System,
        Level::Project => match harbor.project(wanted::project(resource).unwrap_or_default()).await? {
            Some(project) => RobotLevel::Project(project.id),
            None => return Ok((None, false)),
        },
    };
    let robots = harbor.robots(level).await?;
    let configurations = harbor.configurations().await?;
    let prefix = configurations.get("robot_name_prefix").and_then(|setting| setting.value.as_str()).unwrap_or(PREFIX);
    let full = wanted::full_name(resource, prefix);
    let found = robots.into_iter().find(|robot| robot.name == full || robot.name == name(resource));
    let taken = found.as_ref().is_some_and(|robot| !wanted::owned(resource, robot));
    Ok((found.filter(|_| !taken), taken))
}

/// Whether the robot can log in with what the Secret holds, where both say that it can.
async fn accepted(harbor: &HarborClient, robot: &Robot, secret: Option<&PullSecret>) -> Result<Option<bool>, Error> {
    let Some((mark, password)) = secret.and_then(PullSecret::current) else { return Ok(None) };
    let expired = wanted::expiry(robot).is_some_and(|expiry| expiry <= jiff::Timestamp::now());
    if mark.robot != robot.id || robot.disable || expired {
        return Ok(None);
    }
    let credentials = HarborCredentials { user: robot.name.clone(), password: password.0.clone().into() };
    Ok(Some(harbor.with_credentials(credentials).accepts_robot(robot.id).await?))
}
