//! Reads environment variables and files, and collects all that is wrong with them, so that one start tells everything.

use std::path::Path;
use std::str::FromStr;

/// Why a program does not start, and the code that it ends with.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u8,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { code: 1, reason: reason.into() }
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::new(format!("{error:#}"))
    }
}

/// What was asked for so far, and what was wrong with it.
#[derive(Default)]
pub(crate) struct Environment {
    problems: Vec<String>,
}

impl Environment {
    /// The value, or nothing where it is unset or empty.
    pub(crate) fn optional(name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    pub(crate) fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    pub(crate) fn required(&mut self, name: &str) -> String {
        Self::optional(name).unwrap_or_else(|| {
            self.problem(format!("{name} is not set"));
            String::new()
        })
    }

    /// A secret of exactly so many characters.
    pub(crate) fn exactly(&mut self, name: &str, length: usize) -> String {
        let value = self.required(name);
        if !value.is_empty() && value.chars().count() != length {
            let found = value.chars().count();
            self.problem(format!("{name} must be {length} characters long, and is {found}"));
        }
        value
    }

    /// An http or https URL with a host, without a slash at its end.
    pub(crate) fn url(&mut self, name: &str) -> String {
        let value = self.required(name);
        if value.is_empty() {
            return value;
        }
        let parsed = hyper::Uri::from_str(&value).ok();
        let web = parsed.as_ref().is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
        });
        if !web {
            self.problem(format!("{name} is no http or https URL: {value:?}"));
        }
        value.trim_end_matches('/').to_owned()
    }

    /// A URL of Redis.
    pub(crate) fn redis(&mut self, name: &str) -> String {
        let value = self.required(name);
        if !value.is_empty()
            && let Err(problem) = crate::cache::check_url(&value)
        {
            self.problem(format!("{name}: {problem}"));
        }
        value
    }

    /// A number, a flag and the like: where it is given it must be well-formed.
    pub(crate) fn parsed<T: FromStr>(&mut self, name: &str, otherwise: T) -> T {
        match Self::optional(name) {
            None => otherwise,
            Some(value) => value.parse().unwrap_or_else(|_| {
                self.problem(format!("{name} is ill-formed: {value:?}"));
                otherwise
            }),
        }
    }

    pub(crate) fn one_of(&mut self, name: &str, otherwise: &str, choices: &[&str]) -> String {
        let value = Self::optional(name).unwrap_or_else(|| otherwise.to_owned());
        if !choices.contains(&value.as_str()) {
            self.problem(format!("{name} must be one of {}, not {value:?}", choices.join(", ")));
        }
        value
    }

    /// The text of a file whose place a variable may change.
    pub(crate) fn file(&mut self, variable: &str, otherwise: &str) -> String {
        let path = Self::optional(variable).unwrap_or_else(|| otherwise.to_owned());
        std::fs::read_to_string(Path::new(&path)).unwrap_or_else(|error| {
            self.problem(format!("{path}: {error}"));
            String::new()
        })
    }

    /// All problems, as one refusal.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(Refusal::new(self.problems.join("; ")))
    }
}

/// Harbor's rule for passwords and for robots' secrets.
pub(crate) fn valid_secret(secret: &str) -> bool {
    (8..=128).contains(&secret.len())
        && secret.chars().any(|letter| letter.is_ascii_lowercase())
        && secret.chars().any(|letter| letter.is_ascii_uppercase())
        && secret.chars().any(|letter| letter.is_ascii_digit())
}
