//! Every reason that a registry's conditions have is explained in docs/troubleshooting.md: read from the code itself, so that
//! none comes without its words. Reads this repository.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const PAGE: &str = include_str!("../../../docs/troubleshooting.md");
/// What says a reason right after it, in quotation marks.
const SAID_BY: [&str; 2] = ["Problem::new(", "problem("];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    found.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// What stands in quotation marks at the beginning.
fn quoted(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix('"')?.split('"').next()
}

fn is_a_reason(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_uppercase())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric())
}

fn reasons(source: &str) -> BTreeSet<String> {
    let (code, _) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
    let said = SAID_BY.iter().flat_map(|said_by| code.split(said_by).skip(1).filter_map(quoted));
    // Those of errors, which a function tells.
    let told = code.split("fn reason(").skip(1).map(|rest| rest.split("\n    }").next().unwrap_or_default());
    let told = told.flat_map(|body| body.split("=>").skip(1).filter_map(quoted));
    said.chain(told).filter(|text| is_a_reason(text)).map(str::to_owned).collect()
}

#[test]
fn every_reason_is_in_the_page() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let errors = ["distribution", "harbor/error", "postgresql/error", "redis/error"];
    let errors = errors.map(|client| source.join(format!("clients/{client}.rs")));
    let read = sources(&source.join("harbor")).into_iter().chain(errors);
    let reasons: BTreeSet<String> = read.flat_map(|path| reasons(&fs::read_to_string(path).unwrap())).collect();
    assert!(reasons.len() > 50, "{reasons:?}");
    let (_, section) = PAGE.split_once("\n## A registry\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let explained: BTreeSet<&str> = section.split('`').filter(|text| is_a_reason(text)).collect();
    let missing: Vec<_> = reasons.iter().filter(|reason| !explained.contains(reason.as_str())).collect();
    assert!(missing.is_empty(), "docs/troubleshooting.md does not explain {missing:?}");
}
