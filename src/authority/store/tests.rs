//! Keepers against an API server that knows one Secret and its resource version.

use std::sync::Mutex;

use futures::future::join_all;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use jiff::SignedDuration;
use kube::client::Body;

use super::*;

#[derive(Default)]
struct Server {
    secret: Mutex<Option<Secret>>,
    writes: Mutex<Vec<StatusCode>>,
}

impl Server {
    fn answer(&self, method: &Method, body: &[u8]) -> (StatusCode, String) {
        let mut kept = self.secret.lock().expect("not poisoned");
        let sent = serde_json::from_slice::<Secret>(body).ok();
        let version = |secret: &Option<Secret>| secret.as_ref().and_then(|it| it.metadata.resource_version.clone());
        let refused = match (method, kept.is_some()) {
            (&Method::GET | &Method::PUT, false) => Some((StatusCode::NOT_FOUND, "NotFound")),
            (&Method::POST, true) => Some((StatusCode::CONFLICT, "AlreadyExists")),
            (&Method::PUT, true) if version(&sent) != version(&kept) => Some((StatusCode::CONFLICT, "Conflict")),
            _ => None,
        };
        if method != Method::GET {
            let status = refused.map_or(StatusCode::OK, |(status, _)| status);
            self.writes.lock().expect("not poisoned").push(status);
        }
        if let Some((status, reason)) = refused {
            let text = serde_json::json!({"kind": "Status", "status": "Failure", "reason": reason,
                "message": reason, "code": status.as_u16(), "metadata": {}});
            return (status, text.to_string());
        }
        if let Some(mut secret) = sent {
            let next = version(&kept).map_or(1, |version| version.parse::<u64>().expect("a number") + 1);
            secret.metadata.resource_version = Some(next.to_string());
            *kept = Some(secret);
        }
        (StatusCode::OK, serde_json::to_string(&*kept).expect("JSON"))
    }

    fn secrets(self: &Arc<Self>) -> Api<Secret> {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                // Others get their turn between a read and a write.
                tokio::task::yield_now().await;
                let (status, text) = server.answer(&head.method, &body);
                let response = Response::builder().status(status).body(Body::from(text.into_bytes()));
                Ok::<_, kube::Error>(response.expect("a response"))
            }
        });
        Api::namespaced(Client::new(service, "fairway"), "fairway")
    }

    fn writes_with(&self, status: StatusCode) -> usize {
        self.writes.lock().expect("not poisoned").iter().filter(|write| **write == status).count()
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

async fn race(server: &Arc<Server>, now: Timestamp) -> Vec<AuthoritySet> {
    let keepers = (0..4).map(|_| {
        let secrets = server.secrets();
        async move { bring_up_to_date(&secrets, now).await.expect("up to date") }
    });
    join_all(keepers).await
}

#[tokio::test]
async fn operators_that_race_end_with_one_authority() {
    let server = Arc::new(Server::default());
    let first = race(&server, now()).await;
    assert!(first.iter().all(|set| *set == first[0]));
    assert_eq!((server.writes_with(StatusCode::OK), server.writes_with(StatusCode::CONFLICT)), (1, 3));

    let later = now() + SignedDuration::from_hours(500 * 24);
    let second = race(&server, later).await;
    assert!(second.iter().all(|set| *set == second[0]) && second[0] != first[0]);
    assert!(second[0].bundle().starts_with(&first[0].bundle()));
    assert_eq!(server.writes_with(StatusCode::OK), 2);

    let kept = race(&server, later).await;
    assert_eq!((&kept[0], server.writes_with(StatusCode::OK)), (&second[0], 2));
}

#[tokio::test]
async fn what_somebody_else_has_written_is_left_alone() {
    let server = Arc::new(Server::default());
    *server.secret.lock().expect("not poisoned") = Some(Secret::default());
    let error = bring_up_to_date(&server.secrets(), now()).await.expect_err("it is not ours");
    assert!(matches!(error, AuthorityError::Unreadable(_)), "{error}");
    assert!(server.writes.lock().expect("not poisoned").is_empty());
}
