//! The least that anybody could do on this machine: a raw watch of one `EndpointSlice`, and one command on
//! HAProxy's socket for each event.

use std::{
    collections::HashMap,
    fs,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use fairway::clients::haproxy::Socket;
use futures::StreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    runtime::watcher::{self, Event},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{slice, support::fleet::until};

/// Out of the operator's sight.
const NAMESPACE: &str = "default";
const NAME: &str = "floor";
const MARK: &str = "bench/number";

/// Who waits for which change.
type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>;

pub(crate) struct Floor {
    api: Api<EndpointSlice>,
    waiting: Waiting,
    _watch: AbortOnDropHandle<()>,
    _haproxy: Child,
    _directory: TempDir,
}

impl Floor {
    pub(crate) async fn start(client: &Client) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let text = format!(
            "global\n    stats socket {} level admin\ndefaults\n    timeout connect 1s\n    timeout client 1s\n    \
             timeout server 1s\nbackend app\n    server one 10.0.0.1:80\n",
            path.display()
        );
        fs::write(directory.path().join("haproxy.cfg"), text).unwrap();
        let haproxy = Command::new("haproxy")
            .arg("-f")
            .arg(directory.path().join("haproxy.cfg"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let socket = Socket::new(&path, Duration::from_secs(5));
        until("HAProxy to answer", Duration::from_mins(1), async || socket.ask("show info").await.is_ok()).await;
        let api: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
        let object = slice(NAME, &["10.0.0.1".to_owned()]);
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let waiting = Waiting::default();
        let watch = AbortOnDropHandle::new(tokio::spawn(watch(api.clone(), socket, Arc::clone(&waiting))));
        Self { api, waiting, _watch: watch, _haproxy: haproxy, _directory: directory }
    }

    /// From the PATCH to the answer of the command.
    pub(crate) fn once(&self, number: usize) -> JoinHandle<Duration> {
        let (sender, done) = oneshot::channel();
        self.waiting.lock().unwrap().insert(number.to_string(), sender);
        let api = self.api.clone();
        tokio::spawn(async move {
            let patch = Patch::Merge(json!({
                "metadata": { "annotations": { MARK: number.to_string() } },
                "endpoints": [{ "addresses": [format!("10.0.0.{}", 1 + number % 200)] }],
            }));
            let start = Instant::now();
            api.patch(NAME, &PatchParams::default(), &patch).await.unwrap();
            done.await.unwrap();
            start.elapsed()
        })
    }
}

async fn watch(api: Api<EndpointSlice>, socket: Socket, waiting: Waiting) {
    let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let mut events = watcher::watcher(api, config).boxed();
    while let Some(event) = events.next().await {
        let (Event::Apply(slice) | Event::InitApply(slice)) = event.unwrap() else { continue };
        let address = &slice.endpoints[0].addresses[0];
        socket.ask(&format!("set server app/one addr {address}")).await.unwrap();
        let Some(number) = slice.annotations().get(MARK) else { continue };
        if let Some(done) = waiting.lock().unwrap().remove(number) {
            let _ = done.send(());
        }
    }
}
