//! What may go wrong while observing and performing.

use crate::{
    authority::AuthorityError,
    clients::{harbor::HarborError, postgresql::DatabaseError, redis::CacheError},
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
    /// A Secret of the name is somebody else's.
    #[error("Secret {0} is not of this registry; rename or delete it, or name the registry otherwise")]
    SecretTaken(String),
    /// The Secret that a robot's credentials shall go into is somebody else's.
    #[error("Secret {0} is not of this robot; rename or delete it, or make a robot with another spec.pullSecret.name")]
    PullSecretTaken(String),
    /// Harbor knows somebody by another name than the spec gives.
    #[error(
        "Harbor says that {0:?} is a member already, but lists nobody of this name: write the name in members as Harbor shows it"
    )]
    MemberNamedOtherwise(String),
    /// A shared server's administrator is not known.
    #[error("{0}")]
    Administrator(String),
    /// A shared Redis has no databases left.
    #[error("the shared Redis {0} has no four databases left; raise `databases` there and in the class")]
    NoDatabasesLeft(String),
    /// Core has no Service, or none with an address.
    #[error("Service {0} has no address yet, at which Harbor could be asked")]
    NoCore(String),
    /// A key could not be made.
    #[error("credentials can't be made: {0}")]
    Credentials(String),
    /// A certificate could not be made, or its authority is not to be read.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A shared database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Harbor itself.
    #[error(transparent)]
    Harbor(#[from] HarborError),
    /// A shared cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Failure for Error {
    fn reason(&self) -> &'static str {
        match self {
            Self::Kubernetes { .. } => "KubernetesApi",
            Self::SecretTaken(_) | Self::PullSecretTaken(_) => "NameTaken",
            Self::MemberNamedOtherwise(_) => "MemberNamedOtherwise",
            Self::Administrator(_) => "AdministratorUnknown",
            Self::NoDatabasesLeft(_) => "NoDatabasesLeft",
            Self::NoCore(_) => "NoCore",
            Self::Credentials(_) => "Credentials",
            Self::Authority(error) => error.reason(),
            Self::Database(error) => error.reason(),
            Self::Harbor(error) => error.reason(),
            Self::Cache(error) => error.reason(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Database(error) => error.retry(),
            Self::Harbor(error) => error.retry(),
            Self::Cache(error) => error.retry(),
            _ => Retry::Backoff,
        }
    }

    fn namespace_terminates(&self) -> bool {
        matches!(self, Self::Kubernetes { source, .. } if namespace_terminates(source))
    }
}
