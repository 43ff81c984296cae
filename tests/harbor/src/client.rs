//! Calls the other components.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// An answer is waited for so long.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Keeps connections open between calls.
#[derive(Clone)]
pub(crate) struct Client(hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Body>);

impl Client {
    pub(crate) fn new() -> Result<Self> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(crate::tls::client()?)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// As it is, without a limit of time: bodies stream both ways.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>> {
        self.0.request(request).await.map_err(|error| anyhow::anyhow!("{}", crate::database::causes(&error)))
    }

    /// Sends JSON and reads the whole answer: status and body.
    pub(crate) async fn call(
        &self,
        method: Method,
        url: &str,
        authorization: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Vec<u8>)> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))?;
        let called = async {
            let answer = self.send(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes().to_vec();
            anyhow::Ok((status, body))
        };
        tokio::time::timeout(TIMEOUT, called)
            .await
            .with_context(|| format!("{url}: no answer in {TIMEOUT:?}"))?
            .with_context(|| url.to_owned())
    }

    /// `call`, of which anything but success is an error.
    pub(crate) async fn json(
        &self,
        method: Method,
        url: &str,
        authorization: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value> {
        let (status, body) = self.call(method, url, authorization, body).await?;
        if !status.is_success() {
            bail!("{url} answered {status}: {}", String::from_utf8_lossy(&body));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).with_context(|| format!("{url} answered no JSON"))
    }
}
