//! A word of `haproxy.cfg`. Whatever text a user gives is one word on one line, or it is refused: it can
//! neither end its line nor be taken for anything else.

use std::fmt;

/// A text that can stand in `haproxy.cfg` as one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(String);

/// Why a text can't stand in `haproxy.cfg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds the control character U+{0:04X}: take it out")]
pub struct ControlCharacter(u32);

impl Word {
    /// Takes any text without control characters (line ends and NUL among them).
    ///
    /// # Errors
    /// The first control character.
    pub fn parse(text: &str) -> Result<Self, ControlCharacter> {
        match text.chars().find(|character| character.is_control()) {
            Some(character) => Err(ControlCharacter(character.into())),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The text itself, not quoted.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The same word where HAProxy expands `%` (log format).
    #[must_use]
    pub fn escape_format(&self) -> Self {
        Self(self.0.replace('%', "%%"))
    }

    /// What comes before the first of a character, or all of it.
    #[must_use]
    pub fn before(&self, end: char) -> Self {
        Self(self.0.split(end).next().unwrap_or_default().to_owned())
    }

    /// The same word after a dot.
    #[must_use]
    pub fn after_dot(&self) -> Self {
        Self(format!(".{}", self.0))
    }
}

impl fmt::Display for Word {
    /// Plain where it is plain, else in single quotes, within which HAProxy takes all but the quote as
    /// it stands (configuration manual, 2.2 "Quoting and escaping").
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,=?&+@[]~%*".contains(&byte);
        if !self.0.is_empty() && self.0.bytes().all(plain) {
            return formatter.write_str(&self.0);
        }
        write!(formatter, "'{}'", self.0.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/healthz?x=1", "/healthz?x=1")]
    #[case("", "''")]
    #[case("a b", "'a b'")]
    #[case("a#b", "'a#b'")]
    #[case("$HOME", "'$HOME'")]
    #[case(r"a\b", r"'a\b'")]
    #[case("it's", r"'it'\''s'")]
    #[case("\"", "'\"'")]
    #[case("ü", "'ü'")]
    fn a_word_is_quoted_where_it_must_be(#[case] text: &str, #[case] rendered: &str) {
        assert_eq!(Word::parse(text).map(|word| word.to_string()), Ok(rendered.to_owned()));
    }

    #[rstest]
    #[case("a\nb", 0x0A)]
    #[case("a\r", 0x0D)]
    #[case("\0", 0)]
    #[case("\u{85}", 0x85)]
    fn control_characters_are_refused(#[case] text: &str, #[case] code: u32) {
        assert_eq!(Word::parse(text), Err(ControlCharacter(code)));
    }
}
