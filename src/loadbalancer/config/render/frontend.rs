//! The lines of a frontend. Pure.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::{
    TABLE_SIZE, mode,
    rules::{self, DECIDED},
};
use crate::{
    api::{Alpn, CipherSuite, ClientAuthenticationMode, TlsVersion},
    loadbalancer::{
        config::{Frontend, FrontendSettings, Hsts, HttpsRedirect, Mode, RateLimit, Tls},
        names,
    },
};

/// What is logged of a request, as a line of JSON. What a client chose is escaped by HAProxy; all else can't
/// hold anything that would have to be.
const HTTP_LOG: &str = r#"{"time":%Ts.%ms,"listener":"%ft","client":"%ci","clientPort":%cp,"pool":"%b","member":"%s","method":"%[capture.req.method,json(utf8s)]","path":"%[capture.req.uri,json(utf8s)]","host":"%[capture.req.hdr(0),json(utf8s)]","userAgent":"%[capture.req.hdr(1),json(utf8s)]","status":%ST,"bytesIn":%U,"bytesOut":%B,"milliseconds":%Ta,"termination":"%ts","tls":"%sslv"}"#;
/// The same of a connection.
const TCP_LOG: &str = r#"{"time":%Ts.%ms,"listener":"%ft","client":"%ci","clientPort":%cp,"pool":"%b","member":"%s","bytesIn":%U,"bytesOut":%B,"milliseconds":%Tt,"termination":"%ts"}"#;

pub(super) fn render(text: &mut String, frontend: &Frontend) {
    let Frontend { mode: understood, settings, https_redirect, backend, .. } = frontend;
    line!(text, "mode {}", mode(*understood));
    render_bind(text, frontend);
    if let Some(limit) = settings.connection_limit {
        line!(text, "maxconn {limit}");
    }
    line!(text, "timeout client {}s", settings.client_timeout);
    render_allowed(text, frontend);
    if settings.access_log {
        render_log(text, *understood);
    }
    if let Some(limit) = settings.rate_limit {
        render_rate_limit(text, *understood, limit, stage(settings));
    }
    if *understood == Mode::Http {
        render_headers(text, frontend);
    }
    if let Some(seconds) = frontend.inspect_timeout {
        line!(text, "tcp-request inspect-delay {seconds}s");
        line!(text, "tcp-request content reject if !{{ req.ssl_hello_type 1 }}");
    }
    if frontend.takes_rules() {
        rules::render(text, frontend);
    }
    if let Some(redirect) = https_redirect {
        render_https_redirect(text, *redirect);
    }
    if frontend.takes_rules() {
        line!(text, "use_backend %[var(txn.pool)] if {DECIDED}");
    }
    if let Some(backend) = backend {
        line!(text, "default_backend {backend}");
    }
}

/// The files with patterns that its lines refer to.
pub(super) fn files(frontend: &Frontend) -> impl Iterator<Item = (String, String)> {
    let name = &frontend.name;
    let routes = frontend.takes_rules().then(|| (names::routes_file(name), rules::routes(frontend)));
    // In an order of their own: neither the user's order nor what is said twice matters.
    let networks: BTreeSet<IpNet> = frontend.settings.allowed.iter().map(IpNet::trunc).collect();
    let lines = networks.iter().flat_map(|network| [network.to_string(), "\n".to_owned()]).collect();
    let allowed = (!networks.is_empty()).then(|| (names::allowed_file(name), lines));
    routes.into_iter().chain(allowed)
}

fn render_bind(text: &mut String, frontend: &Frontend) {
    let mut options = String::new();
    if frontend.settings.accept_proxy {
        options.push_str(" accept-proxy");
    }
    if let Some(tls) = &frontend.tls {
        options.push_str(&tls_options(tls));
    }
    line!(text, "bind :{}{options}", frontend.port);
}

fn tls_options(tls: &Tls) -> String {
    let Tls { certificate_list, minimum_version, ciphers, cipher_suites, alpn, authentication } = tls;
    let version = match minimum_version {
        TlsVersion::Tls12 => "TLSv1.2",
        TlsVersion::Tls13 => "TLSv1.3",
    };
    let alpn = alpn.iter().map(|protocol| match protocol {
        Alpn::Http2 => "h2",
        Alpn::Http11 => "http/1.1",
    });
    let alpn: Vec<_> = alpn.collect();
    let mut options = format!(" ssl crt-list {certificate_list} ssl-min-ver {version} alpn {}", alpn.join(","));
    if !ciphers.is_empty() {
        options = options + " ciphers " + &ciphers.join(":");
    }
    if !cipher_suites.is_empty() {
        let suites = cipher_suites.iter().map(|suite| match suite {
            CipherSuite::Aes128 => "TLS_AES_128_GCM_SHA256",
            CipherSuite::Aes256 => "TLS_AES_256_GCM_SHA384",
            CipherSuite::Chacha20 => "TLS_CHACHA20_POLY1305_SHA256",
        });
        options = options + " ciphersuites " + &suites.collect::<Vec<_>>().join(":");
    }
    if let Some(authentication) = authentication {
        let verify = match authentication.mode {
            ClientAuthenticationMode::Required => "required",
            ClientAuthenticationMode::Optional => "optional",
        };
        options = options + " ca-file " + &authentication.authorities + " verify " + verify;
    }
    options
}

fn render_log(text: &mut String, understood: Mode) {
    line!(text, "log stdout len 8192 format raw local0 info");
    // Health checks of what stands in front connect and say nothing.
    line!(text, "option dontlognull");
    match understood {
        Mode::Http => {
            line!(text, "http-request capture req.hdr(host) len 256");
            line!(text, "http-request capture req.hdr(user-agent) len 256");
            line!(text, "log-format '{HTTP_LOG}'");
        }
        Mode::Tcp => line!(text, "log-format '{TCP_LOG}'"),
    }
}

/// When a client's address is known: that which the PROXY protocol tells comes later.
fn stage(settings: &FrontendSettings) -> &'static str {
    if settings.accept_proxy { "session" } else { "connection" }
}

fn render_allowed(text: &mut String, Frontend { name, settings, .. }: &Frontend) {
    // Without a network in it the file would let nobody in.
    if !settings.allowed.is_empty() {
        line!(text, "acl allowed src -f {}", names::allowed_file(name));
        line!(text, "tcp-request {} reject if !allowed", stage(settings));
    }
}

fn render_rate_limit(text: &mut String, understood: Mode, limit: RateLimit, stage: &str) {
    let RateLimit { requests, period } = limit;
    let table = |counted: &str| {
        format!("stick-table type ipv6 size {TABLE_SIZE} expire {period}s store {counted}({period}s) peers fairway")
    };
    match understood {
        Mode::Http => {
            line!(text, "{}", table("http_req_rate"));
            line!(text, "http-request track-sc0 src");
            line!(text, "http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {requests} }}");
        }
        Mode::Tcp => {
            line!(text, "{}", table("conn_rate"));
            line!(text, "tcp-request {stage} track-sc0 src");
            line!(text, "tcp-request {stage} reject if {{ sc_conn_rate(0) gt {requests} }}");
        }
    }
}

fn render_headers(text: &mut String, frontend: &Frontend) {
    let scheme = if frontend.tls.is_some() { "https" } else { "http" };
    // Idle keep-alive connections are closed with their next response: a reload loses no request.
    line!(text, "option idle-close-on-response");
    let headers = &frontend.settings.headers;
    if headers.x_forwarded_for {
        line!(text, "option forwardfor");
    }
    if headers.x_forwarded_proto {
        line!(text, "http-request set-header X-Forwarded-Proto {scheme}");
    }
    if headers.x_forwarded_port {
        line!(text, "http-request set-header X-Forwarded-Port {}", frontend.port);
    }
    if let Some(Hsts { max_age, include_subdomains, preload }) = frontend.settings.hsts {
        let subdomains = if include_subdomains { "; includeSubDomains" } else { "" };
        let preload = if preload { "; preload" } else { "" };
        line!(
            text,
            "http-after-response set-header Strict-Transport-Security 'max-age={max_age}{subdomains}{preload}'"
        );
    }
}

fn render_https_redirect(text: &mut String, HttpsRedirect { status, port }: HttpsRedirect) {
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    line!(
        text,
        "http-request redirect location https://%[req.hdr(host),host_only]{port}%[pathq] code {status} unless {DECIDED}"
    );
}
