//! Between two real builds by Subscription and back again, with load balancers under traffic: no request fails and no
//! pod is restarted. Touches OLM and a sandbox.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use fairway::api::LoadBalancer;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::{
    explained,
    operator::{BROKEN, Catalog, FIRST, NEXT, OLM, Operator},
};
use crate::{
    application::Application,
    balancer::{Balancer, condition, listener, service_pool, small},
    cluster::tell,
    sandbox::{self, Sandbox},
    traffic::{Connections, Speech, Traffic},
    wait::{self, LIVE, POD, seen},
};

/// Load balancers that are served throughout; one more has its pods replaced by its user.
const FLEET: usize = 3;
/// What an operator tells OLM.
const UPGRADEABLE: &str = "{.status.conditions[0].status} {.status.conditions[0].reason}";

/// How often status is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Load balancers, and who they were at first.
struct Fleet<'a> {
    balancers: Vec<Balancer<'a>>,
    before: Vec<BTreeSet<(String, i32)>>,
    port: u16,
    /// What their status ever told that was not so; found out for as long as this lives.
    untrue: Arc<Mutex<BTreeSet<String>>>,
    _look: AbortOnDropHandle<()>,
}

/// What is told of load balancers that are accepted and serve, and says otherwise.
async fn look(api: Api<LoadBalancer>, untrue: Arc<Mutex<BTreeSet<String>>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(found) = api.list(&ListParams::default().labels("app=fleet")).await else { continue };
        for (kind, balancer) in
            ["Accepted", "ResolvedRefs", "Ready"].into_iter().flat_map(|kind| found.iter().map(move |it| (kind, it)))
        {
            let told = condition(balancer, kind).map(|found| format!("{kind}={} {}", found.status, found.message));
            let told = told.unwrap_or_else(|error| error);
            if !told.starts_with(&format!("{kind}=True")) {
                untrue.lock().unwrap().insert(format!("{}: {told}", balancer.name_any()));
            }
        }
    }
}

impl<'a> Fleet<'a> {
    /// Load balancers that serve, and clients at each of them.
    async fn start(sandbox: &'a Sandbox, size: usize) -> (Self, Traffic) {
        Application::start(sandbox, "app", 2).await;
        let (mut balancers, mut before, mut targets) = (vec![], vec![], vec![]);
        for index in 0..size {
            let balancer = Balancer::named(sandbox, &format!("web-{index}"));
            balancer.write(&spec(80)).await;
            balancers.push(balancer);
        }
        for balancer in &balancers {
            balancer.programmed(POD).await;
            balancer.pool("app", 2, 2, LIVE).await;
            before.push(balancer.identities().await);
            targets.push(("HTTP", balancer.service(80, Speech::Http).await, Connections::Closed));
            targets.push(("HTTP", balancer.service(80, Speech::Http).await, Connections::Kept));
        }
        sandbox.kubectl(&["label", "loadbalancers", "--all", "app=fleet"]).await.unwrap();
        let untrue = Arc::default();
        let look = AbortOnDropHandle::new(tokio::spawn(look(sandbox.api(), Arc::clone(&untrue))));
        (Self { balancers, before, port: 80, untrue, _look: look }, Traffic::start(targets).await)
    }

    /// The operator of now looks after them, and has left their pods alone; their status was true all the time.
    async fn is_looked_after(&mut self) {
        self.port += 1;
        for balancer in &self.balancers {
            balancer.write(&spec(self.port)).await;
        }
        for (balancer, before) in self.balancers.iter().zip(&self.before) {
            balancer.programmed(POD).await;
            assert_eq!(balancer.identities().await, *before, "{}: pods were replaced or restarted", balancer.name);
        }
        assert_eq!(*self.untrue.lock().unwrap(), BTreeSet::new());
    }
}

fn spec(more: u16) -> Value {
    let mut listeners = vec![listener("web", "HTTP", 80, "app")];
    if more != 80 {
        listeners.push(listener("more", "HTTP", more, "app"));
    }
    json!({ "replicas": 2, "resources": small(), "listeners": listeners, "pools": [service_pool("app", "app")] })
}

/// Approves the next version while pods are being replaced: it waits for them, and comes although OLM and the operator
/// are killed while it waits, and again in the middle.
async fn approved_and_killed(operator: &Operator<'_>, moved: &Balancer<'_>) {
    let plan = operator.asks(NEXT).await;
    let (first, next) = (format!("fairway.v{FIRST}"), format!("fairway.v{NEXT}"));
    let deprecated = format!("olm.bundle/{first}: {NEXT} is there");
    operator.tells("subscription", "fairway", "{.status.conditions[*].message}", &deprecated).await;
    // Nothing has changed until the user says so.
    let told = operator.read("subscription", "fairway", "{.status.installedCSV} {.status.state}").await;
    assert_eq!(told.unwrap(), format!("{first} UpgradePending"));
    operator.becomes("operatorcondition", &first, UPGRADEABLE, "True Idle").await;

    // Pods of an image that is nowhere are replaced until there is another one.
    let mut changed = spec(80);
    changed["image"] = json!("quay.io/fairway/haproxy:nowhere");
    moved.write(&changed).await;
    operator.becomes("operatorcondition", &first, UPGRADEABLE, "False PodsBeingReplaced").await;
    operator.approve(&plan).await;
    explained(operator, "clusterserviceversion", &next, "the operator is not upgradeable: pods are being replaced of")
        .await;
    operator.kill_with_olm().await;
    moved.write(&spec(80)).await;
    moved.programmed(POD).await;

    wait::until("the next version to be under way", OLM, async || {
        let phase = operator.read("clusterserviceversion", &next, "{.status.phase}").await?;
        seen(["InstallReady", "Installing", "Succeeded"].contains(&phase.as_str()), || phase.clone())?;
        tell(&format!("killed while the next version is {phase}"));
        Ok::<_, String>(())
    })
    .await;
    operator.kill_with_olm().await;
    operator.installed(NEXT).await;
    operator.becomes("operatorcondition", &next, UPGRADEABLE, "True Idle").await;
}

/// What a catalog says of a channel is told to those who use it, and no longer once they use another one.
async fn deprecations_are_told(operator: &Operator<'_>) {
    explained(operator, "subscription", "fairway", "olm.channel/fast-v1: use stable-v1").await;
    operator.subscribe("stable-v1", "Manual").await;
    wait::until("the deprecation to go", OLM, async || {
        let told = operator.read("subscription", "fairway", "{.status.conditions}").await?;
        seen(!told.contains("Deprecated"), || told)
    })
    .await;
}

#[test]
fn an_upgrade_harms_nothing_nor_does_the_way_back() {
    sandbox::without_operator("upgrade", async |sandbox| {
        let operator = Operator::prepare(sandbox).await;
        operator.offer(Catalog::First).await;
        operator.watch(&[]).await;
        operator.subscribe("fast-v1", "Manual").await;
        operator.approve(&operator.asks(FIRST).await).await;
        operator.installed(FIRST).await;
        let (mut fleet, traffic) = Fleet::start(sandbox, FLEET).await;
        let moved = Balancer::start(sandbox, "moved", &spec(80)).await;

        operator.offer(Catalog::Both).await;
        approved_and_killed(&operator, &moved).await;
        fleet.is_looked_after().await;
        deprecations_are_told(&operator).await;

        // The catalog goes back: OLM does not.
        operator.offer(Catalog::First).await;
        traffic.flows().await;
        let told = operator.read("subscription", "fairway", "{.status.installedCSV}").await.unwrap();
        assert_eq!(told, format!("fairway.v{NEXT}"));
        tell(&operator.read("subscription", "fairway", "{.status.state} {.status.conditions}").await.unwrap());
        operator.uninstall().await;
        // Without an operator they serve on, and the next one adopts them.
        traffic.flows().await;
        for balancer in &fleet.balancers {
            assert_eq!(balancer.get().await.metadata.deletion_timestamp, None);
        }
        operator.subscribe("stable-v1", "Automatic").await;
        operator.installed(FIRST).await;
        fleet.is_looked_after().await;

        // By itself this time.
        operator.offer(Catalog::Both).await;
        operator.installed(NEXT).await;
        fleet.is_looked_after().await;
        traffic.stop_unharmed(&format!("from {FIRST} to {NEXT}, back, and there again")).await;
        operator.remove(&[]).await;
    });
}

#[test]
fn a_version_that_can_not_start_leaves_the_one_before_at_work() {
    sandbox::without_operator("broken", async |sandbox| {
        let operator = Operator::prepare(sandbox).await;
        operator.offer(Catalog::First).await;
        operator.watch(&[]).await;
        operator.subscribe("stable-v1", "Automatic").await;
        operator.installed(FIRST).await;
        let (mut fleet, traffic) = Fleet::start(sandbox, 1).await;

        operator.offer(Catalog::Broken).await;
        let broken = format!("fairway.v{BROKEN}");
        explained(
            &operator,
            "clusterserviceversion",
            &broken,
            "waiting for deployment fairway-operator to become ready",
        )
        .await;
        explained(&operator, "clusterserviceversion", &broken, "install failed: deployment fairway-operator not ready before timeout: deployment \"fairway-operator\" exceeded its progress deadline").await;
        fleet.is_looked_after().await;

        // Back to the version before, in a catalog that offers the broken one still.
        operator.uninstall().await;
        operator.subscribe_with("stable-v1", "Manual", &json!({ "startingCSV": format!("fairway.v{FIRST}") })).await;
        operator.approve(&operator.asks(FIRST).await).await;
        operator.succeeded(FIRST).await;
        operator.asks(BROKEN).await;
        fleet.is_looked_after().await;
        traffic.stop_unharmed(&format!("to {BROKEN}, which can't start, and back")).await;
        operator.remove(&[]).await;
    });
}
