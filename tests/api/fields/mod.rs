//! Every field of every resource: changed on a live object, followed to its effect on the cluster, back, into
//! an error state and out of it. A walk through the schemas that the API server holds fails for each field
//! that no case covers, so that none can be added without one.
//!
//! A case is a row of `listeners`, `rules`, `pools`, `members` or `settings`: which fields, on what spec, where
//! and from what to what, how its effect is known, and what is wrong.

mod case;
mod effect;
mod listeners;
mod members;
mod pools;
mod rules;
pub(crate) mod schema;
mod settings;
mod status;
mod surroundings;
mod walk;

use std::collections::BTreeSet;

use futures::{StreamExt, stream};

use self::{
    case::Case,
    schema::{BALANCERS, Field},
    surroundings::Surroundings,
};
use crate::{
    operator::Operator,
    server::{client, namespace},
};

/// How many cases run side by side.
const AT_A_TIME: usize = 16;

fn cases() -> Vec<Case> {
    [listeners::cases(), rules::cases(), pools::cases(), members::cases(), settings::cases()]
        .into_iter()
        .flatten()
        .collect()
}

#[tokio::test]
async fn no_field_is_without_a_case() {
    let fields = schema::fields(&client().await, &BALANCERS).await;
    // Those of the status are looked at by themselves.
    let in_spec = fields.iter().filter(|field| field.path.contains(".spec."));
    let there: BTreeSet<&str> = in_spec.map(|field| field.path.as_str()).collect();
    let cases = cases();
    let covered: BTreeSet<String> = cases.iter().flat_map(Case::covers).collect();
    let uncovered: Vec<_> = there.iter().filter(|path| !covered.contains(**path)).collect();
    assert!(uncovered.is_empty(), "no case changes {uncovered:#?}");
    let unknown: Vec<_> = covered.iter().filter(|path| !there.contains(path.as_str())).collect();
    assert!(unknown.is_empty(), "no schema has {unknown:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_takes_effect_there_and_back_and_through_an_error() {
    let (client, namespace) = namespace().await;
    let operator = Operator::start(&namespace).await;
    let fields: Vec<Field> = schema::fields(&client, &BALANCERS).await;
    let surroundings = Surroundings::make(client, namespace).await;
    let cases = cases();
    let all = cases.len();
    let running = cases.iter().enumerate().map(|(number, case)| walk::run(case, number, &surroundings, &fields));
    let failures: Vec<String> =
        stream::iter(running).buffer_unordered(AT_A_TIME).filter_map(|result| async { result.err() }).collect().await;
    operator.stop().await;
    assert!(failures.is_empty(), "{} of {all} cases failed:\n{}", failures.len(), failures.join("\n\n"));
}
