//! A program of a test: a process of its own, on the loopback, that goes with its test.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// No condition of these tests takes longer on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);
/// Debian's `nobody` and `nogroup`: PostgreSQL does not run as root.
const NOBODY: u32 = 65_534;

/// All files of one test.
pub(crate) struct Directory(TempDir);

impl Directory {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        Self(directory)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path as text, as configurations want it.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).expect("a file");
        self.text(name)
    }

    pub(crate) fn folder(&self, name: &str) -> String {
        fs::create_dir_all(self.path(name)).expect("a folder");
        self.text(name)
    }

    /// Empty when there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("this process").uid() == 0
}

/// Gives a file to those who run programs that root must not run.
pub(crate) fn hand_over(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("a file of nobody's");
    }
}

/// A command that ends with its test.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    wrapped(program.as_ref(), false)
}

/// The same, not as root.
pub(crate) fn unprivileged(program: impl AsRef<Path>) -> Command {
    wrapped(program.as_ref(), is_root())
}

fn wrapped(program: &Path, drop: bool) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if drop {
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.arg("--").arg(program).env_clear().env("PATH", path).env("LC_ALL", "C.UTF-8");
    command
}

/// A port below those that the kernel gives to clients, so that none of them takes it meanwhile.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 600).expect("a small number") * 20;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Ended when it is dropped. What it says goes into the file `NAME.log`.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(mut command: Command, directory: &Directory, name: &str) -> Self {
        let log = directory.path(&format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a log");
        command.current_dir(directory.path("")).stdin(Stdio::null());
        command.stdout(file.try_clone().expect("a log")).stderr(file);
        Self { child: command.spawn().expect("a process"), log }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until something answers there.
    pub(crate) async fn listens(&mut self, port: u16) {
        let until = Instant::now() + DEADLINE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = self.child.try_wait().expect("a process");
            assert!(ended.is_none() && Instant::now() < until, "{ended:?} {}:\n{}", self.log.display(), self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until it ends by itself, and tells its exit code.
    pub(crate) async fn ends(&mut self) -> i32 {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a process") {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < until, "it still runs:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks it to end, and tells its exit code.
    pub(crate) async fn terminate(&mut self) -> i32 {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).expect("a process");
        self.ends().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let until = Instant::now() + DEADLINE;
        // All of them take this for: end your work now, but end it well.
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).ok();
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
