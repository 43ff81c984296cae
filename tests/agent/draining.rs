//! The end of a pod: what is under way is finished.

use std::time::Duration;

use crate::{
    pod::{Pod, eventually},
    web::{KeepAlive, get, server},
};

#[tokio::test]
async fn a_slow_request_is_finished_and_an_idle_connection_is_closed_politely() {
    let mut pod = Pod::running().await;
    let backend = server("done", Duration::from_secs(3)).await;
    let rest = format!("    default_backend pool\nbackend pool\n    server m1 {backend}\n");
    pod.push(&pod.configuration(2, &rest)).await.expect("taken");
    pod.agent.stop();
    let mut idle = KeepAlive::new(pod.web(), false);
    idle.get("/").await.expect("an answer");
    let web = pod.web();
    let slow = tokio::spawn(async move { get(web, "/slow").await });
    let mut busy = KeepAlive::new(web, false);
    // The slow request is under way once the backend has more connections than the idle one.
    tokio::time::timeout(Duration::from_secs(1), busy.get("/slow")).await.expect_err("it is slow");
    pod.haproxy.stop_when_ended();
    let mut drain = pod.command("drain").spawn().expect("started");
    // Still taken: endpoints are not withdrawn yet.
    assert_eq!(idle.get("/").await.expect("an answer"), "done");
    assert_eq!(slow.await.expect("ended").expect("an answer"), "done");
    let refused = async || get(web, "/").await.err();
    eventually("nothing new is taken", refused).await;
    assert!(drain.wait().await.expect("ended").success());
    assert_eq!(pod.haproxy.starts(), 1);
}

#[tokio::test]
async fn nothing_to_drain_is_fine() {
    let pod = Pod::new();
    assert!(pod.command("drain").status().await.expect("ended").success());
}

#[tokio::test]
async fn the_program_installs_itself() {
    let pod = Pod::new();
    let target = pod.path("run/bin/fairway");
    let mut command = pod.command("install");
    assert!(command.env("FAIRWAY_BINARY", &target).status().await.expect("ended").success());
    let help = tokio::process::Command::new(&target).args(["agent", "--help"]).output().await.expect("it runs");
    assert!(String::from_utf8_lossy(&help.stdout).contains("drain"));
}
