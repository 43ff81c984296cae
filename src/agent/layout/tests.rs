//! What is understood of a main file, and where spare slots go.

use rstest::rstest;

use super::*;

const TEXT: &str = "\
defaults
    mode http

frontend web
    bind :80
    default_backend a.http

backend a.http
    balance leastconn
    default-server inter 2s rise 1 fall 2
    server 10.0.0.1:80 10.0.0.1:80 weight 100 check
    server s:2001:db8::1:80 [2001:db8::1]:80 weight 0 check

backend b
    # Nobody yet.
";

#[test]
fn a_text_is_read_in_parts() {
    let layout = Layout::parse(TEXT).expect("understood");
    assert!(!layout.skeleton.contains("    ") && !layout.skeleton.contains("10.0.0.1"), "{}", layout.skeleton);
    assert!(layout.skeleton.contains("default-server inter 2s rise 1 fall 2\nbackend b\n"));
    let servers = &layout.backends["a.http"].servers;
    let expected = Server {
        name: "s:2001:db8::1:80".to_owned(),
        address: "[2001:db8::1]:80".parse().expect("an address"),
        weight: 0,
        enabled: true,
        check: CheckTarget::default(),
        options: "check".to_owned(),
    };
    assert_eq!((servers.len(), &servers[1]), (2, &expected));
    assert!(layout.backends["b"].servers.is_empty());
}

#[rstest]
#[case::name("server a web.example:80")]
#[case::no_port("server a 10.0.0.1")]
#[case::weight("server a 10.0.0.1:80 weight 257")]
#[case::no_weight("server a 10.0.0.1:80 weight")]
#[case::quote("server a 10.0.0.1:80 sni \"x\"")]
#[case::escape(r"server a 10.0.0.1:80 sni a\ b")]
#[case::comment("server a 10.0.0.1:80 # weight 5")]
#[case::variable("server a 10.0.0.1:80 weight $W")]
#[case::open_quote("server a 10.0.0.1:80 sni 'x")]
#[case::other_letters("server a;b 10.0.0.1:80")]
#[case::enabled("server a 10.0.0.1:80 enabled")]
#[case::check_port("server a 10.0.0.1:80 check port 0")]
#[case::check_name("server a 10.0.0.1:80 check addr web.example")]
#[case::another("server-template a 1-3 10.0.0.1:80")]
fn server_lines_of_another_form(#[case] line: &str) {
    assert_eq!(Server::parse(line), None);
}

#[test]
fn a_server_line_with_all_it_can_have() {
    let server = Server::parse("\tserver a 10.0.0.1:80 check weight 7 sni 'str(a b)' disabled").expect("understood");
    assert_eq!((server.weight, server.enabled, server.options.as_str()), (7, false, "check sni 'str(a b)'"));
    let server = Server::parse("server a 10.0.0.1:80 check addr [::1] port 81 backup").expect("understood");
    let check = CheckTarget { address: "::1".parse().ok(), port: Some(81) };
    assert_eq!((server.check, server.options.as_str(), server.is_checked()), (check, "check backup", true));
    assert_eq!(Server::parse("server a 10.0.0.1:80").map(|server| server.weight), Some(1));
}

#[rstest]
#[case::condition("global\n.if defined(X)\n")]
#[case::indented("global\n    backend a\n")]
#[case::twice("backend a\nbackend a\n")]
#[case::twice_a_server("backend a\n    server s 10.0.0.1:80\n    server s 10.0.0.2:80\n")]
#[case::from("backend a from b\n")]
#[case::named("defaults a\n")]
#[case::server("backend a\n    server s host:80\n")]
fn texts_that_are_not_understood(#[case] text: &str) {
    assert!(Layout::parse(text).is_err());
    assert_eq!(with_spares(text, 100), text);
}

#[rstest]
#[case("", "", Freedom::Members)]
#[case("balance roundrobin", "", Freedom::Members)]
#[case("", "balance random(2)", Freedom::Members)]
#[case("balance source", "", Freedom::Nothing)]
#[case("balance source", "hash-type consistent", Freedom::Weights)]
#[case("balance source", "balance leastconn", Freedom::Members)]
#[case("", "balance static-rr", Freedom::Nothing)]
#[case("", "stick on src table t", Freedom::Weights)]
#[case("", "stick-table type ip size 1k srvkey addr", Freedom::Members)]
#[case("", "use-server a if { src 10.0.0.1 }", Freedom::Weights)]
#[case("", "default-server weight 5", Freedom::Nothing)]
fn freedoms(#[case] defaults: &str, #[case] line: &str, #[case] expected: Freedom) {
    let layout = Layout::parse(&format!("defaults\n    {defaults}\nbackend a\n    {line}\n")).expect("understood");
    assert_eq!(layout.backends["a"].freedom, expected);
}

#[test]
fn spare_slots_follow_their_backend() {
    let laid_out = with_spares(TEXT, 100);
    let spare = |number| format!("    server {SPARE}{number} 127.0.0.1:9 disabled weight 1 check\n");
    let (first, second) = (spare(1), spare(2));
    assert!(laid_out.contains(&format!("weight 0 check\n{first}{second}\nbackend b\n")), "{laid_out}");
    assert_eq!(laid_out.replace(&first, "").replace(&second, ""), TEXT);
    assert_eq!(with_spares(&laid_out, 100), laid_out);
    assert_eq!(with_spares(TEXT, 1), with_spares(TEXT, 1));
    let parsed = (Layout::parse(TEXT), Layout::parse(&laid_out));
    assert_eq!(parsed.0.map(|layout| layout.skeleton), parsed.1.map(|layout| layout.skeleton));
}

#[rstest]
#[case::few(3, 100, 2)]
#[case::many(64, 100, 16)]
#[case::bounded(64, 5, 5)]
#[case::none(64, 0, 0)]
fn how_many(#[case] servers: usize, #[case] most: usize, #[case] expected: usize) {
    let text = |line: &dyn Fn(usize) -> String| {
        (0..servers).fold("backend a\n".to_owned(), |text, number| text + "    " + &line(number) + "\n")
    };
    let laid_out = with_spares(&text(&|number| format!("server s{number} 10.0.0.{number}:80")), most);
    assert_eq!(laid_out.matches(SPARE).count(), expected);
    // Servers that all differ have no slots that fit them.
    let own = text(&|number| format!("server s{number} 10.0.0.1:80 id {}", number + 1));
    assert!(!with_spares(&own, most).contains(SPARE));
}

#[test]
fn a_backend_without_servers_has_slots_for_those_that_are_expected() {
    let text = format!(
        "backend a\n    {EXPECTED_OPTIONS} check\nbackend b\n    # nobody knows\nbackend c\n    server s 10.0.0.1:80\n    {EXPECTED_OPTIONS} check\n"
    );
    let layout = Layout::parse(&with_spares(&text, 100)).expect("understood");
    let options = |name: &str| layout.backends[name].servers.iter().map(|it| it.options.as_str()).collect::<Vec<_>>();
    assert_eq!((options("a"), options("b"), options("c")), (vec!["check", "check"], vec![], vec!["", "", ""]));
    assert!(!layout.skeleton.contains('#'));
}
