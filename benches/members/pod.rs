//! A pod of the fleet without a node: HAProxy as processes, the agent's own code as a task, the Secrets as they
//! were when it started.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use fairway::{
    agent::{
        options::{PodOptions, ServeOptions},
        protocol::{AGENT_PORT, METRICS_PORT},
        serve,
    },
    clients::haproxy::Socket,
};
use k8s_openapi::api::core::v1::{Pod as PodObject, Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;

use crate::support::fleet::{FLEET, until};

pub(crate) struct Pod {
    pub(crate) number: usize,
    address: Ipv4Addr,
    worker: Socket,
    _agent: AbortOnDropHandle<()>,
    _haproxy: Child,
    _directory: TempDir,
}

/// The pods share the addresses of one machine: each listens on ports of its own, below those that the kernel and
/// the API server take.
pub(crate) fn web_port(number: usize) -> u16 {
    10_000 + number as u16
}

impl Pod {
    pub(crate) async fn start(client: Client, number: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("run")).unwrap();
        let secrets: Api<Secret> = Api::namespaced(client.clone(), FLEET);
        for kind in ["configuration", "identity"] {
            let secret = secrets.get(&format!("web-{number}-lb-{kind}")).await.unwrap();
            fs::create_dir(path(kind)).unwrap();
            // As the kubelet does it: what is read is behind `..data`.
            fs::create_dir(path(kind).join("..1")).unwrap();
            std::os::unix::fs::symlink("..1", path(kind).join("..data")).unwrap();
            for (name, content) in secret.data.unwrap() {
                fs::write(path(kind).join("..1").join(&name), content.0).unwrap();
                std::os::unix::fs::symlink(format!("..data/{name}"), path(kind).join(&name)).unwrap();
            }
        }
        let address = Ipv4Addr::new(127, 20, (number / 250) as u8, 1 + (number % 250) as u8);
        let options = options(&path("."), address, 12_000 + number as u16);
        let haproxy = boot(&options.pod);
        let worker = Socket::new(&path("run").join("worker.sock"), Duration::from_secs(5));
        let agent = AbortOnDropHandle::new(tokio::spawn(async move {
            serve::run(options, env!("CARGO_PKG_VERSION")).await.unwrap();
        }));
        let pod = Self { number, address, worker, _agent: agent, _haproxy: haproxy, _directory: directory };
        until("HAProxy to answer", Duration::from_mins(1), async || pod.worker.marker().await.is_ok()).await;
        make(&client, number, address).await;
        pod
    }

    /// Waits until a member takes traffic in the running worker.
    pub(crate) async fn serves(&self, address: &str) {
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let state = self.worker.ask("show servers state").await.unwrap();
            let serves = |line: &str| {
                let words: Vec<_> = line.split(' ').collect();
                // srv_addr, and SRV_ST_RUNNING in srv_op_state.
                words.len() > 5 && words[4] == address && words[5] == "2"
            };
            if state.lines().any(serves) {
                return;
            }
            let waited = start.elapsed();
            assert!(waited < Duration::from_secs(30), "{address} never came");
            if waited > Duration::from_millis(200) {
                // Late already: looking on as often would only make all that follow later.
                pause = waited / 10;
            }
            sleep(pause).await;
        }
    }

    /// How often HAProxy was reloaded, as the agent counts.
    pub(crate) async fn reloads(&self) -> u64 {
        let mut stream = TcpStream::connect((self.address, METRICS_PORT)).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let line = text.lines().find(|line| line.starts_with("fairway_agent_reloads")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
    }
}

fn options(directory: &std::path::Path, address: Ipv4Addr, health_port: u16) -> ServeOptions {
    let path = |name: &str| directory.join(name);
    ServeOptions {
        pod: PodOptions {
            run_directory: path("run"),
            configuration_directory: path("configuration"),
            haproxy: PathBuf::from("haproxy"),
            cpu_millis: 1_000,
            memory_bytes: 64 << 20,
            health_port,
            proof_timeout: Duration::from_mins(1),
        },
        identity_directory: path("identity"),
        address: SocketAddr::new(address.into(), AGENT_PORT),
        metrics_address: SocketAddr::new(address.into(), METRICS_PORT),
        // 500 agents that share two cores with all that is measured look around less often than in a pod.
        look_interval: Duration::from_secs(20),
    }
}

fn boot(options: &PodOptions) -> Child {
    Command::new(env!("CARGO_BIN_EXE_fairway"))
        .args(["agent", "boot"])
        .env("FAIRWAY_RUN_DIRECTORY", &options.run_directory)
        .env("FAIRWAY_CONFIGURATION_DIRECTORY", &options.configuration_directory)
        .env("FAIRWAY_HEALTH_PORT", options.health_port.to_string())
        .env("FAIRWAY_CPU_MILLIS", options.cpu_millis.to_string())
        .env("FAIRWAY_MEMORY_BYTES", options.memory_bytes.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// What the API server knows of the pod: that it runs, is ready, and where.
async fn make(client: &Client, number: usize, address: Ipv4Addr) {
    let api: Api<PodObject> = Api::namespaced(client.clone(), FLEET);
    let name = format!("web-{number}-lb-0");
    let object = json!({
        "metadata": { "name": name, "labels": { "fairway.dev/loadbalancer": format!("web-{number}") } },
        "spec": { "nodeName": "none", "containers": [{ "name": "haproxy", "image": "haproxy" }] },
    });
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    let status = json!({ "status": {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{ "ip": address }],
        "conditions": [{ "type": "Ready", "status": "True" }],
    }});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
}
