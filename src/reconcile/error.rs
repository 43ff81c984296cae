//! What may go wrong in a turn, how it is told, and when it is tried again. Nothing here does I/O.

use std::time::Duration;

use rand::Rng;

use super::family::{Failure, Retry};

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Kubernetes API refused something or was not there.
    #[error("{act}: {}", told(source))]
    Api {
        /// What was being done, such as `apply Deployment web`.
        act: String,
        /// Its answer.
        source: kube::Error,
    },
    /// An object of the planned name belongs to somebody else.
    #[error("{kind} {name} exists and {whose}; delete or rename it, and the next try takes its place")]
    NameTaken {
        /// Of the object in the way.
        kind: String,
        /// Of the object in the way.
        name: String,
        /// As in `is controlled by Deployment other`.
        whose: String,
    },
    /// Somebody else changes or deletes an object as often as it is applied.
    #[error(
        "{kind} {name} was changed or deleted {times} times right after it was applied; find out who is at odds with \
         Fairway over it (metadata.managedFields names them)"
    )]
    Contested {
        /// Of the object.
        kind: String,
        /// Of the object.
        name: String,
        /// How often in a row the same was applied.
        times: u32,
        /// When it is applied again.
        wait: Duration,
    },
    /// A mistake in a family: a kind it does not own, or an object without a name.
    #[error("the plan holds {0}, which cannot be applied; this is a bug of the operator")]
    Unplannable(String),
    /// A mistake in a family: it panicked.
    #[error("the operator panicked over this resource, which is a bug of the operator: {0}")]
    Panicked(String),
    /// The family took too long over something.
    #[error("{0} took too long and was given up")]
    Late(&'static str),
    /// The world could not be read.
    #[error("{0}")]
    Observe(Box<dyn Failure>),
    /// An effect could not be performed.
    #[error("{name} ({why}): {cause}")]
    Effect {
        /// As in `Effect::name`.
        name: &'static str,
        /// As in `Effect::why`.
        why: String,
        /// What went wrong.
        cause: Box<dyn Failure>,
    },
}

impl Error {
    pub(crate) fn api(act: impl Into<String>, source: kube::Error) -> Self {
        Self::Api { act: act.into(), source }
    }

    /// `UpperCamelCase`, for condition, event and metric.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            error if error.namespace_terminates() => "NamespaceTerminating",
            Self::Api { source: kube::Error::Api(status), .. } => match status.code {
                401 | 403 => "Forbidden",
                404 => "NotFound",
                409 => "Conflict",
                400 | 413 | 422 => "Refused",
                429 => "Throttled",
                _ => "ApiUnavailable",
            },
            Self::Api { .. } => "ApiUnavailable",
            Self::NameTaken { .. } => "NameTaken",
            Self::Contested { .. } => "Contested",
            Self::Unplannable(_) => "Unplannable",
            Self::Panicked(_) => "Panicked",
            Self::Late(_) => "TimedOut",
            Self::Observe(cause) | Self::Effect { cause, .. } => cause.reason(),
        }
    }

    /// Whether it is no more than that the namespace is being deleted, and this resource with it.
    pub(crate) fn namespace_terminates(&self) -> bool {
        match self {
            Self::Api { source, .. } => namespace_terminates(source),
            Self::Observe(cause) | Self::Effect { cause, .. } => cause.namespace_terminates(),
            _ => false,
        }
    }

    /// When it is worth trying again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            error if error.namespace_terminates() => Retry::Terminal,
            Self::Api { .. } | Self::NameTaken { .. } | Self::Panicked(_) | Self::Late(_) => Retry::Backoff,
            Self::Contested { wait, .. } => Retry::After(*wait),
            Self::Unplannable(_) => Retry::Terminal,
            Self::Observe(cause) | Self::Effect { cause, .. } => cause.retry(),
        }
    }
}

/// Whether the API says that nothing can be made since the namespace is being deleted.
#[must_use]
pub fn namespace_terminates(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    // `NamespaceTerminatingCause` of k8s.io/api/core/v1.
    status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// The API's own words, without the debug text that `kube` adds to them.
fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) => format!("HTTP {} {}", status.code, status.reason),
        other => other.to_string(),
    }
}

/// How long failures wait.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The shortest wait.
    pub shortest: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// How long a turn that waits for a change alone is left unvisited all the same.
    pub safety: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { shortest: Duration::from_millis(500), longest: Duration::from_mins(5), safety: Duration::from_hours(1) }
    }
}

impl Backoff {
    /// The longest that the wait may be after so many failures in a row.
    #[must_use]
    pub fn bound(&self, failures: u32) -> Duration {
        self.shortest.saturating_mul(2_u32.saturating_pow(failures)).min(self.longest)
    }

    /// How long to wait after so many failures in a row (1 for the first). With full jitter: any time
    /// between the shortest wait and [`Self::bound`], so that many that failed together do not come
    /// back together.
    #[must_use]
    pub fn wait(&self, retry: Retry, failures: u32) -> Duration {
        match retry {
            Retry::Terminal => self.safety,
            Retry::After(wait) => wait.max(self.shortest),
            Retry::Backoff => rand::rng().random_range(self.shortest..=self.bound(failures)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Backoff, Error};
    use crate::reconcile::family::Retry;

    #[test]
    fn an_answer_of_the_api_is_told_in_its_own_words() {
        let status = kube::core::Status::failure("configmaps \"a\" is forbidden", "Forbidden").with_code(403).boxed();
        let error = Error::api("apply ConfigMap a", kube::Error::Api(status));
        assert_eq!(error.to_string(), "apply ConfigMap a: configmaps \"a\" is forbidden");
        assert_eq!(error.reason(), "Forbidden");
        assert_eq!(error.retry(), Retry::Backoff);
    }

    proptest! {
        #[test]
        fn waits_are_bounded_and_their_bound_never_shrinks(failures in 1_u32..1000) {
            let backoff = Backoff::default();
            let wait = backoff.wait(Retry::Backoff, failures);
            prop_assert!(wait >= backoff.shortest && wait <= backoff.bound(failures));
            prop_assert!(backoff.bound(failures) <= backoff.bound(failures + 1));
            prop_assert!(backoff.bound(failures) <= backoff.longest);
        }
    }

    #[test]
    fn what_a_failure_asks_for_is_kept() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(Retry::Terminal, 1), backoff.safety);
        assert_eq!(backoff.wait(Retry::After(Duration::from_secs(7)), 9), Duration::from_secs(7));
    }
}
