//! Listeners, as values that can't be misunderstood.

use std::collections::BTreeSet;

use super::{SpecError, error, label, number, object_name, one_of, rule};
use crate::{
    api::{self, Protocol},
    loadbalancer::{
        config::{Authentication, Frontend, FrontendSettings, Hsts, HttpsRedirect, Mode, RateLimit, Tls},
        names,
    },
};

/// The status codes of redirects.
pub(super) const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// A port that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Whether it answers.
    pub enabled: bool,
    /// Names of Secrets; none but where TLS ends here, and at least one there.
    pub certificates: Vec<String>,
    /// The name of the `ConfigMap` with the authorities of clients' certificates.
    pub authorities: Option<String>,
    /// What HAProxy is told.
    pub frontend: Frontend,
}

pub(super) fn parse(listener: &api::Listener, pools: &BTreeSet<&str>) -> Result<Listener, SpecError> {
    let field = format!("spec.listeners[{}]", listener.name);
    label(&field, &listener.name)?;
    suits_protocol(&field, listener)?;
    let mode = match listener.protocol {
        Protocol::Http | Protocol::Https => Mode::Http,
        Protocol::Tcp | Protocol::Tls => Mode::Tcp,
    };
    let pool = |field: &str, name: &String| {
        if pools.contains(name.as_str()) {
            return Ok(names::backend(name, mode));
        }
        Err(error(field, &format!("there is no pool {name:?} in spec.pools: add it or correct the name")))
    };
    let authentication = listener.client_authentication.as_ref();
    let certificates = listener
        .certificates
        .iter()
        .map(|certificate| object_name(&format!("{field}.certificates"), &certificate.secret_name))
        .collect::<Result<_, _>>()?;
    let authorities = authentication
        .map(|authentication| {
            object_name(&format!("{field}.clientAuthentication.caConfigMapName"), &authentication.ca_config_map_name)
        })
        .transpose()?;
    let inspect = listener.timeouts.as_ref().and_then(|timeouts| timeouts.inspect_seconds).unwrap_or(5);
    let frontend = Frontend {
        name: listener.name.clone(),
        mode,
        port: number(&format!("{field}.port"), listener.port, 1, u16::MAX)?,
        tls: (listener.protocol == Protocol::Https).then(|| tls(&field, listener)).transpose()?,
        inspect_timeout: (listener.protocol == Protocol::Tls)
            .then(|| number(&format!("{field}.timeouts.inspectSeconds"), inspect, 1, 60))
            .transpose()?,
        settings: settings(&field, listener)?,
        rules: rule::parse(&field, &listener.rules, mode, &pool)?,
        https_redirect: https_redirect(&field, listener.redirect_to_https.as_ref())?,
        backend: listener.pool.as_ref().map(|name| pool(&format!("{field}.pool"), name)).transpose()?,
    };
    Ok(Listener { enabled: listener.enabled, certificates, authorities, frontend })
}

/// Refuses what makes no sense with the listener's protocol.
fn suits_protocol(field: &str, listener: &api::Listener) -> Result<(), SpecError> {
    let wrong = |name: &str, problem: &str| Err(error(&format!("{field}.{name}"), problem));
    let https = listener.protocol == Protocol::Https;
    if https == listener.certificates.is_empty() {
        return wrong("certificates", "HTTPS needs at least one, other protocols take none");
    }
    if !https && (listener.tls.is_some() || listener.hsts.is_some() || listener.client_authentication.is_some()) {
        return wrong("protocol", "tls, hsts and clientAuthentication are for HTTPS only");
    }
    if listener.redirect_to_https.is_some() && (listener.protocol != Protocol::Http || listener.pool.is_some()) {
        return wrong("redirectToHttps", "it is for HTTP only, and without a pool");
    }
    if listener.protocol == Protocol::Tcp && !listener.rules.is_empty() {
        return wrong("rules", "they are for HTTP, HTTPS and TLS only");
    }
    let goes_somewhere = listener.redirect_to_https.is_some() || !listener.rules.is_empty();
    if listener.pool.is_none() && !goes_somewhere {
        return wrong("pool", "name a pool: nothing else tells where the traffic goes");
    }
    Ok(())
}

fn settings(field: &str, listener: &api::Listener) -> Result<FrontendSettings, SpecError> {
    let client_timeout = listener.timeouts.as_ref().and_then(|timeouts| timeouts.client_seconds).unwrap_or(50);
    let allowed = listener
        .allowed_cidrs
        .iter()
        .map(|text| {
            text.parse().map_err(|_| {
                error(&format!("{field}.allowedCidrs"), &format!("{text:?} is not a network in CIDR notation"))
            })
        })
        .collect::<Result<_, _>>()?;
    let limit = |limit| number(&format!("{field}.connectionLimit"), limit, 1, 1_000_000);
    Ok(FrontendSettings {
        allowed,
        client_timeout: number(&format!("{field}.timeouts.clientSeconds"), client_timeout, 1, 86_400)?,
        connection_limit: listener.connection_limit.map(limit).transpose()?,
        rate_limit: listener.rate_limit.as_ref().map(|limit| rate_limit(field, limit)).transpose()?,
        accept_proxy: listener.proxy_protocol,
        access_log: listener.access_log,
        headers: listener.insert_headers.clone().unwrap_or_default(),
        hsts: listener.hsts.as_ref().map(|hsts| self::hsts(field, hsts)).transpose()?,
    })
}

fn rate_limit(field: &str, limit: &api::RateLimit) -> Result<RateLimit, SpecError> {
    let api::RateLimit { requests, period_seconds } = limit;
    Ok(RateLimit {
        requests: number(&format!("{field}.rateLimit.requests"), *requests, 1, 1_000_000)?,
        period: number(&format!("{field}.rateLimit.periodSeconds"), *period_seconds, 1, 3_600)?,
    })
}

fn hsts(field: &str, hsts: &api::Hsts) -> Result<Hsts, SpecError> {
    let api::Hsts { max_age_seconds, include_subdomains, preload } = hsts;
    Ok(Hsts {
        max_age: number(&format!("{field}.hsts.maxAgeSeconds"), *max_age_seconds, 0, 63_072_000)?,
        include_subdomains: *include_subdomains,
        preload: *preload,
    })
}

fn https_redirect(field: &str, redirect: Option<&api::RedirectToHttps>) -> Result<Option<HttpsRedirect>, SpecError> {
    let Some(api::RedirectToHttps { status_code, port }) = redirect else { return Ok(None) };
    Ok(Some(HttpsRedirect {
        status: one_of(&format!("{field}.redirectToHttps.statusCode"), *status_code, &REDIRECTS)?,
        port: number(&format!("{field}.redirectToHttps.port"), *port, 1, u16::MAX)?,
    }))
}

fn tls(field: &str, listener: &api::Listener) -> Result<Tls, SpecError> {
    let api::ListenerTls { minimum_version, ciphers, cipher_suites, alpn } = listener.tls.clone().unwrap_or_default();
    let good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    if let Some(cipher) = ciphers.iter().find(|cipher| cipher.is_empty() || !cipher.bytes().all(good)) {
        return Err(error(&format!("{field}.tls.ciphers"), &format!("{cipher:?} is not a cipher's name")));
    }
    Ok(Tls {
        certificate_list: names::certificate_list(&listener.name),
        minimum_version,
        ciphers,
        cipher_suites,
        alpn: if alpn.is_empty() { vec![api::Alpn::Http11] } else { alpn },
        authentication: listener.client_authentication.as_ref().map(|authentication| Authentication {
            authorities: names::authorities_file(&authentication.ca_config_map_name),
            mode: authentication.mode,
        }),
    })
}
