//! The conditions and events that projects and robots in a registry have in common. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{access::Registry, world::Problem};
use crate::{
    api::DriftPolicy,
    reconcile::{
        Event,
        conditions::{condition, settle},
    },
};

/// Whether the spec can be followed.
pub(super) const ACCEPTED: &str = "Accepted";
/// Whether the Harbor is there and ready, with all else that the spec names.
pub(super) const RESOLVED: &str = "ResolvedRefs";
/// Whether Harbor has what the spec says.
pub(super) const SYNCED: &str = "Synced";
/// Whether it can be used.
pub(super) const READY: &str = "Ready";
/// The reason of what was changed by hand.
pub(super) const DRIFTED: &str = "Drifted";

/// Reasons of verdicts that are bad only because something is under way.
const UNDER_WAY: [&str; 4] = ["Deleting", "HarborNotReady", "NotAsked", "NotSynced"];

/// A type of condition, and what holds of it.
pub(super) type Verdict = (&'static str, Result<String, Problem>);

/// Whether the registry that a spec names can be asked.
pub(super) fn registry(name: &str, registry: Option<&Registry>) -> Result<(), Problem> {
    match registry {
        None => {
            let message = format!("there is no Harbor {name:?} in this namespace; create it");
            Err(Problem::new("HarborNotFound", message))
        }
        Some(registry) if registry.leaving => {
            Err(Problem::new("HarborDeleting", format!("the Harbor {name} is being deleted")))
        }
        Some(Registry { waits: Some(why), .. }) => {
            Err(Problem::new("HarborNotReady", format!("the Harbor {name} is not ready yet: {why}")))
        }
        Some(_) => Ok(()),
    }
}

/// What is said of fields that Harbor differs in, though it had them as the spec says.
pub(super) fn drifted(fields: &[String], policy: DriftPolicy) -> Problem {
    let fields = fields.join(", ");
    let then = match policy {
        DriftPolicy::Mend => "it is put right",
        DriftPolicy::Report => "it is left, as spec.drift says, until the spec is changed",
    };
    Problem::new(DRIFTED, format!("changed by hand in Harbor: {fields}; {then}"))
}

/// The conditions of these verdicts, in their order.
pub(super) fn conditions(
    verdicts: &[Verdict],
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let told = |(kind, verdict): &Verdict| match verdict {
        Ok(message) => condition(kind, true, kind, message, generation, now),
        Err(problem) => condition(kind, false, problem.reason, &problem.message, generation, now),
    };
    let mut conditions: Vec<Condition> = verdicts.iter().map(told).collect();
    settle(&mut conditions, before);
    conditions
}

/// What somebody should know of: what is newly bad, and what has become good.
pub(super) fn events(verdicts: &[Verdict], before: &[Condition]) -> Vec<Event> {
    verdicts.iter().filter_map(|verdict| event(verdict, before)).collect()
}

fn event((kind, verdict): &Verdict, before: &[Condition]) -> Option<Event> {
    let known = before.iter().find(|condition| condition.type_ == *kind);
    match verdict {
        Ok(message) => {
            let was_bad =
                known.is_some_and(|known| known.status != "True" && !UNDER_WAY.contains(&known.reason.as_str()));
            let first = *kind == READY && known.is_none_or(|known| known.status != "True");
            (was_bad || first).then(|| Event { reason: kind, warning: false, note: message.clone() })
        }
        // What is ready no more is so for a reason that another condition tells.
        Err(_) if *kind == READY => None,
        Err(problem) => {
            let same = known.is_some_and(|known| known.reason == problem.reason && known.message == problem.message);
            let tell = !same && !UNDER_WAY.contains(&problem.reason);
            tell.then(|| Event { reason: problem.reason, warning: true, note: problem.message.clone() })
        }
    }
}
