//! How a registry is reached.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Exposure, ServiceSettings};

/// How a registry is reached.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.type == 'LoadBalancer' || !has(self.loadBalancer)",
        "loadBalancer is for exposure of type LoadBalancer only: change the type or leave it out"
    ),
    validation = (
        "self.type == 'Ingress' || !has(self.ingress)",
        "ingress is for exposure of type Ingress only: change the type or leave it out"
    ),
    validation = (
        "self.type == 'Service' || !has(self.service)",
        "service is for exposure of type Service only: change the type or leave it out"
    ),
    validation = (
        "self.type != 'Service' || !has(self.tls)",
        "tls is for exposure of type LoadBalancer or Ingress: a plain Service speaks HTTP"
    )
)]
pub struct HarborExposure {
    /// `LoadBalancer` (a `LoadBalancer` resource of Fairway that belongs to the registry), `Ingress` (for an
    /// ingress controller that is there) or `Service` (a Service with an nginx of the portal's image behind it
    /// that sends each request where it belongs, for something in front that ends TLS). Default: `LoadBalancer`.
    #[serde(rename = "type", default)]
    pub kind: FrontDoor,

    /// For `LoadBalancer`: what it is like. Defaults: see the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<HarborLoadBalancer>,

    /// For `Ingress`: what it is like. Defaults: see the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<HarborIngress>,

    /// For `Service`: what it is like. Default: a Service of type `ClusterIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSettings>,

    /// Where the certificate for the external URL comes from. Default: none, for an external URL that begins with
    /// `http://`, or where something else ends TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ExposureTls>,
}

/// What a registry is reached through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FrontDoor {
    /// A `LoadBalancer` resource.
    #[default]
    LoadBalancer,
    /// An Ingress.
    Ingress,
    /// A Service.
    Service,
}

/// The `LoadBalancer` of a registry.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HarborLoadBalancer {
    /// Its `LoadBalancerClass`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub class_name: Option<String>,

    /// How many HAProxy pods it has. Default: its class's, else 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: Option<i32>,

    /// How clients reach its pods. Default: its class's, else a Service of type `ClusterIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,

    /// The networks that clients may come from, as `10.0.0.0/8` or `2001:db8::/32`, at most 128. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 43)))]
    #[x_kube(validation = (
        "self.all(c, isCIDR(c))",
        "allowedCidrs must be networks in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/32"
    ))]
    pub allowed_cidrs: Vec<String>,
}

/// The Ingress of a registry.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HarborIngress {
    /// The Ingress class. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub class_name: Option<String>,

    /// Annotations, at most 32; bodies must not be limited, and take up to 15 minutes: say so to the controller.
    /// Default: what nginx's ingress controller needs for that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
}

/// Where a certificate comes from.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.secretName) != has(self.certManager)",
    "tls needs either secretName, for a certificate that is there, or certManager, for one to be issued: give one of them"
))]
pub struct ExposureTls {
    /// The name of a Secret of type `kubernetes.io/tls` in the same namespace. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub secret_name: Option<String>,

    /// Who of cert-manager issues and renews one: a `Certificate` is made for the host of `externalURL`, and kept in
    /// the Secret `<name>-front-tls`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_manager: Option<CertificateIssuer>,
}

/// An issuer of cert-manager.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateIssuer {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub issuer_name: String,

    /// `Issuer` (of the same namespace) or `ClusterIssuer`. Default: `Issuer`.
    #[serde(default)]
    pub issuer_kind: IssuerKind,
}

/// Where an issuer of cert-manager is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IssuerKind {
    /// In a namespace.
    #[default]
    Issuer,
    /// In none.
    ClusterIssuer,
}
