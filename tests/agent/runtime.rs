//! Changes while HAProxy runs: members and certificates come and go without a reload, without a lost
//! request, and each is proven; what the worker should have survives every process.

use std::{collections::BTreeSet, fmt::Write, net::SocketAddr, time::Duration};

use fairway::{
    agent::protocol::{Configuration, MAIN_FILE, MemberState, Report},
    clients::haproxy::LOADED,
};

use crate::{
    pod::{Pod, eventually},
    traffic::Traffic,
    web::{KeepAlive, get, server},
};

/// A configuration whose only pool has these members, of these weights.
pub(crate) fn members(pod: &Pod, sequence: u64, members: &[(SocketAddr, u16)]) -> Configuration {
    let mut rest = String::from("    default_backend pool\nbackend pool\n    balance roundrobin\n");
    for (address, weight) in members {
        writeln!(rest, "    server {address} {address} weight {weight} check inter 50").expect("written");
    }
    pod.configuration(sequence, &rest)
}

async fn servers<const N: usize>(texts: [&'static str; N]) -> [SocketAddr; N] {
    let mut addresses = Vec::new();
    for text in texts {
        addresses.push(server(text, Duration::from_secs(1)).await);
    }
    addresses.try_into().expect("as many")
}

/// These answer and no others. Beside other traffic the turns of a member may be others' for a while.
async fn answered_by(pod: &Pod, expected: &BTreeSet<String>) {
    let mut answers = BTreeSet::new();
    for asked in 1.. {
        answers.insert(get(pod.web(), "/").await.expect("an answer"));
        if asked >= 200 || (asked >= 12 && answers == *expected) {
            break;
        }
    }
    assert_eq!(&answers, expected);
}

fn texts<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.map(str::to_owned).into()
}

fn told(report: &Report) -> Vec<(String, u32)> {
    report.pools["pool"].iter().map(|member| (member.name.clone(), member.weight)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_under_traffic_without_a_reload() {
    let pod = Pod::running().await;
    let [a, b, c] = servers(["a", "b", "c"]).await;
    let report = pod.push(&members(&pod, 2, &[(a, 100)])).await.expect("taken");
    assert_eq!(report.reloads, 1);
    let workers = pod.processes().await.workers;
    let traffic = Traffic::start(&pod);
    let steps: [(&[_], _); 7] = [
        (&[(a, 100), (b, 100)], texts(["a", "b"])),
        (&[(a, 0), (b, 100)], texts(["b"])),
        (&[(b, 50)], texts(["b"])),
        // The only one is replaced, and replaced again.
        (&[(c, 100)], texts(["c"])),
        (&[(a, 7)], texts(["a"])),
        (&[(a, 7), (b, 7), (c, 7)], texts(["a", "b", "c"])),
        (&[(c, 1), (a, 1)], texts(["a", "c"])),
    ];
    for (sequence, (wanted, expected)) in (3..).zip(&steps) {
        let configuration = members(&pod, sequence, wanted);
        let report = pod.push(&configuration).await.expect("taken");
        assert_eq!(report.proven.as_ref().map(|proven| &proven.hash), Some(&configuration.hash()));
        let names: Vec<_> = wanted.iter().map(|(address, weight)| (address.to_string(), u32::from(*weight))).collect();
        assert_eq!((told(&report), report.reloads), (names, 1));
        answered_by(&pod, expected).await;
        // Slots are used again only when they are quiet.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(pod.processes().await.workers, workers);
    traffic.end_without_loss().await;
    let metrics = get((pod.address, pod.metrics_port).into(), "/metrics").await.expect("metrics");
    assert!(metrics.contains("fairway_agent_changes_total{kind=\"runtime\",reason=\"Servers\"} 7"), "{metrics}");
    assert!(metrics.contains("fairway_agent_changes_total{kind=\"reload\",reason=\"Skeleton\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_member_that_is_taken_out_finishes_what_it_has_and_its_slot_waits_for_that() {
    let pod = Pod::running().await;
    let [a, b, c] = servers(["a", "b", "c"]).await;
    pod.push(&members(&pod, 2, &[(a, 1)])).await.expect("taken");
    let web = pod.web();
    let slow = tokio::spawn(async move { get(web, "/slow").await });
    let busy = async || pod.worker().slots_and_use(Some("pool")).await.ok()?["pool"][0].busy.then_some(());
    eventually("the slow request is under way", busy).await;
    // One own line and two spare ones: the third change needs a line that is still busy, or one more.
    let after = if adds_lines(&pod).await { 1 } else { 2 };
    let mut reloads = Vec::new();
    for (sequence, members_now) in (3..).zip([&[(b, 1)][..], &[(c, 1), (b, 1)], &[(c, 1), (b, 1), (web, 0)]]) {
        reloads.push(pod.push(&members(&pod, sequence, members_now)).await.expect("taken").reloads);
    }
    assert_eq!(reloads, [1, 1, after]);
    assert_eq!(slow.await.expect("ended").expect("an answer"), "a");
    // There is room again.
    let report = pod.push(&members(&pod, 6, &[(a, 1), (b, 1), (c, 1)])).await.expect("taken");
    assert_eq!(report.reloads, after);
    let metrics = get((pod.address, pod.metrics_port).into(), "/metrics").await.expect("metrics");
    assert_eq!(metrics.contains("{kind=\"reload\",reason=\"NoSlot\"} 1"), after == 2, "{metrics}");
}

/// Whether lines can be added to this HAProxy while it runs.
async fn adds_lines(pod: &Pod) -> bool {
    pod.report_with(|report| !report.haproxy_version.is_empty()).await.haproxy_version.as_str() >= "3"
}

#[tokio::test]
async fn an_added_line_is_checked_known_again_and_used_again() {
    let mut pod = Pod::running().await;
    if !adds_lines(&pod).await {
        // Up to 2.8 it is a reload, as other tests show.
        return;
    }
    let [a, b, c, d] = servers(["a", "b", "c", "d"]).await;
    let nobody: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    pod.push(&members(&pod, 2, &[(a, 1)])).await.expect("taken");
    let report = pod.push(&members(&pod, 3, &[(a, 1), (b, 1), (c, 1), (d, 1), (nobody, 1)])).await.expect("taken");
    assert_eq!(report.reloads, 1);
    let is_down = |report: &Report| report.pools["pool"].iter().any(|member| member.state == MemberState::Down);
    let report = pod.report_with(is_down).await;
    assert_eq!(report.pools["pool"].len(), 5);
    // One that nobody answers for gets traffic until its first check.
    let traffic = Traffic::start(&pod);
    answered_by(&pod, &["a", "b", "c", "d"].map(str::to_owned).into()).await;
    // What it is used for follows from the worker alone.
    pod.agent.kill().await;
    pod.report_with(|report| report.pools.get("pool").is_some_and(|pool| pool.len() == 5)).await;
    let lines = async || pod.worker().slots().await.expect("slots")["pool"].len();
    let before = lines().await;
    pod.push(&members(&pod, 4, &[(d, 1)])).await.expect("taken");
    answered_by(&pod, &["d".to_owned()].into()).await;
    let report = pod.push(&members(&pod, 5, &[(a, 1), (b, 1), (c, 1), (d, 2)])).await.expect("taken");
    assert_eq!((report.reloads, lines().await), (0, before), "the agent has reloaded nothing since its start");
    answered_by(&pod, &["a", "b", "c", "d"].map(str::to_owned).into()).await;
    traffic.end_without_loss().await;
}

#[tokio::test]
async fn an_open_tcp_connection_keeps_its_slot() {
    let pod = Pod::running().await;
    let [a, b, c] = servers(["a", "b", "c"]).await;
    let members = |sequence, wanted: &[SocketAddr]| {
        let mut rest = String::from("    mode tcp\n    default_backend pool\nbackend pool\n    mode tcp\n");
        for address in wanted {
            writeln!(rest, "    server {address} {address}").expect("written");
        }
        pod.configuration(sequence, &rest)
    };
    pod.push(&members(2, &[a])).await.expect("taken");
    let mut client = KeepAlive::new(pod.web(), false);
    assert_eq!(client.get("/").await.expect("an answer"), "a");
    pod.push(&members(3, &[b])).await.expect("taken");
    pod.push(&members(4, &[b, c])).await.expect("taken");
    assert!(pod.worker().slots_and_use(Some("pool")).await.expect("slots")["pool"][0].busy);
    let report = pod.push(&members(5, &[b, c, pod.web()])).await.expect("taken");
    let reloads = if adds_lines(&pod).await { 1 } else { 2 };
    assert_eq!(report.reloads, reloads, "the line of the open connection was not to be had");
    assert_eq!(client.get("/").await.expect("the same connection"), "a");
}

#[tokio::test]
async fn an_agent_that_starts_again_knows_its_slots() {
    let mut pod = Pod::running().await;
    let [a, b, c] = servers(["a", "b", "c"]).await;
    pod.push(&members(&pod, 2, &[(a, 5)])).await.expect("taken");
    pod.push(&members(&pod, 3, &[(b, 6)])).await.expect("taken");
    pod.agent.kill().await;
    let report = pod.report_with(|report| report.proven.as_ref().is_some_and(|proven| proven.sequence == 3)).await;
    assert_eq!((told(&report), report.drifted), (vec![(b.to_string(), 6)], 0));
    let report = pod.push(&members(&pod, 4, &[(b, 7), (c, 8)])).await.expect("taken");
    assert_eq!((told(&report), report.reloads), (vec![(b.to_string(), 7), (c.to_string(), 8)], 0));
    answered_by(&pod, &texts(["b", "c"])).await;
}

#[tokio::test]
async fn haproxy_starts_with_what_ran_last() {
    let mut pod = Pod::running().await;
    let [a, b] = servers(["a", "b"]).await;
    pod.push(&members(&pod, 2, &[(a, 5)])).await.expect("taken");
    let wanted = members(&pod, 3, &[(b, 6)]);
    pod.push(&wanted).await.expect("taken");
    let current = std::fs::read_link(pod.path("run/current")).expect("a link");
    assert!(current.ends_with(wanted.hash()), "{current:?}");
    pod.haproxy.kill().await;
    let web = pod.web();
    eventually("the last one runs", async || get(web, "/").await.ok().filter(|text| text == "b")).await;
    let loaded = format!("{LOADED}={}", wanted.hash());
    eventually("it was started with it", async || {
        pod.worker().ask(&format!("show env {LOADED}")).await.ok().filter(|answer| answer.contains(&loaded))
    })
    .await;
    let report = pod.push(&members(&pod, 4, &[(a, 1), (b, 6)])).await.expect("taken");
    assert_eq!((report.reloads, told(&report).len()), (1, 2));
}

#[tokio::test]
async fn drift_is_put_right_and_counted() {
    let pod = Pod::running().await;
    let [a, b] = servers(["a", "b"]).await;
    pod.push(&members(&pod, 2, &[(a, 5)])).await.expect("taken");
    let report = pod.push(&members(&pod, 3, &[(a, 5), (b, 6)])).await.expect("taken");
    assert_eq!((report.drifted, report.reloads), (0, 1));
    let by_hand = [
        format!("set server pool/{a} state maint"),
        format!("set server pool/{a} weight 200"),
        format!("set server pool/{a} state drain"),
        "set server pool/fairway-spare-1 state maint; set server pool/fairway-spare-2 state ready".to_owned(),
        format!("set server pool/{a} addr 127.0.0.1 port 1"),
    ];
    for (drifted, command) in (1..).zip(by_hand) {
        pod.only_worker().await.ask(&command).await.expect("said");
        let report = pod.report_with(|report| report.drifted == drifted).await;
        assert_eq!(report.proven.expect("proven").sequence, 3, "{command}");
        let expected = vec![(a.to_string(), 5), (b.to_string(), 6)];
        pod.report_with(|report| told(report) == expected).await;
    }
    answered_by(&pod, &texts(["a", "b"])).await;
    assert_eq!(pod.report().await.reloads, 1);
    let metrics = get((pod.address, pod.metrics_port).into(), "/metrics").await.expect("metrics");
    assert!(metrics.contains("fairway_agent_drifted_total 5"), "{metrics}");
}

#[tokio::test]
async fn a_member_that_is_down_stays_so_through_changes_of_others() {
    let pod = Pod::running().await;
    let [a, b] = servers(["a", "b"]).await;
    let nobody: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    pod.push(&members(&pod, 2, &[(a, 1), (nobody, 1)])).await.expect("taken");
    let is_down = |report: &Report| report.pools["pool"].iter().any(|member| member.state == MemberState::Down);
    pod.report_with(is_down).await;
    let report = pod.push(&members(&pod, 3, &[(a, 9), (nobody, 1), (b, 1)])).await.expect("taken");
    assert!(is_down(&report) && report.reloads == 1, "{report:?}");
    // A slot is checked where it leads.
    let other: SocketAddr = "127.0.0.1:2".parse().expect("an address");
    pod.push(&members(&pod, 4, &[(a, 9), (other, 1), (b, 1)])).await.expect("taken");
    let report = pod.report_with(is_down).await;
    assert_eq!(
        report.pools["pool"].iter().find(|member| member.state == MemberState::Down).map(|it| it.name.clone()),
        Some(other.to_string())
    );
    pod.report_with(|report| report.pools["pool"].iter().filter(|member| member.check == "L4OK").count() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_mixed_changes_in_a_row_are_each_proven() {
    let pod = Pod::running().await;
    let all = servers(["a", "b", "c", "d", "e", "f"]).await;
    pod.push(&members(&pod, 2, &[(all[0], 1)])).await.expect("taken");
    let traffic = Traffic::start(&pod);
    // Any of the six, of any weight but none, as an unremarkable sequence of numbers has it.
    let mut number = 1_u32;
    let mut reloads = 0;
    for sequence in 3..303 {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let chosen = all.iter().enumerate().filter(|(index, _)| number >> (8 + index) & 1 == 1);
        let mut wanted: Vec<_> =
            chosen.map(|(index, address)| (*address, 1 + u16::from(number.to_be_bytes()[1] >> index & 3))).collect();
        if wanted.is_empty() {
            wanted.push((all[0], 3));
        }
        let mut configuration = members(&pod, sequence, &wanted);
        if sequence % 50 == 0 {
            let main = configuration.files.get_mut(MAIN_FILE).expect("the main file");
            *main = main.replace("timeout server 20s", "timeout server 21s");
        }
        let report = pod.push(&configuration).await.expect("taken");
        assert_eq!(report.proven.as_ref().map(|proven| &proven.hash), Some(&configuration.hash()));
        let names: Vec<_> = wanted.iter().map(|(address, weight)| (address.to_string(), u32::from(*weight))).collect();
        assert_eq!(told(&report), names, "{sequence}");
        reloads = report.reloads;
    }
    traffic.end_without_loss().await;
    assert_eq!(pod.report().await.drifted, 0);
    assert!((12..100).contains(&reloads), "{reloads} reloads");
}

#[tokio::test]
async fn whatever_dies_in_the_middle_of_members_that_change() {
    let mut pod = Pod::running().await;
    let all = servers(["a", "b", "c"]).await;
    pod.push(&members(&pod, 2, &[(all[0], 1)])).await.expect("taken");
    for (round, weight) in (1..=6_u16).enumerate() {
        let member = all[round % 3];
        let wanted = members(&pod, 2 + u64::from(weight), &[(member, weight)]);
        let (push, name, client, address) = (wanted.clone(), pod.name.clone(), pod.client.clone(), pod.address);
        let push = tokio::spawn(async move { client.push(address, &name, &push).await.is_ok() });
        tokio::time::sleep(Duration::from_millis(weight.into())).await;
        if round % 2 == 0 {
            pod.agent.kill().await;
        } else {
            pod.haproxy.kill().await;
        }
        push.await.expect("ended");
        eventually("the operator's next try", async || pod.push(&wanted).await.ok()).await;
        let (web, expected) = (pod.web(), ["a", "b", "c"][round % 3]);
        eventually(expected, async || get(web, "/").await.ok().filter(|text| text == expected)).await;
        let report = pod.report_with(|report| report.pools.contains_key("pool")).await;
        assert_eq!(told(&report), [(member.to_string(), u32::from(weight))]);
        assert!(std::fs::read_link(pod.path("run/current")).expect("a link").ends_with(wanted.hash()));
    }
}
