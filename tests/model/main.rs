//! Model-checked: `plan` over every order of events within these bounds, with `stateright`. In each state
//! that can be reached, nothing that pods live on was deleted, no pod went back to an older configuration,
//! and nothing refused took the place of what runs in the Secret that pods boot from; and from each of them
//! the desired state is reached, and stays: a further turn writes nothing.
//!
//! What is the production code's: the plan, the facts that are kept of planned objects, what an agent's
//! queue takes, what a pod boots with. What mirrors it: the engine's order of things, one write at a time,
//! and what an agent does with what it took.
//!
//! What may happen in any order: the user's changes; a turn beginning with whatever the watches have told by
//! then, each object's watch lagging by itself; the turn's writes; pods starting, being replaced for a new
//! template, and mounting what the Secret holds by now. And so many faults, of the kinds that each test
//! names: the operator killed between any two writes; a write refused (as by a conflict, or an API server
//! that is away) or done with its reply lost; a push that arrives long after it was given up; an object
//! changed or deleted by somebody; a pod's containers restarted, the pod lost, or out of the operator's
//! reach.
//!
//! Not here: finalizers and events, a watch that tells of pods late, times (a turn may begin at any).
#![allow(missing_docs, clippy::unwrap_used)]

mod mutants;
mod operator;
mod planning;
mod pod;
mod state;
mod world;

use std::{io::Write, time::Instant};

use rstest::rstest;
use stateright::{Checker, Model};

use crate::{
    planning::production,
    pod::Refuses,
    world::{Fault, World},
};

const FIRST: &str = "
listeners: [{ name: web, protocol: HTTP, port: 80, pool: app }]
pools: [{ name: app, members: [{ address: 192.0.2.10, port: 8080 }] }]
";
const SECOND: &str = "
listeners: [{ name: web, protocol: HTTP, port: 81, pool: app }]
pools: [{ name: app, members: [{ address: 192.0.2.10, port: 8080 }] }]
";
const THIRD: &str = "
listeners: [{ name: web, protocol: HTTP, port: 82, pool: app }]
pools: [{ name: app, members: [{ address: 192.0.2.10, port: 8080 }] }]
";
const INVALID: &str = "
listeners: [{ name: web, protocol: HTTP, port: 80, pool: nowhere }]
pools: [{ name: app, members: [{ address: 192.0.2.10, port: 8080 }] }]
";
const ON_NODES: &str = "
exposure: { type: HostNetwork }
listeners: [{ name: web, protocol: HTTP, port: 81, pool: app }]
pools: [{ name: app, members: [{ address: 192.0.2.10, port: 8080 }] }]
";

/// What may go wrong with requests, with objects, with pods.
const NOTHING: &[Fault] = &[];
const REQUESTS: &[Fault] = &[Fault::Crash, Fault::Refused, Fault::ReplyLost, Fault::LatePush];
const OBJECTS: &[Fault] = &[Fault::Edit, Fault::Delete];
const PODS: &[Fault] = &[Fault::Reboot, Fault::Lose, Fault::Part];
const REQUESTS_AND_PODS: &[Fault] =
    &[Fault::Crash, Fault::Refused, Fault::ReplyLost, Fault::LatePush, Fault::Reboot, Fault::Lose, Fault::Part];
const CRASHES_AND_OBJECTS: &[Fault] = &[Fault::Crash, Fault::ReplyLost, Fault::Edit, Fault::Delete];

const NONE: Refuses = |_, _| false;
/// What the second scene wants is refused by one pod, or by all.
const ONE: Refuses = |pod, content| pod == 1 && content == 1;
const ALL: Refuses = |_, content| content == 1;

/// Explores all of it; the first thing that does not hold, and how many states there are.
fn explore(name: &str, world: World) -> (Option<String>, usize) {
    let begun = Instant::now();
    let checker = world.checker().spawn_bfs().join();
    let (states, time) = (checker.unique_state_count(), begun.elapsed());
    let inputs = checker.model().planning.inputs();
    let _ = writeln!(std::io::stderr(), "    {name}: {states} states, {inputs} plans, {:.1} s", time.as_secs_f64());
    let wrong = checker.discoveries().into_iter().find(|(property, _)| *property != world::REACHED);
    let wrong = wrong.map(|(property, path)| {
        let last = path.last_state().clone();
        let why = checker.model().settle(&last).err().unwrap_or_default();
        format!("not so: {property}, after {:?}\n{:?}\n{why}\n{last:?}", path.into_actions(), last.broken)
    });
    assert!(wrong.is_some() || checker.discovery(world::REACHED).is_some(), "nothing is ever reached");
    (wrong, states)
}

#[rstest]
#[case::nothing_goes_wrong(&[FIRST, SECOND, THIRD], 2, (0, NOTHING), NONE, 1_300)]
#[case::one_fault_of_any_kind(&[FIRST, SECOND, FIRST], 2, (1, REQUESTS_AND_PODS), NONE, 22_000)]
#[case::one_outside_edit(&[FIRST, SECOND, FIRST], 2, (1, OBJECTS), NONE, 75_000)]
#[case::two_faults_of_requests(&[FIRST, SECOND, THIRD], 2, (2, REQUESTS), NONE, 80_000)]
#[case::two_faults_of_pods(&[FIRST, SECOND, THIRD], 2, (2, PODS), NONE, 19_000)]
#[case::two_edits_and_crashes(&[FIRST, SECOND], 1, (2, CRASHES_AND_OBJECTS), NONE, 110_000)]
#[case::one_pod_refuses(&[FIRST, SECOND, THIRD], 2, (1, REQUESTS_AND_PODS), ONE, 30_000)]
#[case::all_pods_refuse(&[FIRST, SECOND, THIRD], 2, (1, REQUESTS_AND_PODS), ALL, 40_000)]
#[case::refused_with_two_faults(&[FIRST, SECOND], 2, (2, REQUESTS_AND_PODS), ALL, 40_000)]
#[case::a_bad_spec(&[FIRST, INVALID, SECOND], 2, (1, REQUESTS_AND_PODS), NONE, 4_500)]
#[case::pods_replaced(&[FIRST, ON_NODES, FIRST], 2, (1, REQUESTS_AND_PODS), NONE, 160_000)]
fn the_desired_state_is_reached_and_stays(
    #[case] scenes: &[&str],
    #[case] pods: usize,
    #[case] faults: (u8, &'static [Fault]),
    #[case] refuses: Refuses,
    #[case] at_least: usize,
) {
    let (wrong, states) = explore("as it is", World::new(scenes, pods, faults, production).refusing(refuses));
    assert_eq!(wrong, None);
    assert!(states >= at_least, "{states} states: less is explored than was");
}

/// The model finds what is wrong with planners that are.
#[rstest]
#[case::the_secret_follows_at_once(mutants::at_once, (0, NOTHING), ALL, "UnprovenIntoSecret")]
#[case::refusals_are_forgotten(mutants::forgetful, (1, PODS), ALL, "UnprovenIntoSecret")]
#[case::only_the_status_counts(mutants::status_alone, (2, REQUESTS), NONE, "a pod runs something else")]
#[case::nothing_is_retained(mutants::nothing_retained, (0, NOTHING), NONE, "Pruned(Identity)")]
#[case::pods_go_with_their_certificate(mutants::certificate_first, (1, OBJECTS), NONE, "Pruned(Deployment)")]
#[case::pushed_once(mutants::pushed_once, (1, REQUESTS), NONE, "a pod runs something else")]
fn a_broken_planner_is_found(
    #[case] planner: planning::Planner,
    #[case] faults: (u8, &'static [Fault]),
    #[case] refuses: Refuses,
    #[case] expected: &str,
) {
    let (wrong, _) = explore("broken", World::new(&[FIRST, SECOND], 2, faults, planner).refusing(refuses));
    let wrong = wrong.expect("what is wrong");
    assert!(wrong.contains(expected), "{wrong}");
}
