//! `fairway scorecard SUITE/TEST`: what the package claims of each capability level, tried on the cluster that the test's
//! pod runs in. [`LEVELS`] is the one list: the bundle's config, its `capabilities` and the documentation follow it, and a
//! new level is a file here and a line there. Touches the namespace that scorecard names, and makes classes, which are in
//! none; what a test makes it takes away again.
//!
//! Scorecard reads the log of the pod, where nothing but one JSON may stand, and ignores the exit code.

mod balancer;
mod basic_install;
mod bundle;
mod member;
mod registry;
mod result;
mod seamless_upgrades;
mod subject;
mod testbed;
mod traffic;

use std::{future::pending, path::PathBuf, time::Duration};

use futures::future::LocalBoxFuture;
use tokio::{signal::unix, time::timeout};

pub use self::{registry::GIVEN, result::TestStatus};
use self::{result::Trouble, testbed::Testbed};

/// The levels that are claimed, from the first on. Those that follow come with what they claim.
pub const LEVELS: &[Level] = &[basic_install::LEVEL, seamless_upgrades::LEVEL];

/// How long a test may take, whatever it waits for.
pub const QUICK: Duration = Duration::from_mins(4);
/// The same for one with a registry, whose images are large and whose programs start one after the other.
pub const LONG: Duration = Duration::from_mins(15);

/// One of the operator SDK's capability levels.
pub struct Level {
    /// Which, from 1.
    pub number: usize,
    /// What a `ClusterServiceVersion` calls it.
    pub name: &'static str,
    /// The label `suite` of its tests.
    pub suite: &'static str,
    /// What shows it.
    pub tests: &'static [Test],
}

/// A test of a level.
pub struct Test {
    /// The label `test`.
    pub name: &'static str,
    /// What it shows.
    pub claim: &'static str,
    /// How long it may take.
    pub limit: Duration,
    run: for<'a> fn(&'a Testbed) -> LocalBoxFuture<'a, Result<(), Trouble>>,
}

/// What the test is told; scorecard sets the environment.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The test, as SUITE/TEST.
    test: Option<String>,
    /// The namespace in which it is tried; scorecard sets it.
    #[arg(long, env = "SCORECARD_NAMESPACE")]
    namespace: Option<String>,
    /// Where the bundle is.
    #[arg(long, default_value = "/bundle")]
    bundle: PathBuf,
    /// The pod that the test runs in, if it is one: what the test makes goes with it.
    #[arg(long, env = "HOSTNAME")]
    pod: Option<String>,
}

/// The highest level that is claimed, as a `ClusterServiceVersion` calls it.
#[must_use]
pub fn capabilities() -> &'static str {
    LEVELS.last().map_or("", |level| level.name)
}

/// Every test as `SUITE/TEST`.
pub fn tests() -> impl Iterator<Item = (String, &'static Test)> {
    LEVELS.iter().flat_map(|level| level.tests.iter().map(|test| (format!("{}/{}", level.suite, test.name), test)))
}

/// Runs the test that the options name; there is always a result.
pub async fn run(options: Options) -> TestStatus {
    let name = options.test.clone().unwrap_or_default();
    let Some((_, test)) = tests().find(|(known, _)| *known == name) else {
        let known: Vec<String> = tests().map(|(known, _)| known).collect();
        return TestStatus::of(&name, "", Err(Trouble::NoSuchTest(name.clone(), known.join(", "))));
    };
    let testbed = match Testbed::open(&options).await {
        Ok(testbed) => testbed,
        Err(trouble) => return TestStatus::of(test.name, test.claim, Err(trouble)),
    };
    let ended = tokio::select! {
        ended = timeout(test.limit, (test.run)(&testbed)) => ended.unwrap_or(Err(Trouble::TooLong(test.limit))),
        () = asked_to_end() => Err(Trouble::Asked),
    };
    let (log, cleaned) = testbed.close().await;
    TestStatus::of(test.name, &format!("{}\n{log}", test.claim), ended.and(cleaned))
}

/// Ends when the pod is about to be killed: what was made is taken away before.
async fn asked_to_end() {
    match unix::signal(unix::SignalKind::terminate()) {
        Ok(mut signal) => _ = signal.recv().await,
        Err(_) => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::PathBuf};

    use rstest::rstest;

    use super::{LEVELS, Options, capabilities, run, tests};

    /// The operator SDK's, in their order.
    const NAMES: [&str; 5] = ["Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot"];
    const PAGE: &str = include_str!("../../docs/capabilities.md");

    #[test]
    fn levels_have_the_names_of_the_sdk_and_none_is_left_out() {
        for (index, level) in LEVELS.iter().enumerate() {
            assert_eq!((level.number, level.name), (index + 1, NAMES[index]));
            assert_eq!(level.suite, level.name.to_lowercase().replace(' ', "-"));
            assert!(!level.tests.is_empty(), "{}", level.name);
        }
    }

    #[test]
    fn the_page_claims_what_the_suites_show_and_names_every_test() {
        assert!(PAGE.contains(&format!("The package claims **{}**", capabilities())));
        for level in LEVELS {
            let (_, rest) = PAGE.split_once(&format!("## {}: ", level.number)).expect("its section");
            let section = rest.split("\n## ").next().unwrap_or_default();
            assert!(!section.contains("not yet"), "{} is claimed", level.name);
        }
        let of_a_suite = |word: &&str| LEVELS.iter().any(|level| word.starts_with(&format!("{}/", level.suite)));
        let named: BTreeSet<String> = PAGE.split('`').filter(of_a_suite).map(ToOwned::to_owned).collect();
        assert_eq!(named, tests().map(|(name, _)| name).collect());
    }

    #[rstest]
    #[case::no_test(None, None, "there is no test \"\"; there are basic-install/")]
    #[case::another(Some("basic-install/flying"), None, "there is no test \"basic-install/flying\"")]
    #[case::no_namespace(Some("basic-install/samples-serve"), None, "SCORECARD_NAMESPACE is not set")]
    #[case::no_bundle(Some("basic-install/samples-serve"), Some("here"), "there is no bundle in /nowhere")]
    #[tokio::test]
    async fn what_can_not_be_run_says_why(
        #[case] test: Option<&str>,
        #[case] namespace: Option<&str>,
        #[case] expected: &str,
    ) {
        let [test, namespace] = [test, namespace].map(|text| text.map(ToOwned::to_owned));
        let options = Options { test, namespace, bundle: PathBuf::from("/nowhere"), pod: None };
        let told = serde_json::to_value(run(options).await).expect("JSON");
        let result = &told["results"][0];
        assert_eq!(result["state"], "error");
        let error = result["errors"][0].as_str().expect("an error");
        assert!(error.starts_with(expected), "{error}");
        assert!(result["suggestions"][0].is_string(), "{result}");
    }
}
