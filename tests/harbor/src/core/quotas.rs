//! Quotas: `/api/v2.0/quotas`.

use std::sync::Arc;

use axum::extract::{Path, State};
use bytes::Bytes;
use hyper::{HeaderMap, Uri};
use serde::Deserialize;

use super::artifacts::paged;
use super::session::Who;
use super::state::{Core, stamp};
use super::token::parameter;
use crate::answer::{Answer, Fault, body, done, ok};

#[derive(Deserialize)]
struct Request {
    hard: Hard,
}

#[derive(Deserialize)]
struct Hard {
    storage: i64,
}

fn select() -> String {
    format!(
        "SELECT jsonb_build_object('id', q.id, 'ref', jsonb_build_object('id', p.project_id, 'name', p.name, 'owner_name', o.username),
         'hard', q.hard, 'used', u.used, 'creation_time', {}, 'update_time', {})
         FROM quota q JOIN quota_usage u USING (id) JOIN project p ON p.project_id::text = q.reference_id
         JOIN harbor_user o ON o.user_id = p.owner_id WHERE q.reference = 'project'",
        stamp("q.creation_time"),
        stamp("q.update_time")
    )
}

pub(crate) async fn list(State(core): State<Arc<Core>>, uri: Uri, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.may_system("quota", "list")?;
    let reference = parameter(&uri, "reference_id").unwrap_or_default();
    let text = format!("{} AND ($1 = '' OR q.reference_id = $1) ORDER BY q.id", select());
    paged(core.values(&text, &[&reference]).await?, &uri)
}

pub(crate) async fn get(State(core): State<Arc<Core>>, Path(id): Path<i32>, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.may_system("quota", "read")?;
    let found = core.value(&format!("{} AND q.id = $1", select()), &[&id]).await?;
    ok(found.ok_or_else(|| Fault::not_found(format!("quota {id} not found")))?)
}

pub(crate) async fn update(
    State(core): State<Arc<Core>>,
    Path(id): Path<i32>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    Who::of(&core, &headers).await?.may_system("quota", "update")?;
    let limit = body::<Request>(&bytes)?.hard.storage;
    if limit == 0 || limit < -1 {
        return Err(Fault::bad_request(format!(
            "invalid value for resource storage: {limit}; -1 or more than 0 is wanted"
        )));
    }
    let changed = core
        .execute(
            "UPDATE quota SET hard = jsonb_build_object('storage', $2::bigint), update_time = CURRENT_TIMESTAMP WHERE id = $1",
            &[&id, &limit],
        )
        .await?;
    if changed == 0 { Err(Fault::not_found(format!("quota {id} not found"))) } else { done() }
}
