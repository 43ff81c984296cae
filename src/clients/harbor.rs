//! Harbor's API (`/api/v2.0`), by the address of its core. Touches the network. Each call opens a
//! connection, asks, and closes it: at rest Harbor is asked less often than a connection is kept anywhere.
//!
//! | file | what of the API |
//! |---|---|
//! | `system` | health, version, statistics, configurations, garbage collection |
//! | `users` | the administrator's password, whether credentials hold |
//! | `projects`, `quotas`, `members`, `retentions` | projects and what belongs to one |
//! | `robots` | robot accounts of the system and of projects |
//! | `exchange`, `error` | one request, and what may go wrong |
//!
//! Where Harbor answers 404 to a question for one thing, the answer is `None`; elsewhere it is an error.

mod error;
mod exchange;
mod members;
mod projects;
mod quotas;
mod retentions;
mod robots;
mod system;
mod users;

use http::Uri;
use secrecy::SecretString;

use super::connection::{Authorities, Encryption, Server};

pub use error::HarborError;
pub use members::{Member, MemberEntity, NewMember, Role};
pub use projects::{CveAllowlist, NewProject, Project, ProjectChange};
pub use quotas::Quota;
pub use retentions::{Retention, RetentionRule, Selector};
pub use robots::{Access, CreatedRobot, NewRobot, Permission, Robot, RobotLevel};
pub use system::{ComponentHealth, GarbageCollection, Health, Setting, Statistics, SystemInformation};
pub use users::{ADMINISTRATOR, CurrentUser};

/// Who asks.
#[derive(Clone, Debug)]
pub struct HarborCredentials {
    /// Such as `admin`.
    pub user: String,
    /// In clear.
    pub password: SecretString,
}

/// Asks one Harbor; cheap to make, and holds no connection.
#[derive(Clone, Debug)]
pub struct HarborClient {
    server: Server,
    /// What the `Host` header says.
    authority: String,
    /// Before `/api/v2.0`; empty, or with a slash at its beginning and none at its end.
    prefix: String,
    credentials: HarborCredentials,
}

impl HarborClient {
    /// `address` is that of core's Service, such as `http://registry-core.team-a:80`; with `https` the
    /// certificate has to be of one of `authorities` and for the host.
    ///
    /// # Errors
    /// When the address is no URL of HTTP.
    pub fn new(address: &str, authorities: Authorities, credentials: HarborCredentials) -> Result<Self, HarborError> {
        let malformed = || HarborError::Address { address: address.to_owned() };
        let uri: Uri = address.parse().map_err(|_| malformed())?;
        let (encryption, usual_port) = match uri.scheme_str() {
            Some("http") => (Encryption::Disable, 80),
            Some("https") => (Encryption::VerifyFull(authorities), 443),
            _ => return Err(malformed()),
        };
        let authority = uri.authority().ok_or_else(malformed)?;
        if authority.as_str().contains('@') || uri.query().is_some() || authority.host().is_empty() {
            return Err(malformed());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self {
            server: Server { host, port: authority.port_u16().unwrap_or(usual_port), encryption },
            authority: authority.to_string(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            credentials,
        })
    }

    /// The same Harbor, which shows a certificate for this name, whatever its address is.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        if let Encryption::VerifyFull(authorities) = self.server.encryption {
            self.server.encryption = Encryption::VerifyName(authorities, name.to_owned());
        }
        self
    }

    /// The same Harbor, asked by another.
    #[must_use]
    pub fn with_credentials(&self, credentials: HarborCredentials) -> Self {
        Self { credentials, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn client(address: &str) -> Result<HarborClient, HarborError> {
        let credentials = HarborCredentials { user: "admin".to_owned(), password: "Harbor12345".into() };
        HarborClient::new(address, Authorities::System, credentials)
    }

    #[rstest]
    #[case("http://core", "core", 80, "core", "")]
    #[case("http://core.team-a:8080/", "core.team-a", 8080, "core.team-a:8080", "")]
    #[case("https://core/registry/", "core", 443, "core", "/registry")]
    #[case("http://[::1]:8080", "::1", 8080, "[::1]:8080", "")]
    fn addresses(
        #[case] address: &str,
        #[case] host: &str,
        #[case] port: u16,
        #[case] authority: &str,
        #[case] prefix: &str,
    ) {
        let client = client(address).expect("a client");
        let seen = (client.server.host.as_str(), client.server.port, &*client.authority, &*client.prefix);
        assert_eq!(seen, (host, port, authority, prefix));
    }

    #[rstest]
    #[case("core")]
    #[case("ftp://core")]
    #[case("http://admin:secret@core")]
    #[case("http://core/?a=b")]
    #[case("")]
    fn no_addresses(#[case] address: &str) {
        assert!(matches!(client(address), Err(HarborError::Address { .. })));
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = format!("{:?}", client("http://core"));
        assert!(shown.contains("admin") && !shown.contains("Harbor12345"), "{shown}");
    }
}
