//! What the operator does: the engine's order of things (finalizer aside), one write at a time. It mirrors
//! src/reconcile/{turn,objects,inventory}.rs and src/loadbalancer/{observe,effects}.rs; the plan itself is
//! the production code's.

use std::sync::Arc;

use crate::{
    planning::{Act, Input, Planned, Planning},
    pod::Refuses,
    state::{Broken, Config, Object, SLOTS, Slot, Stage, State, Turn},
};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Done,
    /// Refused, or lost on its way: a conflict, a server that is not there.
    Refused,
    /// Done, but the operator sees an error.
    ReplyLost,
    /// Done later; the operator sees an error. Pushes alone.
    Late,
}

/// The certificate's Secret; what it holds is the same each time.
const CERTIFICATE: u64 = 1;

impl State {
    /// Whether the operator may begin a turn.
    pub(crate) fn may_begin(&self) -> bool {
        self.turn.is_none() && self.awaited == 0
    }

    /// Observes: what the operator has seen of objects, and what agents answer right now.
    fn observe(&self, planning: &Planning) -> Input {
        let seen = |slot| self.object(slot).seen().as_ref().filter(|object| !object.deleting);
        let resource = self.resource.seen();
        Input {
            scene: resource.scene,
            wanted_before: resource.content.zip(resource.sequence),
            refused_before: resource.refused,
            held: seen(Slot::Configuration).and_then(|secret| planning.configuration(secret.content)),
            identity: seen(Slot::Identity).map(|secret| !secret.edited),
            deployment: seen(Slot::Deployment).map(|deployment| deployment.content),
            pods: self
                .pods
                .iter()
                .enumerate()
                .filter_map(|(number, pod)| Some((number, pod.as_ref()?.answer())))
                .collect(),
        }
    }

    pub(crate) fn begin(&mut self, planning: &Planning) {
        let owned = |slot: &Slot| self.object(*slot).seen().is_some();
        let owned = SLOTS.into_iter().filter(owned).fold(0, |bits, slot| bits | slot.bit());
        let input = self.observe(planning);
        let proven = |content| {
            input.pods.iter().any(|(_, answer)| {
                answer.as_ref().and_then(|answer| answer.proven).is_some_and(|proven| proven.content == content)
            })
        };
        self.refused = self.refused.filter(|content| !proven(*content));
        self.turn = Some(Turn { input, owned, leaving: false, stage: Stage::Apply(0) });
        self.advance(planning);
    }

    /// Goes on to the next write, or to the end of the turn.
    fn advance(&mut self, planning: &Planning) {
        while let Some(turn) = &self.turn {
            let planned = planning.plan(&turn.input);
            let next = match turn.stage {
                Stage::Apply(number) => match planned.objects.get(number) {
                    None if turn.leaving => Stage::Effects(all(&planned)),
                    None => Stage::Prune,
                    Some((slot, content)) => {
                        let seen = self.object(*slot).seen().as_ref();
                        let is = seen.is_some_and(|seen| !seen.deleting && !seen.edited && seen.content == *content);
                        let leaving = seen.is_some_and(|seen| seen.deleting);
                        if !is && !leaving {
                            return;
                        }
                        if let Some(turn) = self.turn.as_mut() {
                            turn.leaving |= leaving;
                        }
                        Stage::Apply(number + 1)
                    }
                },
                Stage::Prune if self.to_prune(turn, &planned).is_some() => return,
                Stage::Prune => Stage::Effects(all(&planned)),
                Stage::Effects(0) => Stage::Status,
                Stage::Effects(_) => return,
                Stage::Status if status_differs(turn, &planned) => return,
                Stage::Status => {
                    self.turn = None;
                    return;
                }
            };
            self.stage(next);
        }
    }

    fn stage(&mut self, stage: Stage) {
        if let Some(turn) = self.turn.as_mut() {
            turn.stage = stage;
        }
    }

    fn to_prune(&self, turn: &Turn, planned: &Planned) -> Option<Slot> {
        SLOTS.into_iter().find(|slot| {
            let seen = self.object(*slot).seen().as_ref();
            let stays = turn.owned & slot.bit() == 0
                || planned.objects.iter().any(|(one, _)| one == slot)
                || planned.retained & slot.bit() != 0;
            seen.is_some_and(|seen| !seen.deleting) && !stays
        })
    }

    /// The write that the turn stands before, with this fate. `effect` says which, among effects.
    pub(crate) fn step(&mut self, planning: &Planning, effect: usize, fate: Fate, refuses: Refuses) {
        let Some(turn) = self.turn.clone() else { return };
        let planned = planning.plan(&turn.input);
        match turn.stage {
            Stage::Apply(number) => {
                let (slot, content) = planned.objects[number];
                self.apply(planning, slot, content, fate);
                self.stage(if fate == Fate::Done { Stage::Apply(number + 1) } else { Stage::Status });
            }
            Stage::Prune => {
                let done = self.to_prune(&turn, &planned).is_none_or(|slot| self.prune(slot, fate));
                self.stage(if done { Stage::Prune } else { Stage::Status });
            }
            Stage::Effects(left) => {
                self.perform(planning, &planned.effects[effect], fate, refuses);
                self.stage(Stage::Effects(left & !(1 << effect)));
            }
            Stage::Status => {
                self.write_status(&turn, &planned, fate);
                self.turn = None;
            }
        }
        self.advance(planning);
    }

    fn apply(&mut self, planning: &Planning, slot: Slot, content: u64, fate: Fate) {
        if fate == Fate::Refused {
            return;
        }
        if slot == Slot::Configuration {
            self.judge_configuration(planning, content);
        }
        let object = self.object_mut(slot);
        object.write(Some(Object { content, edited: false, deleting: false }));
        if fate == Fate::Done {
            object.catch_up();
        }
    }

    /// Whether what nobody has shown to run replaces what is known to be held, though a pod could tell or has
    /// told.
    fn judge_configuration(&mut self, planning: &Planning, content: u64) {
        let Some(Input { held, pods, .. }) = self.turn.as_ref().map(|turn| &turn.input) else { return };
        let (Some(new), Some(old)) = (planning.configuration(content), held) else { return };
        let told = pods.iter().filter_map(|(_, answer)| answer.as_ref());
        let mut proven =
            told.map(|answer| answer.proven.is_some_and(|proven| proven.content == new.content)).peekable();
        let known = proven.peek().is_some() || self.refused == Some(new.content);
        if new.content != old.content && known && !proven.any(|proven| proven) {
            self.breaks(Broken::UnprovenIntoSecret);
        }
    }

    /// Deletes what was seen; whether the turn goes on.
    fn prune(&mut self, slot: Slot, fate: Fate) -> bool {
        if fate == Fate::Refused {
            return false;
        }
        let object = self.object_mut(slot);
        if object.now().is_none() {
            object.catch_up();
            return fate == Fate::Done;
        }
        if object.behind() > 0 {
            // Another version than the one that was seen: the precondition fails.
            return false;
        }
        object.write(None);
        if fate == Fate::Done
            && let Some(mut seen) = object.seen().clone()
        {
            seen.deleting = true;
            object.know(Some(seen));
        }
        if slot != Slot::Service {
            self.breaks(Broken::Pruned(slot));
        }
        fate == Fate::Done
    }

    fn perform(&mut self, planning: &Planning, act: &Act, fate: Fate, refuses: Refuses) {
        if fate == Fate::Refused {
            return;
        }
        match *act {
            // Straight to the API: the operator learns of it as of any other change.
            Act::Issue => {
                let certificate = Object { content: CERTIFICATE, edited: false, deleting: false };
                self.object_mut(Slot::Identity).write(Some(certificate));
            }
            Act::Push(pod, config) => {
                let reached = self.pods[pod].as_ref().is_some_and(|pod| !pod.unreachable);
                if fate == Fate::Late {
                    self.late.push((pod, config));
                } else if reached {
                    self.pushed(planning, pod, config, refuses);
                }
            }
        }
    }

    /// The patch names what differs from what was known when the turn began, and nothing else.
    fn write_status(&mut self, turn: &Turn, planned: &Planned, fate: Fate) {
        if fate == Fate::Refused {
            return;
        }
        let mut resource = self.resource.now().clone();
        let wanted: Option<Config> = planned.wanted;
        let (content, sequence) = turn.input.wanted_before.unzip();
        if wanted.map(|wanted| wanted.content) != content {
            resource.content = wanted.map(|wanted| wanted.content);
        }
        if wanted.map(|wanted| wanted.sequence) != sequence {
            resource.sequence = wanted.map(|wanted| wanted.sequence);
        }
        if planned.refused != turn.input.refused_before {
            resource.refused = planned.refused;
        }
        self.resource.write(resource);
        if fate == Fate::Done {
            self.awaited = self.resource.behind();
            let wanted = planned.wanted.map(|wanted| wanted.content);
            self.refused =
                if planned.refused { wanted } else { self.refused.filter(|content| Some(*content) == wanted) };
        }
    }

    /// What pushes to a pod a turn under way still holds; they come to nothing, since the pod is gone.
    pub(crate) fn forget_pushes(&mut self, planning: &Planning, number: usize) {
        let Some(Turn { input, stage: Stage::Effects(left), .. }) = &self.turn else { return };
        let planned: Arc<Planned> = planning.plan(input);
        let to_pod = |act: &Act| matches!(act, Act::Push(pod, _) if *pod == number);
        let gone =
            planned.effects.iter().enumerate().filter(|(_, act)| to_pod(act)).fold(0, |bits, (at, _)| bits | 1 << at);
        let stage = Stage::Effects(left & !gone);
        self.stage(stage);
        self.advance(planning);
    }

    /// The operator is killed and starts again: it knows nothing, and lists everything.
    pub(crate) fn crash(&mut self) {
        self.turn = None;
        self.awaited = 0;
        self.resource.catch_up();
        self.objects.iter_mut().for_each(crate::state::History::catch_up);
    }
}

/// All effects are to be performed.
fn all(planned: &Planned) -> u8 {
    planned.effects.iter().enumerate().fold(0, |bits, (at, _)| bits | 1 << at)
}

fn status_differs(turn: &Turn, planned: &Planned) -> bool {
    let wanted = planned.wanted.map(|wanted| (wanted.content, wanted.sequence));
    wanted != turn.input.wanted_before || planned.refused != turn.input.refused_before
}
