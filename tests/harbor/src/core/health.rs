//! Looks at the other components every ten seconds, as Harbor does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::{Value, json};

use super::state::Core;

const PERIOD: Duration = Duration::from_secs(10);

/// What is known of each component: an error, or none.
#[derive(Default)]
pub(crate) struct Health(BTreeMap<&'static str, Option<String>>);

impl Health {
    pub(crate) fn told(&self) -> Value {
        let well = self.0.values().all(Option::is_none);
        let status = |well| if well { "healthy" } else { "unhealthy" };
        let components: Vec<Value> = self
            .0
            .iter()
            .map(|(name, error)| match error {
                None => json!({"name": name, "status": status(true)}),
                Some(error) => json!({"name": name, "status": status(false), "error": error}),
            })
            .collect();
        json!({"status": status(well), "components": components})
    }
}

/// Starts a look at each component, each by itself: one that hangs keeps nobody waiting.
pub(crate) fn watch(core: &Arc<Core>) {
    let mut names = vec!["core", "portal", "jobservice", "registry", "registryctl", "database", "redis"];
    if core.settings.trivy {
        names.push("trivy");
    }
    for name in names {
        note(core, name, Some("unknown status".to_owned()));
        let core = Arc::clone(core);
        tokio::spawn(async move {
            let mut period = tokio::time::interval(PERIOD);
            loop {
                period.tick().await;
                let error = look(&core, name).await.err().map(|error| format!("{error:#}"));
                note(&core, name, error);
            }
        });
    }
}

fn note(core: &Core, name: &'static str, error: Option<String>) {
    if let Ok(mut health) = core.health.lock() {
        let before = health.0.insert(name, error.clone());
        if before.is_some_and(|before| before.is_none() != error.is_none()) {
            if let Some(error) = error {
                tracing::warn!("{name} is unhealthy: {error}");
            } else {
                tracing::info!("{name} is healthy");
            }
        }
    }
}

async fn look(core: &Core, name: &str) -> Result<()> {
    let urls = &core.settings.urls;
    match name {
        "core" => Ok(()),
        "database" => match core.execute("SELECT 1", &[]).await {
            Ok(_) => Ok(()),
            Err(_) => bail!("failed to run SQL \"SELECT 1\""),
        },
        "redis" => core.cache.ping().await,
        "portal" => get(core, urls.portal.clone(), None).await,
        "jobservice" => get(core, format!("{}/api/v1/stats", urls.jobservice), None).await,
        "registryctl" => get(core, format!("{}/api/health", urls.registryctl), None).await,
        "trivy" => get(core, format!("{}/probe/healthy", urls.trivy), None).await,
        // Harbor asks for `/`, which needs no credentials; here wrong ones are seen.
        _ => {
            let credentials = format!("{}:{}", core.settings.registry_user, core.settings.registry_password);
            let credentials = format!("Basic {}", STANDARD.encode(credentials));
            get(core, format!("{}/v2/", urls.registry), Some(&credentials)).await
        }
    }
}

async fn get(core: &Core, url: String, authorization: Option<&str>) -> Result<()> {
    let (status, body) = core.client.call(Method::GET, &url, authorization, None).await?;
    if status != hyper::StatusCode::OK {
        bail!("received unexpected status code: {} {}", status.as_u16(), String::from_utf8_lossy(&body));
    }
    Ok(())
}
