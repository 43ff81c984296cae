//! What agents say, without asking in every turn: the latest answer of each pod's agent, kept up to date,
//! and a turn for its load balancer when it is another. Reads from agents.
//!
//! An agent that is waited on tells a change at once, and costs a connection: 50 KiB and more on this side. So no
//! more than [`WAITED_ON`] are, first come, first served; each of the others is asked every five minutes or so on
//! a connection of the moment. What a fleet of any size needs soon comes by other ways: a push is answered with
//! a report, and that pods come, go or change their readiness is watched.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures::channel::mpsc;
use rand::Rng;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    agent::protocol::{Report, agent_name},
    clients::agent::{AgentClient, AgentError, Told},
    reconcile::{Key, Packed, Queue, Trigger, at},
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

/// A report while nobody looks at it.
#[derive(Clone)]
struct Kept {
    report: Packed,
    tag: Box<str>,
    /// Whether it tells of a configuration that runs.
    runs: bool,
}

impl Kept {
    fn new(told: &Told) -> Self {
        let runs = told.report.proven.is_some();
        Self { report: Packed::new(&told.report), tag: told.tag.as_str().into(), runs }
    }

    fn report(&self) -> Result<Report, String> {
        self.report.read().map_err(|error| error.to_string())
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
pub(in crate::loadbalancer) struct Reports {
    inner: Arc<Inner>,
    _pacing: AbortOnDropHandle<()>,
}

/// A way to the answers that keeps nothing alive.
#[derive(Clone)]
pub(super) struct Handle(Weak<Inner>);

struct Inner {
    agents: AgentClient,
    known: Mutex<Known>,
    places: Arc<Semaphore>,
    /// That somebody may be due sooner than was known.
    sooner: Notify,
    changed: mpsc::UnboundedSender<Key>,
}

#[derive(Default)]
struct Known {
    /// By pod.
    entries: BTreeMap<Arc<Key>, Box<Entry>>,
    /// When each is to be asked.
    queue: Queue,
}

struct Entry {
    /// Its load balancer, in the pod's namespace.
    load_balancer: Box<str>,
    address: IpAddr,
    answer: Answer,
    /// How often in a row it did not answer, or ran nothing yet.
    failures: u32,
    /// Whether it is one of those that are waited on.
    place: Option<OwnedSemaphorePermit>,
    /// The question that is under way; it ends with the entry.
    asking: Option<AbortOnDropHandle<()>>,
}

impl Reports {
    /// Nothing is known yet; what gives load balancers a turn when an answer changes. Must be called within a tokio
    /// runtime.
    pub(super) fn new(agents: AgentClient) -> (Self, Trigger) {
        let (changed, resources) = mpsc::unbounded();
        let places = Arc::new(Semaphore::new(WAITED_ON));
        let inner = Arc::new(Inner { agents, known: Mutex::default(), places, sooner: Notify::new(), changed });
        let pacing = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&inner).pace()));
        (Self { inner, _pacing: pacing }, Trigger::from_stream(resources))
    }

    pub(super) fn handle(&self) -> Handle {
        Handle(Arc::downgrade(&self.inner))
    }

    /// What an agent says. One that is not known is asked, and followed from then on if its pod is `there`
    /// still when it has answered.
    pub(super) async fn of(&self, agent: Agent, there: impl Fn() -> bool + Send) -> Result<Report, String> {
        // Read outside of the lock, since a large one takes milliseconds.
        let known = self.inner.lock().answer(&agent);
        if let Some(answer) = known {
            return answer.and_then(|kept| kept.report());
        }
        let keeps = self.inner.places.available_permits() > 0;
        let answer = Box::pin(ask(&self.inner.agents, &agent, keeps)).await;
        let mut known = self.inner.lock();
        // Who goes is taken out of what is known of the cluster first, and forgotten here after that.
        if there() {
            let key = Arc::new(agent.key());
            let (load_balancer, address, answer) = (agent.load_balancer.name().into(), agent.address, kept(&answer));
            let entry = Entry { load_balancer, address, answer, failures: 0, place: None, asking: None };
            known.entries.insert(Arc::clone(&key), Box::new(entry));
            self.inner.settle(&mut known, &key);
        }
        answer.map(|told| told.report).map_err(|error| error.to_string())
    }

    /// Takes in what an agent has answered to a push, for the turn that has pushed.
    pub(in crate::loadbalancer) fn learn(&self, agent: &Agent, told: &Told) {
        self.inner.lock().learn(agent, Ok(Kept::new(told)), None);
    }

    /// Takes in that an agent could not be reached; it is asked again soon.
    pub(in crate::loadbalancer) fn lose(&self, agent: &Agent, why: &AgentError) {
        let mut known = self.inner.lock();
        if known.learn(agent, Err(why.to_string()), None).is_some() {
            self.inner.hurry(&mut known, &Arc::new(agent.key()));
        }
    }

    /// Asks an agent that did not say what it knows now.
    pub(in crate::loadbalancer) async fn look(&self, agent: &Agent) {
        let answer = ask(&self.inner.agents, agent, true).await;
        self.inner.lock().learn(agent, kept(&answer), None);
    }
}

impl Handle {
    /// Forgets a pod that is gone.
    pub(super) fn forget(&self, pod: &Key) {
        if let Some(inner) = self.0.upgrade() {
            let mut known = inner.lock();
            known.entries.remove(pod);
            known.queue.forget(pod);
        }
    }

    /// Has a pod's agent be asked at once: something has happened to it.
    pub(super) fn hurry(&self, pod: &Key) {
        if let Some(inner) = self.0.upgrade() {
            inner.hurry(&mut inner.lock(), &Arc::new(pod.clone()));
        }
    }
}

impl Agent {
    /// The pod.
    fn key(&self) -> Key {
        Key::new(self.load_balancer.namespace(), &self.pod)
    }

    /// The name in its certificate.
    pub(in crate::loadbalancer) fn name(&self) -> String {
        agent_name(self.load_balancer.namespace(), self.load_balancer.name())
    }
}

impl Entry {
    /// Whether this is still the agent that is meant.
    fn is_of(&self, agent: &Agent) -> bool {
        *self.load_balancer == *agent.load_balancer.name() && self.address == agent.address
    }

    /// The agent of this pod.
    fn agent(&self, pod: &Key) -> Agent {
        let load_balancer = Key::new(pod.namespace(), &self.load_balancer);
        Agent { load_balancer, pod: pod.name().to_owned(), address: self.address }
    }

    /// Whether the agent has told of a configuration that runs.
    fn runs(&self) -> bool {
        self.answer.as_ref().is_ok_and(|told| told.runs)
    }

    /// The tag of what the agent has said last; empty while it says nothing, or that nothing runs.
    fn tag(&self) -> &str {
        let told = self.answer.as_ref().ok().filter(|told| told.runs);
        told.map_or("", |told| &told.tag)
    }
}

impl Known {
    /// The latest answer of an agent, if it is known.
    fn answer(&self, agent: &Agent) -> Option<Answer> {
        let entry = self.entries.get(&agent.key()).filter(|entry| entry.is_of(agent))?;
        Some(entry.answer.clone())
    }

    /// Takes in an answer; whether it is another than before, if the agent is known. What was asked while `since` was
    /// the tag counts only if it still is: a push may have been answered in the meantime, by something newer.
    fn learn(&mut self, agent: &Agent, answer: Answer, since: Option<&str>) -> Option<bool> {
        let entry = self.entries.get_mut(&agent.key()).filter(|entry| entry.is_of(agent))?;
        if since.is_some_and(|since| since != entry.tag()) {
            return Some(false);
        }
        let said = |answer: &Answer| answer.as_ref().map(|told| told.tag.clone()).map_err(Clone::clone);
        let changed = said(&entry.answer) != said(&answer);
        entry.answer = answer;
        Some(changed)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has each agent be asked when it is due.
    async fn pace(self: Arc<Self>) {
        loop {
            let next = self.begin(&mut self.lock());
            tokio::select! {
                () = at(next) => {}
                () = self.sooner.notified() => {}
            }
        }
    }

    /// Asks those that are due, each in a task of its own; when the next is.
    fn begin(self: &Arc<Self>, known: &mut Known) -> Option<Instant> {
        let now = Instant::now();
        while let Some(key) = known.queue.take(now) {
            match known.entries.get_mut(&key) {
                Some(entry) => {
                    let (agent, tag, waits) = (entry.agent(&key), entry.tag().to_owned(), entry.place.is_some());
                    // Weak, so that those that ask keep nothing alive that could end them.
                    let asking = follow(Arc::downgrade(self), self.agents.clone(), agent, tag, waits);
                    entry.asking = Some(AbortOnDropHandle::new(tokio::spawn(asking)));
                }
                None => known.queue.forget(&key),
            }
        }
        known.queue.next()
    }

    /// An agent has answered, or has not: whether it is waited on from now on, and when it is asked next.
    fn settle(&self, known: &mut Known, key: &Arc<Key>) {
        let Some(entry) = known.entries.get_mut(key) else { return };
        entry.failures = if entry.runs() { 0 } else { entry.failures.saturating_add(1) };
        if entry.failures > 0 {
            entry.place = None;
        } else if entry.place.is_none() {
            entry.place = Arc::clone(&self.places).try_acquire_owned().ok();
        }
        let pause = if entry.place.is_some() { BREATH } else { pause(entry.failures) };
        entry.asking = None;
        known.queue.ended(key, Instant::now(), Some(pause));
        self.sooner.notify_one();
    }

    /// Has an agent be asked anew, whatever is under way.
    fn hurry(&self, known: &mut Known, key: &Arc<Key>) {
        let Some(entry) = known.entries.get_mut(key) else { return };
        (entry.failures, entry.place, entry.asking) = (1, None, None);
        known.queue.ended(key, Instant::now(), Some(pause(1)));
        self.sooner.notify_one();
    }
}

/// Asks an agent once; one that is waited on answers when it knows something else than what has this tag.
async fn follow(inner: Weak<Inner>, agents: AgentClient, agent: Agent, tag: String, waits: bool) {
    let answer = if waits {
        agents.next_report(agent.address, &agent.name(), &tag, WAIT).await
    } else {
        ask(&agents, &agent, false).await
    };
    let answer = kept(&answer);
    let Some(inner) = inner.upgrade() else { return };
    let mut known = inner.lock();
    let key = Arc::new(agent.key());
    let asking = known.entries.get(&key).and_then(|entry| entry.asking.as_ref());
    if asking.is_none_or(|asking| asking.abort_handle().id() != tokio::task::id()) {
        // Another question was begun in the place of this one, which was ended a moment too late.
        return;
    }
    if known.learn(&agent, answer, Some(&tag)) == Some(true) {
        // Nobody listens only while the operator stops.
        let _ = inner.changed.unbounded_send(agent.load_balancer.clone());
    }
    inner.settle(&mut known, &key);
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
fn pause(failures: u32) -> Duration {
    let pause = match failures {
        0 => PACE,
        failures => SOONEST.saturating_mul(2_u32.saturating_pow(failures - 1)).min(LATEST),
    };
    pause.mul_f64(rand::rng().random_range(0.8..1.2))
}
