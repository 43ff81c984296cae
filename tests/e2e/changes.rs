//! What a user changes while it serves takes effect, is proven, replaces no pod and costs no request.
//! Touches a sandbox.

use serde_json::{Value, json};

use crate::{
    application::Application,
    balancer::{Balancer, listener, member_pool, service_pool, small},
    certificates::{self, Authority},
    cluster::tell,
    sandbox,
    traffic::{Connections, Speech, Tally, Target, Traffic, sample},
    wait::{self, LIVE, POD, seen},
};

fn spec(pools: &[Value], listeners: &[Value]) -> Value {
    json!({ "resources": small(), "listeners": listeners, "pools": pools })
}

/// New and kept connections to the Service and to each replica.
async fn all_ways<'a>(
    balancer: &Balancer<'_>,
    port: u16,
    who: &'a str,
    speech: Speech,
) -> Vec<(&'a str, Target, Connections)> {
    let targets = balancer.targets(port, &speech).await;
    let ways = [Connections::Closed, Connections::Kept, Connections::Idle];
    targets.into_iter().flat_map(|target| ways.map(|way| (who, target.clone(), way))).collect()
}

/// Asks every replica until the answers are as they should be; afterwards they have to stay so.
async fn answered_by(balancer: &Balancer<'_>, what: &str, expected: impl Fn(&Tally) -> bool) {
    for target in balancer.targets(80, &Speech::Http).await {
        let tally = sample(&target, 100).await;
        assert!(
            tally.failures.is_empty() && expected(&tally),
            "{what}: {}: {:?} {tally}",
            target.address,
            tally.members
        );
    }
}

#[test]
fn members_by_address_come_go_and_are_weighted_without_a_failed_request() {
    sandbox::restricted("members", async |sandbox| {
        let app = Application::start(sandbox, "app", 3).await;
        let members = app.members().await;
        let web = [listener("web", "HTTP", 80, "app")];
        let with = |members: &[Value]| spec(&[member_pool("app", members)], &web);
        let balancer = Balancer::start(sandbox, "web", &with(&members[..2])).await;
        balancer.pool("app", 2, 2, LIVE).await;
        let before = balancer.identities().await;
        let traffic = Traffic::start(all_ways(&balancer, 80, "HTTP", Speech::Http).await).await;

        balancer.change("a member added", &with(&members)).await;
        balancer.pool("app", 3, 3, LIVE).await;
        answered_by(&balancer, "three members", |tally| tally.members.len() == 3).await;

        let mut weighted = members.clone();
        weighted[0]["weight"] = json!(0);
        balancer.change("a member weighted 0", &with(&weighted)).await;
        answered_by(&balancer, "one of three weighs nothing", |tally| tally.members.len() == 2).await;

        for (member, weight) in weighted.iter_mut().zip([10, 20, 70]) {
            member["weight"] = json!(weight);
        }
        balancer.change("members weighted 10, 20, 70", &with(&weighted)).await;
        traffic.stop_unharmed("members added and weighted").await;
        // With no other client, a hundred answers are a hundred turns in a row: the shares are no matter of chance.
        answered_by(&balancer, "weights 10, 20, 70", |tally| {
            let mut shares: Vec<_> = tally.members.values().copied().collect();
            shares.sort_unstable();
            let fair = [8..=12, 17..=23, 66..=74];
            shares.len() == 3 && shares.iter().zip(fair).all(|(share, fair)| fair.contains(share))
        })
        .await;

        let traffic = Traffic::start(all_ways(&balancer, 80, "HTTP", Speech::Http).await).await;
        traffic.flows().await;
        balancer.change("two members removed", &with(&members[..1])).await;
        answered_by(&balancer, "one member", |tally| tally.members.len() == 1).await;
        traffic.stop_unharmed("members removed").await;
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
    });
}

#[test]
fn a_service_that_is_scaled_and_replaced_is_followed_without_a_failed_request() {
    sandbox::restricted("scaled", async |sandbox| {
        let app = Application::start(sandbox, "app", 2).await;
        let spec = spec(&[service_pool("app", "app")], &[listener("web", "HTTP", 80, "app")]);
        let balancer = Balancer::start(sandbox, "web", &spec).await;
        balancer.pool("app", 2, 2, LIVE).await;
        let before = balancer.identities().await;
        let traffic = Traffic::start(all_ways(&balancer, 80, "HTTP", Speech::Http).await).await;
        for replicas in [4, 1, 3] {
            app.scale(replicas).await;
            app.serves(replicas).await;
            let count = i32::try_from(replicas).unwrap();
            balancer.pool("app", count, count, LIVE).await;
            answered_by(&balancer, "all members", |tally| tally.members.len() == replicas).await;
        }
        app.replace().await;
        balancer.pool("app", 3, 3, LIVE).await;
        traffic.stop_unharmed("an application scaled from 2 to 4, 1 and 3, and replaced").await;
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
    });
}

#[test]
fn a_renewed_certificate_is_seen_on_every_replica_without_a_failed_request() {
    sandbox::restricted("renewed", async |sandbox| {
        let authority = Authority::new();
        let (old, new) = (authority.issue("shop.example.com"), authority.issue("shop.example.com"));
        certificates::keep(sandbox, "shop", &old.pem, &old.key).await;
        Application::start(sandbox, "app", 2).await;
        let mut tls = listener("tls", "HTTPS", 443, "app");
        tls["certificates"] = json!([{ "secretName": "shop" }]);
        let spec = spec(&[service_pool("app", "app")], &[tls]);
        let balancer = Balancer::start(sandbox, "web", &spec).await;
        balancer.pool("app", 2, 2, LIVE).await;
        let before = balancer.identities().await;
        let speech = Speech::Https("shop.example.com".to_owned(), authority.trusted());
        let traffic = Traffic::start(all_ways(&balancer, 443, "HTTPS", speech.clone()).await).await;
        traffic.flows().await;
        let hash = |status: &fairway::api::LoadBalancerStatus| status.configuration.clone().unwrap_or_default().hash;
        let served = hash(&balancer.status().await);

        certificates::keep(sandbox, "shop", &new.pem, &new.key).await;
        balancer
            .becomes("another configuration to be proven", LIVE, |load_balancer| {
                let status = load_balancer.status.clone().unwrap_or_default();
                let counts = (hash(&status) != served, status.proven_replicas);
                seen(counts == (true, 2), || format!("changed, and proven replicas: {counts:?}"))
            })
            .await;
        for target in balancer.targets(443, &speech).await {
            let tally = sample(&target, 10).await;
            let seen: Vec<_> = tally.certificates.keys().collect();
            assert_eq!(seen, [&new.fingerprint], "{} shows other certificates than the new one", target.address);
        }
        traffic.stop_unharmed("a certificate renewed").await;
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
    });
}

#[test]
fn listeners_and_pools_come_and_go_without_a_new_pod() {
    sandbox::restricted("listeners", async |sandbox| {
        let red = Application::start(sandbox, "red", 1).await;
        let blue = Application::start(sandbox, "blue", 1).await;
        let web = |pool: &str| listener("web", "HTTP", 80, pool);
        let pools = [service_pool("red", "red"), member_pool("blue", &blue.members().await)];
        let balancer = Balancer::start(sandbox, "web", &spec(&pools[..1], &[web("red")])).await;
        balancer.pool("red", 1, 1, LIVE).await;
        let before = balancer.identities().await;
        let traffic = Traffic::start(all_ways(&balancer, 80, "HTTP", Speech::Http).await).await;

        let two = [web("red"), listener("more", "TCP", 5000, "blue")];
        balancer.change("a pool and a listener added", &spec(&pools, &two)).await;
        // The Service's new port takes a moment to reach every node.
        for target in balancer.targets(5000, &Speech::Tcp).await {
            wait::until("the added listener to answer", LIVE, async || {
                let tally = sample(&target, 1).await;
                seen(tally.failures.is_empty(), || tally.to_string())
            })
            .await;
        }
        balancer.change("a listener given another pool", &spec(&pools, &[web("blue"), two[1].clone()])).await;
        answered_by(&balancer, "the other pool", |tally| tally.members.keys().all(|name| name.starts_with("blue")))
            .await;

        balancer.change("a listener and a pool removed", &spec(&pools[1..], &[web("blue")])).await;
        for target in balancer.targets(5000, &Speech::Tcp).await {
            wait::until("the removed listener to be gone", POD, async || {
                let tally = sample(&target, 1).await;
                seen(tally.failures.len() == 1, || tally.to_string())
            })
            .await;
        }
        traffic.stop_unharmed("listeners and pools added, changed, removed").await;
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
        tell(&format!("the pods of {} and {} went on", red.name, blue.name));
    });
}
