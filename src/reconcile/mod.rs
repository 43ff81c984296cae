//! The engine: observe → plan → execute. It knows no family.

pub mod family;
