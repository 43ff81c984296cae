//! What jobservice does: its pools and queues, as it tells them, and the schedules.

use std::sync::Arc;

use axum::extract::{Path, State};
use bytes::Bytes;
use hyper::{HeaderMap, Method, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::artifacts::paged;
use super::session::Who;
use super::state::{Core, stamp};
use crate::answer::{Answer, Fault, body, done, ok};

#[derive(Deserialize)]
struct Action {
    action: String,
}

async fn ask(core: &Core, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Fault> {
    let url = format!("{}{path}", core.settings.urls.jobservice);
    Ok(core.client.json(method, &url, Some(&core.authorization()), body).await?)
}

pub(crate) async fn pools(State(core): State<Arc<Core>>, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.may_system("jobservice-monitor", "list")?;
    let stats = ask(&core, Method::GET, "/api/v1/stats", None).await?;
    ok(stats["worker_pools"].clone())
}

pub(crate) async fn queues(State(core): State<Arc<Core>>, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.may_system("jobservice-monitor", "list")?;
    ok(ask(&core, Method::GET, "/api/v1/queues", None).await?)
}

/// `{"action": "stop"|"pause"|"resume"}` for one queue or `all`.
pub(crate) async fn act(
    State(core): State<Arc<Core>>,
    Path(queue): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    Who::of(&core, &headers).await?.may_system("jobservice-monitor", "stop")?;
    let action = body::<Action>(&bytes)?.action.to_lowercase();
    if !matches!(action.as_str(), "stop" | "pause" | "resume") {
        return Err(Fault::bad_request("the action is not supported"));
    }
    let path = format!("/api/v1/queues/{}", queue.to_uppercase());
    ask(&core, Method::PUT, &path, Some(&json!({"action": action}))).await?;
    done()
}

pub(crate) async fn schedules(State(core): State<Arc<Core>>, uri: Uri, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.may_system("jobservice-monitor", "list")?;
    let text = format!(
        "SELECT jsonb_build_object('id', id, 'vendor_type', vendor_type, 'vendor_id', 0, 'cron', cron, 'update_time', {})
         FROM schedule ORDER BY id",
        stamp("update_time")
    );
    paged(core.values(&text, &[]).await?, &uri)
}

/// Whether schedules are paused: the queue of the scheduler is.
pub(crate) async fn paused(State(core): State<Arc<Core>>, Path(queue): Path<String>, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.known()?;
    if !queue.eq_ignore_ascii_case("all") {
        return Err(Fault::bad_request("job_type can only be 'all'"));
    }
    let queues = ask(&core, Method::GET, "/api/v1/queues", None).await?;
    let paused = queues
        .as_array()
        .into_iter()
        .flatten()
        .any(|queue| queue["job_type"] == "SCHEDULER" && queue["paused"] == true);
    ok(json!({"paused": paused}))
}
