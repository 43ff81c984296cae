//! One line an event on standard output, with the level of `LOG_LEVEL`.

use tracing_subscriber::EnvFilter;

/// The levels that Harbor knows.
pub(crate) const LEVELS: [&str; 5] = ["debug", "info", "warning", "error", "fatal"];

pub(crate) fn start() {
    let level = match std::env::var("LOG_LEVEL").unwrap_or_default().as_str() {
        "debug" => "debug",
        "warning" => "warn",
        "error" | "fatal" => "error",
        _ => "info",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("warn,harbor_stand_in={level}")))
        .with_ansi(false)
        .with_target(false)
        .init();
}
