//! What agents say, without asking in every turn: the latest answer of each pod's agent, kept up to date by a
//! task for each, and a turn for its load balancer when it is another. Reads from agents.
//!
//! An agent that is waited on tells a change at once, and costs a connection: 50 KiB and more on this side. So no
//! more than [`WAITED_ON`] are, first come, first served; each of the others is asked every five minutes or so on
//! a connection of the moment. What a fleet of any size needs soon comes by other ways: a push is answered with
//! a report, and that pods come, go or change their readiness is watched.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures::channel::mpsc;
use kube::runtime::reflector::ObjectRef;
use rand::Rng;
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    agent::protocol::{Report, agent_name},
    api::LoadBalancer,
    clients::agent::{AgentClient, AgentError, Told},
    reconcile::{Key, Trigger},
};

/// How many agents are waited on.
const WAITED_ON: usize = 256;
/// How long each wait is; the protocol allows a minute. A network that is lost without a word shows after it.
const WAIT: Duration = Duration::from_secs(50);
/// Between two waits, so that an agent that changes all the time costs no more than four turns a second.
const BREATH: Duration = Duration::from_millis(250);
/// How often the others are asked.
const PACE: Duration = Duration::from_mins(5);
/// How soon one is asked again that did not answer, or runs nothing yet: at first, and at last.
const SOONEST: Duration = Duration::from_millis(250);
const LATEST: Duration = Duration::from_secs(30);

/// What an agent says, or why it says nothing.
type Answer = Result<Kept, String>;

/// A report while nobody looks at it: as text it takes a third of the memory.
#[derive(Clone)]
struct Kept {
    text: Box<[u8]>,
    tag: Box<str>,
    /// Whether it tells of a configuration that runs.
    runs: bool,
}

impl Kept {
    fn new(told: &Told) -> Self {
        Self {
            text: serde_json::to_vec(&told.report).unwrap_or_default().into(),
            tag: told.tag.as_str().into(),
            runs: told.report.proven.is_some(),
        }
    }

    fn report(&self) -> Result<Report, String> {
        serde_json::from_slice(&self.text).map_err(|error| error.to_string())
    }
}

/// An answer to be kept.
fn kept(answer: &Result<Told, AgentError>) -> Answer {
    answer.as_ref().map(Kept::new).map_err(ToString::to_string)
}

/// Where the agent of a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::loadbalancer) struct Agent {
    /// Its load balancer.
    pub(in crate::loadbalancer) load_balancer: Key,
    /// The pod's name.
    pub(in crate::loadbalancer) pod: String,
    /// The pod's address.
    pub(in crate::loadbalancer) address: IpAddr,
}

/// The latest answers; dropped, nobody is asked any more.
pub(in crate::loadbalancer) struct Reports(Arc<Inner>);

/// A way to the answers that keeps nothing alive.
#[derive(Clone)]
pub(super) struct Handle(Weak<Inner>);

struct Inner {
    agents: AgentClient,
    known: Mutex<HashMap<Key, Entry>>,
    places: Arc<Semaphore>,
    changed: mpsc::UnboundedSender<ObjectRef<LoadBalancer>>,
}

struct Entry {
    agent: Arc<Agent>,
    answer: Answer,
    /// Ends with the entry.
    _following: AbortOnDropHandle<()>,
}

impl Reports {
    /// Nothing is known yet; what gives load balancers a turn when an answer changes.
    pub(super) fn new(agents: AgentClient) -> (Self, Trigger<LoadBalancer>) {
        let (changed, references) = mpsc::unbounded();
        let (known, places) = (Mutex::default(), Arc::new(Semaphore::new(WAITED_ON)));
        (Self(Arc::new(Inner { agents, known, places, changed })), Trigger::from_stream(references))
    }

    pub(super) fn handle(&self) -> Handle {
        Handle(Arc::downgrade(&self.0))
    }

    /// What an agent says. One that is not known is asked, and followed from then on if its pod is `there`
    /// still when it has answered.
    pub(super) async fn of(&self, agent: Agent, there: impl Fn() -> bool + Send) -> Result<Report, String> {
        if let Some(entry) = self.0.lock().get(&agent.key())
            && *entry.agent == agent
        {
            return entry.answer.as_ref().map_err(Clone::clone).and_then(Kept::report);
        }
        let keeps = self.0.places.available_permits() > 0;
        let answer = Box::pin(ask(&self.0.agents, &agent, keeps)).await;
        let mut known = self.0.lock();
        // Who goes is taken out of what is known of the cluster first, and forgotten here after that.
        if there() {
            known.insert(agent.key(), self.0.entry(Arc::new(agent), kept(&answer), 0));
        }
        answer.map(|told| told.report).map_err(|error| error.to_string())
    }

    /// Takes in what an agent has answered to a push, for the turn that has pushed.
    pub(in crate::loadbalancer) fn learn(&self, agent: &Agent, told: &Told) {
        self.0.learn(agent, Ok(Kept::new(told)), None);
    }

    /// Takes in that an agent could not be reached; it is asked again soon.
    pub(in crate::loadbalancer) fn lose(&self, agent: &Agent, why: &AgentError) {
        let mut known = self.0.lock();
        if let Some(entry) = known.get_mut(&agent.key()).filter(|entry| *entry.agent == *agent) {
            *entry = self.0.entry(Arc::clone(&entry.agent), Err(why.to_string()), 1);
        }
    }

    /// Asks an agent that did not say what it knows now.
    pub(in crate::loadbalancer) async fn look(&self, agent: &Agent) {
        let answer = ask(&self.0.agents, agent, true).await;
        self.0.learn(agent, kept(&answer), None);
    }
}

impl Handle {
    /// Forgets a pod that is gone.
    pub(super) fn forget(&self, pod: &Key) {
        if let Some(inner) = self.0.upgrade() {
            inner.lock().remove(pod);
        }
    }

    /// Has a pod's agent be asked at once: something has happened to it.
    pub(super) fn hurry(&self, pod: &Key) {
        let Some(inner) = self.0.upgrade() else { return };
        if let Some(entry) = inner.lock().get_mut(pod) {
            *entry = inner.entry(Arc::clone(&entry.agent), entry.answer.clone(), 1);
        }
    }
}

impl Agent {
    /// The pod.
    fn key(&self) -> Key {
        Key { namespace: self.load_balancer.namespace.clone(), name: self.pod.clone() }
    }

    /// The name in its certificate.
    pub(in crate::loadbalancer) fn name(&self) -> String {
        agent_name(&self.load_balancer.namespace, &self.load_balancer.name)
    }
}

impl Entry {
    /// The tag of what the agent has said last; empty while it says nothing, or that nothing runs.
    fn tag(&self) -> &str {
        let told = self.answer.as_ref().ok().filter(|told| told.runs);
        told.map_or("", |told| &told.tag)
    }
}

impl Inner {
    /// An answer, and a task that keeps it up to date; after `failures` it asks soon.
    fn entry(self: &Arc<Self>, agent: Arc<Agent>, answer: Answer, failures: u32) -> Entry {
        let task = follow(Arc::downgrade(self), Arc::clone(&agent), failures);
        Entry { agent, answer, _following: AbortOnDropHandle::new(tokio::spawn(task)) }
    }

    /// Takes in an answer; whether it is another than before. What was asked while `since` was the tag counts
    /// only if it still is: a push may have been answered in the meantime, by something newer.
    fn learn(&self, agent: &Agent, answer: Answer, since: Option<&str>) -> bool {
        let mut known = self.lock();
        let Some(entry) = known.get_mut(&agent.key()).filter(|entry| *entry.agent == *agent) else { return false };
        if since.is_some_and(|since| since != entry.tag()) {
            return false;
        }
        let said = |answer: &Answer| answer.as_ref().map(|told| told.tag.clone()).map_err(Clone::clone);
        let changed = said(&entry.answer) != said(&answer);
        entry.answer = answer;
        changed
    }

    /// [`Entry::tag`]; nothing at all of one that is gone.
    fn tag(&self, agent: &Agent) -> Option<String> {
        let known = self.lock();
        let entry = known.get(&agent.key()).filter(|entry| *entry.agent == *agent)?;
        Some(entry.tag().to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps an agent's answer up to date until it is gone. At rest it holds no more than a timer.
async fn follow(inner: Weak<Inner>, agent: Arc<Agent>, mut failures: u32) {
    loop {
        let Some((agents, places, tag)) = inner.upgrade().and_then(|inner| {
            let tag = inner.tag(&agent)?;
            Some((inner.agents.clone(), Arc::clone(&inner.places), tag))
        }) else {
            return;
        };
        let place = if failures == 0 { places.try_acquire_owned().ok() } else { None };
        let runs = !tag.is_empty();
        let answer = if runs && place.is_some() {
            Box::pin(agents.next_report(agent.address, &agent.name(), &tag, WAIT)).await
        } else {
            sleep(pause(runs, failures)).await;
            Box::pin(ask(&agents, &agent, place.is_some())).await
        };
        let answer = kept(&answer);
        failures = if answer.as_ref().is_ok_and(|told| told.runs) { 0 } else { failures.saturating_add(1) };
        let Some(inner) = inner.upgrade() else { return };
        if inner.learn(&agent, answer, Some(&tag)) {
            let Key { namespace, name } = &agent.load_balancer;
            // Nobody listens only while the operator stops.
            let _ = inner.changed.unbounded_send(ObjectRef::new(name).within(namespace));
        }
        drop(inner);
        if place.is_some() {
            sleep(BREATH).await;
        }
    }
}

async fn ask(agents: &AgentClient, agent: &Agent, keeps: bool) -> Result<Told, AgentError> {
    let name = agent.name();
    if keeps {
        agents.report(agent.address, &name).await
    } else {
        agents.report_and_hang_up(agent.address, &name).await
    }
}

/// How long to wait before asking: apart from each other, so that a fleet does not ask as one.
fn pause(runs: bool, failures: u32) -> Duration {
    let pause = match (runs, failures) {
        (true, 0) => PACE,
        (_, failures) => SOONEST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LATEST),
    };
    pause.mul_f64(rand::rng().random_range(0.8..1.2))
}
