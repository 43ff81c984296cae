//! What a new worker is told of members' health by the old one, so that a reload neither gives traffic to a
//! member that is down nor forgets how well one was: the text of a server state file (the management guide,
//! 9.3 `show servers state`). Pure.
//!
//! Told is only of what is the same before and after: the member's line but for its name and weight, and all
//! other lines of its pool, among them the monitor's. HAProxy starts anew with the others. Addresses are never
//! carried over: HAProxy would believe the saved ones.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use super::layout::{Layout, Server};

/// A state file that tells nothing: the version of the format.
pub const NOTHING: &str = "1\n";
/// `srv_op_state` of a server that is down, of one that comes up slowly, and of one that is up.
const DOWN: &str = "0";
const STARTING: &str = "1";
const UP: &str = "2";
/// `srv_check_state` of a server that is checked: configured and enabled (`CHK_ST_CONFIGURED`, `CHK_ST_ENABLED`).
const CHECKED: u32 = 0x06;
/// `srv_admin_state` of one that is out of service, for whatever reason (9.3, all but drain).
const MAINTENANCE: u32 = 0x01 | 0x02 | 0x20 | 0x40;

/// The state file for a worker that will run `wanted`, from what one that runs `running` answered to `show
/// servers state`; both are main files. [`NOTHING`] where one of them is not understood.
#[must_use]
pub fn carried_over(state: &str, running: &str, wanted: &str) -> String {
    lines(state, running, wanted).unwrap_or_else(|| NOTHING.to_owned())
}

fn lines(state: &str, running: &str, wanted: &str) -> Option<String> {
    let rows = Rows::parse(state)?;
    let places = rows.in_service();
    let [sections_before, sections_after] = [running, wanted].map(sections);
    let [before, after] = [running, wanted].map(|text| Layout::parse(text).ok());
    let (before, after) = (before?, after?);
    let mut text = format!("{NOTHING}# {}\n", rows.header.join(" "));
    for (name, backend) in &after.backends {
        let Some(old) = before.backends.get(name) else { continue };
        if sections_before.get(name.as_str()) != sections_after.get(name.as_str()) {
            continue;
        }
        for server in backend.servers.iter().filter(|server| !server.is_spare() && server.enabled) {
            if old.servers.iter().any(|before| is_same(before, server))
                && let Some(row) = places.get(&(name.as_str(), server.address))
                && let Some(row) = rows.renamed(row, server)
            {
                text.push_str(&row);
                text.push('\n');
            }
        }
    }
    Some(text)
}

/// Whether two lines are of the same member, looked after in the same way.
fn is_same(before: &Server, after: &Server) -> bool {
    let nameless = |server: &Server| Server { name: String::new(), weight: 0, ..server.clone() };
    before.address == after.address && nameless(before) == nameless(after)
}

/// The lines of each backend but those of servers.
fn sections(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if !line.starts_with([' ', '\t']) {
            current = line.strip_prefix("backend ").map(str::trim);
        } else if let Some(name) = current
            && !line.trim_start().starts_with("server ")
        {
            sections.entry(name).or_default().push(line.trim());
        }
    }
    sections
}

/// An answer to `show servers state`.
struct Rows<'a> {
    header: Vec<&'a str>,
    rows: Vec<Vec<&'a str>>,
}

impl<'a> Rows<'a> {
    fn parse(state: &'a str) -> Option<Self> {
        let mut lines = state.lines().filter(|line| !line.is_empty());
        (lines.next()? == "1").then_some(())?;
        let header: Vec<_> = lines.next()?.strip_prefix("# ")?.split(' ').collect();
        let rows: Vec<Vec<_>> = lines.map(|line| line.split(' ').collect()).collect();
        rows.iter().all(|row| row.len() == header.len()).then_some(Self { header, rows })
    }

    fn column(&self, row: &[&'a str], name: &str) -> Option<&'a str> {
        row.get(self.header.iter().position(|column| *column == name)?).copied()
    }

    /// The rows of what takes traffic, by backend and address, in whichever slot it is.
    fn in_service(&self) -> HashMap<(&'a str, SocketAddr), &[&'a str]> {
        let place = |row: &[&'a str]| {
            let admin: u32 = self.column(row, "srv_admin_state")?.parse().ok()?;
            let ip = self.column(row, "srv_addr")?.parse().ok()?;
            let port = self.column(row, "srv_port")?.parse().ok()?;
            (admin & MAINTENANCE == 0).then_some((self.column(row, "be_name")?, SocketAddr::new(ip, port)))
        };
        self.rows.iter().filter_map(|row| Some((place(row)?, row.as_slice()))).collect()
    }

    /// A row under the name that the server will have; none while its health is not known.
    fn renamed(&self, row: &[&'a str], server: &Server) -> Option<String> {
        if self.column(row, "srv_check_state")?.parse::<u32>().ok()? & CHECKED != CHECKED {
            return None;
        }
        let state = match self.column(row, "srv_op_state")? {
            DOWN => DOWN,
            UP | STARTING => UP,
            _ => return None,
        };
        let weight = server.weight.to_string();
        let fields = self.header.iter().zip(row).map(|(column, value)| match *column {
            "srv_name" => server.name.as_str(),
            "srv_op_state" => state,
            "srv_uweight" | "srv_iweight" => weight.as_str(),
            "srv_admin_state" | "srv_agent_state" | "bk_f_forced_id" | "srv_f_forced_id" | "srv_check_port" => "0",
            "srv_fqdn" | "srv_check_addr" => "-",
            _ => value,
        });
        Some(fields.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HEADER: &str = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
                          srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health \
                          srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord \
                          srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port";
    const RUNNING: &str = "defaults\n    mode http\nbackend web\n    option httpchk\n    server a 10.0.0.1:80 weight 5 \
                           check\n    server fairway-spare-1 127.0.0.1:9 disabled weight 1 check\n";

    fn row(name: &str, ip: &str, port: u16, op: u8, admin: u8, check: u8) -> String {
        format!("3 web 1 {name} {ip} {op} {admin} 5 5 61 7 2 0 {check} 0 0 0 - {port} - 0 80 10.9.9.9 - 0\n")
    }

    fn told(name: &str, ip: &str, port: u16, op: u8, weight: u16) -> String {
        format!("1\n{HEADER}\n3 web 1 {name} {ip} {op} 0 {weight} {weight} 61 7 2 0 6 0 0 0 - {port} - 0 0 - - 0\n")
    }

    fn nothing() -> String {
        format!("1\n{HEADER}\n")
    }

    #[rstest]
    #[case::down(row("a", "10.0.0.1", 80, 0, 0, 6), RUNNING.to_owned(), told("a", "10.0.0.1", 80, 0, 5))]
    #[case::up(row("a", "10.0.0.1", 80, 2, 0, 6), RUNNING.to_owned(), told("a", "10.0.0.1", 80, 2, 5))]
    #[case::coming(row("a", "10.0.0.1", 80, 1, 0, 6), RUNNING.to_owned(), told("a", "10.0.0.1", 80, 2, 5))]
    #[case::weighed(row("a", "10.0.0.1", 80, 0, 0, 6), RUNNING.replace("weight 5", "weight 9"),
        told("a", "10.0.0.1", 80, 0, 9))]
    #[case::renamed(row("fairway-spare-1", "10.0.0.1", 80, 0, 0, 6), RUNNING.replace("server a", "server b"),
        told("b", "10.0.0.1", 80, 0, 5))]
    #[case::unchecked(row("a", "10.0.0.1", 80, 0, 0, 0), RUNNING.to_owned(), nothing())]
    #[case::out_of_service(row("a", "10.0.0.1", 80, 0, 1, 6), RUNNING.to_owned(), nothing())]
    #[case::elsewhere(row("a", "10.0.0.1", 80, 0, 0, 6), RUNNING.replace("10.0.0.1:80", "10.0.0.2:80"), nothing())]
    #[case::other_port(row("a", "10.0.0.1", 81, 0, 0, 6), RUNNING.to_owned(), nothing())]
    #[case::other_monitor(row("a", "10.0.0.1", 80, 0, 0, 6), RUNNING.replace("option httpchk", "timeout check 2s"),
        nothing())]
    #[case::other_options(row("a", "10.0.0.1", 80, 0, 0, 6), RUNNING.replace("weight 5 check", "weight 5 check backup"),
        nothing())]
    #[case::gone(row("a", "10.0.0.1", 80, 0, 0, 6), "backend other\n".to_owned(), nothing())]
    fn what_is_the_same_is_told(#[case] rows: String, #[case] wanted: String, #[case] expected: String) {
        assert_eq!(carried_over(&format!("1\n{HEADER}\n{rows}"), RUNNING, &wanted), expected);
    }

    #[rstest]
    #[case::silence("")]
    #[case::another_version("2\n# be_id\n")]
    #[case::a_short_row(&format!("1\n{HEADER}\n3 web\n"))]
    fn what_is_not_understood_tells_nothing(#[case] state: &str) {
        assert_eq!(carried_over(state, RUNNING, RUNNING), NOTHING);
    }
}
