//! The registry behind Harbor, asked whether it can write: a real one, on a folder.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use fairway::clients::{
    connection::{Encryption, Server},
    distribution::{StorageError, try_storage},
};
use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::server_process::{DEADLINE, Directory, Process, free_port};

/// The registry of the images that Harbor is tested on.
fn program() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join("distribution")).find(|program| program.exists());
    found.expect("these tests need the registry in PATH: tests/cluster/cluster programs distribution")
}

struct Registry {
    server: Server,
    directory: Directory,
    _process: Process,
}

impl Registry {
    async fn start() -> Self {
        let (directory, port) = (Directory::new(), free_port());
        let configuration = json!({
            "version": 0.1,
            "storage": { "filesystem": { "rootdirectory": directory.path().join("storage") } },
            "http": { "addr": format!("127.0.0.1:{port}"), "secret": "of-this-test" },
        });
        let file = directory.write("config.yml", &configuration.to_string());
        let mut starting = Command::new("setpriv");
        starting.args(["--pdeathsig", "INT", "--"]).arg(program()).arg("serve").arg(file);
        let process = Process::start(starting, &directory);
        let server = Server { host: "127.0.0.1".to_owned(), port, encryption: Encryption::Disable };
        let registry = Self { server, directory, _process: process };
        let until = Instant::now() + DEADLINE;
        while let Err(error) = registry.ask().await {
            let waits = matches!(error, StorageError::Unreachable { .. });
            assert!(waits && Instant::now() < until, "{error}\n{}", registry.directory.read("log"));
            sleep(Duration::from_millis(50)).await;
        }
        registry
    }

    async fn ask(&self) -> Result<(), StorageError> {
        try_storage(&self.server, "harbor_registry_user", &"Kept-secret-1".into()).await
    }

    fn repositories(&self) -> PathBuf {
        self.directory.path().join("storage/docker/registry/v2/repositories")
    }

    /// All that it keeps.
    fn kept(&self) -> Vec<PathBuf> {
        fn below(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                found.push(entry.path());
                if entry.path().is_dir() {
                    below(&entry.path(), found);
                }
            }
        }
        let mut found = vec![];
        below(&self.directory.path().join("storage"), &mut found);
        found.sort();
        found
    }
}

#[tokio::test]
async fn a_registry_is_asked_whether_it_can_write() {
    let registry = Registry::start().await;
    let once = registry.kept();
    for _ in 0..3 {
        registry.ask().await.expect("it can write");
    }
    assert_eq!(registry.kept(), once, "nothing more stays, however often it is asked");

    let (there, away) = (registry.repositories().join("fairway"), registry.directory.path().join("away"));
    fs::rename(&there, &away).expect("a folder");
    fs::write(&there, "in the way").expect("a file");
    let error = registry.ask().await.expect_err("no folder");
    assert!(matches!(&error, StorageError::Refused { words } if words.contains("filesystem")), "{error}");
    fs::remove_file(&there).expect("a file");
    registry.ask().await.expect("it can write again");
}

#[tokio::test]
async fn a_registry_that_is_away_is_told() {
    let server = Server { host: "127.0.0.1".to_owned(), port: free_port(), encryption: Encryption::Disable };
    let error = try_storage(&server, "harbor_registry_user", &"Kept-secret-1".into()).await.expect_err("nobody");
    assert_eq!(error.reason(), "RegistryUnreachable");
}
