//! What users of OLM do wrong: the Subscription tells them, in the words of docs/troubleshooting.md, and once it is mended
//! the operator comes. Touches OLM and a sandbox.

use super::operator::{Catalog, FIRST, OLM, Operator};
use crate::{
    cluster::{root, tell},
    sandbox,
    wait::{self, seen},
};

/// Waits until the Subscription says something that the page explains.
async fn explained(operator: &Operator<'_>, expected: &str) {
    let page = std::fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    assert!(page.contains(expected), "the page does not explain: {expected}");
    let told = wait::until(&format!("the Subscription to tell {expected:?}"), OLM, async || {
        let conditions = operator.read("subscription", "fairway", "{.status.conditions}").await?;
        seen(conditions.contains(expected), || conditions.clone())?;
        Ok::<_, String>(conditions)
    })
    .await;
    tell(&told);
}

#[test]
fn a_channel_that_is_not_there_is_told() {
    sandbox::restricted("channel", async |sandbox| {
        let operator = Operator::prepare(sandbox).await;
        operator.offer(Catalog::First).await;
        operator.watch(&[]).await;
        operator.subscribe("nightly", "Automatic").await;
        explained(&operator, "no operators found in channel nightly of package fairway").await;
        operator.subscribe("stable-v1", "Automatic").await;
        operator.installed(FIRST).await;
        operator.remove(&[]).await;
    });
}
