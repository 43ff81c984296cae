//! What a worker tells of its `server` lines: where they lead, whether they take traffic, and whether
//! anything still runs over them. Strict: an answer that is not understood is none.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::fields;

/// The `server` lines of a worker, by backend, in their order.
pub type Slots = BTreeMap<String, Vec<Slot>>;

/// A `server` line, as the worker has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The name on the line.
    pub name: String,
    /// Where it leads now; none when that is no address.
    pub address: Option<SocketAddr>,
    /// What is checked.
    pub check: CheckTarget,
    /// Whether it takes nothing at all.
    pub maintenance: bool,
    /// Whether it takes nothing new by order (and not by its weight).
    pub drained: bool,
    /// 0 to 256.
    pub weight: u16,
    /// Whether anything still runs over it, as far as was asked.
    pub busy: bool,
}

/// What is checked in place of where a line leads, as far as it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckTarget {
    /// In place of its address.
    pub address: Option<IpAddr>,
    /// In place of its port.
    pub port: Option<u16>,
}

impl CheckTarget {
    /// What is checked while the line leads to an address.
    #[must_use]
    pub fn of(self, address: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.address.unwrap_or(address.ip()), self.port.unwrap_or(address.port()))
    }
}

/// Bits of `srv_admin_state` (the management guide, 9.3): forced, inherited, by a name that has no address,
/// by a name that is gone. That it was so configured (4) says nothing of now.
const MAINTENANCE: u32 = 0x01 | 0x02 | 0x20 | 0x40;
const DRAINED: u32 = 0x08 | 0x10;

/// Reads the answer to `show servers state`; of which nothing is said to be busy, is quiet.
pub(super) fn parse_state(answer: &str, busy: &BTreeSet<(String, String)>) -> Option<Slots> {
    let mut slots = Slots::new();
    let mut lines = answer.lines().filter(|line| !line.is_empty());
    // The version of the format.
    (lines.next()? == "1").then_some(())?;
    let header: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(' ').collect();
    let column = |name: &str| header.iter().position(|field| *field == name);
    let (backend, name) = (column("be_name")?, column("srv_name")?);
    let (address, port) = (column("srv_addr")?, column("srv_port")?);
    let (check_address, check_port) = (column("srv_check_addr")?, column("srv_check_port")?);
    let (admin, weight) = (column("srv_admin_state")?, column("srv_uweight")?);
    for line in lines {
        let row: Vec<&str> = line.split(' ').collect();
        let admin: u32 = row.get(admin)?.parse().ok()?;
        let ip: Option<IpAddr> = row.get(address)?.parse().ok();
        let port: u16 = row.get(port)?.parse().ok()?;
        let (backend, name) = ((*row.get(backend)?).to_owned(), (*row.get(name)?).to_owned());
        // `-` and 0 where nothing is said.
        let check_port: u16 = row.get(check_port)?.parse().ok()?;
        let check = CheckTarget {
            address: row.get(check_address)?.parse().ok(),
            port: (check_port != 0).then_some(check_port),
        };
        let slot = Slot {
            check,
            address: ip.map(|ip| SocketAddr::new(ip, port)),
            maintenance: admin & MAINTENANCE != 0,
            drained: admin & DRAINED != 0,
            weight: row.get(weight)?.parse().ok()?,
            busy: busy.contains(&(backend.clone(), name.clone())),
            name,
        };
        slots.entry(backend).or_default().push(slot);
    }
    Some(slots)
}

/// The servers over which something runs, from `show servers conn` and `show stat`. Both are needed: on 2.6
/// the connections of TCP mode are not among the used ones, and those that a client keeps with NTLM are not
/// among the sessions.
pub(super) fn parse_busy(connections: &str, statistics: &str) -> Option<BTreeSet<(String, String)>> {
    let mut busy = BTreeSet::new();
    let mut lines = connections.lines().filter(|line| !line.is_empty());
    let used = lines.next()?.strip_prefix("# ")?.split(' ').position(|field| field == "used_cur")?;
    for line in lines {
        let mut row = line.split(' ');
        let (backend, name) = row.next()?.split_once('/')?;
        // The first word is already taken.
        if row.nth(used.checked_sub(1)?)? != "0" {
            busy.insert((backend.to_owned(), name.to_owned()));
        }
    }
    let mut lines = statistics.lines().filter(|line| !line.is_empty());
    let header = fields(lines.next()?.strip_prefix("# ")?);
    let column = |name: &str| header.iter().position(|field| field == name);
    let (pool, name, current) = (column("pxname")?, column("svname")?, column("scur")?);
    for line in lines {
        let row = fields(line);
        if row.get(current)? != "0" {
            busy.insert((row.get(pool)?.to_string(), row.get(name)?.to_string()));
        }
    }
    Some(busy)
}

/// Which certificate a worker serves from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedCertificate {
    /// Hexadecimal, upper case, without leading zeros.
    pub serial: String,
    /// As OpenSSL writes it: `Nov 23 04:52:24 2026 GMT`.
    pub not_before: String,
    /// As [`Self::not_before`].
    pub not_after: String,
}

/// Reads the answer to `show ssl cert FILE`.
pub(super) fn parse_certificate(answer: &str) -> Option<ServedCertificate> {
    let value = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    Some(ServedCertificate {
        serial: value("Serial: ")?.trim_start_matches('0').to_ascii_uppercase(),
        not_before: value("notBefore: ")?.to_owned(),
        not_after: value("notAfter: ")?.to_owned(),
    })
}

/// Reads the answers to several `show ssl cert FILE`: when each ends, by file. What is not understood is
/// passed over.
pub(super) fn parse_certificate_ends(answer: &str) -> BTreeMap<String, Timestamp> {
    let mut ends = BTreeMap::new();
    let mut file = None;
    for line in answer.lines() {
        if let Some(name) = line.strip_prefix("Filename: ") {
            file = Some(name.trim().to_owned());
        } else if let Some(time) = line.strip_prefix("notAfter: ").and_then(openssl_time) {
            ends.extend(file.take().map(|file| (file, time)));
        }
    }
    ends
}

/// `Nov  3 04:52:24 2026 GMT`; the end of the year 9999 says that there is no end.
fn openssl_time(text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%b %e %H:%M:%S %Y GMT", text.trim()).ok()?;
    Some(time.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |time| time.timestamp()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Nov  3 04:52:24 2026 GMT", Some("2026-11-03T04:52:24Z"))]
    #[case("Dec 31 23:59:59 9999 GMT", Some("9999-12-30T22:00:00.999999999Z"))]
    #[case("Nov 23 04:52:24 2026", None)]
    #[case("", None)]
    fn times(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(openssl_time(text).map(|time| time.to_string()).as_deref(), expected);
    }

    #[test]
    fn ends_of_certificates() {
        let answer = "Filename: a.pem\nnotAfter: Nov  3 04:52:24 2026 GMT\nSubject: notAfter: x\n\n\
            Can't display the certificate: Not found or the certificate is a bundle!\n\n\
            Filename: b.pem\nnotAfter: never\n\nFilename: c.pem\nnotAfter: Jan 13 04:52:24 2027 GMT\n";
        let ends = parse_certificate_ends(answer);
        assert_eq!(ends.keys().collect::<Vec<_>>(), ["a.pem", "c.pem"]);
    }

    const STATE: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
        srv_iweight srv_port srv_check_port srv_check_addr\n5 b 1 s:1 10.0.0.1 2 0 100 100 9001 0 -\n\
        5 b 2 x ::1 0 5 1 1 80 81 ::2\n5 b 3 y - 0 12 0 1 80 0 -\n\n";

    #[test]
    fn slots_are_read_by_the_names_of_the_columns() {
        let connections = "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max\n\
            b/s:1 5/1 10.0.0.1 9001 - 5000 1 1\nb/x 5/2 ::1 80 - 5000 0 0\nb/y 5/3 - 80 - 5000 0 0\n\n";
        let statistics = "# pxname,svname,qcur,qmax,scur,\nb,s:1,0,0,0,\nb,x,0,0,0,\nb,y,0,0,2,\n\n";
        let busy = parse_busy(connections, statistics).expect("understood");
        let slot = |name: &str, address: Option<&str>, maintenance, drained, weight, busy| Slot {
            name: name.to_owned(),
            address: address.map(|address| address.parse().expect("an address")),
            check: CheckTarget::default(),
            maintenance,
            drained,
            weight,
            busy,
        };
        let mut expected = vec![
            slot("s:1", Some("10.0.0.1:9001"), false, false, 100, true),
            slot("x", Some("[::1]:80"), true, false, 1, false),
            slot("y", None, false, true, 0, true),
        ];
        expected[1].check = CheckTarget { address: "::2".parse().ok(), port: Some(81) };
        assert_eq!(parse_state(STATE, &busy), Some(Slots::from([("b".to_owned(), expected)])));
    }

    #[test]
    fn other_answers_are_none() {
        assert_eq!(parse_state("Can't find backend.\n\n", &BTreeSet::new()), None);
        assert_eq!(parse_state("2\n# be_name\n", &BTreeSet::new()), None);
        assert_eq!(parse_state(&STATE.replace("srv_uweight", "weight"), &BTreeSet::new()), None);
        assert_eq!(parse_busy("# bkname/svname used_cur\nb/s\n", "# pxname,svname,scur\n"), None);
        assert_eq!(parse_certificate("Can't display\n"), None);
    }

    #[test]
    fn certificates() {
        let answer = "Filename: a.pem\nSerial: 00AB\nnotBefore: Nov  3 04:52:24 2026 GMT\nnotAfter: x\n";
        let expected = ServedCertificate {
            serial: "AB".to_owned(),
            not_before: "Nov  3 04:52:24 2026 GMT".to_owned(),
            not_after: "x".to_owned(),
        };
        assert_eq!(parse_certificate(answer), Some(expected));
    }
}
