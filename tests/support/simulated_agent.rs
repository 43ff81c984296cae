//! An agent without HAProxy: it speaks as the real one does, and says at once that what it is given runs.
//! Touches a loopback address of its own and a temporary directory.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use fairway::agent::{
    apply::Outcome,
    exporter::Exporter,
    files::Files,
    metrics::Metrics,
    naming,
    protocol::{
        AGENT_PORT, CertificateHealth, Configuration, ListenerHealth, ListenerState, MAIN_FILE, MemberHealth,
        MemberState, Proven, Report,
    },
    queue::Queue,
    server::{Shared, listen, serve_operator},
    tls,
};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet};

static AGENTS: AtomicU8 = AtomicU8::new(1);

/// An agent, until it is dropped.
pub(crate) struct SimulatedAgent {
    pub(crate) address: IpAddr,
    _identity: TempDir,
    _tasks: JoinSet<()>,
}

impl SimulatedAgent {
    /// One with these files of an identity (`ca.crt`, `tls.crt`, `tls.key`), whose members that are called
    /// `down` are down.
    pub(crate) async fn start(identity: &BTreeMap<String, Vec<u8>>, down: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in identity {
            fs::write(directory.path().join(name), content).unwrap();
        }
        let address = loopback();
        let listener = listen(SocketAddr::new(address, AGENT_PORT)).await.unwrap();
        let (reports, report) = watch::channel(Arc::new(Report::default()));
        let (identities, identity) = watch::channel(None);
        // It has no HAProxy to ask.
        let exporter = Exporter::new(&Files::new(directory.path(), "serve"));
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            report,
            metrics: Metrics::default(),
            exporter,
            identity,
            version: "0.1.0",
        });
        let mut tasks = JoinSet::new();
        let mounted = directory.path().to_owned();
        tasks.spawn(async move { tls::watch(&mounted, Duration::from_secs(1), identities).await });
        tasks.spawn(serve_operator(listener, Arc::clone(&shared)));
        tasks.spawn(async move {
            loop {
                while let Some(waiting) = shared.queue.take() {
                    reports.send_replace(Arc::new(report_of(&waiting.configuration, down)));
                    waiting.answer(&Outcome::Proven);
                }
                shared.queue.arrived().await;
            }
        });
        Self { address, _identity: directory, _tasks: tasks }
    }
}

/// A loopback address that no other agent has, be it of another process.
pub(crate) fn loopback() -> IpAddr {
    let [.., high, low] = process::id().to_be_bytes();
    Ipv4Addr::new(127, 100 + high % 100, low, AGENTS.fetch_add(1, Ordering::Relaxed)).into()
}

/// What an agent says that runs this.
fn report_of(configuration: &Configuration, down: &str) -> Report {
    let mut pools: BTreeMap<String, Vec<MemberHealth>> = BTreeMap::new();
    let mut listeners = BTreeMap::new();
    let (mut frontend, mut backend) = (None, None);
    for line in configuration.files[MAIN_FILE].lines() {
        if !line.starts_with(' ') {
            (frontend, backend) = (line.strip_prefix("frontend "), line.strip_prefix("backend "));
        }
        if let Some(listener) = frontend.and_then(naming::listener).filter(|_| line.starts_with("    bind ")) {
            let certificate = certificate(configuration, line);
            listeners.insert(listener.to_owned(), ListenerHealth { state: ListenerState::Open, certificate });
        }
        let server = line.trim_start().strip_prefix("server ").and_then(|rest| rest.split(' ').next());
        if let (Some(backend), Some(name)) = (backend, server) {
            let state = if name == down { MemberState::Down } else { MemberState::Up };
            let health = MemberHealth { name: name.to_owned(), state, weight: 100, check: "L7OK".to_owned() };
            pools.entry(backend.to_owned()).or_default().push(health);
        }
    }
    Report {
        agent_version: "0.1.0".to_owned(),
        haproxy_version: "2.6.12".to_owned(),
        proven: Some(Proven { hash: configuration.hash(), sequence: configuration.sequence }),
        pools,
        listeners,
        ..Report::default()
    }
}

/// The first certificate of a `bind` line that has one; it ends in a far year.
fn certificate(configuration: &Configuration, bind: &str) -> Option<CertificateHealth> {
    let list = bind.split(' ').skip_while(|word| *word != "crt-list").nth(1)?;
    let file = configuration.files[list].lines().next()?.to_owned();
    Some(CertificateHealth { file, not_after: 4_000_000_000 })
}
