//! The operator as a process of this machine, behind a proxy that counts what it writes and kills it at one
//! of its writes. Touches the processes that it starts, and the API server as the operator itself does.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, Uri, header, request::Parts};
use http_body_util::BodyExt;
use kube::Client;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{net::TcpListener, process::Command};
use tokio_util::task::AbortOnDropHandle;

/// When the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before the write has reached the API server.
    Before,
    /// When it is done, and not answered yet.
    After,
}

/// At which write, counted from 1, and when.
struct Trap {
    write: usize,
    moment: Moment,
}

/// What proxy and keeper share.
struct Shared {
    client: Client,
    process: AtomicI32,
    starts: AtomicUsize,
    writes: Mutex<(usize, Option<Trap>)>,
}

/// The operator, which is started again whenever it has ended.
pub(crate) struct Outside {
    shared: Arc<Shared>,
    _proxy: AbortOnDropHandle<()>,
    _keeper: AbortOnDropHandle<()>,
}

impl Outside {
    /// Starts `binary`, which has the rights of `client`. No other operator may run.
    pub(crate) async fn start(client: Client, binary: PathBuf, environment: Vec<(&'static str, String)>) -> Self {
        let writes = Mutex::new((0, None));
        let shared = Shared { client, process: AtomicI32::new(0), starts: AtomicUsize::new(0), writes };
        let shared = Arc::new(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let proxy = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let keeper = tokio::spawn(keep(Arc::clone(&shared), server, binary, environment));
        Self { shared, _proxy: AbortOnDropHandle::new(proxy), _keeper: AbortOnDropHandle::new(keeper) }
    }

    /// Kills it at the write of this number from now on, once.
    pub(crate) fn kill_at(&self, write: usize, moment: Moment) {
        *self.shared.writes.lock().unwrap() = (0, Some(Trap { write, moment }));
    }

    /// Whether it has been killed since; if not, it won't be any more.
    pub(crate) fn was_killed(&self) -> bool {
        self.shared.writes.lock().unwrap().1.take().is_none()
    }

    /// How often it was started.
    pub(crate) fn starts(&self) -> usize {
        self.shared.starts.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Counts a write; when the operator is to be killed at it.
    fn count(&self) -> Option<Moment> {
        let mut writes = self.writes.lock().unwrap();
        writes.0 += 1;
        let (count, trap) = &mut *writes;
        trap.take_if(|trap| trap.write == *count).map(|trap| trap.moment)
    }

    fn kill(&self) {
        let process = self.process.swap(0, Ordering::SeqCst);
        assert!(process > 1, "no operator runs");
        kill(Pid::from_raw(process), Signal::SIGKILL).unwrap();
    }
}

/// Whether a request is a write that counts. Leases are renewed by the clock, and events are not waited for.
fn counts(parts: &Parts) -> bool {
    let path = parts.uri.path();
    parts.method != Method::GET && !path.contains("/leases") && !path.ends_with("/events")
}

/// Hands a request on.
async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
    let moment = if counts(&parts) { shared.count() } else { None };
    if moment == Some(Moment::Before) {
        shared.kill();
        return StatusCode::BAD_GATEWAY.into_response();
    }
    for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
    parts.uri = Uri::from(parts.uri.path_and_query().cloned().unwrap());
    let request = http::Request::from_parts(parts, kube::client::Body::from(body.to_bytes().to_vec()));
    let answer = shared.client.send(request).await;
    if moment == Some(Moment::After) {
        shared.kill();
    }
    match answer {
        Ok(answer) => answer.map(Body::new).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// Runs the operator, again and again.
async fn keep(shared: Arc<Shared>, server: String, binary: PathBuf, environment: Vec<(&'static str, String)>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let kubeconfig = folder.join("outside.kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: it, contexts: [{{name: it, context: {{cluster: it, user: it}}}}], \
         clusters: [{{name: it, cluster: {{server: '{server}'}}}}], users: [{{name: it, user: {{}}}}]}}"
    );
    fs::write(&kubeconfig, text).unwrap();
    let log = File::create(folder.join("outside.log")).unwrap();
    loop {
        let mut command = Command::new(&binary);
        // One name: what is started again takes its own lease at once, as a container that is does.
        command.arg("operator").env("KUBECONFIG", &kubeconfig).env("POD_NAME", "outside");
        command.env("FAIRWAY_HTTP_ADDRESS", "127.0.0.1:0").envs(environment.iter().cloned()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        shared.process.store(i32::try_from(child.id().unwrap()).unwrap(), Ordering::SeqCst);
        shared.starts.fetch_add(1, Ordering::SeqCst);
        child.wait().await.unwrap();
    }
}
