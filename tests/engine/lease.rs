//! Who may write.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use fairway::reconcile::lease::{Apart, Lease, Timings};
use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use kube::Api;
use rstest::rstest;
use tokio::time::{Instant, sleep, timeout};

use crate::api_server::{ApiServer, Fault, Verb, What};

fn candidate(server: &ApiServer, identity: &str) -> Lease {
    Lease::new(server.client(), "system", "fairway", identity, Timings::default())
}

async fn holder(server: &ApiServer) -> String {
    let api: Api<LeaseObject> = Api::namespaced(server.client(), "system");
    let spec = api.get("fairway").await.expect("a lease").spec.expect("a spec");
    spec.holder_identity.unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn the_first_leads_and_goes_on_leading() {
    let server = ApiServer::new();
    let mut one = candidate(&server, "one").acquire().await;
    assert_eq!(holder(&server).await, "one");
    assert!(timeout(Duration::from_hours(1), one.lost()).await.is_err());
    assert!(timeout(Duration::from_hours(1), candidate(&server, "two").acquire()).await.is_err());
    assert_eq!(holder(&server).await, "one");
}

#[tokio::test(start_paused = true)]
async fn what_is_released_is_taken_at_once() {
    let server = ApiServer::new();
    let one = candidate(&server, "one").acquire().await;
    let two = tokio::spawn(candidate(&server, "two").acquire());
    sleep(Duration::from_secs(20)).await;
    one.release().await;
    let _two = timeout(Duration::from_secs(3), two).await.expect("at once").expect("a leader");
    assert_eq!(holder(&server).await, "two");
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_held_is_taken_after_its_time() {
    let server = ApiServer::new();
    drop(candidate(&server, "one").acquire().await);
    let begun = Instant::now();
    let _two = candidate(&server, "two").acquire().await;
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(15) && waited <= Duration::from_secs(18), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_comes_back_under_its_name_need_not_wait() {
    let server = ApiServer::new();
    drop(candidate(&server, "one").acquire().await);
    let begun = Instant::now();
    let _one = candidate(&server, "one").acquire().await;
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[rstest]
#[case::refused(What::Fail(500))]
#[case::lost(What::DropRequest)]
#[case::silent(What::Hang)]
#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_others_begin(#[case] what: What) {
    let server = ApiServer::new();
    let mut one = candidate(&server, "one").acquire().await;
    sleep(Duration::from_secs(30)).await;
    server.fault(Fault::new(what).on(|request| request.verb == Verb::Update));
    let begun = Instant::now();
    one.lost().await;
    assert!(begun.elapsed() <= Duration::from_secs(13), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_survives_a_short_outage_and_a_lost_answer() {
    let server = ApiServer::new();
    let mut one = candidate(&server, "one").acquire().await;
    server.fault(Fault::new(What::DropReply).on(|request| request.verb == Verb::Update).times(1));
    server.fault(Fault::new(What::Fail(503)).on(|request| request.verb == Verb::Update).times(2));
    assert!(timeout(Duration::from_mins(5), one.lost()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_leader_survives_a_lost_connection_and_a_slow_answer_after_it() {
    let server = ApiServer::new();
    let mut one = candidate(&server, "one").acquire().await;
    for _ in 0..5 {
        server.fault(Fault::new(What::Hang).on(|request| request.verb == Verb::Update).times(1));
        let slow = What::Delay(Duration::from_secs(4));
        server.fault(Fault::new(slow).on(|request| request.verb == Verb::Update).times(1));
        assert!(timeout(Duration::from_mins(1), one.lost()).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_goes_on_leading_while_all_other_threads_are_busy() {
    let (second, busy) = (Duration::from_secs(1), Duration::from_secs(5));
    let timings = Timings { duration: 4 * second, renew_deadline: 3 * second, retry: second / 5 };
    let (server, apart) = (ApiServer::new(), Apart::start().expect("a thread"));
    let acquiring = {
        let server = server.clone();
        async move { Lease::new(server.client(), "system", "fairway", "one", timings).acquire().await }
    };
    let mut one = apart.run(acquiring).await.expect("no panic");
    let working: Vec<_> = (0..8).map(|_| tokio::spawn(async move { std::thread::sleep(busy) })).collect();
    tokio::task::block_in_place(|| std::thread::sleep(busy));
    assert!(timeout(second, one.lost()).await.is_err());
    working.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_replaced_stops_at_once() {
    let server = ApiServer::new();
    let mut one = candidate(&server, "one").acquire().await;
    let api: Api<LeaseObject> = Api::namespaced(server.client(), "system");
    let mut lease = api.get("fairway").await.expect("a lease");
    lease.spec.as_mut().expect("a spec").holder_identity = Some("two".to_owned());
    api.replace("fairway", &kube::api::PostParams::default(), &lease).await.expect("a coup");
    assert!(timeout(Duration::from_secs(3), one.lost()).await.is_ok());
}

/// Leads as often as it can, and notes whenever another leads too.
async fn contend(
    server: ApiServer,
    identity: String,
    leaders: Arc<AtomicUsize>,
    clash: Arc<AtomicBool>,
    terms: Arc<AtomicUsize>,
) {
    loop {
        let mut leadership = candidate(&server, &identity).acquire().await;
        terms.fetch_add(1, Ordering::SeqCst);
        if leaders.fetch_add(1, Ordering::SeqCst) > 0 {
            clash.store(true, Ordering::SeqCst);
        }
        let lost = timeout(Duration::from_mins(2), leadership.lost()).await.is_ok();
        leaders.fetch_sub(1, Ordering::SeqCst);
        if !lost {
            leadership.release().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_never_lead_at_once() {
    for seed in 0..20_usize {
        let server = ApiServer::new();
        let count = AtomicUsize::new(seed);
        let outages = move |_: &crate::api_server::Request| {
            // Outages of some length, now and then.
            let count = count.fetch_add(1, Ordering::SeqCst);
            ((count / (5 + seed % 7)).wrapping_mul(0x9E37_79B9) >> 5).is_multiple_of(4)
        };
        let what = match seed % 4 {
            0 => What::DropReply,
            1 => What::DropRequest,
            2 => What::Fail(500),
            _ => What::Delay(Duration::from_secs(9)),
        };
        server.fault(Fault::new(what).on(outages));
        let (leaders, clash, terms) = (Arc::default(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let both: Vec<_> = ["one", "two", "three"]
            .into_iter()
            .map(|name| {
                let (leaders, clash, terms) = (Arc::clone(&leaders), Arc::clone(&clash), Arc::clone(&terms));
                tokio::spawn(contend(server.clone(), name.to_owned(), leaders, clash, terms))
            })
            .collect();
        sleep(Duration::from_hours(1)).await;
        both.iter().for_each(tokio::task::JoinHandle::abort);
        assert!(!clash.load(Ordering::SeqCst), "seed {seed}");
        assert!(terms.load(Ordering::SeqCst) > 5, "seed {seed}: leadership moves on");
    }
}
