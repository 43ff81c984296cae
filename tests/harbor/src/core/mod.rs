//! Harbor's core: the API, the token service, and the way to the registry. It answers at the front door.

mod accounts;
mod administrator;
mod artifacts;
mod configurations;
mod cron;
mod documents;
mod health;
mod jobs;
mod members;
mod metrics;
mod projects;
mod proxy;
mod quotas;
mod registry_path;
mod robot_rules;
mod robots;
mod routes;
mod schedules;
mod schema;
mod session;
mod settings;
mod state;
mod system;
mod token;
mod users;
mod vault;

use std::sync::Arc;

use crate::environment::Refusal;
use crate::version;

pub(crate) use administrator::random;
use settings::Settings;
use state::Core;

/// Starts as Harbor does: environment, database, schema, administrator, then the API.
pub(crate) async fn run(arguments: &[String]) -> Result<(), Refusal> {
    let mode = mode(arguments)?;
    let version = version::played()?;
    let settings = Settings::read()?;
    let key = token::Key::from_pem(&settings.private_key)?;
    let tls = crate::tls::internal()?;
    let pool = settings.database.connect().await?;
    match mode {
        Mode::SkipMigrate => schema::require(&pool, version.schema).await?,
        Mode::Migrate | Mode::Normal => schema::migrate(&pool, version.schema).await?,
    }
    if mode == Mode::Migrate {
        tracing::info!("the database migrate success");
        return Ok(());
    }
    administrator::initial_password(&pool, &settings.admin_password).await?;
    let metrics = settings.metrics.clone();
    let port = settings.port;
    let core = Arc::new(Core::new(settings, version, key, pool)?);
    health::watch(&core);
    if let Some((path, port)) = metrics {
        crate::http::beside(port, metrics::router(&core, &path)).await?;
    }
    tracing::info!("this stand-in plays Harbor {}", core.version.name);
    crate::http::serve(port, routes::router(core), tls).await?;
    Ok(())
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Mode {
    Normal,
    Migrate,
    SkipMigrate,
}

fn mode(arguments: &[String]) -> Result<Mode, Refusal> {
    let text = match arguments {
        [] => "normal",
        [flag] => flag.trim_start_matches('-').strip_prefix("mode=").unwrap_or(flag),
        [flag, value] if flag.trim_start_matches('-') == "mode" => value,
        _ => return Err(Refusal::new(format!("arguments are not understood: {arguments:?}"))),
    };
    match text {
        "normal" => Ok(Mode::Normal),
        "migrate" => Ok(Mode::Migrate),
        "skip-migrate" => Ok(Mode::SkipMigrate),
        other => Err(Refusal::new(format!("-mode must be normal, migrate or skip-migrate, not {other:?}"))),
    }
}
