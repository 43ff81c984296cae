//! Who asks, and what they may do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE};
use serde_json::Value;

use super::administrator::matches;
use super::configurations;
use super::state::Core;
use crate::answer::Fault;

/// Sessions of the portal last so long, in seconds.
pub(crate) const SESSION: u64 = 3600;

/// A caller.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    Nobody,
    User {
        id: i32,
        name: String,
        administrator: bool,
    },
    Robot {
        name: String,
        project: i32,
        permissions: Value,
    },
    /// Another component, by its secret.
    Component,
}

/// A project, as far as rights go.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub(crate) id: i32,
    pub(crate) name: String,
    pub(crate) public: bool,
}

impl Project {
    pub(crate) async fn named(core: &Core, name: &str) -> Result<Option<Self>, Fault> {
        Self::found(core, "p.name = $1", &name).await
    }

    pub(crate) async fn numbered(core: &Core, id: i32) -> Result<Option<Self>, Fault> {
        Self::found(core, "p.project_id = $1", &id).await
    }

    async fn found(core: &Core, which: &str, value: super::state::Parameter<'_>) -> Result<Option<Self>, Fault> {
        let text = format!(
            "SELECT p.project_id, p.name, coalesce(m.value, 'false') = 'true' FROM project p
             LEFT JOIN project_metadata m ON m.project_id = p.project_id AND m.name = 'public' WHERE {which}"
        );
        Ok(core.row(&text, &[value]).await?.map(|row| Self { id: row.get(0), name: row.get(1), public: row.get(2) }))
    }
}

impl Who {
    /// By `Harbor-Secret`, basic credentials or a session; wrong credentials are nobody's.
    pub(crate) async fn of(core: &Core, headers: &HeaderMap) -> Result<Self, Fault> {
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Some(secret) = header.strip_prefix("Harbor-Secret ") {
            let known = [&core.settings.jobservice_secret, &core.settings.core_secret];
            return Ok(if known.iter().any(|own| *own == secret) { Self::Component } else { Self::Nobody });
        }
        if let Some(encoded) = header.strip_prefix("Basic ") {
            let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            return match decoded.as_deref().and_then(|text| text.split_once(':')) {
                Some((name, password)) => Self::logged_in(core, name, password).await,
                None => Ok(Self::Nobody),
            };
        }
        if !header.is_empty() {
            return Ok(Self::Nobody);
        }
        Self::of_session(core, headers).await
    }

    /// By name and password, or a robot's secret.
    pub(crate) async fn logged_in(core: &Core, name: &str, password: &str) -> Result<Self, Fault> {
        let prefix = configurations::text(core, "robot_name_prefix").await?;
        if let Some(robot) = name.strip_prefix(prefix.as_str()) {
            return Self::robot(core, name, robot, password).await;
        }
        let row = core
            .row(
                "SELECT user_id, password, salt, sysadmin_flag FROM harbor_user WHERE username = $1 AND NOT deleted",
                &[&name],
            )
            .await?;
        if core.is_locked_out(name) {
            return Ok(Self::Nobody);
        }
        Ok(match row {
            Some(row) if matches(password, row.get(2), row.get(1)) => {
                Self::User { id: row.get(0), name: name.to_owned(), administrator: row.get(3) }
            }
            _ => {
                core.lock_out(name).await;
                Self::Nobody
            }
        })
    }

    /// `robot` is `name` of the system's, or `project+name`.
    async fn robot(core: &Core, full: &str, robot: &str, secret: &str) -> Result<Self, Fault> {
        let row = match robot.split_once('+') {
            Some((project, name)) => {
                core.row(
                    "SELECT r.project_id, r.secret, r.salt, r.permissions, r.disabled, r.expiresat FROM robot r
                     JOIN project p USING (project_id) WHERE p.name = $1 AND r.name = $2",
                    &[&project, &name],
                )
                .await?
            }
            None => {
                core.row(
                    "SELECT project_id, secret, salt, permissions, disabled, expiresat FROM robot
                     WHERE project_id = 0 AND name = $1",
                    &[&robot],
                )
                .await?
            }
        };
        let Some(row) = row else {
            return Ok(Self::Nobody);
        };
        let expires: i64 = row.get(5);
        let over = expires != -1 && expires <= jiff::Timestamp::now().as_second();
        if over || row.get(4) || !matches(secret, row.get(2), row.get(1)) {
            return Ok(Self::Nobody);
        }
        Ok(Self::Robot { name: full.to_owned(), project: row.get(0), permissions: row.get(3) })
    }

    async fn of_session(core: &Core, headers: &HeaderMap) -> Result<Self, Fault> {
        let cookies = headers.get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some(session) = cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix("sid=")) else {
            return Ok(Self::Nobody);
        };
        let name: Option<String> = core.sessions.run(redis::cmd("GET").arg(format!("session:{session}"))).await?;
        let Some(name) = name else {
            return Ok(Self::Nobody);
        };
        let row = core
            .row("SELECT user_id, sysadmin_flag FROM harbor_user WHERE username = $1 AND NOT deleted", &[&name])
            .await?;
        Ok(row.map_or(Self::Nobody, |row| Self::User { id: row.get(0), name, administrator: row.get(1) }))
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Nobody => String::new(),
            Self::User { name, .. } | Self::Robot { name, .. } => name.clone(),
            Self::Component => "harbor-component".to_owned(),
        }
    }

    pub(crate) fn is_administrator(&self) -> bool {
        matches!(self, Self::User { administrator: true, .. } | Self::Component)
    }

    /// The number of a person.
    pub(crate) fn user(&self) -> Option<i32> {
        match self {
            Self::User { id, .. } => Some(*id),
            _ => None,
        }
    }

    pub(crate) fn known(&self) -> Result<(), Fault> {
        if matches!(self, Self::Nobody) {
            return Err(Fault::unauthorized("unauthorized"));
        }
        Ok(())
    }

    /// Whether the system lets them: administrators, and robots whose permissions say so.
    pub(crate) fn may_system(&self, resource: &str, action: &str) -> Result<(), Fault> {
        self.known()?;
        let granted = self.is_administrator()
            || matches!(self, Self::Robot { permissions, project: 0, .. } if holds(permissions, "system", "/", resource, action));
        if granted { Ok(()) } else { Err(Fault::forbidden("forbidden")) }
    }

    /// Whether a project lets them.
    pub(crate) async fn may(
        &self,
        core: &Core,
        project: &Project,
        resource: &str,
        action: &str,
    ) -> Result<bool, Fault> {
        let reading = matches!(
            (resource, action),
            ("repository", "pull" | "read" | "list") | ("project" | "artifact", "read" | "list")
        );
        if self.is_administrator() || (project.public && reading) {
            return Ok(true);
        }
        match self {
            Self::Robot { permissions, project: own, .. } => {
                Ok((*own == 0 || *own == project.id) && holds(permissions, "project", &project.name, resource, action))
            }
            Self::User { id, .. } => {
                let role = core
                    .row("SELECT role FROM project_member WHERE project_id = $1 AND entity_id = $2", &[&project.id, id])
                    .await?
                    .map(|row| row.get::<_, i32>(0));
                Ok(role.is_some_and(|role| allows(role, resource, action)))
            }
            _ => Ok(false),
        }
    }

    /// `may`, or why not.
    pub(crate) async fn must(&self, core: &Core, project: &Project, resource: &str, action: &str) -> Result<(), Fault> {
        if self.may(core, project, resource, action).await? {
            return Ok(());
        }
        self.known()?;
        Err(Fault::forbidden("forbidden"))
    }
}

/// Roles: 1 administrator, 2 developer, 3 guest, 4 maintainer, 5 limited guest.
fn allows(role: i32, resource: &str, action: &str) -> bool {
    let reads = matches!(action, "pull" | "read" | "list");
    match role {
        1 => true,
        4 => resource != "member" && (reads || resource != "project"),
        2 => reads || (resource == "repository" && action == "push"),
        3 | 5 => reads && resource != "robot",
        _ => false,
    }
}

/// Whether a robot's permissions hold this one.
fn holds(permissions: &Value, kind: &str, namespace: &str, resource: &str, action: &str) -> bool {
    permissions.as_array().into_iter().flatten().any(|permission| {
        permission["kind"] == kind
            && (permission["namespace"] == namespace || permission["namespace"] == "*")
            && permission["access"].as_array().into_iter().flatten().any(|access| {
                access["resource"] == resource && access["action"] == action && access["effect"] != "deny"
            })
    })
}
