//! A reload keeps what is known of members' health.

use std::{collections::BTreeSet, time::Duration};

use fairway::agent::protocol::{Configuration, MemberState};

use crate::{
    pod::{Pod, eventually},
    web::{get, server},
};

/// A pool whose first member answers, but not to its monitor; and another path with each `sequence`, which
/// needs a reload.
async fn half_well(pod: &Pod) -> impl Fn(&Pod, u64) -> Configuration + use<> {
    let [ill, well] = [server("ill", Duration::from_secs(1)).await, server("well", Duration::from_secs(1)).await];
    let closed = pod.spare_port;
    move |pod: &Pod, sequence| {
        let rest = format!(
            "    http-request deny if {{ path /{sequence} }}\n    default_backend pool\nbackend pool\n    \
             load-server-state-from-file global\n    default-server inter 3s fastinter 100ms fall 1 rise 3\n    \
             server ill {ill} check port {closed}\n    server well {well} check\n"
        );
        pod.configuration(sequence, &rest)
    }
}

fn state_of(report: &fairway::agent::protocol::Report, name: &str) -> Option<MemberState> {
    report.pools.get("pool")?.iter().find(|member| member.name == name).map(|member| member.state)
}

#[tokio::test]
async fn a_member_that_is_down_gets_nothing_after_a_reload() {
    let pod = Pod::running().await;
    let configuration = half_well(&pod).await;
    pod.push(&configuration(&pod, 2)).await.expect("taken");
    pod.report_with(|report| state_of(report, "ill") == Some(MemberState::Down)).await;
    for sequence in 3..8 {
        let report = pod.push(&configuration(&pod, sequence)).await.expect("taken");
        assert_eq!(report.reloads, sequence - 1);
        assert_eq!(state_of(&report, "ill"), Some(MemberState::Down));
        assert_eq!(state_of(&report, "well"), Some(MemberState::Up));
        let mut answers = BTreeSet::new();
        for _ in 0..8 {
            answers.insert(get(pod.web(), "/").await.expect("an answer"));
        }
        assert_eq!(answers, ["well".to_owned()].into());
    }
}

#[tokio::test]
async fn a_container_that_starts_again_knows_nothing_of_health() {
    let mut pod = Pod::running().await;
    let configuration = half_well(&pod).await;
    for sequence in [2, 3] {
        pod.push(&configuration(&pod, sequence)).await.expect("taken");
        pod.report_with(|report| state_of(report, "ill") == Some(MemberState::Down)).await;
    }
    let file = pod.path("run/health");
    let state = || std::fs::read_to_string(&file).expect("a file");
    assert!(state().lines().any(|line| line.split(' ').nth(3) == Some("ill")), "{}", state());
    pod.haproxy.kill().await;
    eventually("nothing is known", async || (state() == "1\n").then_some(())).await;
    pod.report_with(|report| state_of(report, "ill") == Some(MemberState::Down)).await;
}
