//! Runs beside HAProxy: one loop that applies and looks, and two servers. Touches nothing by itself.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::{info, warn};

use super::{
    PodError,
    apply::{Applier, Outcome},
    asked_to_end,
    exporter::Exporter,
    files::{self, Files},
    metrics::Metrics,
    options::ServeOptions,
    protocol::Report,
    queue::Queue,
    server::{self, Shared},
    tls,
};

/// How soon is looked again while a change waits for old workers.
const HELD_BACK: Duration = Duration::from_millis(200);

/// Serves until it is told to end.
///
/// # Errors
/// When its ports cannot be had.
pub async fn run(options: ServeOptions, version: &'static str) -> Result<(), PodError> {
    let end = asked_to_end()?;
    let listen = async |address| server::listen(address).await.map_err(PodError::io(format!("listen on {address}")));
    let (operators, plain) = (listen(options.address).await?, listen(options.metrics_address).await?);
    let metrics = Metrics::default();
    let applier = Applier::new(&options.pod, &metrics);
    let newest = applier.newest_known();
    let (report_sender, report) = watch::channel(Arc::new(Report::default()));
    let (identity_sender, identity) = watch::channel(None);
    let queue = Queue::new(newest.sequence, newest.hash);
    let exporter = Exporter::new(&Files::new(&options.pod.run_directory, "serve"));
    let shared = Arc::new(Shared { queue, report, metrics, exporter, identity, version });
    info!(address = %options.address, newest = newest.sequence, "serving");
    tokio::select! {
        () = keep(applier, &shared, &report_sender, &options) => {}
        () = tls::watch(&options.identity_directory, options.look_interval, identity_sender) => {}
        () = server::serve_operator(operators, shared.clone()) => {}
        () = server::serve_plain(plain, shared.clone()) => {}
        () = end => info!("ending"),
    }
    Ok(())
}

/// The only one who has HAProxy change: takes what comes, and looks at regular times.
async fn keep(mut applier: Applier, shared: &Shared, sender: &watch::Sender<Arc<Report>>, options: &ServeOptions) -> ! {
    let mut look = interval(options.look_interval);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut held_back = false;
    loop {
        let mut looked = false;
        tokio::select! {
            () = shared.queue.arrived() => {}
            () = sleep(HELD_BACK), if held_back => {}
            _ = look.tick() => {
                looked = true;
                applier.tend().await;
                shared.exporter.look_at_certificates().await;
                submit_mounted(&shared.queue, &options.pod.configuration_directory);
                applier.learn_version().await;
            }
        }
        held_back = false;
        while let Some(waiting) = (!held_back).then(|| shared.queue.take()).flatten() {
            let outcome = applier.apply(&waiting.configuration, &waiting.hash).await;
            held_back = outcome == Outcome::HeldBack;
            if held_back {
                shared.queue.put_back(waiting);
                continue;
            }
            if outcome == Outcome::Refused {
                shared.metrics.refused.inc();
            }
            publish(&mut applier, shared, sender).await;
            waiting.answer(&outcome);
        }
        if looked {
            publish(&mut applier, shared, sender).await;
        }
    }
}

/// What is mounted is one more configuration that arrives, if it is news.
fn submit_mounted(queue: &Queue, directory: &Path) {
    if files::mounted_sequence(directory).is_none_or(|sequence| sequence <= queue.newest()) {
        return;
    }
    match files::read_mounted(directory) {
        // Nobody waits for the answer: the report tells.
        Ok(Some(configuration)) => drop(queue.submit(configuration)),
        Ok(None) => {}
        Err(error) => warn!(%error, "the mounted configuration cannot be read"),
    }
}

async fn publish(applier: &mut Applier, shared: &Shared, sender: &watch::Sender<Arc<Report>>) {
    let version = applier.version().to_owned();
    let (seen, sights) = applier.look().await;
    shared.exporter.note(seen.naming.clone(), &sights);
    let (pools, listeners) = (seen.pools.clone(), shared.exporter.listeners(seen));
    let report = Report {
        agent_version: shared.version.to_owned(),
        haproxy_version: version,
        proven: applier.running().cloned(),
        refused: applier.refused().cloned(),
        reloads: applier.reloads(),
        drifted: applier.drifted(),
        pools,
        listeners,
    };
    shared.metrics.proven_sequence.set(report.proven.as_ref().map_or(0, |proven| proven.sequence));
    shared.metrics.reloads.inner().store(report.reloads, Ordering::Relaxed);
    sender.send_if_modified(|current| {
        let changed = **current != report;
        if changed {
            *current = Arc::new(report);
        }
        changed
    });
}
