//! What HAProxy does with what is rendered: rules in their order, limits, the log. A pool without members
//! answers 503, which tells that a rule has chosen it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rstest::rstest;
use serde_json::Value;

use crate::fixtures::{load_balancer, planned, secret_configuration, world};

/// A running HAProxy; it ends with the test.
pub(crate) struct Haproxy {
    process: Child,
    port: u16,
    /// The ports of all listeners.
    pub(crate) ports: Vec<u16>,
    _folder: tempfile::TempDir,
}

impl Haproxy {
    /// Runs what a spec becomes; each `PORT` in it is a free port.
    pub(crate) fn start(spec: &str) -> Self {
        let free: Vec<_> = spec.matches("PORT").map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = free.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(free);
        let port = ports[0];
        let spec = ports.iter().fold(spec.to_owned(), |spec, port| spec.replacen("PORT", &port.to_string(), 1));
        let plan = planned(&load_balancer(&spec), &world());
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in secret_configuration(&plan).unwrap().files {
            // One machine may run several of these tests at a time; pods have a network each.
            let content = content.replace("abns@fairway-peers", &format!("abns@fairway-peers-{port}"));
            fs::write(folder.path().join(name), content).unwrap();
        }
        let process = Command::new("haproxy")
            .args(["-W", "-f", "haproxy.cfg"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let haproxy = Self { process, port, ports, _folder: folder };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "HAProxy does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        haproxy
    }

    /// The head of the answer.
    fn get(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: shop.example:80\r\nConnection: close\r\n{headers}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split("\r\n\r\n").next().unwrap().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), signal).unwrap();
    }

    /// Waits for its first line of the log and ends it; what it has logged.
    fn end(mut self) -> String {
        let output = BufReader::new(self.process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        // Ends with HAProxy, which closes the pipe.
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut text = String::new();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if line.starts_with('{') {
                        self.signal(Signal::SIGTERM);
                    }
                    text += &(line + "\n");
                }
                Err(RecvTimeoutError::Disconnected) => return text,
                Err(RecvTimeoutError::Timeout) => panic!("HAProxy logs nothing, or does not end: {text}"),
            }
        }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // The master ends its worker.
        self.signal(Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

const RULES: &str = "
listeners:
  - name: web
    protocol: HTTP
    port: PORT
    redirectToHttps: { port: 8443, statusCode: 308 }
    rules:
      - { name: first, matches: [{ type: Path, operator: StartsWith, value: /a }], pool: app }
      - { name: second, matches: [{ type: Path, operator: StartsWith, value: /ab }], reject: { statusCode: 410 } }
      - { name: both, matches: [{ type: Path, value: /c }, { type: Header, key: X-A, value: 'a, b', invert: true }], reject: {} }
      - { name: cookie, matches: [{ type: Cookie, key: beta, operator: Regex, value: '^(on|yes)$' }], redirect: { url: 'https://beta.example/100%' } }
      - { name: kept, matches: [{ type: Path, operator: StartsWith, value: /d }], redirect: { prefix: /new, statusCode: 301 } }
      - { name: type, matches: [{ type: FileType, value: jpg }], reject: { statusCode: 404 } }
      - { name: host, matches: [{ type: Host, value: SHOP.example }, { type: Path, operator: Contains, value: -i }], reject: { statusCode: 405 } }
pools: [{ name: app }]
";

#[rstest]
#[case::a_pool_decides_before_a_later_rejection("/abc", "", "503", "")]
#[case::all_must_hold("/c", "", "403", "")]
#[case::inverted("/c", "X-A: a, b\r\n", "308", "location: https://shop.example:8443/c")]
#[case::to_a_place("/x", "Cookie: a=b; beta=on\r\n", "302", "location: https://beta.example/100%")]
#[case::path_and_query_are_kept("/d?e=f", "", "301", "location: /new/d?e=f")]
#[case::file_type("/x/y.JPG?a=b", "", "404", "")]
#[case::not_the_file_type("/x/jpg", "", "308", "location: https://shop.example:8443/x/jpg")]
#[case::host_without_port_in_any_case("/x-i", "", "405", "")]
#[case::what_no_rule_decides("/?x=y", "", "308", "location: https://shop.example:8443/?x=y")]
fn rules_count_in_their_order(#[case] path: &str, #[case] headers: &str, #[case] status: &str, #[case] words: &str) {
    let haproxy = Haproxy::start(RULES);
    let head = haproxy.get(path, headers);
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    assert!(head.contains(words), "{head}");
}

#[test]
fn whoever_asks_too_much_is_told() {
    let haproxy = Haproxy::start(
        "
listeners: [{ name: web, protocol: HTTP, port: PORT, pool: app, rateLimit: { requests: 3, periodSeconds: 3600 } }]
pools: [{ name: app }]
",
    );
    let statuses: Vec<String> = (0..5).map(|_| haproxy.get("/", "")[9..12].to_owned()).collect();
    assert_eq!(statuses, ["503", "503", "503", "429", "429"]);
}

#[test]
fn a_reload_forgets_nobody() {
    let haproxy = Haproxy::start(
        "
listeners: [{ name: web, protocol: HTTP, port: PORT, pool: app, rateLimit: { requests: 3, periodSeconds: 3600 } }]
pools: [{ name: app }]
",
    );
    // For its first five seconds a worker waits for one before it, and does not pass on what it knows.
    std::thread::sleep(Duration::from_secs(6));
    while !haproxy.get("/", "").contains(" 429 ") {}
    haproxy.signal(Signal::SIGUSR2);
    // Whoever asks while the worker before tells the new one may be let through; no more than that.
    std::thread::sleep(Duration::from_millis(500));
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let head = haproxy.get("/", "");
        assert!(head.contains(" 429 "), "{head}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a client says first when it asks for a name.
fn hello(name: &str) -> Vec<u8> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let mut client = rustls::ClientConnection::new(config.into(), name.to_owned().try_into().unwrap()).unwrap();
    let mut bytes = vec![];
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[rstest]
#[case::by_its_name(hello("Shop.example"), true)]
#[case::by_the_end_of_its_name(hello("a.Wild.example"), true)]
#[case::refused_by_name(hello("closed.example"), false)]
#[case::for_nobody(hello("other.example"), false)]
#[case::not_tls(b"GET / HTTP/1.1\r\n\r\n".to_vec(), false)]
fn tls_is_passed_on_by_name(#[case] first: Vec<u8>, #[case] arrives: bool) {
    let member = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = member.local_addr().unwrap();
    let haproxy = Haproxy::start(&format!(
        "
listeners:
  - name: web
    protocol: TLS
    port: PORT
    rules:
      - {{ name: closed, matches: [{{ type: Host, value: closed.example }}], reject: {{}} }}
      - {{ name: shop, matches: [{{ type: Host, value: shop.example }}], pool: app }}
      - {{ name: wild, matches: [{{ type: Host, operator: EndsWith, value: .wild.example }}], pool: app }}
pools: [{{ name: app, members: [{{ address: 127.0.0.1, port: {} }}] }}]
",
        address.port()
    ));
    let mut stream = TcpStream::connect(("127.0.0.1", haproxy.port)).unwrap();
    stream.write_all(&first).unwrap();
    if arrives {
        let (mut arrived, _) = member.accept().unwrap();
        let mut bytes = vec![0; first.len()];
        arrived.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, first, "as it was sent");
    } else {
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "it is closed");
        member.set_nonblocking(true).unwrap();
        assert!(member.accept().is_err(), "nobody is asked");
    }
}

#[test]
fn the_log_can_be_parsed_whatever_a_client_says() {
    let haproxy = Haproxy::start(
        "
listeners: [{ name: web, protocol: HTTP, port: PORT, pool: app, accessLog: true }]
pools: [{ name: app }]
",
    );
    haproxy.get("/a\"b\\c?d=e", "User-Agent: \"x\\y\"\tz\r\n");
    let log = haproxy.end();
    let lines: Vec<Value> = log
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert_eq!(lines[0]["path"], "/a\"b\\c?d=e");
    assert_eq!(lines[0]["status"], 503);
    assert_eq!((&lines[0]["listener"], &lines[0]["pool"]), (&"web".into(), &"app.http".into()));
}
