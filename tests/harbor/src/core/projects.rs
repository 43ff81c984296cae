//! Projects: `/api/v2.0/projects`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use bytes::Bytes;
use hyper::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::artifacts::paged;
use super::configurations;
use super::session::{Project, Who};
use super::state::{Core, stamp};
use super::token::parameter;
use crate::answer::{Answer, Fault, body, created, done, ok};

/// What may be written as a project's metadata.
const METADATA: [&str; 10] = [
    "public",
    "enable_content_trust",
    "enable_content_trust_cosign",
    "prevent_vul",
    "severity",
    "auto_scan",
    "auto_sbom_generation",
    "reuse_sys_cve_allowlist",
    "retention_id",
    "proxy_speed_kb",
];

#[derive(Deserialize)]
pub(crate) struct Request {
    project_name: Option<String>,
    public: Option<bool>,
    #[serde(default)]
    metadata: Map<String, Value>,
    cve_allowlist: Option<Allowlist>,
    storage_limit: Option<i64>,
    registry_id: Option<i64>,
}

#[derive(Deserialize)]
struct Allowlist {
    expires_at: Option<i64>,
    #[serde(default)]
    items: Vec<Vulnerability>,
}

#[derive(Deserialize)]
struct Vulnerability {
    cve_id: String,
}

impl Allowlist {
    fn items(&self) -> Value {
        self.items.iter().map(|item| json!({"cve_id": item.cve_id})).collect()
    }
}

fn select() -> String {
    format!(
        "SELECT jsonb_strip_nulls(jsonb_build_object('project_id', p.project_id, 'name', p.name, 'owner_id', p.owner_id, 'owner_name', u.username,
         'registry_id', nullif(p.registry_id, 0), 'creation_time', {}, 'update_time', {},
         'repo_count', (SELECT count(*) FROM repository r WHERE r.project_id = p.project_id),
         'metadata', (SELECT coalesce(jsonb_object_agg(m.name, m.value), '{{}}') FROM project_metadata m WHERE m.project_id = p.project_id),
         'cve_allowlist', jsonb_build_object('id', coalesce(c.id, 0), 'project_id', p.project_id,
             'items', coalesce(c.items, '[]'), 'expires_at', c.expires_at)))
         FROM project p JOIN harbor_user u ON u.user_id = p.owner_id LEFT JOIN cve_allowlist c ON c.project_id = p.project_id",
        stamp("p.creation_time"),
        stamp("p.update_time")
    )
}

/// By name or number: a number that is a name is told by `X-Is-Resource-Name: true`.
pub(crate) async fn find(core: &Core, headers: &HeaderMap, reference: &str) -> Result<Project, Fault> {
    let named = headers.get("x-is-resource-name").is_some_and(|value| value == "true");
    let found = match reference.parse() {
        Ok(id) if !named => Project::numbered(core, id).await?,
        _ => Project::named(core, reference).await?,
    };
    found.ok_or_else(|| Fault::not_found(format!("project {reference} not found")))
}

/// A project that the caller may read. To others it does not show whether it exists.
pub(crate) async fn visible(core: &Core, who: &Who, headers: &HeaderMap, reference: &str) -> Result<Project, Fault> {
    let found = find(core, headers, reference).await;
    match found {
        Ok(project) => {
            who.must(core, &project, "project", "read").await?;
            Ok(project)
        }
        Err(fault) if who.is_administrator() => Err(fault),
        Err(fault) => {
            who.known()?;
            let robot = matches!(who, Who::Robot { project: 0, .. });
            Err(if robot { fault } else { Fault::forbidden("forbidden") })
        }
    }
}

fn valid_name(name: &str) -> bool {
    let groups = name.split(['.', '_', '-']);
    let plain = |group: &str| group.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let edges = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.ends_with(|last: char| last.is_ascii_alphanumeric());
    (1..=255).contains(&name.len()) && edges && groups.into_iter().all(plain)
}

pub(crate) async fn create(State(core): State<Arc<Core>>, uri: Uri, headers: HeaderMap, bytes: Bytes) -> Answer {
    let who = Who::of(&core, &headers).await?;
    who.known()?;
    let restricted = configurations::text(&core, "project_creation_restriction").await? == "adminonly";
    if restricted || who.user().is_none() {
        who.may_system("project", "create")?;
    }
    let request: Request = body(&bytes)?;
    let name = request.project_name.clone().unwrap_or_default();
    if !valid_name(&name) {
        return Err(Fault::bad_request(format!(
            "project name {name} is not in legal length or format: lower letters, digits, and . _ - between them"
        )));
    }
    let metadata = metadata(&request)?;
    let limit = limit(&core, &who, &request).await?;
    if request.registry_id.is_some() {
        return Err(Fault::bad_request("proxy caches are not provided for in the stand-in"));
    }
    let mut client = core.database().await?;
    let transaction = client.transaction().await?;
    let owner = who.user().unwrap_or(1);
    let row = transaction
        .query_opt(
            "INSERT INTO project (owner_id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING project_id",
            &[&owner, &name],
        )
        .await?;
    let Some(row) = row else {
        return Err(Fault::conflict(format!("The project named {name} already exists")));
    };
    let id: i32 = row.get(0);
    transaction
        .execute("INSERT INTO project_member (project_id, entity_id, role) VALUES ($1, $2, 1)", &[&id, &owner])
        .await?;
    transaction
        .execute(
            "WITH one AS (INSERT INTO quota (reference, reference_id, hard)
             VALUES ('project', $1, jsonb_build_object('storage', $2::bigint)) RETURNING id)
             INSERT INTO quota_usage (id) SELECT id FROM one",
            &[&id.to_string(), &limit],
        )
        .await?;
    transaction.commit().await?;
    write(&core, id, &metadata, request.cve_allowlist.as_ref()).await?;
    let named = headers.get("x-resource-name-in-location").is_some_and(|value| value == "true");
    let place = if named { name } else { id.to_string() };
    created(&format!("{}/{place}", uri.path().trim_end_matches('/')), None)
}

fn metadata(request: &Request) -> Result<Map<String, Value>, Fault> {
    let mut metadata = request.metadata.clone();
    if let Some(public) = request.public {
        metadata.entry("public").or_insert(json!(public.to_string()));
    }
    metadata.retain(|_, value| !value.is_null());
    for (name, value) in &metadata {
        let Some(text) = value.as_str() else {
            return Err(Fault::unprocessable(format!("metadata.{name} in body must be of type string")));
        };
        if !METADATA.contains(&name.as_str()) {
            return Err(Fault::unprocessable(format!("metadata.{name} is not known")));
        }
        let choices: &[&str] = match name.as_str() {
            "severity" => &["none", "low", "medium", "high", "critical"],
            "retention_id" | "proxy_speed_kb" => continue,
            _ => &["true", "false"],
        };
        if !choices.contains(&text) {
            return Err(Fault::bad_request(format!(
                "metadata.{name} should be one of {}, but got: '{text}'",
                choices.join(", ")
            )));
        }
    }
    Ok(metadata)
}

async fn limit(core: &Core, who: &Who, request: &Request) -> Result<i64, Fault> {
    let own = request.storage_limit.filter(|limit| *limit != 0 && who.is_administrator());
    match own {
        Some(limit) if limit < -1 => Err(Fault::bad_request("storage_limit must be -1 or more than 0")),
        Some(limit) => Ok(limit),
        None => configurations::number(core, "storage_per_project").await,
    }
}

async fn write(
    core: &Core,
    id: i32,
    metadata: &Map<String, Value>,
    allowlist: Option<&Allowlist>,
) -> Result<(), Fault> {
    for (name, value) in metadata {
        core.execute(
            "INSERT INTO project_metadata (project_id, name, value) VALUES ($1, $2, $3)
             ON CONFLICT (project_id, name) DO UPDATE SET value = $3",
            &[&id, name, &value.as_str().unwrap_or_default()],
        )
        .await?;
    }
    if let Some(list) = allowlist {
        core.execute(
            "INSERT INTO cve_allowlist (project_id, items, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (project_id) DO UPDATE SET items = $2, expires_at = $3",
            &[&id, &list.items(), &list.expires_at],
        )
        .await?;
    }
    Ok(())
}

pub(crate) async fn list(State(core): State<Arc<Core>>, uri: Uri, headers: HeaderMap) -> Answer {
    let who = Who::of(&core, &headers).await?;
    let everything = who.may_system("project", "list").is_ok();
    let text = format!(
        "{} WHERE ($1 OR p.project_id IN (SELECT project_id FROM project_metadata WHERE name = 'public' AND value = 'true')
         OR p.project_id IN (SELECT project_id FROM project_member WHERE entity_id = $2))
         AND ($3 = '' OR p.name LIKE '%' || $3 || '%') ORDER BY p.name",
        select()
    );
    let query = parameter(&uri, "q").unwrap_or_default();
    let name = parameter(&uri, "name")
        .or_else(|| Some(query.strip_prefix("name=")?.trim_matches('~').to_owned()))
        .unwrap_or_default();
    paged(core.values(&text, &[&everything, &who.user().unwrap_or_default(), &name]).await?, &uri)
}

/// `HEAD /projects?project_name=NAME`.
pub(crate) async fn exists(State(core): State<Arc<Core>>, uri: Uri, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.known()?;
    let name = parameter(&uri, "project_name").unwrap_or_default();
    match Project::named(&core, &name).await? {
        Some(_) => done(),
        None => Ok(StatusCode::NOT_FOUND.into_response()),
    }
}

pub(crate) async fn get(State(core): State<Arc<Core>>, Path(reference): Path<String>, headers: HeaderMap) -> Answer {
    let who = Who::of(&core, &headers).await?;
    let project = visible(&core, &who, &headers, &reference).await?;
    let text = format!("{} WHERE p.project_id = $1", select());
    ok(core.value(&text, &[&project.id]).await?.unwrap_or_default())
}

pub(crate) async fn update(
    State(core): State<Arc<Core>>,
    Path(reference): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let who = Who::of(&core, &headers).await?;
    let project = visible(&core, &who, &headers, &reference).await?;
    who.must(&core, &project, "project", "update").await?;
    let request: Request = body(&bytes)?;
    write(&core, project.id, &metadata(&request)?, request.cve_allowlist.as_ref()).await?;
    core.execute("UPDATE project SET update_time = CURRENT_TIMESTAMP WHERE project_id = $1", &[&project.id]).await?;
    done()
}

pub(crate) async fn delete(State(core): State<Arc<Core>>, Path(reference): Path<String>, headers: HeaderMap) -> Answer {
    let who = Who::of(&core, &headers).await?;
    let project = visible(&core, &who, &headers, &reference).await?;
    who.must(&core, &project, "project", "delete").await?;
    if core.number("SELECT count(*) FROM repository WHERE project_id = $1", &[&project.id]).await? > 0 {
        return Err(Fault::precondition("the project contains repositories, can not be deleted"));
    }
    core.execute("DELETE FROM robot WHERE project_id = $1", &[&project.id]).await?;
    core.execute("DELETE FROM cve_allowlist WHERE project_id = $1", &[&project.id]).await?;
    core.execute("DELETE FROM quota WHERE reference = 'project' AND reference_id = $1", &[&project.id.to_string()])
        .await?;
    core.execute("DELETE FROM project WHERE project_id = $1", &[&project.id]).await?;
    done()
}

/// `GET /projects/PROJECT/summary`: its quota and its members.
pub(crate) async fn summary(
    State(core): State<Arc<Core>>,
    Path(reference): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let who = Who::of(&core, &headers).await?;
    let project = visible(&core, &who, &headers, &reference).await?;
    let text = "SELECT jsonb_build_object('repo_count', (SELECT count(*) FROM repository WHERE project_id = $1),
         'project_admin_count', (SELECT count(*) FROM project_member WHERE project_id = $1 AND role = 1),
         'quota', (SELECT jsonb_build_object('hard', q.hard, 'used', u.used) FROM quota q JOIN quota_usage u USING (id)
                   WHERE q.reference = 'project' AND q.reference_id = $2))";
    ok(core.value(text, &[&project.id, &project.id.to_string()]).await?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::valid_name;

    #[test]
    fn names_are_as_docker_has_them() {
        for name in ["a", "team-1", "a.b_c"] {
            assert!(valid_name(name), "{name}");
        }
        for name in ["", "A", "-a", "a-", "a b", "a/b"] {
            assert!(!valid_name(name), "{name}");
        }
    }
}
