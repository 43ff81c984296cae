//! The registry's API at the front door: core checks who asks and what for, keeps account of what is pushed, and hands
//! the request on with its own credentials. Bodies stream, but for manifests, which are read.

use std::sync::Arc;

use anyhow::Context;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Method, Uri};
use serde_json::json;

use super::accounts;
use super::artifacts;
use super::registry_path::RegistryPath;
use super::session::{Project, Who};
use super::state::Core;
use super::token::{Claims, SERVICE, parameter};
use crate::answer::{Answer, Fault};

/// What Distribution takes for a manifest.
const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Everything under `/v2/`.
pub(crate) async fn serve(State(core): State<Arc<Core>>, request: Request) -> Response {
    let host = request.headers().get(HOST).cloned();
    let authorized = request.headers().contains_key(AUTHORIZATION);
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    match admit(&core, request, &path).await {
        Ok(response) => response,
        Err(Turned::Unauthorized(message)) => {
            let mut response = Fault::unauthorized(message).into_response();
            let scope = RegistryPath::parse(&path).and_then(|path| Some(scope(&method, path.repository()?)));
            let challenge = challenge(&core, host.as_ref(), authorized, path == "/v2/_catalog", scope.as_deref());
            if let Ok(value) = HeaderValue::from_str(&challenge) {
                response.headers_mut().insert(WWW_AUTHENTICATE, value);
            }
            response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
            response
        }
        Err(Turned::Fault(fault)) => fault.into_response(),
    }
}

/// Why a request goes no further.
enum Turned {
    Unauthorized(String),
    Fault(Fault),
}

impl<T: Into<Fault>> From<T> for Turned {
    fn from(fault: T) -> Self {
        Self::Fault(fault.into())
    }
}

/// Since 2.14 Harbor leads clients to the host that they have called; its scheme is the external one's. Before, it led
/// all but those who called core by its own URL to the external one.
fn challenge(core: &Core, host: Option<&HeaderValue>, authorized: bool, catalog: bool, scope: Option<&str>) -> String {
    if authorized || catalog {
        return "Basic realm=\"harbor\"".to_owned();
    }
    let external = &core.settings.external;
    let host = host.and_then(|host| host.to_str().ok());
    let inside = core
        .settings
        .urls
        .core
        .split_once("://")
        .map(|(scheme, host)| host.trim_end_matches(if scheme == "https" { ":443" } else { ":80" }));
    let base = match (host, external.split_once("://")) {
        (Some(host), _) if Some(host) == inside => core.settings.urls.core.clone(),
        (Some(host), Some((scheme, _))) => format!("{scheme}://{host}"),
        _ => external.clone(),
    };
    let scope = scope.map(|scope| format!(",scope=\"{scope}\"")).unwrap_or_default();
    format!("Bearer realm=\"{base}/service/token\",service=\"{SERVICE}\"{scope}")
}

fn action(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "pull",
        Method::DELETE => "delete",
        _ => "push",
    }
}

fn scope(method: &Method, repository: &str) -> String {
    let actions = match action(method) {
        "push" => "pull,push",
        other => other,
    };
    format!("repository:{repository}:{actions}")
}

async fn admit(core: &Core, mut request: Request, path: &str) -> Result<Response, Turned> {
    let path = RegistryPath::parse(path).ok_or_else(|| Fault::not_found("no such path"))?;
    let caller = Caller::of(core, request.headers()).await?;
    let action = action(request.method());
    let Some(repository) = path.repository() else {
        return Ok(match path {
            RegistryPath::Catalog if caller.is_administrator() => artifacts::catalog(core).await?,
            RegistryPath::Root if caller.is_known() => hand_on(core, request, None).await?,
            _ => return Err(Turned::Unauthorized("unauthorized".to_owned())),
        });
    };
    let project = Project::named(core, repository.split('/').next().unwrap_or_default()).await?;
    let Some(project) = project.filter(|_| repository.contains('/')) else {
        return Err(Turned::Unauthorized(format!("project of {repository} not found")));
    };
    // Without credentials nothing is read, not even of public projects: the client is to fetch a token first.
    if matches!(caller, Caller::None) || !caller.may(core, &project, repository, action).await? {
        return Err(Turned::Unauthorized(format!("unauthorized to access repository: {repository}, action: {action}")));
    }
    if action != "pull" {
        super::configurations::writable(core).await?;
    }
    match path {
        RegistryPath::Tags { .. } => Ok(artifacts::tags(core, repository).await?),
        RegistryPath::Manifest { reference, .. } => manifest(core, request, &project, repository, reference).await,
        RegistryPath::Other { upload, .. } => {
            if upload && request.method() == Method::POST {
                check_mount(core, &caller, &mut request).await?;
            }
            Ok(hand_on(core, request, None).await?)
        }
        RegistryPath::Root | RegistryPath::Catalog => Err(Fault::not_found("no such path").into()),
    }
}

/// A blob of another repository is lent only to those who may read it there.
async fn check_mount(core: &Core, caller: &Caller, request: &mut Request) -> Result<(), Turned> {
    let Some(from) = parameter(request.uri(), "from") else {
        return Ok(());
    };
    let lent = match Project::named(core, from.split('/').next().unwrap_or_default()).await? {
        Some(project) => caller.may(core, &project, &from, "pull").await?,
        None => false,
    };
    if !lent {
        *request.uri_mut() = Uri::try_from(request.uri().path()).context("path").map_err(Fault::from)?;
    }
    Ok(())
}

async fn manifest(
    core: &Core,
    request: Request,
    project: &Project,
    repository: &str,
    reference: &str,
) -> Result<Response, Turned> {
    match *request.method() {
        Method::GET | Method::HEAD => {
            let digest = artifacts::digest_of(core, repository, reference).await?;
            let counted = *request.method() == Method::GET;
            let response = hand_on(core, request, Some(&format!("/v2/{repository}/manifests/{digest}"))).await?;
            if counted && response.status().is_success() {
                artifacts::pulled(core, repository, &digest).await?;
            }
            Ok(response)
        }
        Method::PUT => {
            let (parts, body) = request.into_parts();
            let body = Limited::new(body, MANIFEST_LIMIT).collect().await;
            let body =
                body.map_err(|error| Fault::bad_request(format!("the manifest is not read: {error}")))?.to_bytes();
            let pushed = artifacts::Pushed::read(&body, &parts.headers, reference)?;
            accounts::check(core, project, &pushed).await?;
            let target = format!("/v2/{repository}/manifests/{}", pushed.digest);
            let response = hand_on(core, Request::from_parts(parts, Body::from(body)), Some(&target)).await?;
            if response.status().is_success() {
                artifacts::record(core, project, repository, &pushed).await?;
            }
            Ok(response)
        }
        Method::DELETE => Ok(artifacts::delete(core, repository, reference).await?),
        _ => Err(Fault::bad_request("method not allowed").into()),
    }
}

/// Hands a request on to the registry, with core's own credentials.
async fn hand_on(core: &Core, mut request: Request, path: Option<&str>) -> Answer {
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = path.unwrap_or(request.uri().path());
    let target = format!("{}{path}{query}", core.settings.urls.registry);
    *request.uri_mut() = Uri::try_from(target).context("the registry's URL")?;
    *request.version_mut() = hyper::Version::HTTP_11;
    let credentials = format!("{}:{}", core.settings.registry_user, core.settings.registry_password);
    let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(credentials))).context("credentials")?;
    // The host stays: the registry makes its own URLs from it.
    request.headers_mut().insert(AUTHORIZATION, value);
    let response = match core.client.send(request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!("the registry: {error:#}");
            let body = axum::Json(json!({"errors": [{"code": "UNKNOWN", "message": "the registry can't be reached"}]}));
            return Ok((hyper::StatusCode::BAD_GATEWAY, body).into_response());
        }
    };
    let mut response = response.map(Body::new);
    if response.status() == hyper::StatusCode::UNAUTHORIZED {
        // Ours, not the client's, are the credentials that the registry refused.
        return Err(anyhow::anyhow!("the registry refuses REGISTRY_CREDENTIAL_USERNAME and its password").into());
    }
    if response.headers().contains_key(CONTENT_LENGTH) {
        response.headers_mut().remove(hyper::header::TRANSFER_ENCODING);
    }
    Ok(response)
}

/// By a token of ours, or as in the rest of the API.
enum Caller {
    None,
    Token(Claims),
    Named(Who),
}

impl Caller {
    async fn of(core: &Core, headers: &HeaderMap) -> Result<Self, Turned> {
        let Some(header) = headers.get(AUTHORIZATION) else {
            return Ok(Self::None);
        };
        let header = header.to_str().unwrap_or_default();
        if let Some(token) = header.strip_prefix("Bearer ") {
            let claims = core.key.verify(token.trim());
            return claims.map(Self::Token).ok_or_else(|| Turned::Unauthorized("the token is not valid".to_owned()));
        }
        Ok(match Who::of(core, headers).await? {
            Who::Nobody => return Err(Turned::Unauthorized("unauthorized".to_owned())),
            who => Self::Named(who),
        })
    }

    fn is_known(&self) -> bool {
        match self {
            Self::None => false,
            Self::Token(claims) => !claims.sub.is_empty(),
            Self::Named(_) => true,
        }
    }

    fn is_administrator(&self) -> bool {
        match self {
            Self::Token(claims) => {
                claims.access.iter().any(|access| access.kind == "registry" && !access.actions.is_empty())
            }
            Self::Named(who) => who.is_administrator(),
            Self::None => false,
        }
    }

    async fn may(&self, core: &Core, project: &Project, repository: &str, action: &str) -> Result<bool, Fault> {
        match self {
            Self::None => Who::Nobody.may(core, project, "repository", action).await,
            Self::Named(who) => who.may(core, project, "repository", action).await,
            Self::Token(claims) => Ok(claims.access.iter().any(|access| {
                access.kind == "repository"
                    && access.name == repository
                    && access.actions.iter().any(|granted| granted == action || granted == "*")
            })),
        }
    }
}
