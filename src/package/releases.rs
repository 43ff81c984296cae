//! Which versions are offered, in which channels, and what each replaces: `catalog/releases.yaml`, and what of a
//! catalog follows from it. Pure.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// The name of the package.
pub(super) const PACKAGE: &str = "fairway";

/// The releases, as somebody wrote them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Releases {
    /// The channels, from the boldest to the steadiest.
    channels: Vec<Channel>,
    /// The versions, oldest first.
    releases: Vec<Release>,
}

/// A channel of the catalog.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Channel {
    name: String,
    /// Why it should no longer be used; none if it may.
    deprecated: Option<String>,
}

/// A version that is offered.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Release {
    pub(super) version: String,
    /// When it was made.
    pub(super) created_at: Timestamp,
    pub(super) channels: Vec<String>,
    /// Why it should no longer be used; none if it may.
    deprecated: Option<String>,
}

/// What is wrong with the releases.
#[derive(Debug, thiserror::Error)]
pub enum ReleasesError {
    /// The file is not what it should be.
    #[error("it can't be read: {0}")]
    Unreadable(Box<serde_saphyr::Error>),
    /// No release has this version.
    #[error("it has no release {0}: add it, with its channels")]
    Missing(String),
    /// A version is not three numbers.
    #[error("{0:?} is no version: three numbers such as 1.2.3")]
    NoVersion(String),
    /// Versions do not grow.
    #[error("{0} does not come after {1}: releases stand oldest first, each once")]
    Order(String, String),
    /// A release names a channel that there is not.
    #[error("release {0} is in no channel, or in one that is not listed")]
    Channel(String),
}

impl Releases {
    /// Reads and checks the file's text.
    ///
    /// # Errors
    /// If it does not hold together.
    pub fn parse(text: &str) -> Result<Self, ReleasesError> {
        let read: Self = serde_saphyr::from_str(text).map_err(|error| ReleasesError::Unreadable(Box::new(error)))?;
        for release in &read.releases {
            numbers(&release.version).ok_or_else(|| ReleasesError::NoVersion(release.version.clone()))?;
            let known = |name: &String| read.channels.iter().any(|channel| channel.name == *name);
            if release.channels.is_empty() || !release.channels.iter().all(known) {
                return Err(ReleasesError::Channel(release.version.clone()));
            }
        }
        for pair in read.releases.windows(2) {
            if compare(&pair[0].version, &pair[1].version) != Ordering::Less {
                return Err(ReleasesError::Order(pair[1].version.clone(), pair[0].version.clone()));
            }
        }
        Ok(read)
    }

    /// The release of a version.
    pub(super) fn release(&self, version: &str) -> Result<&Release, ReleasesError> {
        let mut found = self.releases.iter().filter(|release| release.version == version);
        found.next().ok_or_else(|| ReleasesError::Missing(version.to_owned()))
    }

    /// The name of the version before this one; none for the first.
    pub(super) fn before(&self, version: &str) -> Option<String> {
        let older = self.releases.iter().take_while(|release| release.version != version);
        older.last().map(|release| bundle_name(&release.version))
    }

    /// All older versions, as a range; none for the first.
    pub(super) fn older(&self, version: &str) -> Option<String> {
        let first = self.releases.first().filter(|first| first.version != version)?;
        Some(format!(">={} <{version}", first.version))
    }

    /// The steadiest channel that offers a version.
    pub(super) fn default_channel(&self) -> &str {
        let offers = |channel: &&Channel| self.releases.iter().any(|release| release.channels.contains(&channel.name));
        self.channels.iter().rev().find(offers).map_or("", |channel| &channel.name)
    }

    /// What a file-based catalog says of package, channels and deprecations; bundles are rendered by opm.
    pub(super) fn catalog(&self, icon: &Value, description: &str) -> Vec<Value> {
        let mut blobs = vec![json!({
            "schema": "olm.package",
            "name": PACKAGE,
            "defaultChannel": self.default_channel(),
            "description": description,
            "icon": icon,
        })];
        blobs.extend(self.channels.iter().filter_map(|channel| self.channel(channel)));
        blobs.extend(self.deprecations());
        blobs
    }

    /// A channel with what each of its versions replaces; none while it offers nothing.
    fn channel(&self, channel: &Channel) -> Option<Value> {
        let mut entries: Vec<Value> = vec![];
        for release in self.releases.iter().filter(|release| release.channels.contains(&channel.name)) {
            let mut entry = json!({ "name": bundle_name(&release.version) });
            if let Some(before) = entries.last() {
                entry["replaces"] = before["name"].clone();
            }
            if let Some(older) = self.older(&release.version) {
                entry["skipRange"] = json!(older);
            }
            entries.push(entry);
        }
        let blob = json!({ "schema": "olm.channel", "package": PACKAGE, "name": channel.name, "entries": entries });
        (!entries.is_empty()).then_some(blob)
    }

    fn deprecations(&self) -> Option<Value> {
        let entry = |schema: &str, name: &str, message: &String| {
            let reference = json!({ "schema": schema, "name": name });
            json!({ "reference": reference, "message": message })
        };
        let channels = self.channels.iter().filter_map(|channel| {
            channel.deprecated.as_ref().map(|message| entry("olm.channel", &channel.name, message))
        });
        let bundles = self.releases.iter().filter_map(|release| {
            let name = bundle_name(&release.version);
            release.deprecated.as_ref().map(|message| entry("olm.bundle", &name, message))
        });
        let entries: Vec<Value> = channels.chain(bundles).collect();
        let blob = json!({ "schema": "olm.deprecations", "package": PACKAGE, "entries": entries });
        (!entries.is_empty()).then_some(blob)
    }
}

/// What a version's bundle, and its `ClusterServiceVersion`, is called.
pub(super) fn bundle_name(version: &str) -> String {
    format!("{PACKAGE}.v{version}")
}

fn compare(one: &str, other: &str) -> Ordering {
    numbers(one).cmp(&numbers(other))
}

/// The three numbers of a version.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let parts: Result<Vec<u64>, _> = version.split('.').map(str::parse).collect();
    parts.ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::Releases;

    const THREE: &str = "
channels: [{ name: candidate-v1 }, { name: fast-v1, deprecated: use stable }, { name: stable-v1 }, { name: none }]
releases:
  - { version: 0.9.0, createdAt: 2026-11-23T00:00:00Z, channels: [candidate-v1, fast-v1, stable-v1], deprecated: it is old }
  - { version: 0.10.0, createdAt: 2026-11-23T00:00:00Z, channels: [candidate-v1] }
  - { version: 0.10.1, createdAt: 2026-11-23T00:00:00Z, channels: [candidate-v1, stable-v1] }
";

    fn of<'a>(blobs: &'a [Value], schema: &str, name: &str) -> &'a Value {
        blobs.iter().find(|blob| blob["schema"] == schema && blob["name"] == name).expect("the blob")
    }

    #[test]
    fn a_channel_leads_from_each_version_to_its_next_and_from_any_to_the_last() {
        let blobs = Releases::parse(THREE).expect("releases").catalog(&Value::Null, "");
        assert_eq!(of(&blobs, "olm.package", "fairway")["defaultChannel"], "stable-v1");
        assert_eq!(
            of(&blobs, "olm.channel", "stable-v1")["entries"],
            json!([
                { "name": "fairway.v0.9.0" },
                { "name": "fairway.v0.10.1", "replaces": "fairway.v0.9.0", "skipRange": ">=0.9.0 <0.10.1" },
            ])
        );
        assert_eq!(of(&blobs, "olm.channel", "candidate-v1")["entries"][2]["replaces"], "fairway.v0.10.0");
        assert!(!blobs.iter().any(|blob| blob["name"] == "none"), "a channel without a version is not offered");
    }

    #[test]
    fn what_is_deprecated_says_why() {
        let blobs = Releases::parse(THREE).expect("releases").catalog(&Value::Null, "");
        let deprecations = blobs.last().expect("deprecations");
        assert_eq!(
            deprecations["entries"],
            json!([
                { "reference": { "schema": "olm.channel", "name": "fast-v1" }, "message": "use stable" },
                { "reference": { "schema": "olm.bundle", "name": "fairway.v0.9.0" }, "message": "it is old" },
            ])
        );
    }

    #[rstest]
    #[case::no_version("1.0", "stable", "\"1.0\" is no version")]
    #[case::unknown_channel("1.0.0", "fast", "release 1.0.0 is in no channel")]
    #[case::twice("0.9.0", "stable", "0.9.0 does not come after 0.9.0")]
    #[case::older("0.8.10", "stable", "0.8.10 does not come after 0.9.0")]
    fn releases_hold_together(#[case] version: &str, #[case] channel: &str, #[case] expected: &str) {
        let text = format!(
            "channels: [{{ name: stable }}]\nreleases:\n- {{ version: 0.9.0, createdAt: 2026-11-23T00:00:00Z, channels: [stable] }}\n- {{ version: {version:?}, createdAt: 2026-11-23T00:00:00Z, channels: [{channel}] }}\n"
        );
        let error = Releases::parse(&text).expect_err("an error").to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
