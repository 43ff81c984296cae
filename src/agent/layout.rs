//! What of `haproxy.cfg` can change while HAProxy runs: its `server` lines, read strictly, apart from all
//! other lines (the skeleton); and the spare slots that the agent adds to what the operator rendered. A
//! text that is not understood to the last word has no layout, and is only ever loaded as a whole. Pure.

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
};

use super::protocol::EXPECTED_OPTIONS;
use crate::clients::haproxy::CheckTarget;

/// What the name of a spare slot begins with.
pub const SPARE: &str = "fairway-spare-";
/// What a spare slot costs in a worker, in bytes (measured).
pub const SPARE_BYTES: u64 = 5_400;
/// Each backend has so many spare slots, or a quarter of its servers: a rolling update surges by that.
const FEWEST_SPARES: usize = 2;
/// A backend whose servers differ in more than so many ways (plain and backup) has no spare slots.
const MOST_KINDS: usize = 2;
/// The words that begin a section; an indented one would be understood otherwise here than by HAProxy.
const SECTIONS: [&str; 8] = ["global", "defaults", "frontend", "backend", "listen", "peers", "userlist", "resolvers"];
/// The words of a `default-server` that would change what a `server` line means here.
const INHERITED: [&str; 6] = ["disabled", "enabled", "weight", "addr", "port", "track"];

/// A configuration's main file, in the parts that matter for a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// All lines but the `server` lines of backends.
    pub skeleton: String,
    /// Backends by name.
    pub backends: BTreeMap<String, Backend>,
}

/// The servers of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    /// What may change while HAProxy runs.
    pub freedom: Freedom,
    /// In the order of their lines, spare slots among them.
    pub servers: Vec<Server>,
    /// What holds for all servers beside their own options; none where that is not said in the backend alone.
    pub inherited: Option<String>,
    /// The options that servers are told to have which will come.
    expected: Option<String>,
    /// The line after which spare slots have their place.
    end: usize,
}

/// What may change of a backend while HAProxy runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freedom {
    /// Members and weights.
    #[default]
    Members,
    /// Weights alone. HAProxy chooses or remembers servers by the place or name of their line, so that
    /// replicas which filled their slots in another order would not agree.
    Weights,
    /// Nothing: the algorithm is fixed when it is loaded.
    Nothing,
}

/// A `server` line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// Unique in its backend.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// 0 to 256.
    pub weight: u16,
    /// Whether it may take traffic at all.
    pub enabled: bool,
    /// What is checked.
    pub check: CheckTarget,
    /// All other words. They can't be changed while HAProxy runs.
    pub options: String,
}

/// Why a text has no layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct NotUnderstood {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Layout {
    /// Reads a main file.
    ///
    /// # Errors
    /// The first line that is not understood.
    pub fn parse(text: &str) -> Result<Self, NotUnderstood> {
        let mut reader = Reader::default();
        for (index, line) in text.lines().enumerate() {
            reader.line(index, line).map_err(|what| NotUnderstood { line: index + 1, what })?;
        }
        reader.close();
        Ok(reader.layout)
    }
}

#[derive(Default)]
struct Reader {
    layout: Layout,
    inherited: Traits,
    section: Section,
}

#[derive(Default)]
enum Section {
    #[default]
    Other,
    Defaults,
    /// With the names of its servers.
    Backend(String, Backend, Traits, HashSet<String>),
}

/// What the lines of a backend, or of its defaults, say about its freedom.
#[derive(Clone, Copy, Default)]
struct Traits {
    algorithm: Algorithm,
    consistent: bool,
    named: bool,
    inherits: Inherits,
}

/// What a `default-server` does.
#[derive(Clone, Copy, Default, PartialEq)]
enum Inherits {
    /// There is none.
    #[default]
    Nothing,
    /// It adds options to lines.
    Options,
    /// It changes what a line means here.
    Meaning,
}

#[derive(Clone, Copy, Default)]
enum Algorithm {
    #[default]
    Free,
    Hashed,
    Fixed,
}

impl Traits {
    fn learn(&mut self, words: &[&str]) {
        match words {
            ["balance", "roundrobin" | "leastconn", ..] => self.algorithm = Algorithm::Free,
            ["balance", word, ..] if word.starts_with("random") => self.algorithm = Algorithm::Free,
            ["balance", "static-rr" | "first", ..] => self.algorithm = Algorithm::Fixed,
            ["balance", ..] => self.algorithm = Algorithm::Hashed,
            ["hash-type", kind, ..] => self.consistent = *kind == "consistent",
            ["stick-table" | "stick", rest @ ..] => {
                self.named |= !rest.windows(2).any(|pair| pair == ["srvkey", "addr"]);
            }
            ["use-server" | "server-template", ..] => self.named = true,
            ["default-server", rest @ ..] if rest.iter().any(|word| INHERITED.contains(word)) => {
                self.inherits = Inherits::Meaning;
            }
            ["default-server", ..] if self.inherits == Inherits::Nothing => self.inherits = Inherits::Options,
            _ => {}
        }
    }

    fn freedom(self) -> Freedom {
        match self.algorithm {
            _ if self.inherits == Inherits::Meaning => Freedom::Nothing,
            Algorithm::Fixed => Freedom::Nothing,
            Algorithm::Hashed if !self.consistent => Freedom::Nothing,
            Algorithm::Hashed => Freedom::Weights,
            Algorithm::Free if self.named => Freedom::Weights,
            Algorithm::Free => Freedom::Members,
        }
    }
}

impl Reader {
    fn line(&mut self, index: usize, line: &str) -> Result<(), &'static str> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if let Section::Backend(_, backend, ..) = &mut self.section
            && let Some(options) = line.trim().strip_prefix(EXPECTED_OPTIONS)
        {
            backend.expected = Some(options.trim().to_owned());
        }
        let Some(first) = words.first().filter(|word| !word.starts_with('#')) else { return Ok(()) };
        if first.starts_with('.') {
            return Err("a condition");
        }
        if !line.starts_with([' ', '\t']) {
            self.close();
            self.section = Self::header(index, &words, self.inherited)?;
            if let Section::Backend(name, ..) = &self.section
                && self.layout.backends.contains_key(name)
            {
                return Err("a section that is there twice");
            }
        } else if SECTIONS.contains(first) {
            return Err("an indented section");
        } else if let Section::Backend(_, backend, traits, names) = &mut self.section {
            if *first == "server" {
                let server = Server::parse(line).ok_or("a server line of another form")?;
                if !names.insert(server.name.clone()) {
                    return Err("a server that is there twice");
                }
                backend.servers.push(server);
                backend.end = index;
                return Ok(());
            }
            if let (["default-server", rest @ ..], Some(inherited)) = (words.as_slice(), &mut backend.inherited) {
                inherited.extend(rest.iter().flat_map(|word| [" ", word]));
            }
            traits.learn(&words);
        } else if let Section::Defaults = self.section {
            self.inherited.learn(&words);
        }
        self.layout.skeleton.push_str(line.trim());
        self.layout.skeleton.push('\n');
        Ok(())
    }

    fn header(index: usize, words: &[&str], inherited: Traits) -> Result<Section, &'static str> {
        match words {
            ["backend" | "listen", name] if name.bytes().all(is_of_a_name) => {
                let own = (inherited.inherits == Inherits::Nothing).then(String::new);
                let backend = Backend { end: index, inherited: own, ..Backend::default() };
                Ok(Section::Backend((*name).to_owned(), backend, inherited, HashSet::new()))
            }
            ["backend" | "listen", ..] => Err("a section of another form"),
            ["defaults"] => Ok(Section::Defaults),
            ["defaults", ..] => Err("named defaults"),
            _ => Ok(Section::Other),
        }
    }

    fn close(&mut self) {
        if let Section::Backend(name, mut backend, traits, _) = std::mem::take(&mut self.section) {
            backend.freedom = traits.freedom();
            self.layout.backends.insert(name, backend);
        }
    }
}

impl Server {
    /// Reads a `server` line; none when it is another line, or one that could mean something else.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = words(line)?.into_iter();
        if words.next()? != "server" {
            return None;
        }
        let name = words.next().filter(|name| !name.is_empty() && name.bytes().all(is_of_a_name))?.to_owned();
        let address: SocketAddr = words.next()?.parse().ok()?;
        let (mut weight, mut enabled, mut check, mut options) = (1, true, CheckTarget::default(), Vec::new());
        while let Some(word) = words.next() {
            match word {
                "weight" => weight = words.next()?.parse().ok().filter(|weight| *weight <= 256)?,
                "disabled" => enabled = false,
                "enabled" => return None,
                // IPv6 stands in brackets here.
                "addr" => check.address = Some(words.next()?.trim_matches(['[', ']']).parse().ok()?),
                "port" => check.port = Some(words.next()?.parse().ok().filter(|port| *port != 0)?),
                word => options.push(word),
            }
        }
        (address.port() != 0).then(|| Self { name, address, weight, enabled, check, options: options.join(" ") })
    }

    /// Whether it is checked at all.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.options.split(' ').any(|option| option == "check")
    }

    /// Whether it is one of the agent's own slots.
    #[must_use]
    pub fn is_spare(&self) -> bool {
        self.name.starts_with(SPARE)
    }
}

/// HAProxy's words of a line: what stands in single quotes is one. None where other quoting is used.
fn words(line: &str) -> Option<Vec<&str>> {
    let (mut words, mut quoted) = (Vec::new(), false);
    if line.contains(['"', '\\', '#', '$']) {
        return None;
    }
    let split = |character: char| {
        quoted ^= character == '\'';
        !quoted && character.is_ascii_whitespace()
    };
    words.extend(line.split(split).filter(|word| !word.is_empty()));
    (!quoted).then_some(words)
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)
}

/// The same main file with spare slots in each backend that can use them, at most `most` in all. A text
/// that is not understood stays as it is.
#[must_use]
pub fn with_spares(text: &str, most: usize) -> String {
    Layout::parse(text).map_or_else(|_| text.to_owned(), |layout| with_spares_of(text, &layout, most))
}

/// As [`with_spares`], of a text whose layout is known already.
#[must_use]
pub fn with_spares_of(text: &str, layout: &Layout, most: usize) -> String {
    if layout.backends.values().flat_map(|backend| &backend.servers).any(Server::is_spare) {
        return text.to_owned();
    }
    let kinds: Vec<(usize, &str, usize)> = layout.backends.values().flat_map(kinds).collect();
    let wished: usize = kinds.iter().map(|(_, _, count)| count).sum();
    let bound = if wished > most { most / kinds.len().max(1) } else { usize::MAX };
    let mut places: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (end, options, count) in kinds {
        let lines = places.entry(end).or_default();
        for _ in 0..count.min(bound) {
            // The discard port of the pod itself: even a slot that is made ready by mistake reaches nobody.
            let line = format!("    server {SPARE}{} 127.0.0.1:9 disabled weight 1 {options}", lines.len() + 1);
            lines.push(line.trim_end().to_owned());
        }
    }
    let mut laid_out = String::with_capacity(text.len() + 80 * wished.min(most));
    for (index, line) in text.lines().enumerate() {
        laid_out.push_str(line);
        laid_out.push('\n');
        for line in places.remove(&index).unwrap_or_default() {
            laid_out.push_str(&line);
            laid_out.push('\n');
        }
    }
    laid_out
}

/// The kinds of servers of a backend: where its spare slots go, their options, how many of them.
fn kinds(backend: &Backend) -> Vec<(usize, &str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for server in &backend.servers {
        *counts.entry(&server.options).or_default() += 1;
    }
    if let (true, Some(expected)) = (counts.is_empty(), &backend.expected) {
        counts.insert(expected, 0);
    }
    if counts.len() > MOST_KINDS || backend.freedom != Freedom::Members {
        return Vec::new();
    }
    counts.into_iter().map(|(options, count)| (backend.end, options, count.div_ceil(4).max(FEWEST_SPARES))).collect()
}

#[cfg(test)]
mod tests;
