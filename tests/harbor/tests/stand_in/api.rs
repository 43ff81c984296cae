//! Harbor's API, as one of its users calls it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

pub(crate) struct Api {
    base: String,
    authorization: Option<String>,
    host: Option<String>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

fn client(roots: RootCertStore) -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
    Client::builder(TokioExecutor::new()).build(connector)
}

impl Api {
    pub(crate) fn anonymous(base: &str) -> Self {
        Self { base: base.to_owned(), authorization: None, host: None, client: client(RootCertStore::empty()) }
    }

    /// The same, which says that it has called this host.
    pub(crate) fn called(self, host: &str) -> Self {
        Self { host: Some(host.to_owned()), ..self }
    }

    /// The same, which trusts the authorities of this file and no others.
    pub(crate) fn trusting(self, authorities: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        let found = CertificateDer::pem_file_iter(authorities).expect("a file");
        roots.add_parsable_certificates(found.map(|one| one.expect("a certificate")));
        Self { client: client(roots), ..self }
    }

    pub(crate) fn new(base: &str, name: &str, password: &str) -> Self {
        let authorization = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        Self { authorization: Some(authorization), ..Self::anonymous(base) }
    }

    pub(crate) fn bearing(base: &str, token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}")), ..Self::anonymous(base) }
    }

    /// Status, headers and text.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(host) = &self.host {
            request = request.header(HOST, host);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::from(body)).expect("a request");
        let answer = tokio::time::timeout(Duration::from_mins(1), self.client.request(request)).await;
        let answer = answer.expect("an answer in time").unwrap_or_else(|error| panic!("{path}: {error}"));
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, headers, String::from_utf8_lossy(&text).into_owned())
    }

    /// Status and JSON, or null where there is none.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let (status, _, text) = self.raw(method, path, body).await;
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    /// The status alone.
    pub(crate) async fn does(&self, method: Method, path: &str, body: Value) -> StatusCode {
        self.call(method, path, Some(&body)).await.0
    }
}
