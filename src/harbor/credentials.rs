//! What is made up for a registry once and kept for as long as its data: each with the length that Harbor needs,
//! which it does not always look at itself. Reads the system's randomness; touches nothing.

use std::collections::BTreeMap;

use pkcs8::{
    PrivateKeyInfo,
    der::pem::{LineEnding, encode_string},
};
use rand::{Rng, distr::Alphanumeric};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};

/// The user that core and jobservice are to the registry.
pub(super) const REGISTRY_USER: &str = "harbor_registry_user";

/// What encrypts the credentials of other registries in the database.
pub(super) const SECRET_KEY: &str = "secretKey";
/// Against forged requests.
pub(super) const CSRF_KEY: &str = "csrfKey";
/// What jobservice and registryctl know core by.
pub(super) const CORE_SECRET: &str = "coreSecret";
/// What core and registryctl know jobservice by.
pub(super) const JOBSERVICE_SECRET: &str = "jobserviceSecret";
/// What the registry signs the state of uploads with.
pub(super) const REGISTRY_SECRET: &str = "registrySecret";
/// What the registry knows core and jobservice by.
pub(super) const REGISTRY_PASSWORD: &str = "registryPassword";
/// The same as the registry reads it.
pub(super) const REGISTRY_HTPASSWD: &str = "registryHtpasswd";
/// What signs tokens: RSA, as PEM of PKCS #1.
pub(super) const TOKEN_KEY: &str = "tokenKey";
/// What Harbor's library knows an RSA key by; with one of PKCS #8 core starts, and answers 500 for each token.
const TOKEN_KEY_LABEL: &str = "RSA PRIVATE KEY";
/// The password of the user `admin`; Harbor takes it from its environment at its first start alone.
pub(super) const ADMIN_PASSWORD: &str = "adminPassword";
/// Of the managed or shared database.
pub(super) const DATABASE_PASSWORD: &str = "databasePassword";
/// Of the managed database's superuser, whom Harbor does not know.
pub(super) const DATABASE_SUPERUSER_PASSWORD: &str = "databaseSuperuserPassword";
/// Of the managed or shared cache.
pub(super) const CACHE_PASSWORD: &str = "cachePassword";

/// All keys, with the exact length where there is one.
const KEYS: [(&str, Option<usize>); 12] = [
    (SECRET_KEY, Some(16)),
    (CSRF_KEY, Some(32)),
    (CORE_SECRET, Some(16)),
    (JOBSERVICE_SECRET, Some(16)),
    (REGISTRY_SECRET, Some(16)),
    (REGISTRY_PASSWORD, Some(32)),
    (REGISTRY_HTPASSWD, None),
    (TOKEN_KEY, None),
    (ADMIN_PASSWORD, None),
    (DATABASE_PASSWORD, Some(32)),
    (DATABASE_SUPERUSER_PASSWORD, Some(32)),
    (CACHE_PASSWORD, Some(32)),
];
/// The password is 32 random characters: nobody guesses it, and the registry computes the hash for each request,
/// which at the usual cost of 10 takes it 50 ms.
const HTPASSWD_COST: u32 = 4;

/// What was made up for a registry.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials(BTreeMap<String, String>, Option<CoreIdentity>);

/// How core shows that it is core, with TLS between Harbor's programs.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct CoreIdentity {
    /// The authorities, as PEM.
    pub(super) bundle: String,
    /// What its certificate calls it.
    pub(super) name: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.0.keys()).finish()
    }
}

impl Credentials {
    /// What a Secret holds; keys that are not text are as if they were not there.
    #[must_use]
    pub fn read(data: BTreeMap<String, Vec<u8>>) -> Self {
        let texts = data.into_iter().filter_map(|(key, value)| Some((key, String::from_utf8(value).ok()?)));
        Self(texts.filter(|(_, value)| !value.is_empty()).collect(), None)
    }

    /// The same, where core has to show a certificate before it is told any of them.
    pub(super) fn for_core(self, core: Option<CoreIdentity>) -> Self {
        Self(self.0, core)
    }

    /// How core shows that it is core.
    pub(super) fn core(&self) -> Option<&CoreIdentity> {
        self.1.as_ref()
    }

    /// One of them; empty where it is missing, which [`Self::missing`] tells before anybody asks.
    #[must_use]
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// The same with another value for a key.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Self {
        let mut all = self.0.clone();
        all.insert(key.to_owned(), value.to_owned());
        Self(all, self.1.clone())
    }

    /// The keys that are missing.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        KEYS.iter().map(|(key, _)| *key).filter(|key| !self.0.contains_key(*key)).collect()
    }

    /// What is wrong with one that is there, and what to do. Harbor itself would start, and fail later.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        KEYS.iter().find_map(|(key, length)| {
            let value = self.0.get(*key)?;
            match length {
                Some(length) if value.chars().count() != *length => Some(format!(
                    "{key} must have exactly {length} characters and has {}; put back what it was",
                    value.chars().count()
                )),
                _ => None,
            }
        })
    }

    /// Makes up what is missing; what is there stays as it is.
    ///
    /// # Errors
    /// In words, when a key or a hash can't be made.
    pub(super) fn complete(&self) -> Result<BTreeMap<String, String>, String> {
        let mut all = self.0.clone();
        for (key, length) in KEYS {
            if all.contains_key(key) {
                continue;
            }
            let value = match (key, length) {
                (_, Some(length)) => random(length),
                (REGISTRY_HTPASSWD, _) => htpasswd(all.get(REGISTRY_PASSWORD).map_or("", String::as_str))?,
                (TOKEN_KEY, _) => token_key()?,
                _ => password(),
            };
            all.insert(key.to_owned(), value);
        }
        Ok(all)
    }
}

/// A password that Harbor takes: it wants a capital, a small letter and a digit.
pub(super) fn password() -> String {
    format!("{}Aa1", random(21))
}

/// Letters and digits alone: they need no quoting in any file, URL or command.
fn random(length: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(length).map(char::from).collect()
}

fn token_key() -> Result<String, String> {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096).map_err(|error| error.to_string())?;
    let wrapped = PrivateKeyInfo::try_from(pair.serialized_der()).map_err(|error| error.to_string())?;
    encode_string(TOKEN_KEY_LABEL, LineEnding::LF, wrapped.private_key).map_err(|error| error.to_string())
}

fn htpasswd(password: &str) -> Result<String, String> {
    let hash = bcrypt::hash(password, HTPASSWD_COST).map_err(|error| error.to_string())?;
    Ok(format!("{REGISTRY_USER}:{hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Credentials {
        Credentials(Credentials::default().complete().expect("credentials"), None)
    }

    #[test]
    fn each_is_as_harbor_needs_it() {
        let made = made();
        assert!(made.missing().is_empty());
        assert_eq!(made.problem(), None);
        assert!(made.get(TOKEN_KEY).starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        let (user, hash) = made.get(REGISTRY_HTPASSWD).split_once(':').expect("a line");
        assert_eq!(user, REGISTRY_USER);
        assert!(bcrypt::verify(made.get(REGISTRY_PASSWORD), hash).expect("a hash"));
        assert!(made.get(ADMIN_PASSWORD).len() >= 20);
        assert!(!format!("{made:?}").contains(made.get(SECRET_KEY)));
    }

    #[test]
    fn what_is_there_stays() {
        let mut before = made();
        before.0.remove(CACHE_PASSWORD);
        let after = before.complete().expect("credentials");
        assert!(before.0.iter().all(|(key, value)| after.get(key) == Some(value)));
        assert_eq!(after.get(CACHE_PASSWORD).map(String::len), Some(32));
    }

    #[test]
    fn a_wrong_length_is_told() {
        let mut wrong = made();
        wrong.0.insert(SECRET_KEY.to_owned(), "short".to_owned());
        assert!(wrong.problem().expect("a problem").contains("exactly 16 characters and has 5"));
    }
}
