//! Three hundred changes of all kinds in a row: clients of what is not changed notice nothing, and in the end
//! runs what a load balancer runs that was never anything else. Touches a sandbox and a class of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use fairway::api::LoadBalancerStatus;
use kube::ResourceExt;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::{
    application::{Application, member},
    balancer::{Balancer, listener, member_pool, service_pool, small},
    certificates::{self, Authority},
    cluster::tell,
    sandbox::{self, Sandbox},
    traffic::{Connections, Speech, Traffic, sample},
    wait::{self, LIVE, POD, seen},
};

/// How many changes there are, and what they are drawn from.
const CHANGES: usize = 300;
const SEED: u64 = 20_261_123;
/// What is asked for in TLS.
const NAME: &str = "shop.example.com";
/// The ports of listeners that come and go.
const PORTS: std::ops::Range<u16> = 5000..5005;

/// What is wanted at a time.
#[derive(Clone, Debug)]
struct Wanted {
    /// Weights by member.
    members: BTreeMap<usize, u16>,
    /// Paths of rules, and the pool that they lead to.
    rules: BTreeMap<u8, &'static str>,
    ports: BTreeSet<u16>,
    networks: BTreeSet<&'static str>,
    /// Names of pools that nothing else leads to than rules.
    pools: BTreeSet<&'static str>,
    algorithm: &'static str,
    persistence: Option<&'static str>,
    seconds: u16,
    replicas: usize,
    certificate: usize,
    annotation: u16,
}

/// Pools that come and go.
const POOLS: [&str; 3] = ["red", "green", "blue"];
const NETWORKS: [&str; 4] = ["10.0.0.0/8", "192.0.2.0/24", "198.51.100.7/32", "172.16.0.0/12"];
/// How members are chosen and kept.
const ALGORITHMS: [&str; 3] = ["RoundRobin", "LeastConnections", "Source"];
const PERSISTENCE: [Option<&str>; 3] = [None, Some("SourceAddress"), Some("InsertedCookie")];

impl Wanted {
    fn first() -> Self {
        Self {
            members: [(0, 100), (1, 100)].into(),
            rules: BTreeMap::new(),
            ports: BTreeSet::new(),
            networks: BTreeSet::new(),
            pools: BTreeSet::new(),
            algorithm: ALGORITHMS[0],
            persistence: None,
            seconds: 30,
            replicas: 1,
            certificate: 0,
            annotation: 0,
        }
    }

    fn spec(&self, class: &str, members: &[Value]) -> Value {
        let mut moving = member_pool("moving", &[]);
        let weighted = self.members.iter().map(|(number, weight)| {
            let mut member = members[*number].clone();
            member["weight"] = json!(weight);
            member
        });
        moving["members"] = weighted.collect();
        moving["algorithm"] = json!(self.algorithm);
        moving["timeouts"] = json!({ "serverSeconds": self.seconds });
        if let Some(kind) = self.persistence {
            moving["persistence"] = json!({ "type": kind });
        }
        let mut pools = vec![service_pool("still", "still"), moving, service_pool("scaled", "scaled")];
        pools.extend(self.pools.iter().map(|name| member_pool(name, &members[..1])));

        let mut changed = listener("changed", "HTTP", 81, "moving");
        changed["timeouts"] = json!({ "clientSeconds": self.seconds });
        if !self.networks.is_empty() {
            // All may come, so that clients see what runs.
            let all = self.networks.iter().chain(&["0.0.0.0/0"]);
            changed["allowedCidrs"] = all.map(|network| json!(network)).collect();
        }
        let rules = self.rules.iter().map(|(number, pool)| {
            let path = json!({ "type": "Path", "operator": "StartsWith", "value": format!("/{number}/") });
            json!({ "name": format!("rule-{number}"), "matches": [path], "pool": pool })
        });
        let of_pools = self.pools.iter().map(|pool| {
            let path = json!({ "type": "Path", "operator": "Equals", "value": format!("/{pool}") });
            json!({ "name": format!("to-{pool}"), "matches": [path], "pool": pool })
        });
        changed["rules"] = rules.chain(of_pools).collect();
        let mut tls = listener("tls", "HTTPS", 443, "still");
        tls["certificates"] = json!([{ "secretName": "shop" }]);
        let mut listeners = vec![listener("web", "HTTP", 80, "still"), changed, tls];
        listeners.extend(self.ports.iter().map(|port| listener(&format!("port-{port}"), "TCP", *port, "still")));
        json!({ "className": class, "resources": small(), "listeners": listeners, "pools": pools })
    }

    /// Changes one thing; which kind of thing.
    fn change(&mut self, random: &mut StdRng, members: usize) -> &'static str {
        fn toggle<T: Ord>(set: &mut BTreeSet<T>, one: T) {
            if let Some(one) = (!set.remove(&one)).then_some(one) {
                set.insert(one);
            }
        }
        match random.random_range(0..12_u8) {
            0 | 1 => {
                let number = random.random_range(0..members);
                if self.members.len() > 1 && self.members.remove(&number).is_some() {
                    return "member";
                }
                self.members.insert(number, 100);
                "member"
            }
            2 => {
                if let Some(weight) = self.members.values_mut().next_back() {
                    *weight = random.random_range(1..=256);
                }
                "weight"
            }
            3 => {
                let number = random.random_range(0..6);
                if self.rules.remove(&number).is_none() {
                    self.rules.insert(number, ["still", "moving", "scaled"].choose(random).unwrap());
                }
                "rule"
            }
            4 => {
                toggle(&mut self.ports, random.random_range(PORTS));
                "listener"
            }
            5 => {
                self.certificate += 1;
                "certificate"
            }
            6 => {
                toggle(&mut self.networks, NETWORKS.choose(random).unwrap());
                "network"
            }
            7 => {
                toggle(&mut self.pools, POOLS.choose(random).unwrap());
                "pool"
            }
            8 => {
                self.replicas = random.random_range(1..=2);
                "scale"
            }
            9 => {
                self.algorithm = ALGORITHMS.choose(random).unwrap();
                "algorithm"
            }
            10 => {
                self.persistence = *PERSISTENCE.choose(random).unwrap();
                "persistence"
            }
            _ => {
                self.seconds = random.random_range(20..60);
                self.annotation = self.seconds;
                "timeouts and class"
            }
        }
    }
}

/// The class names the namespace, so that it is this test's own.
async fn write_class(sandbox: &Sandbox, annotation: u16) {
    let class = json!({
        "apiVersion": "fairway.dev/v1alpha1",
        "kind": "LoadBalancerClass",
        "metadata": { "name": sandbox.namespace },
        "spec": { "exposure": { "service": { "annotations": { "example.com/change": annotation.to_string() } } } },
    });
    let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    sandbox.cluster.kubectl(&arguments, &class.to_string()).await.unwrap();
}

fn hash(status: &LoadBalancerStatus) -> String {
    status.configuration.clone().unwrap_or_default().hash
}

#[test]
fn three_hundred_mixed_changes_harm_nobody() {
    sandbox::restricted("mixed", async |sandbox| {
        Application::start(sandbox, "still", 2).await;
        let (moving, scaled) =
            (Application::start(sandbox, "moving", 3).await, Application::start(sandbox, "scaled", 1).await);
        let pods = moving.pods().await;
        let members: Vec<_> = pods.iter().map(member).collect();
        let authority = Authority::new();
        let mut certificate = authority.issue(NAME);
        certificates::keep(sandbox, "shop", &certificate.pem, &certificate.key).await;
        write_class(sandbox, 0).await;
        let (mut wanted, class) = (Wanted::first(), sandbox.namespace.as_str());
        let balancer = Balancer::start(sandbox, "web", &wanted.spec(class, &members)).await;
        balancer.pool("still", 2, 2, LIVE).await;
        let before = balancer.identities().await;
        let ways = balancer.targets(80, &Speech::Http).await.into_iter();
        let kinds = [Connections::Closed, Connections::Kept];
        let traffic =
            Traffic::start(ways.flat_map(|target| kinds.map(|way| ("what is not changed", target.clone(), way)))).await;

        let (mut random, begun) = (StdRng::seed_from_u64(SEED), Instant::now());
        let (mut counts, mut slowest) = (BTreeMap::<_, usize>::new(), Duration::ZERO);
        for number in 0..CHANGES {
            let known = (wanted.certificate, wanted.replicas, wanted.annotation);
            *counts.entry(wanted.change(&mut random, members.len())).or_default() += 1;
            if wanted.certificate != known.0 {
                certificate = authority.issue(NAME);
                certificates::keep(sandbox, "shop", &certificate.pem, &certificate.key).await;
            }
            if wanted.replicas != known.1 {
                scaled.scale(wanted.replicas).await;
            }
            if wanted.annotation != known.2 {
                write_class(sandbox, wanted.annotation).await;
            }
            let written = Instant::now();
            balancer.write(&wanted.spec(class, &members)).await;
            // Now one by one, now in a burst.
            if (number / 20).is_multiple_of(2) || random.random_ratio(1, 5) {
                balancer.programmed(LIVE).await;
                slowest = slowest.max(written.elapsed());
            }
        }
        balancer.programmed(LIVE).await;
        let time = begun.elapsed().as_secs_f64();
        tell(&format!("{CHANGES} changes in {time:.0} s, the slowest {} ms: {counts:?}", slowest.as_millis()));
        scaled.serves(wanted.replicas).await;
        as_wanted(sandbox, &balancer, &wanted, &members, &pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>())
            .await;
        let speech = Speech::Https(NAME.to_owned(), authority.trusted());
        for target in balancer.targets(443, &speech).await {
            let tally = sample(&target, 10).await;
            let shown: Vec<_> = tally.certificates.keys().collect();
            assert_eq!(shown, [&certificate.fingerprint], "{} shows other certificates: {tally}", target.address);
        }
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
        traffic.stop_unharmed("three hundred mixed changes").await;
        sandbox.cluster.kubectl(&["delete", "loadbalancerclass", class], "").await.unwrap();
    });
}

/// What runs is what a load balancer runs that has never been anything else, and clients see so.
async fn as_wanted(sandbox: &Sandbox, balancer: &Balancer<'_>, wanted: &Wanted, members: &[Value], names: &[String]) {
    let fresh = Balancer::named(sandbox, "fresh");
    let mut spec = wanted.spec(&sandbox.namespace, members);
    spec["replicas"] = json!(0);
    fresh.write(&spec).await;
    wait::until("all replicas to run what a fresh load balancer would", POD, async || {
        let (ours, fresh) = (balancer.status().await, fresh.status().await);
        let proven: BTreeSet<_> = ours.replica_statuses.iter().map(|replica| replica.proven_hash.clone()).collect();
        seen(!hash(&fresh).is_empty() && proven == [hash(&fresh)].into(), || {
            format!("{proven:?} and not {}", hash(&fresh))
        })
    })
    .await;
    let expected: BTreeSet<_> = wanted.members.keys().map(|number| &names[*number]).collect();
    for target in balancer.targets(81, &Speech::Http).await {
        let tally = sample(&target, 60).await;
        let known = tally.members.keys().all(|name| expected.contains(name));
        assert!(tally.failures.is_empty() && known, "{}: {tally}: {:?}", target.address, tally.members);
    }
    for port in PORTS {
        // Pods themselves: the Service's ports take a moment to reach every node.
        for target in balancer.targets(port, &Speech::Tcp).await.into_iter().skip(1) {
            let answers = sample(&target, 1).await.failures.is_empty();
            assert_eq!(answers, wanted.ports.contains(&port), "{}", target.address);
        }
    }
}
