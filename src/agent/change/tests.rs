//! Tables of what is decided and why; and, from any servers to any others, what the commands do to a small
//! model of HAProxy's slots.

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::{
    agent::layout::with_spares,
    clients::haproxy::{CheckTarget, Slot},
};

const PEM: &str = "-----BEGIN CERTIFICATE-----\nfirst\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nB\n";

fn files(servers: &str, others: &[(&str, &str)]) -> FileMap {
    let lines: String = servers.split('|').flat_map(|line| ["    ", line, "\n"]).collect();
    let main = format!("frontend f\n    bind :80 ssl crt site.pem\nbackend b\n    balance roundrobin\n{lines}");
    let others = others.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned()));
    others.chain([(MAIN_FILE.to_owned(), main)]).collect()
}

fn read(files: &FileMap) -> Version {
    Version::read(files.clone()).expect("understood")
}

/// The spare slots too.
fn loaded(files: &FileMap) -> FileMap {
    let mut loaded = files.clone();
    let main = with_spares(&files[MAIN_FILE], 100);
    loaded.insert(MAIN_FILE.to_owned(), main);
    loaded
}

/// The slots of a worker that has just loaded these files.
fn slots(loaded: &FileMap) -> Slots {
    let backends = read(loaded).layout.backends;
    let slots = |backend: Backend| {
        let slot = |server: super::super::layout::Server| Slot {
            name: server.name,
            address: Some(server.address),
            check: server.check,
            maintenance: !server.enabled,
            drained: false,
            weight: server.weight,
            busy: false,
        };
        backend.servers.into_iter().map(slot).collect()
    };
    backends.into_iter().map(|(name, backend)| (name, slots(backend))).collect()
}

fn change(loaded: &FileMap, running: &FileMap, slots: &Slots, wanted: &FileMap) -> Change {
    change_of(false, loaded, running, slots, wanted)
}

fn change_of(adds: bool, loaded: &FileMap, running: &FileMap, slots: &Slots, wanted: &FileMap) -> Change {
    let wanted = match Version::read(wanted.clone()) {
        Ok(wanted) => wanted,
        Err(error) => return Change::Reload(error.into()),
    };
    plan_change(Situation { loaded: &read(loaded), running: &read(running), slots, adds }, &wanted)
}

fn planned(before: &FileMap, wanted: &FileMap) -> Change {
    let loaded = loaded(before);
    change(&loaded, before, &slots(&loaded), wanted)
}

const A: &str = "server a 10.0.0.1:80 weight 5 check";

#[rstest]
#[case::same(A, "")]
#[case::order_and_comments("# x|server a 10.0.0.1:80 check weight 5", "")]
#[case::weight("server a 10.0.0.1:80 weight 7 check", "set server b/a weight 7")]
#[case::drain("server a 10.0.0.1:80 weight 0 check", "set server b/a weight 0")]
#[case::disable("server a 10.0.0.1:80 weight 5 check disabled", "set server b/a state maint")]
#[case::remove("# none", "set server b/a state maint")]
#[case::add(
    "server a 10.0.0.1:80 weight 5 check|server c [::1]:81 weight 5 check",
    "set server b/fairway-spare-1 addr ::1 port 81; set server b/fairway-spare-1 weight 5; \
     set server b/fairway-spare-1 state ready"
)]
#[case::replace_the_only_one(
    "server c 10.0.0.2:80 weight 1 check",
    "set server b/fairway-spare-1 addr 10.0.0.2 port 80; set server b/fairway-spare-1 state ready; \
     set server b/a state maint"
)]
#[case::same_name_elsewhere(
    "server a 10.0.0.2:80 weight 1 check",
    "set server b/fairway-spare-1 addr 10.0.0.2 port 80; set server b/fairway-spare-1 state ready; \
     set server b/a state maint"
)]
#[case::monitor("server a 10.0.0.1:80 weight 5 check addr [::1] port 81", "set server b/a check-addr ::1 port 81")]
#[case::monitor_of_its_own("server a 10.0.0.1:80 weight 5 check port 80", "")]
#[case::add_with_a_monitor(
    "server a 10.0.0.1:80 weight 5 check|server c 10.0.0.2:81 weight 1 check port 9",
    "set server b/fairway-spare-1 addr 10.0.0.2 port 81; set server b/fairway-spare-1 check-addr 10.0.0.2 port 9; \
     set server b/fairway-spare-1 state ready"
)]
#[case::same_address_renamed("server z 10.0.0.1:80 weight 5 check", "")]
fn servers(#[case] wanted: &str, #[case] expected: &str) {
    let commands = match planned(&files(A, &[]), &files(wanted, &[])) {
        Change::Nothing => Vec::new(),
        Change::Commands(commands) => commands.iter().flat_map(Command::lines).collect(),
        Change::Reload(why) => panic!("{why}"),
    };
    assert_eq!(commands.join("; "), expected);
}

#[rstest]
#[case::options(&files("server a 10.0.0.1:80 weight 5", &[]), "NoSlot")]
#[case::many(&files("server c 10.0.1.1:80 check|server d 10.0.1.2:80 check|server e 10.0.1.3:80 check", &[]), "NoSlot")]
#[case::name(&files("server a web.example:80", &[]), "NotUnderstood")]
#[case::skeleton(&files(&format!("balance leastconn|{A}"), &[]), "Skeleton")]
#[case::new_file(&files(A, &[("x.pem", PEM)]), "File")]
fn reloads(#[case] wanted: &FileMap, #[case] expected: &str) {
    let Change::Reload(why) = planned(&files(A, &[]), wanted) else { panic!("no reload") };
    assert_eq!(why.label(), expected);
}

#[test]
fn certificates() {
    let before = files(A, &[("site.pem", PEM), ("x.list", "site.pem\n")]);
    let change = |site: &str, list: &str| planned(&before, &files(A, &[("site.pem", site), ("x.list", list)]));
    let next = PEM.replace("first", "\nsecond\n");
    let Change::Commands(commands) = change(&next, "site.pem\n") else { panic!("it can be changed") };
    let expected = Command::Certificate { file: "site.pem".to_owned(), pem: next.replace("\n\n", "\n") };
    assert_eq!(commands, [expected]);
    assert!(!format!("{commands:?}").contains("PRIVATE"));
    for (site, list, why) in [
        (next.as_str(), "other\n", Why::File("x.list".to_owned())),
        ("no certificate", "site.pem\n", Why::File("site.pem".to_owned())),
        (&(PEM.to_owned() + &"x\n".repeat(8_000)), "site.pem\n", Why::Payload("site.pem".to_owned())),
    ] {
        assert_eq!(change(site, list), Change::Reload(why));
    }
    let verifying = A.to_owned() + " ssl ca-file site.pem";
    let [before, wanted] = [PEM, &next].map(|site| files(&verifying, &[("site.pem", site)]));
    assert_eq!(planned(&before, &wanted), Change::Reload(Why::File("site.pem".to_owned())));
}

#[test]
fn patterns_are_replaced_where_each_line_can_be_only_one() {
    let change = |file: &str, content: &str| planned(&files(A, &[(file, "a b\n")]), &files(A, &[(file, content)]));
    let expected = |file: &str, content: &str| {
        let command = Command::Patterns { file: file.to_owned(), content: content.to_owned() };
        Change::Commands(vec![command])
    };
    assert_eq!(change("x.map", "a b\n"), Change::Nothing);
    assert_eq!(change("x.map", "c d\ne f\n"), expected("x.map", "c d\ne f\n"));
    assert_eq!(change("x.map", ""), expected("x.map", ""));
    assert_eq!(change("x.acl", "10.0.0.0/8\n"), expected("x.acl", "10.0.0.0/8\n"));
    for (file, content) in [("x.acl", "10.0.0.0/8;y\n"), ("x.map", "a\n"), ("x.list", "10.0.0.0/8\n")] {
        assert_eq!(change(file, content), Change::Reload(Why::File(file.to_owned())));
    }
    assert_eq!(planned(&files(A, &[]), &files(A, &[("x.map", "")])), Change::Reload(Why::File("x.map".to_owned())));
    let known = read(&files(A, &[("x.map", "")]));
    let drifted = known.clone().without("x.map");
    let situation = Situation { loaded: &known, running: &drifted, slots: &Slots::new(), adds: false };
    assert_eq!(plan_change(situation, &known), expected("x.map", ""), "also when nothing should be there");
}

#[test]
fn what_is_not_known_is_loaded_anew() {
    let (before, wanted) = (files(A, &[]), files("# none", &[]));
    let loaded = loaded(&before);
    let change = |slots: &Slots| change(&loaded, &before, slots, &wanted);
    assert_eq!(change(&Slots::new()), Change::Reload(Why::Unknown));
    let mut fewer = slots(&loaded);
    fewer.get_mut("b").expect("the backend").truncate(1);
    assert_eq!(change(&fewer), Change::Reload(Why::Unknown));
    let hashed = |weight: u16, address: &str| {
        files(&format!("balance source|hash-type consistent|server a {address}:80 weight {weight}"), &[])
    };
    let (before, heavier, elsewhere) = (hashed(1, "10.0.0.1"), hashed(2, "10.0.0.1"), hashed(1, "10.0.0.2"));
    assert!(matches!(planned(&before, &heavier), Change::Commands(_)));
    assert_eq!(planned(&before, &elsewhere), Change::Reload(Why::Fixed("b".to_owned())));
}

#[test]
fn a_slot_that_was_left_is_filled_when_it_is_quiet_and_found_again_when_it_is_not() {
    let before = files(A, &[]);
    let loaded = loaded(&before);
    let mut slots = slots(&loaded);
    let all = slots.get_mut("b").expect("the backend");
    for slot in all.iter_mut() {
        (slot.maintenance, slot.busy) = (true, true);
    }
    let change = |slots: &Slots, wanted: &str| super::tests::change(&loaded, &before, slots, &files(wanted, &[]));
    let other = "server c 10.0.0.2:80 weight 5 check";
    assert_eq!(change(&slots, other), Change::Reload(Why::NoSlot("b".to_owned())));
    let ready = Command::Ready { slot: Place { backend: "b".to_owned(), name: "a".to_owned() } };
    assert_eq!(change(&slots, A), Change::Commands(vec![ready]));
    slots.get_mut("b").expect("the backend")[0].busy = false;
    let Change::Commands(commands) = change(&slots, other) else { panic!("it is quiet") };
    assert_eq!(
        commands.iter().flat_map(Command::lines).next().as_deref(),
        Some("set server b/a addr 10.0.0.2 port 80")
    );
}

/// Servers of addresses, weights and whether they are enabled; some of one more kind.
fn some_servers() -> impl Strategy<Value = String> {
    let server = (1..12_u8, 0..3_u16, any::<bool>(), prop::bool::weighted(0.2), 80..83_u16);
    prop::collection::btree_map(0..12_u8, server, 0..8).prop_map(|servers| {
        let line = |(name, (host, weight, enabled, backup, port)): (u8, (u8, u16, bool, bool, u16))| {
            let (backup, disabled) = (if backup { " backup" } else { "" }, if enabled { "" } else { " disabled" });
            let monitor = if port == 80 { String::new() } else { format!(" port {port}") };
            format!("server s{name} 10.0.0.{host}:80 weight {weight} check{monitor}{backup}{disabled}")
        };
        servers.into_iter().map(line).collect::<Vec<_>>().join("|")
    })
}

/// What HAProxy does to its slots, and what must not be asked of it.
fn carry_out(command: &Command, slots: &mut Slots, busy: bool) {
    let mut with = |place: &Place, act: &dyn Fn(&mut Slot)| {
        let slots = slots.get_mut(&place.backend).expect("a backend");
        act(slots.iter_mut().find(|slot| slot.name == place.name).expect("a slot"));
    };
    match command {
        Command::Certificate { .. } | Command::Patterns { .. } => panic!("there are none"),
        Command::Aim { slot, target } => with(slot, &|slot| {
            slot.check = CheckTarget { address: Some(target.ip()), port: Some(target.port()) };
        }),
        Command::Fill { slot, address } => with(slot, &|slot| {
            assert!(slot.maintenance && !slot.busy, "{slot:?}");
            slot.address = Some(*address);
        }),
        Command::Add { slot, address, weight, .. } => slots.get_mut(&slot.backend).expect("a backend").push(Slot {
            name: slot.name.clone(),
            address: Some(*address),
            check: CheckTarget::default(),
            maintenance: true,
            drained: false,
            weight: *weight,
            busy: false,
        }),
        Command::Weigh { slot, weight } => with(slot, &|slot| slot.weight = *weight),
        Command::Ready { slot } => with(slot, &|slot| (slot.maintenance, slot.drained) = (false, false)),
        Command::Maintain { slot } => with(slot, &|slot| (slot.maintenance, slot.busy) = (true, busy)),
    }
}

fn takes_traffic(slots: &Slots) -> bool {
    slots.values().flatten().any(|slot| !slot.maintenance && slot.weight > 0)
}

proptest! {
    #[test]
    fn any_servers_become_any_others(
        sequence in prop::collection::vec((some_servers(), any::<bool>()), 2..8),
        adds in any::<bool>(),
    ) {
        let mut running = files(&sequence[0].0, &[]);
        let mut started = loaded(&running);
        let mut worker = slots(&started);
        for (lines, busy) in &sequence[1..] {
            let wanted = files(lines, &[]);
            match change_of(adds, &started, &running, &worker, &wanted) {
                Change::Nothing => {}
                Change::Commands(commands) => {
                    let after = takes_traffic(&slots(&wanted));
                    let both = takes_traffic(&worker) && after;
                    for command in &commands {
                        carry_out(command, &mut worker, *busy);
                        prop_assert!(!both || takes_traffic(&worker), "{:?}", commands);
                    }
                    prop_assert_eq!(takes_traffic(&worker), after);
                }
                Change::Reload(why) => {
                    prop_assert!(matches!(why, Why::NoSlot(_)) && !adds, "{}", why);
                    started = loaded(&wanted);
                    worker = slots(&started);
                }
            }
            let next = change_of(adds, &started, &wanted, &worker, &wanted);
            prop_assert_eq!(next, Change::Nothing);
            // As wanted, address by address.
            let backend = |files: &FileMap| read(files).layout.backends["b"].clone();
            let (all, asked) = (&worker["b"], backend(&wanted));
            let live: Vec<_> = all.iter().filter(|slot| !slot.maintenance)
                .map(|slot| (slot.address, slot.weight, slot.address.map(|address| slot.check.of(address)))).collect();
            let mut expected: Vec<_> = asked.servers.iter().filter(|server| server.enabled)
                .map(|server| (Some(server.address), server.weight, Some(server.check.of(server.address)))).collect();
            let mut live = live;
            live.sort();
            expected.sort();
            prop_assert_eq!(live, expected);
            // An agent that starts anew finds who is where.
            prop_assert_eq!(occupants(&backend(&started), &asked, all).len(), asked.servers.len());
            // Some finish what they had.
            worker.values_mut().flatten().step_by(2).for_each(|slot| slot.busy = false);
            running = wanted;
        }
    }
}

/// What a backend with these lines becomes on a HAProxy to which lines can be added, from one with no free slot.
fn added(rest: &str, wanted: &str) -> Change {
    let before = files(&format!("{rest}|{A}"), &[]);
    let wanted = read(&files(&format!("{rest}|{A}|{wanted}"), &[]));
    let slots = slots(&before);
    plan_change(Situation { loaded: &read(&before), running: &read(&before), slots: &slots, adds: true }, &wanted)
}

#[rstest]
#[case::with_what_is_inherited(
    "default-server inter 2s",
    "server c 10.0.0.2:80 weight 7 check",
    "add server b/fairway-added-20f65c28-1 10.0.0.2:80 weight 7 inter 2s check; \
     enable health b/fairway-added-20f65c28-1; set server b/fairway-added-20f65c28-1 state ready"
)]
#[case::another_kind(
    "option httpchk",
    "server c 10.0.0.2:80 weight 7 backup",
    "add server b/fairway-added-54d00d86-1 10.0.0.2:80 weight 7 backup; set server b/fairway-added-54d00d86-1 state ready"
)]
#[case::two(
    "option httpchk",
    "server c 10.0.0.2:80 weight 7 backup|server d 10.0.0.3:80 weight 0 backup disabled",
    "add server b/fairway-added-54d00d86-1 10.0.0.2:80 weight 7 backup; \
     add server b/fairway-added-54d00d86-2 10.0.0.3:80 weight 0 backup; set server b/fairway-added-54d00d86-1 state ready"
)]
fn where_lines_can_be_added_no_member_needs_a_reload(#[case] rest: &str, #[case] server: &str, #[case] expected: &str) {
    let Change::Commands(commands) = added(rest, server) else { panic!("{:?}", added(rest, server)) };
    assert_eq!(commands.iter().flat_map(Command::lines).collect::<Vec<_>>().join("; "), expected);
}

#[rstest]
#[case::a_file("default-server ssl verify required ca-file a.pem", "server c 10.0.0.2:80 check")]
#[case::quoted("default-server sni 'str(a b)'", "server c 10.0.0.2:80 check")]
fn what_the_socket_can_t_be_told_is_a_reload(#[case] rest: &str, #[case] server: &str) {
    assert_eq!(added(rest, server), Change::Reload(Why::NoSlot("b".to_owned())));
}
