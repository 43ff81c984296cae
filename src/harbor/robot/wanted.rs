//! What a robot shall be in Harbor, and where it differs. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{name, secret::Mark};
use crate::{
    api::{HarborRobot, RobotLevel},
    clients::harbor::{Access, NewRobot, Permission, Robot},
};

const DAY: i64 = 86_400;
/// A robot and its first secret are made one right after the other, in seconds.
const AT_ONCE: i64 = 3_600;

/// At the end of a robot's description: whose it is.
#[must_use]
pub fn owner(resource: &HarborRobot) -> String {
    let meta = &resource.metadata;
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    format!("[fairway: HarborRobot {namespace}/{name}]")
}

/// Whether a robot says that it is this resource's.
#[must_use]
pub fn owned(resource: &HarborRobot, robot: &Robot) -> bool {
    robot.description.ends_with(&owner(resource))
}

/// Whether a robot of a number that is known is still the one that it was: numbers begin anew with a new database, and
/// another's may end as this one does. It says whose it is, or has the name that it had.
#[must_use]
pub fn same(resource: &HarborRobot, robot: &Robot) -> bool {
    let end = match project(resource) {
        Some(project) => format!("{project}+{}", name(resource)),
        None => name(resource).to_owned(),
    };
    let known = resource.status.as_ref().is_some_and(|status| status.robot_name == robot.name);
    robot.level == level(resource) && robot.name.ends_with(&end) && (known || owned(resource, robot))
}

/// The robot's full name behind a prefix.
#[must_use]
pub fn full_name(resource: &HarborRobot, prefix: &str) -> String {
    match project(resource) {
        Some(project) => format!("{prefix}{project}+{}", name(resource)),
        None => format!("{prefix}{}", name(resource)),
    }
}

/// The one project of a robot of level `Project`.
#[must_use]
pub fn project(resource: &HarborRobot) -> Option<&str> {
    match resource.spec.level {
        RobotLevel::System => None,
        RobotLevel::Project => resource.spec.permissions.first()?.project.as_deref(),
    }
}

/// The projects that the spec names.
#[must_use]
pub fn projects(resource: &HarborRobot) -> BTreeSet<&str> {
    let named = resource.spec.permissions.iter().filter_map(|permission| permission.project.as_deref());
    named.filter(|project| *project != "*").collect()
}

/// The robot as it is made first.
#[must_use]
pub fn new_robot(resource: &HarborRobot) -> NewRobot {
    NewRobot {
        name: name(resource).to_owned(),
        description: description(resource),
        level: level(resource).to_owned(),
        duration: resource.spec.duration.map_or(-1, i64::from),
        permissions: permissions(resource),
    }
}

/// The robot as it shall be, and the fields of the spec in which it is not so.
#[must_use]
pub fn mended(resource: &HarborRobot, robot: &Robot, mark: Option<&Mark>) -> (Robot, Vec<String>) {
    let at = mark.filter(|mark| mark.robot == robot.id).map(|mark| mark.at);
    let wanted = Robot {
        description: description(resource),
        duration: duration(resource.spec.duration, robot, at),
        disable: resource.spec.disabled,
        permissions: permissions(resource),
        ..robot.clone()
    };
    let fields = [
        ("description", wanted.description != robot.description),
        ("disabled", wanted.disable != robot.disable),
        ("duration", wanted.duration != robot.duration),
        ("permissions", granted(&wanted.permissions) != granted(&robot.permissions)),
    ];
    let fields = fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field.to_owned()).collect();
    (wanted, fields)
}

/// The duration as Harbor counts it, in days from when the robot was made, so that it is no less than the spec's from
/// when the secret was.
#[must_use]
pub fn duration(days: Option<i32>, robot: &Robot, secret: Option<Timestamp>) -> i64 {
    let Some(days) = days.map(i64::from) else { return -1 };
    let made: Option<Timestamp> = robot.creation_time.parse().ok();
    let since = match (made, secret) {
        (Some(made), Some(secret)) => secret.as_second() - made.as_second(),
        _ => 0,
    };
    days + if since < AT_ONCE { 0 } else { (since + DAY - 1) / DAY }
}

/// When a robot can log in no more.
#[must_use]
pub fn expiry(robot: &Robot) -> Option<Timestamp> {
    (robot.expires_at > 0).then(|| Timestamp::from_second(robot.expires_at).ok()).flatten()
}

fn level(resource: &HarborRobot) -> &'static str {
    match resource.spec.level {
        RobotLevel::System => "system",
        RobotLevel::Project => "project",
    }
}

fn description(resource: &HarborRobot) -> String {
    format!("{} {}", resource.spec.description, owner(resource)).trim().to_owned()
}

fn permissions(resource: &HarborRobot) -> Vec<Permission> {
    let permission = |wanted: &crate::api::RobotPermission| {
        let (kind, namespace) = match wanted.project.as_deref() {
            Some(project) => ("project", project),
            None => ("system", "/"),
        };
        let access = wanted.access.iter().flat_map(|access| {
            let one = |action: &String| Access {
                resource: access.resource.clone(),
                action: action.clone(),
                effect: String::new(),
            };
            access.actions.iter().map(one)
        });
        Permission { kind: kind.to_owned(), namespace: namespace.to_owned(), access: access.collect() }
    };
    resource.spec.permissions.iter().map(permission).collect()
}

/// What permissions come to, however they are written.
fn granted(permissions: &[Permission]) -> BTreeSet<(&str, &str, &str, &str, bool)> {
    let all = permissions.iter().flat_map(|permission| {
        permission.access.iter().map(|access| {
            let place = (permission.kind.as_str(), permission.namespace.as_str());
            (place.0, place.1, access.resource.as_str(), access.action.as_str(), access.effect == "deny")
        })
    });
    all.collect()
}
