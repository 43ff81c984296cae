//! Whether certificates that are served end soon. Each reason is told once: the message names times, and
//! not how long it is until then. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{CERTIFICATES, Verdict};
use crate::api::{CertificateStatus, ListenerStatus};

/// Certificates of the usual issuers are renewed 30 days before they end: one that was not is told of.
const SOON: SignedDuration = SignedDuration::from_hours(21 * 24);
/// And again.
const VERY_SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The verdict upon the certificate that ends first; none where none is served.
pub(super) fn current(listeners: &[ListenerStatus], now: Timestamp) -> Option<Verdict> {
    let served = listeners.iter().filter_map(|listener| Some((listener, listener.certificate.as_ref()?)));
    let (listener, certificate) = served.min_by_key(|(_, certificate)| certificate.not_after.0)?;
    let CertificateStatus { secret_name, not_after: Time(end) } = certificate;
    let (reason, verb) = match now.duration_until(*end) {
        left if left <= SignedDuration::ZERO => ("Expired", "has ended"),
        left if left <= VERY_SOON => ("ExpiresThisWeek", "ends"),
        left if left <= SOON => ("ExpiresSoon", "ends"),
        _ => {
            let message = "no certificate that is served ends within 21 days".to_owned();
            return Some(Verdict::good(CERTIFICATES, "Current", message));
        }
    };
    let message = format!(
        "the certificate that HAProxy serves from Secret {secret_name:?} on listener {} {verb} at {end}: renew it in the Secret",
        listener.name
    );
    Some(Verdict::bad(CERTIFICATES, reason, message))
}
