//! Clients and servers of the load balancer: plain HTTP/1.1 by hand, so that each lost byte shows.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// One request on its own connection; the answer's body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut client = KeepAlive::new(address, true);
    client.get(path).await
}

/// A client that keeps its connection, and looks whether it is still open before each request.
pub(crate) struct KeepAlive {
    address: SocketAddr,
    close: bool,
    stream: Option<TcpStream>,
}

impl KeepAlive {
    pub(crate) fn new(address: SocketAddr, close: bool) -> Self {
        Self { address, close, stream: None }
    }

    pub(crate) async fn get(&mut self, path: &str) -> io::Result<String> {
        timeout(PATIENCE, self.exchange(path)).await?
    }

    async fn exchange(&mut self, path: &str) -> io::Result<String> {
        let mut stream = match self.stream.take() {
            Some(stream) if is_open(&stream) => stream,
            _ => TcpStream::connect(self.address).await?,
        };
        stream.set_nodelay(true)?;
        let connection = if self.close { "close" } else { "keep-alive" };
        let request = format!("GET {path} HTTP/1.1\r\nhost: web\r\nconnection: {connection}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let (head, body) = read_answer(&mut stream).await?;
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(io::Error::other(head.lines().next().unwrap_or_default().to_owned()));
        }
        if !self.close && !head.to_ascii_lowercase().contains("connection: close") {
            self.stream = Some(stream);
        }
        Ok(body)
    }
}

/// Nothing to read and no end.
fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

async fn read_answer(stream: &mut TcpStream) -> io::Result<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let length = length.ok_or_else(|| io::Error::other(format!("no length: {head}")))?;
            if bytes.len() >= end + 4 + length {
                return Ok((head, String::from_utf8_lossy(&bytes[end + 4..]).into_owned()));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A server that answers every request with its text; `/slow` only after a while, `/bad` with 503.
pub(crate) async fn server(text: &'static str, slow: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                    if !bytes.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    if bytes.starts_with(b"GET /slow ") {
                        tokio::time::sleep(slow).await;
                    }
                    let status = if bytes.starts_with(b"GET /bad ") { "503 Bad" } else { "200 OK" };
                    bytes.clear();
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
