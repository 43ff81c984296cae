//! What a registry needs beyond Kubernetes objects. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    api::{SharedCacheServer, SharedDatabaseServer},
    harbor::{credentials::Credentials, names::Component, world::Shared},
    reconcile::family,
};

/// What a registry needs beyond Kubernetes objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make up what is missing of the credentials, and keep it in their Secret.
    MakeCredentials {
        /// Why now.
        why: String,
    },
    /// Make certificates for TLS between Harbor's programs, and before them the authority, where its time has come.
    MakeCertificates {
        /// For whom.
        components: Vec<Component>,
        /// Why now.
        why: String,
    },
    /// Change Harbor's own settings through its API.
    Configure {
        /// Where core is.
        address: String,
        /// What is to change.
        settings: BTreeMap<String, Value>,
        /// With the administrator's password.
        credentials: Credentials,
    },
    /// Give the administrator another password, and note it in the Secret of credentials.
    ChangePassword {
        /// Where core is.
        address: String,
        /// With the password that is known to work.
        before: Credentials,
        /// With the one that is wanted.
        after: Credentials,
        /// Whether Harbor has it already, so that it has only to be noted.
        changed: bool,
    },
    /// Take four databases of a shared Redis for the registry, and note them in the Secret of credentials.
    ClaimDatabases {
        /// Of which.
        server: SharedCacheServer,
    },
    /// Make or mend role and database on a shared `PostgreSQL`.
    EnsureDatabase {
        /// On which.
        server: SharedDatabaseServer,
        /// With the role's password.
        credentials: Credentials,
    },
    /// Make or mend the user on a shared Redis.
    EnsureCacheUser {
        /// On which.
        server: SharedCacheServer,
        /// With its password.
        credentials: Credentials,
        /// What it may select.
        databases: [i32; 4],
    },
    /// Drop what the registry has on shared servers.
    DropShared {
        /// Role and database there.
        database: Option<SharedDatabaseServer>,
        /// The user and its databases there.
        cache: Option<(SharedCacheServer, [i32; 4])>,
    },
}

impl Effect {
    /// What it makes or mends on a shared server.
    #[must_use]
    pub fn ensures(&self) -> Option<Shared> {
        match self {
            Self::EnsureDatabase { .. } => Some(Shared::Database),
            Self::EnsureCacheUser { .. } => Some(Shared::Cache),
            Self::MakeCredentials { .. }
            | Self::MakeCertificates { .. }
            | Self::Configure { .. }
            | Self::ChangePassword { .. }
            | Self::ClaimDatabases { .. }
            | Self::DropShared { .. } => None,
        }
    }
}

impl family::Effect for Effect {
    fn name(&self) -> &'static str {
        match self {
            Self::MakeCredentials { .. } => "MakeCredentials",
            Self::MakeCertificates { .. } => "MakeCertificates",
            Self::Configure { .. } => "Configure",
            Self::ChangePassword { .. } => "ChangePassword",
            Self::ClaimDatabases { .. } => "ClaimDatabases",
            Self::EnsureDatabase { .. } => "EnsureDatabase",
            Self::EnsureCacheUser { .. } => "EnsureCacheUser",
            Self::DropShared { .. } => "DropShared",
        }
    }

    fn why(&self) -> String {
        match self {
            Self::MakeCredentials { why } | Self::MakeCertificates { why, .. } => why.clone(),
            Self::Configure { settings, .. } => {
                let names: Vec<&str> = settings.keys().map(String::as_str).collect();
                format!("these settings of Harbor are not as the spec says: {}", names.join(", "))
            }
            Self::ChangePassword { changed: false, .. } => {
                "the administrator's password is not the one that the spec names".to_owned()
            }
            Self::ChangePassword { changed: true, .. } => {
                "Harbor has the administrator's password that the spec names, and it is not noted yet".to_owned()
            }
            Self::ClaimDatabases { server } => {
                format!("the registry has no databases of the shared Redis {} yet", server.name)
            }
            Self::EnsureDatabase { server, .. } => {
                format!("the registry's role and database are to be on the shared PostgreSQL {}", server.name)
            }
            Self::EnsureCacheUser { server, .. } => {
                format!("the registry's user is to be on the shared Redis {}", server.name)
            }
            Self::DropShared { .. } => "the registry is deleted with its data".to_owned(),
        }
    }

    fn routine(&self) -> bool {
        // Done anew by each process: on a shared Redis without a file of users they go when it is started anew.
        self.ensures().is_some()
    }
}
