//! The administrator's password, and whether credentials hold.

use std::time::Duration;

use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use tokio::time::sleep;

use super::{HarborClient, HarborCredentials, HarborError, Statistics, exchange::Ask};

/// The id of the user that Harbor makes at its first start.
pub const ADMINISTRATOR: i64 = 1;

/// How long Harbor accepts no password of a user after a wrong one (1.5 s in its `core/auth`), and a little more.
const LOCK: Duration = Duration::from_millis(1700);

/// Who asked.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct CurrentUser {
    /// The administrator's is [`ADMINISTRATOR`].
    pub user_id: i64,
    /// As in the credentials.
    pub username: String,
    /// Whether all may be done.
    pub sysadmin_flag: bool,
}

impl HarborClient {
    /// Who the credentials are of; nothing when Harbor does not accept them. A wrong password keeps its
    /// user out for 1.5 s, with the right one too: not to be tried in a loop.
    ///
    /// # Errors
    /// As any question, but for Unauthorized.
    pub async fn current_user(&self) -> Result<Option<CurrentUser>, HarborError> {
        match self.ask(Ask::new(Method::GET, "/users/current")).await {
            Ok(answer) => answer.read().map(Some),
            Err(HarborError::Unauthorized { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What [`Self::statistics`] tells, and whether it was told to `other` alone: tried only when Harbor does not accept
    /// the password of the credentials, and once it accepts any again.
    ///
    /// # Errors
    /// Unauthorized when it accepts neither; else as any question.
    pub async fn statistics_by(&self, other: Option<&SecretString>) -> Result<(Statistics, bool), HarborError> {
        match (self.statistics().await, other) {
            (Err(HarborError::Unauthorized { .. }), Some(other)) => {
                sleep(LOCK).await;
                let credentials = HarborCredentials { user: self.credentials.user.clone(), password: other.clone() };
                Ok((self.with_credentials(credentials).statistics().await?, true))
            }
            (told, _) => Ok((told?, false)),
        }
    }

    /// Gives a user another password. `old` is the one in the credentials when the user changes its own, and
    /// not looked at when an administrator changes another's.
    ///
    /// # Errors
    /// Invalid for a password that is the same or not of 8 to 128 characters with a capital, a small letter
    /// and a digit; Forbidden when `old` is wrong.
    pub async fn change_password(
        &self,
        user_id: i64,
        old: &SecretString,
        new: &SecretString,
    ) -> Result<(), HarborError> {
        let body = json!({ "old_password": old.expose_secret(), "new_password": new.expose_secret() });
        self.change(Ask::new(Method::PUT, &format!("/users/{user_id}/password")).body(&body)).await
    }
}
