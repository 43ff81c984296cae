//! Values that are kept for long and looked at seldom, in as little memory as can be. Nothing here does I/O.

use std::io::Read;

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Serialize, de::DeserializeOwned};

/// A value as compressed JSON: a fifth of what it takes as a value, or less.
#[derive(Clone, Debug)]
pub(crate) struct Packed(Box<[u8]>);

impl Packed {
    pub(crate) fn new(value: &impl Serialize) -> Self {
        let mut encoder = DeflateEncoder::new(vec![], Compression::fast());
        // Writing to memory does not fail, and what is kept here has no keys that JSON does not know.
        let _ = serde_json::to_writer(&mut encoder, value);
        Self(encoder.finish().unwrap_or_default().into())
    }

    /// The value again, or another that reads the same JSON.
    ///
    /// # Errors
    /// When the JSON is not that of such a value.
    pub(crate) fn read<V: DeserializeOwned>(&self) -> serde_json::Result<V> {
        serde_json::from_slice(&self.text())
    }

    /// The JSON.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = vec![];
        // What was packed here is whole.
        let _ = DeflateDecoder::new(&*self.0).read_to_end(&mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Packed;

    #[test]
    fn what_is_packed_is_small_and_read_again() {
        let member = |number: u8| json!({ "address": format!("10.0.0.{number}"), "port": 8080, "weight": 100 });
        let value: Vec<Value> = (0..50).map(member).collect();
        let packed = Packed::new(&value);
        assert!(packed.0.len() * 4 < packed.text().len());
        assert_eq!(packed.read::<Vec<Value>>().expect("read"), value);
        packed.read::<bool>().expect_err("no such value");
    }
}
