//! Which addresses a configuration listens on, read from its `bind` lines. Pure. `haproxy -c` says yes to
//! an address that is taken, and a reload that cannot bind takes the service down for two seconds, so
//! every new address is tried beforehand ([`super::judge::try_addresses`]).

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// The TCP addresses of all `bind` lines. What cannot be tried beforehand (UNIX sockets, QUIC, names,
/// environment variables) is left out.
#[must_use]
pub fn addresses(text: &str) -> BTreeSet<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next()? == "bind").then(|| words.next())?
        })
        .flat_map(|word| word.split(','))
        .flat_map(one)
        .collect()
}

fn one(word: &str) -> Vec<SocketAddr> {
    let word = word.trim_matches('"');
    let (any, rest): (IpAddr, &str) = match word.split_once('@') {
        None => (Ipv4Addr::UNSPECIFIED.into(), word),
        Some(("ipv4" | "tcp4" | "tcp", rest)) => (Ipv4Addr::UNSPECIFIED.into(), rest),
        Some(("ipv6" | "tcp6", rest)) => (Ipv6Addr::UNSPECIFIED.into(), rest),
        Some(_) => return Vec::new(),
    };
    let Some((host, ports)) = rest.rsplit_once(':') else { return Vec::new() };
    let address = match host.trim_start_matches('[').trim_end_matches(']') {
        "" | "*" => Some(any),
        host => host.parse().ok(),
    };
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    match (address, low.parse::<u16>(), high.parse::<u16>()) {
        (Some(address), Ok(low), Ok(high)) => (low..=high).map(|port| (address, port).into()).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("    bind :80", &["0.0.0.0:80"])]
    #[case("bind *:80 name web", &["0.0.0.0:80"])]
    #[case("bind 127.0.0.1:80,127.0.0.1:81", &["127.0.0.1:80", "127.0.0.1:81"])]
    #[case("bind :::80 v4v6", &["[::]:80"])]
    #[case("bind [::1]:80", &["[::1]:80"])]
    #[case("bind ipv6@:80", &["[::]:80"])]
    #[case("bind ipv4@10.0.0.1:80", &["10.0.0.1:80"])]
    #[case("bind :80-82 ssl crt a.pem", &["0.0.0.0:80", "0.0.0.0:81", "0.0.0.0:82"])]
    #[case("bind quic4@:443", &[])]
    #[case("bind unix@/run/a.sock", &[])]
    #[case("bind /run/a.sock", &[])]
    #[case("bind name:80", &[])]
    #[case("bind", &[])]
    #[case("# bind :80", &[])]
    #[case("bind-process 1", &[])]
    fn bind_lines(#[case] line: &str, #[case] expected: &[&str]) {
        let expected = expected.iter().map(|address| address.parse().expect("an address")).collect();
        assert_eq!(addresses(line), expected);
    }
}
