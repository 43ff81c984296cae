//! Which Harbor is played: an image says so in a file beside the program.

use crate::environment::{Environment, Refusal};

/// A release of Harbor.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// As in `v2.15.2`.
    pub(crate) name: String,
    /// The schema that its migrations lead to.
    pub(crate) schema: i64,
}

/// Reads `version` in the program's folder, in the folder above it, or `HARBOR_STAND_IN_VERSION`.
pub(crate) fn played() -> Result<Version, Refusal> {
    let beside = std::env::current_exe().ok().and_then(|program| {
        let folder = program.parent()?;
        [folder, folder.parent()?].iter().find_map(|folder| std::fs::read_to_string(folder.join("version")).ok())
    });
    let name = Environment::optional("HARBOR_STAND_IN_VERSION").or(beside).unwrap_or_else(|| "v2.15.2".to_owned());
    named(name.trim())
}

fn named(name: &str) -> Result<Version, Refusal> {
    let numbers: Vec<u32> = name.trim_start_matches('v').split('.').filter_map(|part| part.parse().ok()).collect();
    let schema = match numbers[..] {
        [2, 13, _] => 160,
        [2, 14, 0] => 170,
        [2, 14, _] => 171,
        [2, 15, 0..=2] => 180,
        [2, 15, _] => 181,
        _ => return Err(Refusal::new(format!("the stand-in plays Harbor 2.13 to 2.15, not {name:?}"))),
    };
    Ok(Version { name: name.to_owned(), schema })
}
