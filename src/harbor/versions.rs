//! The versions of Harbor that are known, and which can be reached from which. Pure.

/// A version that Fairway knows the contract of.
struct Known {
    version: &'static str,
    /// The versions, as `major.minor`, whose database its migrations were made for. Harbor migrates from the two
    /// minor versions before, and within its own.
    from: &'static [&'static str],
    /// What its migrations leave in `schema_migrations`.
    schema: i64,
}

/// In their order.
const KNOWN: [Known; 2] = [
    Known { version: "2.14.3", from: &["2.12", "2.13", "2.14"], schema: 171 },
    Known { version: "2.15.2", from: &["2.13", "2.14", "2.15"], schema: 180 },
];

/// Why a version can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// It is not among those that are known.
    #[error("version {wanted} is not known; choose one of {}", known().collect::<Vec<_>>().join(", "))]
    Unknown {
        /// What was asked for.
        wanted: String,
    },
    /// The class does not offer it.
    #[error("class {class} does not offer version {wanted}; choose one of {}", offered.join(", "))]
    NotOffered {
        /// What was asked for.
        wanted: String,
        /// Who offers.
        class: String,
        /// What it offers.
        offered: Vec<String>,
    },
    /// Harbor can't go back.
    #[error(
        "Harbor can't go back from version {installed} to {wanted}: its database can't; ask for {installed} or later"
    )]
    Downgrade {
        /// What runs.
        installed: String,
        /// What was asked for.
        wanted: String,
    },
    /// Too much lies between.
    #[error("version {wanted} can't be reached from {installed} in one step; ask for a version in between first")]
    NoPath {
        /// What runs.
        installed: String,
        /// What was asked for.
        wanted: String,
    },
}

impl VersionError {
    /// For condition and event.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "UnknownVersion",
            Self::NotOffered { .. } => "VersionNotOffered",
            Self::Downgrade { .. } => "DowngradeRefused",
            Self::NoPath { .. } => "NoUpgradePath",
        }
    }
}

/// All that are known, in their order.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.version)
}

/// The newest that is known, of those on offer; `offered` is empty where all are.
#[must_use]
pub fn newest(offered: &[String]) -> Option<&'static str> {
    known().filter(|version| offered.is_empty() || offered.iter().any(|offered| offered == version)).last()
}

/// What the migrations of a version leave in `schema_migrations`.
#[must_use]
pub fn schema(version: &str) -> Option<i64> {
    KNOWN.iter().find(|known| known.version == version).map(|known| known.schema)
}

/// Whether a database of version `installed` (empty before there is one) can become one of `wanted`.
///
/// # Errors
/// When the version is not known, is older, or can't be reached in one step.
pub fn reach(installed: &str, wanted: &str) -> Result<(), VersionError> {
    let found = KNOWN.iter().find(|known| known.version == wanted);
    let Some(known) = found else { return Err(VersionError::Unknown { wanted: wanted.to_owned() }) };
    if installed.is_empty() || installed == wanted {
        return Ok(());
    }
    let (installed, wanted) = (installed.to_owned(), wanted.to_owned());
    if numbers(&installed) > numbers(&wanted) {
        return Err(VersionError::Downgrade { installed, wanted });
    }
    let minor = installed.rsplit_once('.').map_or(installed.as_str(), |(minor, _)| minor);
    if known.from.contains(&minor) { Ok(()) } else { Err(VersionError::NoPath { installed, wanted }) }
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|number| number.parse().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", "2.15.2", None)]
    #[case("2.15.2", "2.15.2", None)]
    #[case("2.14.3", "2.15.2", None)]
    #[case("2.13.0", "2.15.2", None)]
    #[case("2.15.2", "2.14.3", Some("DowngradeRefused"))]
    #[case("2.15.10", "2.15.2", Some("DowngradeRefused"))]
    #[case("2.9.4", "2.15.2", Some("NoUpgradePath"))]
    #[case("", "2.15.3", Some("UnknownVersion"))]
    #[case("2.15.2", "3.0.0", Some("UnknownVersion"))]
    fn only_known_paths_are_taken(#[case] installed: &str, #[case] wanted: &str, #[case] reason: Option<&str>) {
        assert_eq!(reach(installed, wanted).err().map(|error| error.reason()), reason);
    }

    #[test]
    fn the_newest_on_offer_is_the_default() {
        assert_eq!(newest(&[]), Some("2.15.2"));
        assert_eq!(newest(&["2.14.3".to_owned()]), Some("2.14.3"));
        assert_eq!(newest(&["1.0.0".to_owned()]), None);
        assert_eq!(schema("2.15.2"), Some(180));
    }
}
