//! What HAProxy does with what is rendered: rules in their order, limits, the log. A pool without members
//! answers 503, which tells that a rule has chosen it.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rstest::rstest;
use serde_json::Value;

use crate::fixtures::{load_balancer, planned, secret_configuration, world};

/// A running HAProxy; it ends with the test.
struct Haproxy {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Haproxy {
    /// Runs what a spec becomes; `PORT` in it is a free port.
    fn start(spec: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let plan = planned(&load_balancer(&spec.replace("PORT", &port.to_string())), &world());
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in secret_configuration(&plan).unwrap().files {
            // One machine may run several of these tests at a time; pods have a network each.
            let content = content.replace("abns@fairway-peers", &format!("abns@fairway-peers-{port}"));
            fs::write(folder.path().join(name), content).unwrap();
        }
        let process = Command::new("haproxy")
            .args(["-f", "haproxy.cfg"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let haproxy = Self { process, port, _folder: folder };
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

    /// Ends it; what it has logged.
    fn end(mut self) -> String {
        self.process.kill().unwrap();
        let mut text = String::new();
        self.process.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
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
