//! With which password is asked, and how often, of a core that tells no more than what images take.

use std::{
    net::Ipv4Addr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, extract::State, routing::get};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode, header};
use tokio::net::TcpListener;

use super::*;

/// What stands in for core.
struct Core {
    password: Mutex<&'static str>,
    asked: AtomicUsize,
}

async fn statistics(State(core): State<Arc<Core>>, headers: HeaderMap) -> (StatusCode, String) {
    core.asked.fetch_add(1, Ordering::Relaxed);
    let expected = format!("Basic {}", STANDARD.encode(format!("admin:{}", lock(&core.password))));
    if headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) != Some(&expected) {
        return (StatusCode::UNAUTHORIZED, r#"{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}"#.to_owned());
    }
    let counts = ["private_project_count", "private_repo_count", "public_project_count", "public_repo_count"];
    let mut told: BTreeMap<&str, u64> = counts.into_iter().map(|count| (count, 1)).collect();
    told.extend([("total_project_count", 2), ("total_repo_count", 2), ("total_storage_consumption", 4096)]);
    (StatusCode::OK, serde_json::to_string(&told).expect("JSON"))
}

async fn start(password: &'static str) -> (Arc<Core>, Option<String>) {
    let core = Arc::new(Core { password: Mutex::new(password), asked: AtomicUsize::new(0) });
    let router = Router::new().route("/api/v2.0/statistics", get(statistics)).with_state(Arc::clone(&core));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (core, Some(address))
}

fn with(password: &str) -> MadeUp {
    MadeUp::default().with(ADMIN_PASSWORD, password)
}

#[tokio::test]
async fn what_works_is_not_asked_again_soon() {
    let (core, address) = start("Known-1").await;
    let (probes, key) = (Probes::default(), Key::new("customer", "main"));
    for _ in 0..3 {
        let told = probes.administrator(&key, address.clone(), &with("Known-1"), &with("Known-1")).await;
        assert_eq!(told, Some(Ok(LoggedIn { changed: false, used: 4096 })));
    }
    assert_eq!(core.asked.load(Ordering::Relaxed), 1);
    assert_eq!(probes.administrator(&key, None, &with("Known-1"), &with("Known-1")).await, None, "nobody is there");
}

#[tokio::test]
async fn after_a_change_that_was_not_noted_the_wanted_one_is_tried() {
    let (core, address) = start("Wanted-2").await;
    let (probes, key) = (Probes::default(), Key::new("customer", "main"));
    let told = probes.administrator(&key, address.clone(), &with("Known-1"), &with("Wanted-2")).await;
    assert_eq!(told, Some(Ok(LoggedIn { changed: true, used: 4096 })));
    assert_eq!(core.asked.load(Ordering::Relaxed), 2);
    // It is noted, and the Secret has yet to be read: the old one is not tried again.
    probes.password_changed(&key, address.as_deref().unwrap_or_default(), &with("Known-1"), &with("Wanted-2"));
    let told = probes.administrator(&key, address.clone(), &with("Known-1"), &with("Wanted-2")).await;
    assert!(matches!(told, Some(Err(problem)) if problem.reason == "ChangingPassword"));
    assert_eq!(core.asked.load(Ordering::Relaxed), 2);
    let told = probes.administrator(&key, address.clone(), &with("Wanted-2"), &with("Wanted-2")).await;
    assert_eq!(told, Some(Ok(LoggedIn { changed: false, used: 4096 })));
}

#[tokio::test]
async fn a_refusal_is_left_alone_until_something_changes() {
    let (core, address) = start("By-hand-3").await;
    let (probes, key) = (Probes::default(), Key::new("customer", "main"));
    let ask = async |known: &str, wanted: &str| {
        let told = probes.administrator(&key, address.clone(), &with(known), &with(wanted)).await;
        (told.map(|told| told.map_err(|problem| problem.reason)), core.asked.load(Ordering::Relaxed))
    };
    for _ in 0..3 {
        assert_eq!(ask("Known-1", "Wanted-2").await, (Some(Err(REFUSED)), 2), "no hammering");
    }
    tokio::time::pause();
    tokio::time::advance(LOCKED_OUT + Duration::from_secs(59)).await;
    assert_eq!(ask("Known-1", "Wanted-2").await.1, 2, "two tries in two minutes");
    tokio::time::resume();
    // Somebody gives the right one.
    let good = Some(Ok(LoggedIn { changed: false, used: 4096 }));
    assert_eq!(ask("By-hand-3", "Wanted-2").await, (good, 3));
}
