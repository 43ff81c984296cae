//! What listeners and pools went on with before, where they name something else now that can't be used: a
//! wrong name takes nothing away that served. Pure.

use super::References;
use crate::{
    agent::protocol::{Configuration, MAIN_FILE},
    loadbalancer::{
        config::{Mode, Server},
        names,
        plan::parse::{Listener, Pool, Spec},
    },
};

/// Has listeners and pools name what they had before, in place of what can't be used and never could.
pub fn fall_back(spec: &mut Spec, references: &mut References, last_good: Option<&Configuration>) {
    let Some(last_good) = last_good else { return };
    for listener in &mut spec.listeners {
        certificates(listener, references, last_good);
        authorities_of_listener(listener, references, last_good);
    }
    for pool in &mut spec.pools {
        authorities_of_pool(pool, references, last_good);
    }
}

/// While a certificate is missing, all that the listener had stay, and in their order: it may be meant to take
/// the place of any of them.
fn certificates(listener: &mut Listener, references: &mut References, last_good: &Configuration) {
    if listener.certificates.iter().all(|name| references.certificates.contains_key(name)) {
        return;
    }
    let list = last_good.files.get(&names::certificate_list(&listener.frontend.name)).map_or("", String::as_str);
    let mut kept: Vec<String> = vec![];
    for file in list.lines() {
        if let Some(name) = names::of_certificate_file(file)
            && let Some(content) = last_good.files.get(file)
        {
            references.certificates.entry(name.to_owned()).or_insert_with(|| content.clone());
            kept.push(name.to_owned());
        }
    }
    let added: Vec<String> = listener.certificates.iter().filter(|name| !kept.contains(name)).cloned().collect();
    listener.certificates = kept.into_iter().chain(added).collect();
}

fn authorities_of_listener(listener: &mut Listener, references: &mut References, last_good: &Configuration) {
    let section = format!("frontend {}", listener.frontend.name);
    let Some(name) = authorities(listener.authorities.as_ref(), &[section], references, last_good) else { return };
    if let Some(authentication) = listener.frontend.tls.as_mut().and_then(|tls| tls.authentication.as_mut()) {
        authentication.authorities = names::authorities_file(&name);
        listener.authorities = Some(name);
    }
}

fn authorities_of_pool(pool: &mut Pool, references: &mut References, last_good: &Configuration) {
    let sections = [Mode::Http, Mode::Tcp].map(|mode| format!("backend {}", names::backend(&pool.name, mode)));
    let Some(name) = authorities(pool.authorities.as_ref(), &sections, references, last_good) else { return };
    if let Some(tls) = &mut pool.settings.tls {
        tls.authorities = Some(names::authorities_file(&name));
        pool.authorities = Some(name);
    }
}

/// The `ConfigMap` whose authorities one of these sections had before, where those that it names now can't be
/// used and never could.
fn authorities(
    named: Option<&String>,
    sections: &[String],
    references: &mut References,
    last_good: &Configuration,
) -> Option<String> {
    if references.authorities.contains_key(named?) {
        return None;
    }
    let mut words = lines(last_good, |section| sections.iter().any(|wanted| wanted == section))
        .flat_map(str::split_ascii_whitespace)
        .skip_while(|word| *word != "ca-file");
    let file = words.nth(1)?;
    let name = names::of_authorities_file(file)?.to_owned();
    references.authorities.entry(name.clone()).or_insert(last_good.files.get(file)?.clone());
    Some(name)
}

/// The servers that a pool had from `origin`; where it had none, those of origins that it names no more:
/// `origin` may be meant to take their place.
pub(super) fn servers(pool: &str, origin: &str, named: &[String], last_good: Option<&Configuration>) -> Vec<Server> {
    let Some(last_good) = last_good else { return vec![] };
    let backends = [Mode::Http, Mode::Tcp].map(|mode| format!("backend {}", names::backend(pool, mode)));
    let mut found: Vec<(String, Server)> = vec![];
    for server in
        lines(last_good, |section| backends.iter().any(|backend| backend == section)).filter_map(Server::from_line)
    {
        if let Some(origin) = server.origin()
            && !found.iter().any(|(_, known)| known.name == server.name)
        {
            // What is checked is the pool's to say.
            found.push((origin.to_owned(), Server { check_address: None, check_port: None, ..server }));
        }
    }
    let here = found.iter().any(|(known, _)| known == origin);
    found.retain(|(known, _)| if here { known == origin } else { !named.contains(known) });
    found.into_iter().map(|(_, server)| server).collect()
}

/// The lines of the sections that are wanted.
fn lines(configuration: &Configuration, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
    let text = configuration.files.get(MAIN_FILE).map_or("", String::as_str);
    let mut inside = false;
    text.lines().filter(move |line| {
        if !line.starts_with(' ') {
            inside = wanted(line);
        }
        inside
    })
}
