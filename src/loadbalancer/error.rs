//! What may go wrong while observing and performing.

use crate::{
    authority::AuthorityError,
    clients::agent::AgentError,
    reconcile::{Failure, Retry, namespace_terminates},
};

/// What may go wrong while observing and performing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Kubernetes API did not do what it was asked.
    #[error("can't {act}: {source}")]
    Kubernetes {
        /// What was asked.
        act: String,
        /// What it said.
        source: kube::Error,
    },
    /// An agent could not be reached, or did not do what it was asked.
    #[error("pod {pod}: {source}")]
    Agent {
        /// The pod.
        pod: String,
        /// What went wrong.
        source: AgentError,
    },
    /// A certificate could not be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl Failure for Error {
    fn reason(&self) -> &'static str {
        match self {
            Self::Kubernetes { .. } => "KubernetesApi",
            Self::Agent { source, .. } => source.reason(),
            Self::Authority(error) => error.reason(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Kubernetes { .. } => Retry::Backoff,
            Self::Agent { source, .. } => source.retry(),
            Self::Authority(error) => error.retry(),
        }
    }

    fn namespace_terminates(&self) -> bool {
        matches!(self, Self::Kubernetes { source, .. } if namespace_terminates(source))
    }
}
