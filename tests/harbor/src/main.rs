//! Plays Harbor's programs in Fairway's tests: core, jobservice, registryctl, exporter and the Trivy adapter, which can't
//! be installed from a package registry. It is no Harbor. It keeps to the contract that the operator has to meet, and is
//! stricter: what Harbor would stumble over later is refused at the start (`README.md` beside says what).
//!
//! One program, which plays the part that it is called by: `harbor_core`, `harbor_jobservice`, `harbor_registryctl`,
//! `harbor_exporter` or `scanner-trivy`, as a file's name or as the first argument.

// For `json!` with as many keys as there are settings.
#![recursion_limit = "512"]

mod answer;
mod cache;
mod client;
mod core;
mod database;
mod environment;
mod exporter;
mod http;
mod jobservice;
mod log;
mod registryctl;
mod storage;
mod tls;
mod trivy;
mod version;

use std::path::Path;
use std::process::ExitCode;

use environment::Refusal;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let mut part =
        arguments.next().and_then(|path| Some(Path::new(&path).file_name()?.to_str()?.to_owned())).unwrap_or_default();
    if part == env!("CARGO_PKG_NAME") {
        part = arguments.next().unwrap_or_default();
    }
    log::start();
    // Fails only when there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments: Vec<String> = arguments.collect();
    let played = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Refusal::new(format!("no runtime: {error}")))
        .and_then(|runtime| {
            let played = runtime.block_on(play(&part, &arguments));
            // What still runs is ended: after SIGTERM nothing is waited for.
            runtime.shutdown_background();
            played
        });
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            tracing::error!("{part} (stand-in) does not start: {}", refusal.reason);
            ExitCode::from(refusal.code)
        }
    }
}

async fn play(part: &str, arguments: &[String]) -> Result<(), Refusal> {
    match part {
        "harbor_core" => core::run(arguments).await,
        "harbor_jobservice" => jobservice::run(arguments).await,
        "harbor_registryctl" => registryctl::run(arguments).await,
        "harbor_exporter" => exporter::run().await,
        "scanner-trivy" => trivy::run().await,
        other => Err(Refusal::new(format!(
            "it plays harbor_core, harbor_jobservice, harbor_registryctl, harbor_exporter or scanner-trivy, not {other:?}"
        ))),
    }
}
