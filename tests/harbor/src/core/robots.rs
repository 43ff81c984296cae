//! Robots: `/api/v2.0/robots`. Their secret is told once, when it is made.

use std::sync::Arc;

use axum::extract::{Path, State};
use bytes::Bytes;
use hyper::{HeaderMap, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::administrator::{hashed, random};
use super::artifacts::paged;
use super::configurations;
use super::robot_rules::{problem, valid_name};
use super::session::{Project, Who};
use super::state::{Core, stamp};
use super::token::parameter;
use crate::answer::{Answer, Fault, body, created, done, ok};
use crate::environment::valid_secret;

const DAY: i64 = 86_400;

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    level: String,
    duration: Option<i64>,
    #[serde(default)]
    disable: bool,
    #[serde(default)]
    permissions: Value,
}

#[derive(Deserialize)]
struct Secret {
    #[serde(default)]
    secret: String,
}

fn select(prefix: &str) -> String {
    format!(
        "SELECT jsonb_build_object('id', r.id,
         'name', '{}' || CASE WHEN r.project_id = 0 THEN r.name ELSE p.name || '+' || r.name END,
         'description', r.description, 'level', CASE WHEN r.project_id = 0 THEN 'system' ELSE 'project' END,
         'duration', r.duration, 'expires_at', r.expiresat, 'disable', r.disabled, 'editable', true,
         'permissions', r.permissions, 'creation_time', {}, 'update_time', {})
         FROM robot r LEFT JOIN project p ON p.project_id = r.project_id",
        prefix.replace('\'', "''"),
        stamp("r.creation_time"),
        stamp("r.update_time")
    )
}

/// The rights that a robot's level asks of who looks after it.
async fn admitted(core: &Core, who: &Who, project: i32, action: &str) -> Result<(), Fault> {
    if project == 0 {
        return who.may_system("robot", action);
    }
    let Some(project) = Project::numbered(core, project).await? else {
        return Err(Fault::not_found(format!("project {project} not found")));
    };
    who.must(core, &project, "robot", action).await
}

/// The robot's project (0: the system's), name and time of creation in seconds.
async fn found(core: &Core, id: i32) -> Result<(i32, String, i64), Fault> {
    let text = "SELECT project_id, name, extract(epoch FROM creation_time)::bigint FROM robot WHERE id = $1";
    let row = core.row(text, &[&id]).await?;
    let row = row.ok_or_else(|| Fault::not_found(format!("robot {id} not found")))?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

/// The project of a robot of level `project`.
async fn project_of(core: &Core, request: &Request) -> Result<i32, Fault> {
    if request.level == "system" {
        return Ok(0);
    }
    let name = request.permissions[0]["namespace"].as_str().unwrap_or_default();
    let project = Project::named(core, name).await?;
    project.map(|project| project.id).ok_or_else(|| Fault::not_found(format!("project {name} not found")))
}

fn new_secret() -> String {
    // With one of each kind that Harbor's rule asks for.
    format!("{}aA1", random(24))
}

pub(crate) async fn create(State(core): State<Arc<Core>>, uri: Uri, headers: HeaderMap, bytes: Bytes) -> Answer {
    let who = Who::of(&core, &headers).await?;
    who.known()?;
    let request: Request = body(&bytes)?;
    if !valid_name(&request.name) {
        return Err(Fault::bad_request(format!("robot name is not in legal length or format: {:?}", request.name)));
    }
    let Some(duration) = request.duration else {
        return Err(Fault::unprocessable("duration in body is required"));
    };
    if let Some(problem) = problem(&request.level, duration, &request.permissions) {
        return Err(Fault::bad_request(problem));
    }
    let project = project_of(&core, &request).await?;
    admitted(&core, &who, project, "create").await?;
    let (secret, salt) = (new_secret(), random(16));
    let expires = if duration == -1 { -1 } else { jiff::Timestamp::now().as_second() + duration * DAY };
    let row = core
        .row(
            "INSERT INTO robot (name, description, project_id, secret, salt, duration, expiresat, disabled, permissions)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING id",
            &[
                &request.name,
                &request.description,
                &project,
                &hashed(&secret, &salt),
                &salt,
                &duration,
                &expires,
                &request.disable,
                &request.permissions,
            ],
        )
        .await?;
    let Some(row) = row else {
        return Err(Fault::conflict(format!("robot account {} already exists", request.name)));
    };
    let id: i32 = row.get(0);
    let made = one(&core, id).await?;
    let answer = json!({"id": id, "name": made["name"], "secret": secret, "creation_time": made["creation_time"],
        "expires_at": expires});
    created(&format!("{}/{id}", uri.path()), Some(answer))
}

async fn one(core: &Core, id: i32) -> Result<Value, Fault> {
    let prefix = configurations::text(core, "robot_name_prefix").await?;
    let found = core.value(&format!("{} WHERE r.id = $1", select(&prefix)), &[&id]).await?;
    found.ok_or_else(|| Fault::not_found(format!("robot {id} not found")))
}

/// `q=Level=project,ProjectID=1`; without it, the system's.
pub(crate) async fn list(State(core): State<Arc<Core>>, uri: Uri, headers: HeaderMap) -> Answer {
    let who = Who::of(&core, &headers).await?;
    who.known()?;
    let query = parameter(&uri, "q").unwrap_or_default();
    let keyword = |name: &str| {
        query.split(',').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
    };
    let project = match keyword("Level") {
        None | Some("system") => 0,
        Some("project") => keyword("ProjectID")
            .and_then(|id| id.parse().ok())
            .filter(|id| *id > 0)
            .ok_or_else(|| Fault::bad_request("must with project ID when to query project robots"))?,
        Some(_) => return Err(Fault::bad_request("bad request error level input")),
    };
    admitted(&core, &who, project, "list").await?;
    let prefix = configurations::text(&core, "robot_name_prefix").await?;
    let name = keyword("name").unwrap_or_default().trim_matches('~').to_owned();
    let text = format!(
        "{} WHERE r.project_id = $1 AND ($2 = '' OR r.name LIKE '%' || $2 || '%') ORDER BY r.id",
        select(&prefix)
    );
    paged(core.values(&text, &[&project, &name]).await?, &uri)
}

pub(crate) async fn get(State(core): State<Arc<Core>>, Path(id): Path<i32>, headers: HeaderMap) -> Answer {
    let who = Who::of(&core, &headers).await?;
    who.known()?;
    let (project, ..) = found(&core, id).await?;
    admitted(&core, &who, project, "read").await?;
    ok(one(&core, id).await?)
}

pub(crate) async fn update(
    State(core): State<Arc<Core>>,
    Path(id): Path<i32>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let who = Who::of(&core, &headers).await?;
    who.known()?;
    let (project, _, made) = found(&core, id).await?;
    let request: Request = body(&bytes)?;
    let current = one(&core, id).await?;
    let duration = request.duration.or(current["duration"].as_i64()).unwrap_or(-1);
    if let Some(problem) = problem(&request.level, duration, &request.permissions) {
        return Err(Fault::bad_request(problem));
    }
    if request.level == "project" && project_of(&core, &request).await? != project {
        return Err(Fault::bad_request("cannot update the project id of robot"));
    }
    admitted(&core, &who, project, "update").await?;
    if current["level"] != request.level.as_str() || current["name"] != request.name.as_str() {
        return Err(Fault::bad_request("cannot update the level or name of robot"));
    }
    let expires = if duration == -1 { -1 } else { made + duration * DAY };
    core.execute(
        "UPDATE robot SET description = $2, duration = $3, expiresat = $4, disabled = $5, permissions = $6,
         update_time = CURRENT_TIMESTAMP WHERE id = $1",
        &[&id, &request.description, &duration, &expires, &request.disable, &request.permissions],
    )
    .await?;
    done()
}

/// A new secret: the caller's, or one made here, which is told.
pub(crate) async fn refresh(
    State(core): State<Arc<Core>>,
    Path(id): Path<i32>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let who = Who::of(&core, &headers).await?;
    who.known()?;
    let (project, ..) = found(&core, id).await?;
    admitted(&core, &who, project, "update").await?;
    let asked: Secret = body(&bytes)?;
    if !asked.secret.is_empty() && !valid_secret(&asked.secret) {
        return Err(Fault::bad_request(
            "the secret must be 8-128, inclusively, characters long with at least 1 uppercase letter, 1 lowercase letter and 1 number",
        ));
    }
    let (secret, told) = match asked.secret {
        secret if secret.is_empty() => {
            let made = new_secret();
            (made.clone(), made)
        }
        secret => (secret, String::new()),
    };
    let salt = random(16);
    core.execute(
        "UPDATE robot SET secret = $2, salt = $3, update_time = CURRENT_TIMESTAMP WHERE id = $1",
        &[&id, &hashed(&secret, &salt), &salt],
    )
    .await?;
    ok(json!({"secret": told}))
}

pub(crate) async fn delete(State(core): State<Arc<Core>>, Path(id): Path<i32>, headers: HeaderMap) -> Answer {
    let who = Who::of(&core, &headers).await?;
    who.known()?;
    let (project, ..) = found(&core, id).await?;
    admitted(&core, &who, project, "delete").await?;
    core.execute("DELETE FROM robot WHERE id = $1", &[&id]).await?;
    done()
}
