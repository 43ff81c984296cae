//! What the system says of itself: `/ping`, `/health`, `/systeminfo`, `/statistics`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use hyper::HeaderMap;
use serde_json::json;

use super::configurations;
use super::session::Who;
use super::state::Core;
use crate::answer::{Answer, ok};

pub(crate) async fn ping() -> Answer {
    Ok("Pong".into_response())
}

/// Always 200: the body says how it is.
pub(crate) async fn health(State(core): State<Arc<Core>>) -> Answer {
    let health = core.health.lock().map(|health| health.told()).unwrap_or_default();
    ok(health)
}

pub(crate) async fn info(State(core): State<Arc<Core>>, headers: HeaderMap) -> Answer {
    let who = Who::of(&core, &headers).await?;
    let mut info = json!({
        "auth_mode": configurations::value(&core, "auth_mode").await?,
        "primary_auth_mode": configurations::value(&core, "primary_auth_mode").await?,
        "self_registration": configurations::value(&core, "self_registration").await?,
        "banner_message": configurations::value(&core, "banner_message").await?,
        "oidc_provider_name": "",
    });
    if who.known().is_ok() {
        let external = &core.settings.external;
        info["harbor_version"] = json!(format!("{}-stand-in", core.version.name));
        info["external_url"] = json!(external);
        info["registry_url"] = json!(external.split_once("://").map_or(external.as_str(), |(_, host)| host));
        info["registry_storage_provider_name"] = json!(core.settings.storage);
        info["has_ca_root"] = json!(std::path::Path::new("/etc/core/ca/ca.crt").exists());
        info["current_time"] = json!(jiff::Timestamp::now().to_string());
        for name in ["read_only", "project_creation_restriction", "notification_enable"] {
            info[name] = configurations::value(&core, name).await?;
        }
    }
    ok(info)
}

pub(crate) async fn statistics(State(core): State<Arc<Core>>, headers: HeaderMap) -> Answer {
    let who = Who::of(&core, &headers).await?;
    who.known()?;
    let text = "WITH one AS (SELECT p.project_id, EXISTS (SELECT FROM project_metadata m WHERE m.project_id = p.project_id
             AND m.name = 'public' AND m.value = 'true') AS public,
             (SELECT count(*) FROM repository r WHERE r.project_id = p.project_id) AS repositories FROM project p)
         SELECT jsonb_build_object('total_project_count', count(*), 'public_project_count', count(*) FILTER (WHERE public),
         'private_project_count', count(*) FILTER (WHERE NOT public), 'total_repo_count', coalesce(sum(repositories), 0),
         'public_repo_count', coalesce(sum(repositories) FILTER (WHERE public), 0),
         'private_repo_count', coalesce(sum(repositories) FILTER (WHERE NOT public), 0),
         'total_storage_consumption', (SELECT coalesce(sum(size), 0) FROM blob)) FROM one";
    ok(core.value(text, &[]).await?.unwrap_or_default())
}
