//! How long it takes until one of many certificates is another: from the operator's call to the proof, next to the
//! floor of the two commands on HAProxy's socket, and to a full reload.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, dead_code)]

#[path = "../tests/agent/pod.rs"]
mod pod;
mod support;

use std::time::Duration;

use fairway::{agent::protocol::Configuration, clients::haproxy::Socket};

use pod::Pod;
use support::{LEGEND, Times, head, ratio, row};

const ROTATIONS: usize = 40;
const RELOADS: u64 = 8;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!("Certificates. {LEGEND} {ROTATIONS} rotations and {RELOADS} reloads.\n");
    head(&["certificates", "set and commit", "one rotated", "reload", "reload / rotation", "reloads"]);
    for count in [10, 100, 1_000] {
        rotations(count).await;
    }
    println!();
}

fn pem() -> String {
    let made = rcgen::generate_simple_self_signed(["web.example".to_owned()]).unwrap();
    format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem())
}

fn file(number: usize) -> String {
    format!("certificate-{number}.pem")
}

fn configuration(pod: &Pod, pems: &[String], sequence: u64, timeout: u64) -> Configuration {
    let rest = format!(
        "    bind {}:{} ssl crt-list certificates.list\n    timeout client {timeout}s\n    http-request return status 200\n",
        pod.address, pod.spare_port
    );
    let mut configuration = pod.configuration(sequence, &rest);
    let list = (0..pems.len()).map(|number| file(number) + "\n").collect();
    configuration.files.insert("certificates.list".to_owned(), list);
    configuration.files.extend(pems.iter().enumerate().map(|(number, pem)| (file(number), pem.clone())));
    configuration
}

async fn rotations(count: usize) {
    let mut pems: Vec<String> = (0..count).map(|_| pem()).collect();
    let mut pod = Pod::new();
    pod.look = "2";
    let pod = pod.run().await;
    let mut sequence = 2;
    pod.push(&configuration(&pod, &pems, sequence, 30)).await.unwrap();
    let before = pod.report().await.reloads;
    let worker = Socket::new(&pod.path("run/worker.sock"), Duration::from_secs(5));
    let [mut floor, mut rotation, mut reload] = [(); 3].map(|()| Times::default());
    for round in 0..ROTATIONS {
        let number = round % count;
        // What is served already: nothing drifts.
        let (file, pem) = (file(number), pems[number].clone());
        floor
            .wait(async {
                worker.ask(&format!("set ssl cert {file} <<\n{pem}")).await.unwrap();
                assert!(worker.ask(&format!("commit ssl cert {file}")).await.unwrap().contains("Success!"));
            })
            .await;
        pems[number] = self::pem();
        sequence += 1;
        let wanted = configuration(&pod, &pems, sequence, 30);
        rotation.wait(pod.push(&wanted)).await.unwrap();
    }
    assert_eq!(pod.report().await.reloads, before, "no rotation is a reload");
    for round in 1..=RELOADS {
        sequence += 1;
        let wanted = configuration(&pod, &pems, sequence, 30 + round);
        reload.wait(pod.push(&wanted)).await.unwrap();
    }
    let reloads = pod.report().await.reloads - before;
    let ratio = ratio(&reload, &rotation);
    let [floor, rotation, reload] = [floor, rotation, reload].map(|times| times.cell());
    row(&[count.to_string(), floor, rotation, reload, ratio, reloads.to_string()]);
}
