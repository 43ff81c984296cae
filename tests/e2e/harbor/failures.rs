//! What may go wrong with a registry that runs: each is told with what to do, nothing is destroyed, and it is mended as
//! soon as its cause is. Touches a sandbox, and a file system in the memory of a node of the test cluster.

use std::time::{Duration, Instant};

use fairway::api::Harbor;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{Registry, small};
use crate::{
    certificates::{Authority, keep},
    cluster::{Cluster, cluster, tell},
    sandbox::{self, Sandbox},
};

/// A file system of 256 MiB on a node, and the volume that it is.
struct Disk {
    node: String,
    folder: String,
    volume: String,
}

impl Disk {
    async fn make(sandbox: &Sandbox, of: &str) -> Self {
        let node = sandbox.cluster.nodes().await[0].name_any();
        let volume = format!("{}-{of}", sandbox.namespace);
        let disk = Self { node, folder: format!("/run/{volume}"), volume };
        disk.run("mkdir -p $0 && mount -t tmpfs -o size=256m,mode=0755 tmpfs $0").await;
        let on_node = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": [disk.node] });
        let object = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": { "name": disk.volume },
            "spec": {
                "capacity": { "storage": "256Mi" },
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": disk.volume,
                "local": { "path": disk.folder },
                "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [on_node] }] } },
            },
        });
        let volumes: Api<PersistentVolume> = Api::all(sandbox.cluster.client.clone());
        let parameters = PatchParams::apply("fairway-e2e");
        volumes.patch(&disk.volume, &parameters, &Patch::Apply(&object)).await.unwrap();
        disk
    }

    /// Runs a line of shell on the node, with the folder as `$0`.
    async fn run(&self, line: &str) {
        cluster(&["node", "exec", &self.node, "sh", "-c", line, &self.folder]).await.unwrap();
    }

    /// What a spec asks for to have it.
    fn request(&self) -> Value {
        json!({ "size": "256Mi", "className": self.volume })
    }

    async fn fill(&self) {
        self.run("! dd if=/dev/zero of=$0/filler bs=4k status=none").await;
    }

    async fn remove(self, sandbox: &Sandbox) {
        let volumes: Api<PersistentVolume> = Api::all(sandbox.cluster.client.clone());
        volumes.delete(&self.volume, &DeleteParams::background()).await.unwrap();
        self.run("umount --lazy $0 && rmdir $0").await;
    }
}

/// The names and identities of what must outlive every failure.
async fn kept(sandbox: &Sandbox) -> Vec<(String, Option<String>)> {
    let claims: Api<PersistentVolumeClaim> = sandbox.api();
    let claims = claims.list_metadata(&kube::api::ListParams::default()).await.unwrap().items;
    claims.iter().map(|claim| (claim.name_any(), claim.uid())).collect()
}

#[test]
fn what_goes_wrong_is_told_and_mended() {
    sandbox::restricted("harbor-failures", async |sandbox| {
        let disks = if Cluster::existing() {
            tell("LEFT OUT: volumes that are full: a cluster of the user's own gives no file system for them");
            None
        } else {
            Some((Disk::make(sandbox, "images").await, Disk::make(sandbox, "cache").await))
        };
        let registry = Registry::named(sandbox, "registry");
        let certificate = Authority::new().issue(&registry.host);
        keep(sandbox, "front", &certificate.pem, &certificate.key).await;
        let mut spec = small();
        spec["externalURL"] = json!(format!("https://{}", registry.host));
        spec["exposure"] = json!({ "tls": { "secretName": "front" } });
        if let Some((images, cache)) = &disks {
            spec["storage"] = json!({ "filesystem": { "volume": images.request() } });
            spec["cache"]["managed"]["volume"] = cache.request();
        }
        registry.write(&spec).await;
        registry.ready().await;
        let (pushed, said) = registry.push("1").await;
        assert!(pushed, "{said}");
        let volumes = kept(sandbox).await;

        if let Some((images, _)) = &disks {
            images.fill().await;
            // Layers that are there already would need no room.
            let (pushed, said) = registry.push_of("docker.io/library/redis:7", "2").await;
            assert!(!pushed, "pushed to a disk that is full: {said}");
        }
        // Fairway looks at the disk once a minute: what else may be wrong is told meanwhile.
        an_unknown_version(&registry, &spec).await;
        a_certificate_that_vanishes(&registry, &certificate.pem, &certificate.key).await;
        if let Some((images, cache)) = &disks {
            full(&registry, images).await;
            full_cache(&registry, cache).await;
        }
        lost_credentials(&registry).await;
        a_dirty_database(&registry).await;
        registry.pull("pull", "1").await;
        assert_eq!(kept(sandbox).await, volumes);
        if let Some((images, cache)) = disks {
            registry.delete().await;
            images.remove(sandbox).await;
            cache.remove(sandbox).await;
        }
    });
}

async fn an_unknown_version(registry: &Registry<'_>, spec: &Value) {
    let before = registry.sandbox.names::<Pod>("fairway.dev/harbor=registry").await;
    let mut other = spec.clone();
    other["version"] = json!("2.99.0");
    registry.write(&other).await;
    registry.says("Accepted", "False/UnknownVersion", &["2.99.0", "2.15.2"]).await;
    registry.write(spec).await;
    registry.says("Accepted", "True/Accepted", &[]).await;
    assert_eq!(registry.sandbox.names::<Pod>("fairway.dev/harbor=registry").await, before, "no pod was touched");
}

async fn a_certificate_that_vanishes(registry: &Registry<'_>, certificate: &str, key: &str) {
    registry.sandbox.delete::<Secret>("front").await;
    // A Secret that is named is read at each turn: somebody who looks after the resource gives one.
    let note = json!({ "metadata": { "annotations": { "somebody": "looks" } } });
    registry.sandbox.edit::<Harbor>("registry", note).await;
    registry.says("ResolvedRefs", "False/SecretNotFound", &["\"front\"", "create it"]).await;
    keep(registry.sandbox, "front", certificate, key).await;
    registry.says("ResolvedRefs", "True/ResolvedRefs", &[]).await;
}

async fn full(registry: &Registry<'_>, disk: &Disk) {
    registry
        .says("StorageReady", "False/StorageFull", &["volume registry-registry-data is full", "can be pulled", "raise"])
        .await;
    registry.says("Ready", "False/StorageFull", &[]).await;
    registry.pull("pull-while-full", "1").await;
    disk.run("rm $0/filler").await;
    registry.says("StorageReady", "True/StorageReady", &[]).await;
    registry.ready().await;
    let (pushed, said) = registry.push("3").await;
    assert!(pushed, "{said}");
}

async fn full_cache(registry: &Registry<'_>, disk: &Disk) {
    let pods = registry.sandbox.names::<Pod>("fairway.dev/harbor=registry,fairway.dev/component=cache").await;
    disk.fill().await;
    // More than what is left of the last page of its file; it notices by the next write.
    let write = "export REDISCLI_AUTH=$(cat /etc/fairway/password)
        for key in 1 2; do redis-cli set full-$key $(printf %010000d 0); done";
    registry.sandbox.kubectl(&["exec", &pods[0], "--", "sh", "-c", write]).await.unwrap();
    let words = ["No space left on device", "enlarge volume registry-cache-data", "cache.managed.volume.size"];
    registry.says("CacheReady", "False/VolumeFull", &words).await;
    registry.says("Ready", "False/VolumeFull", &[]).await;
    disk.run("rm $0/filler").await;
    registry.says("CacheReady", "True/CacheReady", &[]).await;
    registry.ready().await;
    let after = registry.sandbox.names::<Pod>("fairway.dev/harbor=registry,fairway.dev/component=cache").await;
    assert_eq!(after, pods, "it goes on by itself");
}

async fn lost_credentials(registry: &Registry<'_>) {
    let secrets: Api<Secret> = registry.sandbox.api();
    let mut secret = secrets.get("registry-credentials").await.unwrap();
    registry.sandbox.delete::<Secret>("registry-credentials").await;
    registry.says("ResolvedRefs", "False/CredentialsLost", &["restore it from a backup"]).await;
    let made_up = secrets.get_opt("registry-credentials").await.unwrap();
    assert!(made_up.is_none(), "credentials were made up in place of those that were lost");
    secret.metadata.resource_version = None;
    secret.metadata.uid = None;
    secret.metadata.managed_fields = None;
    secrets.create(&kube::api::PostParams::default(), &secret).await.unwrap();
    registry.says("ResolvedRefs", "True/ResolvedRefs", &[]).await;
    registry.ready().await;
}

async fn a_dirty_database(registry: &Registry<'_>) {
    registry.sql("UPDATE schema_migrations SET dirty = true").await;
    let core = registry.sandbox.names::<Pod>("fairway.dev/harbor=registry,fairway.dev/component=core").await;
    registry.sandbox.delete::<Pod>(&core[0]).await;
    registry.says("Migrated", "False/MigrationDirty", &["set dirty to false in schema_migrations"]).await;
    registry.says("Ready", "False/MigrationDirty", &[]).await;
    registry.sql("UPDATE schema_migrations SET dirty = false").await;
    let mended = Instant::now();
    registry.says("Migrated", "True/Migrated", &[]).await;
    registry.ready().await;
    tell(&format!("ready {:.0?} after the database was mended", Duration::from_secs(mended.elapsed().as_secs())));
}
