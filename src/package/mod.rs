//! What `fairway generate` writes from the code: CRDs, RBAC and the table of metrics. It touches only
//! files below the folder that it is told.

mod rbac;

use std::{fmt::Write, fs, io, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde::Serialize;
use serde_json::Value;

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
        yaml("config/crd/fairway.dev_loadbalancers.yaml", &[definition(&LoadBalancer::crd())])?,
        yaml("config/crd/fairway.dev_loadbalancerclasses.yaml", &[definition(&LoadBalancerClass::crd())])?,
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
