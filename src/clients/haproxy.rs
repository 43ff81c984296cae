//! HAProxy's two sockets: the master's (processes, reload) and the worker's own (marker, statistics),
//! and what their answers mean. One command for each connection, since an open prompt keeps an *old*
//! worker alive, and answering.

mod patterns;
mod slots;
mod statistics;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use statistics::fields;

pub use patterns::{LARGEST_PAYLOAD, patterns};
pub use slots::{CheckTarget, ServedCertificate, Slot, Slots};
pub use statistics::{Column, Information, Kind, Line, Numbers};

/// The variable that tells which configuration a worker runs. It can be set while it runs.
pub const MARKER: &str = "proc.fairway_hash";
/// The environment variable that tells which configuration a worker was started with.
pub const LOADED: &str = "FAIRWAY_HASH";
/// An answer that is longer is an error: 4,000 servers are 1.1 MB.
const ANSWER_LIMIT: u64 = 64 << 20;
/// HAProxy answers in pieces of its buffers' size (`tune.bufsize`): each is read at once.
const HAPROXY_BUFFER: usize = 16_384;

/// HAProxy takes 16 kB on a line, and the name of a file is at most 270 bytes long.
const CERTIFICATES_A_LINE: usize = 50;

/// A socket of HAProxy.
#[derive(Clone, Debug)]
pub struct Socket {
    path: PathBuf,
    patience: Duration,
}

impl Socket {
    /// The socket at `path`; a command that takes longer than `patience` is an error.
    #[must_use]
    pub fn new(path: &Path, patience: Duration) -> Self {
        Self { path: path.to_owned(), patience }
    }

    /// Sends one command and reads the answer to its end.
    ///
    /// # Errors
    /// When nobody listens, when it takes too long, or when the answer is no text.
    pub async fn ask(&self, command: &str) -> io::Result<String> {
        timeout(self.patience, self.exchange(command)).await?
    }

    /// The marker of the worker that answers; none when it has none.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn marker(&self) -> io::Result<Option<String>> {
        Ok(parse_marker(&self.ask(&format!("get var {MARKER}")).await?))
    }

    /// Sets the marker, and reads it back; what the worker that took it was started with.
    ///
    /// # Errors
    /// As [`Self::ask`], and when the worker has another one afterwards.
    pub async fn set_marker(&self, hash: &str) -> io::Result<Option<String>> {
        let command =
            format!("experimental-mode on; set var {MARKER} expr str({hash}); get var {MARKER}; show env {LOADED}");
        let answer = self.ask(&command).await?;
        if parse_marker(&answer).as_deref() == Some(hash) {
            Ok(parse_loaded(&answer))
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    /// What the worker that answers runs, as [`Self::marker`], and what it was started with, as [`Self::loaded`].
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn hashes(&self) -> io::Result<(Option<String>, Option<String>)> {
        let answer = self.ask(&format!("get var {MARKER}; show env {LOADED}")).await?;
        Ok((parse_marker(&answer), parse_loaded(&answer)))
    }

    /// What the worker that answers was started with; none when it does not tell.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn loaded(&self) -> io::Result<Option<String>> {
        Ok(parse_loaded(&self.ask(&format!("show env {LOADED}")).await?))
    }

    /// All `server` lines, without a look at what runs over them: all are told to be busy.
    ///
    /// # Errors
    /// As [`Self::ask`], and when the answer is not understood.
    pub async fn slots(&self) -> io::Result<Slots> {
        let mut slots = understood(slots::parse_state(&self.ask("show servers state").await?, &BTreeSet::new()))?;
        slots.values_mut().flatten().for_each(|slot| slot.busy = true);
        Ok(slots)
    }

    /// The `server` lines of one backend, or of all, and whether anything runs over them.
    ///
    /// # Errors
    /// As [`Self::ask`], and when an answer is not understood.
    pub async fn slots_and_use(&self, backend: Option<&str>) -> io::Result<Slots> {
        // The order matters: what is in maintenance by the state takes nothing that the later answers miss.
        let (name, filter) = (backend.unwrap_or_default(), backend.unwrap_or("-1"));
        let command = format!("show servers state {name}; show servers conn {name}; show stat {filter} 4 -1");
        understood(parse_slots_and_use(&self.ask(&command).await?))
    }

    /// Which certificate is served from a file.
    ///
    /// # Errors
    /// As [`Self::ask`], and when there is none.
    pub async fn certificate(&self, file: &str) -> io::Result<ServedCertificate> {
        understood(slots::parse_certificate(&self.ask(&format!("show ssl cert {file}")).await?))
    }

    /// When the certificates in these files end, of those that are served.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn certificate_ends(&self, files: &[&str]) -> io::Result<BTreeMap<String, Timestamp>> {
        let mut ends = BTreeMap::new();
        for some in files.chunks(CERTIFICATES_A_LINE) {
            let commands: Vec<String> = some.iter().map(|file| format!("show ssl cert {file}")).collect();
            ends.extend(slots::parse_certificate_ends(&self.ask(&commands.join(";")).await?));
        }
        Ok(ends)
    }

    /// The processes, from the master's socket.
    ///
    /// # Errors
    /// As [`Self::ask`], and when the answer is not understood.
    pub async fn processes(&self) -> io::Result<Processes> {
        understood(Processes::parse(&self.ask("show proc").await?))
    }

    /// Whether this worker accepts no connection any more, since it is stopping or gone. For the master alone.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn has_stopped_listening(&self, worker: i32) -> io::Result<bool> {
        let answer = self.ask(&format!("@!{worker} show info")).await?;
        Ok(answer.lines().all(|line| line != "Stopping: 0"))
    }

    /// Reloads, on the master's socket.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn reload(&self) -> io::Result<ReloadAnswer> {
        Ok(ReloadAnswer::parse(&self.ask("reload").await?))
    }

    /// What one worker tells of itself and of one backend, or of all, at one moment; a reload can't come between.
    ///
    /// # Errors
    /// As [`Self::ask`], and when the answer is not understood.
    pub async fn snapshot(&self, backend: Option<&str>) -> io::Result<Snapshot> {
        let (name, filter) = (backend.unwrap_or_default(), backend.unwrap_or("-1"));
        // Types 1 (frontends), 2 (backends) and 4 (servers); any server.
        let statistics = format!("show stat {filter} 7 -1");
        let command =
            format!("get var {MARKER}; show env {LOADED}; show info; show servers state {name}; {statistics}");
        understood(Snapshot::parse(&self.ask(&command).await?))
    }

    async fn exchange(&self, command: &str) -> io::Result<String> {
        let mut stream = UnixStream::connect(&self.path).await?;
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        // The master goes on waiting for commands until it is told that there are no more.
        stream.shutdown().await?;
        let mut answer = Vec::with_capacity(HAPROXY_BUFFER);
        match stream.take(ANSWER_LIMIT).read_to_end(&mut answer).await {
            // A master that re-executes itself may reset the connection instead of closing it.
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => return Err(error),
            Ok(length) if length as u64 == ANSWER_LIMIT => return Err(io::ErrorKind::FileTooLarge.into()),
            _ => {}
        }
        String::from_utf8(answer).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

fn understood<T>(answer: Option<T>) -> io::Result<T> {
    answer.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The answers to `show servers state`, `show servers conn` and `show stat`, one after the other.
fn parse_slots_and_use(answer: &str) -> Option<Slots> {
    let (state, rest) = answer.split_at(answer.find("# bkname/svname ")?);
    let (connections, statistics) = rest.split_at(rest.find("# pxname,")?);
    slots::parse_state(state, &slots::parse_busy(connections, statistics)?)
}

/// What one worker tells of itself at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// As [`Socket::marker`].
    pub marker: Option<String>,
    /// As [`Socket::loaded`].
    pub loaded: Option<String>,
    /// As [`Socket::slots`].
    pub slots: Slots,
    /// What it tells of itself as a process.
    pub information: Information,
    /// What it counts: frontends, backends and their servers, by the names in its configuration.
    pub statistics: Vec<Line>,
}

impl Snapshot {
    fn parse(answer: &str) -> Option<Self> {
        let (head, rest) = answer.split_at(answer.find("1\n# be_id ")?);
        let (state, statistics) = rest.split_at(rest.find("# pxname,")?);
        Some(Self {
            marker: parse_marker(head),
            loaded: parse_loaded(head),
            slots: slots::parse_state(state, &BTreeSet::new())?,
            information: Information::parse(head),
            statistics: statistics::parse_statistics(statistics)?,
        })
    }
}

/// What `show proc` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processes {
    /// The master's process id, as seen in its own container.
    pub master: i32,
    /// Reloads that failed since the last that did not.
    pub failed: u64,
    /// The current workers.
    pub workers: Vec<i32>,
    /// The old workers.
    pub old: Vec<i32>,
    /// The reloads that the oldest of the old workers has outlived; 0 without any.
    pub oldest: usize,
}

impl Processes {
    fn parse(answer: &str) -> Option<Self> {
        let mut processes = Self { master: 0, failed: 0, workers: Vec::new(), old: Vec::new(), oldest: 0 };
        let mut current = true;
        for line in answer.lines() {
            current &= !line.starts_with("# old workers");
            let mut words = line.split_ascii_whitespace();
            let Some(pid) = words.next().and_then(|word| word.parse().ok()) else { continue };
            match words.next()? {
                "master" => {
                    processes.master = pid;
                    processes.failed = line.split_once("[failed: ")?.1.split_once(']')?.0.parse().ok()?;
                }
                "worker" if current => processes.workers.push(pid),
                "worker" => {
                    processes.old.push(pid);
                    processes.oldest = processes.oldest.max(words.next()?.parse().ok()?);
                }
                _ => {}
            }
        }
        (processes.master > 0).then_some(processes)
    }
}

/// What `reload` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadAnswer {
    /// Nothing, as 2.6 does for success and failure alike.
    Silent,
    /// The new worker runs.
    Success,
    /// It does not, with HAProxy's log.
    Failure(String),
}

impl ReloadAnswer {
    fn parse(answer: &str) -> Self {
        let (first, rest) = answer.split_once('\n').unwrap_or((answer, ""));
        match first.trim() {
            "Success=1" => Self::Success,
            "Success=0" => Self::Failure(rest.trim_start_matches("--").trim().to_owned()),
            _ => Self::Silent,
        }
    }
}

fn parse_loaded(answer: &str) -> Option<String> {
    answer.lines().find_map(|line| line.strip_prefix(LOADED)?.strip_prefix('=')).map(str::to_owned)
}

/// `proc.x: type=str value=<abc>`
fn parse_marker(answer: &str) -> Option<String> {
    let value = answer.lines().find_map(|line| line.strip_prefix(MARKER)?.strip_prefix(": type=str value=<"))?;
    value.strip_suffix('>').map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn processes_are_read() {
        let answer = "#<PID>          <type>          <reloads>       <uptime>        <version>\n\
            2863            master          1 [failed: 1]   0d00h00m01s     2.6.12\n\
            # workers\n2866            worker          1               0d00h00m01s     2.6.12\n\
            # old workers\n2860            worker          3               0d00h01m01s     2.6.12\n# programs\n";
        assert_eq!(
            Processes::parse(answer),
            Some(Processes { master: 2863, failed: 1, workers: vec![2866], old: vec![2860], oldest: 3 })
        );
        assert_eq!(Processes::parse("Unknown command\n"), None);
    }

    #[rstest]
    #[case("\n", ReloadAnswer::Silent)]
    #[case("", ReloadAnswer::Silent)]
    #[case("Success=1\n--\n", ReloadAnswer::Success)]
    #[case("Success=0\n--\n[ALERT] no\n", ReloadAnswer::Failure("[ALERT] no".to_owned()))]
    fn reload_answers(#[case] answer: &str, #[case] expected: ReloadAnswer) {
        assert_eq!(ReloadAnswer::parse(answer), expected);
    }

    #[rstest]
    #[case("proc.fairway_hash: type=str value=<abc>\n\n", Some("abc"))]
    #[case("Variable not found\n", None)]
    #[case("proc.fairway_hashes: type=str value=<abc>\n", None)]
    #[case("proc.fairway_hash: type=str value=<ab", None)]
    fn markers(#[case] answer: &str, #[case] expected: Option<&str>) {
        assert_eq!(parse_marker(answer).as_deref(), expected);
    }
}
