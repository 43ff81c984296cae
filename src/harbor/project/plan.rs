//! What a project needs next, and what is told of it. Pure: the time is an argument.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    name,
    wanted::{Act, Differences, Effect, differences, managed, new_project},
    world::{Seen, World},
};
use crate::{
    api::{DeletionPolicy, DriftPolicy, HarborProject, HarborProjectStatus, ProjectQuotaStatus},
    harbor::{
        report::{self, ACCEPTED, READY, RESOLVED, SYNCED, Verdict},
        world::Problem,
    },
    reconcile::family::{self, Event, Finalizer, Retained},
};

/// How soon to look again after something was told that is to be put right.
const SOON: Duration = Duration::from_millis(50);
/// How soon to look again when something that is needed is not there, or did not hold.
const UNRESOLVED: Duration = Duration::from_secs(15);
/// How soon to ask Harbor again.
const REST: Duration = Duration::from_mins(1);

/// The plan of a project.
pub type Plan = family::Plan<Effect, HarborProjectStatus>;

/// Decides what a project needs next.
#[must_use]
pub fn plan(resource: &HarborProject, world: &World, now: Timestamp) -> Plan {
    if resource.metadata.deletion_timestamp.is_some() {
        return leaving(resource, world, now);
    }
    let obstacle = obstacle(resource, world);
    let seen = match (&obstacle, &world.asked) {
        (None, Some(Ok(seen))) => Ok(seen.as_ref()),
        (None, None) => Err(Problem::new("NotAsked", "Harbor was not asked yet")),
        (Some((_, problem)), _) | (None, Some(Err(problem))) => Err(problem.clone()),
    };
    let accepted = match &obstacle {
        Some((ACCEPTED, problem)) => Err(problem.clone()),
        _ => Ok("no other resource names this project".to_owned()),
    };
    let resolved = match &obstacle {
        Some((RESOLVED, problem)) => Err(problem.clone()),
        _ => Ok(format!("the Harbor {} is ready", resource.spec.harbor_name)),
    };
    let mut verdicts = vec![(ACCEPTED, accepted), (RESOLVED, resolved)];
    match seen {
        Err(problem) => {
            verdicts.extend([(SYNCED, Err(problem.clone())), (READY, Err(problem))]);
            let status = resource.status.clone().unwrap_or_default();
            finish(resource, &verdicts, status, vec![], UNRESOLVED, now)
        }
        Ok(None) => missing(resource, verdicts, now),
        Ok(Some(seen)) => there(resource, seen, verdicts, now),
    }
}

/// What keeps Harbor from being asked, and the condition that it belongs to.
fn obstacle(resource: &HarborProject, world: &World) -> Option<(&'static str, Problem)> {
    if let Some(rival) = &world.rival {
        let message = format!(
            "HarborProject {rival} names the project {} already; delete one of the two, or name another project",
            name(resource)
        );
        return Some((ACCEPTED, Problem::new("NameTaken", message)));
    }
    let problem = report::registry(&resource.spec.harbor_name, world.registry.as_ref()).err()?;
    Some((RESOLVED, problem))
}

/// It is not in Harbor: made first, or gone by hand.
fn missing(resource: &HarborProject, mut verdicts: Vec<Verdict>, now: Timestamp) -> Plan {
    let mut status = resource.status.clone().unwrap_or_default();
    let deleted = by_hand(resource) && status.project_id.is_some();
    let policy = resource.spec.drift;
    let field = vec!["projectName".to_owned()];
    let told = status.drift == field;
    let problem = if deleted {
        let then = report::drifted(&["the project was deleted".to_owned()], policy);
        Problem::new(then.reason, then.message)
    } else {
        Problem::new("NotSynced", format!("the project {} is not in Harbor yet", name(resource)))
    };
    let make = !deleted || (told && policy == DriftPolicy::Mend);
    let why = if deleted { "the project was deleted by hand in Harbor" } else { "the project is not in Harbor yet" };
    let effects = if make { vec![effect(Act::Create(new_project(resource)), why.to_owned(), false)] } else { vec![] };
    status.drift = if deleted { field } else { vec![] };
    status.quota = None;
    status.repositories = None;
    let absent = Problem::new(problem.reason, format!("the project {} is not in Harbor", name(resource)));
    verdicts.extend([(SYNCED, Err(problem)), (READY, Err(absent))]);
    let again = again(&effects, deleted && policy == DriftPolicy::Report);
    finish(resource, &verdicts, status, effects, again, now)
}

/// It is in Harbor, as the spec says or otherwise.
fn there(resource: &HarborProject, seen: &Seen, mut verdicts: Vec<Verdict>, now: Timestamp) -> Plan {
    let found = differences(resource, seen);
    let mut status = resource.status.clone().unwrap_or_default();
    let (by_hand, policy) = (by_hand(resource), resource.spec.drift);
    let (synced, effects, again) = if found.fields.is_empty() {
        status.synced_generation = resource.metadata.generation;
        (Ok("the project is as the spec says".to_owned()), vec![], REST)
    } else if by_hand {
        let told = status.drift == found.fields;
        let effects = if told && policy == DriftPolicy::Mend { effects(&found, true) } else { vec![] };
        let again = again(&effects, told && effects.is_empty() || policy == DriftPolicy::Report);
        (Err(report::drifted(&found.fields, policy)), effects, again)
    } else {
        let effects = effects(&found, false);
        let again = again(&effects, effects.is_empty());
        (Err(unlike(&found)), effects, again)
    };
    status.drift.clone_from(&found.fields);
    status.members = managed(resource, seen);
    status.project_id = Some(seen.project.id);
    status.project_name.clone_from(&seen.project.name);
    status.repositories = i64::try_from(seen.project.repo_count).ok();
    status.quota = seen.quota.map(|quota| ProjectQuotaStatus { limit: quota.limit, used: quota.used });
    verdicts.extend([(SYNCED, synced), (READY, Ok(format!("the project {} can be used", seen.project.name)))]);
    finish(resource, &verdicts, status, effects, again, now)
}

/// How soon to look again. What was done is looked at in the same turn: what is to be done again then did not hold.
fn again(effects: &[Effect], left: bool) -> Duration {
    match (effects, left) {
        (_, true) => REST,
        ([], false) => SOON,
        (_, false) => UNRESOLVED,
    }
}

/// Whether Harbor had all that this spec says, so that a difference is somebody's.
fn by_hand(resource: &HarborProject) -> bool {
    let synced = resource.status.as_ref().and_then(|status| status.synced_generation);
    synced.is_some() && synced == resource.metadata.generation
}

fn unlike(found: &Differences) -> Problem {
    let fields = found.fields.join(", ");
    if found.acts.is_empty() {
        return Problem::new(
            "NoQuotas",
            format!("Harbor is configured to keep no quotas, so that it can't have: {fields}"),
        );
    }
    Problem::new("NotSynced", format!("these are not as the spec says yet: {fields}"))
}

fn effects(found: &Differences, by_hand: bool) -> Vec<Effect> {
    let why = |fields: &str| {
        let how = if by_hand { "changed by hand in Harbor" } else { "not as the spec says" };
        format!("{how}: {fields}")
    };
    found.acts.iter().map(|(act, fields)| effect(act.clone(), why(fields), !by_hand)).collect()
}

fn effect(act: Act, why: String, routine: bool) -> Effect {
    Effect { act, why, routine }
}

/// Deletion: an empty project goes if it is to go, and nothing else.
fn leaving(resource: &HarborProject, world: &World, now: Timestamp) -> Plan {
    let status = resource.status.clone().unwrap_or_default();
    let registry = world.registry.as_ref().filter(|registry| !registry.leaving);
    let ours = resource.spec.deletion_policy == DeletionPolicy::Delete && status.project_id.is_some();
    let release = |status| Plan { finalizer: Finalizer::Released, ..nothing(status, vec![], REST) };
    if !ours || registry.is_none() || world.rival.is_some() {
        return release(status);
    }
    let hold = |problem: Problem, effects, again| {
        let verdicts = [(READY, Err(problem.clone()))];
        let conditions = status.conditions.iter().filter(|known| known.type_ != READY).cloned();
        let told = report::conditions(&verdicts, &status.conditions, resource.metadata.generation, now);
        let known = status.conditions.iter().any(|known| known.type_ == READY && known.reason == problem.reason);
        let warning = problem.reason == "NotEmpty" && !known;
        let events = warning.then_some(Event { reason: problem.reason, warning: true, note: problem.message });
        let status = HarborProjectStatus { conditions: conditions.chain(told).collect(), ..status.clone() };
        Plan { finalizer: Finalizer::Held, effects, ..nothing(status, events.into_iter().collect(), again) }
    };
    match &world.asked {
        None => {
            hold(Problem::new("Deleting", "Harbor was not asked yet whether the project is empty"), vec![], UNRESOLVED)
        }
        Some(Err(problem)) => hold(problem.clone(), vec![], UNRESOLVED),
        Some(Ok(None)) => release(status),
        Some(Ok(Some(seen))) if Some(seen.project.id) != status.project_id => release(status),
        Some(Ok(Some(seen))) if seen.project.repo_count > 0 => {
            let message = format!(
                "the project {} has {} repositories, and no images are deleted: delete them in Harbor, or set spec.deletionPolicy to Retain",
                seen.project.name, seen.project.repo_count
            );
            hold(Problem::new("NotEmpty", message), vec![], REST)
        }
        Some(Ok(Some(seen))) => {
            let act = effect(
                Act::Delete { id: seen.project.id },
                "the resource is deleted with its project".to_owned(),
                false,
            );
            hold(Problem::new("Deleting", "the project is being deleted"), vec![act], UNRESOLVED)
        }
    }
}

fn finish(
    resource: &HarborProject,
    verdicts: &[Verdict],
    mut status: HarborProjectStatus,
    effects: Vec<Effect>,
    again: Duration,
    now: Timestamp,
) -> Plan {
    let events = report::events(verdicts, &status.conditions);
    status.conditions = report::conditions(verdicts, &status.conditions, resource.metadata.generation, now);
    let delete = resource.spec.deletion_policy == DeletionPolicy::Delete;
    let finalizer = if delete { Finalizer::Held } else { Finalizer::Released };
    Plan { finalizer, effects, ..nothing(status, events, again) }
}

fn nothing(status: HarborProjectStatus, events: Vec<Event>, again: Duration) -> Plan {
    Plan {
        finalizer: Finalizer::Held,
        objects: vec![],
        retained: Retained::All,
        effects: vec![],
        events,
        status,
        again,
    }
}
