//! People: `/api/v2.0/users`, and the portal's login.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use bytes::Bytes;
use hyper::header::SET_COOKIE;
use hyper::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;

use super::administrator::{hashed, matches, random};
use super::artifacts::paged;
use super::session::{SESSION, Who};
use super::state::{Core, stamp};
use super::token::{parameter, parameters};
use crate::answer::{Answer, Fault, body, created, done, ok};
use crate::environment::valid_secret;

const RULE: &str = "the password or secret must be longer than 8 chars with at least 1 uppercase letter, 1 lowercase letter and 1 number";

#[derive(Deserialize)]
struct Creation {
    username: String,
    email: String,
    #[serde(default)]
    realname: String,
    password: String,
    #[serde(default)]
    comment: String,
}

#[derive(Deserialize)]
struct Password {
    #[serde(default)]
    old_password: String,
    new_password: String,
}

#[derive(Deserialize)]
struct Flag {
    sysadmin_flag: bool,
}

fn select() -> String {
    format!(
        "SELECT jsonb_build_object('user_id', user_id, 'username', username, 'email', coalesce(email, ''), 'realname', realname,
         'comment', comment, 'sysadmin_flag', sysadmin_flag, 'admin_role_in_auth', false, 'creation_time', {}, 'update_time', {})
         FROM harbor_user WHERE NOT deleted",
        stamp("creation_time"),
        stamp("update_time")
    )
}

pub(crate) async fn list(State(core): State<Arc<Core>>, uri: Uri, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.may_system("user", "list")?;
    let query = parameter(&uri, "q").unwrap_or_default();
    let name = query.strip_prefix("username=").unwrap_or_default().trim_matches('~').to_owned();
    let text = format!("{} AND ($1 = '' OR username LIKE '%' || $1 || '%') ORDER BY user_id", select());
    paged(core.values(&text, &[&name]).await?, &uri)
}

pub(crate) async fn create(State(core): State<Arc<Core>>, uri: Uri, headers: HeaderMap, bytes: Bytes) -> Answer {
    Who::of(&core, &headers).await?.may_system("user", "create")?;
    let request: Creation = body(&bytes)?;
    if !valid_secret(&request.password) {
        return Err(Fault::bad_request(RULE));
    }
    let salt = random(16);
    let row = core
        .row(
            "INSERT INTO harbor_user (username, email, realname, comment, password, salt) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING RETURNING user_id",
            &[&request.username, &request.email, &request.realname, &request.comment, &hashed(&request.password, &salt), &salt],
        )
        .await?;
    match row {
        Some(row) => created(&format!("{}/{}", uri.path(), row.get::<_, i32>(0)), None),
        None => Err(Fault::conflict(format!("user {} or email {} already exists", request.username, request.email))),
    }
}

pub(crate) async fn current(State(core): State<Arc<Core>>, headers: HeaderMap) -> Answer {
    let who = Who::of(&core, &headers).await?;
    let Some(id) = who.user() else {
        return Err(Fault::unauthorized("unauthorized"));
    };
    ok(core.value(&format!("{} AND user_id = $1", select()), &[&id]).await?.unwrap_or_default())
}

pub(crate) async fn get(State(core): State<Arc<Core>>, Path(id): Path<i32>, headers: HeaderMap) -> Answer {
    let who = Who::of(&core, &headers).await?;
    if who.user() != Some(id) {
        who.may_system("user", "read")?;
    }
    let found = core.value(&format!("{} AND user_id = $1", select()), &[&id]).await?;
    ok(found.ok_or_else(|| Fault::not_found(format!("user {id} not found")))?)
}

pub(crate) async fn delete(State(core): State<Arc<Core>>, Path(id): Path<i32>, headers: HeaderMap) -> Answer {
    let who = Who::of(&core, &headers).await?;
    who.may_system("user", "delete")?;
    if id == 1 || who.user() == Some(id) {
        return Err(Fault::forbidden(format!("User with ID {id} cannot be deleted")));
    }
    let changed = core
        .execute(
            "UPDATE harbor_user SET deleted = true, username = username || '#' || user_id, email = email || '#' || user_id
             WHERE user_id = $1 AND NOT deleted",
            &[&id],
        )
        .await?;
    if changed == 0 { Err(Fault::not_found(format!("user {id} not found"))) } else { done() }
}

pub(crate) async fn password(
    State(core): State<Arc<Core>>,
    Path(id): Path<i32>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let who = Who::of(&core, &headers).await?;
    let own = who.user() == Some(id);
    if !own {
        who.may_system("user", "update")?;
    }
    let request: Password = body(&bytes)?;
    let row = core.row("SELECT password, salt FROM harbor_user WHERE user_id = $1 AND NOT deleted", &[&id]).await?;
    let Some(row) = row else {
        return Err(Fault::not_found(format!("user {id} not found")));
    };
    let (hash, salt): (String, String) = (row.get(0), row.get(1));
    if own && !matches(&request.old_password, &salt, &hash) {
        return Err(Fault::forbidden("Current password is incorrect"));
    }
    if !valid_secret(&request.new_password) {
        return Err(Fault::bad_request(RULE));
    }
    if matches(&request.new_password, &salt, &hash) {
        return Err(Fault::bad_request("New password is identical to old password"));
    }
    let salt = random(16);
    core.execute(
        "UPDATE harbor_user SET password = $2, salt = $3, update_time = CURRENT_TIMESTAMP WHERE user_id = $1",
        &[&id, &hashed(&request.new_password, &salt), &salt],
    )
    .await?;
    done()
}

pub(crate) async fn administrator(
    State(core): State<Arc<Core>>,
    Path(id): Path<i32>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    Who::of(&core, &headers).await?.may_system("user", "update")?;
    let flag: Flag = body(&bytes)?;
    let changed = core
        .execute(
            "UPDATE harbor_user SET sysadmin_flag = $2 WHERE user_id = $1 AND NOT deleted",
            &[&id, &flag.sysadmin_flag],
        )
        .await?;
    if changed == 0 { Err(Fault::not_found(format!("user {id} not found"))) } else { done() }
}

/// `POST /c/login` with `principal` and `password`: a session, kept in Redis.
pub(crate) async fn login(State(core): State<Arc<Core>>, bytes: Bytes) -> Answer {
    let query = format!("/?{}", String::from_utf8_lossy(&bytes));
    let form = query.parse::<Uri>().map(|uri| parameters(&uri)).unwrap_or_default();
    let field =
        |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default();
    let who = Who::logged_in(&core, &field("principal"), &field("password")).await?;
    if who.user().is_none() {
        return Err(Fault::unauthorized("Invalid user name or password"));
    }
    let session = random(24);
    let mut command = redis::cmd("SETEX");
    command.arg(format!("session:{session}")).arg(SESSION).arg(who.name());
    core.sessions.run::<()>(&command).await?;
    let cookie = format!("sid={session}; Path=/; HttpOnly; SameSite=Lax; Max-Age={SESSION}");
    Ok((StatusCode::OK, [(SET_COOKIE, cookie)]).into_response())
}
