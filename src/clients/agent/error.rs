//! What may go wrong between the operator and an agent. Pure.

use std::{net::IpAddr, time::Duration};

use super::Told;
use crate::{
    agent::protocol::Refused,
    authority::AuthorityError,
    reconcile::family::{Failure, Retry},
};

/// What may go wrong between the operator and an agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Nothing answers at the address, or not in time.
    #[error("the agent at {address} cannot be reached: {cause}")]
    Unreachable {
        /// Of the pod.
        address: IpAddr,
        /// What went wrong, in words.
        cause: String,
    },
    /// The agent's certificate, or the operator's, was not accepted.
    #[error("the agent at {address} and the operator do not trust each other: {cause}")]
    Untrusted {
        /// Of the pod.
        address: IpAddr,
        /// What went wrong, in words.
        cause: String,
    },
    /// The agent knows a later configuration.
    #[error("the agent already knows sequence {newest}")]
    Stale {
        /// The newest sequence that it knows.
        newest: u64,
    },
    /// HAProxy does not take the configuration.
    #[error("HAProxy refuses the configuration: {}", .0.report.refused.as_ref().map_or("", |refused| &refused.message))]
    Refused(Box<Told>),
    /// The agent has taken the configuration, but no HAProxy runs that could prove it yet.
    #[error("HAProxy does not run; the configuration waits for its start")]
    NotRunning,
    /// The agent answered something that the protocol does not know.
    #[error("the agent at {address} answered {status}: {message}")]
    Unexpected {
        /// Of the pod.
        address: IpAddr,
        /// Of HTTP.
        status: u16,
        /// The beginning of the answer.
        message: String,
    },
    /// The operator's own certificate could not be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl AgentError {
    /// What the agent did not take, when that is the error.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(told) => told.report.refused.as_ref(),
            _ => None,
        }
    }
}

impl Failure for AgentError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "AgentUnreachable",
            Self::Untrusted { .. } => "AgentUntrusted",
            Self::Stale { .. } => "ConfigurationStale",
            Self::Refused(_) => "ConfigurationRefused",
            Self::NotRunning => "HAProxyNotRunning",
            Self::Unexpected { .. } => "AgentAnswerUnknown",
            Self::Authority(error) => error.reason(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            // A port that is taken may be free later; a wrong configuration changes its resource first.
            Self::Refused(_) => Retry::After(Duration::from_mins(1)),
            _ => Retry::Backoff,
        }
    }
}
