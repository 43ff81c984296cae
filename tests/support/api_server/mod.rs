//! A Kubernetes API server in memory, for tests of what speaks to one: as strict as the real one in what
//! an operator lives by (versions, server-side apply, subresources, finalizers, preconditions, watches),
//! and able to fail on demand.
//!
//! It knows no schemas but those of `schema.rs`: any group, version and plural in a path is served. All
//! it needs is a `tokio` runtime; with paused time nothing in it waits.

#![allow(dead_code, reason = "each test binary uses its own part")]

mod apply;
mod faults;
mod fields;
mod patch;
mod route;
mod schema;
mod selector;
mod store;
mod verbs;
mod watch;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture, stream::BoxStream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::{Client, client::Body};
use serde_json::{Value, json};

use self::{faults::Faults, store::Store};
pub(crate) use self::{
    faults::{Fault, What},
    route::{Request, Verb},
};

/// What a request is answered with.
type Response = http::Response<StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;
/// A connection that breaks.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A server; clones are the same one.
#[derive(Clone)]
pub(crate) struct ApiServer {
    store: Arc<Mutex<Store>>,
    faults: Arc<Mutex<Faults>>,
    moved: Arc<tokio::sync::watch::Sender<u64>>,
}

/// A refusal, as the API tells it.
#[derive(Debug)]
struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
    /// Reasons of single causes.
    causes: Vec<&'static str>,
}

fn refusal<T>(code: u16, reason: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, reason, message: message.into(), causes: vec![] })
}

impl Refusal {
    /// Nothing can be made where all is being deleted.
    fn terminating((_, plural, namespace, name): &store::Id) -> Self {
        let message = format!(
            "{plural} {name:?} is forbidden: unable to create new content in namespace {namespace} because it is being terminated"
        );
        Self { code: 403, reason: "Forbidden", message, causes: vec!["NamespaceTerminating"] }
    }

    fn body(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "code": self.code, "reason": self.reason, "message": self.message,
            "details": { "causes": self.causes.iter().map(|reason| json!({ "reason": reason })).collect::<Vec<_>>() },
        })
    }
}

impl ApiServer {
    /// An empty server.
    pub(crate) fn new() -> Self {
        Self {
            store: Arc::new(Mutex::new(Store::default())),
            faults: Arc::default(),
            moved: Arc::new(tokio::sync::watch::channel(0).0),
        }
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Client {
        Client::new(Service(self.clone()), "default")
    }

    /// Lets something go wrong.
    pub(crate) fn fault(&self, fault: Fault) {
        self.faults().add(fault);
    }

    /// Lets nothing go wrong any more.
    pub(crate) fn heal(&self) {
        self.faults().clear();
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.faults().log.clone()
    }

    /// Every request so far that writes, other than events and leases.
    pub(crate) fn writes(&self) -> Vec<Request> {
        self.requests().into_iter().filter(Request::writes).collect()
    }

    /// Forgets what was asked so far.
    pub(crate) fn forget_requests(&self) {
        self.faults().log.clear();
    }

    /// Changes what is stored as every later write stores it, such as to add defaults.
    pub(crate) fn normalise(&self, with: impl Fn(&mut Value) + Send + 'static) {
        self.store().normalise = Some(Box::new(with));
    }

    /// Lets a namespace be one that is being deleted.
    pub(crate) fn terminate(&self, namespace: &str) {
        self.store().terminating.insert(namespace.to_owned());
    }

    /// Ends every watch; they may be begun again where they ended.
    pub(crate) fn cut_watches(&self) {
        self.store().cuts += 1;
        self.wake();
    }

    /// Forgets all history, so that watches from before have to list again (410 Gone).
    pub(crate) fn forget_history(&self) {
        self.store().forget_history();
        self.cut_watches();
    }

    /// Holds back what watches would tell, until called with `false`.
    pub(crate) fn hold_watches(&self, hold: bool) {
        self.store().held = hold;
        self.wake();
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.moved.send_modify(|count| *count += 1);
    }

    /// Does what the request asks for.
    fn perform(&self, request: &Request) -> Response {
        let answer = match request.verb {
            Verb::Watch => return watch::answer(self, request),
            _ => self.store().perform(request),
        };
        if request.verb != Verb::Get && request.verb != Verb::List {
            self.wake();
        }
        match answer {
            Ok((code, body)) => whole(code, &body),
            Err(refusal) => whole(refusal.code, &refusal.body()),
        }
    }

    async fn answer(self, request: http::Request<Body>) -> Result<Response, Broken> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let request = match Request::read(&parts, &body) {
            Ok(request) => request,
            Err(refusal) => return Ok(whole(refusal.code, &refusal.body())),
        };
        let what = self.faults().judge(&request);
        match what {
            None => Ok(self.perform(&request)),
            Some(What::Fail(code)) => {
                let message = "a fault that the test asked for".to_owned();
                Ok(whole(code, &Refusal { code, reason: "Fault", message, causes: vec![] }.body()))
            }
            Some(What::Delay(time)) => {
                tokio::time::sleep(time).await;
                Ok(self.perform(&request))
            }
            Some(What::DropRequest) => Err("the connection broke before the request arrived".into()),
            Some(What::DropReply) => {
                self.perform(&request);
                Err("the connection broke before the answer arrived".into())
            }
            Some(What::Hang) => std::future::pending().await,
            Some(What::Crash(notify)) => {
                self.perform(&request);
                notify.notify_one();
                std::future::pending().await
            }
        }
    }
}

fn whole(code: u16, body: &Value) -> Response {
    let frame = Frame::data(Bytes::from(body.to_string()));
    let stream: BoxStream<'static, _> = Box::pin(futures::stream::iter([Ok(frame)]));
    let mut response = http::Response::new(StreamBody::new(stream));
    *response.status_mut() = http::StatusCode::from_u16(code).expect("a status code");
    response
}

/// The server as `kube` sees it.
struct Service(ApiServer);

impl tower::Service<http::Request<Body>> for Service {
    type Response = Response;
    type Error = Broken;
    type Future = BoxFuture<'static, Result<Response, Broken>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Broken>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.clone().answer(request).boxed()
    }
}
