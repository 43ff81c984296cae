//! TLS: what is accepted of clients, and what is expected of members.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Versions, ciphers and protocols of TLS.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// The oldest version that is accepted: `TLSv1.2` or `TLSv1.3`. Default: `TLSv1.2`.
    #[serde(default)]
    pub minimum_version: TlsVersion,

    /// The ciphers of TLS 1.2 by OpenSSL's names, the preferred first, at most 32, such as
    /// `ECDHE-ECDSA-AES128-GCM-SHA256`. Default: OpenSSL's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 64), regex(pattern = "^[A-Z0-9][A-Z0-9-]*$")))]
    pub ciphers: Vec<String>,

    /// The ciphers of TLS 1.3, the preferred first, at most 8. Default: OpenSSL's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub cipher_suites: Vec<CipherSuite>,

    /// The protocols over TLS, the preferred first: `h2` (HTTP/2) and `http/1.1`. Default: `http/1.1` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub alpn: Vec<Alpn>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "TLSv1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "TLSv1.3")]
    Tls13,
}

/// A cipher of TLS 1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CipherSuite {
    /// AES with 128 bits.
    #[serde(rename = "TLS_AES_128_GCM_SHA256")]
    Aes128,
    /// AES with 256 bits.
    #[serde(rename = "TLS_AES_256_GCM_SHA384")]
    Aes256,
    /// `ChaCha20`.
    #[serde(rename = "TLS_CHACHA20_POLY1305_SHA256")]
    Chacha20,
}

/// A protocol over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Alpn {
    /// HTTP/2.
    #[serde(rename = "h2")]
    Http2,
    /// HTTP/1.1.
    #[serde(rename = "http/1.1")]
    Http11,
}

/// Which certificates clients have to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientAuthentication {
    /// `Required` (without a good certificate there is no connection) or `Optional` (one that is shown must
    /// be good). Default: `Required`.
    #[serde(default)]
    pub mode: ClientAuthenticationMode,

    /// The name of a `ConfigMap` in the same namespace whose key `ca.crt` holds, as PEM, the certificates of
    /// the authorities that are trusted.
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub ca_config_map_name: String,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientAuthenticationMode {
    /// They have to.
    #[default]
    Required,
    /// They may.
    Optional,
}

/// TLS towards members.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.verification == 'None' || has(self.caConfigMapName)",
    "tls of a pool needs caConfigMapName, or verification: None to trust whoever answers"
))]
pub struct PoolTls {
    /// `Required` (a member must show a good certificate) or `None` (whoever answers is trusted). Default:
    /// `Required`.
    #[serde(default)]
    pub verification: Verification,

    /// The name of a `ConfigMap` in the same namespace whose key `ca.crt` holds, as PEM, the certificates of
    /// the authorities that are trusted. Default: none, with `verification` `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub ca_config_map_name: Option<String>,

    /// The name that members are asked for (SNI), and that their certificates must be for. Default: none is
    /// asked for, and any name will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$"))]
    pub server_name: Option<String>,
}

/// Whether certificates of members are verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verification {
    /// They are.
    #[default]
    Required,
    /// They aren't.
    None,
}
