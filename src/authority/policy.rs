//! When an authority is made, from when it signs, and when a certificate is renewed. Pure: the time is
//! an argument.

use jiff::{SignedDuration, Timestamp};

/// How long an authority lives.
pub const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(2 * 365 * 24);
/// How long a leaf certificate lives.
pub const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long a certificate of Harbor's programs lives: they read it at their start alone, so that a new one replaces pods.
pub const PROGRAM_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// From the making of an authority until it signs; far more than a mounted Secret's lag (two minutes)
/// and the operator's own ([`super::store::REFRESH`]).
pub const OVERLAP: SignedDuration = SignedDuration::from_hours(24);
/// How much earlier a certificate is valid than it was made, for clocks that are behind.
pub const SKEW: SignedDuration = SignedDuration::from_mins(10);

/// The times of one authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// When it was made, less [`SKEW`]: the certificate's `notBefore`.
    pub valid_from: Timestamp,
    /// The certificate's `notAfter`.
    pub expires: Timestamp,
    /// From when it signs.
    pub signs_from: Timestamp,
}

impl Term {
    /// The term of an authority that is made now.
    #[must_use]
    pub fn starting(now: Timestamp, signs_from: Timestamp) -> Self {
        Self { valid_from: now - SKEW, expires: now + AUTHORITY_LIFE, signs_from }
    }
}

/// What is to change in a set of authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Keep,
    /// Only forget what has expired.
    Drop,
    /// Make one that signs from this time on, and forget what has expired.
    Make {
        /// At once for the first, after [`OVERLAP`] for the next.
        signs_from: Timestamp,
    },
}

/// Decides what is to change.
#[must_use]
pub fn decide(terms: &[Term], now: Timestamp) -> Decision {
    let Some(newest) = terms.iter().filter(|term| term.expires > now).max_by_key(|term| term.expires) else {
        return Decision::Make { signs_from: now };
    };
    if now >= renewal_time(newest.valid_from, newest.expires) {
        return Decision::Make { signs_from: now + OVERLAP };
    }
    if terms.iter().any(|term| term.expires <= now) { Decision::Drop } else { Decision::Keep }
}

/// The index of the authority that signs now: of those whose time has come the latest. While there is
/// none (a clock that went back) it is the earliest that has not expired.
#[must_use]
pub fn signer(terms: &[Term], now: Timestamp) -> Option<usize> {
    let alive = || terms.iter().enumerate().filter(|(_, term)| term.expires > now);
    alive()
        .filter(|(_, term)| term.signs_from <= now)
        .max_by_key(|(_, term)| term.signs_from)
        .or_else(|| alive().min_by_key(|(_, term)| term.signs_from))
        .map(|(index, _)| index)
}

/// When a certificate with these times is renewed: after two thirds of its life.
#[must_use]
pub fn renewal_time(valid_from: Timestamp, expires: Timestamp) -> Timestamp {
    valid_from + expires.duration_since(valid_from) * 2 / 3
}

/// When a leaf ends that is made now, for so long, under an authority of this term: it never outlives its authority.
#[must_use]
pub fn leaf_expiry(authority: &Term, life: SignedDuration, now: Timestamp) -> Timestamp {
    (now + life).min(authority.expires)
}

#[cfg(test)]
mod tests;
