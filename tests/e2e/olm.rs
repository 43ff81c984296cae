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
    let path = match kind {
        "subscription" => "{.status.conditions[*].message}",
        _ => "{.status.message}",
    };
    tell(&operator.tells(kind, name, path, expected).await);
}
