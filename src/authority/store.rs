//! Where the authorities are kept: the Secret [`SECRET_NAME`] in the operator's namespace. Touches that
//! Secret alone. Every operator replica may run a keeper: writes carry the resource version, so that of
//! two that race one wins and the other takes what the winner wrote.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::PostParams};
use tokio::sync::watch;
use tracing::{info, warn};

use super::{AuthorityError, AuthoritySet};

/// The name of the Secret.
pub const SECRET_NAME: &str = "fairway-authority";
/// How often the Secret is read again; small against [`super::policy::OVERLAP`].
pub const REFRESH: Duration = Duration::from_mins(10);
/// How often a write that met another writer is tried again before giving up.
const ATTEMPTS: usize = 5;

/// The authorities of now, for whoever issues or verifies; cheap to clone.
#[derive(Clone, Debug)]
pub struct AuthorityHandle(watch::Receiver<Arc<AuthoritySet>>);

impl AuthorityHandle {
    /// A handle on a set that the sender's owner keeps up to date.
    #[must_use]
    pub fn channel(set: AuthoritySet) -> (watch::Sender<Arc<AuthoritySet>>, Self) {
        let (sender, receiver) = watch::channel(Arc::new(set));
        (sender, Self(receiver))
    }

    /// The set of now. The same [`Arc`] as long as nothing has changed.
    #[must_use]
    pub fn current(&self) -> Arc<AuthoritySet> {
        self.0.borrow().clone()
    }

    /// Waits until the set changes: what agents trust must then be written again.
    /// Never returns when the keeper is gone.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Keeps the Secret and the handles up to date.
pub struct AuthorityKeeper {
    secrets: Api<Secret>,
    sender: watch::Sender<Arc<AuthoritySet>>,
}

impl AuthorityKeeper {
    /// Reads the Secret, or makes the first authority.
    ///
    /// # Errors
    /// When the Kubernetes API refuses, or when the Secret holds something else.
    pub async fn open(client: Client, namespace: &str) -> Result<(AuthorityHandle, Self), AuthorityError> {
        let secrets = Api::namespaced(client, namespace);
        let (sender, handle) = AuthorityHandle::channel(bring_up_to_date(&secrets, Timestamp::now()).await?);
        Ok((handle, Self { secrets, sender }))
    }

    /// Reads and renews for as long as it is polled; drop it to stop.
    pub async fn run(self) {
        loop {
            tokio::time::sleep(REFRESH).await;
            match bring_up_to_date(&self.secrets, Timestamp::now()).await {
                Ok(set) => {
                    self.sender.send_if_modified(|current| {
                        let changed = **current != set;
                        if changed {
                            *current = Arc::new(set);
                        }
                        changed
                    });
                }
                Err(error) => warn!(%error, "the authority could not be refreshed; the last one known is used"),
            }
        }
    }
}

async fn bring_up_to_date(secrets: &Api<Secret>, now: Timestamp) -> Result<AuthoritySet, AuthorityError> {
    for _ in 0..ATTEMPTS {
        let written = match secrets.get_opt(SECRET_NAME).await? {
            None => {
                let set = AuthoritySet::first(now)?;
                secrets.create(&PostParams::default(), &secret(None, &set)).await.map(|_| set)
            }
            Some(kept) => {
                let set = AuthoritySet::from_data(&data(&kept))?;
                match set.renewed(now)? {
                    None => return Ok(set),
                    Some(set) => secrets
                        .replace(SECRET_NAME, &PostParams::default(), &secret(Some(kept.metadata), &set))
                        .await
                        .map(|_| set),
                }
            }
        };
        match written {
            Ok(set) => {
                info!(?set, "the authority has changed");
                return Ok(set);
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {}
            // Deleted in between.
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(AuthorityError::Contended)
}

fn data(secret: &Secret) -> BTreeMap<String, Vec<u8>> {
    secret.data.iter().flatten().map(|(name, bytes)| (name.clone(), bytes.0.clone())).collect()
}

fn secret(metadata: Option<ObjectMeta>, set: &AuthoritySet) -> Secret {
    Secret {
        metadata: metadata
            .unwrap_or_else(|| ObjectMeta { name: Some(SECRET_NAME.to_owned()), ..ObjectMeta::default() }),
        data: Some(set.to_data().into_iter().map(|(name, bytes)| (name, ByteString(bytes))).collect()),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests;
