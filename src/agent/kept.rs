//! How a Secret keeps a configuration: a key for each file, readable by anybody; and one for all of them,
//! compressed, where they would not fit so. The operator writes it, and agents of its own and of later
//! versions read it. The same files give the same bytes. Pure.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, Read},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use super::{
    protocol::Configuration,
    validation::{SIZE_LIMIT, size},
};

/// The key that holds the sequence, in decimal.
pub const SEQUENCE: &str = "sequence";
/// The key that holds all files, as a JSON object of names and contents, in gzip's form.
pub const COMPRESSED: &str = "configuration.json.gz";
/// The most that a Secret holds, in bytes (`MaxSecretSize` of Kubernetes), less what the sequence takes.
pub const LARGEST: usize = 1_048_576 - 1_024;
/// JSON may need two letters for one (`\n`, `\"`).
pub const JSON_LIMIT: usize = 2 * SIZE_LIMIT;

/// A configuration that no Secret can keep, or no agent take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// For a Secret.
    #[error(
        "the configuration is {size} bytes, {compressed} when compressed, and a Secret holds at most {LARGEST}: take out members, listeners or certificates"
    )]
    ForSecret {
        /// As [`size`].
        size: usize,
        /// As it would be kept.
        compressed: usize,
    },
    /// For an agent.
    #[error(
        "the configuration is {size} bytes, and a replica takes at most {SIZE_LIMIT}: take out members, listeners or certificates"
    )]
    ForAgent {
        /// As [`size`].
        size: usize,
    },
}

/// What a Secret holds, by key.
pub type Data<'a> = BTreeMap<&'a str, Cow<'a, [u8]>>;

/// What the Secret of a configuration holds.
///
/// # Errors
/// When it can't be kept.
pub fn write(configuration: &Configuration) -> Result<Data<'_>, TooLarge> {
    let files = &configuration.files;
    let size = size(files);
    if size > SIZE_LIMIT {
        return Err(TooLarge::ForAgent { size });
    }
    let mut data: Data<'_> = if size > LARGEST {
        let all = compress(files);
        let compressed = all.len();
        if compressed > LARGEST {
            return Err(TooLarge::ForSecret { size, compressed });
        }
        [(COMPRESSED, all.into())].into()
    } else {
        files.iter().map(|(name, content)| (name.as_str(), content.as_bytes().into())).collect()
    };
    data.insert(SEQUENCE, configuration.sequence.to_string().into_bytes().into());
    Ok(data)
}

/// The configuration that a Secret keeps; none while it keeps none.
///
/// # Errors
/// When it is not understood.
pub fn read(mut data: BTreeMap<String, Vec<u8>>) -> io::Result<Option<Configuration>> {
    let sequence = data.remove(SEQUENCE).and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok());
    let Some(sequence) = sequence else { return Ok(None) };
    let files = match data.remove(COMPRESSED) {
        Some(all) => decompress(&all)?,
        None => data.into_iter().map(|(name, content)| Ok((name, text(content)?))).collect::<io::Result<_>>()?,
    };
    Ok(Some(Configuration { sequence, files }))
}

fn text(content: Vec<u8>) -> io::Result<String> {
    String::from_utf8(content).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Without time or name in the head, so that it depends on the files alone.
fn compress(files: &BTreeMap<String, String>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(&mut encoder, files);
    encoder.finish().unwrap_or_default()
}

/// Reads no more than an agent would take, whatever it would become.
fn decompress(all: &[u8]) -> io::Result<BTreeMap<String, String>> {
    let mut json = Vec::new();
    GzDecoder::new(all).take(JSON_LIMIT as u64 + 1).read_to_end(&mut json)?;
    if json.len() > JSON_LIMIT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn configuration(content: String) -> Configuration {
        Configuration { sequence: 7, files: [("haproxy.cfg".to_owned(), content)].into() }
    }

    /// Letters in no order: each is worth four bits.
    fn noise(length: usize) -> String {
        let mut state = 1_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'a' + u8::try_from(state >> 28).expect("four bits"))
        };
        (0..length).map(next).collect()
    }

    fn owned(data: &Data<'_>) -> BTreeMap<String, Vec<u8>> {
        data.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect()
    }

    const NAME: usize = "haproxy.cfg".len();

    #[rstest]
    #[case::small("x".to_owned(), "haproxy.cfg")]
    #[case::just_fits(noise(LARGEST - NAME), "haproxy.cfg")]
    #[case::just_does_not(noise(LARGEST - NAME + 1), COMPRESSED)]
    #[case::large("    server 10.0.0.1:80\n".repeat(5 << 20 >> 4), COMPRESSED)]
    #[case::largest("\n".repeat(SIZE_LIMIT - NAME), COMPRESSED)]
    fn what_is_kept_is_read(#[case] content: String, #[case] key: &str) {
        let configuration = configuration(content);
        let data = write(&configuration).expect("kept");
        let mut expected = [key, SEQUENCE];
        expected.sort_unstable();
        assert_eq!(data.keys().copied().collect::<Vec<_>>(), expected);
        assert!(data.values().map(|content| content.len()).sum::<usize>() < 1_048_576);
        assert_eq!(data, write(&configuration).expect("kept"), "the same bytes");
        assert_eq!(read(owned(&data)).expect("understood"), Some(configuration));
    }

    #[test]
    fn what_is_too_large_is_told_with_its_sizes() {
        let error = write(&configuration(noise(9 << 18))).expect_err("too large");
        let TooLarge::ForSecret { size, compressed } = error else { panic!("{error}") };
        assert!(size == (9 << 18) + NAME && (9 << 17..9 << 18).contains(&compressed), "{compressed}");
        let told = error.to_string();
        let expected = format!("is {size} bytes, {compressed} when compressed, and a Secret holds at most {LARGEST}: ");
        assert!(told.contains(&expected), "{told}");
        let error = write(&configuration("\n".repeat(SIZE_LIMIT))).expect_err("too large");
        assert_eq!(error, TooLarge::ForAgent { size: SIZE_LIMIT + NAME });
    }

    #[test]
    fn what_is_not_understood_is_none_or_an_error() {
        let data = |pairs: &[(&str, &[u8])]| -> BTreeMap<String, Vec<u8>> {
            pairs.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect()
        };
        assert_eq!(read(data(&[("haproxy.cfg", b"x")])).expect("none"), None);
        assert!(read(data(&[(SEQUENCE, b"1"), ("haproxy.cfg", b"\xff")])).is_err());
        assert!(read(data(&[(SEQUENCE, b"1"), (COMPRESSED, b"no")])).is_err());
        // Sixteen megabytes of blanks become a few kilobytes.
        let bomb: BTreeMap<String, String> = [("haproxy.cfg".to_owned(), " ".repeat(JSON_LIMIT))].into();
        let error = read(data(&[(SEQUENCE, b"1"), (COMPRESSED, &compress(&bomb))])).expect_err("too large");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
