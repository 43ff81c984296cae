//! What a robot needs next, and what is told of it. Pure: the time is an argument.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::DynamicObject;
use serde_json::json;

use super::{
    name,
    secret::{self, Login, Mark, PullSecret, TYPE},
    secret_name,
    wanted::{expiry, mended, new_robot},
    world::{Seen, World},
};
use crate::{
    api::{DriftPolicy, HarborRobot, HarborRobotStatus},
    clients::harbor::{NewRobot, Robot},
    harbor::{
        report::{self, ACCEPTED, READY, RESOLVED, SYNCED, Verdict},
        world::Problem,
    },
    reconcile::family::{self, Finalizer, Retained},
};

/// How soon to look again after something was told that is to be put right.
const SOON: Duration = Duration::from_millis(50);
/// How soon to look again when something that is needed is not there, or did not hold.
const UNRESOLVED: Duration = Duration::from_secs(5);
/// How soon to ask Harbor again.
const REST: Duration = Duration::from_mins(1);
/// As fields of drift: the robot itself, and its secret.
const ROBOT: &str = "robot";
const SECRET: &str = "secret";

/// The plan of a robot.
pub type Plan = family::Plan<Effect, HarborRobotStatus>;

/// Something to do in Harbor or in the robot's Secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make the robot.
    Create {
        /// As what.
        robot: NewRobot,
    },
    /// Change it.
    Update {
        /// To what.
        robot: Robot,
        /// Why, in words.
        why: String,
        /// Whether users need not be told, since it follows from what they wrote.
        routine: bool,
    },
    /// Choose a secret, and keep it in the Secret for Harbor.
    ChooseSecret {
        /// What the Secret said of the one before.
        seen: Option<Mark>,
        /// Why, in words.
        why: String,
    },
    /// Give Harbor the secret that is kept for it, and move it to where pods read it.
    SetSecret {
        /// Whose.
        robot: Robot,
        /// What pods log in with besides it.
        login: Login,
        /// When.
        at: Timestamp,
    },
    /// Delete it.
    Delete {
        /// Which.
        id: i64,
    },
}

impl family::Effect for Effect {
    fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "CreateRobot",
            Self::Update { .. } => "UpdateRobot",
            Self::ChooseSecret { .. } => "ChooseSecret",
            Self::SetSecret { .. } => "SetSecret",
            Self::Delete { .. } => "DeleteRobot",
        }
    }

    fn why(&self) -> String {
        match self {
            Self::Create { .. } => "the robot is not in Harbor".to_owned(),
            Self::Update { why, .. } | Self::ChooseSecret { why, .. } => why.clone(),
            Self::SetSecret { .. } => "Harbor has yet to be given the secret that was chosen".to_owned(),
            Self::Delete { .. } => "the resource is deleted, and nobody would look after the robot".to_owned(),
        }
    }

    fn routine(&self) -> bool {
        matches!(self, Self::SetSecret { .. } | Self::Update { routine: true, .. })
    }
}

/// Decides what a robot needs next.
#[must_use]
pub fn plan(resource: &HarborRobot, world: &World, now: Timestamp) -> Plan {
    if resource.metadata.deletion_timestamp.is_some() {
        return leaving(resource, world, now);
    }
    let turn = Turn { resource, world, now };
    let registry = report::registry(&resource.spec.harbor_name, world.registry.as_ref());
    let seen = match (registry, &world.asked) {
        (Ok(()), Some(Ok(seen))) => seen,
        (Ok(()), Some(Err(problem))) => return turn.held(None, problem),
        (Ok(()), None) => return turn.held(None, &Problem::new("NotAsked", "Harbor was not asked yet")),
        (Err(problem), _) => return turn.held(Some(RESOLVED), &problem),
    };
    if seen.taken {
        let message = format!(
            "Harbor has a robot {} that is not this resource's: delete it there, or name another in a HarborRobot of its own",
            name(resource)
        );
        return turn.held(Some(ACCEPTED), &Problem::new("NameTaken", message));
    }
    if !seen.missing.is_empty() {
        let message =
            format!("these projects are not in Harbor: {}; make a HarborProject of each", seen.missing.join(", "));
        return turn.held(Some(RESOLVED), &Problem::new("ProjectNotFound", message));
    }
    match &seen.robot {
        None => turn.missing(),
        Some(robot) => turn.there(robot, seen),
    }
}

/// What one plan is made of.
struct Turn<'a> {
    resource: &'a HarborRobot,
    world: &'a World,
    now: Timestamp,
}

impl Turn<'_> {
    fn status(&self) -> HarborRobotStatus {
        let before = self.resource.status.clone().unwrap_or_default();
        HarborRobotStatus { secret_name: secret_name(self.resource), ..before }
    }

    /// `Accepted` and `ResolvedRefs`, one of which may be bad.
    fn heads(&self, bad: Option<(&'static str, &Problem)>) -> Vec<Verdict> {
        let words =
            format!("the Harbor {} is ready, with all projects that the spec names", self.resource.spec.harbor_name);
        let all = [(ACCEPTED, "the robot's name is this resource's".to_owned()), (RESOLVED, words)];
        let verdict = |(kind, words)| match bad {
            Some((of, problem)) if of == kind => (kind, Err(problem.clone())),
            _ => (kind, Ok(words)),
        };
        all.into_iter().map(verdict).collect()
    }

    /// Nothing can be done; what pods have they keep.
    fn held(&self, bad: Option<&'static str>, problem: &Problem) -> Plan {
        let mut verdicts = self.heads(bad.map(|kind| (kind, problem)));
        verdicts.extend([(SYNCED, Err(problem.clone())), (READY, Err(problem.clone()))]);
        self.finish(&verdicts, self.status(), vec![], UNRESOLVED)
    }

    /// Whether Harbor had all that this spec says, so that a difference is somebody's.
    fn by_hand(&self) -> bool {
        let synced = self.resource.status.as_ref().and_then(|status| status.synced_generation);
        synced.is_some() && synced == self.resource.metadata.generation
    }

    /// It is not in Harbor: made first, or gone by hand.
    fn missing(&self) -> Plan {
        let (mut status, policy) = (self.status(), self.resource.spec.drift);
        let deleted = self.by_hand() && status.robot_id.is_some();
        let field = vec![ROBOT.to_owned()];
        let told = status.drift == field;
        let problem = if deleted {
            report::drifted(&["the robot was deleted".to_owned()], policy)
        } else {
            Problem::new("NotSynced", "the robot is not in Harbor yet")
        };
        let mut effects = vec![];
        if !deleted || (told && policy == DriftPolicy::Mend) {
            effects.push(Effect::Create { robot: new_robot(self.resource) });
            effects.extend(self.choice(None, false));
        }
        let left = deleted && policy == DriftPolicy::Report;
        let again = if left { REST } else { again(&effects) };
        status.drift = if deleted { field } else { vec![] };
        status.expires_at = None;
        let absent = Problem::new(problem.reason, "the robot is not in Harbor");
        let mut verdicts = self.heads(None);
        verdicts.extend([(SYNCED, Err(problem)), (READY, Err(absent))]);
        self.finish(&verdicts, status, effects, again)
    }

    /// It is in Harbor, as the spec says or otherwise.
    fn there(&self, robot: &Robot, seen: &Seen) -> Plan {
        let (mut status, policy) = (self.status(), self.resource.spec.drift);
        let current = self.world.secret.as_ref().and_then(PullSecret::current).map(|(mark, _)| mark);
        let current = current.filter(|mark| mark.robot == robot.id);
        let (wanted, mut fields) = mended(self.resource, robot, current);
        let differs = !fields.is_empty();
        let refused = seen.accepted == Some(false);
        if refused {
            fields.push(SECRET.to_owned());
        }
        let (by_hand, told) = (self.by_hand(), status.drift == fields);
        let mend = !by_hand || (told && policy == DriftPolicy::Mend);
        let mut effects = vec![];
        if differs && mend {
            let how = if by_hand { "changed by hand in Harbor" } else { "not as the spec says" };
            let named: Vec<&str> = fields.iter().map(String::as_str).filter(|field| *field != SECRET).collect();
            let why = format!("{how}: {}", named.join(", "));
            effects.push(Effect::Update { robot: wanted, why, routine: !by_hand });
        }
        effects.extend(self.choice(Some(robot), refused && mend));
        // Both write the robot; the one would undo the other.
        let next = self.world.secret.as_ref().is_some_and(|secret| secret.next.is_some());
        if next && !(differs && mend) {
            effects.push(Effect::SetSecret { robot: robot.clone(), login: self.login(robot), at: self.now });
        }
        let synced = match (fields.is_empty(), current) {
            (false, _) if by_hand => Err(report::drifted(&fields, policy)),
            (false, _) => {
                Err(Problem::new("NotSynced", format!("these are not as the spec says yet: {}", fields.join(", "))))
            }
            (true, None) => Err(Problem::new("NotSynced", "Harbor has yet to be given the robot's secret")),
            (true, Some(_)) => Ok("the robot is as the spec says".to_owned()),
        };
        if synced.is_ok() {
            status.synced_generation = self.resource.metadata.generation;
        }
        let left = by_hand && policy == DriftPolicy::Report;
        let again =
            if effects.is_empty() && (fields.is_empty() || left) { self.rest(current) } else { again(&effects) };
        status.drift = fields;
        self.tell_robot(&mut status, robot, current);
        let mut verdicts = self.heads(None);
        verdicts.extend([(SYNCED, synced), (READY, self.ready(robot, current, refused))]);
        let objects = self.object(robot, current.is_some());
        Plan { objects, ..self.finish(&verdicts, status, effects, again) }
    }

    fn tell_robot(&self, status: &mut HarborRobotStatus, robot: &Robot, current: Option<&Mark>) {
        status.robot_id = Some(robot.id);
        status.robot_name.clone_from(&robot.name);
        status.expires_at = expiry(robot).map(Time);
        status.rotated_at = current.map(|mark| Time(mark.at));
        status.next_rotation_at = current.and_then(|mark| self.due(mark)).map(Time);
    }

    /// Why a secret is to be chosen, if one is.
    fn choice(&self, robot: Option<&Robot>, refused: bool) -> Option<Effect> {
        let secret = self.world.secret.as_ref();
        if secret.is_some_and(|secret| secret.next.is_some()) {
            return None;
        }
        let seen = secret.and_then(|secret| secret.mark.clone());
        let known = secret.and_then(PullSecret::current).map(|(mark, _)| mark);
        let before = self.resource.status.as_ref().is_some_and(|status| status.rotated_at.is_some());
        let why = match (secret, known, robot) {
            (None, ..) if before => format!("Secret {} is gone, and its secret with it", secret_name(self.resource)),
            (None, ..) => "the robot has no secret yet".to_owned(),
            (Some(_), None, _) => {
                format!("Secret {} does not hold the secret that was set", secret_name(self.resource))
            }
            (_, Some(_), None) => "the robot is made, and its secret with it".to_owned(),
            (_, Some(mark), Some(robot)) if mark.robot != robot.id => "the robot was made anew in Harbor".to_owned(),
            (_, Some(_), Some(_)) if refused => "the secret was changed by hand in Harbor".to_owned(),
            (_, Some(mark), Some(_)) if self.due(mark).is_some_and(|due| due <= self.now) => {
                let after = self.resource.spec.rotation.as_ref().map_or(0, |rotation| rotation.after);
                format!(
                    "the secret was made {after} days ago; pulls that begin with the old one fail until they are tried again"
                )
            }
            _ => return None,
        };
        Some(Effect::ChooseSecret { seen, why })
    }

    /// When a secret is to be made anew.
    fn due(&self, mark: &Mark) -> Option<Timestamp> {
        let after = self.resource.spec.rotation.as_ref()?.after;
        mark.at.checked_add(SignedDuration::from_hours(24 * i64::from(after))).ok()
    }

    fn rest(&self, current: Option<&Mark>) -> Duration {
        let due = current.and_then(|mark| self.due(mark)).map(|due| due.duration_since(self.now));
        let due = due.and_then(|due| Duration::try_from(due).ok());
        due.map_or(REST, |due| due.clamp(SOON, REST))
    }

    fn ready(&self, robot: &Robot, current: Option<&Mark>, refused: bool) -> Result<String, Problem> {
        let secret = secret_name(self.resource);
        if robot.disable {
            return Err(Problem::new("Disabled", "the robot is disabled, and can't log in"));
        }
        if let Some(expiry) = expiry(robot).filter(|expiry| *expiry <= self.now) {
            let message = format!(
                "the robot expired at {expiry}: delete Secret {secret} to have a new secret made, or raise duration; with rotation it does not come to this"
            );
            return Err(Problem::new("Expired", message));
        }
        if refused {
            return Err(Problem::new("SecretRefused", format!("Harbor does not accept what Secret {secret} holds")));
        }
        match current {
            Some(_) => Ok(format!("{} can log in with Secret {secret}", robot.name)),
            None => Err(Problem::new("NotSynced", "Harbor has yet to be given the robot's secret")),
        }
    }

    fn login(&self, robot: &Robot) -> Login {
        let host = self.world.registry.as_ref().map(|registry| registry.host.clone()).unwrap_or_default();
        Login { host, username: robot.name.clone() }
    }

    /// The Secret as it shall be, once Harbor knows what it holds and nothing else is to follow.
    fn object(&self, robot: &Robot, current: bool) -> Vec<DynamicObject> {
        let Some(secret) = self.world.secret.as_ref().filter(|secret| current && secret.next.is_none()) else {
            return vec![];
        };
        let password = secret.password.as_ref().map(|password| password.0.as_str()).unwrap_or_default();
        let object = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": secret_name(self.resource) },
            "type": TYPE,
            "data": secret::data(&self.login(robot), password),
        });
        serde_json::from_value(object).into_iter().collect()
    }

    fn finish(
        &self,
        verdicts: &[Verdict],
        mut status: HarborRobotStatus,
        effects: Vec<Effect>,
        again: Duration,
    ) -> Plan {
        let events = report::events(verdicts, &status.conditions);
        let generation = self.resource.metadata.generation;
        status.conditions = report::conditions(verdicts, &status.conditions, generation, self.now);
        Plan {
            finalizer: Finalizer::Held,
            objects: vec![],
            // The Secret is never deleted: it goes with its robot.
            retained: Retained::All,
            effects,
            events,
            status,
            again,
        }
    }
}

/// Deletion: the robot goes first, as long as there is a registry that has it.
fn leaving(resource: &HarborRobot, world: &World, now: Timestamp) -> Plan {
    let turn = Turn { resource, world, now };
    let status = turn.status();
    let there = world.registry.as_ref().is_some_and(|registry| !registry.leaving);
    let (effects, finalizer, problem) = match &world.asked {
        _ if !there => (vec![], Finalizer::Released, None),
        Some(Ok(Seen { robot: None, .. })) => (vec![], Finalizer::Released, None),
        Some(Ok(Seen { robot: Some(robot), .. })) => (vec![Effect::Delete { id: robot.id }], Finalizer::Held, None),
        Some(Err(problem)) => (vec![], Finalizer::Held, Some(problem.clone())),
        None => (vec![], Finalizer::Held, Some(Problem::new("Deleting", "Harbor was not asked yet for the robot"))),
    };
    let mut status = status;
    if let Some(problem) = problem {
        let words = format!("{}; the robot is deleted before the resource goes", problem.message);
        let verdict = [(READY, Err(Problem::new(problem.reason, words)))];
        let told = report::conditions(&verdict, &status.conditions, resource.metadata.generation, now);
        status.conditions.retain(|known| known.type_ != READY);
        status.conditions.extend(told);
    }
    Plan { finalizer, objects: vec![], retained: Retained::All, effects, events: vec![], status, again: UNRESOLVED }
}

/// How soon to look again. What was done is looked at in the same turn, and when the Secret changes: what is to be done
/// again then did not hold.
fn again(effects: &[Effect]) -> Duration {
    if effects.is_empty() { SOON } else { UNRESOLVED }
}
