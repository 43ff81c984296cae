//! A client that costs little, so that it is not what is measured: plain HTTP/1.1 by hand. Before it uses a kept
//! connection again it looks whether that is still open, as browsers and libraries do; it never asks twice.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than the head and body of any answer.
const BUFFER: usize = 4_096;

pub(crate) struct Client {
    address: SocketAddr,
    request: String,
    keeps: bool,
    kept: Option<TcpStream>,
}

impl Client {
    /// A client of an address that keeps its connection, or closes it after each answer.
    pub(crate) fn new(address: SocketAddr, keeps: bool) -> Self {
        let connection = if keeps { "" } else { "connection: close\r\n" };
        let request = format!("GET / HTTP/1.1\r\nhost: web\r\n{connection}\r\n");
        Self { address, request, keeps, kept: None }
    }

    /// Asks once; why there is no answer.
    pub(crate) async fn ask(&mut self) -> io::Result<()> {
        timeout(PATIENCE, self.exchange()).await?
    }

    async fn exchange(&mut self) -> io::Result<()> {
        let mut stream = match self.kept.take() {
            Some(stream) if is_open(&stream) => stream,
            _ => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(self.request.as_bytes()).await?;
        let mut bytes = [0; BUFFER];
        let mut length = 0;
        loop {
            let read = stream.read(&mut bytes[length..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            length += read;
            if let Some(closes) = whole(&bytes[..length])? {
                if self.keeps && !closes {
                    self.kept = Some(stream);
                }
                return Ok(());
            }
        }
    }
}

/// Nothing to read and no end.
fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether an answer that is whole closes its connection; none while it is not whole.
fn whole(answer: &[u8]) -> io::Result<Option<bool>> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end]).map_err(io::Error::other)?;
    let mut lines = head.split("\r\n");
    if lines.next().is_none_or(|line| !line.starts_with("HTTP/1.1 200 ")) {
        return Err(io::Error::other(head.to_owned()));
    }
    let (mut expected, mut closes) = (None, false);
    for line in lines {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            expected = value.parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    let expected = expected.ok_or_else(|| io::Error::other(format!("no length: {head}")))?;
    Ok((answer.len() == end + 4 + expected).then_some(closes))
}
