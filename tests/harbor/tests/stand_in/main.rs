//! The stand-in for Harbor's programs, as a user of Harbor and an operator meet it: processes on the loopback, with a
//! real PostgreSQL, Redis, registry and S3 server below, and skopeo as the client. Needs what `make test-harbor` brings.

mod api;
mod encrypted;
mod ground;
mod harbor;
mod health;
mod image;
mod others;
mod process;
mod pushing;
mod refusals;
mod robots;
mod schema;
mod system;
mod tenant;
mod work;
