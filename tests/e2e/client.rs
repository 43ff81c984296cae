//! One client: it asks over HTTP, HTTPS or TCP, and before it uses a kept connection again it looks whether
//! that is still open, as browsers and libraries do. Touches the network.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::traffic::{Connections, Speech, Target};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ports that clients connect from: none that the kernel gives to others, nor those of Services on nodes.
const PORTS: Range<u16> = 10_000..30_000;
static NEXT_PORT: AtomicU64 = AtomicU64::new(0);

/// For messages that nobody else sends.
static MESSAGES: AtomicU64 = AtomicU64::new(0);

/// An answer that was as it should be.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The name of the member, or what was echoed.
    pub(crate) body: String,
    /// The fingerprint of the server's certificate.
    pub(crate) certificate: Option<String>,
}

/// Any connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    certificate: Option<String>,
}

/// A client of one address.
pub(crate) struct Client {
    target: Target,
    connections: Connections,
    kept: Option<Connection>,
}

impl Client {
    pub(crate) fn new(target: Target, connections: Connections) -> Self {
        Self { target, connections, kept: None }
    }

    /// How long it waits between two requests.
    pub(crate) fn pace(&self) -> Duration {
        self.connections.pace()
    }

    /// Asks once; the answer, or why there is none.
    pub(crate) async fn ask(&mut self) -> Result<Answer, String> {
        match timeout(PATIENCE, self.converse()).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        }
    }

    async fn converse(&mut self) -> Result<Answer, String> {
        let (path, expected) = match self.target.speech {
            Speech::Tcp => {
                let message = format!("message-{}", MESSAGES.fetch_add(1, Ordering::Relaxed));
                (format!("/echo?msg={message}"), Some(message))
            }
            _ => ("/hostname".to_owned(), None),
        };
        let (mut connection, response) = self.send(&path).await?;
        let (status, closes) = (response.status(), response.headers().get(header::CONNECTION).cloned());
        let body = response.into_body().collect().await.map_err(|error| format!("the answer broke off: {error}"))?;
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        if !status.is_success() {
            return Err(format!("{status} {}", body.lines().last().unwrap_or_default()));
        }
        let certificate = connection.certificate.clone();
        let closes = closes.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        if self.connections != Connections::Closed && !closes && connection.sender.ready().await.is_ok() {
            self.kept = Some(connection);
        }
        match expected {
            Some(expected) if expected != body => Err(format!("{expected:?} came back as {body:?}")),
            Some(_) => Ok(Answer { body: "echo".to_owned(), certificate }),
            None => Ok(Answer { body, certificate }),
        }
    }

    /// Sends over the kept connection if that is open, else over a new one.
    async fn send(&mut self, path: &str) -> Result<(Connection, Response<Incoming>), String> {
        if let Some(mut connection) = self.kept.take().filter(|kept| kept.sender.is_ready() && !kept.sender.is_closed())
        {
            match connection.sender.try_send_request(self.request(path)).await {
                Ok(response) => return Ok((connection, response)),
                // Closed before anything was sent: that is what a client has to reckon with.
                Err(error) if error.message().is_some() => {}
                Err(error) => return Err(format!("no answer on a kept connection: {}", chain(error.error()))),
            }
        }
        let mut connection = self.connect().await?;
        let response = connection.sender.send_request(self.request(path)).await;
        response.map(|response| (connection, response)).map_err(|error| format!("no answer: {}", chain(&error)))
    }

    fn request(&self, path: &str) -> Request<Empty<Bytes>> {
        let host = match &self.target.speech {
            Speech::Https(name, _) => name.clone(),
            _ => self.target.address.to_string(),
        };
        let mut request = Request::get(path).header(header::HOST, host);
        if self.connections == Connections::Closed {
            request = request.header(header::CONNECTION, "close");
        }
        request.body(Empty::new()).unwrap()
    }

    async fn connect(&self) -> Result<Connection, String> {
        let stream = connect(self.target.address).await.map_err(|error| format!("no connection: {error}"))?;
        let _ = stream.set_nodelay(true);
        let (stream, certificate): (Box<dyn Stream>, _) = match &self.target.speech {
            Speech::Http | Speech::Tcp => (Box::new(stream), None),
            Speech::Https(name, config) => {
                let name = ServerName::try_from(name.clone()).unwrap();
                let connected = TlsConnector::from(config.clone()).connect(name, stream).await;
                let stream = connected.map_err(|error| format!("no TLS: {error}"))?;
                let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|leaf| fingerprint(leaf));
                (Box::new(stream), leaf)
            }
        };
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| format!("no HTTP: {}", chain(&error)))?;
        tokio::spawn(connection);
        Ok(Connection { sender, certificate })
    }
}

/// Connects from a port that was not used for long. The kernel takes any that is free, and for two minutes a node sends a
/// connection from a port that it remembers to where the one before it went, be that pod alive or not: of some thousand
/// connections through a Service after a loss, a few would meet that.
async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    loop {
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        let turn = NEXT_PORT.fetch_add(1, Ordering::Relaxed) % u64::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(turn).unwrap();
        let from = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        match socket.bind(SocketAddr::new(from, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
            bound => bound?,
        }
        match socket.connect(to).await {
            // This machine still has an older connection from there to there: nobody was asked yet.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
            connected => return connected,
        }
    }
}

/// The fingerprint of a certificate, from its DER.
pub(crate) fn fingerprint(certificate: &[u8]) -> String {
    format!("{:x}", Sha256::digest(certificate))[..16].to_owned()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
