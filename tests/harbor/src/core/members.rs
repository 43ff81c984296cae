//! Members of a project: `/api/v2.0/projects/PROJECT/members`.

use std::sync::Arc;

use axum::extract::{Path, State};
use bytes::Bytes;
use hyper::{HeaderMap, Uri};
use serde::Deserialize;

use super::artifacts::paged;
use super::projects::visible;
use super::session::{Project, Who};
use super::state::Core;
use crate::answer::{Answer, Fault, body, created, done, ok};

#[derive(Deserialize)]
struct Request {
    role_id: i32,
    member_user: Option<Member>,
}

#[derive(Deserialize)]
struct Member {
    username: Option<String>,
    user_id: Option<i32>,
}

const SELECT: &str = "SELECT jsonb_build_object('id', m.id, 'project_id', m.project_id, 'entity_name', u.username,
    'role_id', m.role, 'role_name', (ARRAY['projectAdmin', 'developer', 'guest', 'maintainer', 'limitedGuest'])[m.role],
    'entity_id', m.entity_id, 'entity_type', m.entity_type) FROM project_member m JOIN harbor_user u ON u.user_id = m.entity_id
    WHERE m.project_id = $1";

async fn admitted(core: &Core, headers: &HeaderMap, reference: &str, action: &str) -> Result<Project, Fault> {
    let who = Who::of(core, headers).await?;
    let project = visible(core, &who, headers, reference).await?;
    who.must(core, &project, "member", action).await?;
    Ok(project)
}

fn role(role: i32) -> Result<i32, Fault> {
    if (1..=5).contains(&role) { Ok(role) } else { Err(Fault::bad_request(format!("role id {role} is not valid"))) }
}

pub(crate) async fn list(
    State(core): State<Arc<Core>>,
    Path(reference): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let project = admitted(&core, &headers, &reference, "list").await?;
    let name = super::token::parameter(&uri, "entityname").unwrap_or_default();
    let text = format!("{SELECT} AND u.username LIKE '%' || $2 || '%' ORDER BY m.id");
    paged(core.values(&text, &[&project.id, &name]).await?, &uri)
}

pub(crate) async fn create(
    State(core): State<Arc<Core>>,
    Path(reference): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let project = admitted(&core, &headers, &reference, "create").await?;
    let request: Request = body(&bytes)?;
    let role = role(request.role_id)?;
    let Some(member) = request.member_user else {
        return Err(Fault::bad_request("member_user is missing; groups are not provided for in the stand-in"));
    };
    let row = core
        .row(
            "SELECT user_id FROM harbor_user WHERE NOT deleted AND (username = $1 OR user_id = $2)",
            &[&member.username.clone().unwrap_or_default(), &member.user_id.unwrap_or_default()],
        )
        .await?;
    let Some(row) = row else {
        return Err(Fault::not_found(format!("user {} not found", member.username.unwrap_or_default())));
    };
    let row = core
        .row(
            "INSERT INTO project_member (project_id, entity_id, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING id",
            &[&project.id, &row.get::<_, i32>(0), &role],
        )
        .await?;
    match row {
        Some(row) => created(&format!("{}/{}", uri.path(), row.get::<_, i32>(0)), None),
        None => Err(Fault::conflict("the member exists already in the project")),
    }
}

pub(crate) async fn get(
    State(core): State<Arc<Core>>,
    Path((reference, id)): Path<(String, i32)>,
    headers: HeaderMap,
) -> Answer {
    let project = admitted(&core, &headers, &reference, "read").await?;
    let found = core.value(&format!("{SELECT} AND m.id = $2"), &[&project.id, &id]).await?;
    ok(found.ok_or_else(|| Fault::not_found(format!("member {id} not found")))?)
}

pub(crate) async fn update(
    State(core): State<Arc<Core>>,
    Path((reference, id)): Path<(String, i32)>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let project = admitted(&core, &headers, &reference, "update").await?;
    let role = role(body::<Request>(&bytes)?.role_id)?;
    let changed = core
        .execute("UPDATE project_member SET role = $3 WHERE project_id = $1 AND id = $2", &[&project.id, &id, &role])
        .await?;
    if changed == 0 { Err(Fault::not_found(format!("member {id} not found"))) } else { done() }
}

pub(crate) async fn delete(
    State(core): State<Arc<Core>>,
    Path((reference, id)): Path<(String, i32)>,
    headers: HeaderMap,
) -> Answer {
    let project = admitted(&core, &headers, &reference, "delete").await?;
    let gone =
        core.execute("DELETE FROM project_member WHERE project_id = $1 AND id = $2", &[&project.id, &id]).await?;
    if gone == 0 { Err(Fault::not_found(format!("member {id} not found"))) } else { done() }
}
