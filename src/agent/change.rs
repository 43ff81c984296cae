//! What takes HAProxy from what it runs to what is wanted: nothing, commands while it runs, or a reload
//! and why. Pure; [`super::apply`] carries it out and reads it back.
//!
//! The rules, each for a trap that was measured:
//! - A line that takes traffic is never led elsewhere: a new member fills a slot that is in maintenance and
//!   over which nothing runs, and is made ready then.
//! - New members are ready, and weights raised, before old ones are taken out: where both the old and the new
//!   have a member that takes traffic, there is one at each moment.
//! - Routes lead to members that are ready by then, and away from members before they are taken out.
//! - Who is taken out goes to maintenance: nothing new comes, what runs is finished, and idle connections
//!   are closed at once.
//! - A member that is made ready takes traffic before its first check, as at a start of HAProxy; the first
//!   check that fails takes it out.

mod slots;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
};

use super::{
    layout::{Backend, Freedom, Layout, NotUnderstood, Server},
    protocol::MAIN_FILE,
};
use crate::clients::haproxy::{LARGEST_PAYLOAD, Slots, patterns};

pub use slots::occupants;

/// Contents by file name.
pub type FileMap = BTreeMap<String, String>;

/// What no file holds.
const OTHER: &str = "\0";

/// A configuration that was understood, read once.
#[derive(Clone)]
pub struct Version {
    files: FileMap,
    layout: Layout,
}

/// Names alone: files may hold keys.
impl fmt::Debug for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.files.keys()).finish()
    }
}

impl Version {
    /// Reads a configuration's files.
    ///
    /// # Errors
    /// The line of the main file that is not understood.
    pub fn read(files: FileMap) -> Result<Self, NotUnderstood> {
        let layout = Layout::parse(files.get(MAIN_FILE).map_or("", String::as_str))?;
        Ok(Self { files, layout })
    }

    /// The files, such as certificates and maps.
    #[must_use]
    pub fn files(&self) -> &FileMap {
        &self.files
    }

    /// The same, but that a file is not served as it should be.
    #[must_use]
    pub fn without(mut self, file: &str) -> Self {
        self.files.insert(file.to_owned(), OTHER.to_owned());
        self
    }

    /// The main file's layout.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The servers of a backend.
    #[must_use]
    pub fn backend(&self, name: &str) -> Option<&Backend> {
        self.layout.backends.get(name)
    }
}

/// What is known of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What it was started with, spare slots and all.
    pub loaded: &'a Version,
    /// What it runs, as the operator rendered it or with spare slots.
    pub running: &'a Version,
    /// Its slots: of all backends, or at least of those that [`touched`] names.
    pub slots: &'a Slots,
    /// Whether `server` lines can be added to it.
    pub adds: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It runs what is wanted.
    Nothing,
    /// These, in this order.
    Commands(Vec<Command>),
    /// HAProxy must read the configuration anew.
    Reload(Why),
}

/// A change while HAProxy runs.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    /// Serve another certificate from a file.
    Certificate {
        /// The file's name.
        file: String,
        /// Its content.
        pem: String,
    },
    /// Use other patterns in place of those of a file.
    Patterns {
        /// The file's name.
        file: String,
        /// Its content.
        content: String,
    },
    /// Lead a slot that is in maintenance, and quiet, elsewhere.
    Fill {
        /// Which.
        slot: Place,
        /// Where it shall lead.
        address: SocketAddr,
    },
    /// Check something else in place of where it leads.
    Aim {
        /// Which.
        slot: Place,
        /// What shall be checked.
        target: SocketAddr,
    },
    /// Add a line, in maintenance.
    Add {
        /// Its place.
        slot: Place,
        /// Where it leads.
        address: SocketAddr,
        /// Its weight, 0 to 256.
        weight: u16,
        /// All other words, what is inherited among them.
        options: String,
    },
    /// Set a weight, 0 to 256.
    Weigh {
        /// Which.
        slot: Place,
        /// The weight.
        weight: u16,
    },
    /// Let it take traffic.
    Ready {
        /// Which.
        slot: Place,
    },
    /// Let it take nothing new.
    Maintain {
        /// Which.
        slot: Place,
    },
}

/// Names and sizes alone: files may hold keys.
impl fmt::Debug for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { file, pem } => write!(formatter, "certificate {file} of {} bytes", pem.len()),
            Self::Patterns { file, content } => write!(formatter, "{} patterns of {file}", content.lines().count()),
            command => formatter.write_str(&command.lines().join("; ")),
        }
    }
}

/// A `server` line of a backend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The backend's name.
    pub backend: String,
    /// The line's name.
    pub name: String,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.backend, self.name)
    }
}

impl Command {
    /// What is said to HAProxy; nothing for what is more than lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Certificate { .. } | Self::Patterns { .. } => Vec::new(),
            Self::Fill { slot, address } => {
                vec![format!("set server {slot} addr {} port {}", address.ip(), address.port())]
            }
            Self::Aim { slot, target } => {
                vec![format!("set server {slot} check-addr {} port {}", target.ip(), target.port())]
            }
            Self::Add { slot, address, weight, options } => {
                let mut lines = vec![format!("add server {slot} {address} weight {weight} {options}")];
                // Checks of an added line do not begin by themselves.
                lines.extend(options.split(' ').any(|word| word == "check").then(|| format!("enable health {slot}")));
                lines
            }
            Self::Weigh { slot, weight } => vec![format!("set server {slot} weight {weight}")],
            Self::Ready { slot } => vec![format!("set server {slot} state ready")],
            Self::Maintain { slot } => vec![format!("set server {slot} state maint")],
        }
    }

    /// Which line is led where, if that is what it does.
    pub(super) fn filled(&self) -> Option<(&Place, SocketAddr)> {
        if let Self::Fill { slot, address } = self { Some((slot, *address)) } else { None }
    }
}

/// Why HAProxy must read a configuration anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The running configuration is not known any more, or was never one of the agent's.
    #[error("what the worker was started with is not known")]
    Unknown,
    /// A main file has a line that could mean anything.
    #[error("haproxy.cfg: {0}")]
    NotUnderstood(#[from] NotUnderstood),
    /// Other lines than those of servers differ.
    #[error("more than servers differs")]
    Skeleton,
    /// A file that is neither a certificate nor holds patterns differs, or a file is new or gone.
    #[error("the file {0} differs")]
    File(String),
    /// A certificate does not fit into one command.
    #[error("the certificate {0} is too large for a command")]
    Payload(String),
    /// A backend's servers can't change while HAProxy runs.
    #[error("the servers of {0} are chosen by their lines")]
    Fixed(String),
    /// No quiet slot fits a new member.
    #[error("no free slot in {0}")]
    NoSlot(String),
    /// A command was not taken, or did not have its effect.
    #[error("a change did not take effect: {0}")]
    Failed(String),
}

impl Why {
    /// For metrics: few and constant.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::NotUnderstood(_) => "NotUnderstood",
            Self::Skeleton => "Skeleton",
            Self::File(_) => "File",
            Self::Payload(_) => "Payload",
            Self::Fixed(_) => "Fixed",
            Self::NoSlot(_) => "NoSlot",
            Self::Failed(_) => "Failed",
        }
    }
}

/// The backends whose servers differ, where nothing else does that can't change while HAProxy runs.
///
/// # Errors
/// Why it must be a reload.
pub fn touched(loaded: &Version, running: &Version, wanted: &Version) -> Result<BTreeSet<String>, Why> {
    contents(loaded, running, wanted)?;
    let (loaded, running, wanted) = (&loaded.layout, &running.layout, &wanted.layout);
    if loaded.skeleton != wanted.skeleton {
        return Err(Why::Skeleton);
    }
    let members = |layout: &Layout, name: &str| -> BTreeSet<Server> {
        let servers = layout.backends.get(name).map(|backend| backend.servers.iter()).unwrap_or_default();
        servers.filter(|server| !server.is_spare()).cloned().collect()
    };
    let differs = |name: &&String| {
        let all = [running, wanted].map(|layout| layout.backends.get(*name).map(|backend| &backend.servers));
        // Mostly they are the same to the last word.
        all[0] != all[1] && members(running, name) != members(wanted, name)
    };
    // With equal skeletons the backends are the same.
    Ok(wanted.backends.keys().filter(differs).cloned().collect())
}

/// The smallest safe change of all slots that are given.
#[must_use]
pub fn plan_change(situation: Situation<'_>, wanted: &Version) -> Change {
    match commands(situation, wanted) {
        Ok(commands) if commands.is_empty() => Change::Nothing,
        Ok(commands) => Change::Commands(commands),
        Err(why) => Change::Reload(why),
    }
}

fn commands(situation: Situation<'_>, wanted: &Version) -> Result<Vec<Command>, Why> {
    let touched = touched(situation.loaded, situation.running, wanted)?;
    if !touched.iter().all(|name| situation.slots.contains_key(name)) {
        return Err(Why::Unknown);
    }
    let mut steps = slots::Steps::of(contents(situation.loaded, situation.running, wanted)?);
    for (name, slots) in situation.slots {
        let Some((loaded, next)) = situation.loaded.backend(name).zip(wanted.backend(name)) else { continue };
        if !is_allowed(loaded, next) {
            return Err(Why::Fixed(name.clone()));
        }
        slots::plan(name, (loaded, situation.adds), next, slots, &mut steps)?;
    }
    Ok(steps.in_order().collect())
}

fn is_allowed(loaded: &Backend, next: &Backend) -> bool {
    let members = |backend: &Backend, whole: bool| -> BTreeSet<_> {
        let servers = backend.servers.iter().filter(|server| !server.is_spare());
        let rest = |server: &Server| whole.then_some((server.weight, server.check));
        servers.map(|server| (server.name.clone(), server.address, rest(server))).collect()
    };
    match loaded.freedom {
        Freedom::Members => true,
        Freedom::Weights => members(loaded, false) == members(next, false),
        Freedom::Nothing => members(loaded, true) == members(next, true),
    }
}

/// Commands for the certificates and patterns that differ; all other files must be the same.
fn contents(loaded: &Version, running: &Version, wanted: &Version) -> Result<Vec<Command>, Why> {
    let [loaded, running, wanted] = [loaded, running, wanted].map(Version::files);
    let names: BTreeSet<&String> = loaded.keys().chain(running.keys()).chain(wanted.keys()).collect();
    let main_file = wanted.get(MAIN_FILE).map_or("", String::as_str);
    let mut commands = Vec::new();
    for name in names.into_iter().filter(|name| *name != MAIN_FILE) {
        let versions = [loaded, running, wanted].map(|files| files.get(name));
        let [Some(_), Some(running), Some(wanted)] = versions else { return Err(Why::File(name.clone())) };
        if running == wanted {
            continue;
        }
        if patterns(name, wanted).is_some() {
            commands.push(Command::Patterns { file: name.clone(), content: wanted.clone() });
        } else if is_certificate(name, wanted, main_file) {
            commands.push(certificate(name, wanted)?);
        } else {
            return Err(Why::File(name.clone()));
        }
    }
    Ok(commands)
}

fn certificate(name: &str, content: &str) -> Result<Command, Why> {
    // An empty line would end the payload.
    let pem: String = content.lines().filter(|line| !line.trim().is_empty()).flat_map(|line| [line, "\n"]).collect();
    if pem.len() > LARGEST_PAYLOAD {
        return Err(Why::Payload(name.to_owned()));
    }
    Ok(Command::Certificate { file: name.to_owned(), pem })
}

/// Whether a file is a certificate with its key, which is used as such and not to verify others.
fn is_certificate(name: &str, content: &str, main_file: &str) -> bool {
    let verifies = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        words.windows(2).any(|pair| pair[1] == name && pair[0] != "crt")
    };
    content.contains("-----BEGIN CERTIFICATE-----")
        && content.contains("PRIVATE KEY-----")
        && !main_file.lines().any(verifies)
}

#[cfg(test)]
mod tests;
