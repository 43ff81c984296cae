//! What a worker counts: `show stat` as CSV and `show info`. Columns that are not known here are passed over,
//! and known ones that a version of HAProxy lacks have no value. Pure.

use std::{borrow::Cow, collections::BTreeMap};

use crate::agent::protocol::{MemberHealth, MemberState};

/// What a line of the statistics is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `frontend`.
    Frontend,
    /// A `backend`, with all of its servers.
    Backend,
    /// A `server` of a backend.
    Server,
}

/// Names columns of numbers as the management guide does (9.1, CSV format).
macro_rules! columns {
    ($($column:ident = $name:literal),+ $(,)?) => {
        /// A column of numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the management guide says what each counts")]
        pub enum Column { $($column),+ }

        /// In the order of [`Column`].
        const COLUMNS: &[&str] = &[$($name),+];
    };
}

columns! {
    Qcur = "qcur", Scur = "scur", Slim = "slim", Stot = "stot", Bin = "bin", Bout = "bout", Dreq = "dreq",
    Dresp = "dresp", Ereq = "ereq", Econ = "econ", Eresp = "eresp", Wretr = "wretr", Wredis = "wredis",
    Weight = "weight", Act = "act", Bck = "bck", Chkfail = "chkfail", Chkdown = "chkdown",
    Downtime = "downtime", CheckDuration = "check_duration", Hrsp1xx = "hrsp_1xx", Hrsp2xx = "hrsp_2xx",
    Hrsp3xx = "hrsp_3xx", Hrsp4xx = "hrsp_4xx", Hrsp5xx = "hrsp_5xx", HrspOther = "hrsp_other",
    ReqTot = "req_tot", CliAbrt = "cli_abrt", SrvAbrt = "srv_abrt", Qtime = "qtime", Ctime = "ctime",
    Rtime = "rtime", Ttime = "ttime", ConnTot = "conn_tot", Dcon = "dcon", Dses = "dses", Connect = "connect",
    Reuse = "reuse", SrvIcur = "srv_icur", Eint = "eint",
}

/// The numbers of a line, in the order of [`Column`]; none where the line has none.
pub type Numbers = Box<[Option<u64>]>;

/// A line of the statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The name of the frontend or backend.
    pub proxy: String,
    /// The name on the `server` line; `FRONTEND` or `BACKEND` for others.
    pub name: String,
    /// What it is about.
    pub kind: Kind,
    /// Such as `OPEN`, `UP 1/3` or `no check`.
    pub status: String,
    /// What the last check said, such as `L4CON`; empty without a monitor.
    pub check: String,
    /// What is counted.
    pub numbers: Numbers,
}

impl Line {
    /// A number, where the line has it.
    #[must_use]
    pub fn number(&self, column: Column) -> Option<u64> {
        self.numbers.get(column as usize).copied().flatten()
    }

    /// What HAProxy says of a server: `UP 1/3` is up and failing, `MAINT (via a/b)` follows another.
    #[must_use]
    pub fn member_state(&self) -> MemberState {
        match self.status.split_ascii_whitespace().next() {
            Some("UP") => MemberState::Up,
            Some("DOWN") => MemberState::Down,
            Some("DRAIN" | "NOLB") => MemberState::Drain,
            Some("MAINT") => MemberState::Maintenance,
            Some("no") => MemberState::NoMonitor,
            _ => MemberState::Unknown,
        }
    }

    /// A server, by the name of its line.
    #[must_use]
    pub fn health(&self) -> MemberHealth {
        MemberHealth {
            name: self.name.clone(),
            state: self.member_state(),
            weight: self.number(Column::Weight).and_then(|weight| weight.try_into().ok()).unwrap_or_default(),
            check: self.check.clone(),
        }
    }
}

/// Reads the answer to `show stat`. None when a line does not say what it is about.
pub(super) fn parse_statistics(csv: &str) -> Option<Vec<Line>> {
    let mut lines = csv.lines();
    let header = fields(lines.next()?.strip_prefix("# ")?);
    let column = |name: &str| header.iter().position(|field| field == name);
    let (proxy, name, kind, status) = (column("pxname")?, column("svname")?, column("type")?, column("status")?);
    let check = column("check_status");
    let numbers: Vec<_> = COLUMNS.iter().map(|name| column(name)).collect();
    let mut read = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let row = fields(line);
        let text = |index: usize| row.get(index).map(AsRef::as_ref);
        let kind = match text(kind)? {
            "0" => Kind::Frontend,
            "1" => Kind::Backend,
            "2" => Kind::Server,
            // A socket of a frontend.
            _ => continue,
        };
        read.push(Line {
            proxy: text(proxy)?.to_owned(),
            name: text(name)?.to_owned(),
            kind,
            status: text(status)?.to_owned(),
            // `* ` marks a check that is under way.
            check: check.and_then(text).unwrap_or_default().trim_start_matches("* ").to_owned(),
            numbers: numbers.iter().map(|index| text((*index)?)?.parse().ok()).collect(),
        });
    }
    Some(read)
}

/// Splits a CSV line; a quote within quotes is doubled.
pub(super) fn fields(line: &str) -> Vec<Cow<'_, str>> {
    if !line.contains('"') {
        return line.split(',').map(Cow::Borrowed).collect();
    }
    let mut fields = vec![String::new()];
    let (mut quoted, mut characters) = (false, line.chars().peekable());
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                fields.last_mut().into_iter().for_each(|field| field.push('"'));
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().into_iter().for_each(|field| field.push(character)),
        }
    }
    fields.into_iter().map(Cow::Owned).collect()
}

/// What `show info` tells of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Information(BTreeMap<String, String>);

impl Information {
    /// Reads it out of an answer in which other things may stand too.
    pub(crate) fn parse(answer: &str) -> Self {
        let pairs = answer.lines().filter_map(|line| line.split_once(": "));
        Self(pairs.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect())
    }

    /// A value by the name that HAProxy gives it.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A number by the name that HAProxy gives it.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.text(key)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// What HAProxy 2.6.12 answered after some requests.
    const STATISTICS: &str = include_str!("answers/show-stat-2.6.12.csv");
    const INFORMATION: &str = include_str!("answers/show-info-2.6.12.txt");

    fn line(status: &str) -> Line {
        let (proxy, name, check) = (String::new(), String::new(), String::new());
        Line { proxy, name, kind: Kind::Server, status: status.to_owned(), check, numbers: Numbers::default() }
    }

    #[rstest]
    #[case("UP", MemberState::Up)]
    #[case("UP 2/3", MemberState::Up)]
    #[case("DOWN 1/2", MemberState::Down)]
    #[case("DRAIN", MemberState::Drain)]
    #[case("MAINT (via a/b)", MemberState::Maintenance)]
    #[case("no check", MemberState::NoMonitor)]
    #[case("", MemberState::Unknown)]
    fn states(#[case] status: &str, #[case] expected: MemberState) {
        assert_eq!(line(status).member_state(), expected);
        assert_eq!(line(status).number(Column::Scur), None);
    }

    #[rstest]
    #[case::requests("web", "FRONTEND", Column::ReqTot, Some(4))]
    #[case::limit("web", "FRONTEND", Column::Slim, Some(100))]
    #[case::bad("web", "FRONTEND", Column::Hrsp5xx, Some(1))]
    #[case::no_codes_of_bytes("database", "FRONTEND", Column::Hrsp5xx, None)]
    #[case::connections("database", "FRONTEND", Column::ConnTot, Some(1))]
    #[case::all("app.http", "BACKEND", Column::Stot, Some(5))]
    #[case::active("app.http", "BACKEND", Column::Act, Some(1))]
    #[case::sent("app.http", "127.0.0.1:19001", Column::Bout, Some(597))]
    #[case::weight("app.http", "shop:127.0.0.1:19002", Column::Weight, Some(0))]
    #[case::unlimited("app.tcp", "127.0.0.1:19001", Column::Slim, None)]
    fn numbers(#[case] proxy: &str, #[case] name: &str, #[case] column: Column, #[case] expected: Option<u64>) {
        let lines = parse_statistics(STATISTICS).expect("understood");
        let line = lines.iter().find(|line| line.proxy == proxy && line.name == name).expect("a line");
        assert_eq!(line.number(column), expected);
    }

    #[test]
    fn every_line_of_a_real_answer_is_read() {
        let lines = parse_statistics(STATISTICS).expect("understood");
        let count = |kind| lines.iter().filter(|line| line.kind == kind).count();
        assert_eq!([Kind::Frontend, Kind::Backend, Kind::Server].map(count), [4, 2, 5]);
        let told: Vec<_> = lines.iter().filter(|line| line.kind == Kind::Server).map(Line::health).collect();
        let states = [MemberState::Up, MemberState::NoMonitor, MemberState::Down, MemberState::Maintenance];
        assert_eq!(told[..4].iter().map(|health| health.state).collect::<Vec<_>>(), states);
        assert_eq!(told[..3].iter().map(|health| health.check.as_str()).collect::<Vec<_>>(), ["L7OK", "", "L4CON"]);
        let header: Vec<_> = STATISTICS.lines().next().expect("a header").trim_start_matches("# ").split(',').collect();
        assert_eq!(COLUMNS.iter().filter(|column| !header.contains(column)).count(), 0, "2.6.12 has all columns");
    }

    #[test]
    fn columns_are_found_by_name_and_may_be_missing_or_new() {
        let csv = "# new,pxname,svname,status,weight,type,check_status,last_chk,\n\
            ?,web,s1,UP,100,2,* L4OK,\"a, \"\"b\"\"\",\n?,web,s2,no check,x,2,,,\n?,web,sock,OPEN,,3,,,\n\n";
        let lines = parse_statistics(csv).expect("understood");
        let told: Vec<_> = lines.iter().map(|line| (line.name.as_str(), line.check.as_str())).collect();
        assert_eq!(told, [("s1", "L4OK"), ("s2", "")]);
        assert_eq!([0, 1].map(|index| lines[index].number(Column::Weight)), [Some(100), None]);
        assert_eq!(lines[0].number(Column::Scur), None);
        assert_eq!(fields("a,\"b,\"\"c\"\"\",").as_slice(), ["a", "b,\"c\"", ""]);
    }

    #[rstest]
    #[case::empty("")]
    #[case::no_csv("Unknown command\n")]
    #[case::columns_missing("# pxname,svname\n")]
    #[case::line_too_short("# pxname,svname,status,type\nweb,s1,UP\n")]
    fn other_answers_are_none(#[case] csv: &str) {
        assert_eq!(parse_statistics(csv), None);
    }

    #[test]
    fn information_is_read_among_other_answers() {
        let information = Information::parse(&format!("proc.fairway_hash: type=str value=<a>\n\n{INFORMATION}"));
        assert_eq!(information.text("Version"), Some("2.6.12-1+deb12u4"));
        let numbers =
            ["CumReq", "Hard_maxconn", "PoolAlloc_bytes", "Nothing", "Name"].map(|key| information.number(key));
        assert_eq!(numbers, [Some(8), Some(9977), Some(112_744), None, None]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in any::<String>(), at in 0..STATISTICS.len()) {
            let (before, after) = STATISTICS.split_at(at);
            for answer in [text.clone(), format!("# pxname,svname,status,type,scur\n{text}"), format!("{before}{text}{after}")] {
                let _ = parse_statistics(&answer);
                let _ = Information::parse(&answer).number(&text);
            }
        }
    }
}
