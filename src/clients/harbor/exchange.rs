//! One request to Harbor and its answer, on a connection of its own.

use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{HarborClient, HarborError};
use crate::clients::{
    connection::ConnectError,
    http::{basic_authorization, exchange},
};

/// Harbor answers within some 50 ms, takes 1.5 s to refuse a password, and has to clean up when a project
/// is deleted.
const PATIENCE: Duration = Duration::from_secs(30);
/// A page of 100 projects is some 60 kB; an allow-list may hold thousands of lines.
const ANSWER_LIMIT: usize = 16 << 20;
/// The largest that Harbor takes.
const PAGE: usize = 100;
/// With this header `123` is the name of a project, and no id.
const IS_NAME: &str = "x-is-resource-name";

/// A request, but for where it goes.
pub(super) struct Ask<'a> {
    method: Method,
    path: &'a str,
    body: Bytes,
    anonymous: bool,
    by_name: bool,
}

/// An answer that is a success.
pub(super) struct Answer {
    request: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl<'a> Ask<'a> {
    /// `path` is what follows `/api/v2.0`.
    pub(super) fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, body: Bytes::new(), anonymous: false, by_name: false }
    }

    pub(super) fn body(self, body: &impl Serialize) -> Self {
        // Plain values always serialize.
        Self { body: serde_json::to_vec(body).unwrap_or_default().into(), ..self }
    }

    /// Says nothing of who asks.
    pub(super) fn anonymous(self) -> Self {
        Self { anonymous: true, ..self }
    }

    /// What is in the path is a name.
    pub(super) fn by_name(self) -> Self {
        Self { by_name: true, ..self }
    }
}

impl HarborClient {
    /// One request; an error when the answer is no success.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Answer, HarborError> {
        let request = format!("{} {}", ask.method, ask.path);
        let server = self.server.to_string();
        let answer = exchange(&self.server, self.request(&ask)?, PATIENCE, ANSWER_LIMIT).await;
        let (head, body) = answer.map_err(|error| match error {
            ConnectError::Unreachable(cause) => HarborError::Unreachable { server: server.clone(), cause },
            ConnectError::Tls(cause) => HarborError::Tls { server: server.clone(), cause },
        })?;
        if head.status.is_success() {
            return Ok(Answer { request, status: head.status, headers: head.headers, body });
        }
        Err(HarborError::of(head.status, &body, request, server, &self.credentials.user))
    }

    fn request(&self, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, HarborError> {
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(format!("{}/api/v2.0{}", self.prefix, ask.path))
            .header(header::HOST, &self.authority)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, "fairway")
            .header(header::CONNECTION, "close");
        if !ask.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if ask.by_name {
            request = request.header(IS_NAME, "true");
        }
        if !ask.anonymous {
            request = request
                .header(header::AUTHORIZATION, basic_authorization(&self.credentials.user, &self.credentials.password));
        }
        request.body(Full::new(ask.body.clone())).map_err(|_| HarborError::Address { address: self.server.to_string() })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, HarborError> {
        self.ask(Ask::new(Method::GET, path)).await?.read()
    }

    /// Nothing where Harbor finds nothing.
    pub(super) async fn find<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<Option<T>, HarborError> {
        match self.ask(ask).await {
            Ok(answer) => answer.read().map(Some),
            Err(HarborError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All pages of a list; `path` has its other questions, if any, behind a `?`.
    pub(super) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, HarborError> {
        let mut all = Vec::new();
        let mark = if path.contains('?') { '&' } else { '?' };
        for page in 1_u64.. {
            let path = format!("{path}{mark}page={page}&page_size={PAGE}");
            let answer = self.ask(Ask::new(Method::GET, &path)).await?;
            // Harbor writes `null` for an empty list here and there.
            let some: Vec<T> = answer.read::<Option<_>>()?.unwrap_or_default();
            let ended = some.is_empty() || !answer.has_next();
            all.extend(some);
            if ended {
                break;
            }
        }
        Ok(all)
    }

    /// A change, of which no more than its success is asked.
    pub(super) async fn change(&self, ask: Ask<'_>) -> Result<(), HarborError> {
        self.ask(ask).await.map(drop)
    }

    /// Makes something, and tells its id.
    pub(super) async fn create(&self, path: &str, body: &impl Serialize) -> Result<i64, HarborError> {
        let answer = self.ask(Ask::new(Method::POST, path).body(body)).await?;
        let location = answer.headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
        let id = location.and_then(|location| location.rsplit('/').next()?.parse().ok());
        id.ok_or_else(|| answer.strange("no id in its Location"))
    }
}

impl Answer {
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, HarborError> {
        // The body is not told: it may hold what is nobody's business.
        serde_json::from_slice(&self.body)
            .map_err(|error| self.strange(&format!("not what was expected, at column {}", error.column())))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.body.trim_ascii().is_empty()
    }

    pub(super) fn strange(&self, message: &str) -> HarborError {
        HarborError::Unexpected {
            request: self.request.clone(),
            status: self.status.as_u16(),
            message: message.to_owned(),
        }
    }

    fn has_next(&self) -> bool {
        let links = self.headers.get_all(header::LINK);
        links.iter().filter_map(|link| link.to_str().ok()).any(|link| link.contains(r#"rel="next""#))
    }
}
