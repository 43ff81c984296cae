//! The operator's way to an agent: HTTPS with certificates of the operator's authority on both sides.
//! Touches the network. Connections are kept and used again, since a handshake costs more than all the
//! rest of a push that needs no work; but only so many, since each takes memory.

mod error;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Bytes, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::{
    agent::protocol::{AGENT_PORT, Configuration, Conflict, Report, tag},
    authority::{AuthorityError, AuthorityHandle, AuthoritySet, Identity},
};

pub use error::AgentError;

/// A pod that is there answers within milliseconds.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// An agent proves a configuration within its own bound (a minute) or says why not.
const PUSH_PATIENCE: Duration = Duration::from_secs(75);
const REPORT_PATIENCE: Duration = Duration::from_secs(5);
/// A node that is lost says nothing any more: after so long nothing is waited for from it, lest what the others have to
/// learn waits, too. What was sent and not taken counts, and what an idle connection asks this often.
const SILENCE: Duration = Duration::from_secs(5);
const ASKED: Duration = Duration::from_secs(5);
/// A kept connection that is older is not used again, so that both sides' certificates are looked at.
const CONNECTION_AGE: Duration = Duration::from_mins(10);
/// To how many agents connections are kept while nothing is asked on them.
const KEPT: usize = 1024;
/// A report of 40,000 members is some 4 MB.
const ANSWER_LIMIT: usize = 32 << 20;

/// Speaks to all agents; cheap to clone.
#[derive(Clone)]
pub struct AgentClient(Arc<Inner>);

struct Inner {
    authority: AuthorityHandle,
    port: u16,
    trust: Mutex<Option<Trust>>,
    kept: Mutex<HashMap<Target, Vec<Connection>>>,
}

/// The operator's side of the handshake, made of one set of authorities.
#[derive(Clone)]
struct Trust {
    set: Arc<AuthoritySet>,
    renewal_time: Timestamp,
    config: Arc<ClientConfig>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Target {
    address: IpAddr,
    agent_name: String,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    config: Arc<ClientConfig>,
    opened: Instant,
}

/// A report, and what tells it from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What the agent knows.
    pub report: Report,
    /// [`Report::tag`] as the agent itself makes it: it may know fields that this operator does not.
    pub tag: String,
}

struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl AgentClient {
    /// A client that speaks to the agents' usual port with certificates of this authority.
    #[must_use]
    pub fn new(authority: AuthorityHandle) -> Self {
        Self::with_port(authority, AGENT_PORT)
    }

    /// The same on another port, for tests.
    #[must_use]
    pub fn with_port(authority: AuthorityHandle, port: u16) -> Self {
        Self(Arc::new(Inner { authority, port, trust: Mutex::default(), kept: Mutex::default() }))
    }

    /// Has the agent take a configuration; `agent_name` is
    /// [`agent_name`](crate::agent::protocol::agent_name) of the load balancer. The report tells what was
    /// read back from the running worker.
    ///
    /// # Errors
    /// When the agent cannot be reached or does not take it.
    pub async fn push(
        &self,
        address: IpAddr,
        agent_name: &str,
        configuration: &Configuration,
    ) -> Result<Told, AgentError> {
        let body = serde_json::to_vec(configuration).unwrap_or_default();
        let target = Target { address, agent_name: agent_name.to_owned() };
        let answer = self.call(&target, Method::PUT, "/v1/configuration", body.into(), (PUSH_PATIENCE, true)).await?;
        match answer.status {
            StatusCode::OK => parse(address, &answer),
            StatusCode::UNPROCESSABLE_ENTITY => Err(AgentError::Refused(Box::new(parse(address, &answer)?))),
            StatusCode::CONFLICT => {
                let newest = serde_json::from_slice::<Conflict>(&answer.body);
                Err(newest.map_or_else(
                    |_| unexpected(address, &answer),
                    |conflict| AgentError::Stale { newest: conflict.newest },
                ))
            }
            StatusCode::SERVICE_UNAVAILABLE => Err(AgentError::NotRunning),
            _ => Err(unexpected(address, &answer)),
        }
    }

    /// What the agent knows now.
    ///
    /// # Errors
    /// When the agent cannot be reached.
    pub async fn report(&self, address: IpAddr, agent_name: &str) -> Result<Told, AgentError> {
        self.get_report(address, agent_name, "/v1/report", (REPORT_PATIENCE, true)).await
    }

    /// The same, for one that is not asked again soon: no connection is kept.
    ///
    /// # Errors
    /// When the agent cannot be reached.
    pub async fn report_and_hang_up(&self, address: IpAddr, agent_name: &str) -> Result<Told, AgentError> {
        self.get_report(address, agent_name, "/v1/report", (REPORT_PATIENCE, false)).await
    }

    /// Waits until what the agent knows differs from what has the tag `known`, at most for `wait` (up to a
    /// minute), and tells what it is then.
    ///
    /// # Errors
    /// When the agent cannot be reached.
    pub async fn next_report(
        &self,
        address: IpAddr,
        agent_name: &str,
        known: &str,
        wait: Duration,
    ) -> Result<Told, AgentError> {
        let path = format!("/v1/report?known={known}&wait={}", wait.as_secs());
        self.get_report(address, agent_name, &path, (wait + REPORT_PATIENCE, true)).await
    }

    async fn get_report(
        &self,
        address: IpAddr,
        agent_name: &str,
        path: &str,
        terms: (Duration, bool),
    ) -> Result<Told, AgentError> {
        let target = Target { address, agent_name: agent_name.to_owned() };
        let answer = self.call(&target, Method::GET, path, Bytes::new(), terms).await?;
        if answer.status == StatusCode::OK { parse(address, &answer) } else { Err(unexpected(address, &answer)) }
    }

    /// One request, on a kept connection when there is one. All requests may be sent twice, so one that
    /// dies with a kept connection goes again on a new one. `terms`: how long it may take, and whether the
    /// connection is kept.
    async fn call(
        &self,
        target: &Target,
        method: Method,
        path: &str,
        body: Bytes,
        (patience, keeps): (Duration, bool),
    ) -> Result<Answer, AgentError> {
        let unreachable = |cause: String| AgentError::Unreachable { address: target.address, cause };
        let trust = self.trust()?;
        let exchange = async {
            while let Some(mut connection) = self.take_kept(target, &trust) {
                if let Ok(answer) = connection.send(target, &method, path, body.clone()).await {
                    if keeps {
                        self.keep(target, connection);
                    }
                    return Ok(answer);
                }
            }
            let mut connection = self.connect(target, &trust).await?;
            let answer = connection.send(target, &method, path, body.clone()).await;
            // With TLS 1.3 a refused client certificate shows only at the first read.
            let answer = answer.map_err(|cause| refused_or_unreachable(target.address, &*cause))?;
            if keeps {
                self.keep(target, connection);
            }
            Ok(answer)
        };
        timeout(patience, exchange).await.unwrap_or_else(|_| Err(unreachable("it took too long".to_owned())))
    }

    async fn connect(&self, target: &Target, trust: &Trust) -> Result<Connection, AgentError> {
        let address = target.address;
        let unreachable = |cause: String| AgentError::Unreachable { address, cause };
        let untrusted = |cause: String| AgentError::Untrusted { address, cause };
        let name = ServerName::try_from(target.agent_name.clone()).map_err(|error| untrusted(error.to_string()))?;
        let handshake = async {
            let stream =
                TcpStream::connect((address, self.0.port)).await.map_err(|error| unreachable(error.to_string()))?;
            stream
                .set_nodelay(true)
                .and_then(|()| notice_silence(&stream))
                .map_err(|error| unreachable(error.to_string()))?;
            let stream = TlsConnector::from(trust.config.clone()).connect(name, stream).await;
            let stream = stream.map_err(|error| refused_or_unreachable(address, &error))?;
            hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| unreachable(error.to_string()))
        };
        let (sender, driver) = timeout(CONNECT_PATIENCE, handshake)
            .await
            .unwrap_or_else(|_| Err(unreachable("it took too long to connect".to_owned())))?;
        // The driver ends when its connection does; its errors show at the sender.
        tokio::spawn(driver);
        Ok(Connection { sender, config: trust.config.clone(), opened: Instant::now() })
    }

    fn take_kept(&self, target: &Target, trust: &Trust) -> Option<Connection> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = kept.get_mut(target)?;
        while let Some(connection) = connections.pop() {
            if connection.usable(trust) {
                return Some(connection);
            }
        }
        kept.remove(target);
        None
    }

    fn keep(&self, target: &Target, connection: Connection) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entry(target.clone()).or_default().push(connection);
        if kept.len() <= KEPT {
            return;
        }
        // Pods come and go: what they leave behind is forgotten as others are kept.
        kept.retain(|_, connections| {
            connections.retain(Connection::alive);
            !connections.is_empty()
        });
        let oldest = |(_, connections): &(&Target, &Vec<Connection>)| connections.iter().map(|one| one.opened).min();
        if kept.len() > KEPT
            && let Some(oldest) = kept.iter().min_by_key(oldest).map(|(target, _)| target.clone())
        {
            kept.remove(&oldest);
        }
    }

    /// The operator's identity, made anew when it or the set of authorities is no longer right.
    fn trust(&self) -> Result<Trust, AgentError> {
        let now = Timestamp::now();
        let set = self.0.authority.current();
        let mut trust = self.0.trust.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trust) = trust.as_ref().filter(|trust| trust.holds(&set, now)) {
            return Ok(trust.clone());
        }
        let identity = set.issue_operator(now)?;
        let config = Arc::new(client_config(&identity)?);
        let made = Trust { set, renewal_time: identity.renewal_time().unwrap_or(now), config };
        *trust = Some(made.clone());
        Ok(made)
    }
}

impl Trust {
    fn holds(&self, set: &Arc<AuthoritySet>, now: Timestamp) -> bool {
        Arc::ptr_eq(&self.set, set) && now < self.renewal_time
    }
}

impl Connection {
    fn alive(&self) -> bool {
        !self.sender.is_closed() && self.opened.elapsed() < CONNECTION_AGE
    }

    fn usable(&self, trust: &Trust) -> bool {
        self.alive() && self.sender.is_ready() && Arc::ptr_eq(&self.config, &trust.config)
    }

    async fn send(
        &mut self,
        target: &Target,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &target.agent_name)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_LIMIT).collect().await?.to_bytes();
        // The driver marks the connection as ready only a moment after the body's end.
        self.sender.ready().await.ok();
        Ok(Answer { status: head.status, body })
    }
}

/// Ends a connection whose other side is gone without a word.
fn notice_silence(stream: &TcpStream) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(ASKED).with_interval(ASKED))?;
    socket.set_tcp_user_timeout(Some(SILENCE))
}

fn client_config(identity: &Identity) -> Result<ClientConfig, AuthorityError> {
    let unreadable = AuthorityError::Unreadable("the operator's certificate cannot be used");
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(identity.bundle.as_bytes()).flatten());
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).flatten().collect();
    let Ok(key) = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()) else { return Err(unreadable) };
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| builder.with_root_certificates(roots).with_client_auth_cert(chain, key))
        .map_err(|_| unreadable)
}

/// Tells a handshake that failed for the certificates from a network that failed.
fn refused_or_unreachable(address: IpAddr, error: &(dyn std::error::Error + 'static)) -> AgentError {
    let mut source = Some(error);
    while let Some(cause) = source {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = cause.downcast_ref().or_else(|| inner?.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return AgentError::Untrusted { address, cause: tls.to_string() };
        }
        source = cause.source();
    }
    AgentError::Unreachable { address, cause: error.to_string() }
}

fn parse(address: IpAddr, answer: &Answer) -> Result<Told, AgentError> {
    let report = serde_json::from_slice(&answer.body).map_err(|_| unexpected(address, answer))?;
    Ok(Told { report, tag: tag(&answer.body) })
}

fn unexpected(address: IpAddr, answer: &Answer) -> AgentError {
    let message = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
    AgentError::Unexpected { address, status: answer.status.as_u16(), message }
}
