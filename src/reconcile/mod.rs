//! The engine: observe → plan → execute. It knows no family, and is the only writer.
//!
//! | file | what it decides |
//! |---|---|
//! | [`family`] | what a family answers |
//! | `engine`, `queue` | what gives a resource a turn, when, and how many are taken at a time |
//! | `store`, `packed` | what is kept of a resource between its turns |
//! | `turn` | the steps of a turn, and what is said of its end |
//! | `objects` | what is applied and what is pruned |
//! | `inventory`, `fingerprint`, `identity` | what is known of owned objects, whether they are as planned, whose they are |
//! | `status`, [`conditions`], `events` | what users read |
//! | `error`, `memory` | when a failed turn is tried again, and what is remembered between turns |
//! | [`dynamic`] | how objects of any kind are read |
//! | `contents`, `interests` | what is read of the objects that resources name, and whom a change of theirs is for |
//! | [`cache`], `watch`, `scope`, `guard` | what is watched, and how it survives bad objects and lost connections |
//! | [`lease`] | which process may write at all |
//! | [`upgrades`] | what OLM is told of upgrades |

pub mod cache;
pub mod conditions;
mod contents;
mod context;
pub mod dynamic;
mod engine;
mod error;
mod events;
pub mod family;
mod fingerprint;
mod guard;
mod identity;
mod interests;
mod inventory;
pub mod lease;
mod memory;
mod objects;
mod packed;
mod queue;
mod scope;
mod status;
mod store;
mod turn;
pub mod upgrades;
mod watch;

use std::time::Duration;

pub use self::{
    cache::{Cache, Changed, Feed, Trigger},
    contents::Contents,
    context::{Clock, Settings},
    engine::Engine,
    error::{Backoff, Error, namespace_terminates},
    family::{Effect, Event, Failure, Family, Finalizer, Owned, Plan, Retained, Retry, Status},
    fingerprint::MANAGER,
    identity::{FAMILY, INSTANCE, KEEP, MANAGED_BY, finalizer, instance_label, selector, stamp},
    interests::Interests,
    scope::Scope,
    upgrades::Busy,
    watch::Key,
};

pub(crate) use self::{
    packed::Packed,
    queue::{Queue, at},
};

/// How long one request to the Kubernetes API may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How long a family may take to observe, or to perform one effect.
const PATIENCE: Duration = Duration::from_mins(2);
