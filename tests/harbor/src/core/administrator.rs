//! Passwords, and the first one of the administrator.

use std::num::NonZeroU32;

use anyhow::{Context, Result};
use aws_lc_rs::{pbkdf2, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deadpool_postgres::Pool;

const ROUNDS: NonZeroU32 = NonZeroU32::new(4096).expect("it is more than 0");

/// So many random bytes, as text.
pub(crate) fn random(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    // Fails only where the system has no randomness at all.
    let _ = rand::fill(&mut buffer);
    URL_SAFE_NO_PAD.encode(buffer)
}

pub(crate) fn hashed(password: &str, salt: &str) -> String {
    let mut output = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt.as_bytes(), password.as_bytes(), &mut output);
    URL_SAFE_NO_PAD.encode(output)
}

pub(crate) fn matches(password: &str, salt: &str, hash: &str) -> bool {
    !salt.is_empty() && hashed(password, salt) == hash
}

/// `HARBOR_ADMIN_PASSWORD` counts only while the administrator has none.
pub(crate) async fn initial_password(pool: &Pool, password: &str) -> Result<()> {
    let client = pool.get().await.context("database")?;
    let salt = random(16);
    let changed = client
        .execute(
            "UPDATE harbor_user SET password = $1, salt = $2 WHERE user_id = 1 AND salt = ''",
            &[&hashed(password, &salt), &salt],
        )
        .await?;
    if changed == 0 {
        tracing::warn!("HARBOR_ADMIN_PASSWORD is ignored: the administrator has a password already");
    }
    Ok(())
}
