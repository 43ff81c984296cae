//! Every field of registries and their classes: changed on a live object of a real API server, followed to what the
//! operator plans for it, back, into an error state and out of it. A walk through the schemas that the API server holds
//! fails for each field that no case covers, so that none can be added without one. What becomes of a plan is shown by
//! `harbor_install`, and on nodes by `tests/e2e`.
//!
//! A case is a row of `components`, `servers`, `front`, `storage` or `rest`.

mod case;
mod components;
mod front;
mod planned;
mod rest;
mod rules;
mod servers;
mod status;
mod storage;
mod walk;

use std::collections::BTreeSet;

use futures::{StreamExt, stream};

use self::case::{Case, On};
use crate::{
    fields::schema::{self, REGISTRIES},
    server::{client, namespace},
};

/// How many cases run side by side.
const AT_A_TIME: usize = 8;

fn cases() -> Vec<Case> {
    let mut cases = rest::cases();
    for on in [On::Harbor, On::Class] {
        for rows in [components::rows(), servers::rows(), front::rows(), storage::rows(), rest::rows()] {
            cases.extend(rows.into_iter().map(|row| row.on(on)));
        }
    }
    cases.extend(servers::class_rows().into_iter().map(|row| row.on(On::Class)));
    // What a customer brings is the customer's alone.
    cases.extend(servers::own_rows().into_iter().map(|row| row.on(On::Harbor)));
    cases
}

#[tokio::test]
async fn no_field_is_without_a_case() {
    let fields = schema::fields(&client().await, &REGISTRIES).await;
    let in_spec = fields.iter().filter(|field| field.path.contains(".spec."));
    let there: BTreeSet<&str> = in_spec.map(|field| field.path.as_str()).collect();
    let covered: BTreeSet<String> = cases().iter().flat_map(Case::covers).collect();
    let uncovered: Vec<_> = there.iter().filter(|path| !covered.contains(**path)).collect();
    assert!(uncovered.is_empty(), "no case changes {uncovered:#?}");
    let unknown: Vec<_> = covered.iter().filter(|path| !there.contains(path.as_str())).collect();
    assert!(unknown.is_empty(), "no schema has {unknown:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_is_planned_for_there_and_back_and_through_an_error() {
    let (client, namespace) = namespace().await;
    let fields = schema::fields(&client, &REGISTRIES).await;
    let cases = cases();
    let all = cases.len();
    let running =
        cases.iter().enumerate().map(|(number, case)| walk::run(case, number, client.clone(), &namespace, &fields));
    let failures: Vec<String> =
        stream::iter(running).buffer_unordered(AT_A_TIME).filter_map(|result| async { result.err() }).collect().await;
    assert!(failures.is_empty(), "{} of {all} cases failed:\n{}", failures.len(), failures.join("\n\n"));
}
