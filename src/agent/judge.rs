//! Asks whether a configuration would run before anything runs it: `haproxy -c`, and a trial of every new
//! address. Starts processes and opens sockets; changes nothing.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{net::TcpSocket, process::Command, time::timeout};

use super::{
    files::{Files, Like, PROCESS_FILE},
    layout::{self, Layout},
    message,
    options::PodOptions,
    process::Process,
    protocol::{Configuration, MAIN_FILE, Proven},
    validation,
};

/// One part in so many of the memory may go to spare slots, in each of the workers.
const SPARES_SHARE: u64 = 32;

/// Why a configuration was not prepared.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It breaks the bounds of the protocol.
    #[error(transparent)]
    Invalid(#[from] validation::Invalid),
    /// HAProxy does not take it, in its words.
    #[error("{0}")]
    Refused(String),
    /// The pod could not even ask.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes configurations and has them checked, for `boot` and for `serve` alike.
#[derive(Clone, Debug)]
pub struct Judge {
    files: Files,
    haproxy: PathBuf,
    patience: Duration,
    cpu_millis: u32,
    memory_bytes: u64,
    health_port: u16,
    ipv6: bool,
}

impl Judge {
    /// A judge over what lies in `files`.
    #[must_use]
    pub fn new(files: Files, options: &PodOptions) -> Self {
        Self {
            files,
            haproxy: options.haproxy.clone(),
            patience: options.proof_timeout,
            cpu_millis: options.cpu_millis,
            memory_bytes: options.memory_bytes,
            health_port: options.health_port,
            ipv6: std::net::TcpListener::bind("[::]:0").is_ok(),
        }
    }

    /// Writes a configuration into its directory, if HAProxy takes it.
    ///
    /// # Errors
    /// Why it is not there now.
    pub async fn prepare(&self, configuration: &Configuration, named: &Proven) -> Result<(), Unfit> {
        let main_file = configuration.files.get(MAIN_FILE).map_or("", String::as_str);
        self.stage(configuration, &named.hash, layout::with_spares(main_file, self.most_spares()), None)?;
        self.check(&self.files.staging()).await?;
        Ok(self.files.accept_staged(&named.hash)?)
    }

    /// Writes a configuration, whose main file has this layout, into its directory, unchecked: it differs from
    /// one that was checked, and is like what lies here, by no more than [`super::change`] allows.
    ///
    /// # Errors
    /// Why it is not there now.
    pub fn adopt(
        &self,
        configuration: &Configuration,
        named: &Proven,
        layout: &Layout,
        like: Like<'_>,
    ) -> Result<(), Unfit> {
        let main_file = configuration.files.get(MAIN_FILE).map_or("", String::as_str);
        self.stage(
            configuration,
            &named.hash,
            layout::with_spares_of(main_file, layout, self.most_spares()),
            Some(like),
        )?;
        Ok(self.files.accept_staged(&named.hash)?)
    }

    /// A part of the memory is kept for spare slots.
    fn most_spares(&self) -> usize {
        usize::try_from(self.memory_bytes / SPARES_SHARE / layout::SPARE_BYTES).unwrap_or(usize::MAX)
    }

    /// Writes it with another main file, that has spare slots.
    fn stage(
        &self,
        configuration: &Configuration,
        hash: &str,
        main_file: String,
        like: Option<Like<'_>>,
    ) -> Result<(), Unfit> {
        validation::validate(configuration)?;
        let process = Process {
            hash,
            worker_socket: &self.files.worker_socket(),
            health: &self.files.health(),
            cpu_millis: self.cpu_millis,
            memory_bytes: self.memory_bytes,
            health_port: self.health_port,
            ipv6: self.ipv6,
        };
        let process = process.render(&main_file);
        let mut laid_out = configuration.clone();
        laid_out.files.insert(MAIN_FILE.to_owned(), main_file);
        Ok(self.files.stage(&laid_out, &process, like)?)
    }

    /// Has HAProxy check a configuration that lies in a directory.
    ///
    /// # Errors
    /// What it says.
    pub async fn check(&self, directory: &Path) -> Result<(), Unfit> {
        let mut command = Command::new(&self.haproxy);
        command.arg("-c").arg("-f").arg(directory.join(PROCESS_FILE)).arg("-f").arg(directory.join(MAIN_FILE));
        command.stdin(Stdio::null()).kill_on_drop(true);
        let Ok(output) = timeout(self.patience, command.output()).await else {
            return Err(Unfit::Refused("the check of the configuration took too long".to_owned()));
        };
        let output = output?;
        if output.status.success() {
            return Ok(());
        }
        let message = self.clean(&String::from_utf8_lossy(&output.stderr));
        Err(Unfit::Refused(if message.is_empty() { format!("haproxy -c ended: {}", output.status) } else { message }))
    }

    /// What HAProxy said, fit for a user's eyes.
    #[must_use]
    pub fn clean(&self, output: &str) -> String {
        // The longest first: the others are its parents.
        let directories = [self.files.staging(), self.files.current(""), self.files.directory("")];
        let directories = directories.map(|path| format!("{}/", path.display().to_string().trim_end_matches('/')));
        message::clean(output, &directories.each_ref().map(String::as_str))
    }

    /// The version that `haproxy -v` tells, such as `2.6.12`; none when it cannot be asked.
    pub async fn version(&self) -> Option<String> {
        let mut command = Command::new(&self.haproxy);
        command.arg("-v").stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(self.patience, command.output()).await.ok()?.ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        parse_version(&text).map(str::to_owned)
    }
}

/// `HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/` → `2.6.12`.
fn parse_version(output: &str) -> Option<&str> {
    let (_, rest) = output.split_once(" version ")?;
    let end = rest.find(|character: char| character != '.' && !character.is_ascii_digit())?;
    Some(&rest[..end]).filter(|version| !version.is_empty())
}

/// Binds every address as HAProxy would (shared with its own old workers, which run as the same user),
/// and lets go of it: without `listen` nobody's connections are taken.
///
/// # Errors
/// The first that cannot be had, in words.
pub fn try_addresses(addresses: &BTreeSet<SocketAddr>) -> Result<(), String> {
    addresses
        .iter()
        .try_for_each(|address| try_address(*address).map_err(|error| format!("cannot listen on {address}: {error}")))
}

fn try_address(address: SocketAddr) -> io::Result<()> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let debian = "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n";
        assert_eq!(parse_version(debian), Some("2.6.12"));
        assert_eq!(parse_version("HA-Proxy version 3.0.11 2025\n"), Some("3.0.11"));
        assert_eq!(parse_version("bash: no such file"), None);
    }

    #[tokio::test]
    async fn an_address_that_somebody_else_has_is_told() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = taken.local_addr().expect("an address");
        let message = try_addresses(&[address].into()).expect_err("it is taken");
        assert!(message.starts_with(&format!("cannot listen on {address}: ")), "{message}");
        drop(taken);
        try_addresses(&[address].into()).expect("it is free");
    }
}
