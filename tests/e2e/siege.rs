//! The worst moments: the operator killed at each of its writes, and the API server away for a minute. The
//! end is right, and clients notice nothing. Touches a sandbox, the operator, and the test cluster's control
//! plane, which is started again in any case.

use std::{
    env,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use fairway::api::LoadBalancer;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::{
    absence::scale_operator,
    application::Application,
    balancer::{Balancer, listener, member_pool, service_pool, small},
    cluster::{Cluster, OPERATOR, SYSTEM, cluster, pushed, root, tell},
    outside::{Moment, Outside},
    sandbox::{self, Sandbox},
    traffic::{Connections, Speech, Target, Traffic, reached, sample},
    wait::{self, LIVE, POD, seen},
};

/// How long the control plane is away.
const AWAY: Duration = Duration::from_mins(1);
/// The operator writes at least so often in what is tried here.
const WRITES: usize = 15;

async fn ways(balancer: &Balancer<'_>) -> Vec<(&'static str, Target, Connections)> {
    let targets = balancer.targets(80, &Speech::Http).await;
    let ways = [Connections::Closed, Connections::Kept];
    targets.into_iter().flat_map(|target| ways.map(|way| ("HTTP", target.clone(), way))).collect()
}

/// What serves all the time, and now has another listener and now not.
fn served(more: bool) -> Value {
    let mut listeners = vec![listener("web", "HTTP", 80, "app")];
    if more {
        listeners.push(listener("more", "HTTP", 81, "app"));
    }
    json!({ "resources": small(), "listeners": listeners, "pools": [service_pool("app", "app")] })
}

/// What comes, changes and goes; without pods, since those take their time.
fn passing(ports: &[u16]) -> Value {
    let listeners: Vec<_> = ports.iter().map(|port| listener(&format!("web-{port}"), "HTTP", *port, "app")).collect();
    let members = [json!({ "address": "192.0.2.10", "port": 80 })];
    json!({ "replicas": 0, "listeners": listeners, "pools": [member_pool("app", &members)] })
}

/// Waits until all that is made for a load balancer is as its spec wants it.
async fn made(sandbox: &Sandbox, balancer: &Balancer<'_>, ports: &[u16]) {
    let (services, secrets) = (sandbox.api::<Service>(), sandbox.api::<Secret>());
    wait::until(&format!("{} to be made", balancer.name), POD, async || {
        let resource = balancer.get().await;
        let status = resource.status.clone().unwrap_or_default();
        seen(status.observed_generation == resource.metadata.generation, || "an older generation".to_owned())?;
        let name = |what: &str| format!("{}-lb{what}", balancer.name);
        let service = services.get(&name("")).await.map_err(|error| error.to_string())?;
        let open: Vec<_> = service.spec.iter().flat_map(|spec| &spec.ports).flatten().map(|port| port.port).collect();
        seen(open.iter().eq(&ports.iter().map(|port| i32::from(*port)).collect::<Vec<_>>()), || format!("{open:?}"))?;
        let secret = secrets.get(&name("-configuration")).await.map_err(|error| error.to_string())?;
        let held = secret.annotations().get("fairway.dev/configuration-hash").cloned();
        let wanted = status.configuration.map(|wanted| wanted.hash);
        seen(held == wanted, || format!("the Secret holds {held:?} and not {wanted:?}"))?;
        secrets.get(&name("-identity")).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

/// One load balancer comes, changes and goes while another, which serves, changes.
async fn live(sandbox: &Sandbox, serving: &Balancer<'_>, round: usize) {
    let balancer = Balancer::named(sandbox, &format!("passing-{round}"));
    balancer.write(&passing(&[80])).await;
    serving.write(&served(!round.is_multiple_of(2))).await;
    made(sandbox, &balancer, &[80]).await;
    balancer.write(&passing(&[80, 81])).await;
    made(sandbox, &balancer, &[80, 81]).await;
    serving.programmed(LIVE).await;
    made(sandbox, serving, if round.is_multiple_of(2) { &[80] } else { &[80, 81] }).await;
    sandbox.delete::<LoadBalancer>(&balancer.name).await;
}

/// The program and the images that were pushed last, with no more rights than the operator has in its pod.
async fn outside(sandbox: &Sandbox) -> Outside {
    let image = |name: &str| {
        let found = pushed().into_iter().find(|(tagged, _)| tagged.contains(name));
        found.unwrap_or_else(|| panic!("no image {name} was pushed: make images")).1
    };
    let built = || root().join("target/x86_64-unknown-linux-gnu/release/fairway");
    let binary = env::var_os("FAIRWAY_BINARY").map_or_else(built, PathBuf::from);
    let account = format!("system:serviceaccount:{SYSTEM}:{OPERATOR}");
    let environment = vec![
        ("POD_NAMESPACE", SYSTEM.to_owned()),
        ("WATCH_NAMESPACE", String::new()),
        ("RELATED_IMAGE_FAIRWAY", image("/fairway:")),
        ("RELATED_IMAGE_HAPROXY", image("/haproxy:")),
    ];
    Outside::start(sandbox.cluster.client_as(&account).await, binary, environment).await
}

#[test]
fn the_operator_is_killed_at_each_of_its_writes() {
    sandbox::destructive("siege", async |sandbox| {
        Application::start(sandbox, "app", 2).await;
        let serving = Balancer::start(sandbox, "web", &served(false)).await;
        serving.pool("app", 2, 2, LIVE).await;
        let before = serving.identities().await;
        Cluster::disturb();
        scale_operator(sandbox, 0).await;
        let operator = outside(sandbox).await;
        let traffic = Traffic::start(ways(&serving).await).await;
        let (mut round, begun) = (0, Instant::now());
        for moment in [Moment::Before, Moment::After] {
            let mut write = 1;
            loop {
                round += 1;
                operator.kill_at(write, moment);
                live(sandbox, &serving, round).await;
                if !operator.was_killed() {
                    break;
                }
                write += 1;
            }
            tell(&format!("killed {moment:?} each of {} writes, {:.0} s", write - 1, begun.elapsed().as_secs_f64()));
            assert!(write > WRITES, "the operator wrote {} times only", write - 1);
        }
        assert!(operator.starts() > 2 * WRITES, "started {} times only", operator.starts());
        assert_eq!(serving.identities().await, before, "pods were replaced or restarted");
        traffic.stop_unharmed("the operator killed at each of its writes").await;
        wait::until("what was made for those that went to be gone", POD, async || {
            let left = sandbox.api::<Service>().list(&ListParams::default()).await.unwrap();
            let left: Vec<_> =
                left.iter().map(ResourceExt::name_any).filter(|name| name.starts_with("passing")).collect();
            seen(left.is_empty(), || format!("{left:?}"))
        })
        .await;
    });
}

#[test]
fn the_control_plane_is_away_for_a_minute() {
    sandbox::destructive("away", async |sandbox| {
        let app = Application::start(sandbox, "app", 3).await;
        let members = app.members().await;
        let spec = |members: &[Value]| {
            json!({
                "resources": small(),
                "listeners": [listener("web", "HTTP", 80, "app")],
                "pools": [member_pool("app", members)],
            })
        };
        let balancer = Balancer::start(sandbox, "web", &spec(&members[..2])).await;
        balancer.pool("app", 2, 2, LIVE).await;
        let before = balancer.identities().await;
        let applications = pods(&app).await;
        let traffic = Traffic::start(ways(&balancer).await).await;
        Cluster::disturb();
        cluster(&["control-plane", "stop"]).await.unwrap();
        let left = Instant::now();
        tokio::time::sleep(AWAY).await;
        let meanwhile = traffic.so_far();
        cluster(&["control-plane", "start"]).await.unwrap();
        tell(&format!("the control plane was away for {:.0} s: {meanwhile}", left.elapsed().as_secs_f64()));
        let back = Instant::now();
        balancer.write(&spec(&members)).await;
        // The operator has lost its lease, and was started again.
        balancer.programmed(POD).await;
        balancer.pool("app", 3, 3, POD).await;
        tell(&format!("a change made right after was proven {:.1} s later", back.elapsed().as_secs_f64()));
        for target in balancer.targets(80, &Speech::Http).await {
            let tally = sample(&target, 100).await;
            assert!(tally.failures.is_empty() && tally.members.len() == 3, "{}: {tally}", target.address);
        }
        // Nodes follow Services again: what is tested next stands on that.
        let mut more = spec(&members);
        more["listeners"] = json!([listener("web", "HTTP", 80, "app"), listener("more", "HTTP", 81, "app")]);
        balancer.change("a listener added", &more).await;
        let address = SocketAddr::new(balancer.address().await, 81);
        reached(address, POD).await;
        tell(&format!("nodes follow Services again after {:.1} s", back.elapsed().as_secs_f64()));
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
        assert_eq!(pods(&app).await, applications, "pods of the application were replaced");
        traffic.stop_unharmed("the control plane away for a minute").await;
    });
}

async fn pods(app: &Application<'_>) -> Vec<Option<String>> {
    app.pods().await.iter().map(ResourceExt::uid).collect()
}
