//! Level 2, Seamless Upgrades: the image of an operand is exchanged under traffic, and an upgrade that can't succeed does
//! no harm. What only another operator can show is shown by the tests of this repository. Touches the test's namespace.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;

use super::{
    Level, QUICK, Test,
    balancer::{START, http_port, pods, settled},
    result::{Trouble, seen},
    subject::{condition, good},
    testbed::Testbed,
};
use crate::api::LoadBalancerStatus;

/// How long pods may take to be replaced one after the other, with the time that old connections have.
const ROLLOUT: Duration = Duration::from_mins(3);
/// A registry that there is nowhere (RFC 2606).
const NO_IMAGE: &str = "registry.invalid/haproxy:0";

pub(super) const LEVEL: Level = Level {
    number: 2,
    name: "Seamless Upgrades",
    suite: "seamless-upgrades",
    tests: &[
        Test {
            name: "operands-are-upgraded",
            claim: "another spec.image replaces the pods one after the other; status tells each, and no request fails",
            limit: QUICK,
            run: |testbed| Box::pin(operands_are_upgraded(testbed)),
        },
        Test {
            name: "failed-upgrades-harm-nothing",
            claim: "an image that can't be pulled is told in status, what served serves on, and it can be taken back",
            limit: QUICK,
            run: |testbed| Box::pin(failed_upgrades_harm_nothing(testbed)),
        },
    ],
};

async fn operands_are_upgraded(testbed: &Testbed) -> Result<(), Trouble> {
    let mut example = testbed.examples.load_balancers[0].clone();
    let balancer = testbed.balancer(&example).await?;
    let before = balancer.settled(START).await?.status.unwrap_or_default();
    let (container, runs) = balancer.containers(&before).await?.into_iter().next().unwrap_or_default();
    let image = another_name(&container.image.unwrap_or_default(), &runs).map_err(Trouble::Unmet)?;
    testbed.note(&format!("the pods run {runs}; from now on as {image}"));

    let traffic = balancer.traffic(http_port(&example["spec"])?).await?;
    example["spec"]["image"] = json!(image);
    balancer.write(&example["spec"]).await?;
    let (old, mut steps, mut away) = (pods(&before), BTreeSet::new(), None);
    let after = balancer.becomes("to have replaced its pods", ROLLOUT, |load_balancer, status| {
        steps.insert(step(&old, status));
        let ready = condition(status, "Ready")?;
        if ready.status != "True" {
            away = Some(format!("{} ({})", ready.reason, ready.message));
        }
        settled(load_balancer, status)?;
        let now = pods(status);
        seen(now.len() == old.len() && now.is_disjoint(&old), || format!("pods {now:?}, before {old:?}"))?;
        Ok(status.clone())
    });
    let after = after.await?;
    balancer.unharmed(traffic).await?;
    let between = steps.iter().any(|(old, new)| *old > 0 && *new > 0);
    let told = format!("status told of old and new pods that serve: {steps:?}");
    testbed.note(&told);
    seen(between && away.is_none(), || format!("{told}; not ready: {away:?}")).map_err(Trouble::Unmet)?;
    for (container, _) in balancer.containers(&after).await? {
        let runs = container.image.unwrap_or_default();
        seen(runs == image, || format!("{image} was asked for, and a pod has {runs}")).map_err(Trouble::Unmet)?;
    }
    Ok(())
}

/// How many of the old pods and of new ones serve.
fn step(old: &BTreeSet<String>, status: &LoadBalancerStatus) -> (usize, usize) {
    let serving = status.replica_statuses.iter().filter(|replica| replica.ready);
    let (old, new): (Vec<_>, Vec<_>) = serving.partition(|replica| old.contains(&replica.pod));
    (old.len(), new.len())
}

/// Another name of an image that a cluster has, so that no other image is needed: by its digest, or by that with a tag,
/// which nobody looks at beside a digest. `runs` is what the node says that it runs.
fn another_name(image: &str, runs: &str) -> Result<String, String> {
    let digest = |name: &str| name.split_once('@').map(|(_, digest)| digest.to_owned());
    let (name, _) = image.split_once('@').unwrap_or((image, ""));
    // A colon before a slash is a registry's port.
    let name = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name);
    match (digest(image), digest(runs)) {
        (Some(digest), _) if image.starts_with(&format!("{name}@")) => Ok(format!("{name}:scorecard@{digest}")),
        (Some(digest), _) | (None, Some(digest)) => Ok(format!("{name}@{digest}")),
        (None, None) => Err(format!("the node does not tell the digest of {image}: {runs:?}")),
    }
}

async fn failed_upgrades_harm_nothing(testbed: &Testbed) -> Result<(), Trouble> {
    let example = &testbed.examples.load_balancers[0];
    let balancer = testbed.balancer(example).await?;
    let before = balancer.settled(START).await?.status.unwrap_or_default();
    let traffic = balancer.traffic(http_port(&example["spec"])?).await?;

    let mut bad = example["spec"].clone();
    bad["image"] = json!(NO_IMAGE);
    balancer.write(&bad).await?;
    let old = pods(&before);
    let message = balancer.becomes("to tell that an image can't be pulled", START, |load_balancer, status| {
        let new = status.replica_statuses.iter().find(|replica| !old.contains(&replica.pod));
        let message = new.map(|replica| replica.message.clone()).unwrap_or_default();
        seen(message.contains("ImagePull"), || format!("a new pod says {message:?}"))?;
        good(load_balancer, status, "Ready")?;
        seen(pods(status).is_superset(&old), || format!("old pods went: {old:?}, and now {:?}", pods(status)))?;
        Ok(message)
    });
    let message = message.await?;
    testbed.note(&format!("told: {message}"));

    balancer.write(&example["spec"]).await?;
    let back = balancer.becomes("to be as it was", ROLLOUT, |load_balancer, status| {
        settled(load_balancer, status)?;
        seen(pods(status) == old, || format!("pods {:?}, before {old:?}", pods(status)))
    });
    back.await?;
    balancer.unharmed(traffic).await
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::another_name;

    #[rstest]
    #[case::tagged("quay.io/f/haproxy:2.6.12", "quay.io/f/haproxy@sha256:aa", "quay.io/f/haproxy@sha256:aa")]
    #[case::untagged("localhost:5000/haproxy", "docker-pullable://x@sha256:aa", "localhost:5000/haproxy@sha256:aa")]
    #[case::by_digest("quay.io/f/haproxy@sha256:aa", "", "quay.io/f/haproxy:scorecard@sha256:aa")]
    #[case::both("quay.io:443/f/haproxy:2.6@sha256:aa", "", "quay.io:443/f/haproxy@sha256:aa")]
    fn an_image_has_another_name(#[case] image: &str, #[case] runs: &str, #[case] expected: &str) {
        assert_eq!(another_name(image, runs).as_deref(), Ok(expected));
    }

    #[test]
    fn a_digest_that_is_not_told_can_not_be_used() {
        assert!(another_name("haproxy:2.6", "sha256:aa").is_err());
    }
}
