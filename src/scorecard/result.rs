//! What scorecard reads: a result, as `scorecard.operatorframework.io/v1alpha3` has it. Pure.

use std::{path::PathBuf, time::Duration};

use kube::Error;
use serde::Serialize;

/// What stands on the log.
#[derive(Debug, Serialize)]
pub struct TestStatus {
    /// Never empty: scorecard takes none for a success.
    results: [TestResult; 1],
}

#[derive(Debug, Serialize)]
struct TestResult {
    name: String,
    state: State,
    errors: Vec<String>,
    suggestions: Vec<String>,
    log: String,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// What is claimed is so.
    Pass,
    /// It is not.
    Fail,
    /// It could not be tried.
    Error,
}

impl TestStatus {
    /// The one result of a test.
    pub(super) fn of(name: &str, log: &str, ended: Result<(), Trouble>) -> Self {
        let (state, errors, suggestions) = match ended {
            Ok(()) => (State::Pass, vec![], vec![]),
            Err(trouble) => (trouble.state(), vec![trouble.to_string()], trouble.suggestion().into_iter().collect()),
        };
        Self { results: [TestResult { name: name.to_owned(), state, errors, suggestions, log: log.to_owned() }] }
    }
}

/// Why a test does not pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// What is claimed is not so.
    #[error("{0}")]
    Unmet(String),
    /// It did not end.
    #[error("the test was not done within {} s", .0.as_secs())]
    TooLong(Duration),
    /// The pod is being ended.
    #[error("the test was asked to end before it was done")]
    Asked,
    /// Something that was made is still there.
    #[error("not all that the test made could be taken away: {0}")]
    LeftBehind(String),
    /// There is no such test.
    #[error("there is no test {0:?}; there are {1}")]
    NoSuchTest(String, String),
    /// Nobody says where.
    #[error("SCORECARD_NAMESPACE is not set")]
    NoNamespace,
    /// There is no bundle.
    #[error("there is no bundle in {folder}: {why}", folder = .0.display(), why = .1)]
    NoBundle(PathBuf, String),
    /// The bundle's examples can't be used.
    #[error("the bundle's alm-examples: {0}")]
    Examples(String),
    /// The cluster can't be reached.
    #[error("the cluster can't be reached: {0}")]
    NoCluster(String),
    /// The custom resources are not known.
    #[error("the cluster does not know LoadBalancers or Harbors: Fairway is not installed")]
    NotInstalled,
    /// Nobody does anything about a resource of this kind.
    #[error("nobody looks after a {0} in namespace {1}: after {wait} s one that was made has no status", wait = .2.as_secs())]
    NotWatched(&'static str, String, Duration),
    /// Rights are missing.
    #[error("rights are missing: {0}")]
    Forbidden(String),
    /// The API server said something else.
    #[error("the API server: {0}")]
    Cluster(String),
}

impl Trouble {
    fn state(&self) -> State {
        match self {
            Self::Unmet(_) | Self::TooLong(_) | Self::LeftBehind(_) => State::Fail,
            _ => State::Error,
        }
    }

    fn suggestion(&self) -> Option<String> {
        let text = match self {
            Self::Unmet(_) | Self::Examples(_) | Self::Cluster(_) => return None,
            Self::TooLong(_) => "see why its pods are so slow: kubectl describe pods",
            Self::Asked => "give scorecard more time: --wait-time 20m",
            Self::LeftBehind(_) => "delete what carries the label fairway.dev/scorecard",
            Self::NoSuchTest(..) => "name one as SUITE/TEST",
            Self::NoNamespace | Self::NoBundle(..) => {
                "run it by `operator-sdk scorecard`, which sets the one and mounts the other"
            }
            Self::NoCluster(_) => "it runs in a pod with a service account's token, or with a KUBECONFIG",
            Self::NotInstalled => "install Fairway, by a Subscription or with kubectl",
            Self::NotWatched(..) => {
                "see whether the operator runs, and whether its OperatorGroup or WATCH_NAMESPACE has this namespace"
            }
            Self::Forbidden(_) => {
                "give the service account the rights of scorecard/rbac.yaml, and name it: --service-account fairway-scorecard"
            }
        };
        Some(text.to_owned())
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match &error {
            Error::Api(status) if status.code == 403 => Self::Forbidden(status.message.clone()),
            Error::Api(status) if status.code == 401 => Self::NoCluster(status.message.clone()),
            // Objects that are not there are never an error here: it is their kind.
            Error::Api(status) if status.code == 404 => Self::NotInstalled,
            Error::Api(status) => Self::Cluster(status.message.clone()),
            _ => Self::NoCluster(error.to_string()),
        }
    }
}

/// What was seen when it is not yet as it should be.
pub(super) enum Seen {
    /// It may become so.
    NotYet(String),
    /// It won't.
    Never(Trouble),
}

impl From<String> for Seen {
    fn from(seen: String) -> Self {
        Self::NotYet(seen)
    }
}

impl From<Error> for Seen {
    fn from(error: Error) -> Self {
        match Trouble::from(error) {
            // An API server may be away for a moment.
            trouble @ (Trouble::Cluster(_) | Trouble::NoCluster(_)) => Self::NotYet(trouble.to_string()),
            trouble => Self::Never(trouble),
        }
    }
}

/// `Ok` if it is so, else what was seen.
pub(super) fn seen(so: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if so { Ok(()) } else { Err(what()) }
}

#[cfg(test)]
mod tests {
    use kube::{Error, core::Status};
    use serde_json::json;

    use super::{TestStatus, Trouble};

    #[test]
    fn a_result_is_what_scorecard_reads() {
        let told = |ended| serde_json::to_value(TestStatus::of("samples-serve", "log", ended)).expect("JSON");
        let passed = json!({ "name": "samples-serve", "state": "pass", "errors": [], "suggestions": [], "log": "log" });
        assert_eq!(told(Ok(())), json!({ "results": [passed] }));
        let failed = told(Err(Trouble::Unmet("no answer".to_owned())));
        assert_eq!(failed["results"][0]["state"], "fail");
        assert_eq!(failed["results"][0]["errors"], json!(["no answer"]));
    }

    #[test]
    fn what_the_api_server_refuses_says_what_to_do() {
        let refused = |code, message: &str| {
            let status = Status { code, message: message.to_owned(), ..Status::default() };
            let trouble = Trouble::from(Error::Api(status.boxed()));
            let told = serde_json::to_value(TestStatus::of("", "", Err(trouble))).expect("JSON");
            let result = &told["results"][0];
            (result["errors"][0].to_string(), result["suggestions"][0].to_string())
        };
        let (error, suggestion) = refused(403, "services is forbidden");
        assert!(error.contains("services is forbidden") && suggestion.contains("scorecard/rbac.yaml"), "{error}");
        let (error, suggestion) = refused(404, "the server could not find the requested resource");
        assert!(error.contains("not installed") && suggestion.contains("Subscription"), "{error}");
    }
}
