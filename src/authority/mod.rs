//! Certificate authorities: the operator's own, with which the operator and the agents know each other, and those of
//! registries, with which Harbor's programs do. When certificates are made, renewed and dropped.
//!
//! | what | lives | renewed | why |
//! |---|---|---|---|
//! | authority | two years | after two thirds | eight months in which the old and the new are both trusted: an operator that was away for a season comes back to agents that still know it |
//! | leaf | 30 days | after two thirds | a stolen key is worth a month at most; ten days for an operator that is away |
//! | leaf of a registry's program | a year | after two thirds | it is read at a start alone, so that a new one replaces pods |
//!
//! The next authority is trusted as soon as it is made and signs only a day later ([`policy::OVERLAP`]),
//! so that every agent has learned of it by then (a mounted Secret lags by minutes).
//!
//! Everything here is pure, with the time passed in, but for [`store`], which keeps the operator's authorities in
//! one Secret of the operator's namespace. Those of a registry are kept in its own.

mod identity;
pub mod policy;
mod set;
pub mod store;

pub use identity::{Identity, Leaf, Renewal};
pub use set::AuthoritySet;
pub use store::{AuthorityHandle, AuthorityKeeper};

use crate::reconcile::family::{Failure, Retry};

/// What may go wrong with certificates and their keeping. No message holds key material.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A certificate could not be made.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// What is kept in the Secret is not what this version writes.
    #[error("the authority's Secret cannot be read: {0}; delete it to have a new authority made")]
    Unreadable(&'static str),
    /// The set holds no authority that could sign.
    #[error("there is no authority")]
    Empty,
    /// The Kubernetes API said no.
    #[error("the authority's Secret: {0}")]
    Kubernetes(#[from] kube::Error),
    /// Others kept changing the Secret at the same time.
    #[error("the authority's Secret is being changed by others")]
    Contended,
}

impl Failure for AuthorityError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "CertificateNotMade",
            Self::Unreadable(_) => "AuthorityUnreadable",
            Self::Empty => "AuthorityMissing",
            Self::Kubernetes(_) => "AuthorityNotStored",
            Self::Contended => "AuthorityContended",
        }
    }

    fn retry(&self) -> Retry {
        Retry::Backoff
    }
}
