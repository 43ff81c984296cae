//! One request over HTTP and its answer, on a connection of its own. Touches the network.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, Request, response::Parts};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::connection::{ConnectError, Server, tls_cause};

/// What says who asks; its value is shown nowhere.
pub(super) fn basic_authorization(user: &str, password: &SecretString) -> HeaderValue {
    let pair = format!("{user}:{}", password.expose_secret());
    let basic = SecretString::from(format!("Basic {}", STANDARD.encode(pair)));
    // Base64 is always a value.
    let mut value = HeaderValue::from_str(basic.expose_secret()).unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

/// Sends a request, and reads the whole answer: at most so many bytes of it, in so much time in all.
pub(super) async fn exchange(
    server: &Server,
    request: Request<Full<Bytes>>,
    patience: Duration,
    limit: usize,
) -> Result<(Parts, Bytes), ConnectError> {
    let exchange = async {
        let stream = server.connect().await?;
        let failed = |error: &hyper::Error| match tls_cause(error) {
            Some(cause) => ConnectError::Tls(cause),
            None => ConnectError::Unreachable(error.to_string()),
        };
        let (mut sender, driver) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        // What ends the connection shows at the request that it carries.
        let _driver = AbortOnDropHandle::new(tokio::spawn(driver));
        let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, limit).collect().await;
        Ok((head, body.map_err(|error| ConnectError::Unreachable(error.to_string()))?.to_bytes()))
    };
    timeout(patience, exchange)
        .await
        .unwrap_or_else(|_| Err(ConnectError::Unreachable(format!("no full answer within {} s", patience.as_secs()))))
}
