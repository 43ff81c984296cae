//! What the clients of servers outside have in common: where a server is, how it is known to be the right
//! one, and a stream to it. Touches the network, and the system's certificates where a server says so.

mod trust;

use std::{
    error::Error,
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub use trust::Authorities;

/// A server in the cluster answers within milliseconds, one in another region within half a second; three
/// lost SYNs are 7 s. A name that is not resolved until then fails as well.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Where a server is, and how it is known to be the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A DNS name, or an address.
    pub host: String,
    /// TCP.
    pub port: u16,
    /// How the connection is kept from others.
    pub encryption: Encryption,
}

/// The terms are those of `PostgreSQL`'s `sslmode`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// No TLS.
    Disable,
    /// TLS, whoever the server is: against those who only listen.
    Require,
    /// TLS, and the certificate is of these authorities, whatever its name.
    VerifyCa(Authorities),
    /// TLS, and the certificate is of these authorities and for the server's host.
    VerifyFull(Authorities),
    /// TLS, and the certificate is of these authorities and for this name, whatever address the server is reached at.
    VerifyName(Authorities, String),
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// No name, nobody listens, or not in time; in words.
    Unreachable(String),
    /// The certificate is not accepted, or the authorities can't be used; in words.
    Tls(String),
}

/// A connection, encrypted or not.
pub(super) enum Stream {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl Server {
    /// A TCP connection, before any TLS.
    pub(super) async fn dial(&self) -> Result<TcpStream, ConnectError> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let stream = timeout(CONNECT_PATIENCE, connecting).await.map_err(|_| {
            ConnectError::Unreachable(format!("no answer to the connection within {} s", CONNECT_PATIENCE.as_secs()))
        })?;
        let stream = stream.map_err(|error| ConnectError::Unreachable(error.to_string()))?;
        // Questions are small, and each waits for its answer.
        stream.set_nodelay(true).map_err(|error| ConnectError::Unreachable(error.to_string()))?;
        Ok(stream)
    }

    /// What makes TLS of a stream; none where there shall be none.
    pub(super) fn tls(&self) -> Result<Option<ClientConfig>, ConnectError> {
        trust::client_config(&self.encryption).map_err(ConnectError::Tls)
    }

    /// A connection, with TLS from its first byte where there shall be any.
    pub(super) async fn connect(&self) -> Result<Stream, ConnectError> {
        let Some(config) = self.tls()? else { return Ok(Stream::Plain(self.dial().await?)) };
        let name = match &self.encryption {
            Encryption::VerifyName(_, name) => name,
            _ => &self.host,
        };
        let name = ServerName::try_from(name.clone())
            .map_err(|_| ConnectError::Tls(format!("{name:?} can't be the name of a certificate")))?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, self.dial().await?);
        let handshake = timeout(CONNECT_PATIENCE, connecting).await.map_err(|_| {
            ConnectError::Tls(format!("no end of the handshake within {} s", CONNECT_PATIENCE.as_secs()))
        })?;
        match handshake {
            Ok(stream) => Ok(Stream::Encrypted(Box::new(stream))),
            // A server that speaks no TLS closes, or answers something else.
            Err(error) => Err(ConnectError::Tls(tls_cause(&error).unwrap_or_else(|| error.to_string()))),
        }
    }
}

/// What rustls says, when that is what an error comes from.
pub(super) fn tls_cause(error: &(dyn Error + 'static)) -> Option<String> {
    let mut source = Some(error);
    while let Some(cause) = source {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(tls) = cause.downcast_ref().or_else(|| inner?.downcast_ref::<rustls::Error>()) {
            return Some(trust::words(tls));
        }
        source = cause.source();
    }
    None
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
