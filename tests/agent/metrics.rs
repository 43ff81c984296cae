//! What `/metrics` tells, held against what was sent, and what the docs say of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    net::SocketAddr,
    time::Duration,
};

use fairway::agent::{
    metrics,
    protocol::{Configuration, ListenerState},
};
use tokio::time::{Instant, sleep};

use crate::{
    pod::{Pod, eventually},
    web::{get, server},
};

/// One scrape: values by the whole name of their sample.
struct Scrape(BTreeMap<String, f64>, String);

impl Scrape {
    async fn of(pod: &Pod) -> Self {
        let text = get((pod.address, pod.metrics_port).into(), "/metrics").await.expect("metrics");
        assert!(text.ends_with("# EOF\n"), "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        });
        let samples: Vec<_> = samples.collect();
        let count = samples.len();
        let scrape = Self(samples.into_iter().collect(), text);
        assert_eq!(scrape.0.len(), count, "no sample is told twice");
        scrape
    }

    fn value(&self, sample: &str) -> Option<f64> {
        self.0.get(sample).copied()
    }

    fn has(&self, expected: &[(&str, f64)]) {
        for (sample, value) in expected {
            assert_eq!(self.value(sample), Some(*value), "{sample}\n{}", self.1);
        }
    }

    /// The values of `label` on samples of a metric.
    fn labels(&self, metric: &str, label: &str) -> BTreeSet<String> {
        let samples = self.0.keys().filter_map(|sample| sample.strip_prefix(metric)?.strip_prefix('{'));
        let of = |labels: &str| Some(labels.split_once(&format!("{label}=\""))?.1.split_once('"')?.0.to_owned());
        samples.filter_map(of).collect()
    }
}

/// Waits for a scrape of which something is true: an answer holds for a second.
async fn scrape_with(pod: &Pod, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
    eventually(what, async || Some(Scrape::of(pod).await).filter(&holds)).await
}

/// A pool of both kinds of listeners, as the operator names it.
fn configuration(pod: &Pod, sequence: u64, members: &[SocketAddr], maxconn: &str) -> Configuration {
    let mut rest = format!(
        "    default_backend app.http\nfrontend database\n    mode tcp\n    bind {}:{}\n    default_backend app.tcp\n",
        pod.address, pod.spare_port
    );
    for mode in ["http", "tcp"] {
        write!(rest, "backend app.{mode}\n    mode {mode}\n").expect("written");
        for member in members {
            writeln!(rest, "    server {member} {member} weight 7 check inter 50{maxconn}").expect("written");
        }
    }
    pod.configuration(sequence, &rest)
}

fn tls(pod: &Pod, sequence: u64, member: SocketAddr, not_after: i32) -> Configuration {
    let mut parameters = rcgen::CertificateParams::new(["web.example".to_owned()]).expect("parameters");
    parameters.not_after = rcgen::date_time_ymd(not_after, 1, 23);
    let key = rcgen::KeyPair::generate().expect("a key");
    let pem = format!("{}{}", parameters.self_signed(&key).expect("signed").pem(), key.serialize_pem());
    let rest = format!(
        "    default_backend app.http\nfrontend secure\n    bind {}:{} ssl crt-list certificates-secure.list\n    \
         default_backend app.http\nbackend app.http\n    server m {member} maxconn 50 check inter 50\n",
        pod.address, pod.spare_port
    );
    let mut configuration = pod.configuration(sequence, &rest);
    configuration.files.insert("certificates-secure.list".to_owned(), "certificate-shop.pem\n".to_owned());
    configuration.files.insert("certificate-shop.pem".to_owned(), pem);
    configuration
}

#[tokio::test]
async fn the_numbers_are_those_of_what_was_sent() {
    let pod = Pod::running().await;
    let [a, b] = [server("a", Duration::ZERO).await, server("b", Duration::ZERO).await];
    let report = pod.push(&configuration(&pod, 2, &[a, b], "")).await.expect("taken");
    let open: Vec<_> = report.listeners.iter().map(|(name, told)| (name.as_str(), told.state)).collect();
    assert_eq!(open, [("database", ListenerState::Open), ("web", ListenerState::Open)]);
    for _ in 0..20 {
        get(pod.web(), "/").await.expect("an answer");
    }
    for _ in 0..5 {
        get(pod.web(), "/bad").await.expect_err("it is bad");
    }
    for _ in 0..3 {
        get((pod.address, pod.spare_port).into(), "/").await.expect("an answer");
    }
    let web = "{listener=\"web\"}";
    let all = |scrape: &Scrape| scrape.value(&format!("fairway_listener_requests_total{web}")) == Some(25.0);
    let scrape = scrape_with(&pod, "all requests are counted", all).await;
    scrape.has(&[
        ("fairway_haproxy_up", 1.0),
        ("fairway_haproxy_old_workers", 0.0),
        ("fairway_listener_up{listener=\"web\"}", 1.0),
        ("fairway_listener_connections{listener=\"web\"}", 0.0),
        ("fairway_listener_connections_total{listener=\"web\"}", 25.0),
        ("fairway_listener_responses_total{listener=\"web\",code=\"2xx\"}", 20.0),
        ("fairway_listener_responses_total{listener=\"web\",code=\"5xx\"}", 5.0),
        ("fairway_listener_connections_total{listener=\"database\"}", 3.0),
        ("fairway_pool_up{pool=\"app\",mode=\"http\"}", 1.0),
        ("fairway_pool_active_members{pool=\"app\",mode=\"http\"}", 2.0),
        ("fairway_pool_responses_total{pool=\"app\",mode=\"http\",code=\"5xx\"}", 5.0),
        ("fairway_pool_sessions_total{pool=\"app\",mode=\"tcp\"}", 3.0),
        ("fairway_agent_reloads_total", 1.0),
        ("fairway_agent_proven_sequence", 2.0),
    ]);
    assert_eq!(scrape.value("fairway_listener_requests_total{listener=\"database\"}"), Some(0.0));
    assert_eq!(scrape.labels("fairway_listener_up", "listener"), ["database", "web"].map(str::to_owned).into());
    assert_eq!(scrape.labels("fairway_member_up", "member"), [a, b].map(|member| member.to_string()).into());
    let of = |member: SocketAddr, name: &str, more: &str| {
        let sample = format!("fairway_member_{name}{{pool=\"app\",mode=\"http\",member=\"{member}\"{more}}}");
        scrape.value(&sample).unwrap_or_else(|| panic!("no {sample}\n{}", scrape.1))
    };
    let bad = ",code=\"5xx\"";
    let sums = [("requests_total", ""), ("responses_total", bad), ("weight", ""), ("state", ",state=\"Up\"")]
        .map(|(name, more)| of(a, name, more) + of(b, name, more));
    let expected = [25.0, 5.0, 14.0, 2.0];
    assert!(sums.iter().zip(expected).all(|(sum, expected)| (sum - expected).abs() < 0.1), "{sums:?}");
    // What was sent has not changed what the operator is told, so that it is not woken.
    let settled = pod.report_with(|report| report.pools.values().flatten().all(|it| it.check == "L4OK")).await;
    get(pod.web(), "/").await.expect("an answer");
    // Three looks later.
    sleep(Duration::from_millis(300)).await;
    assert_eq!(pod.report().await, settled);
}

#[tokio::test]
async fn each_metric_that_is_told_is_documented_and_the_other_way() {
    let pod = Pod::running().await;
    let member = server("a", Duration::ZERO).await;
    pod.push(&tls(&pod, 2, member, 2040)).await.expect("taken");
    get(pod.web(), "/").await.expect("an answer");
    let scrape = scrape_with(&pod, "certificates are told", |scrape| scrape.1.contains("fairway_certificate_")).await;
    let mut told = BTreeSet::new();
    for sample in scrape.0.keys() {
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let labels: Vec<_> = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0)).collect();
        told.insert((name.to_owned(), labels.join(",")));
    }
    let documented: BTreeSet<_> =
        metrics::rows().iter().map(|row| (row.name.to_owned(), row.labels.to_owned())).collect();
    let differ: Vec<_> = told.symmetric_difference(&documented).collect();
    assert!(differ.is_empty(), "{differ:?}");
    for row in metrics::rows() {
        let family = row.name.trim_end_matches("_total");
        assert!(scrape.1.contains(&format!("# TYPE {family} {}\n", row.kind)), "{}", row.name);
        assert!(scrape.1.contains(&format!("# HELP {family} {}.\n", row.meaning)), "{}", row.name);
        assert_eq!(row.name.ends_with("_total"), row.kind == "counter", "{}", row.name);
    }
}

#[tokio::test]
async fn certificates_end_when_haproxy_says_so() {
    let pod = Pod::running().await;
    let member = server("a", Duration::ZERO).await;
    for (sequence, year, end) in [(2, 2040, 2_210_889_600), (3, 2041, 2_242_512_000)] {
        let report = pod.push(&tls(&pod, sequence, member, year)).await.expect("taken");
        assert_eq!(report.reloads, 1, "a rotation is no reload");
        let report = pod
            .report_with(|report| {
                let certificate = report.listeners["secure"].certificate.as_ref();
                certificate.is_some_and(|certificate| certificate.not_after == end)
            })
            .await;
        assert_eq!(
            report.listeners["secure"].certificate.as_ref().map(|it| it.file.as_str()),
            Some("certificate-shop.pem")
        );
        assert_eq!(report.listeners["web"].certificate, None);
        let sample = "fairway_certificate_expiry_timestamp_seconds{secret=\"shop\"}";
        let is_told = |scrape: &Scrape| scrape.value(sample) == Some(f64::from(u32::try_from(end).expect("small")));
        scrape_with(&pod, "the metric follows", is_told).await;
    }
}

#[tokio::test]
async fn a_reload_begins_anew_and_the_old_worker_is_seen_while_a_client_needs_it() {
    let pod = Pod::running().await;
    let member = server("a", Duration::from_secs(3)).await;
    pod.push(&configuration(&pod, 2, &[member], "")).await.expect("taken");
    for _ in 0..4 {
        get(pod.web(), "/").await.expect("an answer");
    }
    let requests = format!("fairway_member_requests_total{{pool=\"app\",mode=\"http\",member=\"{member}\"}}");
    scrape_with(&pod, "four", |scrape| scrape.value(&requests) == Some(4.0)).await;
    let web = pod.web();
    let slow = tokio::spawn(async move { get(web, "/slow").await });
    let under_way = format!("fairway_member_sessions{{pool=\"app\",mode=\"http\",member=\"{member}\"}}");
    scrape_with(&pod, "a slow one", |scrape| scrape.value(&under_way) == Some(1.0)).await;
    let mut next = configuration(&pod, 3, &[member], "");
    for content in next.files.values_mut() {
        *content = content.replace("timeout connect 1s", "timeout connect 2s");
    }
    pod.push(&next).await.expect("taken");
    let old = |scrape: &Scrape| scrape.value("fairway_haproxy_old_workers") == Some(1.0);
    let scrape = scrape_with(&pod, "an old worker", old).await;
    scrape.has(&[("fairway_agent_reloads_total", 2.0), ("fairway_agent_failed_reloads_total", 0.0)]);
    let begins = |scrape: &Scrape| scrape.value(&requests) == Some(0.0) && scrape.value(&under_way) == Some(0.0);
    scrape_with(&pod, "the new worker begins with nothing", begins).await;
    slow.await.expect("ended").expect("the old worker has answered");
    scrape_with(&pod, "it ends", |scrape| scrape.value("fairway_haproxy_old_workers") == Some(0.0)).await;
}

#[tokio::test]
async fn a_member_counts_what_was_its_own_whichever_line_it_has() {
    let pod = Pod::running().await;
    let mut all = Vec::new();
    for text in ["a", "b", "c", "d", "e"] {
        all.push(server(text, Duration::ZERO).await);
    }
    pod.push(&configuration(&pod, 2, &[all[0]], "")).await.expect("taken");
    // Each in the place of the one before: one line and two spare ones, so that all have to be used again. Who
    // comes back goes on with what it had where nobody was on its line meanwhile, and else begins anew.
    let mut counted = BTreeMap::new();
    for (sequence, (member, count)) in (3..).zip(all.iter().chain(&all).zip([5_u8, 4, 3, 7, 2, 1, 6, 3, 2, 4])) {
        let report = pod.push(&configuration(&pod, sequence, &[*member], "")).await.expect("taken");
        assert_eq!(report.reloads, 1);
        for _ in 0..count {
            get(pod.web(), "/").await.expect("an answer");
        }
        let requests = format!("fairway_member_requests_total{{pool=\"app\",mode=\"http\",member=\"{member}\"}}");
        let before = *counted.get(member).unwrap_or(&0.0);
        let possible = [f64::from(count), before + f64::from(count)];
        let is_counted = |scrape: &Scrape| scrape.value(&requests).is_some_and(|value| possible.contains(&value));
        let scrape = scrape_with(&pod, &format!("{possible:?} of {member} at {sequence}"), is_counted).await;
        counted.insert(*member, scrape.value(&requests).expect("counted"));
        assert_eq!(scrape.labels("fairway_member_up", "member"), [member.to_string()].into(), "and no spare slot");
    }
}

#[tokio::test]
async fn without_haproxy_the_agent_tells_its_own() {
    let mut pod = Pod::running().await;
    pod.haproxy.stop();
    let scrape = scrape_with(&pod, "it is gone", |scrape| scrape.value("fairway_haproxy_up") == Some(0.0)).await;
    scrape.has(&[("fairway_agent_refused_total", 0.0)]);
    assert!(!scrape.1.contains("fairway_listener_"), "{}", scrape.1);
}

#[tokio::test]
async fn many_who_ask_are_one_to_haproxy() {
    let pod = Pod::running().await;
    let member = server("a", Duration::ZERO).await;
    pod.push(&configuration(&pod, 2, &[member], "")).await.expect("taken");
    let begin = Instant::now();
    let mut told = BTreeSet::new();
    for _ in 0..40 {
        // The agent asks HAProxy things all the time, each on a connection of its own.
        let connections = Scrape::of(&pod).await.value("fairway_haproxy_connections_total").expect("told");
        told.insert(connections.to_string());
    }
    let answers = u64::try_from(told.len()).expect("few");
    assert!(answers <= begin.elapsed().as_secs() + 1, "{answers} in {:?}", begin.elapsed());
    let other = |scrape: &Scrape| {
        scrape.value("fairway_haproxy_connections_total").is_some_and(|value| !told.contains(&value.to_string()))
    };
    scrape_with(&pod, "it is asked again a second later", other).await;
}
