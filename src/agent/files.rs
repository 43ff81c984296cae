//! The directory that the pod's containers share, and the mounted Secrets. Touches files alone; whatever
//! is replaced is replaced by a rename, so that a reader sees the old or the new and nothing between.
//!
//! ```text
//! /run/fairway/
//!   current -> configurations/<hash>     what HAProxy loads at its next reload
//!   configurations/<hash>/               the configuration's files, and process.cfg
//!   proven.json offered.json attempted.json loaded.json refused.json
//!   health                               what a new worker is told of members' health
//!   master.sock worker.sock
//! ```

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    kept,
    protocol::{Configuration, MAIN_FILE, Proven, Refused},
};

/// The agent's own file in each configuration's directory.
pub const PROCESS_FILE: &str = "process.cfg";

/// What is remembered of configurations across restarts of either container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// The last that a worker has proven.
    Proven,
    /// One that came while no HAProxy ran.
    Offered,
    /// The one that `current` leads to.
    Attempted,
    /// The one that the worker was started with, which tells what slots it has.
    Loaded,
}

impl Record {
    fn file(self) -> &'static str {
        match self {
            Self::Proven => "proven.json",
            Self::Offered => "offered.json",
            Self::Attempted => "attempted.json",
            Self::Loaded => "loaded.json",
        }
    }
}

const REFUSED_FILE: &str = "refused.json";

/// A configuration that lies in the shared directory.
#[derive(Clone, Copy, Debug)]
pub struct Like<'a> {
    /// By which it is found.
    pub hash: &'a str,
    /// What it was written of.
    pub files: &'a BTreeMap<String, String>,
}

/// The shared directory, as seen by one of its two writers.
#[derive(Clone, Debug)]
pub struct Files {
    root: PathBuf,
    /// Keeps the writers' unfinished files apart.
    writer: &'static str,
}

impl Files {
    /// The directory `root`; `writer` is `boot` or `serve`.
    #[must_use]
    pub fn new(root: &Path, writer: &'static str) -> Self {
        Self { root: root.to_owned(), writer }
    }

    /// The master's socket.
    #[must_use]
    pub fn master_socket(&self) -> PathBuf {
        self.root.join("master.sock")
    }

    /// The worker's own socket.
    #[must_use]
    pub fn worker_socket(&self) -> PathBuf {
        self.root.join("worker.sock")
    }

    /// The server state file, which a worker reads as it starts.
    #[must_use]
    pub fn health(&self) -> PathBuf {
        self.root.join("health")
    }

    /// Writes [`Self::health`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_health(&self, state: &str) -> io::Result<()> {
        let staged = self.root.join(format!("health-{}", self.writer));
        write_private(&staged, state.as_bytes())?;
        fs::rename(staged, self.health())
    }

    /// A file of the current configuration.
    #[must_use]
    pub fn current(&self, file: &str) -> PathBuf {
        self.root.join("current").join(file)
    }

    /// The directory of a configuration.
    #[must_use]
    pub fn directory(&self, hash: &str) -> PathBuf {
        self.root.join("configurations").join(hash)
    }

    /// Where a configuration is written before it is accepted.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.directory(&format!("staging-{}", self.writer))
    }

    /// Reads a record; one that is missing or malformed is none.
    #[must_use]
    pub fn record(&self, record: Record) -> Option<Proven> {
        self.read(record.file())
    }

    /// What was refused last.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        self.read(REFUSED_FILE)
    }

    /// Writes a record, or removes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_record(&self, record: Record, value: Option<&Proven>) -> io::Result<()> {
        self.write(record.file(), value)
    }

    /// Writes what was refused, or removes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_refused(&self, value: Option<&Refused>) -> io::Result<()> {
        self.write(REFUSED_FILE, value)
    }

    /// Writes a configuration and its `process.cfg` into [`Self::staging`]. What it has in common with one that lies
    /// here, such as a thousand certificates, is linked, since no file is ever written twice; but
    /// the main file, which lies here with spare slots.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn stage(&self, configuration: &Configuration, process: &str, like: Option<Like<'_>>) -> io::Result<()> {
        let staging = self.staging();
        remove(&staging)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&staging)?;
        for (name, content) in &configuration.files {
            let same = like.filter(|like| name != MAIN_FILE && like.files.get(name) == Some(content));
            let linked = same.map(|like| fs::hard_link(self.directory(like.hash).join(name), staging.join(name)));
            if linked.is_none_or(|linked| linked.is_err()) {
                write_private(&staging.join(name), content.as_bytes())?;
            }
        }
        write_private(&staging.join(PROCESS_FILE), process.as_bytes())
    }

    /// Gives what was staged its name. What already has it is the same, and stays.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn accept_staged(&self, hash: &str) -> io::Result<()> {
        let directory = self.directory(hash);
        if directory.is_dir() { remove(&self.staging()) } else { fs::rename(self.staging(), directory) }
    }

    /// Has `current` lead to a configuration.
    ///
    /// # Errors
    /// When the link cannot be replaced.
    pub fn switch_to(&self, wanted: &Proven) -> io::Result<()> {
        self.set_record(Record::Attempted, Some(wanted))?;
        let staged = self.root.join(format!("current-{}", self.writer));
        remove(&staged)?;
        std::os::unix::fs::symlink(Path::new("configurations").join(&wanted.hash), &staged)?;
        fs::rename(staged, self.root.join("current"))
    }

    /// Whether `current` leads to a configuration.
    #[must_use]
    pub fn is_current(&self, hash: &str) -> bool {
        fs::read_link(self.root.join("current")).is_ok_and(|target| target.ends_with(hash))
    }

    /// A configuration's files as they are loaded, without `process.cfg`; none when one can't be read.
    #[must_use]
    pub fn contents(&self, hash: &str) -> Option<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(self.directory(hash)).ok()? {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            if name != PROCESS_FILE {
                files.insert(name, fs::read_to_string(entry.path()).ok()?);
            }
        }
        Some(files)
    }

    /// Removes the directories of all configurations that no record names.
    ///
    /// # Errors
    /// When the directories cannot be listed or removed.
    pub fn remove_forgotten(&self) -> io::Result<()> {
        let records = [Record::Proven, Record::Offered, Record::Attempted, Record::Loaded];
        let records = records.map(|record| self.record(record));
        let kept: Vec<&str> = records.iter().flatten().map(|record| record.hash.as_str()).collect();
        for entry in fs::read_dir(self.root.join("configurations"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !kept.contains(&name.as_str()) && !name.starts_with("staging-") {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// The text of a configuration's main and process files; empty when it is gone.
    #[must_use]
    pub fn text(&self, hash: &str) -> String {
        format!("{}\n{}", self.read_text(hash, PROCESS_FILE), self.main_text(hash))
    }

    /// The text of a configuration's main file; empty when it is gone.
    #[must_use]
    pub fn main_text(&self, hash: &str) -> String {
        self.read_text(hash, MAIN_FILE)
    }

    fn read_text(&self, hash: &str, file: &str) -> String {
        fs::read_to_string(self.directory(hash).join(file)).unwrap_or_default()
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.root.join(file)).ok()?).ok()
    }

    fn write<T: Serialize>(&self, file: &str, value: Option<&T>) -> io::Result<()> {
        let Some(value) = value else { return remove(&self.root.join(file)) };
        let value = serde_json::to_vec(value)?;
        if fs::read(self.root.join(file)).is_ok_and(|found| found == value) {
            return Ok(());
        }
        let staged = self.root.join(format!("{file}-{}", self.writer));
        write_private(&staged, &value)?;
        fs::rename(staged, self.root.join(file))
    }
}

/// The configuration in a mounted Secret: all files of one moment, or none while it holds none.
///
/// # Errors
/// When it cannot be read; the kubelet may be exchanging it.
pub fn read_mounted(directory: &Path) -> io::Result<Option<Configuration>> {
    kept::read(read_snapshot(directory)?)
}

/// The sequence in a mounted Secret, without reading the rest.
#[must_use]
pub fn mounted_sequence(directory: &Path) -> Option<u64> {
    fs::read_to_string(directory.join(kept::SEQUENCE)).ok()?.trim().parse().ok()
}

/// All files of a mounted Secret. The kubelet exchanges them by turning the link `..data`: it is followed
/// once, so that all are of the same moment.
///
/// # Errors
/// When one cannot be read; the kubelet may be exchanging them.
pub fn read_snapshot(directory: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let data = fs::canonicalize(directory.join("..data")).or_else(|_| fs::canonicalize(directory));
    let entries = match data.and_then(fs::read_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && entry.path().is_file() {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(files)
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, content)
}

/// Removes whatever it is; nothing there is fine.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn record(hash: &str) -> Proven {
        Proven { hash: hash.to_owned(), sequence: 1 }
    }

    #[test]
    fn a_mounted_secret_is_read_at_one_moment() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        assert_eq!(read_mounted(&root.join("missing")).expect("read"), None);
        assert_eq!(read_mounted(root).expect("read"), None);
        fs::create_dir(root.join("..1")).expect("made");
        fs::write(root.join("..1/sequence"), "7\n").expect("written");
        fs::write(root.join("..1/haproxy.cfg"), "x").expect("written");
        symlink("..1", root.join("..data")).expect("linked");
        for name in ["sequence", "haproxy.cfg"] {
            symlink(format!("..data/{name}"), root.join(name)).expect("linked");
        }
        let configuration = read_mounted(root).expect("read").expect("one");
        assert_eq!((configuration.sequence, configuration.files["haproxy.cfg"].as_str()), (7, "x"));
        assert_eq!(configuration.files.len(), 1);
        assert_eq!(mounted_sequence(root), Some(7));
    }

    #[test]
    fn what_is_the_same_is_linked_and_outlives_the_other() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::new(directory.path(), "serve");
        let of = |certificate: &str| -> BTreeMap<String, String> {
            [(MAIN_FILE, "main"), ("a.pem", "a"), ("b.pem", certificate)]
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .into()
        };
        let [one, two] = [of("b"), of("c")];
        files.stage(&Configuration { sequence: 1, files: one.clone() }, "p", None).expect("staged");
        files.accept_staged("one").expect("accepted");
        // One that says what is not there is written as well.
        let mut said = one.clone();
        said.insert("b.pem".to_owned(), "c".to_owned());
        fs::remove_file(files.directory("one").join("b.pem")).expect("removed");
        let like = Some(Like { hash: "one", files: &said });
        files.stage(&Configuration { sequence: 2, files: two.clone() }, "q", like).expect("staged");
        files.accept_staged("two").expect("accepted");
        fs::remove_dir_all(files.directory("one")).expect("removed");
        assert_eq!((files.contents("two"), files.text("two").as_str()), (Some(two), "q\nmain"));
    }

    #[test]
    fn only_what_a_record_names_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::new(directory.path(), "serve");
        for (hash, text) in [("a", "1"), ("b", "2"), ("c", "3")] {
            let main = [(MAIN_FILE.to_owned(), text.to_owned())].into();
            files.stage(&Configuration { sequence: 1, files: main }, "p", None).expect("staged");
            files.accept_staged(hash).expect("accepted");
        }
        files.switch_to(&record("a")).expect("switched");
        files.switch_to(&record("b")).expect("switched");
        files.set_record(Record::Proven, Some(&record("a"))).expect("written");
        files.remove_forgotten().expect("removed");
        assert_eq!(fs::read_to_string(files.current(MAIN_FILE)).expect("read"), "2");
        assert_eq!(files.contents("a"), Some([(MAIN_FILE.to_owned(), "1".to_owned())].into()));
        assert_eq!([files.is_current("b"), files.is_current("a"), files.contents("c").is_some()], [true, false, false]);
        assert_eq!([files.text("a"), files.text("b"), files.text("c")], ["p\n1", "p\n2", "\n"]);
        files.set_record(Record::Proven, None).expect("removed");
        files.set_record(Record::Proven, None).expect("removed twice");
        assert_eq!(files.record(Record::Proven), None);
        assert_eq!(files.record(Record::Attempted), Some(record("b")));
    }
}
