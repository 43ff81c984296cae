//! What the benches of a fleet share: the operator as a process whose processor time and memory are read, what
//! the API server counts.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    signal::unix,
    time::sleep,
};

/// The namespace of the fleet.
pub(crate) const FLEET: &str = "fleet";
/// What the operator writes for load balancers, and the stand-ins do not.
pub(crate) const OURS: [&str; 8] = [
    "secrets",
    "services",
    "serviceaccounts",
    "deployments",
    "poddisruptionbudgets",
    "networkpolicies",
    "loadbalancers",
    "events",
];
const ENDED: &str = "the operator has ended: a machine that is too busy takes its lease from it";
/// Of the kernel, for `/proc/PID/stat`: always 100 where Rust runs.
const TICKS: f64 = 100.0;

/// Measures, unless it is told to end: what it has started is ended then.
pub(crate) async fn until_ended(measure: impl Future<Output = ()>) {
    let mut terminate = unix::signal(unix::SignalKind::terminate()).unwrap();
    let mut interrupt = unix::signal(unix::SignalKind::interrupt()).unwrap();
    tokio::select! {
        () = measure => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// A number from the environment, for quick tries.
pub(crate) fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

pub(crate) async fn make_namespace(client: &Client) {
    let metadata = ObjectMeta { name: Some(FLEET.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
}

/// `fairway operator`, until it is dropped.
pub(crate) struct Operator {
    process: Child,
    http: SocketAddr,
}

impl Operator {
    pub(crate) fn start(kubeconfig: &Path) -> Self {
        let http = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fairway"));
        command
            .args(["operator", "--log", "error"])
            .env("KUBECONFIG", kubeconfig)
            .env("WATCH_NAMESPACE", FLEET)
            // As in config/manager.
            .env("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
            .env("POD_NAMESPACE", "fairway-system")
            .env("POD_NAME", "bench")
            .env("RELATED_IMAGE_FAIRWAY", "quay.io/fairway/fairway:0.1.0")
            .env("RELATED_IMAGE_HAPROXY", "quay.io/fairway/haproxy:2.6.12")
            .env("FAIRWAY_HTTP_ADDRESS", SocketAddr::to_string(&http))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Self { process: command.spawn().unwrap(), http }
    }

    /// Processor time since it started.
    pub(crate) fn processor(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // The name in brackets may hold spaces; user and system time are the 12th and 13th field after it.
        let ticks = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().skip(11).take(2);
        Duration::from_secs_f64(ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS)
    }

    /// Memory in kB: held now, and at most since the last [`Self::forget_peak`].
    pub(crate) fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// How many turns it has taken; none while it does not answer.
    pub(crate) async fn turns(&self) -> u64 {
        self.total("fairway_turns_total", "").await
    }

    /// The sum of a metric over the lines that hold a label; none while it does not answer.
    pub(crate) async fn total(&self, metric: &str, label: &str) -> u64 {
        let Ok(mut stream) = TcpStream::connect(self.http).await else {
            assert!(self.lives(), "{ENDED}");
            return 0;
        };
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let metric = format!("{metric}{{");
        let lines = text.lines().filter(|line| line.starts_with(&metric) && line.contains(label));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Panics when it has ended; never returns.
    pub(crate) async fn ended(&self) {
        while self.lives() {
            sleep(Duration::from_secs(1)).await;
        }
        panic!("{ENDED}");
    }

    fn lives(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    }

    pub(crate) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").unwrap();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How many writing requests the API server has answered for these kinds, as the plural with its group.
pub(crate) async fn writes(client: &Client, resources: &[&str]) -> u64 {
    let request = http::Request::get("/metrics").body(vec![]).unwrap();
    let text = client.request_text(request).await.unwrap();
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    text.lines()
        .filter(|line| line.starts_with("apiserver_request_total{"))
        .filter(|line| label(line, "resource").is_some_and(|resource| resources.contains(&resource.as_str())))
        .filter(|line| label(line, "verb").is_some_and(|verb| !["GET", "LIST", "WATCH"].contains(&verb.as_str())))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .map(|count| count as u64)
        .sum()
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, patience: Duration, mut so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !so().await {
        assert!(start.elapsed() < patience, "in vain: {what}");
        sleep(Duration::from_millis(200)).await;
    }
}

/// The machine's load in the last minute, since others may use it too.
pub(crate) fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap().to_owned()
}
