//! Which path leads where.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, OriginalUri, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, delete, get, post, put};

use super::documents::{self, Kind};
use super::schedules::{self, Work};
use super::state::Core;
use super::{artifacts, configurations, jobs, members, metrics, projects, proxy, quotas, robots, system, token, users};
use crate::answer::Fault;

pub(crate) fn router(core: Arc<Core>) -> Router {
    let api = Router::new()
        .merge(of_system())
        .merge(of_projects())
        .merge(of_people())
        .merge(of_documents())
        .merge(of_work(Work::Collection, "gc"))
        .merge(of_work(Work::Purge, "purgeaudit"))
        .merge(of_work(Work::Scan, "scanAll"))
        .layer(from_fn_with_state(Arc::clone(&core), refuse_changes));
    Router::new()
        .nest("/api/v2.0", api)
        .route("/api/version", get(|| async { axum::Json(serde_json::json!({"version": "v2.0"})) }))
        .route("/c/login", post(users::login))
        .route("/service/token", get(token::issue))
        .route("/service/notifications/tasks/{id}", post(schedules::notified))
        .route("/v2", any(proxy::serve))
        .route("/v2/{*path}", any(proxy::serve))
        .route("/v2/", any(proxy::serve))
        .fallback(|| async { Fault::not_found("The requested resource is not found") })
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(&core), metrics::count))
        .with_state(core)
}

/// While the system is read-only, nothing changes but its configuration. Handlers see the whole path, since they tell
/// it in `Location` and `Link`.
async fn refuse_changes(
    State(core): State<Arc<Core>>,
    OriginalUri(whole): OriginalUri,
    mut request: Request,
    next: Next,
) -> Result<Response, Fault> {
    *request.uri_mut() = whole;
    if !request.method().is_safe() && !request.uri().path().ends_with("/configurations") {
        configurations::writable(&core).await?;
    }
    Ok(next.run(request).await)
}

fn of_system() -> Router<Arc<Core>> {
    Router::new()
        .route("/ping", get(system::ping))
        .route("/health", get(system::health))
        .route("/systeminfo", get(system::info))
        .route("/statistics", get(system::statistics))
        .route("/configurations", get(configurations::get).put(configurations::put))
        .route("/internalconfig", get(configurations::internal))
        .route("/quotas", get(quotas::list))
        .route("/quotas/{id}", get(quotas::get).put(quotas::update))
        .route("/jobservice/pools", get(jobs::pools))
        .route("/jobservice/queues", get(jobs::queues))
        .route("/jobservice/queues/{queue}", put(jobs::act))
        .route("/schedules", get(jobs::schedules))
        .route("/schedules/{queue}/paused", get(jobs::paused))
}

fn of_projects() -> Router<Arc<Core>> {
    Router::new()
        .route("/projects", get(projects::list).post(projects::create).head(projects::exists))
        .route("/projects/{project}", get(projects::get).put(projects::update).delete(projects::delete))
        .route("/projects/{project}/summary", get(projects::summary))
        .route("/projects/{project}/members", get(members::list).post(members::create))
        .route("/projects/{project}/members/{id}", get(members::get).put(members::update).delete(members::delete))
        .route("/projects/{project}/repositories", get(artifacts::repositories))
        .route("/projects/{project}/repositories/{repository}", delete(artifacts::delete_repository))
        .route("/projects/{project}/repositories/{repository}/artifacts", get(artifacts::artifacts))
        .route(
            "/projects/{project}/repositories/{repository}/artifacts/{reference}",
            delete(artifacts::delete_artifact),
        )
}

fn of_people() -> Router<Arc<Core>> {
    Router::new()
        .route("/users", get(users::list).post(users::create))
        .route("/users/current", get(users::current))
        .route("/users/{id}", get(users::get).delete(users::delete))
        .route("/users/{id}/password", put(users::password))
        .route("/users/{id}/sysadmin", put(users::administrator))
        .route("/robots", get(robots::list).post(robots::create))
        .route("/robots/{id}", get(robots::get).put(robots::update).patch(robots::refresh).delete(robots::delete))
}

fn of_documents() -> Router<Arc<Core>> {
    let mut router = Router::new().route("/retentions", post(documents::create_retention)).route(
        "/retentions/{id}",
        get(documents::get_retention).put(documents::update_retention).delete(documents::delete_retention),
    );
    for (kind, path) in [(Kind::Registry, "/registries"), (Kind::Replication, "/replication/policies")] {
        let many = get(move |state, uri, headers| documents::list(kind, state, uri, headers))
            .post(move |state, uri, headers, bytes| documents::create(kind, state, uri, headers, bytes));
        let one = get(move |state, id, headers| documents::get(kind, state, id, headers))
            .put(move |state, id, headers, bytes| documents::update(kind, state, id, headers, bytes))
            .delete(move |state, id, headers| documents::delete(kind, state, id, headers));
        router = router.route(path, many).route(&format!("{path}/{{id}}"), one);
    }
    router
}

fn of_work(work: Work, path: &str) -> Router<Arc<Core>> {
    Router::new()
        .route(
            &format!("/system/{path}/schedule"),
            get(move |state, headers| schedules::get(work, state, headers))
                .post(move |state, uri, headers, bytes| schedules::create(work, state, uri, headers, bytes))
                .put(move |state, headers, bytes| schedules::update(work, state, headers, bytes)),
        )
        .route(
            &format!("/system/{path}"),
            get(move |state, uri, headers| schedules::executions(work, state, uri, headers)),
        )
        .route(
            &format!("/system/{path}/{{id}}"),
            get(move |state, id, headers| schedules::execution(work, state, id, headers)),
        )
        .route(
            &format!("/system/{path}/{{id}}/log"),
            get(move |state, id, headers| schedules::log(work, state, id, headers)),
        )
}
