//! A pod without Kubernetes: the two containers as processes that are started again when they end, the
//! mounted Secrets as directories that are exchanged as the kubelet does it.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use fairway::{
    agent::{
        kept,
        protocol::{Configuration, MAIN_FILE, Report, agent_name},
    },
    authority::{AuthorityHandle, AuthoritySet},
    clients::{
        agent::AgentClient,
        haproxy::{Processes, Socket},
    },
};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep},
};

/// No condition of these tests takes longer on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Pod {
    pub(crate) address: IpAddr,
    pub(crate) name: String,
    pub(crate) client: AgentClient,
    pub(crate) authority: watch::Sender<Arc<AuthoritySet>>,
    pub(crate) agent_port: u16,
    pub(crate) metrics_port: u16,
    pub(crate) health_port: u16,
    pub(crate) web_port: u16,
    pub(crate) spare_port: u16,
    pub(crate) haproxy: Container,
    pub(crate) agent: Container,
    /// How often the agent looks, in seconds.
    pub(crate) look: &'static str,
    mounts: AtomicU32,
    directory: TempDir,
}

impl Pod {
    /// A pod in which nothing runs yet.
    pub(crate) fn new() -> Self {
        let found = std::process::Command::new("haproxy").arg("-v").stdout(Stdio::null()).status();
        assert!(found.is_ok_and(|status| status.success()), "these tests need the program haproxy on the path");
        let directory = tempfile::tempdir().expect("a directory");
        let set = AuthoritySet::first(Timestamp::now()).expect("an authority");
        let (authority, handle) = AuthorityHandle::channel(set);
        let address = own_address();
        let [agent_port, metrics_port, web_port, spare_port] = free_ports(address);
        let [health_port] = free_ports(Ipv4Addr::UNSPECIFIED.into());
        let pod = Self {
            address,
            name: agent_name("team", "web"),
            client: AgentClient::with_port(handle, agent_port),
            authority,
            agent_port,
            metrics_port,
            health_port,
            web_port,
            spare_port,
            haproxy: Container::idle(),
            agent: Container::idle(),
            look: "0.1",
            mounts: AtomicU32::new(0),
            directory,
        };
        for name in ["configuration", "identity", "run"] {
            fs::create_dir(pod.path(name)).expect("made");
        }
        let identity = pod.authority.borrow().issue_agent("team", "web", Timestamp::now()).expect("issued");
        pod.mount("identity", &identity.to_data());
        pod
    }

    /// A pod that runs its first configuration, taken from the mounted Secret, without an operator.
    pub(crate) async fn running() -> Self {
        Self::new().run().await
    }

    pub(crate) async fn run(self) -> Self {
        let mut pod = self;
        pod.mount_configuration(&pod.says(1, "one"));
        pod.start_haproxy();
        pod.start_agent();
        pod.report_with(|report| report.proven.as_ref().is_some_and(|proven| proven.sequence == 1)).await;
        pod
    }

    pub(crate) fn start_haproxy(&mut self) {
        self.haproxy = Container::start(self.command("boot"));
    }

    pub(crate) fn start_agent(&mut self) {
        self.agent = Container::start(self.command("serve"));
    }

    /// `fairway agent <moment>` in this pod.
    pub(crate) fn command(&self, moment: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fairway"));
        command
            .args(["agent", moment])
            .env("FAIRWAY_RUN_DIRECTORY", self.path("run"))
            .env("FAIRWAY_CONFIGURATION_DIRECTORY", self.path("configuration"))
            .env("FAIRWAY_IDENTITY_DIRECTORY", self.path("identity"))
            .env("FAIRWAY_HEALTH_PORT", self.health_port.to_string())
            .env("FAIRWAY_AGENT_ADDRESS", SocketAddr::new(self.address, self.agent_port).to_string())
            .env("FAIRWAY_METRICS_ADDRESS", SocketAddr::new(self.address, self.metrics_port).to_string())
            .env("FAIRWAY_CPU_MILLIS", "2000")
            .env("FAIRWAY_MEMORY_BYTES", "134217728")
            .env("FAIRWAY_LOOK_SECONDS", self.look)
            .env("FAIRWAY_DRAIN_DELAY_SECONDS", "0.2")
            .env("FAIRWAY_DRAIN_SECONDS", "20")
            .stdin(Stdio::null());
        let log = fs::File::options().create(true).append(true).open(self.path("log")).expect("opened");
        command.stdout(log.try_clone().expect("opened")).stderr(log);
        command
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn web(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.web_port)
    }

    /// A configuration whose only frontend answers with a text.
    pub(crate) fn says(&self, sequence: u64, text: &str) -> Configuration {
        let rules = format!("    http-request return status 200 content-type text/plain string {text}\n");
        self.configuration(sequence, &rules)
    }

    /// A configuration with one frontend, which goes on with `rest`.
    pub(crate) fn configuration(&self, sequence: u64, rest: &str) -> Configuration {
        let main = format!(
            "defaults\n    mode http\n    option idle-close-on-response\n    timeout connect 1s\n    \
             timeout client 20s\n    timeout server 20s\n    timeout http-keep-alive 5s\n\n\
             frontend web\n    bind {}\n{rest}",
            self.web()
        );
        Configuration { sequence, files: [(MAIN_FILE.to_owned(), main)].into() }
    }

    pub(crate) fn mount_configuration(&self, configuration: &Configuration) {
        let data = kept::write(configuration).expect("it can be kept");
        let data = data.into_iter().map(|(name, content)| (name.to_owned(), content.into_owned()));
        self.mount("configuration", &data.collect());
    }

    /// Exchanges what is mounted as the kubelet does: a new directory, and `..data` turned to it.
    pub(crate) fn mount(&self, name: &str, data: &BTreeMap<String, Vec<u8>>) {
        let volume = self.path(name);
        let moment = format!("..{}", self.mounts.fetch_add(1, Ordering::Relaxed));
        fs::create_dir(volume.join(&moment)).expect("made");
        for (name, content) in data {
            fs::write(volume.join(&moment).join(name), content).expect("written");
        }
        let before = fs::read_link(volume.join("..data")).ok();
        std::os::unix::fs::symlink(&moment, volume.join("..data_tmp")).expect("linked");
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("renamed");
        for name in data.keys().filter(|name| fs::symlink_metadata(volume.join(name)).is_err()) {
            std::os::unix::fs::symlink(Path::new("..data").join(name), volume.join(name)).expect("linked");
        }
        if let Some(before) = before {
            fs::remove_dir_all(volume.join(before)).expect("removed");
        }
    }

    pub(crate) async fn push(
        &self,
        configuration: &Configuration,
    ) -> Result<Report, fairway::clients::agent::AgentError> {
        self.client.push(self.address, &self.name, configuration).await.map(|told| told.report)
    }

    pub(crate) async fn report(&self) -> Report {
        self.client.report(self.address, &self.name).await.expect("a report").report
    }

    /// Waits for a report of which something is true.
    pub(crate) async fn report_with(&self, mut holds: impl FnMut(&Report) -> bool) -> Report {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let report = self.client.report(self.address, &self.name).await.map(|told| told.report);
            match report {
                Ok(report) if holds(&report) => return report,
                _ if Instant::now() > deadline => panic!("the last report was {report:?}"),
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    pub(crate) async fn processes(&self) -> Processes {
        let master = Socket::new(&self.path("run/master.sock"), Duration::from_secs(5));
        eventually("the master answers", async || master.processes().await.ok()).await
    }

    /// The socket of the worker.
    pub(crate) fn worker(&self) -> Socket {
        Socket::new(&self.path("run/worker.sock"), Duration::from_secs(5))
    }

    /// The socket of the worker once it is the only one: for a moment after a reload the one that goes may still answer
    /// there, and take what somebody says by hand with it.
    pub(crate) async fn only_worker(&self) -> Socket {
        eventually("the old workers are gone", async || (self.processes().await.old.is_empty()).then_some(())).await;
        self.worker()
    }
}

/// Waits until there is a value.
pub(crate) async fn eventually<T>(what: &str, mut value: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = value().await {
            return value;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// What its processes said is told when a test fails.
impl Drop for Pod {
    #[allow(clippy::print_stderr, reason = "as the test's own failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.path("log")).unwrap_or_default());
        }
    }
}

/// A process that is started again whenever it ends, as the kubelet does it, until this is dropped.
pub(crate) struct Container {
    kill: mpsc::Sender<oneshot::Sender<()>>,
    starts: watch::Receiver<u32>,
    process: Arc<AtomicU32>,
    stop: Option<oneshot::Sender<()>>,
    last: Arc<AtomicBool>,
}

impl Container {
    fn idle() -> Self {
        let (kill, starts) = (mpsc::channel(1).0, watch::channel(0).1);
        Self { kill, starts, process: Arc::default(), stop: None, last: Arc::default() }
    }

    fn start(mut command: Command) -> Self {
        let (kill, mut kills) = mpsc::channel::<oneshot::Sender<()>>(1);
        let (started, starts) = watch::channel(0);
        let (stop, mut stopped) = oneshot::channel();
        command.kill_on_drop(true);
        let last = Arc::new(AtomicBool::new(false));
        let is_last = last.clone();
        let process = Arc::new(AtomicU32::new(0));
        let its_process = process.clone();
        tokio::spawn(async move {
            loop {
                let mut child: Child = command.spawn().expect("started");
                its_process.store(child.id().unwrap_or_default(), Ordering::Relaxed);
                started.send_modify(|starts| *starts += 1);
                tokio::select! {
                    _ = child.wait() => {}
                    Some(done) = kills.recv() => {
                        child.kill().await.expect("killed");
                        done.send(()).ok();
                    }
                    _ = &mut stopped => {
                        child.kill().await.ok();
                        return;
                    }
                }
                if is_last.load(Ordering::Relaxed) {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        Self { kill, starts, process, stop: Some(stop), last }
    }

    /// Ends the process at once and waits until it runs again.
    pub(crate) async fn kill(&mut self) {
        let before = self.starts();
        let (done, killed) = oneshot::channel();
        self.kill.send(done).await.expect("it is watched");
        killed.await.expect("killed");
        self.starts.wait_for(|starts| *starts > before).await.expect("started again");
    }

    /// How often it was started.
    pub(crate) fn starts(&self) -> u32 {
        *self.starts.borrow()
    }

    /// Its id.
    #[allow(dead_code, reason = "benches look at what it uses")]
    pub(crate) fn process(&self) -> u32 {
        self.process.load(Ordering::Relaxed)
    }

    /// Lets it end without starting it again.
    pub(crate) fn stop_when_ended(&self) {
        self.last.store(true, Ordering::Relaxed);
    }

    /// Ends it for good.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A loopback address that no other pod of this machine has, most likely.
fn own_address() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let number = u8::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).expect("few pods");
    Ipv4Addr::new(127, 1 + high % 254, low, number).into()
}

fn free_ports<const N: usize>(address: IpAddr) -> [u16; N] {
    let listeners = [(); N].map(|()| std::net::TcpListener::bind((address, 0)).expect("bound"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}
