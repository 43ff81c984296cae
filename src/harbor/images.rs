//! The images that Fairway runs for registries, and which of them the operator was told to take from elsewhere. Pure.
//!
//! One rule for all: an image is named by its repository and tag, and `RELATED_IMAGE_` with its own name and tag in
//! capitals gives another in its place: `RELATED_IMAGE_HARBOR_CORE_V2_15_2`, `RELATED_IMAGE_POSTGRES_15`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::versions;

/// Where Harbor's images are published.
const REPOSITORY: &str = "docker.io/goharbor";
/// The major version that Harbor 2.14 and 2.15 are tested with; a volume can't change it.
pub(super) const POSTGRESQL: &str = "docker.io/library/postgres:15";
/// What jobs are queued in.
pub(super) const REDIS: &str = "docker.io/library/redis:7";
/// Harbor's own of each version.
const HARBOR: [&str; 7] = [
    "harbor-core",
    "harbor-exporter",
    "harbor-jobservice",
    "harbor-portal",
    "harbor-registryctl",
    "registry-photon",
    "trivy-adapter-photon",
];

/// One of Harbor's own images of a version.
pub(super) fn harbor(name: &str, version: &str) -> String {
    format!("{REPOSITORY}/{name}:v{version}")
}

/// All images that are run where nobody asks for another.
pub fn all() -> impl Iterator<Item = String> {
    let of = |version| HARBOR.iter().map(move |name| harbor(name, version));
    versions::known().flat_map(of).chain([POSTGRESQL, REDIS].map(str::to_owned))
}

/// The name and tag of an image, such as `harbor-core` and `v2.15.2`.
fn parts(image: &str) -> (&str, &str) {
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').unwrap_or((last, ""))
}

/// An image's entry among the images that a package names, such as `harbor-core-v2.15.2`.
#[must_use]
pub fn entry(image: &str) -> String {
    let (name, tag) = parts(image);
    format!("{name}-{tag}")
}

/// The variable of the operator's environment that gives another image in place of one.
#[must_use]
pub fn variable(image: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    format!("RELATED_IMAGE_{}", entry(image).chars().map(letter).collect::<String>())
}

/// What is run in place of some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images(BTreeMap<String, String>);

impl Images {
    /// What the operator's environment says.
    pub fn read(environment: impl Fn(&str) -> Option<String>) -> Self {
        let told = |image: String| {
            let other = environment(&variable(&image)).filter(|other| !other.is_empty())?;
            Some((image, other))
        };
        Self(all().filter_map(told).collect())
    }

    /// What is run in place of an image, which may be itself.
    #[must_use]
    pub fn get(&self, image: &str) -> String {
        self.0.get(image).cloned().unwrap_or_else(|| image.to_owned())
    }

    /// Those of all images that run as one of these.
    #[must_use]
    pub fn among(&self, running: &[&str]) -> Self {
        let known = |image: String| {
            let other = self.get(&image);
            running.contains(&other.as_str()).then_some((image, other))
        };
        Self(all().filter_map(known).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_has_a_variable_of_its_own() {
        assert_eq!(variable(&harbor("harbor-core", "2.15.2")), "RELATED_IMAGE_HARBOR_CORE_V2_15_2");
        assert_eq!(variable(POSTGRESQL), "RELATED_IMAGE_POSTGRES_15");
        assert_eq!(entry(REDIS), "redis-7");
        let variables: BTreeSet<String> = all().map(|image| variable(&image)).collect();
        assert_eq!((variables.len(), all().count()), (16, 16));
    }

    #[test]
    fn what_the_environment_gives_is_run() {
        let told = |name: &str| match name {
            "RELATED_IMAGE_REDIS_7" => Some("mirror/redis@sha256:1".to_owned()),
            "RELATED_IMAGE_POSTGRES_15" => Some(String::new()),
            _ => None,
        };
        let images = Images::read(told);
        assert_eq!(images.get(REDIS), "mirror/redis@sha256:1");
        assert_eq!(images.get(POSTGRESQL), POSTGRESQL, "an empty one is none");
        assert_eq!(images.among(&["mirror/redis@sha256:1", "other"]), images);
    }
}
