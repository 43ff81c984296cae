//! What the agent's programs are told. Decides nothing: every path, port and bound has its default for a pod,
//! and can be set by flag or environment.

// The comments are help texts, for a terminal.
#![allow(clippy::doc_markdown)]

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::protocol::{AGENT_PORT, HEALTH_PORT, METRICS_PORT};

/// Where the program is copied to.
#[derive(Clone, Debug, clap::Args)]
pub struct InstallOptions {
    /// The file that is written.
    #[arg(long, env = "FAIRWAY_BINARY", default_value = "/run/fairway/bin/fairway")]
    pub target: PathBuf,
}

/// What `boot` and `serve` must agree on.
#[derive(Clone, Debug, clap::Args)]
pub struct PodOptions {
    /// The directory that the pod's containers share.
    #[arg(long, env = "FAIRWAY_RUN_DIRECTORY", default_value = "/run/fairway")]
    pub run_directory: PathBuf,
    /// The directory in which the configuration's Secret is mounted.
    #[arg(long, env = "FAIRWAY_CONFIGURATION_DIRECTORY", default_value = "/etc/fairway/configuration")]
    pub configuration_directory: PathBuf,
    /// The HAProxy program.
    #[arg(long, env = "FAIRWAY_HAPROXY", default_value = "haproxy")]
    pub haproxy: PathBuf,
    /// The CPU limit of HAProxy's container, in thousandths of a core.
    #[arg(long, env = "FAIRWAY_CPU_MILLIS", default_value_t = 1_000)]
    pub cpu_millis: u32,
    /// The memory limit of HAProxy's container.
    #[arg(long, env = "FAIRWAY_MEMORY_BYTES", default_value_t = 256 << 20)]
    pub memory_bytes: u64,
    /// The port on which HAProxy itself answers /healthz.
    #[arg(long, env = "FAIRWAY_HEALTH_PORT", default_value_t = HEALTH_PORT)]
    pub health_port: u16,
    /// How long HAProxy may take to check a configuration, and to show that it runs it, in seconds.
    #[arg(long, env = "FAIRWAY_PROOF_SECONDS", default_value = "60", value_parser = seconds)]
    pub proof_timeout: Duration,
}

/// What `serve` needs.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeOptions {
    /// What it shares with `boot`.
    #[command(flatten)]
    pub pod: PodOptions,
    /// The directory in which tls.crt, tls.key and ca.crt are mounted.
    #[arg(long, env = "FAIRWAY_IDENTITY_DIRECTORY", default_value = "/etc/fairway/identity")]
    pub identity_directory: PathBuf,
    /// Where configurations are taken (mutual TLS).
    #[arg(long, env = "FAIRWAY_AGENT_ADDRESS", default_value_t = any_address(AGENT_PORT))]
    pub address: SocketAddr,
    /// Where /healthz, /readyz and /metrics are answered.
    #[arg(long, env = "FAIRWAY_METRICS_ADDRESS", default_value_t = any_address(METRICS_PORT))]
    pub metrics_address: SocketAddr,
    /// How often mounted files, HAProxy's marker and its statistics are looked at, in seconds.
    #[arg(long, env = "FAIRWAY_LOOK_SECONDS", default_value = "2", value_parser = seconds)]
    pub look_interval: Duration,
}

/// How `drain` waits.
#[derive(Clone, Debug, clap::Args)]
pub struct DrainOptions {
    /// The directory that the pod's containers share.
    #[arg(long, env = "FAIRWAY_RUN_DIRECTORY", default_value = "/run/fairway")]
    pub run_directory: PathBuf,
    /// How long new connections are still taken, so that endpoints are withdrawn first, in seconds.
    #[arg(long, env = "FAIRWAY_DRAIN_DELAY_SECONDS", default_value = "5", value_parser = seconds)]
    pub delay: Duration,
    /// How long connections may take to finish after that, in seconds.
    #[arg(long, env = "FAIRWAY_DRAIN_SECONDS", default_value = "50", value_parser = seconds)]
    pub timeout: Duration,
}

/// IPv6's any address, which takes IPv4 too; where there is no IPv6 the server falls back to IPv4's.
fn any_address(port: u16) -> SocketAddr {
    (std::net::Ipv6Addr::UNSPECIFIED, port).into()
}

/// Seconds, with a fraction if need be.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is expected".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
