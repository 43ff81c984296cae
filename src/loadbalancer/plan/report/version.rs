//! Whether the replicas run an HAProxy that Fairway supports. What runs is never touched for it: somebody chose that
//! image, and may have a reason. Pure.

use std::collections::BTreeMap;

use super::{Replica, ReplicaStatus, VERSION, Verdict};

/// The oldest that is supported, as major and minor: older ones lack what configurations are made of.
pub const OLDEST: (u32, u32) = (2, 6);
/// The last major version that is known; the tests run with the oldest version and with one of this.
pub const NEWEST_MAJOR: u32 = 3;

/// The version of a replica's `HAProxy`, such as `2.6.12`; empty while it was never told. A pod's stays what it is,
/// so it is known also while the agent does not answer.
pub(super) fn told<'a>(replica: &'a Replica, before: &'a [ReplicaStatus]) -> &'a str {
    let now = replica.answer().map(|report| report.haproxy_version.as_str()).filter(|version| !version.is_empty());
    let known = || before.iter().find(|known| known.pod == replica.pod).map(|known| known.haproxy_version.as_str());
    now.or_else(known).unwrap_or_default()
}

/// The verdict upon the versions of the replicas; none while none is known.
pub(super) fn supported(replicas: &[ReplicaStatus]) -> Option<Verdict> {
    let versions = replicas.iter().map(|replica| replica.haproxy_version.as_str());
    let known: BTreeMap<(u32, u32), &str> = versions.filter_map(|version| Some((numbers(version)?, version))).collect();
    let (oldest, newest) = (known.first_key_value()?, known.last_key_value()?);
    let (major, minor) = OLDEST;
    let bad = |reason, version: &str, why: &str| {
        let message = format!(
            "a replica runs HAProxy {version}, which is {why}: choose an image with HAProxy {major}.{minor} to \
             {NEWEST_MAJOR}.x in spec.image or in the class, or none for the one that Fairway is released with; what serves \
             serves on"
        );
        Some(Verdict::bad(VERSION, reason, message))
    };
    if *oldest.0 < OLDEST {
        return bad("TooOld", oldest.1, "older than what is supported");
    }
    if newest.0.0 > NEWEST_MAJOR {
        return bad("TooNew", newest.1, "newer than what this version of Fairway knows");
    }
    let versions: Vec<&str> = known.into_values().collect();
    Some(Verdict::good(VERSION, "Supported", format!("the replicas run HAProxy {}", versions.join(" and "))))
}

/// Major and minor of a version such as `2.6.12`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}
