//! A registry from its making to its return: ready, told, unharmed by mistakes, kept. Touches the test's namespace, and a
//! `HarborClass`.

use serde_json::{Value, json};

use crate::{
    api::HarborStatus,
    scorecard::{
        balancer::LIVE,
        registry::{self, AGAIN, Registry, START},
        result::{Trouble, seen},
        subject::good,
        testbed::Testbed,
    },
};

pub(super) async fn registries_serve(testbed: &Testbed) -> Result<(), Trouble> {
    let class = registry::class(testbed, &testbed.examples.registry_classes[0]).await?;
    testbed.registry_class(&class).await?;
    for example in &testbed.examples.registries {
        let mut spec = example["spec"].clone();
        if spec["className"].is_null() {
            spec["className"] = class["metadata"]["name"].clone();
        }
        let registry = testbed.registry(&json!({ "metadata": example["metadata"], "spec": spec })).await?;
        let settled = registry.settled(START).await?;
        registry::informative(&settled).map_err(Trouble::Unmet)?;
        // A class may say which versions there are.
        let unknown = if class["spec"]["versions"].is_array() { "VersionNotOffered" } else { "UnknownVersion" };
        mistakes(&registry, &spec, unknown, &settled.spec.external_url).await?;
        returns(&registry, &spec, &settled.spec.external_url).await?;
    }
    Ok(())
}

/// What can't be followed is told, what serves serves on, and all is well once it is taken back.
async fn mistakes(registry: &Registry<'_>, spec: &Value, unknown: &str, url: &str) -> Result<(), Trouble> {
    let traffic = registry.traffic(registry.answers(url).await?).await?;
    let with = |field: &str, value: Value| {
        let mut changed = spec.clone();
        changed[field] = value;
        changed
    };
    let bucket = json!({ "type": "S3", "s3": { "bucket": "images", "credentialsSecretName": "not-there" } });
    for (mistake, kind, reason, names) in [
        (with("version", json!("1.2.3")), "Accepted", unknown, "1.2.3"),
        (with("storage", bucket), "ResolvedRefs", "SecretNotFound", "\"not-there\""),
    ] {
        registry.write(&mistake).await?;
        let serves = |harbor: &_, status: &HarborStatus| {
            good(harbor, status, "Healthy")?;
            good(harbor, status, "Ready")
        };
        let message = registry.tells(kind, reason, LIVE, serves).await?;
        seen(message.contains(names), || format!("{names} is not named: {message}")).map_err(Trouble::Unmet)?;
        registry.write(spec).await?;
        registry.settled(AGAIN).await?;
    }
    registry.unharmed(traffic).await
}

/// Deleted with `deletionPolicy: Retain`, and made again, it has the volumes that it had. That it becomes ready shows
/// that the Secret of its credentials was kept as well: without that one nobody could read them.
async fn returns(registry: &Registry<'_>, spec: &Value, url: &str) -> Result<(), Trouble> {
    let before = registry.volumes().await?;
    registry.delete().await?;
    let left = registry.volumes().await?;
    seen(!before.is_empty() && left == before, || format!("it had volumes {before:?}, and left {left:?}"))
        .map_err(Trouble::Unmet)?;
    registry.write(spec).await?;
    registry.settled(AGAIN).await?;
    registry.answers(url).await?;
    let after = registry.volumes().await?;
    seen(after == before, || format!("it had volumes {before:?}, and has {after:?}")).map_err(Trouble::Unmet)
}
