//! Clients stay with their member while members and replicas come and go, as far as the docs promise.

use std::{collections::BTreeSet, io, net::SocketAddr, time::Duration};

use fairway::{
    agent::protocol::{Configuration, Report},
    api::LoadBalancer,
    loadbalancer::{
        plan::{self, objects::read_configuration},
        world::{Identity, World},
    },
};
use jiff::Timestamp;
use kube::api::DynamicObject;
use rstest::rstest;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use crate::pod::Pod;

/// So long a worker that found nobody to learn its tables from waits before it hands its own on: twice HAProxy's
/// `PEER_RESYNC_TIMEOUT`, for a local and for a remote peer, and a little.
const BEFORE_TABLES_MOVE: Duration = Duration::from_secs(11);

/// What a load balancer with this persistence and these members runs; `limit` is what only a reload changes.
fn configuration(pod: &Pod, sequence: u64, persistence: &str, members: &[SocketAddr], limit: u32) -> Configuration {
    let members: Vec<_> =
        members.iter().map(|member| json!({ "address": member.ip().to_string(), "port": member.port() })).collect();
    let persistence: serde_json::Value = serde_saphyr::from_str(persistence).expect("YAML");
    let spec = json!({
        "listeners": [{
            "name": "web", "protocol": "HTTP", "port": pod.web_port, "pool": "app", "connectionLimit": limit,
        }],
        "pools": [{ "name": "app", "persistence": persistence, "members": members }],
    });
    let mut resource = LoadBalancer::new("web", serde_json::from_value(spec).expect("a spec"));
    resource.metadata.namespace = Some("team".to_owned());
    let world = World { identity: Some(Identity { renew: None }), ..World::default() };
    let planned = plan::plan(&resource, &world, Timestamp::UNIX_EPOCH);
    let is_secret = |object: &&DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == "Secret");
    let secret = planned.objects.iter().find(is_secret).expect("a Secret");
    let data = serde_json::from_value(secret.data["data"].clone()).expect("data");
    let mut files = read_configuration(&data).expect("a configuration").files;
    for content in files.values_mut() {
        // Pods have a network each; these share one.
        *content = content.replace("abns@fairway-peers", &format!("abns@fairway-peers-{}", pod.web_port));
        *content = content.replace(&format!("bind :{}", pod.web_port), &format!("bind {}", pod.web()));
    }
    Configuration { sequence, files }
}

/// A member that answers with its text, and tells the client to remember it.
async fn member(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                while !bytes.ends_with(b"\r\n\r\n") && stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {}
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\nset-cookie: JSESSIONID=session-at-{text}\r\n\
                     content-length: {}\r\n\r\n{text}",
                    text.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

/// Who answers, and the cookies of a client that had these.
async fn ask(web: SocketAddr, cookies: &[String]) -> io::Result<(String, Vec<String>)> {
    let mut stream = TcpStream::connect(web).await?;
    let own = if cookies.is_empty() { String::new() } else { format!("cookie: {}\r\n", cookies.join("; ")) };
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n{own}\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(head.to_owned()));
    }
    let set = head.lines().filter_map(|line| Some(line.strip_prefix("set-cookie: ")?.split(';').next()?.to_owned()));
    Ok((body.to_owned(), set.collect()))
}

/// Who answers a client that keeps its cookies, in some requests.
async fn answers(web: SocketAddr, cookies: &[String]) -> BTreeSet<String> {
    let mut answers = BTreeSet::new();
    for _ in 0..9 {
        answers.insert(ask(web, cookies).await.expect("an answer").0);
    }
    answers
}

#[rstest]
#[case::inserted_cookie("{ type: InsertedCookie }")]
#[case::application_cookie("{ type: ApplicationCookie, cookieName: JSESSIONID }")]
#[case::source_address("{ type: SourceAddress }")]
#[tokio::test]
async fn a_client_stays_with_its_member_while_others_come_and_go(#[case] persistence: &str) {
    let pod = Pod::running().await;
    let all = [("a", member("a").await), ("b", member("b").await), ("c", member("c").await)];
    let push = async |sequence, members: &[(&str, SocketAddr)], limit| -> Report {
        let addresses: Vec<_> = members.iter().map(|(_, address)| *address).collect();
        pod.push(&configuration(&pod, sequence, persistence, &addresses, limit)).await.expect("taken")
    };
    push(2, &all[..2], 100).await;
    let (own, cookies) = ask(pod.web(), &[]).await.expect("an answer");
    let only = BTreeSet::from([own.clone()]);
    assert_eq!(answers(pod.web(), &cookies).await, only);
    // Nothing shows when it is over; cookies that hold for all replicas need no tables.
    if !persistence.contains("InsertedCookie") {
        sleep(BEFORE_TABLES_MOVE).await;
    }
    // Others come, before and behind it; then all but the client's own are new.
    push(3, &[all[2], all[1], all[0]], 100).await;
    assert_eq!(answers(pod.web(), &cookies).await, only);
    let kept: Vec<_> = all.iter().copied().filter(|(name, _)| *name == own || *name == "c").collect();
    push(4, &kept, 100).await;
    assert_eq!(answers(pod.web(), &cookies).await, only);
    // A reload.
    let before = push(4, &kept, 100).await.reloads;
    assert_eq!(push(5, &kept, 200).await.reloads, before + 1);
    assert_eq!(answers(pod.web(), &cookies).await, only);
    // Its own member goes.
    let others: Vec<_> = all.iter().copied().filter(|(name, _)| *name != own).collect();
    push(6, &others, 200).await;
    assert!(!answers(pod.web(), &cookies).await.contains(&own));
}

#[tokio::test]
async fn an_inserted_cookie_holds_for_every_replica() {
    let pods = [Pod::running().await, Pod::running().await];
    let [a, b, c] = [member("a").await, member("b").await, member("c").await];
    let persistence = "{ type: InsertedCookie }";
    // They came to their members on different ways.
    pods[0].push(&configuration(&pods[0], 2, persistence, &[a], 100)).await.expect("taken");
    pods[0].push(&configuration(&pods[0], 3, persistence, &[a, b, c], 100)).await.expect("taken");
    pods[1].push(&configuration(&pods[1], 2, persistence, &[c, b], 100)).await.expect("taken");
    pods[1].push(&configuration(&pods[1], 3, persistence, &[a, b, c], 100)).await.expect("taken");
    for _ in 0..6 {
        let (own, cookies) = ask(pods[0].web(), &[]).await.expect("an answer");
        assert_eq!(answers(pods[1].web(), &cookies).await, BTreeSet::from([own]));
    }
}
