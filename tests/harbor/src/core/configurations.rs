//! The configuration that is kept in the database: `/api/v2.0/configurations`. Harbor's own cache holds it for a while.

use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use hyper::HeaderMap;
use serde_json::{Map, Value, json};

use super::session::Who;
use super::state::Core;
use crate::answer::{Answer, Fault, body, done, ok};

const CACHED: &str = "cache:configurations";
/// In seconds.
const CACHED_FOR: u64 = 30;

/// What there is, and what it is by default; the kind of the default is the kind of the value.
fn defaults() -> Value {
    json!({
        "auth_mode": "db_auth", "primary_auth_mode": false, "self_registration": false, "read_only": false,
        "project_creation_restriction": "everyone", "token_expiration": 30, "robot_token_duration": 30,
        "robot_name_prefix": "robot$", "notification_enable": true, "quota_per_project_enable": true,
        "storage_per_project": -1, "session_timeout": 60, "banner_message": "", "scanner_skip_update_pulltime": false,
        "pull_time_update_disable": false, "pull_count_update_disable": false, "pull_audit_log_disable": false,
        "audit_log_forward_endpoint": "", "skip_audit_log_database": false, "disabled_audit_log_event_types": "",
        "ldap_url": "", "ldap_base_dn": "", "ldap_search_dn": "", "ldap_search_password": "", "ldap_uid": "cn",
        "ldap_filter": "", "ldap_scope": 2, "ldap_timeout": 5, "ldap_verify_cert": true, "ldap_group_base_dn": "",
        "ldap_group_search_filter": "", "ldap_group_attribute_name": "", "ldap_group_search_scope": 2,
        "ldap_group_admin_dn": "", "ldap_group_membership_attribute": "memberof", "ldap_group_attach_parallel": false,
        "http_authproxy_endpoint": "", "http_authproxy_tokenreview_endpoint": "", "http_authproxy_verify_cert": true,
        "http_authproxy_skip_search": false, "http_authproxy_server_certificate": "", "http_authproxy_admin_groups": "",
        "http_authproxy_admin_usernames": "", "uaa_endpoint": "", "uaa_client_id": "", "uaa_client_secret": "",
        "uaa_verify_cert": false, "oidc_name": "", "oidc_endpoint": "", "oidc_client_id": "", "oidc_client_secret": "",
        "oidc_groups_claim": "", "oidc_admin_group": "", "oidc_group_filter": "", "oidc_scope": "", "oidc_user_claim": "",
        "oidc_verify_cert": true, "oidc_auto_onboard": false, "oidc_extra_redirect_parms": "{}", "oidc_logout": false,
    })
}

/// What is never told.
const SECRET: [&str; 3] = ["ldap_search_password", "uaa_client_secret", "oidc_client_secret"];

/// All settings as they are now.
async fn current(core: &Core) -> Result<Map<String, Value>, Fault> {
    if let Ok(Some(text)) = core.cache.run::<Option<String>>(redis::cmd("GET").arg(CACHED)).await
        && let Ok(Value::Object(settings)) = serde_json::from_str(&text)
    {
        return Ok(settings);
    }
    let Value::Object(mut settings) = defaults() else {
        return Ok(Map::new());
    };
    for row in core.rows("SELECT k, v FROM properties", &[]).await? {
        let (name, text): (String, String) = (row.get(0), row.get(1));
        let value = match settings.get(&name) {
            Some(Value::String(_)) => Value::String(text),
            _ => serde_json::from_str(&text).unwrap_or_default(),
        };
        settings.insert(name, value);
    }
    settings.extend(core.settings.overwrite.clone());
    let text = Value::Object(settings.clone()).to_string();
    // A cache that is away is no reason to fail.
    let _ = core.cache.run::<()>(redis::cmd("SETEX").arg(CACHED).arg(CACHED_FOR).arg(text)).await;
    Ok(settings)
}

pub(crate) async fn value(core: &Core, name: &str) -> Result<Value, Fault> {
    Ok(current(core).await?.remove(name).unwrap_or_default())
}

pub(crate) async fn text(core: &Core, name: &str) -> Result<String, Fault> {
    Ok(value(core, name).await?.as_str().unwrap_or_default().to_owned())
}

pub(crate) async fn number(core: &Core, name: &str) -> Result<i64, Fault> {
    Ok(value(core, name).await?.as_i64().unwrap_or_default())
}

/// Refuses while the system is read-only.
pub(crate) async fn writable(core: &Core) -> Result<(), Fault> {
    if value(core, "read_only").await? == true {
        return Err(Fault::denied("The system is in read only mode. Any modification is prohibited."));
    }
    Ok(())
}

pub(crate) async fn get(State(core): State<Arc<Core>>, headers: HeaderMap) -> Answer {
    Who::of(&core, &headers).await?.may_system("configuration", "read")?;
    let editable = core.settings.overwrite.is_empty();
    let told: Map<String, Value> = current(&core)
        .await?
        .into_iter()
        .filter(|(name, _)| !SECRET.contains(&name.as_str()))
        .map(|(name, value)| (name, json!({"value": value, "editable": editable})))
        .collect();
    ok(Value::Object(told))
}

pub(crate) async fn put(State(core): State<Arc<Core>>, headers: HeaderMap, bytes: Bytes) -> Answer {
    Who::of(&core, &headers).await?.may_system("configuration", "update")?;
    if !core.settings.overwrite.is_empty() {
        return Err(Fault::forbidden("the configuration can't be changed: it is set by CONFIG_OVERWRITE_JSON"));
    }
    let wanted: Map<String, Value> = body(&bytes)?;
    for (name, value) in &wanted {
        check(name, value)?;
    }
    for (name, value) in &wanted {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        core.execute(
            "INSERT INTO properties (k, v) VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = $2",
            &[name, &text],
        )
        .await?;
    }
    let _ = core.cache.run::<()>(redis::cmd("DEL").arg(CACHED)).await;
    done()
}

fn check(name: &str, value: &Value) -> Result<(), Fault> {
    let defaults = defaults();
    let Some(default) = defaults.get(name) else {
        return Err(Fault::unprocessable(format!("there is no configuration {name:?}")));
    };
    if std::mem::discriminant(default) != std::mem::discriminant(value) {
        return Err(Fault::unprocessable(format!("{name} in body is of another type")));
    }
    let text = value.as_str().unwrap_or_default();
    let number = value.as_i64().unwrap_or_default();
    let wrong = match name {
        "project_creation_restriction" => !matches!(text, "everyone" | "adminonly"),
        "auth_mode" => !matches!(text, "db_auth" | "ldap_auth" | "uaa_auth" | "http_auth" | "oidc_auth"),
        "storage_per_project" | "robot_token_duration" => number == 0 || number < -1,
        "token_expiration" | "session_timeout" => number <= 0,
        "robot_name_prefix" => text.is_empty(),
        _ => false,
    };
    if wrong {
        return Err(Fault::bad_request(format!("invalid value for configuration {name}: {value}")));
    }
    Ok(())
}

/// `GET /internalconfig`, for jobservice alone: all of it, with the way to the database.
pub(crate) async fn internal(State(core): State<Arc<Core>>, headers: HeaderMap) -> Answer {
    if !matches!(Who::of(&core, &headers).await?, Who::Component) {
        return Err(Fault::unauthorized("unauthorized"));
    }
    let database = &core.settings.database;
    let own = json!({
        "database_type": "postgresql", "postgresql_host": database.host, "postgresql_port": database.port,
        "postgresql_username": database.user, "postgresql_password": database.password,
        "postgresql_database": database.name, "postgresql_sslmode": database.ssl_mode,
        "postgresql_max_open_conns": database.max_open, "ext_endpoint": core.settings.external,
        "core_url": core.settings.urls.core, "registry_url": core.settings.urls.registry,
        "token_service_url": core.settings.urls.token_service, "with_trivy": core.settings.trivy,
    });
    let mut settings = current(&core).await?;
    if let Value::Object(own) = own {
        settings.extend(own);
    }
    let told = settings.into_iter().map(|(name, value)| (name, json!({"value": value, "editable": false}))).collect();
    ok(Value::Object(told))
}
