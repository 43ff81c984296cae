//! Makes what HAProxy says fit for a user's eyes. Pure.

/// The bound of [`Refused::message`](super::protocol::Refused::message), in bytes.
const LIMIT: usize = 1_024;
/// A word of so many letters of base 64 may be a key or a token.
const SECRET_LENGTH: usize = 40;

/// What is wrong, from the output of HAProxy: alerts alone when there are any, without process ids, the
/// pod's directories (each given with its trailing slash) and anything that may be key material.
#[must_use]
pub fn clean(output: &str, directories: &[&str]) -> String {
    let lines = || output.lines().filter(|line| !is_noise(line));
    let alerts: Vec<&str> = lines().filter(|line| line.contains("[ALERT]")).collect();
    let chosen = if alerts.is_empty() { lines().collect() } else { alerts };
    let mut text = String::new();
    for line in chosen {
        let mut line = without_prefix(line).to_owned();
        for directory in directories {
            line = line.replace(directory, "");
        }
        let words: Vec<&str> = line.split_whitespace().map(|word| if is_secret(word) { "…" } else { word }).collect();
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&words.join(" "));
    }
    truncate(text)
}

fn is_noise(line: &str) -> bool {
    let line = without_prefix(line);
    line.trim().is_empty()
        || line.contains("[NOTICE]")
        || line.starts_with("Fatal errors found")
        || line.starts_with("Error(s) found in configuration file")
}

/// `[ALERT]    (12) : config : what` → `what`.
fn without_prefix(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("[ALERT]").or_else(|| line.strip_prefix("[WARNING]")) else { return line };
    let rest = rest.split_once(") : ").map_or(rest, |(_, rest)| rest);
    rest.strip_prefix("config : ").unwrap_or(rest)
}

fn is_secret(word: &str) -> bool {
    let of_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-');
    let bare = word.trim_matches(|character: char| !character.is_ascii_alphanumeric());
    word.contains("-----") || (bare.len() >= SECRET_LENGTH && bare.bytes().all(of_base64))
}

fn truncate(mut text: String) -> String {
    if text.len() > LIMIT {
        let end = (0..=LIMIT - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_told_without_paths_and_warnings() {
        let output = "[NOTICE]   (9) : haproxy version is 2.6.12\n\
            [WARNING]  (9) : config : parsing [/run/x/haproxy.cfg:2] : odd.\n\
            [ALERT]    (9) : config : parsing [/run/x/haproxy.cfg:3] : unknown keyword 'binf' in 'frontend' section\n\
            [ALERT]    (9) : config : Error(s) found in configuration file : /run/x/haproxy.cfg\n\
            [ALERT]    (9) : config : Fatal errors found in configuration.\n";
        let expected = "parsing [haproxy.cfg:3] : unknown keyword 'binf' in 'frontend' section";
        assert_eq!(clean(output, &["/run/x/"]), expected);
    }

    #[test]
    fn without_an_alert_everything_is_told() {
        assert_eq!(clean("Segmentation fault\n", &[]), "Segmentation fault");
        assert_eq!(clean("", &[]), "");
    }

    #[test]
    fn long_words_and_long_texts_are_cut() {
        let secret = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODk=";
        let text = clean(&format!("[ALERT] (1) : bad '{secret}' -----BEGIN"), &[]);
        assert_eq!(text, "bad … …");
        let long = clean(&"é ".repeat(2_000), &[]);
        assert!(long.len() <= LIMIT && long.ends_with('…'));
    }
}
