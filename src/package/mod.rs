//! What `fairway generate` writes from the code: CRDs, RBAC, reference pages, and the package for the Operator
//! Lifecycle Manager. It reads `catalog/releases.yaml` and touches only files below the folder that it is told.

mod bundle;
mod rbac;
mod reference;
mod releases;
mod scorecard;

use std::{
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde::Serialize;
use serde_json::Value;

pub use self::{
    bundle::Images,
    releases::{Releases, ReleasesError},
};
use crate::{
    agent,
    api::{Harbor, HarborClass, HarborProject, HarborRobot, LoadBalancer, LoadBalancerClass},
    telemetry::metrics,
};

/// What may go wrong.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A value can't be written as YAML.
    #[error("{path} can't be written as YAML: {source}")]
    Yaml {
        /// Which file.
        path: String,
        /// What is wrong.
        source: serde_saphyr::ser::Error,
    },
    /// A file that was built in is not YAML.
    #[error("{path} can't be read: {source}")]
    Input {
        /// Which file.
        path: String,
        /// What is wrong.
        source: Box<serde_saphyr::Error>,
    },
    /// The releases do not hold together.
    #[error("the list of releases")]
    Releases(#[from] ReleasesError),
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// Files are not what the code says.
    #[error("{0} not as the code says: run `make generate` and commit what changed")]
    Stale(String),
}

/// A file by its path below a folder.
struct File {
    path: String,
    content: String,
}

/// Where the releases are written down, below the top of the repository.
const RELEASES: &str = "catalog/releases.yaml";

/// Writes all generated files below `top`, the top of the repository.
///
/// # Errors
/// If the releases can't be read, or a file can't be written.
pub fn write(top: &Path, version: &str) -> Result<(), GenerateError> {
    put(top, &files(version, &releases(&top.join(RELEASES))?)?)
}

/// Compares the files below `top` with what [`write()`] would write.
///
/// # Errors
/// If one differs or is missing.
pub fn check(top: &Path, version: &str) -> Result<(), GenerateError> {
    let mut stale = vec![];
    for File { path, content } in files(version, &releases(&top.join(RELEASES))?)? {
        if fs::read_to_string(top.join(&path)).ok().as_ref() != Some(&content) {
            stale.push(path);
        }
    }
    match stale.as_slice() {
        [] => Ok(()),
        [path] => Err(GenerateError::Stale(format!("{path} is"))),
        paths => Err(GenerateError::Stale(format!("{} are", paths.join(", ")))),
    }
}

/// Writes the package of this version into the folder `output`, with these images.
///
/// # Errors
/// If this version is none of the releases, or a file can't be written.
pub fn write_bundle(output: &Path, version: &str, releases: &Releases, images: &Images) -> Result<(), GenerateError> {
    put(output, &bundle::files(version, releases, images, &definitions())?)
}

/// Writes what a catalog says of the package besides its bundles into the folder `output`.
///
/// # Errors
/// If a file can't be written.
pub fn write_catalog(output: &Path, releases: &Releases) -> Result<(), GenerateError> {
    put(output, &[bundle::catalog(releases)?])
}

/// Reads the releases.
///
/// # Errors
/// If there is no such file, or it does not hold together.
pub fn releases(path: &Path) -> Result<Releases, GenerateError> {
    let text = fs::read_to_string(path).map_err(|source| GenerateError::File { path: path.to_owned(), source })?;
    Ok(Releases::parse(&text)?)
}

fn put(folder: &Path, files: &[File]) -> Result<(), GenerateError> {
    for File { path, content } in files {
        let target = folder.join(path);
        let written = target.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&target, content));
        written.map_err(|source| GenerateError::File { path: target, source })?;
    }
    Ok(())
}

/// The custom resources.
fn definitions() -> [CustomResourceDefinition; 6] {
    [
        LoadBalancer::crd(),
        LoadBalancerClass::crd(),
        Harbor::crd(),
        HarborClass::crd(),
        HarborProject::crd(),
        HarborRobot::crd(),
    ]
}

/// All generated files of the repository for a version, the same for each call.
fn files(version: &str, releases: &Releases) -> Result<Vec<File>, GenerateError> {
    let definitions = definitions();
    let mut files = vec![
        yaml("config/rbac/roles.yaml", &rbac::roles())?,
        yaml("scorecard/rbac.yaml", &scorecard::account())?,
        File { path: "docs/metrics.md".to_owned(), content: metrics_page() },
        File { path: "docs/reference.md".to_owned(), content: reference::page(&definitions) },
    ];
    for definition in &definitions {
        files.push(crd(&format!("config/crd/{}", crd_file(definition)), definition)?);
    }
    for File { path, content } in bundle::files(version, releases, &Images::tagged(version), &definitions)? {
        files.push(File { path: format!("bundle/{path}"), content });
    }
    Ok(files)
}

/// What the file of a CRD is called.
fn crd_file(definition: &CustomResourceDefinition) -> String {
    format!("{}_{}.yaml", definition.spec.group, definition.spec.names.plural)
}

fn crd(path: &str, crd: &CustomResourceDefinition) -> Result<File, GenerateError> {
    yaml(path, &[definition(crd)])
}

/// A CRD whose descriptions flow: `kubectl explain` breaks lines itself, and would keep those of the code.
fn definition(definition: &CustomResourceDefinition) -> Value {
    fn flow(value: &mut Value) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(text)) = object.get_mut("description") {
                    *text = text.replace('\n', " ");
                }
                object.values_mut().for_each(flow);
            }
            Value::Array(list) => list.iter_mut().for_each(flow),
            _ => {}
        }
    }
    // A typed value is always JSON.
    let mut value = serde_json::to_value(definition).unwrap_or_default();
    flow(&mut value);
    value
}

fn yaml(path: &str, documents: &[impl Serialize]) -> Result<File, GenerateError> {
    let path = path.to_owned();
    let mut content = String::from("# Written by `fairway generate`; edit the code instead.\n");
    for (index, document) in documents.iter().enumerate() {
        // Not before the first: readers of bundles would take the comment for a document.
        if index > 0 {
            content.push_str("---\n");
        }
        match serde_saphyr::to_string(document) {
            Ok(text) => content.push_str(&text),
            Err(source) => return Err(GenerateError::Yaml { path, source }),
        }
    }
    Ok(File { path, content })
}

fn metrics_page() -> String {
    let mut page = String::from(
        "<!-- Written by `fairway generate`; edit the code instead. -->\n# Metrics\n\nAll are OpenMetrics text.\n",
    );
    let operator = metrics::TABLE.to_vec();
    let agent = agent::metrics::rows();
    let sections = [("The operator, on `:8080/metrics`", "", operator), (AGENT_TITLE, AGENT_NOTE, agent)];
    for (title, note, rows) in sections {
        // Writing to a String does not fail.
        let _ = write!(page, "\n## {title}\n\n{note}| name | type | labels | meaning |\n|---|---|---|---|\n");
        for metrics::Row { name, kind, labels, meaning } in rows {
            let labels = labels.replace(',', ", ");
            let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {meaning} |");
        }
    }
    page
}

const AGENT_TITLE: &str = "The agent in each HAProxy pod, on `:9101/metrics`";
const AGENT_NOTE: &str = "\
`fairway_haproxy_`, `fairway_listener_`, `fairway_pool_`, `fairway_member_` and `fairway_certificate_` are what
HAProxy itself tells (`show stat`, `show info`, `show proc`, `show ssl cert`), at most a second old. When it does not
answer, `fairway_haproxy_up` is 0 and the agent's own are told all the same.

- `listener`, `pool` and `member` are the names in the LoadBalancer and its status; `mode` is `http` or `tcp`, since a
  pool that listeners of both kinds use is two in HAProxy.
- Counters begin anew with each reload, and with each start of a pod; `rate()` and `increase()` of Prometheus take
  that into account. What old workers still finish after a reload is counted by nobody.
- A metric is missing where HAProxy has no number for it, such as HTTP codes of a TCP listener.
- The memory of the whole container, as the kernel sees it, is the kubelet's
  `container_memory_working_set_bytes{container=\"haproxy\"}`: the agent has a process space of its own.

";

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;

    use super::definition;
    use crate::api::LoadBalancer;

    #[test]
    fn a_description_has_no_line_ends_of_the_code() {
        let value = definition(&LoadBalancer::crd());
        let text =
            value.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/className/description");
        let text = text.and_then(|text| text.as_str()).expect("a description");
        assert!(text.ends_with("Fairway's own defaults hold.") && !text.contains('\n'), "{text}");
    }
}
