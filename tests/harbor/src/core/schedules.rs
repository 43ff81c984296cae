//! Work of the system: `/api/v2.0/system/{gc,purgeaudit,scanAll}`, by schedule or at once. What runs at once is given to
//! jobservice; a schedule is kept and shown, and never comes due here.

use std::sync::Arc;

use axum::extract::{Path, State};
use bytes::Bytes;
use hyper::{HeaderMap, Uri};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::artifacts::paged;
use super::session::Who;
use super::state::{Core, stamp};
use crate::answer::{Answer, Fault, body, created, done, ok};

/// One kind of work.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Work {
    Collection,
    Purge,
    Scan,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Collection => "GARBAGE_COLLECTION",
            Self::Purge => "PURGE_AUDIT_LOG",
            Self::Scan => "SCAN_ALL",
        }
    }

    fn resource(self) -> &'static str {
        match self {
            Self::Collection => "garbage-collection",
            Self::Purge => "purge-audit",
            Self::Scan => "scan-all",
        }
    }
}

#[derive(Deserialize)]
struct Request {
    schedule: Schedule,
    #[serde(default)]
    parameters: Map<String, Value>,
}

#[derive(Deserialize)]
struct Schedule {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    cron: String,
}

pub(crate) async fn get(work: Work, State(core): State<Arc<Core>>, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.may_system(work.resource(), "read")?;
    let text = format!(
        "SELECT jsonb_build_object('id', id, 'job_name', vendor_type, 'job_kind', 'SCHEDULE', 'job_parameters', parameters::text,
         'schedule', jsonb_build_object('type', cron_type, 'cron', cron), 'creation_time', {}, 'update_time', {})
         FROM schedule WHERE vendor_type = $1",
        stamp("creation_time"),
        stamp("update_time")
    );
    match core.value(&text, &[&work.name()]).await? {
        Some(schedule) => ok(schedule),
        None => ok(json!({})),
    }
}

pub(crate) async fn create(
    work: Work,
    State(core): State<Arc<Core>>,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    Who::of(&core, &headers).await?.may_system(work.resource(), "create")?;
    let request: Request = body(&bytes)?;
    let scheduled = core.number("SELECT count(*) FROM schedule WHERE vendor_type = $1", &[&work.name()]).await? > 0;
    if work == Work::Scan && scheduled && request.schedule.kind != "Manual" {
        return Err(Fault::precondition(
            "fail to set schedule for scan all as always had one, please delete it firstly then to re-schedule",
        ));
    }
    let id = set(&core, work, request).await?;
    let folder = uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    created(&format!("{folder}/{id}"), None)
}

pub(crate) async fn update(work: Work, State(core): State<Arc<Core>>, headers: HeaderMap, bytes: Bytes) -> Answer {
    Who::of(&core, &headers).await?.may_system(work.resource(), "update")?;
    let request: Request = body(&bytes)?;
    if work == Work::Scan && request.schedule.kind == "Manual" {
        return Err(Fault::bad_request("fail to update scan all schedule as wrong schedule type: Manual"));
    }
    set(&core, work, request).await?;
    done()
}

/// Keeps the schedule, or runs at once and says as what.
async fn set(core: &Core, work: Work, request: Request) -> Result<i64, Fault> {
    check(work, &request)?;
    match request.schedule.kind.as_str() {
        "None" => {
            core.execute("DELETE FROM schedule WHERE vendor_type = $1", &[&work.name()]).await?;
            Ok(0)
        }
        "Manual" => run(core, work, request.parameters).await,
        "Hourly" | "Daily" | "Weekly" | "Custom" => {
            if let Some(problem) = super::cron::problem(&request.schedule.cron) {
                return Err(Fault::bad_request(format!(
                    "invalid cron string: {}, error: {problem}",
                    request.schedule.cron
                )));
            }
            core.execute(
                "INSERT INTO schedule (vendor_type, cron_type, cron, parameters) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (vendor_type) DO UPDATE SET cron_type = $2, cron = $3, parameters = $4, update_time = CURRENT_TIMESTAMP",
                &[&work.name(), &request.schedule.kind, &request.schedule.cron, &Value::Object(request.parameters)],
            )
            .await?;
            Ok(0)
        }
        other => Err(Fault::unprocessable(format!(
            "schedule.type in body should be one of [Hourly Daily Weekly Custom Manual None Schedule], not {other:?}"
        ))),
    }
}

fn check(work: Work, request: &Request) -> Result<(), Fault> {
    let known: &[&str] = match work {
        Work::Collection => &["delete_untagged", "delete_tag", "dry_run", "workers"],
        Work::Purge => &["audit_retention_hour", "include_event_types", "dry_run"],
        Work::Scan => &[],
    };
    for (name, value) in &request.parameters {
        if !known.contains(&name.as_str()) {
            return Err(Fault::bad_request(format!("there is no parameter {name:?}")));
        }
        if name == "workers" && !value.as_i64().is_some_and(|workers| (1..=10).contains(&workers)) {
            return Err(Fault::bad_request(format!(
                "Error: Invalid number of workers:{value}. Workers must be greater than 0 and less than or equal to 10."
            )));
        }
    }
    Ok(())
}

async fn run(core: &Core, work: Work, mut parameters: Map<String, Value>) -> Result<i64, Fault> {
    let told = Value::Object(parameters.clone());
    let row = core
        .row(
            "INSERT INTO execution (vendor_type, status, trigger, extra_attrs) VALUES ($1, 'Pending', 'MANUAL', $2) RETURNING id",
            &[&work.name(), &told],
        )
        .await?;
    let id = row.map(|row| i64::from(row.get::<_, i32>(0))).unwrap_or_default();
    parameters.insert("redis_url_reg".to_owned(), json!(core.settings.redis_registry));
    parameters.insert("time_window".to_owned(), json!(core.settings.gc_window_hours));
    let job = json!({"job": {"name": work.name(), "parameters": parameters, "metadata": {"kind": "Generic"},
        "status_hook": format!("{}/service/notifications/tasks/{id}", core.settings.urls.core)}});
    let url = format!("{}/api/v1/jobs", core.settings.urls.jobservice);
    if let Err(error) = core.client.json(hyper::Method::POST, &url, Some(&core.authorization()), Some(&job)).await {
        core.execute(
            "UPDATE execution SET status = 'Error', status_message = 'not submitted' WHERE id = $1::bigint",
            &[&id],
        )
        .await?;
        return Err(error.into());
    }
    Ok(id)
}

fn history() -> String {
    format!(
        "SELECT jsonb_build_object('id', id, 'job_name', vendor_type, 'job_kind', trigger, 'job_status', status,
         'job_parameters', extra_attrs::text, 'schedule', jsonb_build_object('type', trigger), 'creation_time', {}, 'update_time', {})
         FROM execution WHERE vendor_type = $1",
        stamp("start_time"),
        stamp("update_time")
    )
}

pub(crate) async fn executions(work: Work, State(core): State<Arc<Core>>, uri: Uri, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.may_system(work.resource(), "list")?;
    paged(core.values(&format!("{} ORDER BY id DESC", history()), &[&work.name()]).await?, &uri)
}

pub(crate) async fn execution(
    work: Work,
    State(core): State<Arc<Core>>,
    Path(id): Path<i32>,
    headers: HeaderMap,
) -> Answer {
    Who::of(&core, &headers).await?.may_system(work.resource(), "read")?;
    let found = core.value(&format!("{} AND id = $2", history()), &[&work.name(), &id]).await?;
    ok(found.ok_or_else(|| Fault::not_found(format!("execution {id} not found")))?)
}

/// What the last run has to say.
pub(crate) async fn log(work: Work, State(core): State<Arc<Core>>, Path(id): Path<i32>, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.may_system(work.resource(), "read")?;
    let row = core
        .row("SELECT status_message FROM execution WHERE vendor_type = $1 AND id = $2", &[&work.name(), &id])
        .await?;
    let row = row.ok_or_else(|| Fault::not_found(format!("the log of {id} is not found")))?;
    Ok(axum::response::IntoResponse::into_response(row.get::<_, String>(0)))
}

#[derive(Deserialize)]
struct Change {
    status: String,
    #[serde(default)]
    message: String,
}

/// Jobservice tells how a job goes.
pub(crate) async fn notified(
    State(core): State<Arc<Core>>,
    Path(id): Path<i32>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    if !matches!(Who::of(&core, &headers).await?, Who::Component) {
        return Err(Fault::unauthorized("unauthorized"));
    }
    let change: Change = body(&bytes)?;
    core.execute(
        "UPDATE execution SET status = $2, status_message = $3, update_time = CURRENT_TIMESTAMP WHERE id = $1",
        &[&id, &change.status, &change.message],
    )
    .await?;
    done()
}
