//! The administrator's password of Harbor, on what stands in for its core, with a real PostgreSQL and Redis below.

use std::time::{Duration, Instant};

use fairway::clients::harbor::{ADMINISTRATOR, HarborClient, HarborError};
use secrecy::SecretString;

use crate::harbor_core::{Core, PASSWORD as FIRST};

const SECOND: &str = "Asked-for-2";

fn client(core: &Core, password: &str) -> HarborClient {
    core.client("admin", password)
}

/// Whether the second of these was the one that let in.
async fn second(core: &Core, known: &str, wanted: &str) -> Result<bool, HarborError> {
    let wanted = SecretString::from(wanted);
    client(core, known).statistics_by(Some(&wanted)).await.map(|(_, second)| second)
}

#[tokio::test]
async fn a_password_is_changed_and_found_again_after_a_crash() {
    let core = Core::start().await;
    assert!(!second(&core, FIRST, SECOND).await.expect("the known one"));
    let (first, new): (SecretString, SecretString) = (FIRST.into(), SECOND.into());
    client(&core, FIRST).change_password(ADMINISTRATOR, &first, &new).await.expect("a change");

    // It was not noted: the known one is refused, and the wanted one lets in once Harbor accepts any again.
    let begun = Instant::now();
    assert!(second(&core, FIRST, SECOND).await.expect("the wanted one"));
    assert!(begun.elapsed() >= Duration::from_millis(1500), "a wrong password keeps its user out for a while");
    assert!(!second(&core, SECOND, SECOND).await.expect("the noted one"));

    // Somebody changes it by hand: neither does.
    client(&core, SECOND).change_password(ADMINISTRATOR, &new, &"By-hand-3".into()).await.expect("a change");
    let error = second(&core, FIRST, SECOND).await.expect_err("a refusal");
    assert!(matches!(error, HarborError::Unauthorized { .. }), "{error}");
}

#[tokio::test]
async fn harbor_refuses_what_is_refused_here_before() {
    let core = Core::start().await;
    let first = SecretString::from(FIRST);
    for weak in ["Short1", "nocapital1", "NOSMALL1", "NoDigits"] {
        let error = client(&core, FIRST).change_password(ADMINISTRATOR, &first, &weak.into()).await;
        assert!(matches!(error, Err(HarborError::Invalid { .. })), "{weak}: {error:?}");
    }
    assert!(!second(&core, FIRST, SECOND).await.expect("as before"));
}
