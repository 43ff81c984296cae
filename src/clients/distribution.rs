//! The registry behind Harbor, by its own API (`/v2/`): whether it can write to what it keeps images on. Touches the
//! network and, for a moment, that storage.
//!
//! A few bytes are pushed, always the same, so that one small blob stays however often it is done: only that is refused
//! by a disk that is full or a bucket that does not let in. Harbor does not know of it, nor does its garbage collection.
//! (An upload that is given up would leave a file each time, which the registry never clears away.)

use std::time::Duration;

use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use secrecy::SecretString;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    connection::{ConnectError, Server},
    http::{basic_authorization, exchange},
};

/// Where the upload is begun.
const UPLOADS: &str = "/v2/fairway/storage-check/blobs/uploads/";
/// What is pushed.
const CONTENT: &[u8] = b"Fairway looks whether this can be written.\n";
/// A disk answers within milliseconds, a bucket within a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// An error is some hundred bytes.
const ANSWER_LIMIT: usize = 64 << 10;
/// So much of an answer that is not understood is told.
const WORDS: usize = 200;
/// What Linux calls a disk that is full.
const NO_SPACE: i64 = 28;
/// What it calls a quota that is used up.
const QUOTA_EXCEEDED: i64 = 122;
/// What Swift answers where the few bytes are too many for a quota, or its disks are full.
const NO_ROOM: [i64; 2] = [413, 507];

/// The reason of [`StorageError::Unreachable`].
pub const UNREACHABLE: &str = "RegistryUnreachable";

/// Why the registry can't write, or was not asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Nobody listens, or no answer in time.
    #[error("the registry at {server} can't be reached: {cause}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// In words.
        cause: String,
    },
    /// The storage has no room.
    #[error("the registry's storage is full")]
    Full,
    /// The storage does not take it, for whatever reason.
    #[error("the registry can't write to its storage: {words}")]
    Refused {
        /// What the registry says of it.
        words: String,
    },
    /// The registry answered otherwise than registries do.
    #[error("the registry at {server} answered {status} to a push")]
    Unexpected {
        /// Host and port.
        server: String,
        /// Of HTTP.
        status: u16,
    },
}

impl StorageError {
    /// For a condition.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => UNREACHABLE,
            Self::Full => "StorageFull",
            Self::Refused { .. } => "StorageRefuses",
            Self::Unexpected { .. } => "RegistryAnswerUnknown",
        }
    }
}

/// Pushes a few bytes.
///
/// # Errors
/// Why that could not be done.
pub async fn try_storage(server: &Server, user: &str, password: &SecretString) -> Result<(), StorageError> {
    let ask = async |method: Method, path: &str, content: &'static [u8]| {
        let asked = async {
            let request = request(server, method, path, content, (user, password))?;
            exchange(server, request, PATIENCE, ANSWER_LIMIT).await
        };
        asked.await.map_err(|error| match error {
            ConnectError::Unreachable(cause) | ConnectError::Tls(cause) => {
                StorageError::Unreachable { server: server.to_string(), cause }
            }
        })
    };
    let (begun, body) = ask(Method::POST, UPLOADS, b"").await?;
    judge(server, begun.status, StatusCode::ACCEPTED, &body)?;
    let location = begun.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()?.parse::<Uri>().ok());
    let path = location.as_ref().and_then(Uri::path_and_query);
    let unexpected = || StorageError::Unexpected { server: server.to_string(), status: begun.status.as_u16() };
    let path = path.ok_or_else(unexpected)?.as_str();
    let mark = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{mark}digest=sha256:{:x}", Sha256::digest(CONTENT));
    let (ended, body) = ask(Method::PUT, &path, CONTENT).await?;
    judge(server, ended.status, StatusCode::CREATED, &body)
}

fn judge(server: &Server, status: StatusCode, expected: StatusCode, body: &[u8]) -> Result<(), StorageError> {
    match status {
        status if status == expected => Ok(()),
        status if status.is_server_error() => Err(refusal(body)),
        status => Err(StorageError::Unexpected { server: server.to_string(), status: status.as_u16() }),
    }
}

fn request(
    server: &Server,
    method: Method,
    path: &str,
    content: &'static [u8],
    (user, password): (&str, &SecretString),
) -> Result<Request<Full<Bytes>>, ConnectError> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, server.to_string())
        .header(header::USER_AGENT, "fairway")
        .header(header::CONNECTION, "close")
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::AUTHORIZATION, basic_authorization(user, password))
        .body(Full::new(Bytes::from_static(content)))
        .map_err(|error| ConnectError::Unreachable(error.to_string()))
}

/// What Distribution says of its storage: the number of Linux' error where it is a disk or nobody listens, what Swift
/// answered, and hardly a word where it is a bucket.
fn refusal(body: &[u8]) -> StorageError {
    let told: Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = &told["errors"][0]["detail"];
    let enclosed = &detail["Enclosed"];
    let words = match detail["DriverName"].as_str() {
        // Of a container that was taken away the registry says only what it did not find there.
        Some(driver) if enclosed.is_null() && detail["Path"].is_string() => format!("{driver}: not found"),
        Some(driver) => {
            cause(enclosed).map_or_else(|| format!("{driver} does not say why"), |why| format!("{driver}: {why}"))
        }
        None if detail.is_null() => String::from_utf8_lossy(body).trim().to_owned(),
        None => detail.to_string(),
    };
    let full = enclosed["Err"].as_i64().is_some_and(|number| [NO_SPACE, QUOTA_EXCEEDED].contains(&number))
        || enclosed["StatusCode"].as_i64().is_some_and(|status| NO_ROOM.contains(&status));
    if full || words.to_lowercase().contains("no space left on device") {
        return StorageError::Full;
    }
    StorageError::Refused { words: words.chars().take(WORDS).collect() }
}

/// The innermost of errors that lie in one another, as Go writes them.
fn cause(enclosed: &Value) -> Option<String> {
    let mut error = enclosed;
    while error["Err"].is_object() {
        error = &error["Err"];
    }
    let text = |key: &str| error[key].as_str();
    if let Some(number) = error["Err"].as_i64() {
        let act = text("Op").or_else(|| text("Syscall")).unwrap_or_default();
        return Some(format!("{act} ended with error {number} of Linux"));
    }
    text("Err").or_else(|| text("Text")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::disk(
        r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"DriverName":"filesystem","Enclosed":{"Op":"mkdir","Path":"/storage/docker","Err":28}}}]}"#,
        "StorageFull"
    )]
    #[case::read_only(
        r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"DriverName":"filesystem","Enclosed":{"Op":"mkdir","Path":"/storage/docker","Err":30}}}]}"#,
        "StorageRefuses"
    )]
    #[case::newer(
        r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":"filesystem: write /storage: no space left on device"}]}"#,
        "StorageFull"
    )]
    #[case::bucket(
        r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"DriverName":"s3aws","Enclosed":{}}}]}"#,
        "StorageRefuses"
    )]
    #[case::no_registry("Bad gateway", "StorageRefuses")]
    #[case::quota_of_swift(
        r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"DriverName":"swift","Enclosed":{"StatusCode":413,"Text":"Too Large Object"}}}]}"#,
        "StorageFull"
    )]
    fn what_the_registry_says(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(refusal(body.as_bytes()).reason(), expected);
    }

    #[rstest]
    #[case::password(r#""Enclosed":{"StatusCode":401,"Text":"Authorization Failed"}"#, "swift: Authorization Failed")]
    #[case::nobody_listens(
        r#""Enclosed":{"Op":"Put","URL":"http://swift.example/v1","Err":{"Op":"dial","Net":"tcp","Err":{"Syscall":"connect","Err":111}}}"#,
        "swift: connect ended with error 111 of Linux"
    )]
    #[case::no_container(r#""Path":"/docker/registry/v2/repositories/startedat""#, "swift: not found")]
    fn swift_says_why(#[case] detail: &str, #[case] expected: &str) {
        let body = format!(r#"{{"errors":[{{"code":"UNKNOWN","detail":{{"DriverName":"swift",{detail}}}}}]}}"#);
        let expected = format!("the registry can't write to its storage: {expected}");
        assert_eq!(refusal(body.as_bytes()).to_string(), expected);
    }
}
