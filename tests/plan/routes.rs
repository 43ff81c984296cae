//! Rules by host and path, which become tables: whatever the rules, HAProxy chooses what the first that matches says.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::LazyLock,
};

use fairway::clients::haproxy::patterns;
use proptest::prelude::*;

use crate::fixtures::{judged, load_balancer, planned, secret_configuration, world};
use crate::traffic::Haproxy;

/// A match: what is looked at, how, with what, inverted or not.
type Match = (&'static str, &'static str, &'static str, bool);
/// Matches, and the pool; a rejection with a status of its own when none.
type Rule = (Vec<Match>, Option<u8>);

const POOLS: [&str; 3] = ["p0", "p1", "p2"];
const REJECTED: u8 = 3;

const HOSTS: [&str; 12] = ["x", "a.x", "b.a.x", ".x", ".a.x", "A.X", "Aa.x", "a|x", "a x", "ü.x", "*.x", "a.x:80"];
const PATHS: [&str; 16] =
    ["/", "/a", "/a/", "/a/b", "/ab", "/A", "a", "/a?", "/a b", "/a#", "/ü", "/%", "/a|", "/b", "/a/b/c", "/a;b"];
/// Whether this HAProxy itself refuses what is no host, as 3 does.
static STRICT: LazyLock<bool> = LazyLock::new(|| {
    let told = Command::new("haproxy").arg("-v").output().unwrap().stdout;
    String::from_utf8(told).unwrap().starts_with("HAProxy version 3.")
});

/// As they are sent.
const ASKED_HOSTS: [&str; 15] = [
    "", "x", "X:80", "a.x", "A.x:8080", "b.a.x", "c.b.a.x", "aa.x", "xx", "a|x", "y,a.x", "*.x", ".x", "a.x|/a",
    "\u{fc}.x",
];
const ASKED_PATHS: [&str; 18] = [
    "/", "/?a", "/a", "/a?b=/c", "/a/", "/a/b", "/a/b/c?d", "/ab", "/abc", "/A", "/b", "/b/", "/a|", "/a;b", "/%61",
    "/%", "/a?", "/|/a",
];

fn holds((kind, operator, value, invert): &Match, host: &str, path: &str) -> bool {
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase();
    let path = path.split('?').next().unwrap();
    let (text, value) =
        if *kind == "Host" { (&*host, value.to_ascii_lowercase()) } else { (path, (*value).to_owned()) };
    let holds = match *operator {
        "Equals" => text == value,
        "StartsWith" => text.starts_with(&value),
        "EndsWith" => text.ends_with(&value),
        _ => text.contains(&value),
    };
    holds != *invert
}

/// What the first rule that matches says: a pool, or a status.
fn expected(rules: &[Rule], host: &str, path: &str) -> String {
    let first = rules.iter().find(|(matches, _)| matches.iter().all(|matched| holds(matched, host, path)));
    match first {
        None => "default".to_owned(),
        Some((_, Some(pool))) => POOLS[usize::from(*pool)].to_owned(),
        Some((_, None)) => "410".to_owned(),
    }
}

fn rules_text(rules: &[Rule]) -> String {
    let mut text = String::new();
    for (number, (matches, pool)) in rules.iter().enumerate() {
        write!(text, "\n      - {{ name: r{number}, matches: [").unwrap();
        for (kind, operator, value, invert) in matches {
            write!(text, "{{ type: {kind}, operator: {operator}, invert: {invert}, value: {value:?} }}, ").unwrap();
        }
        match pool {
            Some(pool) => write!(text, "], pool: {} }}", POOLS[usize::from(*pool)]).unwrap(),
            None => write!(text, "], reject: {{ statusCode: 410 }} }}").unwrap(),
        }
    }
    text
}

/// Mostly what a table can hold.
fn a_rule() -> impl Strategy<Value = Rule> {
    let operator = |mapped: &'static str| prop_oneof![6 => Just("Equals"), 6 => Just(mapped), 1 => Just("StartsWith"), 1 => Just("EndsWith"), 1 => Just("Contains")];
    let inverted = || prop::bool::weighted(0.04);
    // Mostly of the first few, so that many rules are about the same.
    let of = |all: &'static [&'static str]| prop_oneof![5 => prop::sample::select(&all[..5]), 2 => prop::sample::select(all)];
    let host = (Just("Host"), operator("EndsWith"), of(&HOSTS), inverted());
    let path = (Just("Path"), operator("StartsWith"), of(&PATHS), inverted());
    let matches = prop_oneof![
        4 => host.clone().prop_map(|host| vec![host]),
        4 => path.clone().prop_map(|path| vec![path]),
        6 => (host.clone(), path.clone()).prop_map(|(host, path)| vec![host, path]),
        1 => (path.clone(), host.clone()).prop_map(|(path, host)| vec![path, host]),
        1 => (path.clone(), path).prop_map(|(one, other)| vec![one, other]),
        1 => (host.clone(), host).prop_map(|(one, other)| vec![one, other]),
    ];
    let pool = prop_oneof![12 => (0..REJECTED).prop_map(Some), 1 => Just(None)];
    (matches, pool)
}

/// A member that answers every request with its name.
fn member(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let length = name.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}");
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    port
}

/// Who answers: a member by its name, HAProxy by the status.
fn answer(port: u16, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200 ") { body.to_owned() } else { head[9..12].to_owned() }
}

fn pools() -> String {
    let pools = ["default"].into_iter().chain(POOLS).map(|name| {
        let port = member(name);
        format!("\n  - {{ name: {name}, members: [{{ address: 127.0.0.1, port: {port} }}] }}")
    });
    pools.collect()
}

proptest! {
    // Each case is a HAProxy with many listeners, and thousands of requests.
    #![proptest_config(ProptestConfig { cases: 5, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_first_rule_that_matches_decides(lists in prop::collection::vec(prop::collection::vec(a_rule(), 0..9), 16..32)) {
        let mut spec = "listeners:".to_owned();
        for (number, rules) in lists.iter().enumerate() {
            let text = rules_text(rules);
            let rules = if text.is_empty() { " []" } else { &text };
            write!(spec, "\n  - name: l{number}\n    protocol: HTTP\n    port: PORT\n    pool: default\n    rules:{rules}").unwrap();
        }
        let haproxy = Haproxy::start(&format!("{spec}\npools:{}", pools()));
        for (rules, port) in lists.iter().zip(&haproxy.ports) {
            for host in ASKED_HOSTS {
                for path in ASKED_PATHS {
                    let (found, expected) = (answer(*port, host, path), expected(rules, host, path));
                    if found == "400" && *STRICT && host.contains(|c: char| !c.is_ascii() || ",/".contains(c)) {
                        continue;
                    }
                    prop_assert_eq!(found, expected, "{} {} of {}", host, path, rules_text(rules));
                }
            }
        }
    }
}

fn files(rules: &str) -> BTreeMap<String, String> {
    let spec = format!(
        "listeners: [{{ name: web, protocol: HTTP, port: 80, pool: a, rules: [{rules}] }}]
pools: [{{ name: a }}, {{ name: b }}, {{ name: c }}]"
    );
    judged(&spec, &world());
    secret_configuration(&planned(&load_balancer(&spec), &world())).unwrap().files
}

#[test]
fn rules_become_a_table_that_says_what_they_say_in_their_order() {
    let files = files(
        "
{ name: r1, matches: [{ type: Host, value: Shop.example }, { type: Path, operator: StartsWith, value: /api }], pool: b },
{ name: r2, matches: [{ type: Path, value: /healthz }], pool: c },
{ name: r3, matches: [{ type: Host, operator: EndsWith, value: .example }], pool: c },
{ name: never, matches: [{ type: Host, value: shop.example }, { type: Path, value: /healthz }], pool: a },
",
    );
    let table = "\
.example|1 .example
|1|*.example| c.http
|1|*.example|/healthz? c.http
|1|shop.example| c.http
|1|shop.example|/api b.http
|1|shop.example|/healthz? c.http
|1||/healthz? c.http
";
    assert_eq!(files["routes-web.map"], table);
}

#[test]
fn a_route_is_no_line_of_the_main_file() {
    let rule = |host: &str, path: &str, pool: &str| {
        format!(
            "{{ name: r, matches: [{{ type: Host, value: {host} }}, {{ type: Path, operator: StartsWith, value: {path} }}], pool: {pool} }},"
        )
    };
    let reject = "{ name: no, matches: [{ type: Header, key: X-A, value: a }], reject: {} },";
    let all = ["", &rule("a", "/a", "a"), &rule("b", "/b", "b"), &rule("c", "/c", "c")];
    let main = |text: &str| files(text)["haproxy.cfg"].clone();
    for rule in all {
        assert_eq!(main(rule), main(""), "{rule}");
        assert_eq!(main(&format!("{reject}{rule}")), main(reject), "{rule}");
    }
}

#[test]
fn rules_around_another_keep_their_place_and_share_the_file() {
    let files = files(
        "
{ name: r1, matches: [{ type: Host, value: h }], pool: b },
{ name: no, matches: [{ type: Header, key: X-A, value: a }], reject: {} },
{ name: r2, matches: [{ type: Host, operator: EndsWith, value: h }], pool: c },
",
    );
    assert_eq!(files["routes-web.map"], "|1|h| b.http\nh|2 h\n|2|*h| c.http\n");
    let main = &files["haproxy.cfg"];
    let places = ["str(|1),concat(,txn.named)", "deny", "map_end", "str(|2),concat(,txn.any)"].map(|it| main.find(it));
    assert!(places.is_sorted() && places[0].is_some(), "{main}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_text_changes_another_line_of_a_table(
        host in "[^\\x00-\\x1f\\x7f-\\x9f]{1,20}|[a-z.|*?]{1,6}",
        path in "/[^\\x00-\\x1f\\x7f-\\x9f]{0,20}|/[a-z|?# %]{1,6}",
    ) {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let files = files(&format!(
            "{{ name: r1, matches: [{{ type: Host, value: before.example }}], pool: b }},
             {{ name: r2, matches: [{{ type: Host, value: {} }}, {{ type: Path, value: {} }}], pool: c }},
             {{ name: r3, matches: [{{ type: Host, value: after.example }}], pool: b }}",
            quoted(&host), quoted(&path)
        ));
        let table = &files["routes-web.map"];
        let lines = patterns("routes-web.map", table).expect("each line is a key and a value");
        prop_assert!(lines.contains(&"|1|before.example| b.http"), "{}", table);
        let after = ["|1|after.example| b.http", "|2|after.example| b.http"];
        prop_assert_eq!(lines.iter().filter(|line| after.contains(line)).count(), 1, "{}", table);
        prop_assert!(lines.len() == 2 || lines.len() == 3, "{}", table);
    }
}
