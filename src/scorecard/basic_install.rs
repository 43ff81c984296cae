//! Level 1, Basic Install: what the examples ask for is made, answers and tells of itself; it is configured through its
//! spec and its class; and mistakes are told while what served serves on. Touches the test's namespace.

mod registries;

use serde_json::{Value, json};

use super::{
    LONG, Level, QUICK, Test,
    balancer::{LIVE, START, http_port, pods},
    result::{Trouble, seen},
    subject::good,
    testbed::Testbed,
};
use crate::api::{LoadBalancer, LoadBalancerStatus};

pub(super) const LEVEL: Level = Level {
    number: 1,
    name: "Basic Install",
    suite: "basic-install",
    tests: &[
        Test {
            name: "samples-serve",
            claim: "the load balancers of alm-examples are made, become ready, answer a request and tell of themselves",
            limit: QUICK,
            run: |testbed| Box::pin(samples_serve(testbed)),
        },
        Test {
            name: "changes-harm-nothing",
            claim: "a class gives what the spec leaves out, and a change of the spec is followed without a failed request",
            limit: QUICK,
            run: |testbed| Box::pin(changes_harm_nothing(testbed)),
        },
        Test {
            name: "mistakes-are-told",
            claim: "a spec that makes no sense is refused, a name that leads nowhere is told, and what served serves on",
            limit: QUICK,
            run: |testbed| Box::pin(mistakes_are_told(testbed)),
        },
        Test {
            name: "registries-serve",
            claim: "the Harbor of alm-examples becomes ready, as Harbor itself says; mistakes are told and harm nothing; \
                    deleted and made again it is on the same volumes",
            limit: LONG,
            run: |testbed| Box::pin(registries::registries_serve(testbed)),
        },
    ],
};

async fn samples_serve(testbed: &Testbed) -> Result<(), Trouble> {
    for class in &testbed.examples.classes {
        testbed.class(class).await?;
    }
    for example in &testbed.examples.load_balancers {
        let balancer = testbed.balancer(example).await?;
        let settled = balancer.settled(START).await?;
        informative(&settled).map_err(Trouble::Unmet)?;
        balancer.answers(http_port(&example["spec"])?).await?;
    }
    Ok(())
}

/// Whether status tells where it is reached, what runs, and what HAProxy says of it.
fn informative(load_balancer: &LoadBalancer) -> Result<(), String> {
    let status = load_balancer.status.clone().unwrap_or_default();
    for condition in &status.conditions {
        seen(!condition.reason.is_empty(), || format!("{} has no reason", condition.type_))?;
    }
    good(load_balancer, &status, "Reconciled")?;
    for replica in &status.replica_statuses {
        let told = [&replica.node, &replica.proven_hash, &replica.haproxy_version];
        seen(told.iter().all(|text| !text.is_empty()), || format!("not all is told of a replica: {replica:?}"))?;
    }
    let LoadBalancerStatus { listeners, pools, .. } = &status;
    let spec = &load_balancer.spec;
    seen((listeners.len(), pools.len()) == (spec.listeners.len(), spec.pools.len()), || {
        format!("not every listener and pool is told of: {listeners:?}, {pools:?}")
    })
}

async fn changes_harm_nothing(testbed: &Testbed) -> Result<(), Trouble> {
    let class = &testbed.examples.classes[0];
    testbed.class(class).await?;
    let mut example = testbed.examples.load_balancers[0].clone();
    example["spec"]["className"] = class["metadata"]["name"].clone();
    let balancer = testbed.balancer(&example).await?;
    let before = balancer.settled(START).await?.status.unwrap_or_default();
    for (container, _) in balancer.containers(&before).await? {
        let limits = json!(container.resources)["limits"].clone();
        let asked = &class["spec"]["resources"]["limits"];
        seen(limits == *asked, || format!("the class asks for limits of {asked}, and a pod has {limits}"))
            .map_err(Trouble::Unmet)?;
    }

    let port = http_port(&example["spec"])?;
    let traffic = balancer.traffic(port).await?;
    let other = if port == 18_080 { 18_081 } else { 18_080 };
    let mut more = example["spec"]["listeners"][0].clone();
    (more["name"], more["port"]) = (json!("scorecard"), json!(other));
    if let Some(listeners) = example["spec"]["listeners"].as_array_mut() {
        listeners.push(more);
    }
    balancer.write(&example["spec"]).await?;
    let after = balancer.settled(LIVE).await?.status.unwrap_or_default();
    balancer.answers(other).await?;
    seen(pods(&after) == pods(&before), || format!("pods were replaced: {:?}, {:?}", pods(&before), pods(&after)))
        .map_err(Trouble::Unmet)?;
    balancer.unharmed(traffic).await
}

async fn mistakes_are_told(testbed: &Testbed) -> Result<(), Trouble> {
    let example = &testbed.examples.load_balancers[0];
    let balancer = testbed.balancer(example).await?;
    balancer.settled(START).await?;
    let traffic = balancer.traffic(http_port(&example["spec"])?).await?;

    let mut senseless = example["spec"].clone();
    senseless["listeners"][0]["pool"] = json!("nowhere");
    match balancer.write(&senseless).await {
        Err(Trouble::Cluster(message)) if message.contains("a listener names a pool that is not in spec.pools") => {
            testbed.note(&format!("refused: {message}"));
        }
        Err(trouble) => return Err(trouble),
        Ok(()) => return Err(Trouble::Unmet("a listener that names a pool that is not there is taken".to_owned())),
    }

    let missing = missing_service(&example["spec"])?;
    balancer.write(&missing).await?;
    let serves = |load_balancer: &_, status: &_| good(load_balancer, status, "Ready");
    let message = balancer.tells("ResolvedRefs", "ServiceNotFound", LIVE, serves).await?;
    seen(message.contains("\"not-there\""), || format!("the Service is not named: {message}"))
        .map_err(Trouble::Unmet)?;

    balancer.write(&example["spec"]).await?;
    balancer.settled(LIVE).await?;
    balancer.unharmed(traffic).await
}

/// The same with a Service that there is not, in the first pool that has one.
fn missing_service(spec: &Value) -> Result<Value, Trouble> {
    let mut changed = spec.clone();
    let pools = changed["pools"].as_array_mut().into_iter().flatten();
    let mut services = pools.filter_map(|pool| pool.get_mut("services")?.get_mut(0));
    let service = services.next().ok_or_else(|| Trouble::Examples("no pool names a Service".to_owned()))?;
    service["name"] = json!("not-there");
    Ok(changed)
}
