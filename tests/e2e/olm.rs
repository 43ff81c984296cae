//! Fairway by the Operator Lifecycle Manager: installed by a Subscription, upgraded by its channels, taken away and
//! brought back. `make test-e2e` makes the catalogs. Touches OLM, sandboxes, and the operator that the other tests use,
//! which is put back.

mod mistakes;
mod modes;
mod operator;
mod scorecard;
mod upgrade;

use self::operator::Operator;
use crate::cluster::{root, tell};

/// Waits until OLM says something that docs/troubleshooting.md explains.
async fn explained(operator: &Operator<'_>, kind: &str, name: &str, expected: &str) {
    let page = std::fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    assert!(page.contains(expected), "the page does not explain: {expected}");
    // A version that has failed is tried anew at once: what it said stays in its conditions.
    let path = "{.status.message} {.status.conditions[*].message}";
    tell(&operator.tells(kind, name, path, expected).await);
}
