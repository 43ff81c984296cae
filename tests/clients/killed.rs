//! The operator of projects and robots cut off at each of its writes, to Kubernetes and to Harbor, before it is done and
//! after: one project, one robot and a Secret that counts come of it, and nothing of them is left when they go.

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex, atomic::Ordering},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use fairway::{
    api::{HarborProject, HarborRobot},
    clients::harbor::RobotLevel,
};
use http::{Method, StatusCode, Uri, header};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::{Client, api::DeleteParams};
use serde_json::json;
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::task::AbortOnDropHandle;
use tower::service_fn;

use crate::{
    ground::{Ground, run},
    server::operator_client,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

/// What cuts the operator off, once. Behind it everybody is a member of each project already, by names that no list shows.
#[derive(Default)]
struct Trap {
    /// How many writes were seen, and at which it snaps.
    writes: Mutex<(usize, Option<(usize, Moment)>)>,
    /// What was written of robots in Harbor, and of their Secret.
    of_robots: Mutex<Vec<String>>,
    cut: Notify,
}

impl Trap {
    fn set(&self, write: usize, moment: Moment) {
        *self.writes.lock().unwrap() = (0, Some((write, moment)));
    }

    fn snapped(&self) -> bool {
        self.writes.lock().unwrap().1.is_none()
    }

    /// Whether the operator is cut off at this write. Events are not waited for.
    fn counts(&self, method: &Method, path: &str) -> Option<Moment> {
        if *method == Method::GET || path.ends_with("/events") {
            return None;
        }
        if path.starts_with("/api/v2.0/robots") || path.ends_with("/secrets/ci-pull") {
            let what = path.split('/').rev().find(|part| ["robots", "secrets"].contains(part)).unwrap();
            self.of_robots.lock().unwrap().push(format!("{method} {what}"));
        }
        let mut writes = self.writes.lock().unwrap();
        writes.0 += 1;
        let (count, trap) = &mut *writes;
        trap.take_if(|(at, _)| at == count).map(|(_, moment)| moment)
    }

    /// Nothing that was asked for is answered any more.
    async fn snap(&self) {
        self.cut.notify_one();
        pending::<()>().await;
    }
}

/// The operator's rights, by way of the trap.
async fn kubernetes(trap: &Arc<Trap>) -> Client {
    let (client, trap) = (operator_client().await, Arc::clone(trap));
    let namespace = client.default_namespace().to_owned();
    let send = service_fn(move |request: http::Request<kube::client::Body>| {
        let (client, trap) = (client.clone(), Arc::clone(&trap));
        async move {
            let moment = trap.counts(request.method(), request.uri().path());
            if moment == Some(Moment::Before) {
                trap.snap().await;
            }
            let answer = client.send(request).await;
            if moment == Some(Moment::After) {
                trap.snap().await;
            }
            answer
        }
    });
    Client::new(send, namespace)
}

type Behind = (Arc<Trap>, String, Http<HttpConnector, Body>);

/// Where core is, by way of the trap.
async fn harbor(trap: &Arc<Trap>, core: &str) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let behind = (Arc::clone(trap), core.to_owned(), Http::builder(TokioExecutor::new()).build_http());
    let knows_otherwise =
        post(async || (StatusCode::CONFLICT, r#"{"errors":[{"code":"CONFLICT","message":"exists"}]}"#));
    let router = Router::new()
        .route("/api/v2.0/projects/{project}/members", knows_otherwise.fallback(pass))
        .fallback(pass)
        .with_state(behind);
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, AbortOnDropHandle::new(serving))
}

async fn pass(State((trap, core, http)): State<Behind>, mut request: Request) -> Result<Response, Infallible> {
    let moment = trap.counts(request.method(), request.uri().path());
    if moment == Some(Moment::Before) {
        trap.snap().await;
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    *request.uri_mut() = format!("{core}{path}").parse::<Uri>().unwrap();
    request.headers_mut().remove(header::HOST);
    request.headers_mut().remove(header::CONNECTION);
    let answer = http.request(request).await.unwrap();
    if moment == Some(Moment::After) {
        trap.snap().await;
    }
    Ok(answer.map(Body::new))
}

/// As it is of users whom LDAP knows in other letters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whom_harbor_names_otherwise_is_told() {
    let ground = Arc::new(Box::pin(Ground::new()).await);
    let trap = Arc::new(Trap::default());
    let (core, _proxy) = harbor(&trap, &ground.core.url).await;
    let _operator = AbortOnDropHandle::new(tokio::spawn(keep(Arc::clone(&ground), Arc::clone(&trap), core)));
    ground.project(json!({ "members": [{ "user": "Anna", "role": "Developer" }] })).await;
    let told = ground.told("MemberNamedOtherwise").await;
    assert!(told.contains("\"Anna\" is a member already") && told.contains("as Harbor shows it"), "{told}");
}

/// Runs the operator, again whenever it is cut off.
async fn keep(ground: Arc<Ground>, trap: Arc<Trap>, core: String) {
    loop {
        let client = kubernetes(&trap).await;
        tokio::select! {
            () = run(&ground, client, core.clone(), pending()) => panic!("it has ended by itself"),
            () = trap.cut.notified() => {}
        }
    }
}

/// Both come, count, and go.
async fn live(ground: &Ground) {
    ground.project(json!({ "deletionPolicy": "Delete", "quota": "1Gi", "public": true })).await;
    ground.says::<HarborProject>("team", "Synced", "True/Synced").await;
    ground.robot(json!({ "duration": 30 })).await;
    ground.says::<HarborRobot>("ci", "Synced", "True/Synced").await;
    ground.says::<HarborRobot>("ci", "Ready", "True/Ready").await;
    let login = ground.credentials("").await;
    assert_eq!(ground.granted(&login).await, ["pull"]);
    let harbor = ground.core.administrator();
    let project = harbor.project("team").await.unwrap().unwrap();
    assert_eq!(harbor.robots(RobotLevel::Project(project.id)).await.unwrap().len(), 1);
    ground.api::<HarborRobot>().delete("ci", &DeleteParams::default()).await.unwrap();
    ground.gone::<HarborRobot>("ci").await;
    assert_eq!(harbor.robots(RobotLevel::Project(project.id)).await.unwrap(), []);
    // There is nobody who collects garbage.
    let secrets = ground.api::<k8s_openapi::api::core::v1::Secret>();
    secrets.delete("ci-pull", &DeleteParams::default()).await.unwrap();
    ground.api::<HarborProject>().delete("team", &DeleteParams::default()).await.unwrap();
    ground.gone::<HarborProject>("team").await;
    assert_eq!(harbor.project("team").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_between_a_new_secret_in_harbor_and_where_pods_read_it() {
    let ground = Arc::new(Box::pin(Ground::new()).await);
    let trap = Arc::new(Trap::default());
    let (core, _proxy) = harbor(&trap, &ground.core.url).await;
    let start = || AbortOnDropHandle::new(tokio::spawn(keep(Arc::clone(&ground), Arc::clone(&trap), core.clone())));
    let operator = start();
    ground.project(json!({})).await;
    ground.robot(json!({ "duration": 90, "rotation": { "after": 30 } })).await;
    ground.says::<HarborRobot>("ci", "Synced", "True/Synced").await;
    let (_, first) = ground.credentials("").await;
    drop(operator);
    ground.days.store(31, Ordering::Relaxed);
    trap.of_robots.lock().unwrap().clear();
    let _operator = start();
    ground.credentials(&first).await;
    // It is chosen; then the robot is to live longer, has the secret, and pods have it too.
    let written = trap.of_robots.lock().unwrap().clone();
    assert_eq!(written[..4], ["PATCH secrets", "PUT robots", "PATCH robots", "PATCH secrets"], "{written:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_may_be_cut_off_at_each_of_its_writes() {
    let ground = Arc::new(Box::pin(Ground::new()).await);
    let trap = Arc::new(Trap::default());
    let (core, _proxy) = harbor(&trap, &ground.core.url).await;
    let _operator = AbortOnDropHandle::new(tokio::spawn(keep(Arc::clone(&ground), Arc::clone(&trap), core)));
    for moment in [Moment::Before, Moment::After] {
        let mut cut = 0;
        loop {
            trap.set(cut + 1, moment);
            live(&ground).await;
            if !trap.snapped() {
                break;
            }
            cut += 1;
        }
        assert!(cut >= 10, "the operator wrote {cut} times only");
    }
}
