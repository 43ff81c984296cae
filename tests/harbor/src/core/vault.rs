//! Credentials of others, encrypted with the secret key: without that very key they can't be read again.

use anyhow::{Result, anyhow};
use aws_lc_rs::aead::{AES_128_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub(crate) fn encrypt(key: &str, text: &str) -> Result<String> {
    let mut sealed = text.as_bytes().to_vec();
    let nonce = RandomizedNonceKey::new(&AES_128_GCM, key.as_bytes())
        .and_then(|key| key.seal_in_place_append_tag(Aad::empty(), &mut sealed))
        .map_err(|_| anyhow!("the secret key encrypts nothing"))?;
    let mut whole = nonce.as_ref().to_vec();
    whole.extend(sealed);
    Ok(STANDARD.encode(whole))
}

pub(crate) fn decrypt(key: &str, text: &str) -> Result<String> {
    let mut whole = STANDARD.decode(text)?;
    let wrong = || anyhow!("what is stored was not encrypted with this secret key");
    if whole.len() < NONCE_LEN {
        return Err(wrong());
    }
    let mut sealed = whole.split_off(NONCE_LEN);
    let nonce = Nonce::try_assume_unique_for_key(&whole).map_err(|_| wrong())?;
    let opened = RandomizedNonceKey::new(&AES_128_GCM, key.as_bytes())
        .and_then(|key| key.open_in_place(nonce, Aad::empty(), &mut sealed).map(|text| text.to_vec()))
        .map_err(|_| wrong())?;
    Ok(String::from_utf8(opened)?)
}
