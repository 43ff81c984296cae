//! Whose line is whose, and what it counts for them.

use crate::{
    agent::protocol::{MAIN_FILE, MemberState},
    clients::haproxy::{CheckTarget, Column, Information, Slot},
};

use super::*;

/// A backend whose lines are a, b and a spare one.
const LOADED: &str = "backend app.http\n    balance roundrobin\n    server a 10.0.0.1:80 weight 1\n    \
    server b 10.0.0.2:80 weight 1\n    server fairway-spare-1 127.0.0.1:9 disabled weight 1\n";
/// The same when c has come for a.
const RUNNING: &str = "backend app.http\n    balance roundrobin\n    server c 10.0.0.3:80 weight 1\n    \
    server b 10.0.0.2:80 weight 1\n";

fn version(text: &str) -> Arc<Version> {
    Arc::new(Version::read([(MAIN_FILE.to_owned(), text.to_owned())].into()).expect("understood"))
}

fn known() -> Naming {
    let hashes = ("loaded".to_owned(), "running".to_owned());
    Naming::Known(Known { hashes, loaded: version(LOADED), running: version(RUNNING), adds: false })
}

fn line(proxy: &str, name: &str, kind: Kind, status: &str, requests: u64) -> Line {
    let mut numbers = vec![None; Column::ReqTot as usize + 1];
    numbers[Column::ReqTot as usize] = Some(requests);
    let [proxy, name, status] = [proxy, name, status].map(str::to_owned);
    Line { proxy, name, kind, status, check: String::new(), numbers: numbers.into() }
}

fn slot(name: &str, address: &str, maintenance: bool) -> Slot {
    let address = address.parse().ok();
    Slot {
        name: name.to_owned(),
        address,
        maintenance,
        drained: false,
        weight: 1,
        busy: false,
        check: CheckTarget::default(),
    }
}

fn snapshot(marker: &str, worker: &str, requests: u64) -> Snapshot {
    let slots = vec![
        slot("a", "10.0.0.1:80", true),
        slot("b", "10.0.0.2:80", false),
        slot("fairway-spare-1", "10.0.0.3:80", false),
    ];
    Snapshot {
        marker: Some(marker.to_owned()),
        loaded: Some("loaded".to_owned()),
        slots: [("app.http".to_owned(), slots)].into(),
        information: Information::parse(&format!("Pid: {worker}\n")),
        statistics: vec![
            line("fairway-health", "FRONTEND", Kind::Frontend, "OPEN", 0),
            line("web", "FRONTEND", Kind::Frontend, "OPEN", 0),
            line("closed", "FRONTEND", Kind::Frontend, "STOP", 0),
            line("app.http", "a", Kind::Server, "MAINT", 7),
            line("app.http", "b", Kind::Server, "UP", requests),
            line("app.http", "fairway-spare-1", Kind::Server, "no check", requests),
            line("app.http", "BACKEND", Kind::Backend, "UP", 0),
        ],
    }
}

fn names(sight: &Sight) -> Vec<&str> {
    sight.members().map(|(name, _)| name).collect()
}

#[test]
fn members_have_the_names_of_the_configuration_that_runs_and_its_order() {
    let sight = Sight::new(snapshot("running", "1", 5), Some(&known()));
    assert_eq!(names(&sight), ["c", "b"]);
    let told: Vec<_> = sight.pools()["app.http"].iter().map(|it| (it.name.clone(), it.state)).collect();
    assert_eq!(told, [("c".to_owned(), MemberState::NoMonitor), ("b".to_owned(), MemberState::Up)]);
    let listeners: Vec<_> = sight.listeners().into_iter().map(|(name, told)| (name, told.state)).collect();
    assert_eq!(listeners, [("closed".to_owned(), ListenerState::Stopped), ("web".to_owned(), ListenerState::Open)]);
}

#[test]
fn who_is_not_certain_is_not_told() {
    for naming in [None, Some(known())] {
        let sight = Sight::new(snapshot("other", "1", 5), naming.as_ref());
        assert!(!sight.is_certain() && sight.pools().is_empty() && names(&sight).is_empty());
        assert_eq!(sight.listeners().len(), 2);
    }
    let sight = Sight::new(snapshot("other", "1", 5), Some(&Naming::AsTheyAre));
    assert_eq!(names(&sight), ["a", "b"], "and no spare line");
}

#[test]
fn a_line_counts_for_its_member_from_when_that_one_has_it() {
    let mut tenants = Tenants::default();
    let mut before = |sight: &Sight| -> Vec<Option<u64>> {
        tenants.observe(sight);
        let of = |line: &Line| tenants.before(line).and_then(|numbers| numbers[Column::ReqTot as usize]);
        sight.members().map(|(_, line)| of(line)).collect()
    };
    let sight = |worker, requests| Sight::new(snapshot("running", worker, requests), Some(&known()));
    assert_eq!(before(&sight("1", 5)), [Some(5), None], "c has moved in, b was always there");
    assert_eq!(before(&sight("1", 9)), [Some(5), None]);
    let names_of_lines = Sight::new(snapshot("running", "1", 11), Some(&Naming::AsTheyAre));
    assert_eq!(before(&names_of_lines), [None, None]);
    assert_eq!(before(&sight("2", 3)), [Some(3), None], "another worker has counted anew");
}
