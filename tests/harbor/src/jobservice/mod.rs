//! Harbor's jobservice: takes jobs, keeps them in its own Redis, and runs them one after the other. It asks core for its
//! configuration before anything else, and ends with 2 where core does not answer or does not know its secret.

mod collection;
mod config;
mod queue;
mod routes;

use std::sync::Arc;

use hyper::Method;
use serde_json::Value;

use crate::client::Client;
use crate::environment::{Environment, Refusal};
use crate::log::LEVELS;
pub(crate) use queue::TYPES;

use config::Configuration;
use queue::Queue;

/// One jobservice.
pub(crate) struct Jobservice {
    config: Configuration,
    queue: Queue,
    client: Client,
    core_secret: String,
    own_secret: String,
    registryctl: String,
    /// Core's configuration, the way to the database among it.
    internal: Value,
}

impl Jobservice {
    /// `Harbor-Secret` towards core and registryctl.
    fn authorization(&self) -> String {
        format!("Harbor-Secret {}", self.own_secret)
    }

    /// A setting of core's.
    fn setting(&self, name: &str) -> String {
        match &self.internal[name]["value"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// Starts as Harbor does: configuration, core, Redis, then the API and the workers.
pub(crate) async fn run(arguments: &[String]) -> Result<(), Refusal> {
    let mut environment = Environment::default();
    let config = config::read(&mut environment, arguments);
    let core = environment.url("CORE_URL");
    let core_secret = environment.exactly("CORE_SECRET", 16);
    let jobservice_secret = environment.exactly("JOBSERVICE_SECRET", 16);
    environment.url("REGISTRY_URL");
    let registryctl = environment.url("REGISTRY_CONTROLLER_URL");
    environment.required("REGISTRY_CREDENTIAL_USERNAME");
    environment.required("REGISTRY_CREDENTIAL_PASSWORD");
    environment.one_of("LOG_LEVEL", "info", &LEVELS);
    environment.parsed("JOBSERVICE_WEBHOOK_JOB_MAX_RETRY", 3_u32);
    environment.parsed("JOBSERVICE_WEBHOOK_JOB_HTTP_CLIENT_TIMEOUT", 3_u32);
    environment.finish()?;
    crate::tls::internal()?;
    let client = Client::new()?;
    let url = format!("{core}/api/v2.0/internalconfig");
    let authorization = format!("Harbor-Secret {jobservice_secret}");
    let internal = client
        .json(Method::GET, &url, Some(&authorization), None)
        .await
        .map_err(|error| Refusal { code: 2, reason: format!("failed to load configuration, error: {error:#}") })?;
    let tls = config.acceptor()?;
    let port = config.port;
    let metric = config.metric.clone();
    let jobservice = Arc::new(Jobservice {
        queue: Queue::new(&config)?,
        config,
        client,
        core_secret,
        own_secret: jobservice_secret,
        registryctl,
        internal,
    });
    if let Some(metric) = metric.filter(|metric| metric.enabled) {
        crate::http::beside(metric.port, routes::metrics(&jobservice, &metric.path)).await?;
    }
    tokio::spawn(queue::work(Arc::clone(&jobservice)));
    crate::http::serve(port, routes::router(jobservice), tls).await?;
    Ok(())
}
