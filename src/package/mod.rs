//! What `fairway generate` writes from the code: CRDs, RBAC and the table of metrics. It touches only
//! files below the folder that it is told.

mod rbac;

use std::{fmt::Write, fs, io, path::Path};

use kube::CustomResourceExt;
use serde::Serialize;

use crate::{
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
        "<!-- Written by `fairway generate`; edit the code instead. -->\n# Metrics\n\nThe operator tells these on `:8080/metrics`, as OpenMetrics text.\n\n| name | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for row in metrics::TABLE {
        let metrics::Row { name, kind, labels, meaning } = row;
        let labels = labels.replace(',', ", ");
        // Writing to a String does not fail.
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {meaning} |");
    }
    page
}
