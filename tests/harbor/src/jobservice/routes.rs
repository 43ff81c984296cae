//! Jobservice's API, for core alone, and its metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use bytes::Bytes;
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Jobservice;
use super::queue::TYPES;
use crate::answer::{Answer, Fault, body, done, ok};

pub(crate) fn router(jobservice: Arc<Jobservice>) -> Router {
    Router::new()
        .route("/api/v1/stats", get(stats))
        .route("/api/v1/jobs", post(submit))
        .route("/api/v1/queues", get(queues))
        .route("/api/v1/queues/{queue}", put(act))
        .with_state(jobservice)
}

/// Only core knows the secret.
fn admitted(jobservice: &Jobservice, headers: &HeaderMap) -> Result<(), Fault> {
    let secret = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Harbor-Secret "));
    if secret == Some(&jobservice.core_secret) {
        return Ok(());
    }
    Err(Fault::unauthorized("unauthorized"))
}

/// The probe, too: it needs no secret, and Redis.
async fn stats(State(jobservice): State<Arc<Jobservice>>) -> Answer {
    ok(json!({"worker_pools": jobservice.queue.pools().await?}))
}

#[derive(Deserialize)]
struct Submission {
    job: Submitted,
}

#[derive(Deserialize)]
struct Submitted {
    name: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default)]
    status_hook: String,
}

async fn submit(State(jobservice): State<Arc<Jobservice>>, headers: HeaderMap, bytes: Bytes) -> Answer {
    admitted(&jobservice, &headers)?;
    let job = body::<Submission>(&bytes)?.job;
    if !TYPES.contains(&job.name.as_str()) {
        return Err(Fault::bad_request(format!("job {:?} is not registered", job.name)));
    }
    let id = jobservice.queue.push(&job.name, job.parameters, job.status_hook).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(json!({"job": {"id": id, "name": job.name, "status": "Pending"}})))
        .into_response())
}

async fn queues(State(jobservice): State<Arc<Jobservice>>, headers: HeaderMap) -> Answer {
    admitted(&jobservice, &headers)?;
    ok(jobservice.queue.told().await?)
}

#[derive(Deserialize)]
struct Action {
    action: String,
}

async fn act(
    State(jobservice): State<Arc<Jobservice>>,
    Path(queue): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    admitted(&jobservice, &headers)?;
    jobservice.queue.act(&queue, &body::<Action>(&bytes)?.action).await?;
    done()
}

/// `harbor_jobservice_…`.
pub(crate) fn metrics(jobservice: &Arc<Jobservice>, path: &str) -> Router {
    let jobservice = Arc::clone(jobservice);
    Router::new().route(
        path,
        get(move || {
            let jobservice = Arc::clone(&jobservice);
            async move {
                let workers = jobservice.config.workers();
                let succeeded = jobservice.queue.succeeded.load(Ordering::Relaxed);
                let failed = jobservice.queue.failed.load(Ordering::Relaxed);
                format!(
                    "# TYPE harbor_jobservice_info gauge\n\
                     harbor_jobservice_info{{node=\"stand-in\",pool=\"stand-in\",workers=\"{workers}\"}} 1\n\
                     # TYPE harbor_jobservice_task_total counter\n\
                     harbor_jobservice_task_total{{type=\"all\",status=\"success\"}} {succeeded}\n\
                     harbor_jobservice_task_total{{type=\"all\",status=\"fail\"}} {failed}\n"
                )
            }
        }),
    )
}
