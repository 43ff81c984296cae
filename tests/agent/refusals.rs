//! Configurations that HAProxy does not take: what ran goes on, and nothing of them survives.

use std::{fs, net::TcpListener};

use fairway::{agent::protocol::Configuration, clients::agent::AgentError};

use crate::{
    pod::{Pod, eventually},
    web::get,
};

/// Pushes what will be refused; the message.
async fn refused(pod: &Pod, configuration: &Configuration) -> String {
    let error = pod.push(configuration).await.expect_err("it cannot run");
    let refused = error.refused().unwrap_or_else(|| panic!("{error}")).clone();
    assert_eq!((refused.hash.as_str(), refused.sequence), (configuration.hash().as_str(), configuration.sequence));
    let report = pod.report().await;
    assert_eq!(report.refused, Some(refused.clone()));
    assert_eq!(report.proven.expect("proven").sequence, 1);
    assert!(!refused.message.contains(pod.path("").to_str().expect("a path")), "{}", refused.message);
    assert!(!pod.path("run/configurations").join(configuration.hash()).exists());
    refused.message
}

async fn assert_one_runs(pod: &mut Pod) {
    let starts = pod.haproxy.starts();
    assert_eq!(get(pod.web(), "/").await.expect("an answer"), "one");
    pod.haproxy.kill().await;
    let web = pod.web();
    eventually("the last good one runs again", async || get(web, "/").await.ok().filter(|text| text == "one")).await;
    assert_eq!(pod.haproxy.starts(), starts + 1);
}

#[tokio::test]
async fn what_the_check_refuses_never_runs() {
    let mut pod = Pod::running().await;
    let message = refused(&pod, &pod.configuration(2, "    binf :80\n")).await;
    assert!(message.contains("haproxy.cfg:11") && message.contains("binf"), "{message}");
    assert_eq!(pod.report().await.reloads, 0);
    assert_one_runs(&mut pod).await;
    let report = pod.push(&pod.says(3, "three")).await.expect("taken");
    assert_eq!(report.refused, None);
}

#[tokio::test]
async fn a_port_that_is_taken_is_found_before_the_reload() {
    let mut pod = Pod::running().await;
    let workers = pod.processes().await.workers;
    let taken = TcpListener::bind((pod.address, pod.spare_port)).expect("bound");
    let wanted = pod.configuration(2, &format!("    bind {}:{}\n", pod.address, pod.spare_port));
    let message = refused(&pod, &wanted).await;
    assert!(message.contains(&format!("cannot listen on {}:{}", pod.address, pod.spare_port)), "{message}");
    assert_eq!(pod.processes().await.workers, workers);
    // The same again, once the port is free.
    drop(taken);
    let report = pod.push(&wanted).await.expect("taken");
    assert_eq!((report.proven.expect("proven").sequence, report.refused), (2, None));
    pod.push(&pod.says(3, "one")).await.expect("taken");
    pod.haproxy.stop();
}

#[tokio::test]
async fn what_fails_only_at_the_reload_is_undone() {
    let mut pod = Pod::running().await;
    let message = refused(&pod, &pod.configuration(2, "    bind unix@/nonexistent/web.sock\n")).await;
    // Up to 2.6 HAProxy does not tell why.
    assert!(message.contains("could not start") || message.contains("cannot bind"), "{message}");
    assert_one_runs(&mut pod).await;
    pod.push(&pod.says(3, "three")).await.expect("taken");
    assert_eq!(get(pod.web(), "/").await.expect("an answer"), "three");
}

#[tokio::test]
async fn a_mounted_one_that_is_refused_is_not_what_boot_chooses() {
    let mut pod = Pod::running().await;
    pod.mount_configuration(&pod.configuration(2, "    bind unix@/nonexistent/web.sock\n"));
    let report = pod.report_with(|report| report.refused.is_some()).await;
    assert_eq!(report.refused.expect("refused").sequence, 2);
    assert_one_runs(&mut pod).await;
    // Neither an agent that starts anew tries it again.
    pod.agent.kill().await;
    let report = pod.report_with(|report| report.proven.is_some()).await;
    assert_eq!((report.proven.expect("proven").sequence, report.reloads), (1, 0));
    assert_eq!(report.refused.expect("still known").sequence, 2);
}

#[tokio::test]
async fn boot_passes_over_a_newer_one_that_cannot_run() {
    let mut pod = Pod::running().await;
    pod.agent.stop();
    pod.mount_configuration(&pod.configuration(2, "    nonsense\n"));
    assert_one_runs(&mut pod).await;
}

#[tokio::test]
async fn what_breaks_the_protocol_is_not_looked_at() {
    let pod = Pod::running().await;
    let mut configuration = pod.says(2, "two");
    configuration.files.insert("../haproxy.cfg".to_owned(), String::new());
    let Err(AgentError::Unexpected { status: 400, .. }) = pod.push(&configuration).await else { panic!("it is bad") };
    configuration.files = [("haproxy.cfg".to_owned(), "a".repeat(9 << 20))].into();
    assert!(pod.push(&configuration).await.is_err());
    assert!(fs::read_dir(pod.path("run/configurations")).expect("listed").count() <= 2);
    assert!(pod.push(&pod.says(2, "two")).await.is_ok());
}
