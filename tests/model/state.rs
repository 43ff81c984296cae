//! What there is at one moment: what the user wants, what the API server holds and what the operator has
//! seen of it, the turn under way, the pods. Plain data, as small as it can be: equal states are one.

use crate::planning::Input;

/// What stands for any configuration that somebody wrote into the Secret by hand.
pub(crate) const EDITED: u8 = 99;

/// A configuration: which one, by the scene that wants it, and its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Config {
    pub(crate) content: u8,
    pub(crate) sequence: u64,
}

/// The objects of the load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    Configuration,
    Identity,
    Account,
    Policy,
    Budget,
    Service,
    Deployment,
}

/// All of them.
pub(crate) const SLOTS: [Slot; 7] =
    [Slot::Configuration, Slot::Identity, Slot::Account, Slot::Policy, Slot::Budget, Slot::Service, Slot::Deployment];

/// One version of something, from the one that the operator has seen last to the one that is stored now:
/// what lies between is on its way to the operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct History<T>(Vec<T>);

impl<T: Clone + PartialEq> History<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(vec![value])
    }

    /// As the operator knows it.
    pub(crate) fn seen(&self) -> &T {
        &self.0[0]
    }

    /// As the API server holds it.
    pub(crate) fn now(&self) -> &T {
        &self.0[self.0.len() - 1]
    }

    /// How many versions are on their way.
    pub(crate) fn behind(&self) -> usize {
        self.0.len() - 1
    }

    /// A write: a new version, unless nothing differs.
    pub(crate) fn write(&mut self, value: T) {
        if *self.now() != value {
            self.0.push(value);
        }
    }

    /// The operator learns of the next version.
    pub(crate) fn deliver(&mut self) {
        if self.0.len() > 1 {
            self.0.remove(0);
        }
    }

    /// The operator knows what is stored: by the answer to a write, or by a list.
    pub(crate) fn catch_up(&mut self) {
        self.0.drain(..self.0.len() - 1);
    }

    /// Changes what the operator knows, and nothing else.
    pub(crate) fn know(&mut self, value: T) {
        self.0[0] = value;
    }
}

/// The custom resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Resource {
    /// What the user asks for.
    pub(crate) scene: u8,
    /// What the status says is wanted, by hash and by sequence: they are patched one by one.
    pub(crate) content: Option<u8>,
    pub(crate) sequence: Option<u64>,
    /// Whether the status says that it is refused.
    pub(crate) refused: bool,
}

/// An object that is owned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Object {
    /// The planned object that was applied last, by its hash.
    pub(crate) content: u64,
    /// Whether somebody has changed it since.
    pub(crate) edited: bool,
    /// Whether the operator knows that it was asked to go.
    pub(crate) deleting: bool,
}

/// How far a turn is. It always stands right before a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Before applying the object of this number.
    Apply(usize),
    Prune,
    /// Before performing those of the effects whose bit is set, in any order.
    Effects(u8),
    Status,
}

/// A turn under way: what was observed when it began, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Turn {
    pub(crate) input: Input,
    /// What was owned when it began, one bit a slot: only that is pruned.
    pub(crate) owned: u8,
    pub(crate) leaving: bool,
    pub(crate) stage: Stage,
}

/// A pod: its agent and `HAProxy`, and the files that outlive both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pod {
    /// The Deployment that it was made from.
    pub(crate) template: u64,
    pub(crate) unreachable: bool,
    pub(crate) mounted: Option<Config>,
    pub(crate) running: Option<Config>,
    pub(crate) proven: Option<Config>,
    pub(crate) offered: Option<Config>,
    pub(crate) refused: Option<Config>,
    pub(crate) newest: Option<Config>,
}

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    /// A pod proved an older configuration after a newer one.
    WentBack,
    /// What nobody runs replaced something else in the Secret, though a pod was there to tell, or had refused it.
    UnprovenIntoSecret,
    /// Something was deleted that pods live on.
    Pruned(Slot),
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// How many faults may still happen.
    pub(crate) faults: u8,
    pub(crate) resource: History<Resource>,
    /// By number of [`Slot`].
    pub(crate) objects: Vec<History<Option<Object>>>,
    pub(crate) turn: Option<Turn>,
    /// How many versions of the resource the operator waits for, since it wrote the last of them itself.
    pub(crate) awaited: usize,
    /// Pods that are there.
    pub(crate) pods: Vec<Option<Pod>>,
    /// Pushes of an operator that gave them up, still on their way to these pods.
    pub(crate) late: Vec<(usize, Config)>,
    /// What the status was seen to call refused, since when nothing else was wanted and no pod was seen to run it.
    pub(crate) refused: Option<u8>,
    pub(crate) broken: Option<Broken>,
}

impl State {
    pub(crate) fn new(pods: usize, faults: u8) -> Self {
        Self {
            faults,
            resource: History::new(Resource { scene: 0, content: None, sequence: None, refused: false }),
            objects: vec![History::new(None); SLOTS.len()],
            turn: None,
            awaited: 0,
            pods: vec![None; pods],
            late: vec![],
            refused: None,
            broken: None,
        }
    }

    pub(crate) fn object(&self, slot: Slot) -> &History<Option<Object>> {
        &self.objects[slot as usize]
    }

    pub(crate) fn object_mut(&mut self, slot: Slot) -> &mut History<Option<Object>> {
        &mut self.objects[slot as usize]
    }

    /// Notes the first thing that must never be.
    pub(crate) fn breaks(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }
}
