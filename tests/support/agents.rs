//! Agents of a whole fleet in one server: each says that it runs what it was given last. It speaks the agents'
//! protocol over mutual TLS, tells load balancers apart by the name that the operator asks for, and the replicas of
//! one by the address that it asks at.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, Query, State},
    routing::{get, put},
};
use fairway::agent::protocol::{AGENT_PORT, Configuration, MemberHealth, MemberState, Proven, Report};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

/// One agent: the load balancer's name, as in its certificate, and the address.
type Name = (String, IpAddr);

pub(crate) struct Agents {
    /// The replicas' addresses, the same for every load balancer; no other process of this machine has them, most
    /// likely.
    pub(crate) addresses: [IpAddr; 2],
    /// What they say of their HAProxy.
    pub(crate) haproxy_version: &'static str,
    keys: Arc<Keys>,
    known: Mutex<HashMap<Name, Report>>,
    asked: AtomicU64,
    pushed: AtomicU64,
}

#[derive(Debug, Default)]
struct Keys(Mutex<HashMap<String, Arc<CertifiedKey>>>);

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.lock().unwrap().get(hello.server_name()?).cloned()
    }
}

impl Agents {
    /// Nobody listens yet.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let address = || Ipv4Addr::new(127, 1 + high % 254, low, 200 + NEXT.fetch_add(1, Ordering::Relaxed)).into();
        Self {
            addresses: [address(), address()],
            haproxy_version: "2.6.12",
            keys: Arc::default(),
            known: Mutex::default(),
            asked: AtomicU64::new(0),
            pushed: AtomicU64::new(0),
        }
    }

    /// How often any of them was asked.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// How often any of them was given a configuration.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::Relaxed)
    }

    /// What an agent says that has proven a configuration: its members take traffic.
    fn report(&self, configuration: &Configuration) -> Report {
        let text = &configuration.files["haproxy.cfg"];
        let mut report = Report {
            agent_version: "0.1.0".to_owned(),
            haproxy_version: self.haproxy_version.to_owned(),
            proven: Some(Proven { hash: configuration.hash(), sequence: configuration.sequence }),
            ..Report::default()
        };
        let mut pool = String::new();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words.next()) {
                (Some("backend"), Some(name)) => name.clone_into(&mut pool),
                (Some("server"), Some(name)) => {
                    let state = MemberState::NoMonitor;
                    let member = MemberHealth { name: name.to_owned(), state, weight: 100, check: String::new() };
                    report.pools.entry(pool.clone()).or_default().push(member);
                }
                _ => {}
            }
        }
        report
    }

    /// Another load balancer's agents, who start with a configuration that is mounted. What the first of them trusts
    /// all trust; with it they begin to listen.
    pub(crate) fn add(self: &Arc<Self>, name: &str, identity: &HashMap<String, Vec<u8>>, mounted: &Configuration) {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&identity["tls.crt"]).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(&identity["tls.key"]).unwrap();
        let key = CertifiedKey::from_der(chain, key, &provider).unwrap();
        let first = self.keys.0.lock().unwrap().insert(name.to_owned(), Arc::new(key)).is_none() && self.alone();
        for address in self.addresses {
            self.known.lock().unwrap().insert((name.to_owned(), address), self.report(mounted));
        }
        if first {
            self.serve(&identity["ca.crt"]);
        }
    }

    fn alone(&self) -> bool {
        self.keys.0.lock().unwrap().len() == 1
    }

    fn serve(self: &Arc<Self>, authorities: &[u8]) {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(authorities).flatten());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_cert_resolver(self.keys.clone());
        config.send_tls13_tickets = 0;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let router = Router::new()
            .route("/v1/configuration", put(take))
            .route("/v1/report", get(tell))
            .layer(DefaultBodyLimit::max(1 << 21))
            .with_state(Arc::clone(self));
        for address in self.addresses {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let listener = TcpListener::bind((address, AGENT_PORT)).await.unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(converse(stream, acceptor.clone(), router.clone(), address));
                }
            });
        }
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, router: Router, address: IpAddr) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let Some(name) = stream.get_ref().1.server_name().map(ToOwned::to_owned) else { return };
    let router = router.layer(Extension((name, address)));
    let service = TowerToHyperService::new(router);
    // Clients hang up as they like.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn take(
    State(agents): State<Arc<Agents>>,
    Extension(name): Extension<Name>,
    Json(configuration): Json<Configuration>,
) -> Json<Report> {
    agents.pushed.fetch_add(1, Ordering::Relaxed);
    let report = agents.report(&configuration);
    agents.known.lock().unwrap().insert(name, report.clone());
    Json(report)
}

/// Nothing happens to a simulated HAProxy but what it is given: a wait is slept through.
async fn tell(
    State(agents): State<Arc<Agents>>,
    Extension(name): Extension<Name>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Report> {
    agents.asked.fetch_add(1, Ordering::Relaxed);
    let now = || agents.known.lock().unwrap()[&name].clone();
    if query.get("known").is_some_and(|known| now().tag() == *known) {
        sleep(Duration::from_secs(query["wait"].parse().unwrap())).await;
    }
    Json(now())
}
