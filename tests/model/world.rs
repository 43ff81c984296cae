//! The model: what may happen next in a state, what comes of it, and what has to hold in each.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Mutex,
};

use stateright::{Model, Property};

use crate::{
    operator::Fate,
    planning::{Act, Planner, Planning},
    pod::Refuses,
    state::{Pod, SLOTS, Slot, Stage, State},
};

/// How often a round is gone until nothing may differ any more.
const ROUNDS: usize = 12;

/// The property that tells that something is explored at all.
pub(crate) const REACHED: &str = "all pods run what was asked for last";

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// The user goes on to the next scene.
    Change,
    /// The operator begins a turn.
    Begin,
    /// The operator's next write, or the effect of this number.
    Write(usize, Fate),
    /// The operator is killed and starts again.
    Crash,
    /// A watch tells of the resource's next version.
    ToldOfResource,
    /// A watch tells of an object's next version.
    ToldOf(Slot),
    /// Somebody changes an object.
    Edit(Slot),
    /// Somebody deletes an object.
    Delete(Slot),
    /// The Deployment's pod of this number starts, or is replaced by one of the new template.
    Start(usize),
    /// A pod's Secret is mounted anew.
    Mount(usize),
    /// A pod's containers start again.
    Reboot(usize),
    /// A pod goes.
    Lose(usize),
    /// The operator can't reach a pod, or can again.
    Part(usize),
    Meet(usize),
    /// The push of this number that was given up arrives.
    Arrive(usize),
}

/// Faults that may happen, each at the cost of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Crash,
    Refused,
    ReplyLost,
    LatePush,
    Edit,
    Delete,
    Reboot,
    Lose,
    Part,
}

/// What is explored, within which bounds.
pub(crate) struct World {
    pub(crate) planning: Planning,
    pub(crate) scenes: u8,
    pub(crate) pods: usize,
    pub(crate) faults: (u8, &'static [Fault]),
    pub(crate) refuses: Refuses,
    /// States that are known to settle.
    settled: Mutex<HashSet<u64>>,
}

impl World {
    pub(crate) fn new(specs: &[&str], pods: usize, faults: (u8, &'static [Fault]), planner: Planner) -> Self {
        Self {
            planning: Planning::new(specs, planner),
            scenes: u8::try_from(specs.len()).unwrap(),
            pods,
            faults,
            refuses: |_, _| false,
            settled: Mutex::default(),
        }
    }

    pub(crate) fn refusing(mut self, refuses: Refuses) -> Self {
        self.refuses = refuses;
        self
    }

    /// The writes that the turn stands before.
    fn writes(&self, state: &State) -> Vec<(usize, bool)> {
        let Some(turn) = &state.turn else { return vec![] };
        let Stage::Effects(left) = turn.stage else { return vec![(0, false)] };
        let planned = self.planning.plan(&turn.input);
        let pending = planned.effects.iter().enumerate().filter(|(at, _)| left & (1 << at) != 0);
        pending.map(|(at, act)| (at, matches!(act, Act::Push(..)))).collect()
    }

    fn mounts(&self, state: &State, number: usize) -> bool {
        let mountable = state.mountable(&self.planning);
        state.pods[number].as_ref().is_some_and(|pod| mountable.is_some() && pod.mounted != mountable)
    }

    /// What happens without anybody's doing.
    fn usual(&self, state: &State, steps: &mut Vec<Step>) {
        if state.may_begin() {
            steps.push(Step::Begin);
        }
        steps.extend(self.writes(state).into_iter().map(|(at, _)| Step::Write(at, Fate::Done)));
        if state.resource.behind() > 0 {
            steps.push(Step::ToldOfResource);
        }
        steps.extend(SLOTS.into_iter().filter(|slot| state.object(*slot).behind() > 0).map(Step::ToldOf));
        for number in 0..state.pods.len() {
            if startable(state, number) {
                steps.push(Step::Start(number));
            }
            if self.mounts(state, number) {
                steps.push(Step::Mount(number));
            }
            if state.pods[number].as_ref().is_some_and(|pod| pod.unreachable) {
                steps.push(Step::Meet(number));
            }
        }
        steps.extend((0..state.late.len()).map(Step::Arrive));
    }

    fn faults(&self, state: &State, fault: Fault, steps: &mut Vec<Step>) {
        let there = |slot: &Slot| state.object(*slot).now().is_some();
        let pods = || (0..state.pods.len()).filter(|number| state.pods[*number].is_some());
        match fault {
            Fault::Crash => steps.push(Step::Crash),
            Fault::Refused | Fault::ReplyLost => {
                let fate = if fault == Fault::Refused { Fate::Refused } else { Fate::ReplyLost };
                steps.extend(self.writes(state).into_iter().map(|(at, _)| Step::Write(at, fate)));
            }
            Fault::LatePush => {
                let pushes = self.writes(state).into_iter().filter(|(_, push)| *push);
                steps.extend(pushes.map(|(at, _)| Step::Write(at, Fate::Late)));
            }
            Fault::Edit => {
                let intact = |slot: &Slot| state.object(*slot).now().as_ref().is_some_and(|object| !object.edited);
                steps.extend(SLOTS.into_iter().filter(intact).map(Step::Edit));
            }
            Fault::Delete => steps.extend(SLOTS.into_iter().filter(there).map(Step::Delete)),
            Fault::Reboot => steps.extend(pods().map(Step::Reboot)),
            Fault::Lose => steps.extend(pods().map(Step::Lose)),
            Fault::Part => steps.extend(
                pods()
                    .filter(|number| state.pods[*number].as_ref().is_some_and(|pod| !pod.unreachable))
                    .map(Step::Part),
            ),
        }
    }

    fn take(&self, state: &mut State, step: Step) {
        let (planning, refuses) = (&self.planning, self.refuses);
        match step {
            Step::Change => {
                let mut resource = state.resource.now().clone();
                resource.scene += 1;
                state.resource.write(resource);
            }
            Step::Begin => state.begin(planning),
            Step::Write(at, fate) => state.step(planning, at, fate, refuses),
            Step::Crash => state.crash(),
            Step::ToldOfResource => {
                state.resource.deliver();
                state.awaited = state.awaited.saturating_sub(1);
            }
            Step::ToldOf(slot) => state.object_mut(slot).deliver(),
            Step::Edit(slot) => {
                if let Some(mut object) = state.object(slot).now().clone() {
                    object.edited = true;
                    state.object_mut(slot).write(Some(object));
                }
            }
            Step::Delete(slot) => {
                state.object_mut(slot).write(None);
                if slot == Slot::Deployment {
                    (0..self.pods).for_each(|number| state.remove_pod(planning, number));
                }
            }
            Step::Start(number) => state.start_pod(planning, number, refuses),
            Step::Mount(number) => state.mount(planning, number, refuses),
            Step::Reboot(number) => state.reboot(number, refuses),
            Step::Lose(number) => state.remove_pod(planning, number),
            Step::Part(number) | Step::Meet(number) => {
                if let Some(pod) = state.pods[number].as_mut() {
                    pod.unreachable = step == Step::Part(number);
                }
            }
            Step::Arrive(at) => {
                let (pod, config) = state.late.remove(at);
                state.pushed(planning, pod, config, refuses);
            }
        }
        let costs = !matches!(
            step,
            Step::Change
                | Step::Begin
                | Step::Write(_, Fate::Done)
                | Step::ToldOfResource
                | Step::ToldOf(_)
                | Step::Start(_)
                | Step::Mount(_)
                | Step::Meet(_)
                | Step::Arrive(_)
        );
        state.faults -= u8::from(costs);
    }

    /// Whether the desired state is reached from here, and stays, when nothing goes wrong any more; else
    /// why not.
    pub(crate) fn settle(&self, from: &State) -> Result<(), String> {
        let mut state = from.clone();
        let mut passed = vec![];
        for _ in 0..ROUNDS {
            let before = state.clone();
            if self.settled.lock().unwrap().contains(&print(&state)) {
                self.settled.lock().unwrap().extend(passed);
                return Ok(());
            }
            passed.push(print(&state));
            self.round(&mut state);
            if state == before {
                self.desired(&state)?;
                self.settled.lock().unwrap().extend(passed);
                return Ok(());
            }
        }
        Err(format!("it does not come to rest: {state:?}"))
    }

    /// All that is under way ends; then the operator takes a turn.
    fn round(&self, state: &mut State) {
        let mut steps = vec![];
        loop {
            steps.clear();
            self.usual(state, &mut steps);
            steps.retain(|step| *step != Step::Begin);
            match steps.first() {
                Some(step) => self.take(state, *step),
                None => break,
            }
        }
        if state.may_begin() {
            state.begin(&self.planning);
            while let Some((at, _)) = self.writes(state).first().copied() {
                state.step(&self.planning, at, Fate::Done, self.refuses);
            }
        }
    }

    /// Whether a state at rest is the desired one.
    fn desired(&self, state: &State) -> Result<(), String> {
        let check = |so: bool, what: &str| if so { Ok(()) } else { Err(format!("{what}: {state:?}")) };
        check(state.turn.is_none() && state.awaited == 0, "a turn does not end")?;
        let resource = state.resource.now();
        let Some(wanted) = self.planning.content(resource.scene) else {
            let serving = |pod: &Option<Pod>| pod.as_ref().is_some_and(|pod| pod.running.is_some());
            let installed = state.object(Slot::Deployment).now().is_some();
            return check(!installed || state.pods.iter().all(serving), "what served does not serve on");
        };
        check(resource.content == Some(wanted), "the status tells of something else")?;
        let refuse = |number| (self.refuses)(number, wanted);
        let mut all_refuse = true;
        for (number, pod) in state.pods.iter().enumerate() {
            let running = pod.as_ref().and_then(|pod| pod.running);
            all_refuse &= refuse(number);
            check(refuse(number) || running.is_some_and(|it| it.content == wanted), "a pod runs something else")?;
            // A pod that has never run anything has nothing else to run.
            let fresh = pod.as_ref().is_none_or(|pod| pod.proven.is_none());
            check(!refuse(number) || fresh || running.is_some(), "a pod does not serve on")?;
        }
        check(resource.refused == (0..self.pods).any(refuse), "the status does not tell of a refusal")?;
        let mounted = state.mountable(&self.planning).map(|mounted| mounted.content);
        check(all_refuse || mounted == Some(wanted), "pods would boot with something else")?;
        check(!SLOTS.into_iter().any(|slot| edited(state, slot)), "an edited object stays as it is")?;
        let exposed = state.object(Slot::Service).now().is_some();
        check(exposed || all_refuse || self.without_service(state), "the Service is missing")
    }

    fn without_service(&self, state: &State) -> bool {
        let mut state = state.clone();
        state.begin(&self.planning);
        state.turn.is_none() && state.object(Slot::Deployment).now().is_some()
    }
}

fn startable(state: &State, number: usize) -> bool {
    let there = |slot| state.object(slot).now().as_ref();
    let Some(deployment) = there(Slot::Deployment) else { return false };
    let mountable = there(Slot::Configuration).is_some() && there(Slot::Identity).is_some();
    // One at a time, and only while the others run.
    let others = || {
        let mut others = state.pods.iter().enumerate().filter(|(other, _)| *other != number);
        others.all(|(_, pod)| pod.as_ref().is_some_and(|pod| pod.running.is_some()))
    };
    mountable && state.pods[number].as_ref().is_none_or(|pod| pod.template != deployment.content && others())
}

fn edited(state: &State, slot: Slot) -> bool {
    state.object(slot).now().as_ref().is_some_and(|object| object.edited)
}

fn print(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    // What may still go wrong does not matter when nothing does.
    State { faults: 0, ..state.clone() }.hash(&mut hasher);
    hasher.finish()
}

impl Model for World {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.pods, self.faults.0)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.usual(state, steps);
        if state.resource.now().scene + 1 < self.scenes {
            steps.push(Step::Change);
        }
        if state.faults > 0 {
            self.faults.1.iter().for_each(|fault| self.faults(state, *fault, steps));
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        self.take(&mut state, step);
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is broken", |_, state: &State| state.broken.is_none()),
            Property::always("the desired state is reached, and stays", |world: &World, state: &State| {
                world.settle(state).is_ok()
            }),
            Property::sometimes(REACHED, |world: &World, state: &State| {
                let scene = state.resource.now().scene;
                let wanted = world.planning.content(scene);
                let runs = |(number, pod): (usize, &Option<Pod>)| {
                    let running = pod.as_ref().and_then(|pod| pod.running).map(|running| running.content);
                    running == wanted || wanted.is_some_and(|wanted| (world.refuses)(number, wanted))
                };
                state.turn.is_none() && scene + 1 == world.scenes && state.pods.iter().enumerate().all(runs)
            }),
        ]
    }
}
