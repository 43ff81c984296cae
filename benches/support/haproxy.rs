//! An HAProxy that no agent runs: as the members behind a load balancer, and as one that was written by hand.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

const START: Duration = Duration::from_secs(10);

pub(crate) struct Haproxy {
    process: Child,
    directory: TempDir,
}

impl Haproxy {
    /// One that runs this configuration, once it answers at an address.
    pub(crate) fn start(configuration: &str, address: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, configuration).unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let haproxy = Self { process: command.spawn().unwrap(), directory };
        let deadline = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "HAProxy does not answer");
            sleep(Duration::from_millis(10));
        }
        haproxy
    }

    /// Members that answer every request themselves, at these addresses.
    pub(crate) fn members(addresses: &[SocketAddr]) -> Self {
        let binds: Vec<String> = addresses.iter().map(|address| format!("    bind {address}\n")).collect();
        let binds = binds.concat();
        let configuration = format!(
            "global\n    nbthread 1\ndefaults\n    mode http\n    timeout client 1m\n    timeout connect 1s\n    \
             timeout server 1m\nfrontend members\n{binds}    \
             http-request return status 200 content-type text/plain string hello\n"
        );
        Self::start(&configuration, addresses[0])
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.directory.path().join("log")).unwrap_or_default());
        }
    }
}

/// So many addresses of this machine that nobody has.
pub(crate) fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap()).collect()
}
