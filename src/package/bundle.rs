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
use crate::harbor;

/// The images of a release, by tag or by digest.
#[derive(Clone, Debug, clap::Args)]
pub struct Images {
    /// Fairway's own image.
    #[arg(long = "fairway-image")]
    pub fairway: String,
    /// The HAProxy image of load balancers that ask for none.
    #[arg(long = "haproxy-image")]
    pub haproxy: String,
    /// An image in place of one of Harbor's, its database's or its cache's, such as
    /// `docker.io/library/redis:7=docker.io/library/redis@sha256:…`; once for each. The others stay as they are tagged.
    #[arg(long = "related-image", value_name = "IMAGE=OTHER", value_parser = in_place)]
    pub related: Vec<(String, String)>,
}

/// One of the images that registries are made of, and another.
fn in_place(text: &str) -> Result<(String, String), String> {
    let (image, other) = text.split_once('=').ok_or("an image, =, and the one in its place")?;
    let known = harbor::images::all().any(|known| known == image);
    if known { Ok((image.to_owned(), other.to_owned())) } else { Err(format!("no registry is made of {image}")) }
}

impl Images {
    /// As they are tagged when a version is released.
    pub(super) fn tagged(version: &str) -> Self {
        Self {
            fairway: format!("quay.io/fairway/fairway:{version}"),
            haproxy: "quay.io/fairway/haproxy:2.6.12".to_owned(),
            related: vec![],
        }
    }

    /// All of them, by the name of their entry and the variable that tells the operator.
    pub(super) fn named(&self) -> Vec<(String, String, String)> {
        let own = [("fairway", &self.fairway), ("haproxy", &self.haproxy)];
        let own = own
            .map(|(name, image)| (name.to_owned(), format!("RELATED_IMAGE_{}", name.to_uppercase()), image.to_owned()));
        let of_registries = harbor::images::all().map(|image| {
            let other = self.related.iter().find(|(known, _)| *known == image).map(|(_, other)| other.clone());
            let (name, variable) = (harbor::images::entry(&image), harbor::images::variable(&image));
            (name, variable, other.unwrap_or(image))
        });
        own.into_iter().chain(of_registries).collect()
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
