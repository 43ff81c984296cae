//! The `ClusterServiceVersion`: what OLM installs, with which rights, and what a catalog shows of it. The Deployment is
//! that of `config/manager`, the roles are those of `config/rbac`: each is written down once. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::{
    api::{core::v1::Pod, discovery::v1::EndpointSlice, events::v1::Event},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{CustomResourceExt, Resource, api::ApiResource};
use serde_json::{Value, json};

use super::{
    Images,
    descriptors::{descriptors, display_name},
    examples::{self, read},
};
use crate::{
    api::{Harbor, HarborClass, HarborProject, HarborRobot, LoadBalancer, LoadBalancerClass},
    harbor::{Harbors, robot::HarborRobots},
    loadbalancer::LoadBalancers,
    package::{
        GenerateError, definition, rbac,
        releases::{Releases, bundle_name},
    },
    reconcile::Family,
    scorecard,
};

const INSTALL_MODES: [&str; 4] = ["OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces"];
/// What a catalog shows below the name; it shows 135 characters.
const SUMMARY: &str =
    "HAProxy load balancers, one small instance for each customer, changed live without dropping a request.";
/// The long text of a catalog's page.
pub(super) const DESCRIPTION: &str = include_str!("../../../config/bundle/description.md");
const ICON: &[u8] = include_bytes!("../../../config/bundle/icon.svg");
const DEPLOYMENT: &str = include_str!("../../../config/manager/deployment.yaml");
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// Where a catalog's icon is read from.
pub(super) fn icon() -> Value {
    json!({ "base64data": STANDARD.encode(ICON), "mediatype": "image/svg+xml" })
}

pub(super) fn csv(
    version: &str,
    releases: &Releases,
    images: &Images,
    definitions: &[CustomResourceDefinition],
) -> Result<Value, GenerateError> {
    let mut spec = json!({
        "displayName": "Fairway",
        "description": DESCRIPTION,
        "version": version,
        "maturity": "alpha",
        // The oldest of which every API is used; see README.md.
        "minKubeVersion": "1.31.0",
        "provider": { "name": "Fairway", "url": REPOSITORY },
        "maintainers": [{ "name": "Fairway maintainers", "email": "maintainers@fairway.dev" }],
        "links": [
            { "name": "Source code", "url": REPOSITORY },
            { "name": "Documentation", "url": format!("{REPOSITORY}/blob/main/docs/load-balancer.md") },
        ],
        "keywords": ["load balancer", "haproxy", "proxy", "tls", "networking"],
        "icon": [icon()],
        "installModes": INSTALL_MODES.map(|mode| json!({ "type": mode, "supported": true })),
        "install": { "strategy": "deployment", "spec": {
            "deployments": [deployment(images)?],
            "permissions": [{ "serviceAccountName": rbac::ACCOUNT, "rules": rbac::namespace_rules() }],
            "clusterPermissions": [{ "serviceAccountName": rbac::ACCOUNT, "rules": rbac::cluster_rules() }],
        } },
        "relatedImages": related(images),
        "customresourcedefinitions": { "owned": owned(definitions) },
    });
    if let Some(before) = releases.before(version) {
        spec["replaces"] = json!(before);
    }
    Ok(json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": bundle_name(version),
            "annotations": annotations(version, releases, images)?,
            "labels": {
                "operatorframework.io/arch.amd64": "supported",
                "operatorframework.io/os.linux": "supported",
            },
        },
        "spec": spec,
    }))
}

/// Every image that the operator may run, so that they can be mirrored.
fn related(images: &Images) -> Vec<Value> {
    images.named().into_iter().map(|(name, _, image)| json!({ "name": name, "image": image })).collect()
}

fn annotations(version: &str, releases: &Releases, images: &Images) -> Result<Value, GenerateError> {
    let created = releases.release(version)?.created_at;
    let mut annotations = json!({
        "alm-examples": pretty(&json!(examples::examples(created)?)),
        "capabilities": scorecard::capabilities(),
        "categories": "Networking",
        "certified": "false",
        "containerImage": images.fairway,
        "createdAt": created,
        "description": SUMMARY,
        "operatorframework.io/initialization-resource": pretty(&examples::load_balancer()?),
        "operatorframework.io/suggested-namespace": rbac::NAMESPACE,
        "operators.operatorframework.io/internal-objects": "[]",
        "repository": REPOSITORY,
        "support": "Fairway",
    });
    // It needs nothing from outside the cluster but its images, each of which is named above.
    let features = [("disconnected", "true")];
    let without = [
        "cnf",
        "cni",
        "csi",
        "fips-compliant",
        "proxy-aware",
        "tls-profiles",
        "token-auth-aws",
        "token-auth-azure",
        "token-auth-gcp",
    ];
    for (feature, value) in features.into_iter().chain(without.map(|feature| (feature, "false"))) {
        annotations[format!("features.operators.openshift.io/{feature}")] = json!(value);
    }
    if let Some(older) = releases.older(version) {
        annotations["olm.skipRange"] = json!(older);
    }
    Ok(annotations)
}

/// The Deployment, with these images, in the namespaces that OLM writes into its pods' annotations.
fn deployment(images: &Images) -> Result<Value, GenerateError> {
    let mut deployment = read("config/manager/deployment.yaml", DEPLOYMENT)?;
    let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
    container["image"] = json!(images.fairway);
    let mut environment = container["env"].as_array().cloned().unwrap_or_default();
    environment.retain(|variable| !variable["name"].as_str().is_some_and(|name| name.starts_with("RELATED_IMAGE_")));
    for variable in environment.iter_mut().filter(|variable| variable["name"] == "WATCH_NAMESPACE") {
        let field = "metadata.annotations['olm.targetNamespaces']";
        *variable = json!({ "name": variable["name"], "valueFrom": { "fieldRef": { "fieldPath": field } } });
    }
    environment.extend(images.named().into_iter().map(|(_, name, value)| json!({ "name": name, "value": value })));
    container["env"] = json!(environment);
    let metadata = &deployment["metadata"];
    Ok(json!({ "name": metadata["name"], "label": metadata["labels"], "spec": deployment["spec"] }))
}

/// The custom resources, each with what is made for it.
fn owned(definitions: &[CustomResourceDefinition]) -> Vec<Value> {
    definitions.iter().map(owned_definition).collect()
}

fn owned_definition(crd: &CustomResourceDefinition) -> Value {
    let value = definition(crd);
    let names = &value["spec"]["names"];
    let version = &value["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let kind = names["kind"].as_str().unwrap_or_default();
    let mut owned = json!({
        "name": value["metadata"]["name"],
        "kind": kind,
        "version": version["name"],
        "displayName": display_name(kind),
        "description": schema["description"],
        "resources": resources(kind),
        "specDescriptors": descriptors(schema, "spec"),
    });
    let status = descriptors(schema, "status");
    if !status.is_empty() {
        owned["statusDescriptors"] = json!(status);
    }
    owned
}

/// The objects that are made for a custom resource, and those that it follows. A class has none of its own, but the
/// load balancers or registries that use it.
fn resources(kind: &str) -> Vec<Value> {
    let (load_balancer, harbor) = (LoadBalancer::api_resource(), Harbor::api_resource());
    let mut kinds = if kind == LoadBalancerClass::api_resource().kind {
        vec![load_balancer]
    } else if kind == HarborClass::api_resource().kind {
        vec![harbor]
    } else if kind == HarborProject::api_resource().kind {
        // It is in Harbor alone.
        vec![harbor, resource::<Event>()]
    } else if kind == HarborRobot::api_resource().kind {
        [HarborRobots::owns(), vec![harbor, resource::<Event>()]].concat()
    } else if kind == harbor.kind {
        [Harbors::owns(), vec![resource::<Pod>(), resource::<Event>()]].concat()
    } else {
        [LoadBalancers::owns(), vec![resource::<Pod>(), resource::<Event>(), resource::<EndpointSlice>()]].concat()
    };
    kinds.sort_by(|one, other| one.kind.cmp(&other.kind));
    let name = |resource: &ApiResource| match resource.group.as_str() {
        "" => resource.plural.clone(),
        group => format!("{}.{group}", resource.plural),
    };
    kinds
        .iter()
        .map(|resource| json!({ "kind": resource.kind, "name": name(resource), "version": resource.version }))
        .collect()
}

fn resource<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

fn pretty(value: &Value) -> String {
    // A value is always JSON.
    serde_json::to_string_pretty(value).unwrap_or_default()
}
