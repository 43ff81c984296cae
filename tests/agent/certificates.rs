//! Certificates that are exchanged while HAProxy runs: seen by clients, without a reload; a bad one is refused
//! and leaves nothing behind.

use fairway::agent::protocol::Configuration;
use rustls::{RootCertStore, pki_types::CertificateDer};

use crate::{changes::shown_certificate, pod::Pod};

struct Made {
    pem: String,
    key: String,
    der: CertificateDer<'static>,
}

fn made() -> Made {
    let made = rcgen::generate_simple_self_signed(["web.example".to_owned()]).expect("made");
    Made { pem: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
}

/// A configuration with a TLS listener and a list of one certificate.
fn configuration(pod: &Pod, sequence: u64, pem: &str, key: &str) -> Configuration {
    let rest = format!(
        "    bind {}:{} ssl crt-list certificates.list\n    http-request return status 200\n",
        pod.address, pod.spare_port
    );
    let mut configuration = pod.configuration(sequence, &rest);
    configuration.files.insert("certificates.list".to_owned(), "site.pem\n".to_owned());
    configuration.files.insert("site.pem".to_owned(), format!("{pem}\n{key}"));
    configuration
}

pub(crate) async fn shown(pod: &Pod, roots: &[&CertificateDer<'static>]) -> CertificateDer<'static> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().map(|root| (*root).clone()));
    shown_certificate(pod, &store).await
}

#[tokio::test]
async fn a_rotation_is_seen_at_once_without_a_reload() {
    let pod = Pod::running().await;
    let all = [made(), made(), made()];
    for (sequence, made) in (2..).zip(&all) {
        let report = pod.push(&configuration(&pod, sequence, &made.pem, &made.key)).await.expect("taken");
        assert_eq!((report.proven.expect("proven").sequence, report.reloads), (sequence, 1));
        assert_eq!(shown(&pod, &[&made.der]).await, made.der);
    }
    // With another list it is a reload.
    let mut wanted = configuration(&pod, 9, &all[0].pem, &all[0].key);
    wanted.files.insert("certificates.list".to_owned(), "site.pem web.example\n".to_owned());
    assert_eq!(pod.push(&wanted).await.expect("taken").reloads, 2);
    assert_eq!(shown(&pod, &[&all[0].der]).await, all[0].der);
}

#[tokio::test]
async fn what_follows_a_reload_at_once_is_not_taken_by_the_worker_that_goes() {
    let pod = Pod::running().await;
    let [first, second] = [made(), made()];
    for round in 1..=20 {
        let mut wanted = configuration(&pod, 2 * round, &first.pem, &first.key);
        let list = if round % 2 == 0 { "site.pem\n" } else { "site.pem web.example\n" };
        wanted.files.insert("certificates.list".to_owned(), list.to_owned());
        pod.push(&wanted).await.expect("taken");
        let mut rotated = configuration(&pod, 2 * round + 1, &second.pem, &second.key);
        rotated.files.insert("certificates.list".to_owned(), list.to_owned());
        assert_eq!(pod.push(&rotated).await.expect("taken").reloads, round, "one for each list");
    }
}

#[tokio::test]
async fn a_key_of_another_is_refused_and_the_next_one_is_taken() {
    let pod = Pod::running().await;
    let [first, second] = [made(), made()];
    pod.push(&configuration(&pod, 2, &first.pem, &first.key)).await.expect("taken");
    let error = pod.push(&configuration(&pod, 3, &second.pem, &first.key)).await.expect_err("it cannot run");
    assert!(error.refused().is_some_and(|refused| !refused.message.contains("-----")), "{error}");
    assert_eq!(shown(&pod, &[&first.der]).await, first.der);
    let report = pod.push(&configuration(&pod, 4, &second.pem, &second.key)).await.expect("taken");
    assert_eq!((report.reloads, report.refused), (1, None));
    assert_eq!(shown(&pod, &[&second.der]).await, second.der);
}

#[tokio::test]
async fn a_certificate_that_was_exchanged_by_hand_is_put_right() {
    let pod = Pod::running().await;
    let [ours, theirs] = [made(), made()];
    pod.push(&configuration(&pod, 2, &ours.pem, &ours.key)).await.expect("taken");
    let worker = pod.only_worker().await;
    let pem = format!("{}{}", theirs.pem, theirs.key);
    let pem: String = pem.lines().filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect();
    worker.ask(&format!("set ssl cert site.pem <<\n{pem}")).await.expect("said");
    let answer = worker.ask("commit ssl cert site.pem").await.expect("said");
    assert!(answer.contains("Success!"), "{answer}");
    let report = pod.report_with(|report| report.drifted == 1).await;
    assert_eq!(report.reloads, 1);
    assert_eq!(shown(&pod, &[&ours.der, &theirs.der]).await, ours.der);
}
