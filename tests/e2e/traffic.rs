//! Clients that ask all the time and count what is answered and what is not. Touches the network; only
//! addresses of the cluster under test.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustls::ClientConfig;
use tokio::{
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    client::{Answer, Client},
    cluster::tell,
    wait::{self, LIVE, seen},
};

/// How many clients ask at the same time, for each [`Traffic`].
const CLIENTS: u32 = 2;
/// How often each of them asks.
const PACE: Duration = Duration::from_millis(25);
/// How often those ask whose connections are mostly idle.
const IDLE_PACE: Duration = Duration::from_millis(1500);
/// How long a connection may take to be made, before another is tried.
const TRY: Duration = Duration::from_secs(1);
/// How many requests count as traffic that flows.
const FLOW: u64 = 100;

/// Who is asked, and how.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) speech: Speech,
}

/// How it is asked.
#[derive(Clone)]
pub(crate) enum Speech {
    /// A GET, answered with the name of a member.
    Http,
    /// As `Http` over TLS, with the name that is asked for and what is trusted.
    Https(String, Arc<ClientConfig>),
    /// Bytes that have to come back.
    Tcp,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    /// Each request has its own.
    Closed,
    /// They are kept for as long as the server does.
    Kept,
    /// As `Kept`, and idle for a while between two requests.
    Idle,
}

/// A request that was not answered.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// When the request began, however long it was waited for.
    pub(crate) at: Instant,
    pub(crate) who: String,
    pub(crate) reason: String,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// How many requests there were.
    pub(crate) requests: u64,
    /// Those that were not answered well.
    pub(crate) failures: Vec<Failure>,
    /// How many answers came from each member.
    pub(crate) members: BTreeMap<String, u64>,
    /// How many answers came with each certificate, by its fingerprint.
    pub(crate) certificates: BTreeMap<String, u64>,
    /// How long the slowest answer took.
    pub(crate) slowest: Duration,
}

impl Tally {
    /// The failures of requests that began after a moment.
    pub(crate) fn since(&self, moment: Instant) -> Vec<&Failure> {
        self.failures.iter().filter(|failure| failure.at > moment).collect()
    }

    /// From the first failure to the last.
    pub(crate) fn window(&self) -> Duration {
        let times = || self.failures.iter().map(|failure| failure.at);
        times().max().zip(times().min()).map(|(last, first)| last - first).unwrap_or_default()
    }

    fn add(&mut self, who: &str, at: Instant, answer: Result<Answer, String>) {
        self.requests += 1;
        match answer {
            Ok(answer) => {
                self.slowest = self.slowest.max(at.elapsed());
                *self.members.entry(answer.body).or_default() += 1;
                if let Some(certificate) = answer.certificate {
                    *self.certificates.entry(certificate).or_default() += 1;
                }
            }
            Err(reason) => self.failures.push(Failure { at, who: who.to_owned(), reason }),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} requests, {} failed", self.requests, self.failures.len())?;
        write!(formatter, ", the slowest answer took {} ms", self.slowest.as_millis())?;
        if let Some(first) = self.failures.iter().map(|failure| failure.at).min() {
            write!(formatter, "; failures within {:.1} s", self.window().as_secs_f64())?;
            let mut reasons: BTreeMap<(&str, &str), u64> = BTreeMap::new();
            for failure in &self.failures {
                *reasons.entry((&failure.who, &failure.reason)).or_default() += 1;
            }
            for ((who, reason), times) in reasons {
                write!(formatter, "\n      {times} × {who}: {reason}")?;
            }
            let moments: Vec<_> =
                self.failures.iter().take(20).map(|failure| (failure.at - first).as_millis()).collect();
            write!(formatter, "\n      at {moments:?} ms after the first of them")?;
        }
        Ok(())
    }
}

/// Clients that ask until they are stopped.
pub(crate) struct Traffic {
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
    tally: Arc<Mutex<Tally>>,
}

impl Traffic {
    /// Clients for each of these, as soon as they can be reached; `who` names them in what is told of failures.
    pub(crate) async fn start<'a>(targets: impl IntoIterator<Item = (&'a str, Target, Connections)>) -> Self {
        let targets: Vec<_> = targets.into_iter().collect();
        for (_, target, _) in &targets {
            reachable(target).await;
        }
        let (stop, stopped) = watch::channel(false);
        let tally = Arc::<Mutex<Tally>>::default();
        let mut clients = JoinSet::new();
        for (who, target, connections) in targets {
            let who = format!("{who} at {} ({connections:?})", target.address);
            for _ in 0..CLIENTS {
                let client = Client::new(target.clone(), connections);
                clients.spawn(ask(client, who.clone(), tally.clone(), stopped.clone()));
            }
        }
        Self { stop, clients, tally }
    }

    /// What was counted until now.
    pub(crate) fn so_far(&self) -> Tally {
        self.tally.lock().unwrap().clone()
    }

    /// Waits until some more requests were answered, so that a change has traffic before and after it.
    pub(crate) async fn flows(&self) {
        let counted = self.so_far().requests;
        wait::until("requests to be answered", LIVE, async || {
            let more = self.so_far().requests - counted;
            seen(more >= FLOW, || format!("{more} more"))
        })
        .await;
    }

    /// Ends the clients; what they counted.
    pub(crate) async fn stop(mut self) -> Tally {
        self.stop.send_replace(true);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        self.so_far()
    }

    /// Lets some more requests be answered, ends the clients and makes sure that every request was answered.
    pub(crate) async fn stop_unharmed(self, what: &str) -> Tally {
        self.flows().await;
        let tally = self.stop().await;
        tell(&format!("{what}: {tally}"));
        assert!(tally.failures.is_empty(), "{what}: {tally}");
        tally
    }
}

async fn ask(mut client: Client, who: String, tally: Arc<Mutex<Tally>>, mut stopped: watch::Receiver<bool>) {
    let mut ticks = interval(client.pace());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            _ = ticks.tick() => {}
        }
        let begun = Instant::now();
        let answer = client.ask().await;
        tally.lock().unwrap().add(&who, begun, answer);
    }
}

impl Connections {
    /// How long a client waits between two requests.
    pub(crate) fn pace(self) -> Duration {
        if self == Self::Idle { IDLE_PACE } else { PACE }
    }
}

/// Waits until a connection is accepted: a Service that was just made takes a moment to reach every node.
pub(crate) async fn reachable(target: &Target) {
    reached(target.address, LIVE).await;
}

/// Waits until a connection is taken. Of an address that no node knows yet, nothing may be said; and what was sent there is
/// sent again the same way, also when nodes know it. So each try has a second.
pub(crate) async fn reached(address: SocketAddr, limit: Duration) {
    wait::until(&format!("{address} to be reached"), limit, async || {
        let connected = timeout(TRY, TcpStream::connect(address)).await;
        connected.map_err(|_| "silence".to_owned())?.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

/// Asks some times, each over a connection of its own; how many answers came from each member.
pub(crate) async fn sample(target: &Target, times: u32) -> Tally {
    let mut tally = Tally::default();
    let mut client = Client::new(target.clone(), Connections::Closed);
    for _ in 0..times {
        let begun = Instant::now();
        let answer = client.ask().await;
        tally.add("sample", begun, answer);
    }
    tally
}
