//! What is kept as it was written: other registries, replication policies, and tag retention.

use std::sync::Arc;

use axum::extract::{Path, State};
use bytes::Bytes;
use hyper::{HeaderMap, Uri};
use serde_json::{Value, json};

use super::artifacts::paged;
use super::session::{Project, Who};
use super::state::{Core, stamp};
use super::vault;
use crate::answer::{Answer, Fault, body, created, done, ok};

/// `/registries` and `/replication/policies`, by their tables.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Registry,
    Replication,
}

impl Kind {
    fn table(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Replication => "replication_policy",
        }
    }

    fn resource(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Replication => "replication-policy",
        }
    }
}

fn select(kind: Kind) -> String {
    let secret = match kind {
        Kind::Registry => "access_secret",
        Kind::Replication => "''",
    };
    format!(
        "SELECT document || jsonb_build_object('id', id, 'name', name, 'creation_time', {}, 'update_time', {}), {secret} FROM {}",
        stamp("creation_time"),
        stamp("update_time"),
        kind.table()
    )
}

/// What Harbor tells of it: a secret that can't be decrypted is an error of its own.
fn told(core: &Core, row: &tokio_postgres::Row) -> Result<Value, Fault> {
    let mut document: Value = row.get(0);
    let secret: String = row.get(1);
    if !secret.is_empty() {
        vault::decrypt(&core.settings.secret_key, &secret)?;
        document["credential"]["access_secret"] = json!("*****");
    }
    Ok(document)
}

pub(crate) async fn list(kind: Kind, State(core): State<Arc<Core>>, uri: Uri, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.may_system(kind.resource(), "list")?;
    let rows = core.rows(&format!("{} ORDER BY id", select(kind)), &[]).await?;
    let told: Result<Vec<Value>, Fault> = rows.iter().map(|row| told(&core, row)).collect();
    paged(told?, &uri)
}

pub(crate) async fn get(kind: Kind, State(core): State<Arc<Core>>, Path(id): Path<i32>, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.may_system(kind.resource(), "read")?;
    let row = core.row(&format!("{} WHERE id = $1", select(kind)), &[&id]).await?;
    ok(told(&core, &row.ok_or_else(|| Fault::not_found(format!("{} {id} not found", kind.resource())))?)?)
}

pub(crate) async fn create(
    kind: Kind,
    State(core): State<Arc<Core>>,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    Who::of(&core, &headers).await?.may_system(kind.resource(), "create")?;
    let document: Value = body(&bytes)?;
    let name = check(kind, &document)?;
    let (document, secret) = sealed(&core, document)?;
    let row = match kind {
        Kind::Registry => {
            let text = "INSERT INTO registry (name, document, access_secret) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING id";
            core.row(text, &[&name, &document, &secret]).await?
        }
        Kind::Replication => {
            let text =
                "INSERT INTO replication_policy (name, document) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id";
            core.row(text, &[&name, &document]).await?
        }
    };
    match row {
        Some(row) => created(&format!("{}/{}", uri.path(), row.get::<_, i32>(0)), None),
        None => Err(Fault::conflict(format!("{} {name} already exists", kind.resource()))),
    }
}

pub(crate) async fn update(
    kind: Kind,
    State(core): State<Arc<Core>>,
    Path(id): Path<i32>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    Who::of(&core, &headers).await?.may_system(kind.resource(), "update")?;
    let change: Value = body(&bytes)?;
    if !change.is_object() {
        return Err(Fault::unprocessable("the body is no object"));
    }
    let text =
        format!("UPDATE {} SET document = document || $2, update_time = CURRENT_TIMESTAMP WHERE id = $1", kind.table());
    let (change, secret) = sealed(&core, change)?;
    if core.execute(&text, &[&id, &change]).await? == 0 {
        return Err(Fault::not_found(format!("{} {id} not found", kind.resource())));
    }
    if matches!(kind, Kind::Registry) && !secret.is_empty() {
        core.execute("UPDATE registry SET access_secret = $2 WHERE id = $1", &[&id, &secret]).await?;
    }
    done()
}

pub(crate) async fn delete(
    kind: Kind,
    State(core): State<Arc<Core>>,
    Path(id): Path<i32>,
    headers: HeaderMap,
) -> Answer {
    Who::of(&core, &headers).await?.may_system(kind.resource(), "delete")?;
    let gone = core.execute(&format!("DELETE FROM {} WHERE id = $1", kind.table()), &[&id]).await?;
    if gone == 0 { Err(Fault::not_found(format!("{} {id} not found", kind.resource()))) } else { done() }
}

fn check(kind: Kind, document: &Value) -> Result<String, Fault> {
    let name = document["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Err(Fault::unprocessable("name in body is required"));
    }
    if matches!(kind, Kind::Registry) {
        let url = document["url"].as_str().unwrap_or_default();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Fault::bad_request(format!("invalid URL: {url:?}")));
        }
        if document["type"].as_str().unwrap_or_default().is_empty() {
            return Err(Fault::bad_request("type in body is required"));
        }
    }
    Ok(name.to_owned())
}

/// The document without its secret, and the secret, encrypted.
fn sealed(core: &Core, mut document: Value) -> Result<(Value, String), Fault> {
    let secret = document.pointer_mut("/credential/access_secret").map(Value::take);
    match secret.as_ref().and_then(Value::as_str) {
        Some(secret) if !secret.is_empty() => Ok((document, vault::encrypt(&core.settings.secret_key, secret)?)),
        _ => Ok((document, String::new())),
    }
}

/// The project that a retention policy is for.
async fn retained(core: &Core, who: &Who, document: &Value, action: &str) -> Result<Project, Fault> {
    let id = document["scope"]["ref"].as_i64().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
    if document["scope"]["level"] != "project" {
        return Err(Fault::bad_request("scope.level must be project"));
    }
    let Some(project) = Project::numbered(core, id).await? else {
        return Err(Fault::bad_request(format!("there is no project {id}")));
    };
    who.must(core, &project, "tag-retention", action).await?;
    Ok(project)
}

fn check_retention(document: &Value) -> Result<(), Fault> {
    if document["algorithm"] != "or" {
        return Err(Fault::unprocessable("algorithm must be \"or\""));
    }
    let rules = document["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rules.len() > 15 {
        return Err(Fault::bad_request("only 15 retention rules are allowed at most"));
    }
    for (place, rule) in rules.iter().enumerate() {
        if rules[..place].contains(rule) {
            return Err(Fault::conflict("duplicate rule"));
        }
        for field in ["template", "action", "tag_selectors", "scope_selectors"] {
            if rule[field].is_null() {
                return Err(Fault::unprocessable(format!("rules: {field} is required")));
            }
        }
    }
    let cron = document["trigger"]["settings"]["cron"].as_str().unwrap_or_default();
    match super::cron::problem(cron) {
        Some(problem) if !cron.is_empty() => Err(Fault::bad_request(problem)),
        _ => Ok(()),
    }
}

pub(crate) async fn create_retention(
    State(core): State<Arc<Core>>,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let who = Who::of(&core, &headers).await?;
    who.known()?;
    let document: Value = body(&bytes)?;
    check_retention(&document)?;
    let project = retained(&core, &who, &document, "create").await?;
    let text =
        "INSERT INTO retention_policy (project_id, document) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id";
    let Some(row) = core.row(text, &[&project.id, &document]).await? else {
        return Err(Fault::bad_request(format!("project {} already has retention policy", project.name)));
    };
    let id: i32 = row.get(0);
    core.execute(
        "INSERT INTO project_metadata (project_id, name, value) VALUES ($1, 'retention_id', $2)
         ON CONFLICT (project_id, name) DO UPDATE SET value = $2",
        &[&project.id, &id.to_string()],
    )
    .await?;
    created(&format!("{}/{id}", uri.path()), None)
}

async fn retention(core: &Core, headers: &HeaderMap, id: i32, action: &str) -> Result<Value, Fault> {
    let who = Who::of(core, headers).await?;
    who.known()?;
    let found = core
        .value("SELECT document || jsonb_build_object('id', id) FROM retention_policy WHERE id = $1", &[&id])
        .await?;
    let document = found.ok_or_else(|| Fault::not_found(format!("no such Retention policy with id {id}")))?;
    retained(core, &who, &document, action).await?;
    Ok(document)
}

pub(crate) async fn get_retention(State(core): State<Arc<Core>>, Path(id): Path<i32>, headers: HeaderMap) -> Answer {
    ok(retention(&core, &headers, id, "read").await?)
}

pub(crate) async fn update_retention(
    State(core): State<Arc<Core>>,
    Path(id): Path<i32>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    retention(&core, &headers, id, "update").await?;
    let document: Value = body(&bytes)?;
    check_retention(&document)?;
    core.execute(
        "UPDATE retention_policy SET document = $2, update_time = CURRENT_TIMESTAMP WHERE id = $1",
        &[&id, &document],
    )
    .await?;
    done()
}

pub(crate) async fn delete_retention(State(core): State<Arc<Core>>, Path(id): Path<i32>, headers: HeaderMap) -> Answer {
    retention(&core, &headers, id, "delete").await?;
    core.execute("DELETE FROM project_metadata WHERE name = 'retention_id' AND value = $1", &[&id.to_string()]).await?;
    core.execute("DELETE FROM retention_policy WHERE id = $1", &[&id]).await?;
    done()
}
