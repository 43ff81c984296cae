//! What a registry is planned to be, without a cluster.

mod administrator;
mod conditions;
mod documented;
mod encryption;
mod failures;
mod fixtures;
mod network;
mod objects;
mod pins;
mod stages;
