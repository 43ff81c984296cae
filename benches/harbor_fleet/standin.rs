//! What answers in place of the programs of every registry: core, which says that all is well, and the registry, which
//! takes the few bytes that are pushed to it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::{Method, StatusCode, Uri, header::LOCATION},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::net::TcpListener;

/// How often each path was asked for.
pub(crate) type Asked = Arc<Mutex<BTreeMap<String, u64>>>;

/// Answers at every address.
pub(crate) async fn start() -> Asked {
    let asked = Asked::default();
    let core = Router::new().fallback(core).with_state(Arc::clone(&asked));
    let registry = Router::new().fallback(registry).with_state(Arc::clone(&asked));
    for (port, router) in [(80, core), (5000, registry)] {
        let listener = TcpListener::bind(("0.0.0.0", port)).await.unwrap();
        tokio::spawn(async { axum::serve(listener, router).await });
    }
    asked
}

async fn core(State(asked): State<Asked>, uri: Uri) -> Response {
    *asked.lock().unwrap().entry(uri.path().to_owned()).or_default() += 1;
    let told = match uri.path() {
        "/api/v2.0/health" => {
            let parts = ["core", "database", "jobservice", "portal", "redis", "registry", "registryctl"];
            let parts = parts.map(|name| json!({ "name": name, "status": "healthy" }));
            json!({ "status": "healthy", "components": parts })
        }
        "/api/v2.0/statistics" => json!({
            "private_project_count": 1, "public_project_count": 1, "total_project_count": 2,
            "private_repo_count": 1, "public_repo_count": 1, "total_repo_count": 2,
            "total_storage_consumption": 1_000_000,
        }),
        "/api/v2.0/users/current" => json!({ "user_id": 1, "username": "admin", "sysadmin_flag": true }),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    Json(told).into_response()
}

/// An upload is begun, and ends.
async fn registry(State(asked): State<Asked>, method: Method, uri: Uri) -> Response {
    *asked.lock().unwrap().entry(format!("registry {method}")).or_default() += 1;
    match method {
        Method::POST => (StatusCode::ACCEPTED, [(LOCATION, format!("{}one", uri.path()))]).into_response(),
        Method::PUT => StatusCode::CREATED.into_response(),
        _ => StatusCode::OK.into_response(),
    }
}
