//! Whether spans leave the process: they do if the environment names an OTLP collector (gRPC), by the
//! standard variables, `OTEL_EXPORTER_OTLP_ENDPOINT` first of all.

use std::env;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::{Layer, registry::LookupSpan};

use super::Error;

/// What sends spans.
pub type Provider = SdkTracerProvider;

/// Either of them switches tracing on.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// What sends spans to the collector that the environment names; none if it names none.
///
/// # Errors
/// If what the environment says cannot be used.
pub fn provider() -> Result<Option<Provider>, Error> {
    if !ENDPOINTS.iter().any(|name| env::var(name).is_ok_and(|value| !value.is_empty())) {
        return Ok(None);
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().build()?;
    let mut resource = Resource::builder();
    if env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("fairway");
    }
    Ok(Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build()))
}

/// Hands spans to `provider`.
#[must_use = "it does nothing by itself"]
pub fn layer<S>(provider: &Provider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer().with_tracer(provider.tracer("fairway"))
}
