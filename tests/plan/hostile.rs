//! Text that tries to break out of `haproxy.cfg`. The API server's schema refuses most of it; here it
//! comes as from an object that was stored before the schema did.

use fairway::{
    agent::protocol::MAIN_FILE,
    loadbalancer::{config, plan::Plan},
};
use proptest::prelude::*;
use rstest::rstest;

use crate::fixtures::{certificate, condition, load_balancer, object, planned, secret_configuration, settled, world};
use crate::judge;

const MONITORED: &str = "
listeners: [{ name: web, protocol: HTTP, port: 80, pool: app }]
pools: [{ name: app, monitor: { type: HTTP, path: / }, members: [{ address: 192.0.2.10, port: 8080 }] }]
";

#[rstest]
#[case("/\nlisten evil\n    bind :1")]
#[case("/\r\nlisten evil")]
#[case("/\0")]
#[case("no-slash")]
fn what_can_not_be_one_word_is_refused_and_what_served_serves_on(#[case] path: &str) {
    let mut resource = load_balancer(MONITORED);
    let mut world = world();
    settled(&mut resource, &mut world);
    resource.spec.pools[0].monitor.as_mut().unwrap().path = Some(path.to_owned());
    let plan = planned(&resource, &world);
    let (verdict, message) = condition(&plan, "Accepted");
    assert_eq!(verdict, "False/Invalid");
    assert!(message.contains("spec.pools[app].monitor.path"), "{message}");
    assert_eq!(secret_configuration(&plan), None);
    assert_eq!(plan.effects, []);
    assert_eq!(plan.retained, fairway::reconcile::family::Retained::All);
    assert!(plan.events.iter().any(|event| event.warning && event.reason == "Invalid"));
    assert_eq!(condition(&plan, "Ready").0, "True/Serving");
}

#[rstest]
#[case("/a b")]
#[case("/#comment")]
#[case("/'quoted' \"twice\"")]
#[case("/${HOME}")]
#[case(r"/back\slash")]
#[case("/%[src]")]
#[case("/ü✓")]
fn what_looks_odd_stays_one_word(#[case] path: &str) {
    let mut resource = load_balancer(MONITORED);
    resource.spec.pools[0].monitor.as_mut().unwrap().path = Some(path.to_owned());
    let plan = planned(&resource, &world());
    judge::accepts(&secret_configuration(&plan).unwrap().files);
}

#[rstest]
#[case("spec.listeners[web].port", |spec: &mut fairway::api::LoadBalancerSpec| spec.listeners[0].port = 70_000)]
#[case("spec.listeners[a b]", |spec: &mut fairway::api::LoadBalancerSpec| spec.listeners[0].name = "a b".to_owned())]
#[case("spec.listeners[web].pool", |spec: &mut fairway::api::LoadBalancerSpec| spec.listeners[0].pool = Some("b".to_owned()))]
#[case("spec.listeners[web].allowedCidrs", |spec: &mut fairway::api::LoadBalancerSpec| spec.listeners[0].allowed_cidrs = vec!["10.0.0.0/33".to_owned()])]
#[case("spec.pools[app].members[localhost:8080]", |spec: &mut fairway::api::LoadBalancerSpec| spec.pools[0].members[0].address = "localhost".to_owned())]
#[case("weight: 300 is not between 0 and 256", |spec: &mut fairway::api::LoadBalancerSpec| spec.pools[0].members[0].weight = 300)]
#[case("spec.listeners: two entries have the port 80", |spec: &mut fairway::api::LoadBalancerSpec| { let twin = fairway::api::Listener { name: "twin".to_owned(), ..spec.listeners[0].clone() }; spec.listeners.push(twin); })]
#[case("monitor.intervalSeconds", |spec: &mut fairway::api::LoadBalancerSpec| spec.pools[0].monitor.as_mut().unwrap().interval_seconds = 0)]
#[case("monitor.expectedStatus", |spec: &mut fairway::api::LoadBalancerSpec| spec.pools[0].monitor.as_mut().unwrap().expected_status = Some("!200".to_owned()))]
fn what_the_schema_should_have_refused_is_refused(
    #[case] words: &str,
    #[case] change: fn(&mut fairway::api::LoadBalancerSpec),
) {
    let mut resource = load_balancer(MONITORED);
    change(&mut resource.spec);
    let plan = planned(&resource, &world());
    let (verdict, message) = condition(&plan, "Accepted");
    assert_eq!(verdict, "False/Invalid");
    assert!(message.contains(words), "{message}");
}

/// The keys of the Secret that pods boot from.
fn keys(plan: &Plan) -> Vec<&str> {
    object(plan, "Secret").data["data"].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_configuration_too_large_for_a_secret_is_kept_compressed() {
    let address = |number: usize| format!("10.{}.{}.{}", number / 65_536, number / 256 % 256, number % 256);
    let spec = |pools: usize| {
        let members = |pool: usize| -> Vec<String> {
            (0..256).map(|member| format!("{{ address: {}, port: 80 }}", address(256 * pool + member))).collect()
        };
        let pools_text: Vec<String> = (0..pools)
            .map(|number| format!("{{ name: p{number}, members: [{}] }}", members(number).join(", ")))
            .collect();
        let listeners: Vec<String> = (0..pools)
            .map(|number| format!("{{ name: l{number}, protocol: TCP, port: {}, pool: p{number} }}", 1000 + number))
            .collect();
        format!("listeners: [{}]\npools: [{}]", listeners.join(", "), pools_text.join(", "))
    };
    for (pools, expected) in [(8, ["haproxy.cfg", "sequence"]), (128, ["configuration.json.gz", "sequence"])] {
        let plan = planned(&load_balancer(&spec(pools)), &world());
        let (verdict, message) = condition(&plan, "Accepted");
        assert_eq!(verdict, "True/Accepted", "{message}");
        assert_eq!(keys(&plan), expected);
        let servers = secret_configuration(&plan).unwrap().files["haproxy.cfg"].matches("    server ").count();
        assert_eq!(servers, 256 * pools);
    }
}

#[test]
fn a_configuration_too_large_for_a_secret_even_when_compressed_is_refused_with_its_size() {
    let mut world = world();
    // Names in no order are what makes the most of certificates that does not compress.
    let mut state = 1_u64;
    let mut name = || -> String {
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from_digit(u32::try_from(state >> 33).unwrap() % 36, 36).unwrap()
        };
        (0..60).map(|_| letter()).collect()
    };
    let mut listeners = vec![];
    for listener in 0..30 {
        let mut names = vec![];
        for of_listener in 0..14 {
            let hosts: Vec<String> = (0..100).map(|_| name()).collect();
            let name = format!("c{listener}-{of_listener}");
            names.push(format!("{{ secretName: {name} }}"));
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            world.certificates.insert(name, certificate(&hosts));
        }
        let certificates = names.join(", ");
        listeners.push(format!(
            "{{ name: l{listener}, protocol: HTTPS, port: {}, pool: app, certificates: [{certificates}] }}",
            1000 + listener
        ));
    }
    let spec = format!("listeners: [{}]\npools: [{{ name: app }}]", listeners.join(", "));
    let plan = planned(&load_balancer(&spec), &world);
    let (verdict, message) = condition(&plan, "Accepted");
    assert_eq!(verdict, "False/TooLarge", "{message}");
    assert!(message.contains(" when compressed, and a Secret holds at most 1047552"), "{message}");
    assert!(plan.objects.is_empty());
}

/// The words of a line as HAProxy reads them, for lines without anything but our own quoting.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut started) = (vec![], String::new(), false, false);
    let mut characters = line.trim().chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => (quoted, started) = (!quoted, true),
            '\\' if !quoted => word.extend(characters.next()),
            ' ' if !quoted => {
                if started || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            other => word.push(other),
        }
    }
    words.push(word);
    words
}

proptest! {
    #[test]
    fn any_text_is_one_word_or_refused(text in "\\PC{0,64}|[\\x00-\\x7f]{0,64}") {
        if let Ok(word) = config::Word::parse(&text) {
            let line = format!("a {word} b");
            prop_assert_eq!(words(&line), vec!["a".to_owned(), text, "b".to_owned()]);
        } else {
            prop_assert!(text.chars().any(char::is_control));
        }
    }

    #[test]
    fn no_monitor_text_changes_another_line(path in "/[^\\x00-\\x1f\\x7f-\\x9f]{0,40}") {
        let lines = |path: &str| {
            let mut resource = load_balancer(MONITORED);
            resource.spec.pools[0].monitor.as_mut().unwrap().path = Some(path.to_owned());
            let files = secret_configuration(&planned(&resource, &world())).unwrap().files;
            let text = files[MAIN_FILE].clone();
            text.lines().filter(|line| !line.contains("http-check send")).map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        prop_assert_eq!(lines(&path), lines("/"));
    }
}
