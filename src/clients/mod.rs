//! I/O at the edge: one file for each system that is spoken to.
//!
//! | file | speaks to | how |
//! |---|---|---|
//! | [`agent`] | the agent beside each `HAProxy` | HTTPS with certificates on both sides, connections kept |
//! | [`haproxy`] | the two sockets of `HAProxy` | one command for each connection |
//! | [`postgresql`] | the database of a Harbor: asked how it is, made, given a password, dropped | open, ask, close |
//! | [`redis`] | the cache of a Harbor: asked how it is, its users made and deleted, its databases emptied | open, ask, close |
//! | [`harbor`] | Harbor's API, by the address of its core | open, ask, close |
//! | [`distribution`] | the registry of a Harbor itself: whether it can write | open, ask, close |
//!
//! The last four know no custom resource. They keep no connection, since one operator looks after a
//! thousand Harbors that are idle, and a connection is a process on the one side and memory on both: a
//! call opens one, asks all it has to ask, and closes it. Each call is bounded in time. Passwords are
//! [`SecretString`](secrecy::SecretString)s, so that neither `Debug` nor an error can show them.

pub mod agent;
pub mod connection;
pub mod distribution;
pub mod haproxy;
pub mod harbor;
mod http;
pub mod postgresql;
pub mod redis;
