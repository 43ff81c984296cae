//! I/O at the edge: one file for each system that is spoken to.

pub mod agent;
pub mod haproxy;
