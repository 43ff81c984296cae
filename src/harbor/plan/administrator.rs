//! The password of the user `admin`: which one is wanted, whether Harbor would take it, and what is left to do. The
//! one that is known to work stands in the Secret of credentials. Pure.

use super::{Context, Effect, settings::Settings};
use crate::harbor::{
    credentials::{ADMIN_PASSWORD, Credentials},
    names,
    world::{LoggedIn, Problem, World},
};

/// The key in the Secret that the spec names.
const KEY: &str = "password";
/// How long a password is, in bytes, as Harbor counts.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;
/// Harbor takes the password no more, as [`HarborError`](crate::clients::harbor::HarborError) says it.
pub const REFUSED: &str = "HarborPasswordRefused";
/// It is being given another one.
pub const CHANGING: &str = "ChangingPassword";

/// The credentials with the administrator's password as it shall be.
///
/// # Errors
/// When the Secret that the spec names can't be used.
pub fn wanted(settings: &Settings, known: &Credentials, world: &World) -> Result<Credentials, Problem> {
    let Some(name) = &settings.administrator else { return Ok(known.clone()) };
    let problem = |reason, words: String| {
        let message =
            format!("administrator.passwordSecretName: Secret {name:?} {words}; until then the password stays");
        Err(Problem::new(reason, message))
    };
    let Some(data) = world.secrets.get(name) else {
        return problem("SecretNotFound", "does not exist; create it".to_owned());
    };
    let password = data.get(KEY).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
    if password.is_empty() {
        return problem("InvalidSecret", format!("has no text in its key {KEY:?}; add it"));
    }
    match weakness(password) {
        Some(weakness) => problem("WeakPassword", format!("holds a password that Harbor refuses: {weakness}")),
        None => Ok(known.with(ADMIN_PASSWORD, password)),
    }
}

/// Why Harbor would refuse a password, and what to do.
fn weakness(password: &str) -> Option<String> {
    let lacks = |wanted: fn(&char) -> bool| !password.chars().any(|letter| wanted(&letter));
    if password.chars().any(char::is_control) {
        return Some("it holds a line break or another control character; leave that out".to_owned());
    }
    if !LENGTH.contains(&password.len()) {
        return Some(format!("it has {} characters; give it {} to {}", password.len(), LENGTH.start(), LENGTH.end()));
    }
    let missing: Vec<&str> = [
        ("a capital", lacks(char::is_ascii_uppercase)),
        ("a small letter", lacks(char::is_ascii_lowercase)),
        ("a digit", lacks(char::is_ascii_digit)),
    ]
    .into_iter()
    .filter_map(|(what, lacks)| lacks.then_some(what))
    .collect();
    (!missing.is_empty()).then(|| format!("it lacks {}; add what is missing", missing.join(" and ")))
}

/// What Harbor refuses, with what to do about it.
#[must_use]
pub fn explained(problem: Problem, name: &str, settings: &Settings) -> Problem {
    if problem.reason != REFUSED {
        return problem;
    }
    let credentials = names::credentials(name);
    let message = match &settings.administrator {
        None => format!(
            "Harbor refuses the administrator's password of Secret {credentials}: it was changed by hand. Put the one that works into its key {ADMIN_PASSWORD:?}, or name a Secret with it in administrator.passwordSecretName"
        ),
        Some(named) => format!(
            "Harbor refuses the administrator's password of Secret {named} and that of Secret {credentials}: it was changed by hand. Put the one that works into the key {ADMIN_PASSWORD:?} of {credentials}, and Harbor is given that of {named} again"
        ),
    };
    Problem::new(REFUSED, format!("{message}. It is tried again in a minute or two"))
}

/// What is left to do, once it is known with which password Harbor lets its administrator in.
pub(super) fn change(context: &Context<'_>) -> Option<Effect> {
    let LoggedIn { changed, .. } = context.world.administrator.as_ref()?.as_ref().ok()?;
    let wanted = wanted(context.settings, context.credentials, context.world).ok()?;
    let address = context.world.core.clone()?;
    (wanted != *context.credentials).then(|| Effect::ChangePassword {
        address,
        before: context.credentials.clone(),
        after: wanted,
        changed: *changed,
    })
}

/// Whether the administrator's password is as it shall be, in words.
pub(super) fn stands(context: &Context<'_>) -> Result<String, Problem> {
    let wanted = wanted(context.settings, context.credentials, context.world)?;
    match &context.world.administrator {
        None => Err(Problem::new("NotAsked", "Harbor was not asked yet with the administrator's password")),
        Some(Err(problem)) => Err(problem.clone()),
        Some(Ok(_)) if wanted != *context.credentials => {
            Err(Problem::new(CHANGING, "the administrator's password is being changed"))
        }
        Some(Ok(_)) => {
            let secret = names::credentials(context.name);
            Ok(format!("Harbor takes the administrator's password, which is in Secret {secret}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::weakness;

    #[rstest]
    #[case("Abcdefg1", None)]
    #[case("pässWord1", None)]
    #[case("Abcdef1", Some("has 7 characters; give it 8 to 128"))]
    #[case("abcdefg1", Some("lacks a capital;"))]
    #[case("ABCDEFG1", Some("lacks a small letter;"))]
    #[case("abcdefgh", Some("lacks a capital and a digit;"))]
    #[case("Abcdefg1\n", Some("line break"))]
    fn a_weak_password_is_told(#[case] password: &str, #[case] expected: Option<&str>) {
        let found = weakness(password);
        assert!(
            found.as_deref().map_or(expected.is_none(), |found| expected.is_some_and(|words| found.contains(words))),
            "{found:?}"
        );
    }

    #[test]
    fn the_longest_is_taken() {
        assert_eq!(weakness(&format!("Aa1{}", "x".repeat(125))), None);
        assert!(weakness(&format!("Aa1{}", "x".repeat(126))).is_some());
    }
}
