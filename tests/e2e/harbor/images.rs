//! A fresh registry: one resource becomes a Harbor that images are pushed to and pulled from through its front door, by
//! the real skopeo; it keeps them when it is deleted and made anew, and not when they are to go with it. Touches a
//! sandbox.

use fairway::api::Harbor;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use serde_json::json;

use super::Registry;
use crate::{
    cluster::tell,
    sandbox,
    wait::{self, POD, seen},
};

#[test]
fn a_registry_takes_images_and_keeps_them() {
    sandbox::restricted("harbor", async |sandbox| {
        let registry = Registry::named(sandbox, "registry");
        let spec = json!({ "storage": { "filesystem": { "volume": { "size": "1Gi" } } } });
        registry.write(&spec).await;
        registry.ready().await;
        let (pushed, said) = registry.push("1").await;
        assert!(pushed, "{said}");
        let digest = registry.digest("inspect", "1").await;

        // Deleted and made anew it is the same registry, with its images.
        let key = registry.credential("secretKey").await;
        registry.delete().await;
        let volumes = sandbox.names::<PersistentVolumeClaim>("").await;
        assert_eq!(volumes.len(), 3, "{volumes:?}");
        registry.write(&spec).await;
        registry.ready().await;
        assert_eq!(registry.credential("secretKey").await, key);
        registry.pull("pull", "1").await;
        assert_eq!(registry.digest("inspect-again", "1").await, digest);
        tell(&format!("{} keeps {digest}", registry.host));

        // What it says at its end counts, also while nothing else is changed.
        let spec = json!({ "spec": { "deletionPolicy": "Delete", "paused": true } });
        sandbox.edit::<Harbor>("registry", spec).await;
        // As docs/harbor.md has it: from then on it waits for its data to go.
        let held = ["wait", "--for=jsonpath={.metadata.finalizers[0]}=fairway.dev/harbor", "harbor/registry"];
        sandbox.kubectl(&held).await.unwrap();
        registry.delete().await;
        wait::until("volumes and Secrets to go", POD, async || {
            let mut left = sandbox.names::<PersistentVolumeClaim>("").await;
            left.extend(sandbox.names::<Secret>("app.kubernetes.io/managed-by=fairway").await);
            seen(left.is_empty(), || format!("{left:?}"))
        })
        .await;
    });
}
