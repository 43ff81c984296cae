//! `fairway operator`: puts the parts together, leads while it may, and stops as it was asked to.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, bail};
use kube::{Client, Config};
use tokio::{net::TcpListener, signal::unix, sync::watch};
use tracing::info;

use crate::{
    authority::AuthorityKeeper,
    harbor::{self, Harbors, access::by_cluster_address, images::Images, project::HarborProjects, robot::HarborRobots},
    loadbalancer::{LoadBalancers, world::Installation},
    reconcile::{
        Engine, Scope, Settings,
        lease::{Apart, Leadership, Lease, Timings},
        upgrades,
    },
    telemetry::{Exposition, Metrics, Readiness, http},
};

/// The lease of the one that leads.
const LEASE: &str = "fairway-operator";

/// How long an answer may stall before it is given up; a watch without news ends within this by itself.
const SILENCE: Duration = Duration::from_mins(5);

/// What the operator is told.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The namespaces that are looked after, separated by commas; empty for all.
    #[arg(long, env = "WATCH_NAMESPACE", default_value = "", hide_default_value = true)]
    watch_namespace: String,

    /// The namespace of the operator itself: its lease and its certificate authority live there.
    #[arg(long, env = "POD_NAMESPACE", default_value = "fairway-system")]
    namespace: String,

    /// The name of this process among those that may lead; in a pod, the pod's name.
    #[arg(long, env = "POD_NAME")]
    name: String,

    /// The operator's own image: agents come from it.
    #[arg(long, env = "RELATED_IMAGE_FAIRWAY")]
    fairway_image: String,

    /// The HAProxy image of load balancers that ask for none.
    #[arg(long, env = "RELATED_IMAGE_HAPROXY")]
    haproxy_image: String,

    /// The object that tells the Operator Lifecycle Manager whether an upgrade may begin, as that manager names it.
    #[arg(long, env = "OPERATOR_CONDITION_NAME")]
    operator_condition: Option<String>,

    /// Where /healthz, /readyz and /metrics are answered.
    #[arg(long, env = "FAIRWAY_HTTP_ADDRESS", default_value = "0.0.0.0:8080")]
    http_address: SocketAddr,

    /// How many resources of each kind are worked on at the same time.
    #[arg(long, env = "FAIRWAY_CONCURRENCY", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
}

/// Runs until it is asked to stop, or may not lead any more.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let stop = stopped()?;
    let (exposition, readiness) = (Exposition::default(), Readiness::default());
    let metrics = Metrics::register(&exposition);
    let address = options.http_address;
    let listener = TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
    let http = tokio::spawn(http::serve(listener, http::router(exposition, readiness.clone())));

    let client = connect().await?;
    info!(name = options.name, "Waiting to lead.");
    let apart = Apart::start()?;
    let mut leadership = tokio::select! {
        leadership = apart.run(acquire(options.namespace.clone(), options.name.clone())) => leadership??,
        () = asked(stop.clone()) => return Ok(()),
    };
    metrics.leader.set(1);
    info!(name = options.name, "Leading.");
    let ended = tokio::select! {
        result = lead(&options, client, metrics.clone(), readiness, stop.clone()) => result,
        () = leadership.lost() => Err(anyhow::anyhow!("the lease could not be renewed in time: another may lead now")),
        result = http => Err(anyhow::anyhow!("the HTTP server has ended: {result:?}")),
    };
    metrics.leader.set(0);
    ended?;
    leadership.release().await;
    info!("Stopped.");
    Ok(())
}

/// Waits until this process leads, with a client of its own.
async fn acquire(namespace: String, name: String) -> anyhow::Result<Leadership> {
    let lease = Lease::new(connect().await?, &namespace, LEASE, &name, Timings::default());
    Ok(lease.acquire().await)
}

/// The cluster of this pod, or of the kubeconfig.
async fn connect() -> anyhow::Result<Client> {
    let mut config = Config::infer().await.context("can't find the cluster: neither in a pod nor a kubeconfig")?;
    config.read_timeout = Some(SILENCE);
    Ok(Client::try_from(config)?)
}

/// Everything that only the one who leads may do.
async fn lead(
    options: &Options,
    client: Client,
    metrics: Metrics,
    readiness: Readiness,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let scope = Scope::parse(&options.watch_namespace);
    let (authority, keeper) = AuthorityKeeper::open(client.clone(), &options.namespace).await?;
    let installation = Installation {
        fairway_image: options.fairway_image.clone(),
        haproxy_image: options.haproxy_image.clone(),
        namespace: options.namespace.clone(),
    };
    let (family, triggers) = LoadBalancers::new(client.clone(), &scope, authority, installation, &metrics);
    let busy = family.busy();
    let settings = Settings { concurrency: options.concurrency, ..Settings::new(scope, &options.name) };
    let installation = harbor::world::Installation {
        namespace: options.namespace.clone(),
        images: Images::read(|variable| std::env::var(variable).ok()),
    };
    let (harbors, of_harbors) = Harbors::new(client.clone(), &settings.scope, installation, &metrics);
    let harbors = Engine::new(harbors, client.clone(), settings.clone(), metrics.clone(), readiness.clone());
    let (projects, of_projects) = HarborProjects::new(&client, &settings.scope, by_cluster_address(), &metrics);
    let projects = Engine::new(projects, client.clone(), settings.clone(), metrics.clone(), readiness.clone());
    let (robots, of_robots) = HarborRobots::new(client.clone(), &settings.scope, by_cluster_address(), &metrics);
    let robots = Engine::new(robots, client.clone(), settings.clone(), metrics.clone(), readiness.clone());
    let engine = Engine::new(family, client.clone(), settings, metrics, readiness);
    let told = async {
        match &options.operator_condition {
            Some(name) => upgrades::tell(client, &options.namespace, name, busy).await,
            None => std::future::pending().await,
        }
    };
    // Each ends by itself only when it is asked to.
    let engines = async {
        tokio::try_join!(
            running(engine.run(triggers, asked(stop.clone())), &stop),
            running(harbors.run(of_harbors, asked(stop.clone())), &stop),
            running(projects.run(of_projects, asked(stop.clone())), &stop),
            running(robots.run(of_robots, asked(stop.clone())), &stop),
        )
        .map(|_| ())
    };
    tokio::select! {
        result = engines => result,
        () = told => bail!("OLM is not told any more whether an upgrade may begin"),
        () = keeper.run() => bail!("the certificate authority is not kept any more"),
    }
}

/// Runs an engine. That it has ended although nobody asked it to is an error.
async fn running(engine: impl Future<Output = ()>, stop: &watch::Receiver<bool>) -> anyhow::Result<()> {
    engine.await;
    if !*stop.borrow() {
        bail!("every watch has ended");
    }
    Ok(())
}

/// Becomes true when the process is asked to end.
fn stopped() -> anyhow::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("Asked to stop.");
        let _ = sender.send(true);
        // The receivers outlive this task only while the sender does.
        sender.closed().await;
    });
    Ok(receiver)
}

async fn asked(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|asked| *asked).await;
}
