//! Routes, allowed networks and monitors' targets change while HAProxy runs, as the operator renders them: no
//! reload, no request lost, none led elsewhere once the change is proven.

use std::{fmt::Write, net::SocketAddr, time::Duration};

use fairway::{
    agent::protocol::{Configuration, MAIN_FILE, MemberState, Report},
    api::LoadBalancer,
    loadbalancer::{
        plan::{self, objects::read_configuration},
        world::{Identity, World},
    },
};
use jiff::Timestamp;

use crate::{
    pod::{Pod, eventually},
    traffic::Traffic,
    web::{KeepAlive, get, server},
};

/// What the operator makes of a spec whose only listener is the pod's.
fn configuration(pod: &Pod, sequence: u64, listener: &str, pools: &str) -> Configuration {
    let port = pod.web_port;
    let spec = format!("listeners: [{{ name: web, protocol: HTTP, port: {port}, pool: a{listener} }}]\npools: {pools}");
    let mut resource = LoadBalancer::new("shop", serde_saphyr::from_str(&spec).expect("a spec"));
    resource.metadata.namespace = Some("customer".to_owned());
    resource.metadata.uid = Some("11111111-2222-3333-4444-555555555555".to_owned());
    let world = World { identity: Some(Identity { renew: None }), ..World::default() };
    let plan = plan::plan(&resource, &world, Timestamp::UNIX_EPOCH);
    let secrets =
        plan.objects.iter().filter(|object| object.types.as_ref().is_some_and(|types| types.kind == "Secret"));
    let mut found =
        secrets.filter_map(|secret| read_configuration(&serde_json::from_value(secret.data["data"].clone()).ok()?));
    let mut configuration = found.next().expect("a configuration");
    // Other pods of this machine have other addresses.
    let main = configuration.files.get_mut(MAIN_FILE).expect("the main file");
    *main = main.replace(&format!("bind :{port}"), &format!("bind {}", pod.web()));
    configuration.sequence = sequence;
    configuration
}

/// Pools of one member each that answers with the pool's name; the last has no member.
async fn pools() -> String {
    let mut pools = String::new();
    for name in ["a", "b", "c"] {
        let address = server(name, Duration::from_secs(1)).await;
        let port = address.port();
        write!(pools, "{{ name: {name}, members: [{{ address: 127.0.0.1, port: {port} }}] }}, ").expect("written");
    }
    format!("[{pools}{{ name: empty }}]")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_and_networks_change_under_traffic_without_a_reload() {
    let pod = Pod::running().await;
    let pools = pools().await;
    let first = configuration(&pod, 2, ", allowedCidrs: [127.0.0.0/8]", &pools);
    let reloads = pod.push(&first).await.expect("taken").reloads;
    let traffic = Traffic::start(&pod);
    let web = pod.web();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let others = tokio::spawn(async move {
        let (mut client, mut answers) = (KeepAlive::new(web, false), 0);
        // From the first rule on.
        while client.get("/fixed").await.expect("an answer") != "b" {}
        while stopped.try_recv().is_err() {
            assert_eq!(client.get("/fixed").await.expect("an answer"), "b", "after {answers} answers");
            answers += 1;
        }
        answers
    });
    for round in 0..100_u64 {
        let pool = ["a", "b", "c"][usize::try_from(round).expect("small") % 3];
        let host = if round % 4 < 2 { "Host, value: WEB" } else { "Host, operator: Equals, value: other.example" };
        let listener = format!(
            ", allowedCidrs: [10.{round}.0.0/16, '2001:db8::/32', 127.0.0.0/8], rules: [
                {{ name: fixed, matches: [{{ type: Path, value: /fixed }}], pool: b }},
                {{ name: host, matches: [{{ type: {host} }}, {{ type: Path, operator: StartsWith, value: /host }}], pool: b }},
                {{ name: moving, matches: [{{ type: Path, operator: StartsWith, value: /moving }}], pool: {pool} }},
                {{ name: r{round}, matches: [{{ type: Path, value: /only/{round} }}], pool: c }}]"
        );
        let wanted = configuration(&pod, 3 + round, &listener, &pools);
        let report = pod.push(&wanted).await.expect("taken");
        assert_eq!(report.proven.map(|proven| proven.hash), Some(wanted.hash()));
        assert_eq!(report.reloads, reloads, "round {round}");
        let host = if round % 4 < 2 { "b" } else { "a" };
        let paths = [
            ("/moving/x?y", pool),
            ("/host", host),
            (&format!("/only/{round}"), "c"),
            (&format!("/only/{}", round.wrapping_sub(1)), "a"),
            ("/", "a"),
        ];
        for (path, expected) in paths {
            assert_eq!(get(web, path).await.expect("an answer"), expected, "{path} in round {round}");
        }
    }
    let last = configuration(&pod, 200, ", allowedCidrs: [127.0.0.0/8]", &pools);
    stop.send(()).expect("it still asks");
    let answers: u32 = others.await.expect("none led elsewhere");
    let report = pod.push(&last).await.expect("taken");
    assert_eq!((report.reloads, report.drifted), (reloads, 0));
    assert_eq!(get(web, "/fixed").await.expect("an answer"), "a");
    assert!(answers > 100, "{answers} answers");
    traffic.end_without_loss().await;
    let metrics = get((pod.address, pod.metrics_port).into(), "/metrics").await.expect("metrics");
    assert!(metrics.contains("fairway_agent_changes_total{kind=\"runtime\",reason=\"Patterns\"} 101"), "{metrics}");
}

#[tokio::test]
async fn who_may_connect_changes_at_once_and_nobody_does_by_mistake() {
    let pod = Pod::running().await;
    let pools = pools().await;
    let allow =
        |sequence, networks: &str| configuration(&pod, sequence, &format!(", allowedCidrs: [{networks}]"), &pools);
    let web = pod.web();
    let is_let_in = async || get(web, "/").await.is_ok();
    let many: Vec<String> =
        (1000..1127).map(|number| format!("'2001:db8:1111:1111:1111:1111:{number}:0/112'")).collect();
    let many = many.join(", ") + ", 127.0.0.0/8";
    let steps = [
        // Everybody; with the first network HAProxy is loaded anew, and so without the last.
        ("", true, 1),
        ("192.0.2.0/24", false, 2),
        ("192.0.2.0/24, 127.0.0.0/8", true, 2),
        ("'::/0'", true, 2),
        ("'2001:db8::/32'", false, 2),
        ("127.9.9.9/8, 127.0.0.0/8", true, 2),
        ("192.0.2.0/24", false, 2),
        // As many as there can be: more than one command.
        (&many, true, 2),
        ("192.0.2.0/24", false, 2),
        ("0.0.0.0/0", true, 2),
        ("", true, 3),
    ];
    for (sequence, (networks, expected, reloads)) in (2..).zip(steps) {
        let report = pod.push(&allow(sequence, networks)).await.expect("taken");
        assert_eq!((is_let_in().await, report.reloads), (expected, reloads), "{networks}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_of_hosts_change_at_once_for_clients_that_were_answered_otherwise_before() {
    let pod = Pod::running().await;
    let pools = pools().await;
    let rules = |sequence, end: &str, pool: &str| {
        let listener = format!(
            ", rules: [{{ name: kept, matches: [{{ type: Host, operator: EndsWith, value: .never.example }}], pool: b }},
                {{ name: r, matches: [{{ type: Host, operator: EndsWith, value: {end} }}], pool: {pool} }}]"
        );
        configuration(&pod, sequence, &listener, &pools)
    };
    let reloads = pod.push(&rules(2, ".other.example", "b")).await.expect("taken").reloads;
    // HAProxy remembers what it found for a host: the clients ask for `web` all the time.
    let traffic = Traffic::start(&pod);
    for (sequence, (end, pool, expected)) in
        (3..).zip([("eb", "c", "c"), ("WEB", "b", "b"), ("xb", "b", "a")].repeat(10))
    {
        assert_eq!(pod.push(&rules(sequence, end, pool)).await.expect("taken").reloads, reloads);
        assert_eq!(get(pod.web(), "/").await.expect("an answer"), expected, "{end}");
    }
    traffic.end_without_loss().await;
}

#[tokio::test]
async fn many_routes_take_more_than_one_command() {
    let pod = Pod::running().await;
    let pools = pools().await;
    let rules = |pool: &str| {
        let rules = (0..30).map(|number| {
            let path = format!("/{number}/{}", "x".repeat(200));
            let host = if number < 15 { format!("{{ type: Host, value: h{number} }}, ") } else { String::new() };
            format!("{{ name: r{number}, matches: [{host}{{ type: Path, value: {path} }}], pool: {pool} }}, ")
        });
        format!(", rules: [{}]", rules.collect::<String>())
    };
    let reloads = pod.push(&configuration(&pod, 2, "", &pools)).await.expect("taken").reloads;
    for (sequence, pool) in (3..).zip(["b", "c"]) {
        let wanted = configuration(&pod, sequence, &rules(pool), &pools);
        assert!(wanted.files["routes-web.map"].len() > 40_000, "several payloads");
        assert_eq!(pod.push(&wanted).await.expect("taken").reloads, reloads);
        let path = format!("/29/{}", "x".repeat(200));
        assert_eq!(get(pod.web(), &path).await.expect("an answer"), pool);
    }
}

#[tokio::test]
async fn patterns_that_drift_are_put_right_and_counted() {
    let pod = Pod::running().await;
    let pools = pools().await;
    let listener = ", allowedCidrs: [127.0.0.0/8], rules: [{ name: r, matches: [{ type: Path, value: /r }], pool: b }]";
    let reloads = pod.push(&configuration(&pod, 2, listener, &pools)).await.expect("taken").reloads;
    let by_hand = [
        "clear map routes-web.map",
        "add map routes-web.map |1|| c.http",
        "set map routes-web.map |1||/r? nowhere",
        "add acl allowed-web.acl 10.0.0.0/8",
        "del acl allowed-web.acl 127.0.0.0/8",
    ];
    for (drifted, command) in (1..).zip(by_hand) {
        let answer = pod.only_worker().await.ask(command).await.expect("said");
        assert_eq!(answer.trim(), "", "{command}");
        pod.report_with(|report| report.drifted == drifted).await;
        let web = pod.web();
        eventually("as it should be", async || {
            let [ruled, other] = [get(web, "/r").await.ok()?, get(web, "/").await.ok()?];
            (ruled == "b" && other == "a").then_some(())
        })
        .await;
    }
    // Somebody else's unfinished change is in nobody's way, and an empty table must be empty too.
    pod.only_worker().await.ask("prepare map routes-web.map").await.expect("said");
    pod.only_worker().await.ask("add map @1000 routes-web.map x y").await.expect("said");
    let without = configuration(&pod, 3, ", allowedCidrs: [127.0.0.0/8]", &pools);
    assert_eq!(pod.push(&without).await.expect("taken").reloads, reloads);
    pod.only_worker().await.ask("add map routes-web.map |1|| c.http").await.expect("said");
    let report = pod.report_with(|report| report.drifted == 6).await;
    assert_eq!(report.reloads, reloads);
    assert_eq!(get(pod.web(), "/r").await.expect("an answer"), "a");
}

fn state(report: &Report, member: SocketAddr) -> Option<MemberState> {
    report.pools.get("a.http")?.iter().find(|it| it.name == member.to_string()).map(|it| it.state)
}

#[tokio::test]
async fn a_monitor_is_aimed_elsewhere_and_back_without_a_reload() {
    let pod = Pod::running().await;
    let [a, b] = [server("a", Duration::ZERO).await, server("b", Duration::ZERO).await];
    let members = |sequence, port: &str, members: &[(SocketAddr, &str)]| {
        let members =
            members.iter().map(|(address, more)| format!("{{ address: 127.0.0.1, port: {}{more} }}, ", address.port()));
        let monitor = format!("{{ type: TCP, intervalSeconds: 1, timeoutSeconds: 1, rises: 1, falls: 1{port} }}");
        configuration(
            &pod,
            sequence,
            "",
            &format!("[{{ name: a, monitor: {monitor}, members: [{}] }}]", members.collect::<String>()),
        )
    };
    let up = |report: &Report, member| state(report, member) == Some(MemberState::Up);
    let down = |report: &Report, member| state(report, member) == Some(MemberState::Down);
    // Nobody yet: slots are kept for those that come.
    let reloads = pod.push(&members(2, "", &[])).await.expect("taken").reloads;
    pod.push(&members(3, "", &[(a, ", monitorPort: 1")])).await.expect("taken");
    pod.report_with(|report| down(report, a)).await;
    pod.push(&members(4, "", &[(a, "")])).await.expect("taken");
    pod.report_with(|report| up(report, a)).await;
    pod.push(&members(5, "", &[(a, ""), (b, ", monitorAddress: '::1', monitorPort: 1")])).await.expect("taken");
    pod.report_with(|report| up(report, a) && down(report, b)).await;
    let both = format!(", monitorAddress: 127.0.0.1, monitorPort: {}", b.port());
    pod.push(&members(6, "", &[(a, ""), (b, &both)])).await.expect("taken");
    pod.report_with(|report| up(report, a) && up(report, b)).await;
    // For all of the pool.
    pod.push(&members(7, ", port: 1", &[(a, ""), (b, &both)])).await.expect("taken");
    let report = pod.report_with(|report| down(report, a) && up(report, b)).await;
    assert_eq!((report.reloads, report.drifted), (reloads, 0));
    // A hand that aims elsewhere is a drift.
    let slot = pod.worker().slots().await.expect("slots")["a.http"]
        .iter()
        .find(|slot| slot.address == Some(b))
        .map(|slot| slot.name.clone());
    pod.only_worker()
        .await
        .ask(&format!("set server a.http/{} check-addr 127.0.0.1 port 1", slot.expect("b has one")))
        .await
        .expect("said");
    pod.report_with(|report| report.drifted == 1 && up(report, b)).await;
}
