//! The authorities that are trusted at the same time, and how they are kept. Pure.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

use super::{
    AuthorityError,
    identity::{self, Identity, Purpose},
    policy::{self, Decision, Term},
};
use crate::agent::protocol::{OPERATOR_NAME, agent_name};

/// The key of the Secret's data under which everything is kept.
pub(super) const DATA_KEY: &str = "authority.json";

/// The authorities that are trusted at the same time; most of the time it is one.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthoritySet {
    members: Vec<Member>,
}

#[derive(Clone, PartialEq, Eq)]
struct Member {
    kept: Kept,
    term: Term,
}

/// As written in the Secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    /// PEM.
    certificate: String,
    /// PEM, PKCS 8.
    key: String,
    signs_from: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    authorities: Vec<Kept>,
}

impl AuthoritySet {
    /// The first authority, which signs at once.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn first(now: Timestamp) -> Result<Self, AuthorityError> {
        Ok(Self { members: vec![Member::make(now, now)?] })
    }

    /// The set as it shall be now; none when it already is so.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn renewed(&self, now: Timestamp) -> Result<Option<Self>, AuthorityError> {
        let made = match policy::decide(&self.terms(), now) {
            Decision::Keep => return Ok(None),
            Decision::Drop => None,
            Decision::Make { signs_from } => Some(Member::make(now, signs_from)?),
        };
        let alive = self.members.iter().filter(|member| member.term.expires > now).cloned();
        Ok(Some(Self { members: alive.chain(made).collect() }))
    }

    /// Reads what [`Self::to_data`] wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_data(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, AuthorityError> {
        let bytes = data.get(DATA_KEY).ok_or(AuthorityError::Unreadable("it has no key authority.json"))?;
        // serde's own message could quote what it read.
        let stored: Stored =
            serde_json::from_slice(bytes).map_err(|_| AuthorityError::Unreadable("authority.json is malformed"))?;
        Ok(Self { members: stored.authorities.into_iter().map(Member::parse).collect::<Result<_, _>>()? })
    }

    /// The data of the Secret in which the set is kept.
    #[must_use]
    pub fn to_data(&self) -> BTreeMap<String, Vec<u8>> {
        let stored = Stored { authorities: self.members.iter().map(|member| member.kept.clone()).collect() };
        BTreeMap::from([(DATA_KEY.to_owned(), serde_json::to_vec(&stored).unwrap_or_default())])
    }

    /// What both sides trust: the certificates in PEM, the oldest first.
    #[must_use]
    pub fn bundle(&self) -> String {
        self.members.iter().map(|member| member.kept.certificate.as_str()).collect()
    }

    /// A server certificate for the agents of one load balancer.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn issue_agent(
        &self,
        namespace: &str,
        load_balancer: &str,
        now: Timestamp,
    ) -> Result<Identity, AuthorityError> {
        let names = vec![agent_name(namespace, load_balancer)];
        self.issue(Purpose { names, usages: vec![ExtendedKeyUsagePurpose::ServerAuth], life: policy::LEAF_LIFE }, now)
    }

    /// A client certificate for the operator.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn issue_operator(&self, now: Timestamp) -> Result<Identity, AuthorityError> {
        let names = vec![OPERATOR_NAME.to_owned()];
        self.issue(Purpose { names, usages: vec![ExtendedKeyUsagePurpose::ClientAuth], life: policy::LEAF_LIFE }, now)
    }

    /// A certificate for one of Harbor's programs, by all the names and addresses that others call it: each is server
    /// and client.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn issue_program(&self, names: Vec<String>, now: Timestamp) -> Result<Identity, AuthorityError> {
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(Purpose { names, usages, life: policy::PROGRAM_LIFE }, now)
    }

    /// Whether an authority is to be made now: there is none that lives, or the newest has lived two thirds of its life.
    #[must_use]
    pub fn lacks_next(&self, now: Timestamp) -> bool {
        matches!(policy::decide(&self.terms(), now), Decision::Make { .. })
    }

    fn issue(&self, purpose: Purpose, now: Timestamp) -> Result<Identity, AuthorityError> {
        let index = policy::signer(&self.terms(), now).ok_or(AuthorityError::Empty)?;
        let member = &self.members[index];
        let issuer = Issuer::from_ca_cert_pem(&member.kept.certificate, KeyPair::from_pem(&member.kept.key)?)?;
        identity::issue(&issuer, &member.term, self.bundle(), purpose, now)
    }

    fn terms(&self) -> Vec<Term> {
        self.members.iter().map(|member| member.term).collect()
    }
}

impl Member {
    fn make(now: Timestamp, signs_from: Timestamp) -> Result<Self, AuthorityError> {
        let term = Term::starting(now, signs_from);
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::default();
        // Two authorities must not bear the same name, or verifiers take one for the other.
        parameters.distinguished_name.push(DnType::CommonName, format!("Fairway authority {}", now.as_second()));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        identity::set_times(&mut parameters, term.valid_from, term.expires);
        let certificate = parameters.self_signed(&key)?.pem();
        Self::parse(Kept { certificate, key: key.serialize_pem(), signs_from })
    }

    fn parse(kept: Kept) -> Result<Self, AuthorityError> {
        let (valid_from, expires) = identity::times(kept.certificate.as_bytes())
            .ok_or(AuthorityError::Unreadable("an authority's certificate is malformed"))?;
        let term = Term { valid_from, expires, signs_from: kept.signs_from };
        Ok(Self { kept, term })
    }
}

impl fmt::Debug for AuthoritySet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("AuthoritySet").field(&self.terms()).finish()
    }
}
