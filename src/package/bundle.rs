//! The package for the Operator Lifecycle Manager, as a registry+v1 bundle: its files, for the images that it is
//! told. Pure.

mod csv;
mod descriptors;
mod examples;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value, json};

use self::csv::{DESCRIPTION, icon};
pub(super) use self::examples::read;
use super::{
    File, GenerateError,
    releases::{PACKAGE, Releases},
    scorecard, yaml,
};

/// The images of a release, by tag or by digest.
#[derive(Clone, Debug, clap::Args)]
pub struct Images {
    /// Fairway's own image.
    #[arg(long = "fairway-image")]
    pub fairway: String,
    /// The HAProxy image of load balancers that ask for none.
    #[arg(long = "haproxy-image")]
    pub haproxy: String,
}

impl Images {
    /// As they are tagged when a version is released.
    pub(super) fn tagged(version: &str) -> Self {
        Self {
            fairway: format!("quay.io/fairway/fairway:{version}"),
            haproxy: "quay.io/fairway/haproxy:2.6.12".to_owned(),
        }
    }
}

/// The files of the bundle of a version, by their path below the bundle's folder.
pub(super) fn files(
    version: &str,
    releases: &Releases,
    images: &Images,
    definitions: &[CustomResourceDefinition],
) -> Result<Vec<File>, GenerateError> {
    let labels = labels(version, releases)?;
    let mut files = vec![
        yaml("manifests/fairway.clusterserviceversion.yaml", &[csv::csv(version, releases, images, definitions)?])?,
        yaml("metadata/annotations.yaml", &[json!({ "annotations": labels })])?,
        scorecard::config(&images.fairway)?,
        File { path: "Dockerfile".to_owned(), content: dockerfile(&labels) },
    ];
    for definition in definitions {
        files.push(super::crd(&format!("manifests/{}", super::crd_file(definition)), definition)?);
    }
    Ok(files)
}

/// What a catalog says of the package besides its bundles.
pub(super) fn catalog(releases: &Releases) -> Result<File, GenerateError> {
    yaml("package.yaml", &releases.catalog(&icon(), DESCRIPTION))
}

/// What the bundle is, for who reads its folder and for who reads its image.
fn labels(version: &str, releases: &Releases) -> Result<Map<String, Value>, GenerateError> {
    let channels = releases.release(version)?.channels.join(",");
    let labels = [
        ("mediatype.v1", "registry+v1"),
        ("manifests.v1", "manifests/"),
        ("metadata.v1", "metadata/"),
        ("package.v1", PACKAGE),
        ("channels.v1", channels.as_str()),
        ("channel.default.v1", releases.default_channel()),
    ];
    let labels = labels.map(|(name, value)| (format!("bundle.{name}"), value));
    let tests = [("mediatype.v1", "scorecard+v1"), ("config.v1", scorecard::FOLDER)];
    let tests = tests.map(|(name, value)| (format!("test.{name}"), value));
    let prefix = "operators.operatorframework.io";
    Ok(labels.into_iter().chain(tests).map(|(name, value)| (format!("{prefix}.{name}"), json!(value))).collect())
}

fn dockerfile(labels: &Map<String, Value>) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(
        "# Written by `fairway generate`; edit the code instead.\nFROM scratch\nLABEL {}\nCOPY manifests /manifests/\nCOPY metadata /metadata/\nCOPY tests /tests/\n",
        labels.join(" \\\n      ")
    )
}

#[cfg(test)]
mod tests;
