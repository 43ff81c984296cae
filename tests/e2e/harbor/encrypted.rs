//! TLS between a registry's programs, turned on and off while it runs: images come and go through its front door either
//! way. Touches a sandbox.

use serde_json::json;

use super::{Registry, small};
use crate::{cluster::tell, sandbox};

#[test]
fn tls_between_programs_is_turned_on_and_off() {
    sandbox::restricted("encrypted", async |sandbox| {
        let registry = Registry::named(sandbox, "registry");
        let mut spec = small();
        registry.write(&spec).await;
        registry.ready().await;
        let (pushed, said) = registry.push("plain").await;
        assert!(pushed, "{said}");

        for (number, enabled) in [true, false].into_iter().enumerate() {
            spec["internalTLS"] = json!({ "enabled": enabled });
            registry.write(&spec).await;
            registry.rolled_out().await;
            let tag = if enabled { "encrypted" } else { "plain-again" };
            let (pushed, said) = registry.push(tag).await;
            assert!(pushed, "{said}");
            registry.pull(&format!("pull-{number}"), "plain").await;
            tell(&format!("internalTLS {enabled}: pushed and pulled"));
        }
    });
}
