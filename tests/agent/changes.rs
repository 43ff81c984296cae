//! Configurations that HAProxy takes: pushed, mounted, in a burst, with certificates.

use std::{sync::Arc, time::Duration};

use fairway::{
    agent::{
        kept::COMPRESSED,
        protocol::{MemberState, Proven},
    },
    clients::agent::AgentError,
};
use futures::future::join_all;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    pod::{Pod, eventually},
    web::{get, server},
};

#[tokio::test]
async fn boots_from_the_mounted_files_without_an_operator_or_an_agent() {
    let mut pod = Pod::new();
    pod.start_haproxy();
    pod.mount_configuration(&pod.says(1, "mounted"));
    let web = pod.web();
    eventually("HAProxy answers", async || get(web, "/").await.ok().filter(|text| text == "mounted")).await;
    let health = ([127, 0, 0, 1], pod.health_port).into();
    assert_eq!(get(health, "/healthz").await.expect("an answer"), "ok");
    assert!(get(health, "/").await.is_err());
}

#[tokio::test]
async fn waits_for_a_first_push_when_nothing_is_mounted() {
    let mut pod = Pod::new();
    pod.start_haproxy();
    pod.start_agent();
    assert_eq!(pod.report_with(|report| !report.haproxy_version.is_empty()).await.proven, None);
    let report = pod.push(&pod.says(3, "pushed")).await.expect("taken");
    assert_eq!(report.proven.expect("proven").sequence, 3);
    assert_eq!(get(pod.web(), "/").await.expect("an answer"), "pushed");
    assert_eq!((report.reloads, pod.haproxy.starts()), (0, 1));
}

#[tokio::test]
async fn a_push_is_proven_and_reported() {
    let pod = Pod::running().await;
    let backend = server("hello", Duration::ZERO).await;
    let rest = format!(
        "    default_backend pool\nbackend pool\n    server m1 {backend} check inter 100 weight 7\n    \
         server m2 {backend} disabled\n    server m3 {backend}\n"
    );
    let wanted = pod.configuration(2, &rest);
    let report = pod.push(&wanted).await.expect("taken");
    assert_eq!(report.proven, Some(Proven { hash: wanted.hash(), sequence: 2 }));
    assert_eq!((report.reloads, report.refused), (1, None));
    assert!(report.haproxy_version.contains('.'));
    assert_eq!(get(pod.web(), "/").await.expect("an answer"), "hello");
    let report =
        pod.report_with(|report| report.pools.get("pool").is_some_and(|members| members[0].check == "L4OK")).await;
    let states: Vec<_> = report.pools["pool"].iter().map(|member| (member.name.as_str(), member.state)).collect();
    let expected = [("m1", MemberState::Up), ("m2", MemberState::Maintenance), ("m3", MemberState::NoMonitor)];
    assert_eq!((states.as_slice(), report.pools["pool"][0].weight), (expected.as_slice(), 7));
    let metrics = get((pod.address, pod.metrics_port).into(), "/metrics").await.expect("metrics");
    for line in ["fairway_agent_proven_sequence 2", "fairway_haproxy_up 1", "fairway_agent_reloads_total 1"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert_eq!(get((pod.address, pod.metrics_port).into(), "/readyz").await.expect("ready"), "ok\n");
}

#[tokio::test]
async fn the_same_hash_twice_is_no_reload_and_moves_the_sequence() {
    let pod = Pod::running().await;
    let workers = pod.processes().await.workers;
    for sequence in [1, 2, 5] {
        let report = pod.push(&pod.says(sequence, "one")).await.expect("taken");
        assert_eq!((report.proven.expect("proven").sequence, report.reloads), (sequence, 0));
    }
    assert_eq!(pod.processes().await.workers, workers);
    let Err(AgentError::Stale { newest }) = pod.push(&pod.says(4, "four")).await else { panic!("it is stale") };
    assert_eq!(newest, 5);
    let Err(AgentError::Stale { .. }) = pod.push(&pod.says(5, "other")).await else { panic!("it is another") };
    assert_eq!(get(pod.web(), "/").await.expect("an answer"), "one");
}

#[tokio::test]
async fn mounted_files_are_taken_when_newer_and_ignored_when_older() {
    let pod = Pod::running().await;
    pod.mount_configuration(&pod.says(2, "two"));
    pod.report_with(|report| report.proven.as_ref().is_some_and(|proven| proven.sequence == 2)).await;
    assert_eq!(get(pod.web(), "/").await.expect("an answer"), "two");
    pod.push(&pod.says(9, "nine")).await.expect("taken");
    pod.mount_configuration(&pod.says(3, "three"));
    // What is mounted with the pushed content later moves the sequence, which shows that files were read.
    pod.mount_configuration(&pod.says(10, "nine"));
    let report = pod.report_with(|report| report.proven.as_ref().is_some_and(|proven| proven.sequence == 10)).await;
    assert_eq!((report.reloads, report.refused), (2, None));
    assert_eq!(get(pod.web(), "/").await.expect("an answer"), "nine");
}

#[tokio::test]
async fn one_that_a_secret_holds_only_when_compressed_is_booted_from_watched_and_pushed() {
    let mut pod = Pod::new();
    let says = |sequence, text| {
        let mut configuration = pod.says(sequence, text);
        let main_file = configuration.files.values_mut().next().expect("one");
        main_file.push_str(&"# There are five megabytes of these.\n".repeat(5 << 20 >> 5));
        configuration
    };
    let [booted, watched, pushed] = [says(1, "booted"), says(2, "watched"), says(3, "pushed")];
    let web = pod.web();
    pod.mount_configuration(&booted);
    assert!(pod.path("configuration").join(COMPRESSED).exists());
    pod.start_haproxy();
    eventually("HAProxy answers", async || get(web, "/").await.ok().filter(|text| text == "booted")).await;
    pod.start_agent();
    pod.mount_configuration(&watched);
    pod.report_with(|report| report.proven.as_ref().is_some_and(|proven| proven.sequence == 2)).await;
    assert_eq!(get(web, "/").await.expect("an answer"), "watched");
    let report = pod.push(&pushed).await.expect("taken");
    assert_eq!(report.proven, Some(Proven { hash: pushed.hash(), sequence: 3 }));
    // What fits again is plain again.
    pod.mount_configuration(&pod.says(4, "small"));
    pod.report_with(|report| report.proven.as_ref().is_some_and(|proven| proven.sequence == 4)).await;
    assert_eq!(get(web, "/").await.expect("an answer"), "small");
}

#[tokio::test]
async fn a_burst_is_coalesced_and_ends_with_the_newest() {
    let pod = Pod::running().await;
    let burst = (2..22).map(|sequence| {
        let configuration = pod.says(sequence, &format!("burst{sequence}"));
        let pod = &pod;
        async move { (sequence, pod.push(&configuration).await) }
    });
    let mut proven = 0;
    for (sequence, result) in join_all(burst).await {
        match result {
            Ok(_) => proven += 1,
            Err(AgentError::Stale { newest }) => assert!(newest > sequence),
            Err(error) => panic!("{sequence}: {error}"),
        }
    }
    let report = pod.report().await;
    assert_eq!(report.proven.expect("proven").sequence, 21);
    assert!((1..20).contains(&proven) && report.reloads <= 10, "{proven} proven, {} reloads", report.reloads);
    assert_eq!(get(pod.web(), "/").await.expect("an answer"), "burst21");
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_shown_to_clients() {
    let pod = Pod::running().await;
    let mut roots = RootCertStore::empty();
    let mut configurations = Vec::new();
    for sequence in [2, 3] {
        let made = rcgen::generate_simple_self_signed(["web.example".to_owned()]).expect("made");
        roots.add(made.cert.der().clone()).expect("an anchor");
        let rest = format!("    bind {}:{} ssl crt site.pem\n", pod.address, pod.spare_port);
        let mut configuration = pod.configuration(sequence, &format!("{rest}    http-request return status 200\n"));
        let pem = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
        configuration.files.insert("site.pem".to_owned(), pem);
        configurations.push((configuration, made.cert.der().clone()));
    }
    for (configuration, certificate) in configurations {
        pod.push(&configuration).await.expect("taken");
        assert_eq!(shown_certificate(&pod, &roots).await, certificate);
    }
}

/// The certificate that a client is shown.
pub(crate) async fn shown_certificate(pod: &Pod, roots: &RootCertStore) -> CertificateDer<'static> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    let stream = TcpStream::connect((pod.address, pod.spare_port)).await.expect("connected");
    let name = ServerName::try_from("web.example").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake");
    stream.get_ref().1.peer_certificates().expect("certificates")[0].clone().into_owned()
}

#[tokio::test]
async fn a_report_is_waited_for() {
    let pod = Pod::running().await;
    let known = pod.report().await.tag();
    let (change, waited) = tokio::join!(
        async { pod.push(&pod.says(2, "two")).await },
        pod.client.next_report(pod.address, &pod.name, &known, Duration::from_secs(20)),
    );
    change.expect("taken");
    assert_eq!(waited.expect("a report").report.proven.expect("proven").sequence, 2);
    let known = pod.report().await;
    let same = pod.client.next_report(pod.address, &pod.name, &known.tag(), Duration::from_secs(1)).await;
    assert_eq!(same.expect("a report").report, known);
}
