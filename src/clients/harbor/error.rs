//! What may go wrong between the operator and Harbor, in words for those who can mend it. Pure.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::reconcile::{Failure, Retry};

/// So much of an answer that is not understood is told.
const MESSAGE_LENGTH: usize = 300;

/// What may go wrong between the operator and Harbor. `request` is such as `GET /projects`.
#[derive(Debug, thiserror::Error)]
pub enum HarborError {
    /// Nobody listens, or no answer in time.
    #[error("Harbor at {server} cannot be reached: {cause}")]
    Unreachable {
        /// Host and port of core.
        server: String,
        /// In words.
        cause: String,
    },
    /// The certificate is not accepted.
    #[error("no TLS with Harbor at {server}: {cause}")]
    Tls {
        /// Host and port of core.
        server: String,
        /// In words.
        cause: String,
    },
    /// 401: wrong password, or no such user.
    #[error("Harbor at {server} does not accept the password of user {user:?}, or has no such user")]
    Unauthorized {
        /// Host and port of core.
        server: String,
        /// Who asked.
        user: String,
    },
    /// 403: the user may not do that, or nobody may, such as to change a configuration that
    /// `CONFIG_OVERWRITE_JSON` fixes.
    #[error("Harbor forbids {request}: {message}")]
    Forbidden {
        /// Method and path.
        request: String,
        /// Harbor's words.
        message: String,
    },
    /// 404.
    #[error("Harbor does not find what {request} is about: {message}")]
    NotFound {
        /// Method and path.
        request: String,
        /// Harbor's words.
        message: String,
    },
    /// 409: it is there already.
    #[error("{request} is in conflict with what Harbor has: {message}")]
    Conflict {
        /// Method and path.
        request: String,
        /// Harbor's words.
        message: String,
    },
    /// 412: something else has to go or come first, such as the repositories of a project.
    #[error("Harbor can't do {request} yet: {message}")]
    Precondition {
        /// Method and path.
        request: String,
        /// Harbor's words.
        message: String,
    },
    /// 400 or 422: a value that Harbor does not take.
    #[error("Harbor does not take {request}: {message}")]
    Invalid {
        /// Method and path.
        request: String,
        /// Harbor's words.
        message: String,
    },
    /// Anything else, such as 500 while its database is away.
    #[error("Harbor answered {status} to {request}: {message}")]
    Unexpected {
        /// Method and path.
        request: String,
        /// Of HTTP.
        status: u16,
        /// Harbor's words, or the beginning of what it sent.
        message: String,
    },
    /// The address is no URL of HTTP.
    #[error("{address:?} can't be the address of Harbor: it has to be such as http://core:80")]
    Address {
        /// As it was given.
        address: String,
    },
}

#[derive(Deserialize)]
struct Told {
    errors: Vec<ToldError>,
}

#[derive(Deserialize)]
struct ToldError {
    #[serde(default)]
    message: String,
}

impl HarborError {
    /// What an answer that is no success means.
    pub(super) fn of(status: StatusCode, body: &[u8], request: String, server: String, user: &str) -> Self {
        let message = words(body);
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized { server, user: user.to_owned() },
            StatusCode::FORBIDDEN => Self::Forbidden { request, message },
            StatusCode::NOT_FOUND => Self::NotFound { request, message },
            StatusCode::CONFLICT => Self::Conflict { request, message },
            StatusCode::PRECONDITION_FAILED => Self::Precondition { request, message },
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Self::Invalid { request, message },
            status => Self::Unexpected { request, status: status.as_u16(), message },
        }
    }
}

/// Harbor's own words; what is not as Harbor writes its errors is told from its beginning.
fn words(body: &[u8]) -> String {
    if let Ok(told) = serde_json::from_slice::<Told>(body)
        && !told.errors.is_empty()
    {
        let messages: Vec<String> = told.errors.into_iter().map(|error| error.message).collect();
        return messages.join("; ");
    }
    let text = String::from_utf8_lossy(body);
    let beginning: String = text.trim().chars().take(MESSAGE_LENGTH).collect();
    if beginning.is_empty() { "nothing more is said".to_owned() } else { beginning }
}

impl Failure for HarborError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "HarborUnreachable",
            Self::Tls { .. } => "HarborUntrusted",
            Self::Unauthorized { .. } => "HarborPasswordRefused",
            Self::Forbidden { .. } => "HarborForbids",
            Self::NotFound { .. } => "HarborNotFound",
            Self::Conflict { .. } => "HarborConflict",
            Self::Precondition { .. } => "HarborPreconditionFailed",
            Self::Invalid { .. } => "HarborInvalid",
            Self::Unexpected { .. } => "HarborAnswerUnknown",
            Self::Address { .. } => "HarborAddressInvalid",
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Address { .. } => Retry::Terminal,
            // Each wrong password keeps its user out for 1.5 s, whoever tries.
            Self::Unauthorized { .. } | Self::Forbidden { .. } | Self::Precondition { .. } | Self::Invalid { .. } => {
                Retry::After(Duration::from_secs(30))
            }
            _ => Retry::Backoff,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"errors":[{"code":"BAD_REQUEST","message":"no"},{"code":"X","message":"never"}]}"#, "no; never")]
    #[case(r#"{"errors":[]}"#, r#"{"errors":[]}"#)]
    #[case("<html>Bad gateway</html>\n", "<html>Bad gateway</html>")]
    #[case("", "nothing more is said")]
    fn the_words_of_an_answer(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(words(body.as_bytes()), expected);
    }
}
