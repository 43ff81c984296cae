//! What a pod does: it boots from what is mounted or kept, takes what is pushed or mounted, and proves or
//! refuses it. What it boots with and what its queue takes is decided by the agent's own code.

use fairway::agent::{
    choice::{self, Known},
    protocol::Proven,
};

use crate::{
    planning::{Answer, Planning},
    state::{Broken, Config, Pod, State},
};

/// A record as the agent keeps it; the hash only tells who is who.
fn record(config: Config) -> Proven {
    Proven { hash: config.content.to_string(), sequence: config.sequence }
}

fn config(record: &Proven) -> Config {
    Config { content: record.hash.parse().unwrap(), sequence: record.sequence }
}

impl Pod {
    /// What it answers the operator; none if it can't be reached.
    pub(crate) fn answer(&self) -> Option<Answer> {
        (!self.unreachable).then_some(Answer { proven: self.running, refused: self.refused })
    }

    /// `HAProxy` and the agent start, with the files that there are.
    fn boot(&mut self, refuses: impl Fn(u8) -> bool) -> Result<(), Broken> {
        let known = Known {
            mounted: self.mounted.map(record),
            proven: self.proven.map(record),
            offered: self.offered.map(record),
            attempted: self.proven.map(record),
            refused: self.refused.map(|refused| record(refused).hash),
        };
        let candidates = choice::candidates(&known);
        let fit = candidates.iter().map(|(_, candidate)| config(candidate)).find(|one| !refuses(one.content));
        self.running = None;
        fit.map_or(Ok(()), |fit| self.prove(fit))
    }

    fn prove(&mut self, wanted: Config) -> Result<(), Broken> {
        let back = self.proven.is_some_and(|before| before.sequence > wanted.sequence);
        self.running = Some(wanted);
        self.proven = Some(wanted);
        self.newest = self.newest.max_by_sequence(wanted);
        self.refused = self.refused.filter(|refused| refused.sequence > wanted.sequence);
        self.offered = self.offered.filter(|offered| offered.sequence > wanted.sequence);
        if back { Err(Broken::WentBack) } else { Ok(()) }
    }

    /// Takes a configuration, or does not; whether its queue took it.
    fn take(&mut self, planning: &Planning, pushed: Config, refuses: impl Fn(u8) -> bool) -> Result<bool, Broken> {
        if !planning.takes(self.newest, pushed) {
            return Ok(false);
        }
        self.newest = Some(pushed);
        if refuses(pushed.content) {
            self.refused = Some(pushed);
        } else if self.running.is_none() {
            self.offered = Some(pushed);
            self.boot(refuses)?;
        } else {
            self.prove(pushed)?;
        }
        Ok(true)
    }
}

trait Newest {
    fn max_by_sequence(self, other: Config) -> Option<Config>;
}

impl Newest for Option<Config> {
    fn max_by_sequence(self, other: Config) -> Option<Config> {
        Some(self.filter(|known| known.sequence > other.sequence).unwrap_or(other))
    }
}

/// Which pod refuses which content.
pub(crate) type Refuses = fn(usize, u8) -> bool;

impl State {
    /// What a kubelet mounts now.
    pub(crate) fn mountable(&self, planning: &Planning) -> Option<Config> {
        let secret = self.object(crate::state::Slot::Configuration).now().as_ref()?;
        let held = planning.configuration(secret.content)?;
        Some(if secret.edited { Config { content: crate::state::EDITED, ..held } } else { held })
    }

    fn with_pod(&mut self, number: usize, act: impl FnOnce(&mut Pod) -> Result<(), Broken>) {
        if let Some(Err(broken)) = self.pods[number].as_mut().map(act) {
            self.breaks(broken);
        }
    }

    /// A new pod starts, in the place of an old one if there is one.
    pub(crate) fn start_pod(&mut self, planning: &Planning, number: usize, refuses: Refuses) {
        let template = self.object(crate::state::Slot::Deployment).now().as_ref().map_or(0, |object| object.content);
        let mounted = self.mountable(planning);
        self.remove_pod(planning, number);
        self.pods[number] = Some(Pod { template, mounted, newest: None, ..Pod::default() });
        self.with_pod(number, |pod| pod.boot(|content| refuses(number, content)));
    }

    /// A pod goes, and with it all that was meant for it.
    pub(crate) fn remove_pod(&mut self, planning: &Planning, number: usize) {
        self.pods[number] = None;
        self.late.retain(|(pod, _)| *pod != number);
        self.forget_pushes(planning, number);
    }

    /// `HAProxy` and agent of a pod are started again.
    pub(crate) fn reboot(&mut self, number: usize, refuses: Refuses) {
        self.with_pod(number, |pod| pod.boot(|content| refuses(number, content)));
    }

    /// The kubelet brings a pod's mounted Secret up to date, and the agent looks.
    pub(crate) fn mount(&mut self, planning: &Planning, number: usize, refuses: Refuses) {
        let Some(mounted) = self.mountable(planning) else { return };
        self.with_pod(number, |pod| {
            pod.mounted = Some(mounted);
            if pod.running.is_none() {
                return pod.boot(|content| refuses(number, content));
            }
            if pod.newest.is_none_or(|newest| mounted.sequence > newest.sequence) {
                pod.take(planning, mounted, |content| refuses(number, content))?;
            }
            Ok(())
        });
    }

    /// A push arrives.
    pub(crate) fn pushed(&mut self, planning: &Planning, number: usize, config: Config, refuses: Refuses) {
        self.with_pod(number, |pod| pod.take(planning, config, |content| refuses(number, content)).map(drop));
    }
}
