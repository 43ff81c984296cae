//! Between two real builds by Subscription, with load balancers under traffic: no request fails and no pod is
//! restarted. Touches OLM and a sandbox.

use serde_json::json;

use super::operator::{Catalog, FIRST, NEXT, Operator};
use crate::{
    application::Application,
    balancer::{Balancer, listener, service_pool, small},
    sandbox::{self, Sandbox},
    traffic::{Connections, Speech, Traffic},
    wait::{LIVE, POD},
};

const FLEET: usize = 3;

/// Load balancers that serve, and clients at each of them.
async fn fleet(sandbox: &Sandbox) -> (Vec<Balancer<'_>>, Traffic) {
    Application::start(sandbox, "app", 2).await;
    let (mut balancers, mut targets) = (vec![], vec![]);
    for index in 0..FLEET {
        let balancer = Balancer::start(sandbox, &format!("web-{index}"), &spec(80)).await;
        balancer.pool("app", 2, 2, LIVE).await;
        targets.push(("HTTP", balancer.service(80, Speech::Http).await, Connections::Closed));
        targets.push(("HTTP", balancer.service(80, Speech::Http).await, Connections::Kept));
        balancers.push(balancer);
    }
    (balancers, Traffic::start(targets).await)
}

fn spec(more: u16) -> serde_json::Value {
    let mut listeners = vec![listener("web", "HTTP", 80, "app")];
    if more != 80 {
        listeners.push(listener("more", "HTTP", more, "app"));
    }
    json!({ "replicas": 2, "resources": small(), "listeners": listeners, "pools": [service_pool("app", "app")] })
}

/// From this version to the next, with these acts of the user's in between.
fn upgraded(name: &str, approval: &'static str) {
    sandbox::restricted(name, async |sandbox| {
        let operator = Operator::prepare(sandbox).await;
        operator.offer(Catalog::First).await;
        operator.watch(&[]).await;
        operator.subscribe("stable-v1", approval).await;
        if approval == "Manual" {
            operator.approve(&operator.asks().await).await;
        }
        operator.installed(FIRST).await;
        let (balancers, traffic) = fleet(sandbox).await;
        let mut before = vec![];
        for balancer in &balancers {
            before.push(balancer.identities().await);
        }

        operator.offer(Catalog::Both).await;
        if approval == "Manual" {
            let plan = operator.asks().await;
            // Nothing has changed until the user says so.
            let told = operator.read("subscription", "fairway", "{.status.installedCSV} {.status.state}").await;
            assert_eq!(told.unwrap(), format!("fairway.v{FIRST} UpgradePending"));
            operator.approve(&plan).await;
        }
        operator.installed(NEXT).await;
        for (index, balancer) in balancers.iter().enumerate() {
            balancer.write(&spec(81)).await;
            balancer.programmed(POD).await;
            assert_eq!(
                balancer.identities().await,
                before[index],
                "{}: pods were replaced or restarted",
                balancer.name
            );
        }
        traffic.stop_unharmed(&format!("upgraded from {FIRST} to {NEXT}, {approval}")).await;
        operator.remove(&[]).await;
    });
}

#[test]
fn an_upgrade_by_itself_harms_nothing() {
    upgraded("upgrade", "Automatic");
}

#[test]
fn an_upgrade_that_is_approved_harms_nothing() {
    upgraded("approved", "Manual");
}

#[test]
fn no_upgrade_begins_while_pods_are_replaced() {
    sandbox::restricted("upgradeable", async |sandbox| {
        let operator = Operator::prepare(sandbox).await;
        operator.offer(Catalog::First).await;
        operator.watch(&[]).await;
        operator.subscribe("stable-v1", "Automatic").await;
        operator.installed(FIRST).await;
        Application::start(sandbox, "app", 2).await;
        let mut changed = spec(80);
        let balancer = Balancer::start(sandbox, "web", &changed).await;
        let (name, told) =
            (format!("fairway.v{FIRST}"), "{.status.conditions[0].status} {.status.conditions[0].reason}");
        operator.becomes("operatorcondition", &name, told, "True Idle").await;

        changed["resources"]["limits"]["memory"] = json!("160Mi");
        balancer.write(&changed).await;
        operator.becomes("operatorcondition", &name, told, "False PodsBeingReplaced").await;
        // What is offered now waits, and is not forgotten.
        operator.offer(Catalog::Both).await;
        balancer.programmed(POD).await;
        operator.installed(NEXT).await;
        operator.becomes("operatorcondition", &format!("fairway.v{NEXT}"), told, "True Idle").await;
        operator.remove(&[]).await;
    });
}
