//! What a configuration may be before anything is written. Pure.

use std::collections::BTreeMap;

use super::protocol::{Configuration, MAIN_FILE};

/// The sum of all names and contents. A Secret (1 MiB) holds no more when it is compressed, if that makes an eighth of
/// it; and the directory that the pod's containers share (64 MiB) holds some of them.
pub const SIZE_LIMIT: usize = 8 << 20;
/// The longest file name, as in a Secret's keys.
const NAME_LIMIT: usize = 253;

/// Why a configuration is not even looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// [`MAIN_FILE`] is missing.
    #[error("the file haproxy.cfg is missing")]
    NoMainFile,
    /// A name is not `[a-z0-9][a-z0-9.-]{0,252}`.
    #[error("a file's name is not of lower case letters, digits, dots and dashes")]
    Name,
    /// The name belongs to the agent.
    #[error("the file name process.cfg is the agent's own")]
    Reserved,
    /// Larger than [`SIZE_LIMIT`].
    #[error("the files are larger than 8 MiB")]
    Size,
}

/// Checks names and sizes.
///
/// # Errors
/// What is wrong with it.
pub fn validate(configuration: &Configuration) -> Result<(), Invalid> {
    let files = &configuration.files;
    if !files.contains_key(MAIN_FILE) {
        return Err(Invalid::NoMainFile);
    }
    if files.contains_key(super::files::PROCESS_FILE) {
        return Err(Invalid::Reserved);
    }
    if !files.keys().all(|name| is_file_name(name)) {
        return Err(Invalid::Name);
    }
    if size(files) > SIZE_LIMIT { Err(Invalid::Size) } else { Ok(()) }
}

/// The sum of all names and contents, in bytes.
#[must_use]
pub fn size(files: &BTreeMap<String, String>) -> usize {
    files.iter().map(|(name, content)| name.len() + content.len()).sum()
}

fn is_file_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=NAME_LIMIT).contains(&name.len())
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn with(name: &str, content: &str) -> Configuration {
        let files = [(MAIN_FILE, ""), (name, content)];
        Configuration { sequence: 1, files: files.map(|(name, content)| (name.to_owned(), content.to_owned())).into() }
    }

    #[rstest]
    #[case::plain("a.pem", Ok(()))]
    #[case::longest(&"a".repeat(253), Ok(()))]
    #[case::too_long(&"a".repeat(254), Err(Invalid::Name))]
    #[case::empty("", Err(Invalid::Name))]
    #[case::hidden(".a", Err(Invalid::Name))]
    #[case::path("a/b", Err(Invalid::Name))]
    #[case::parent("..", Err(Invalid::Name))]
    #[case::upper("A", Err(Invalid::Name))]
    #[case::control("a\n", Err(Invalid::Name))]
    #[case::ours("process.cfg", Err(Invalid::Reserved))]
    fn names(#[case] name: &str, #[case] expected: Result<(), Invalid>) {
        assert_eq!(validate(&with(name, "")), expected);
    }

    #[test]
    fn sizes_and_the_main_file() {
        assert_eq!(validate(&with("a", &"a".repeat(SIZE_LIMIT))), Err(Invalid::Size));
        let mut configuration = with("a", "");
        configuration.files.remove(MAIN_FILE);
        assert_eq!(validate(&configuration), Err(Invalid::NoMainFile));
    }
}
