//! A reload, and the proof of it.

use std::io;

use tokio::time::{Instant, sleep};

use super::{Applier, LONGEST_LOOK, MASTER_PATIENCE, OLD_WORKER_GRACE, SHORTEST_LOOK, SOCKET_PATIENCE, Setback};
use crate::{
    agent::{files::Record, health, process, protocol::Proven},
    clients::haproxy::ReloadAnswer,
};

impl Applier {
    /// Whether another reload would have the master end a worker that was replaced only now, and with it
    /// the requests that it still has: a burst of changes waits for them, a little.
    pub async fn holds_back(&self) -> bool {
        let recent = |time: &Instant| time.elapsed() < OLD_WORKER_GRACE;
        let text = self.running.as_ref().map(|running| self.files.text(&running.hash));
        let outlived = text.and_then(|text| process::reloads_outlived(&text));
        let Some(outlived) = outlived
            .filter(|outlived| self.reload_times.iter().rev().nth(outlived.saturating_sub(1)).is_some_and(recent))
        else {
            return false;
        };
        // The worker shows its marker a moment before the master answers again.
        let deadline = Instant::now() + SOCKET_PATIENCE;
        loop {
            match self.master.processes().await {
                Ok(processes) => return processes.oldest >= outlived,
                Err(_) if Instant::now() > deadline => return false,
                Err(_) => sleep(SHORTEST_LOOK).await,
            }
        }
    }

    pub(super) async fn switch(&mut self, wanted: &Proven) -> Result<(), Setback> {
        self.files.switch_to(wanted)?;
        let switched = match self.reload(wanted).await? {
            ReloadAnswer::Failure(log) => Err(Setback::Refused(self.judge.clean(&log))),
            ReloadAnswer::Silent | ReloadAnswer::Success => self.wait_for_proof(wanted).await,
        };
        if switched.is_err() {
            self.failed_reloads.inc();
        }
        switched
    }

    /// Sends `reload`, once the master is done with the one before.
    pub(super) async fn reload(&mut self, wanted: &Proven) -> Result<ReloadAnswer, Setback> {
        self.carry_health_over(wanted).await?;
        let deadline = Instant::now() + MASTER_PATIENCE;
        loop {
            // One that is still at the reload before drops connections without a word, which is also how 2.6 answers a
            // reload: it has to answer something else first.
            let answer = match self.master.processes().await {
                Ok(_) => Some(self.reloader.reload().await),
                Err(_) => None,
            };
            let answer = match answer {
                // Since 2.7 the answer comes after the load, which may take longer: the proof will tell.
                Some(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Some(ReloadAnswer::Silent),
                answer => answer.and_then(Result::ok),
            };
            match answer {
                Some(answer) => {
                    self.reloads += 1;
                    self.reload_times.push(Instant::now());
                    self.reload_times.retain(|time| time.elapsed() < OLD_WORKER_GRACE);
                    return Ok(answer);
                }
                None if Instant::now() > deadline => return Err(Setback::Gone),
                None => sleep(SHORTEST_LOOK).await,
            }
        }
    }

    /// Tells the worker to come what the current one knows of members' health.
    async fn carry_health_over(&self, wanted: &Proven) -> io::Result<()> {
        let (marker, state) = (self.worker.marker().await, self.statistics.ask("show servers state").await);
        let text = match (marker, state) {
            (Ok(Some(running)), Ok(state)) => {
                health::carried_over(&state, &self.files.main_text(&running), &self.files.main_text(&wanted.hash))
            }
            // A worker that can't be asked has nothing to tell.
            _ => health::NOTHING.to_owned(),
        };
        self.files.set_health(&text)
    }

    /// Reads the marker until it is the wanted one, each time on a new connection. The master answers
    /// again only after it has read the configuration, and then tells whether it failed.
    pub(super) async fn wait_for_proof(&self, wanted: &Proven) -> Result<(), Setback> {
        let deadline = Instant::now() + self.patience;
        let mut pause = SHORTEST_LOOK;
        loop {
            if self.worker.marker().await.is_ok_and(|marker| marker.as_ref() == Some(&wanted.hash)) {
                self.wait_for_old_workers_to_close().await;
                return Ok(());
            }
            if self.master.processes().await.is_ok_and(|processes| processes.failed > 0) {
                return Err(Setback::Refused("HAProxy could not start with it; its log tells why".to_owned()));
            }
            if self.files.record(Record::Attempted).is_none_or(|attempted| attempted.hash != wanted.hash) {
                return Err(Setback::Gone);
            }
            if Instant::now() > deadline {
                return Err(Setback::Refused("no worker showed in time that it runs it".to_owned()));
            }
            sleep(pause).await;
            pause = (pause * 5 / 4).min(LONGEST_LOOK);
        }
    }

    /// The workers share one socket: until the old ones have closed it, commands may still reach them. If they take too
    /// long, what is said next is found not to be done, and costs a reload.
    async fn wait_for_old_workers_to_close(&self) {
        let deadline = Instant::now() + SOCKET_PATIENCE;
        while Instant::now() < deadline {
            let old = self.master.processes().await.map(|processes| processes.old);
            let mut closed = old.is_ok();
            for worker in old.unwrap_or_default() {
                closed &= self.master.has_stopped_listening(worker).await.unwrap_or(false);
            }
            if closed {
                return;
            }
            sleep(SHORTEST_LOOK).await;
        }
    }
}
