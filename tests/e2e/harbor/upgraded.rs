//! A registry with all of Harbor's programs, behind an nginx: upgraded by its version, with its images kept, its settings
//! as asked for, and a project and a robot whose Secret images are pulled with. Touches a sandbox.

use fairway::api::{HarborProject, HarborRobot};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Secret},
};
use serde_json::json;

use super::{Registry, small};
use crate::{
    cluster::tell,
    sandbox,
    wait::{self, POD, seen},
};

#[test]
fn a_registry_is_upgraded_and_keeps_its_images() {
    sandbox::restricted("upgraded", async |sandbox| {
        let registry = Registry::behind(sandbox, "registry", "front");
        let mut spec = small();
        spec["version"] = json!("2.14.3");
        spec["exposure"] = json!({ "type": "Service" });
        spec["configuration"] = json!({ "robot_token_duration": "45" });
        for program in ["trivy", "exporter"] {
            spec["components"][program] = json!({});
        }
        registry.write(&spec).await;
        assert_eq!(registry.ready().await.version, "2.14.3");
        registry.says("Configured", "True/Configured", &["1 setting"]).await;
        let (pushed, said) = registry.push("old").await;
        assert!(pushed, "{said}");
        let digest = registry.digest("inspect-old", "old").await;

        spec["version"] = json!("2.15.2");
        registry.write(&spec).await;
        registry.rolled_out().await;
        let status = registry.ready().await;
        assert_eq!(status.version, "2.15.2");
        let programs: Vec<&str> = status.components.iter().map(|program| program.name.as_str()).collect();
        for program in ["core", "jobservice", "registry", "portal", "trivy", "exporter"] {
            let row = status.components.iter().find(|row| row.name == program);
            assert!(row.is_some_and(|row| row.ready_replicas == 1), "{program} of {programs:?}");
        }
        assert_eq!(registry.digest("inspect-new", "old").await, digest, "what was pushed before");
        registry.pull("pull", "old").await;
        assert_eq!(sandbox.names::<PersistentVolumeClaim>("").await.len(), 3);
        assert!(sandbox.names::<Job>("").await.is_empty(), "a migration that is done is cleared away");

        // A version that is gone by can't be had again, and what runs runs on.
        spec["version"] = json!("2.14.3");
        registry.write(&spec).await;
        registry.says("Accepted", "False/DowngradeRefused", &["2.14.3"]).await;
        spec["version"] = json!("2.15.2");
        registry.write(&spec).await;
        registry.says("Accepted", "True/Accepted", &[]).await;

        robot(&registry).await;
    });
}

/// A project and a robot, by whose pull Secret an image is read.
async fn robot(registry: &Registry<'_>) {
    let sandbox = registry.sandbox;
    let project = json!({ "metadata": { "name": "team" }, "spec": { "harborName": "registry", "quota": "1Gi" } });
    sandbox.apply::<HarborProject>(project).await;
    let permissions = json!([{ "project": "library", "access": [{ "resource": "repository", "actions": ["pull"] }] }]);
    let spec = json!({ "harborName": "registry", "level": "System", "permissions": permissions });
    sandbox.apply::<HarborRobot>(json!({ "metadata": { "name": "reader" }, "spec": spec })).await;
    wait::until("project and robot to be ready", POD, async || {
        let project = sandbox.api::<HarborProject>().get("team").await.map_err(|error| error.to_string())?;
        let robot = sandbox.api::<HarborRobot>().get("reader").await.map_err(|error| error.to_string())?;
        let conditions = project.status.map(|status| status.conditions).unwrap_or_default();
        let of_robot = robot.status.map(|status| status.conditions).unwrap_or_default();
        let stands = |all: &[_]| {
            let ready = |one: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| one.type_ == "Ready";
            all.iter().find(ready).is_some_and(|one| one.status == "True")
        };
        seen(stands(&conditions) && stands(&of_robot), || format!("{conditions:?} {of_robot:?}"))
    })
    .await;
    let secret = sandbox.api::<Secret>().get("reader-pull").await.unwrap();
    let login = String::from_utf8(secret.data.unwrap()[".dockerconfigjson"].0.clone()).unwrap();
    let image = registry.image("old");
    let (read, said) = registry.skopeo_as(&login, "robot-reads", &["inspect", "--tls-verify=false", &image]).await;
    assert!(read, "{said}");
    let copy = registry.image("by-robot");
    let arguments = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false", &image, &copy];
    let (pushed, said) = registry.skopeo_as(&login, "robot-pushes", &arguments).await;
    let refused = ["denied", "unauthorized"].iter().any(|word| said.to_lowercase().contains(word));
    assert!(!pushed && refused, "{said}");
    tell("the robot reads, and writes nothing");
}
