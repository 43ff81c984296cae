//! What `fairway generate` writes from the code: CRDs, RBAC and the table of metrics. It touches only
//! files below the folder that it is told.

mod rbac;

use std::{fmt::Write, fs, io, path::Path};

use kube::CustomResourceExt;
use serde::Serialize;

use crate::{
    agent,
    api::{LoadBalancer, LoadBalancerClass},
    telemetry::metrics,
};

/// What may go wrong.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A value can't be written as YAML.
    #[error("{path} can't be written as YAML: {source}")]
    Yaml {
        /// Which file.
        path: &'static str,
        /// What is wrong.
        source: serde_saphyr::ser::Error,
    },
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: &'static str,
        /// What is wrong.
        source: io::Error,
    },
    /// Files are not what the code says.
    #[error("{0} not as the code says: run `make generate` and commit what changed")]
    Stale(String),
}

/// A file by its path below the top of the repository.
type File = (&'static str, String);

/// All generated files, the same for each call.
///
/// # Errors
/// If a value can't be written as YAML.
pub fn files() -> Result<Vec<File>, GenerateError> {
    Ok(vec![
        yaml("config/crd/fairway.dev_loadbalancers.yaml", &[LoadBalancer::crd()])?,
        yaml("config/crd/fairway.dev_loadbalancerclasses.yaml", &[LoadBalancerClass::crd()])?,
        yaml("config/rbac/roles.yaml", &rbac::roles())?,
        ("docs/metrics.md", metrics_page()),
    ])
}

/// Writes the files below `top`.
///
/// # Errors
/// If a value or a file can't be written.
pub fn write(top: &Path) -> Result<(), GenerateError> {
    for (path, content) in files()? {
        let target = top.join(path);
        let written = target.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&target, content));
        written.map_err(|source| GenerateError::File { path, source })?;
    }
    Ok(())
}

/// Compares the files below `top` with what [`write`] would write.
///
/// # Errors
/// If one differs or is missing.
pub fn check(top: &Path) -> Result<(), GenerateError> {
    let mut stale = vec![];
    for (path, content) in files()? {
        if fs::read_to_string(top.join(path)).ok().as_ref() != Some(&content) {
            stale.push(path);
        }
    }
    match stale.as_slice() {
        [] => Ok(()),
        [path] => Err(GenerateError::Stale(format!("{path} is"))),
        paths => Err(GenerateError::Stale(format!("{} are", paths.join(", ")))),
    }
}

fn yaml(path: &'static str, documents: &[impl Serialize]) -> Result<File, GenerateError> {
    let mut content = String::from("# Written by `fairway generate`; edit the code instead.\n");
    for document in documents {
        content.push_str("---\n");
        content.push_str(&serde_saphyr::to_string(document).map_err(|source| GenerateError::Yaml { path, source })?);
    }
    Ok((path, content))
}

fn metrics_page() -> String {
    let mut page = String::from(
        "<!-- Written by `fairway generate`; edit the code instead. -->\n# Metrics\n\nAll are OpenMetrics text.\n\n## The operator, on `:8080/metrics`\n\n| name | type | labels | meaning |\n|---|---|---|---|\n",
    );
    // Writing to a String does not fail.
    for metrics::Row { name, kind, labels, meaning } in metrics::TABLE {
        let labels = labels.replace(',', ", ");
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {meaning} |");
    }
    page.push_str(
        "\n## The agent in each HAProxy pod, on `:9101/metrics`\n\n| name | type | meaning |\n|---|---|---|\n",
    );
    for (name, kind, meaning) in described(&agent::metrics::Metrics::default().render()) {
        let _ = writeln!(page, "| `{name}` | {kind} | {meaning} |");
    }
    page
}

/// Name, type and meaning of each metric, from what an exposition says of itself.
fn described(exposition: &str) -> Vec<(String, &str, &str)> {
    let comments =
        |kind: &'static str| exposition.lines().filter_map(move |line| line.strip_prefix(kind)?.trim().split_once(' '));
    let helps: Vec<_> = comments("# HELP").collect();
    comments("# TYPE")
        .map(|(name, kind)| {
            let help = helps.iter().find(|(of, _)| *of == name).map_or("", |(_, help)| help.trim_end_matches('.'));
            let total = if kind == "counter" { "_total" } else { "" };
            (format!("{name}{total}"), kind, help)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::described;

    #[test]
    fn an_exposition_describes_itself() {
        let text =
            "# HELP a_b What it says.\n# TYPE a_b counter\na_b_total 1\n# HELP c Other.\n# TYPE c gauge\nc 0\n# EOF\n";
        assert_eq!(
            described(text),
            [("a_b_total".to_owned(), "counter", "What it says"), ("c".to_owned(), "gauge", "Other")]
        );
    }
}
