//! The token service: signs what a client may do with which repositories, and reads it again.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use axum::extract::State;
use hyper::{HeaderMap, Uri};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::session::{Project, Who};
use super::state::Core;
use crate::answer::{Answer, Fault, ok};

const ISSUER: &str = "harbor-token-issuer";
/// The one service that tokens are for.
pub(crate) const SERVICE: &str = "harbor-registry";

/// The RSA key of tokens.
pub(crate) struct Key {
    encoding: EncodingKey,
    decoding: DecodingKey,
    identifier: String,
}

/// What a token says.
#[derive(Deserialize, Serialize)]
pub(crate) struct Claims {
    iss: String,
    pub(crate) sub: String,
    aud: Vec<String>,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: String,
    pub(crate) access: Vec<Access>,
}

/// Actions on one resource.
#[derive(Deserialize, Serialize)]
pub(crate) struct Access {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
}

impl Key {
    /// Reads a PEM file of PKCS #1. Harbor's library takes no other: its core would start, and answer 500 for each token.
    pub(crate) fn from_pem(text: &str) -> Result<Self> {
        let what = "/etc/core/private_key.pem";
        let key =
            PrivateKeyDer::from_pem_slice(text.as_bytes()).with_context(|| format!("{what} holds no private key"))?;
        let pair = match &key {
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            _ => bail!("{what} is no RSA key of PKCS #1 (BEGIN RSA PRIVATE KEY)"),
        };
        let pair = pair.with_context(|| format!("{what} is no RSA key of 2048 bits or more"))?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().context(what)?;
        Ok(Self {
            encoding: EncodingKey::from_rsa_pem(text.as_bytes()).context(what)?,
            decoding: DecodingKey::from_rsa_der(pair.public_key().as_ref()),
            identifier: identifier(digest(&SHA256, public.as_ref()).as_ref()),
        })
    }

    fn sign(&self, claims: &Claims) -> Result<String> {
        let header = Header { kid: Some(self.identifier.clone()), ..Header::new(Algorithm::RS256) };
        Ok(jsonwebtoken::encode(&header, claims, &self.encoding)?)
    }

    /// The claims of a token that is ours, for the registry, and not over.
    pub(crate) fn verify(&self, token: &str) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[SERVICE]);
        validation.validate_nbf = true;
        validation.leeway = 60;
        jsonwebtoken::decode(token, &self.decoding, &validation).ok().map(|token| token.claims)
    }
}

/// The name of a key as Docker's libtrust makes it: base32 of 30 bytes of the digest, in groups of four.
fn identifier(digest: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for chunk in digest[..30].chunks(5) {
        let bits = chunk.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for place in (0..8).rev() {
            text.push(char::from(LETTERS[(bits >> (place * 5) & 31) as usize]));
        }
    }
    let groups: Vec<&str> = (0..text.len()).step_by(4).map(|start| &text[start..start + 4]).collect();
    groups.join(":")
}

/// `GET /service/token?service=harbor-registry&scope=repository:library/hello:pull,push`.
pub(crate) async fn issue(State(core): State<Arc<Core>>, uri: Uri, headers: HeaderMap) -> Answer {
    let parameters = parameters(&uri);
    if !parameters.iter().any(|(name, value)| name == "service" && value == SERVICE) {
        return Err(Fault::bad_request("Unable to handle service"));
    }
    let scopes: Vec<&str> = parameters
        .iter()
        .filter(|(name, _)| name == "scope")
        .flat_map(|(_, value)| value.split(' '))
        .filter(|scope| !scope.is_empty())
        .collect();
    let who = Who::of(&core, &headers).await?;
    if scopes.is_empty() && matches!(who, Who::Nobody) {
        return Err(Fault::unauthorized("unauthorized"));
    }
    let mut access = Vec::new();
    for scope in scopes {
        access.push(granted(&core, &who, scope).await?);
    }
    let minutes = super::configurations::number(&core, "token_expiration").await?;
    let now = jiff::Timestamp::now();
    let seconds = now.as_second();
    let token = core.key.sign(&Claims {
        iss: ISSUER.to_owned(),
        sub: who.name(),
        aud: vec![SERVICE.to_owned()],
        exp: seconds + minutes * 60,
        nbf: seconds,
        iat: seconds,
        jti: super::administrator::random(12),
        access,
    })?;
    ok(json!({"token": token, "expires_in": minutes * 60, "issued_at": now.to_string()}))
}

/// What of a scope is granted: nothing of a project that does not exist.
async fn granted(core: &Core, who: &Who, scope: &str) -> Result<Access, Fault> {
    let parts: Vec<&str> = scope.split(':').collect();
    let (kind, name) = match parts[..] {
        [kind] => (kind, String::new()),
        [kind, name] => (kind, name.to_owned()),
        _ => (parts[0], parts[1..parts.len() - 1].join(":")),
    };
    let mut actions = Vec::new();
    match kind {
        "registry" if name == "catalog" && who.is_administrator() => actions.push("*".to_owned()),
        "repository" => {
            let project = name.split('/').next().unwrap_or_default();
            if name.contains('/')
                && let Some(project) = Project::named(core, project).await?
            {
                for action in ["pull", "push", "delete"] {
                    if who.may(core, &project, "repository", action).await? {
                        actions.push(action.to_owned());
                    }
                }
            }
        }
        _ => {}
    }
    Ok(Access { kind: kind.to_owned(), name, actions })
}

/// The parameters of a query, decoded.
pub(crate) fn parameters(uri: &Uri) -> Vec<(String, String)> {
    let decoded =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    uri.query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

/// The first parameter of that name.
pub(crate) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    parameters(uri).into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::identifier;

    #[test]
    fn a_key_is_named_in_twelve_groups_of_four() {
        let name = identifier(&[0xff; 32]);
        assert_eq!(name.split(':').count(), 12);
        assert!(name.split(':').all(|group| group == "7777"), "{name}");
    }
}
