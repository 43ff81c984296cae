//! Which of several processes may write: the one that holds a Lease. It reads and writes that Lease and
//! nothing else.
//!
//! No clock is ever compared with another machine's: a candidate takes the lease of another only after
//! it has watched it unchanged for the whole of its duration by its own clock, and a leader stops by its
//! own clock, before that, when it cannot renew.

use std::{io, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease as LeaseObject, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    task::JoinError,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::context::Clock;

/// How long things take. `renew_deadline` and `retry` together are shorter than `duration`.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// How long others leave a lease that is not renewed alone.
    pub duration: Duration,
    /// For how long a leader tries to renew, once that is due, before it gives up.
    pub renew_deadline: Duration,
    /// When a renewal is due after the last, and how far apart tries begin, of the leader and of the others.
    pub retry: Duration,
}

impl Default for Timings {
    /// As Kubernetes' own controllers: 15 s, 10 s and 2 s.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A thread with a runtime of its own, for a lease: a renewal then waits for none of the work that keeps other threads
/// busy, and for none of their connections. What is begun on it ends with it.
#[derive(Debug)]
pub struct Apart(Option<Runtime>);

/// A candidate for a lease.
#[derive(Clone)]
pub struct Lease {
    api: Api<LeaseObject>,
    name: String,
    identity: String,
    timings: Timings,
    clock: Clock,
}

/// The lease, as long as it is held. Dropped, it is no longer renewed, and others wait it out.
#[derive(Debug)]
pub struct Leadership {
    // First, and so dropped first: nothing is to be released by a drop.
    renewing: AbortOnDropHandle<()>,
    lost: watch::Receiver<bool>,
    released: watch::Sender<bool>,
}

/// What a candidate has seen of the lease, and since when it has been so.
struct Observed {
    lease: LeaseObject,
    since: Instant,
}

impl Apart {
    /// A thread that does nothing yet.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("lease").enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Does something there. A client that is made in it sends from there as well.
    ///
    /// # Errors
    /// When it panics.
    pub async fn run<T: Send + 'static>(&self, act: impl Future<Output = T> + Send + 'static) -> Result<T, JoinError> {
        match &self.0 {
            Some(runtime) => AbortOnDropHandle::new(runtime.spawn(act)).await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Not waited for, since it may be dropped where nobody may wait.
            runtime.shutdown_background();
        }
    }
}

impl Lease {
    /// A candidate called `identity`, which is the pod's name: no two processes may share it.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, timings: Timings) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            timings,
            clock: Arc::new(Timestamp::now),
        }
    }

    /// Waits until the lease is held.
    pub async fn acquire(self) -> Leadership {
        let mut observed = None;
        loop {
            let begun = Instant::now();
            match timeout(self.timings.renew_deadline, self.try_acquire(&mut observed)).await {
                Ok(Ok(Some(lease))) => return self.lead(lease, begun),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => warn!(lease = self.name, %error, "The lease cannot be read or taken."),
                Err(_) => warn!(lease = self.name, "The lease cannot be read or taken in time."),
            }
            sleep(self.timings.retry).await;
        }
    }

    /// Tries once; the lease if it is held now.
    async fn try_acquire(&self, observed: &mut Option<Observed>) -> kube::Result<Option<LeaseObject>> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            return taken(self.api.create(&PostParams::default(), &self.first()).await);
        };
        let changed = |known: &Observed| known.lease.metadata.resource_version != lease.metadata.resource_version;
        if observed.as_ref().is_none_or(changed) {
            *observed = Some(Observed { lease: lease.clone(), since: Instant::now() });
        }
        let spec = lease.spec.clone().unwrap_or_default();
        let free = match spec.holder_identity.as_deref() {
            None | Some("") => true,
            // A process of this name that was before this one is gone.
            Some(holder) if holder == self.identity => true,
            Some(_) => {
                let theirs = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
                let duration = theirs.map_or(self.timings.duration, Duration::from_secs);
                observed.as_ref().is_some_and(|known| known.since.elapsed() >= duration)
            }
        };
        if !free {
            return Ok(None);
        }
        let next = self.next(lease, true);
        taken(self.api.replace(&self.name, &PostParams::default(), &next).await)
    }

    fn lead(self, lease: LeaseObject, renewed: Instant) -> Leadership {
        info!(lease = self.name, identity = self.identity, "This process leads.");
        let (losing, lost) = watch::channel(false);
        let (released, releasing) = watch::channel(false);
        let renewing = tokio::spawn(async move {
            self.renew(lease, renewed, releasing).await;
            losing.send_replace(true);
        });
        Leadership { renewing: AbortOnDropHandle::new(renewing), lost, released }
    }

    /// Renews until that fails for too long, another holds the lease, or it is to be released. The time counts from
    /// when the last renewal that succeeded was begun, since others may have seen it from that moment on.
    async fn renew(self, mut lease: LeaseObject, mut renewed: Instant, mut releasing: watch::Receiver<bool>) {
        let Timings { renew_deadline, retry, duration: _ } = self.timings;
        let mut due = renewed + retry;
        loop {
            let release = timeout_at(due, releasing.wait_for(|release| *release)).await.is_ok();
            if release {
                return self.give_up(lease).await;
            }
            let (begun, deadline) = (Instant::now(), renewed + retry + renew_deadline);
            // After a try that took long the next begins at once: that leaves time for two whole ones.
            due = begun + retry;
            let request = self.try_renew(&mut lease);
            match timeout_at(deadline.min(begun + renew_deadline / 2), request).await {
                Ok(Ok(true)) => renewed = begun,
                Ok(Ok(false)) => return warn!(lease = self.name, "Another process holds the lease."),
                Ok(Err(error)) => warn!(lease = self.name, %error, "The lease could not be renewed."),
                Err(_) => warn!(lease = self.name, "The lease could not be renewed in time."),
            }
            if Instant::now() >= renewed + retry + renew_deadline {
                return warn!(lease = self.name, "The lease could not be renewed for too long.");
            }
        }
    }

    /// Renews once; whether the lease is still held. A conflict may be the echo of a try whose answer
    /// was lost, so the lease is read before it is given up.
    async fn try_renew(&self, lease: &mut LeaseObject) -> kube::Result<bool> {
        let next = self.next(lease.clone(), false);
        match self.api.replace(&self.name, &PostParams::default(), &next).await {
            Ok(renewed) => *lease = renewed,
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                let current = self.api.get(&self.name).await?;
                if holder(&current) != Some(&self.identity) {
                    return Ok(false);
                }
                let next = self.next(current, false);
                *lease = self.api.replace(&self.name, &PostParams::default(), &next).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Leaves the lease to whoever comes first.
    async fn give_up(self, lease: LeaseObject) {
        let mut next = self.next(lease, false);
        if let Some(spec) = &mut next.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        let parameters = PostParams::default();
        match timeout(self.timings.retry, self.api.replace(&self.name, &parameters, &next)).await {
            Ok(Ok(_)) => info!(lease = self.name, "The lease is released."),
            Ok(Err(error)) => warn!(lease = self.name, %error, "The lease was not released; others wait it out."),
            Err(_) => warn!(lease = self.name, "The lease was not released in time; others wait it out."),
        }
    }

    /// The lease as it is made first.
    fn first(&self) -> LeaseObject {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let mut first = self.next(LeaseObject { metadata, spec: None }, true);
        if let Some(spec) = &mut first.spec {
            spec.lease_transitions = Some(0);
        }
        first
    }

    /// `lease`, held by this process from now on.
    fn next(&self, lease: LeaseObject, taking: bool) -> LeaseObject {
        let now = MicroTime((self.clock)());
        let before = lease.spec.unwrap_or_default();
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(self.timings.duration.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: if taking { Some(now.clone()) } else { before.acquire_time.clone() },
            renew_time: Some(now),
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(taking)),
            ..before
        };
        LeaseObject { metadata: lease.metadata, spec: Some(spec) }
    }
}

impl Leadership {
    /// Resolves when this process must no longer write: at once, not after it has tidied up.
    pub async fn lost(&mut self) {
        // The sender is gone only when the renewing task is.
        let _ = self.lost.wait_for(|lost| *lost).await;
    }

    /// Gives the lease back, once nothing is written any more.
    pub async fn release(self) {
        self.released.send_replace(true);
        let _ = self.renewing.await;
    }
}

fn holder(lease: &LeaseObject) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref()
}

/// The lease, or none if another was faster.
fn taken(answer: kube::Result<LeaseObject>) -> kube::Result<Option<LeaseObject>> {
    match answer {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}
