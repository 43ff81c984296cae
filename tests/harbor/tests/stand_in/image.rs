//! Images of a test, and skopeo, which carries them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harbor::Harbor;
use crate::process::Directory;

/// An image in a folder, of one layer.
pub(crate) struct Image {
    folder: String,
    /// Of its manifest.
    pub(crate) digest: String,
    pub(crate) layer: String,
}

impl Image {
    /// Two of another `seed` have nothing in common.
    pub(crate) fn new(directory: &Directory, seed: u64, layer_size: usize) -> Self {
        let folder = directory.folder(&format!("image-{seed}"));
        fs::create_dir_all(format!("{folder}/blobs/sha256")).expect("a folder");
        let layer = blob(&folder, &noise(seed, layer_size));
        let config = json!({"architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}});
        let mut config = blob(&folder, config.to_string().as_bytes());
        config["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
        let digest = layer["digest"].as_str().expect("a digest").to_owned();
        let mut layer = layer;
        layer["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar");
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
        let mut manifest = blob(&folder, manifest.to_string().as_bytes());
        manifest["mediaType"] = json!(kind);
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        fs::write(format!("{folder}/index.json"), index.to_string()).expect("a file");
        fs::write(format!("{folder}/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a file");
        Self { digest: manifest["digest"].as_str().expect("a digest").to_owned(), folder, layer: digest }
    }

    /// Pushes it; the words of a refusal otherwise.
    pub(crate) fn push(&self, harbor: &Harbor, credentials: &str, reference: &str) -> Result<(), String> {
        let from = format!("oci:{}", self.folder);
        copy(harbor, &[&format!("--dest-creds={credentials}"), &from, &remote(harbor, reference)])
    }
}

/// Pulls an image and tells the digest of its manifest; the words of a refusal otherwise.
pub(crate) fn pull(harbor: &Harbor, credentials: Option<&str>, reference: &str) -> Result<String, String> {
    let into = tempfile::tempdir().expect("a directory");
    let credentials = credentials.map_or("--src-no-creds".to_owned(), |pair| format!("--src-creds={pair}"));
    copy(harbor, &[&credentials, &remote(harbor, reference), &format!("oci:{}", into.path().display())])?;
    let index = fs::read_to_string(into.path().join("index.json")).expect("an index");
    let index: Value = serde_json::from_str(&index).expect("JSON");
    Ok(index["manifests"][0]["digest"].as_str().expect("a digest").to_owned())
}

pub(crate) fn login(harbor: &Harbor, name: &str, password: &str) -> Result<(), String> {
    let host = format!("127.0.0.1:{}", harbor.ground.ports.core);
    said(&skopeo(harbor, &["login", "--tls-verify=false", "--username", name, "--password", password, &host]))
}

fn remote(harbor: &Harbor, reference: &str) -> String {
    format!("docker://127.0.0.1:{}/{reference}", harbor.ground.ports.core)
}

fn copy(harbor: &Harbor, arguments: &[&str]) -> Result<(), String> {
    let fixed = ["copy", "--quiet", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"];
    said(&skopeo(harbor, &[&fixed, arguments].concat()))
}

fn skopeo(harbor: &Harbor, arguments: &[&str]) -> Output {
    let home = harbor.ground.directory.folder("skopeo");
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy", "--tmpdir", &home]).args(arguments);
    command
        .env("HOME", &home)
        .env("XDG_RUNTIME_DIR", &home)
        .env("REGISTRY_AUTH_FILE", Path::new(&home).join("auth.json"));
    command.env_remove("http_proxy").env_remove("HTTP_PROXY");
    command.output().expect("skopeo (make test-harbor installs it)")
}

fn said(output: &Output) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Writes a blob and tells its digest and size.
fn blob(folder: &str, bytes: &[u8]) -> Value {
    let digest = Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    fs::write(format!("{folder}/blobs/sha256/{digest}"), bytes).expect("a file");
    json!({"digest": format!("sha256:{digest}"), "size": bytes.len()})
}

/// Bytes that nothing compresses, the same for the same seed.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 32);
    for block in 0_u64.. {
        if bytes.len() >= size {
            break;
        }
        bytes.extend(Sha256::digest([seed.to_be_bytes(), block.to_be_bytes()].concat()));
    }
    bytes.truncate(size);
    bytes
}
