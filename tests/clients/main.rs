//! The clients of PostgreSQL, Redis and the registry against the real servers, and that of Harbor against the stand-in's
//! core; with a real API server, too, what is made of projects and robots. Needs `initdb` and `postgres` of PostgreSQL
//! 15, `redis-server` 7, `distribution` and the stand-in; each test starts its own on a free port of the loopback.
#![allow(clippy::unwrap_used)]

mod administrator;
mod certificates;
mod distribution;
mod ground;
mod harbor;
mod harbor_core;
mod killed;
mod postgresql;
mod postgresql_server;
mod redis;
mod redis_server;
mod resources;
#[path = "../api/server.rs"]
#[allow(dead_code)]
mod server;
mod server_process;
mod tenants;
mod users;
