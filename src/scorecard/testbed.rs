//! Where a test is tried: the namespace that scorecard names, what was made in it, and the log. Touches that namespace and
//! classes; everything that is made belongs to the test's pod, and so goes with it even when the test is killed.

use std::{
    fmt::Write,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client, Config, CustomResourceExt, Error, Resource,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, ValidationDirective},
};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    Options,
    balancer::Balancer,
    bundle::Examples,
    member::Member,
    registry::{self, Registry},
    result::{Seen, Trouble},
};
use crate::api::{Harbor, HarborClass, LoadBalancer, LoadBalancerClass};

/// Who applies, and the label of what is made.
const MANAGER: &str = "fairway-scorecard";
const LABEL: &str = "fairway.dev/scorecard";
/// How long a request to the API server may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked.
const AGAIN: Duration = Duration::from_millis(200);
/// How long what was deleted may still be there: a pod that is ended has 30 seconds in all.
const GONE: Duration = Duration::from_secs(20);

/// A place for one test.
pub(super) struct Testbed {
    pub(super) client: Client,
    pub(super) namespace: String,
    /// The bundle's examples, with names of this test's own.
    pub(super) examples: Examples,
    pub(super) member: Member,
    suffix: String,
    /// The pod of this test, as owner; none outside of a pod.
    owner: Option<Value>,
    /// What was made, and where, the newest last.
    made: Mutex<Vec<(ApiResource, String)>>,
    log: Mutex<String>,
    begun: Instant,
}

impl Testbed {
    /// Looks whether there is all that a test needs.
    pub(super) async fn open(options: &Options) -> Result<Self, Trouble> {
        let namespace = options.namespace.clone().filter(|namespace| !namespace.is_empty());
        let namespace = namespace.ok_or(Trouble::NoNamespace)?;
        let examples = Examples::read(&options.bundle)?;
        let mut config = Config::infer().await.map_err(|error| Trouble::NoCluster(error.to_string()))?;
        config.read_timeout = Some(PATIENCE);
        config.connect_timeout = Some(PATIENCE);
        let server = config.cluster_url.clone();
        let client = Client::try_from(config)?;
        // Whether there are load balancers at all, and rights to look at them.
        Api::<LoadBalancer>::namespaced(client.clone(), &namespace)
            .list(&kube::api::ListParams::default().limit(1))
            .await?;
        let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
        let pod = match &options.pod {
            Some(name) => pods.get_opt(name).await?,
            None => None,
        };
        let owner = pod.map(
            |pod| json!({ "apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid }),
        );
        let suffix = format!("{:05x}", rand::random_range(0..0x10_0000));
        let port = server.port_u16().unwrap_or(443);
        let member = Member::start(&format!("{}:{port}", server.host().unwrap_or_default()), suffix.clone()).await?;
        let (made, log) = (Mutex::default(), Mutex::default());
        let examples = examples.renamed(&suffix);
        Ok(Self { client, namespace, examples, member, suffix, owner, made, log, begun: Instant::now() })
    }

    /// Adds a line to the log.
    pub(super) fn note(&self, text: &str) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String does not fail.
        let _ = writeln!(log, "{:6.1} s  {text}", self.begun.elapsed().as_secs_f64());
    }

    /// Makes a class.
    pub(super) async fn class(&self, example: &Value) -> Result<(), Trouble> {
        self.apply(LoadBalancerClass::api_resource(), example.clone()).await
    }

    /// Makes a load balancer, and the Services that it names with this process behind them.
    pub(super) async fn balancer(&self, example: &Value) -> Result<Balancer<'_>, Trouble> {
        for (name, port) in Examples::services(&example["spec"]) {
            self.service(&name, &port).await?;
        }
        Balancer::make(self, example).await
    }

    /// Makes a class of registries.
    pub(super) async fn registry_class(&self, example: &Value) -> Result<(), Trouble> {
        self.apply(HarborClass::api_resource(), example.clone()).await
    }

    /// Makes a registry.
    pub(super) async fn registry(&self, example: &Value) -> Result<Registry<'_>, Trouble> {
        Registry::make(self, example).await
    }

    async fn service(&self, name: &str, port: &Value) -> Result<(), Trouble> {
        let service = json!({ "metadata": { "name": name }, "spec": { "ports": [port] } });
        self.apply(ApiResource::erase::<Service>(&()), service).await?;
        let address = self.member.address;
        let slice = json!({
            "metadata": { "name": name, "labels": { "kubernetes.io/service-name": name } },
            "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
            "ports": [{ "name": port["name"].as_str().unwrap_or_default(), "port": address.port() }],
            "endpoints": [{ "addresses": [address.ip()] }],
        });
        self.apply(ApiResource::erase::<EndpointSlice>(&()), slice).await
    }

    /// Makes or changes an object: what is in it, and nothing that was in it before.
    pub(super) async fn apply(&self, resource: ApiResource, mut object: Value) -> Result<(), Trouble> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        object["apiVersion"] = json!(resource.api_version);
        object["kind"] = json!(resource.kind);
        object["metadata"]["labels"][LABEL] = json!(self.suffix);
        if let Some(owner) = self.owner.as_ref().filter(|_| namespaced(&resource)) {
            object["metadata"]["ownerReferences"] = json!([owner]);
        }
        let api = self.api(&resource);
        let known = |made: &(ApiResource, String)| made.0 == resource && made.1 == name;
        {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            if !made.iter().any(known) {
                // Before it is there: the answer may not come.
                made.push((resource.clone(), name.clone()));
            }
        }
        let parameters =
            PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply(MANAGER) };
        api.patch(&name, &parameters.force(), &Patch::Apply(&object)).await?;
        Ok(())
    }

    /// Deletes an object, and waits until it is gone.
    pub(super) async fn delete(&self, resource: &ApiResource, name: &str) -> Result<(), Trouble> {
        match self.api(resource).delete(name, &DeleteParams::background()).await {
            Ok(_) => {}
            Err(Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error.into()),
        }
        self.until(&format!("{name} to be gone"), GONE, async || {
            let found = self.api(resource).get_opt(name).await?;
            if found.is_none() { Ok(()) } else { Err(Seen::NotYet("it is still there".to_owned())) }
        })
        .await
    }

    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        if namespaced(resource) {
            Api::namespaced_with(self.client.clone(), &self.namespace, resource)
        } else {
            Api::all_with(self.client.clone(), resource)
        }
    }

    /// Looks until there is something to give back.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl AsyncFnMut() -> Result<T, Seen>,
    ) -> Result<T, Trouble> {
        let begun = Instant::now();
        let mut ticks = interval(AGAIN);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let seen = match look().await {
                Ok(found) => return Ok(found),
                Err(Seen::Never(trouble)) => return Err(trouble),
                Err(Seen::NotYet(seen)) => seen,
            };
            if begun.elapsed() > limit {
                let waited = limit.as_secs();
                return Err(Trouble::Unmet(format!("waited {waited} s in vain for {what}; seen last: {seen}")));
            }
        }
    }

    /// Takes away what a registry leaves: its volumes are gone once its pods are, which nobody waits for.
    async fn take_away_what_was_kept(&self, registry: &str) -> Result<(), Trouble> {
        for (resource, name) in registry::kept(self, registry).await? {
            match self.api(&resource).delete(&name, &DeleteParams::background()).await {
                Ok(_) => {}
                Err(Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes away what was made; the log, and whether all is gone.
    pub(super) async fn close(self) -> (String, Result<(), Trouble>) {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        let mut left = vec![];
        for (resource, name) in made.iter().rev() {
            match self.api(resource).delete(name, &DeleteParams::background()).await {
                Ok(_) => {}
                Err(Error::Api(status)) if status.code == 404 => {}
                Err(error) => left.push(format!("{} {name}: {error}", resource.kind)),
            }
        }
        let waited = [LoadBalancer::kind(&()), Harbor::kind(&())];
        for (resource, name) in made.iter().filter(|(resource, _)| waited.contains(&resource.kind.as_str().into())) {
            if let Err(trouble) = self.delete(resource, name).await {
                left.push(trouble.to_string());
            }
        }
        for (_, name) in made.iter().filter(|(resource, _)| resource.kind == Harbor::kind(&())) {
            if let Err(trouble) = self.take_away_what_was_kept(name).await {
                left.push(trouble.to_string());
            }
        }
        self.note("taken away");
        let log = self.log.into_inner().unwrap_or_else(PoisonError::into_inner);
        (log, if left.is_empty() { Ok(()) } else { Err(Trouble::LeftBehind(left.join("; "))) })
    }
}

fn namespaced(resource: &ApiResource) -> bool {
    ![LoadBalancerClass::kind(&()), HarborClass::kind(&())].contains(&resource.kind.as_str().into())
}
