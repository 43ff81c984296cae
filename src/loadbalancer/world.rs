//! All that a plan may depend on, as plain data: what `observe` reads and `plan` decides upon.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{
    agent::protocol::{Configuration, Report},
    api::{Address, ConfigurationStatus, LoadBalancerClassSpec, ServicePort},
};

/// What was seen in one go.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The class that the spec names, when it exists.
    pub class: Option<LoadBalancerClassSpec>,
    /// The Secrets of type `kubernetes.io/tls` that listeners name, by name; those that exist.
    pub certificates: BTreeMap<String, CertificateSecret>,
    /// What `ca.crt` of the `ConfigMap`s says that listeners and pools name, by name; those that exist.
    pub authorities: BTreeMap<String, Option<String>>,
    /// The Services that pools name, by name; those that exist.
    pub services: BTreeMap<String, ServiceWorld>,
    /// The pods that pools select, by the text of the selector; those that are known: a selector that is not
    /// among them was not listed yet.
    pub selected: BTreeMap<String, Vec<SelectedPod>>,
    /// What the configuration Secret holds; read only when something that the spec names can't be used,
    /// so that what served until now goes on.
    pub last_good: Option<Configuration>,
    /// What the configuration Secret says that it holds.
    pub configuration: Option<ConfigurationStatus>,
    /// The agents' certificate, when it was issued.
    pub identity: Option<Identity>,
    /// What the Deployment's pod template was made from, when there is a Deployment.
    pub pins: Option<Pins>,
    /// Where the Service is reached, when there is one.
    pub service_addresses: Vec<Address>,
    /// The pods.
    pub replicas: Vec<Replica>,
    /// What this operator was installed with.
    pub installation: Installation,
}

/// A Secret of type `kubernetes.io/tls`.
#[derive(Clone, Default)]
pub struct CertificateSecret {
    /// `tls.crt`, when the key is there.
    pub certificate: Option<Vec<u8>>,
    /// `tls.key`, when the key is there.
    pub key: Option<Vec<u8>>,
}

impl std::fmt::Debug for CertificateSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("CertificateSecret(…)")
    }
}

/// A Service and its endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceWorld {
    /// Its ports.
    pub ports: Vec<ServicePortWorld>,
    /// Whether there is an `EndpointSlice` of it. Kubernetes makes one for every Service, be it empty: as
    /// long as there is none it is not known what stands behind a Service that was just made.
    pub sliced: bool,
    /// Its endpoints that can serve, each with the port's name.
    pub endpoints: Vec<Endpoint>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePortWorld {
    /// Empty where it has none.
    pub name: String,
    /// The number clients of the Service use.
    pub number: i32,
}

impl ServicePortWorld {
    /// Whether a user who writes `port` means this one.
    #[must_use]
    pub fn is(&self, port: &ServicePort) -> bool {
        match port {
            ServicePort::Number(number) => self.number == *number,
            ServicePort::Name(name) => self.name == *name,
        }
    }
}

/// An address and port behind a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The name of the Service's port; empty where it has none.
    pub port_name: String,
    /// Where it is.
    pub address: IpAddr,
    /// The port of the pod.
    pub port: u16,
    /// Whether it is on its way out, and serves all the same.
    pub ending: bool,
}

/// A pod that a selector matches and that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedPod {
    /// Where it is: the first of its addresses, when it has one.
    pub address: Option<IpAddr>,
    /// Whether it is ready, as Kubernetes says.
    pub ready: bool,
    /// Whether it was asked to end.
    pub ending: bool,
    /// The named TCP ports of its containers.
    pub ports: Vec<(String, u16)>,
}

/// The agents' certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Why it is to be issued again; none while it is good.
    pub renew: Option<String>,
}

/// What a Deployment's pod template was made from. As long as the inputs are the same, the template is
/// made again from the same pins, so that a new operator changes no pod by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pins {
    /// A hash of what user and class decide.
    pub inputs: String,
    /// Which way of making the template.
    pub layout: u32,
    /// The image that the agent's binary comes from.
    pub fairway_image: String,
    /// The HAProxy image.
    pub haproxy_image: String,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    /// Its name.
    pub pod: String,
    /// Its node; empty while it has none.
    pub node: String,
    /// Its address, when it has one.
    pub address: Option<IpAddr>,
    /// Its node's address, when it has one.
    pub node_address: Option<IpAddr>,
    /// Whether it takes traffic.
    pub ready: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Why it does not come up, in Kubernetes' words; empty when it does.
    pub waiting: String,
    /// What its agent says, or why it says nothing.
    pub report: Option<Result<Report, String>>,
}

impl Replica {
    /// What its agent says, if it answered.
    #[must_use]
    pub fn answer(&self) -> Option<&Report> {
        self.report.as_ref()?.as_ref().ok()
    }

    /// The hash of the configuration that it has proven; none while none is.
    #[must_use]
    pub fn proven(&self) -> Option<&str> {
        Some(self.answer()?.proven.as_ref()?.hash.as_str())
    }
}

/// What an operator was installed with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installation {
    /// The operator's own image.
    pub fairway_image: String,
    /// The HAProxy image that it is released with.
    pub haproxy_image: String,
    /// The namespace that the operator runs in.
    pub namespace: String,
}
