//! Clients of a load balancer: they ask all the time, and whatever is not the member's answer counts as a failure.
//! Touches the network.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::result::Trouble;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often each client asks.
const PACE: Duration = Duration::from_millis(25);
/// How many failures are told.
const TOLD: usize = 5;

type Asker = Client<HttpConnector, Empty<Bytes>>;

/// A client; one that keeps its connections asks again where one was closed before anything was sent, as all do.
fn asker(keeps: bool) -> Asker {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_max_idle_per_host(usize::from(keeps));
    builder.build_http()
}

/// Asks once over a connection of its own; the answer, or why there is none.
pub(super) async fn ask(address: SocketAddr) -> Result<String, String> {
    converse(&asker(false), address, false).await
}

/// What is answered to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

/// Asks `host` for a page over a connection of its own, whatever the status of the answer; or why there is none.
pub(super) async fn get(address: SocketAddr, host: &str, path: &str) -> Result<Answer, String> {
    request(&asker(false), address, &[(header::HOST, host), (header::CONNECTION, "close")], path).await
}

async fn converse(asker: &Asker, address: SocketAddr, keeps: bool) -> Result<String, String> {
    let headers: &[(HeaderName, &str)] = if keeps { &[] } else { &[(header::CONNECTION, "close")] };
    let Answer { status, text, .. } = request(asker, address, headers, "/").await?;
    if status.is_success() { Ok(text) } else { Err(format!("the answer is {status}")) }
}

async fn request(
    asker: &Asker,
    address: SocketAddr,
    headers: &[(HeaderName, &str)],
    path: &str,
) -> Result<Answer, String> {
    let mut request = Request::get(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
    let answer = async {
        let response = asker.request(request).await.map_err(|error| chain(&error))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| format!("the answer broke off: {error}"))?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok(Answer { status: head.status, headers: head.headers, text })
    };
    timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Clients that ask until they are stopped: one with a connection for each request, one that keeps its own.
pub(super) struct Traffic {
    end: watch::Sender<bool>,
    clients: JoinSet<Tally>,
}

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    requests: u64,
    failed: u64,
    /// The first of them.
    failures: Vec<String>,
}

impl Traffic {
    /// Starts asking; `expected` is what the member answers.
    pub(super) fn start(address: SocketAddr, expected: &str) -> Self {
        let (end, ended) = watch::channel(false);
        let expected: Arc<str> = expected.into();
        let mut clients = JoinSet::new();
        for keeps in [false, true] {
            clients.spawn(client(address, keeps, Arc::clone(&expected), ended.clone()));
        }
        Self { end, clients }
    }

    /// Ends it; how many requests were answered.
    pub(super) async fn stop(self) -> Result<u64, Trouble> {
        let Self { end, clients } = self;
        let _ = end.send(true);
        let mut total = Tally::default();
        for tally in clients.join_all().await {
            total.requests += tally.requests;
            total.failed += tally.failed;
            total.failures.extend(tally.failures);
        }
        let Tally { requests, failed, failures } = total;
        match (requests, failed) {
            (0, _) => Err(Trouble::Unmet("no request was made".to_owned())),
            (_, 0) => Ok(requests),
            _ => Err(Trouble::Unmet(format!("{failed} of {requests} requests failed: {}", failures.join("; ")))),
        }
    }
}

async fn client(address: SocketAddr, keeps: bool, expected: Arc<str>, mut end: watch::Receiver<bool>) -> Tally {
    let asker = asker(keeps);
    let mut tally = Tally::default();
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = end.wait_for(|end| *end) => return tally,
        }
        tally.requests += 1;
        let failure = match converse(&asker, address, keeps).await {
            Ok(answer) if answer == *expected => continue,
            Ok(answer) => format!("the answer is {answer:?}"),
            Err(failure) => failure,
        };
        tally.failed += 1;
        if tally.failures.len() < TOLD {
            tally.failures.push(failure);
        }
    }
}
