//! Lists and maps of patterns: read from a worker, and replaced in it at one moment.

use std::io;

use super::Socket;
use crate::agent::protocol::{LIST_SUFFIX, MAP_SUFFIX};

/// The largest payload, in bytes: one that does not fit HAProxy's buffer (16,384) is dropped, silently.
pub const LARGEST_PAYLOAD: usize = 15_000;

/// What HAProxy calls a file's patterns; none when it holds none.
fn kind(file: &str) -> Option<&'static str> {
    let kinds = [(LIST_SUFFIX, "acl"), (MAP_SUFFIX, "map")];
    kinds.into_iter().find_map(|(suffix, kind)| file.ends_with(suffix).then_some(kind))
}

/// The patterns of a file, where each of its lines can be only one: for a list a word, for a map a key, a space and a
/// value. None for any other file.
#[must_use]
pub fn patterns<'a>(file: &str, content: &'a str) -> Option<Vec<&'a str>> {
    // A list is changed by commands, of which some characters are no part.
    let plain = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:/-_".contains(&byte));
    let graphic = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    let list = kind(file)? == "acl";
    let is_pattern = |line: &&str| match line.split_once(' ') {
        None => list && graphic(line) && plain(line),
        Some((key, value)) => !list && !line.starts_with('#') && graphic(key) && graphic(value),
    };
    let lines: Vec<&str> = content.lines().collect();
    (lines.iter().all(is_pattern) && lines.iter().all(|line| line.len() < LARGEST_PAYLOAD)).then_some(lines)
}

impl Socket {
    /// The patterns that a worker has of a file, in their order.
    ///
    /// # Errors
    /// As [`Self::ask`], and when the worker knows no such file.
    pub async fn patterns(&self, file: &str) -> io::Result<Vec<String>> {
        let answer = self.ask(&format!("show {} {file}", kind_of(file)?)).await?;
        // Each after its address.
        let entry = |line: &str| Some(line.strip_prefix("0x")?.split_once(' ')?.1.to_owned());
        let lines = answer.lines().filter(|line| !line.is_empty());
        lines.map(|line| entry(line).ok_or_else(|| io::Error::other(line.to_owned()))).collect()
    }

    /// Replaces the patterns of a file: each request sees the ones before, or these.
    ///
    /// # Errors
    /// As [`Self::ask`], and what the worker objects to. The patterns before stay then.
    pub async fn replace_patterns(&self, file: &str, patterns: &[&str]) -> io::Result<()> {
        let kind = kind_of(file)?;
        let answer = self.ask(&format!("prepare {kind} {file}")).await?;
        let version = answer.trim().strip_prefix("New version created: ").and_then(|version| version.parse().ok());
        let version: u32 = version.ok_or_else(|| io::Error::other(answer.trim().to_owned()))?;
        let filled = self.fill(kind, version, file, patterns).await;
        if filled.is_err() {
            // What was prepared would stay for good.
            let _ = self.ask(&format!("clear {kind} @{version} {file}")).await;
        }
        filled
    }

    async fn fill(&self, kind: &str, version: u32, file: &str, patterns: &[&str]) -> io::Result<()> {
        let add = format!("add {kind} @{version} {file}");
        let mut left = patterns;
        while !left.is_empty() {
            let (mut taken, mut length) = (0, 0);
            while taken < left.len() && (taken == 0 || length + left[taken].len() + add.len() + 2 < LARGEST_PAYLOAD) {
                length += left[taken].len() + if kind == "acl" { add.len() + 2 } else { 1 };
                taken += 1;
            }
            let (now, later) = left.split_at(taken);
            let command = match kind {
                // No payload here, as of 2.6.
                "acl" => now.iter().map(|pattern| format!("{add} {pattern}")).collect::<Vec<_>>().join(";"),
                _ => format!("{add} <<\n{}\n", now.join("\n")),
            };
            self.silent(&command).await?;
            left = later;
        }
        self.silent(&format!("commit {kind} @{version} {file}")).await
    }

    /// Silence is consent.
    async fn silent(&self, command: &str) -> io::Result<()> {
        let answer = self.ask(command).await?;
        let objection = answer.lines().find(|line| !line.trim().is_empty());
        objection.map_or(Ok(()), |objection| Err(io::Error::other(objection.to_owned())))
    }
}

fn kind_of(file: &str) -> io::Result<&'static str> {
    kind(file).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::list("a.acl", "10.0.0.0/8\n::/0\n", Some(2))]
    #[case::map("a.map", "|h|/p?;' x.http\n", Some(1))]
    #[case::empty("a.map", "", Some(0))]
    #[case::another_file("a.list", "10.0.0.0/8\n", None)]
    #[case::empty_line("a.acl", "10.0.0.0/8\n\n", None)]
    #[case::command("a.acl", "10.0.0.0/8;x\n", None)]
    #[case::two_words("a.acl", "10.0.0.0/8 x\n", None)]
    #[case::no_value("a.map", "a\n", None)]
    #[case::no_value_but_a_space("a.map", "a \n", None)]
    #[case::no_key("a.map", " a\n", None)]
    #[case::three_words("a.map", "a b c\n", None)]
    #[case::comment("a.map", "#a b\n", None)]
    #[case::carriage_return("a.map", "a b\r \n", None)]
    #[case::other_letters("a.map", "\u{fc} b\n", None)]
    fn what_can_be_one_pattern_only(#[case] file: &str, #[case] content: &str, #[case] expected: Option<usize>) {
        assert_eq!(patterns(file, content).map(|patterns| patterns.len()), expected);
    }
}
