//! The `HAProxy` pod's own half: takes a configuration, proves that it runs, reports what it sees.

pub mod protocol;
