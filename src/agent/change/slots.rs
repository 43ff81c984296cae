//! Which slot of a backend belongs to which member, and what is to be done about it. Pure, and decided by
//! addresses alone, so that an agent that starts anew finds its slots again from what the worker tells.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
};

use sha2::{Digest, Sha256};

use super::{Command, Place, Why};
use crate::{
    agent::layout::{Backend, Freedom, SPARE, Server},
    clients::haproxy::{CheckTarget, Slot},
};

/// What is to be done, by when.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// To certificates, and to slots that take no traffic.
    preparations: Vec<Command>,
    /// What brings traffic.
    openings: Vec<Command>,
    /// What says where traffic goes.
    routes: Vec<Command>,
    /// What ends it.
    closings: Vec<Command>,
}

impl Steps {
    /// With what is to be done about files.
    pub(super) fn of(files: Vec<Command>) -> Self {
        let (routes, preparations) = files.into_iter().partition(|command| matches!(command, Command::Patterns { .. }));
        Self { preparations, routes, ..Self::default() }
    }

    pub(super) fn in_order(self) -> impl Iterator<Item = Command> {
        self.preparations.into_iter().chain(self.openings).chain(self.routes).chain(self.closings)
    }
}

/// What the name of a line begins with that was added while HAProxy runs; a digest of its options follows, by
/// which an agent that starts anew knows it again, and a number.
const ADDED: &str = "fairway-added-";

/// The options of slots, by their names.
struct Options<'a> {
    loaded: HashMap<&'a str, &'a str>,
    /// Of added lines, by digest.
    added: HashMap<String, &'a str>,
}

impl<'a> Options<'a> {
    fn new(loaded: &'a Backend, wanted: &'a Backend, slots: &[Slot]) -> Self {
        let mut added = HashMap::new();
        if slots.iter().any(|slot| slot.name.starts_with(ADDED)) {
            let all = loaded.servers.iter().chain(&wanted.servers).map(|server| server.options.as_str());
            added.extend(all.map(|options| (digest(options), options)));
        }
        let of_line = |server: &'a Server| (server.name.as_str(), server.options.as_str());
        Self { loaded: loaded.servers.iter().map(of_line).collect(), added }
    }

    /// None of an added line whose like is not wanted any more.
    fn of(&self, slot: &Slot) -> Option<&'a str> {
        match slot.name.strip_prefix(ADDED) {
            Some(rest) => self.added.get(rest.split('-').next()?).copied(),
            None => self.loaded.get(slot.name.as_str()).copied(),
        }
    }

    /// Whether these are the slots of the backend that was loaded, and such as were added to it.
    fn explain(&self, slots: &[Slot]) -> bool {
        let (added, own): (Vec<&Slot>, Vec<&Slot>) = slots.iter().partition(|slot| slot.name.starts_with(ADDED));
        let known = own.iter().all(|slot| self.loaded.contains_key(slot.name.as_str()));
        known && own.len() == self.loaded.len() && added.len() + own.len() == slots.len()
    }
}

/// The first 8 hexadecimal digits of a SHA-256.
fn digest(options: &str) -> String {
    format!("{:x}", Sha256::digest(options)).split_at(8).0.to_owned()
}

/// Adds what takes the slots of a backend to its wanted servers. `loaded` is what the worker was started with, and
/// whether lines can be added to it.
pub(super) fn plan(
    name: &str,
    (loaded, adds): (&Backend, bool),
    wanted: &Backend,
    slots: &[Slot],
    steps: &mut Steps,
) -> Result<(), Why> {
    let options = Options::new(loaded, wanted, slots);
    if !options.explain(slots) {
        return Err(Why::Unknown);
    }
    let mut places = places(&wanted.servers, slots, |slot| options.of(slot));
    let mut taken: HashSet<usize> = places.iter().flatten().copied().collect();
    // By their options, the spare ones last: they are taken from the end.
    let mut free: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, slot) in slots.iter().enumerate().rev() {
        if slot.maintenance
            && !slot.busy
            && !taken.contains(&index)
            && let Some(options) = options.of(slot)
        {
            free.entry(options).or_default().push(index);
        }
    }
    for free in free.values_mut() {
        free.sort_by_key(|index| slots[*index].name.starts_with(SPARE));
    }
    let mut additions = slots.iter().filter_map(|slot| slot.name.rsplit_once('-')?.1.parse().ok()).max().unwrap_or(0);
    let no_slot = || Why::NoSlot(name.to_owned());
    for (server, place) in wanted.servers.iter().zip(&mut places) {
        if server.is_spare() || place.is_some() {
            continue;
        }
        if let Some(index) = free.get_mut(server.options.as_str()).and_then(Vec::pop) {
            taken.insert(index);
            *place = Some(index);
        } else {
            let inherited = loaded.inherited.as_deref().filter(|_| adds && loaded.freedom == Freedom::Members);
            additions += 1;
            inherited.and_then(|inherited| add(server, name, inherited, additions, steps)).ok_or_else(no_slot)?;
        }
    }
    for (server, index) in wanted.servers.iter().zip(places).filter_map(|(server, place)| Some((server, place?))) {
        let slot = &slots[index];
        // With what is inherited it is not known what would be checked.
        let aims = server.is_checked() && loaded.freedom != Freedom::Nothing;
        bring_about(server, slot, aims, || Place { backend: name.to_owned(), name: slot.name.clone() }, steps);
    }
    let left = slots.iter().enumerate().filter(|(index, slot)| !slot.maintenance && !taken.contains(index));
    steps.closings.extend(
        left.map(|(_, slot)| Command::Maintain { slot: Place { backend: name.to_owned(), name: slot.name.clone() } }),
    );
    Ok(())
}

/// Adds a line for a server; none where its options can't be said while HAProxy runs.
fn add(server: &Server, backend: &str, inherited: &str, number: u64, steps: &mut Steps) -> Option<()> {
    let options = format!("{inherited} {}", server.options);
    // On the socket nothing is quoted, and files are not looked for where the configuration lies.
    if options.contains(['\'', '"', '\\', ';']) || options.contains("-file ") {
        return None;
    }
    let name = format!("{ADDED}{}-{number}", digest(&server.options));
    let slot = Place { backend: backend.to_owned(), name };
    let (address, weight) = (server.address, server.weight);
    steps.preparations.push(Command::Add { slot: slot.clone(), address, weight, options: options.trim().to_owned() });
    let target = server.check.of(address);
    if server.is_checked() && target != CheckTarget::default().of(address) {
        steps.preparations.push(Command::Aim { slot: slot.clone(), target });
    }
    steps.openings.extend(server.enabled.then_some(Command::Ready { slot }));
    Some(())
}

fn bring_about(server: &Server, slot: &Slot, aims: bool, place: impl Fn() -> Place, steps: &mut Steps) {
    let weight = (slot.weight != server.weight).then(|| Command::Weigh { slot: place(), weight: server.weight });
    if slot.address != Some(server.address) {
        steps.preparations.push(Command::Fill { slot: place(), address: server.address });
    }
    // What is once said of a slot can't be unsaid: it is aimed at its own address then.
    let target = server.check.of(server.address);
    if aims && slot.check.of(server.address) != target {
        steps.preparations.push(Command::Aim { slot: place(), target });
    }
    if slot.maintenance {
        steps.preparations.extend(weight);
    } else if server.weight > slot.weight {
        steps.openings.extend(weight);
    } else {
        steps.closings.extend(weight);
    }
    match (server.enabled, slot.maintenance) {
        (true, maintenance) if maintenance || slot.drained => steps.openings.push(Command::Ready { slot: place() }),
        (false, false) => steps.closings.push(Command::Maintain { slot: place() }),
        _ => {}
    }
}

/// The slot that leads to each server already, if there is one: that which takes traffic rather than one in
/// maintenance, then that of its own name.
fn places<'a>(
    servers: &[Server],
    slots: &'a [Slot],
    options: impl Fn(&'a Slot) -> Option<&'a str>,
) -> Vec<Option<usize>> {
    let mut by_address: HashMap<SocketAddr, Vec<usize>> = HashMap::new();
    for (index, slot) in slots.iter().enumerate() {
        if let Some(address) = slot.address {
            by_address.entry(address).or_default().push(index);
        }
    }
    let mut taken = HashSet::<usize>::new();
    let mut places = vec![None; servers.len()];
    // Several servers may lead to one address: those that need no change choose first.
    for as_it_is in [true, false] {
        for (server, place) in servers.iter().zip(&mut places) {
            if server.is_spare() || place.is_some() {
                continue;
            }
            let fits = |index: &&usize| {
                let slot = &slots[**index];
                options(slot) == Some(server.options.as_str())
                    && !taken.contains(*index)
                    && (!as_it_is || is_as_it_is(server, slot))
            };
            let candidates = by_address.get(&server.address).map(Vec::as_slice).unwrap_or_default();
            let best = candidates.iter().filter(fits).min_by_key(|index| {
                let slot = &slots[**index];
                (slot.maintenance == server.enabled, slot.name != server.name)
            });
            *place = best.copied();
            taken.extend(best);
        }
    }
    places
}

fn is_as_it_is(server: &Server, slot: &Slot) -> bool {
    slot.maintenance != server.enabled
        && slot.weight == server.weight
        && slot.check.of(server.address) == server.check.of(server.address)
}

/// The name of the server that occupies each slot, for reports; slots that nobody occupies are missing.
#[must_use]
pub fn occupants<'a>(loaded: &'a Backend, running: &'a Backend, slots: &'a [Slot]) -> BTreeMap<&'a str, &'a str> {
    let options = Options::new(loaded, running, slots);
    let places = places(&running.servers, slots, |slot| options.of(slot));
    let named = running.servers.iter().zip(places);
    named.filter_map(|(server, place)| Some((slots[place?].name.as_str(), server.name.as_str()))).collect()
}
