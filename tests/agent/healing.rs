//! Processes that die: the pod comes back with the last good configuration, by itself.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    pod::{Pod, eventually},
    web::get,
};

async fn assert_says(pod: &Pod, expected: &str) {
    let web = pod.web();
    eventually(expected, async || get(web, "/").await.ok().filter(|text| text == expected)).await;
}

#[tokio::test]
async fn an_agent_that_starts_again_leaves_a_healthy_haproxy_alone() {
    let mut pod = Pod::running().await;
    pod.push(&pod.says(2, "two")).await.expect("taken");
    let before = pod.processes().await;
    pod.agent.kill().await;
    let report = pod.report_with(|report| report.proven.is_some()).await;
    assert_eq!((report.proven.expect("proven").sequence, report.reloads), (2, 0));
    assert_eq!(pod.processes().await, before);
    let report = pod.push(&pod.says(3, "three")).await.expect("taken");
    assert_eq!(report.reloads, 1);
}

#[tokio::test]
async fn a_master_that_is_killed_comes_back_with_the_last_good() {
    let mut pod = Pod::running().await;
    pod.push(&pod.says(2, "two")).await.expect("taken");
    pod.haproxy.kill().await;
    assert_says(&pod, "two").await;
    let report = pod.report_with(|report| report.proven.is_some()).await;
    assert_eq!((report.proven.expect("proven").sequence, report.reloads), (2, 1));
    pod.push(&pod.says(3, "three")).await.expect("taken");
    assert_says(&pod, "three").await;
}

#[tokio::test]
async fn a_worker_that_is_killed_comes_back_with_the_last_good() {
    let pod = Pod::running().await;
    pod.push(&pod.says(2, "two")).await.expect("taken");
    let worker = pod.processes().await.workers[0];
    kill(Pid::from_raw(worker), Signal::SIGKILL).expect("killed");
    eventually("another worker", async || (!pod.processes().await.workers.contains(&worker)).then_some(())).await;
    assert_says(&pod, "two").await;
    assert_eq!(pod.haproxy.starts(), 2);
    pod.report_with(|report| report.proven.as_ref().is_some_and(|proven| proven.sequence == 2)).await;
}

#[tokio::test]
async fn what_came_while_haproxy_was_away_is_what_it_starts_with() {
    let mut pod = Pod::running().await;
    pod.haproxy.stop();
    pod.report_with(|report| report.proven.is_none()).await;
    let error = pod.push(&pod.says(2, "two")).await.expect_err("nothing runs");
    assert!(matches!(error, fairway::clients::agent::AgentError::NotRunning), "{error}");
    pod.start_haproxy();
    assert_says(&pod, "two").await;
    let report = pod.report_with(|report| report.proven.is_some()).await;
    assert_eq!((report.proven.expect("proven").sequence, report.reloads), (2, 0));
}

#[tokio::test]
async fn an_older_one_that_was_started_gives_way_to_the_newest_known() {
    let mut pod = Pod::running().await;
    pod.push(&pod.says(2, "two")).await.expect("taken");
    pod.agent.stop();
    // As after a start that could not read the records: only what is mounted was found.
    let record = pod.path("run/proven.json");
    let hidden = pod.path("run/hidden.json");
    std::fs::rename(&record, &hidden).expect("hidden");
    std::fs::remove_file(pod.path("run/attempted.json")).expect("removed");
    pod.haproxy.kill().await;
    assert_says(&pod, "one").await;
    std::fs::rename(&hidden, &record).expect("brought back");
    pod.start_agent();
    let report = pod.report_with(|report| report.proven.as_ref().is_some_and(|proven| proven.sequence == 2)).await;
    assert_eq!(report.reloads, 1);
    assert_says(&pod, "two").await;
}

#[tokio::test]
async fn haproxy_starts_with_a_newer_mounted_one_while_the_agent_is_away() {
    let mut pod = Pod::running().await;
    pod.agent.stop();
    pod.mount_configuration(&pod.says(2, "two"));
    pod.haproxy.kill().await;
    assert_says(&pod, "two").await;
    pod.start_agent();
    let report = pod.report_with(|report| report.proven.as_ref().is_some_and(|proven| proven.sequence == 2)).await;
    assert_eq!((report.reloads, report.refused), (0, None));
}

#[tokio::test]
async fn a_first_one_that_cannot_run_is_told_and_its_repair_is_taken() {
    let mut pod = Pod::new();
    pod.mount_configuration(&pod.configuration(1, "    nonsense\n"));
    pod.start_haproxy();
    pod.start_agent();
    let report = pod.report_with(|report| report.refused.is_some()).await;
    assert!(report.refused.expect("refused").message.contains("nonsense"));
    pod.mount_configuration(&pod.says(2, "repaired"));
    assert_says(&pod, "repaired").await;
    let report = pod.report_with(|report| report.proven.is_some()).await;
    assert_eq!((report.refused, pod.haproxy.starts()), (None, 1));
}

#[tokio::test]
async fn everything_dies_in_the_middle_of_changes() {
    let mut pod = Pod::running().await;
    for round in 0..4_u64 {
        let sequence = 2 + round;
        let (wanted, name) = (pod.says(sequence, &format!("round{sequence}")), pod.name.clone());
        let (client, address) = (pod.client.clone(), pod.address);
        let push = tokio::spawn(async move { client.push(address, &name, &wanted).await.is_ok() });
        tokio::time::sleep(std::time::Duration::from_millis(15 + 20 * round)).await;
        if round % 2 == 0 {
            pod.haproxy.kill().await;
        } else {
            pod.agent.kill().await;
        }
        push.await.expect("ended");
        let again = pod.says(sequence, &format!("round{sequence}"));
        eventually("the operator's next try", async || pod.push(&again).await.ok()).await;
        assert_says(&pod, &format!("round{sequence}")).await;
    }
}
