//! What is logged, traced and measured, and the HTTP server that tells it. It touches standard error,
//! one listening socket and, where one is named in the environment, an OTLP collector.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use fairway::telemetry::{self, Exposition, Metrics, Readiness, logs};
//!
//! let telemetry = telemetry::start(logs::Format::Json, "info")?;
//! let exposition = Exposition::default();
//! let metrics = Metrics::register(&exposition);
//! let readiness = Readiness::default();
//! let listener = tokio::net::TcpListener::bind("0.0.0.0:8080").await?;
//! tokio::spawn(telemetry::http::serve(listener, telemetry::http::router(exposition, readiness.clone())));
//! // … the program …
//! telemetry.finish();
//! # Ok(())
//! # }
//! ```

pub mod http;
pub mod logs;
pub mod metrics;
pub mod readiness;
pub mod traces;

use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

pub use self::{
    metrics::{Exposition, Metrics},
    readiness::Readiness,
};

/// Why logging or tracing could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not one that `RUST_LOG` would take.
    #[error("the log filter {filter:?} is not understood: {source}")]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The collector named in the environment cannot be used.
    #[error("traces cannot be exported: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Something in this process has set up logging before.
    #[error("logging is set up already: {0}")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// Logging and tracing of this process, once they are set up.
#[derive(Debug)]
#[must_use = "without `finish` the last traces are lost"]
pub struct Telemetry {
    traces: Option<traces::Provider>,
}

/// Sets up logs on standard error and, if `OTEL_EXPORTER_OTLP_ENDPOINT` is set, traces. Once for a
/// process, within a tokio runtime.
///
/// # Errors
/// If the filter is not understood, the exporter cannot be built, or logging is set up already.
pub fn start(format: logs::Format, filter: &str) -> Result<Telemetry, Error> {
    let filter = logs::filter(filter)?;
    let traces = traces::provider()?;
    tracing_subscriber::registry()
        // What is traced does not depend on what is logged.
        .with(traces.as_ref().map(traces::layer).with_filter(LevelFilter::INFO))
        .with(logs::layer(format).with_filter(filter))
        .try_init()?;
    Ok(Telemetry { traces })
}

impl Telemetry {
    /// Sends what has not been sent yet; waits a few seconds at most.
    pub fn finish(self) {
        if let Some(provider) = self.traces
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "The last traces were not sent.");
        }
    }
}
