//! The operator of projects and robots: what it makes in Harbor, and what becomes of what others change there.

use std::sync::atomic::Ordering;

use fairway::api::{HarborProject, HarborRobot};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::ground::{Ground, Operator, eventually, may};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_is_made_mended_reported_and_left() {
    let ground = Box::pin(Ground::new()).await;
    let harbor = ground.core.administrator();
    ground.core.user("anna").await;
    ground
        .project(json!({
            "public": true, "quota": "1Gi", "refuseVulnerable": "High",
            "cveAllowlist": { "items": ["CVE-2019-10164"], "expiresAt": "2030-01-01T00:00:00Z" },
            "members": [{ "user": "anna", "role": "Developer" }],
            "retention": { "schedule": "0 0 3 * * *", "rules": [{ "keep": "LatestPushed", "number": 10 }] },
        }))
        .await;
    let operator = Operator::start(&ground).await;
    ground.says::<HarborProject>("team", "Synced", "True/Synced").await;
    ground.says::<HarborProject>("team", "Ready", "True/Ready").await;
    let project = harbor.project("team").await.unwrap().expect("a project");
    let told = ["public", "prevent_vul", "severity"].map(|key| project.metadata[key].clone());
    assert_eq!(told, ["true", "true", "high"]);
    assert_eq!(project.cve_allowlist.items, ["CVE-2019-10164"]);
    assert_eq!(project.cve_allowlist.expires_at, Some(1_893_456_000));
    let quota = harbor.quota(project.id).await.unwrap().unwrap();
    assert_eq!(quota.limit, 1 << 30);
    let names: Vec<String> = harbor.members(project.id).await.unwrap().into_iter().map(|member| member.name).collect();
    assert_eq!(names, ["admin", "anna"], "who made it is a member that nobody named");
    assert_eq!(harbor.retention(project.retention_id().unwrap()).await.unwrap().unwrap().cron, "0 0 3 * * *");
    let status = ground.api::<HarborProject>().get("team").await.unwrap().status.unwrap();
    assert_eq!((status.project_id, status.members), (Some(project.id), vec!["user/anna".to_owned()]));
    operator.stop().await;

    // By hand: two fields that the spec names, and one that it does not.
    let change = |pairs: &[(&str, &str)]| fairway::clients::harbor::ProjectChange {
        metadata: pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        cve_allowlist: None,
    };
    harbor.update_project(project.id, &change(&[("public", "false"), ("auto_scan", "true")])).await.unwrap();
    harbor.set_quota(quota.id, 5).await.unwrap();
    let operator = Operator::start(&ground).await;
    let told = ground.told("Drifted").await;
    assert!(told.contains("changed by hand in Harbor: public, quota; it is put right"), "{told}");
    eventually("all to be put right", async || {
        let project = harbor.project("team").await.unwrap().unwrap();
        let quota = harbor.quota(project.id).await.unwrap().unwrap();
        assert_eq!(project.metadata["auto_scan"], "true", "what is not named is left alone");
        (project.metadata["public"] == "true" && quota.limit == 1 << 30).then_some(())
    })
    .await;
    ground.says::<HarborProject>("team", "Synced", "True/Synced").await;

    // The same again, where it is only to be told.
    ground.change::<HarborProject>("team", json!({ "drift": "Report" })).await;
    ground.says::<HarborProject>("team", "Synced", "True/Synced").await;
    operator.stop().await;
    harbor.update_project(project.id, &change(&[("public", "false")])).await.unwrap();
    let operator = Operator::start(&ground).await;
    let told = ground.says::<HarborProject>("team", "Synced", "False/Drifted").await;
    assert!(told.contains("public; it is left"), "{told}");
    ground.says::<HarborProject>("team", "Ready", "True/Ready").await;
    assert_eq!(harbor.project("team").await.unwrap().unwrap().metadata["public"], "false");

    // The next change of the spec sets all of it; who is named no longer goes, and who never was stays.
    ground.change::<HarborProject>("team", json!({ "quota": "none", "members": null })).await;
    ground.says::<HarborProject>("team", "Synced", "True/Synced").await;
    let known = harbor.project("team").await.unwrap().unwrap();
    assert_eq!(known.metadata["public"], "true");
    assert_eq!(harbor.quota(project.id).await.unwrap().unwrap().limit, -1);
    assert_eq!(harbor.members(project.id).await.unwrap().len(), 1);

    ground.api::<HarborProject>().delete("team", &DeleteParams::default()).await.unwrap();
    ground.gone::<HarborProject>("team").await;
    assert!(harbor.project("team").await.unwrap().is_some(), "it outlives its resource");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_goes_only_when_it_is_empty_and_only_where_that_is_asked_for() {
    let ground = Box::pin(Ground::new()).await;
    let harbor = ground.core.administrator();
    ground.project(json!({ "deletionPolicy": "Delete" })).await;
    let rival = json!({
        "apiVersion": "fairway.dev/v1alpha1", "kind": "HarborProject", "metadata": { "name": "zz" },
        "spec": { "harborName": "main", "projectName": "team", "deletionPolicy": "Delete" },
    });
    let operator = Operator::start(&ground).await;
    ground.says::<HarborProject>("team", "Ready", "True/Ready").await;
    // Times of making are told to the second.
    ground.create::<HarborProject>(rival).await;
    let told = ground.says::<HarborProject>("zz", "Accepted", "False/NameTaken").await;
    assert!(told.contains("HarborProject team names the project team already"), "{told}");
    ground.api::<HarborProject>().delete("zz", &DeleteParams::default()).await.unwrap();
    ground.gone::<HarborProject>("zz").await;
    assert!(harbor.project("team").await.unwrap().is_some());

    let id = harbor.project("team").await.unwrap().unwrap().id;
    let database = ground.core.database.root("postgres").await;
    let image = format!("INSERT INTO repository (name, project_id) VALUES ('team/app', {id})");
    database.batch_execute(&image).await.unwrap();
    operator.stop().await;
    ground.api::<HarborProject>().delete("team", &DeleteParams::default()).await.unwrap();
    let operator = Operator::start(&ground).await;
    let told = eventually("the refusal", async || {
        let status = ground.api::<HarborProject>().get("team").await.unwrap().status?;
        let ready = status.conditions.into_iter().find(|condition| condition.type_ == "Ready")?;
        (ready.reason == "NotEmpty").then_some(ready.message)
    })
    .await;
    assert!(told.contains("1 repositories, and no images are deleted"), "{told}");
    operator.stop().await;
    assert!(harbor.project("team").await.unwrap().is_some());
    database.batch_execute("DELETE FROM repository").await.unwrap();
    let operator = Operator::start(&ground).await;
    ground.gone::<HarborProject>("team").await;
    assert_eq!(harbor.project("team").await.unwrap(), None);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robot_pulls_with_its_secret_whatever_becomes_of_it() {
    let ground = Box::pin(Ground::new()).await;
    let harbor = ground.core.administrator();
    ground.ready("False").await;
    let operator = Operator::start(&ground).await;
    ground.robot(json!({ "duration": 90, "rotation": { "after": 30 } })).await;
    ground.says::<HarborRobot>("ci", "ResolvedRefs", "False/HarborNotReady").await;
    ground.ready("True").await;
    let told = ground.says::<HarborRobot>("ci", "ResolvedRefs", "False/ProjectNotFound").await;
    assert!(told.contains("not in Harbor: team"), "{told}");
    ground.project(json!({})).await;
    ground.says::<HarborRobot>("ci", "Ready", "True/Ready").await;
    ground.says::<HarborRobot>("ci", "Synced", "True/Synced").await;
    let first = ground.credentials("").await;
    assert_eq!(first.0, "robot$team+ci");
    assert_eq!(ground.granted(&first).await, ["pull"], "and not push");
    let status = ground.api::<HarborRobot>().get("ci").await.unwrap().status.unwrap();
    let id = status.robot_id.unwrap();
    assert!(status.expires_at.is_some() && status.next_rotation_at > status.rotated_at, "{status:?}");

    // More than the spec says is taken back; what the spec says is given at once.
    operator.stop().await;
    let mut robot = harbor.robot(id).await.unwrap().unwrap();
    robot.permissions[0].access.push(fairway::clients::harbor::Access {
        resource: "repository".to_owned(),
        action: "push".to_owned(),
        effect: String::new(),
    });
    harbor.update_robot(&robot).await.unwrap();
    assert_eq!(ground.granted(&first).await.len(), 2);
    let operator = Operator::start(&ground).await;
    assert!(ground.told("Drifted").await.contains("permissions; it is put right"));
    eventually("the right to go", async || (ground.granted(&first).await.len() == 1).then_some(())).await;
    ground.change::<HarborRobot>("ci", json!({ "permissions": [may(&["pull", "push"])] })).await;
    ground.says::<HarborRobot>("ci", "Synced", "True/Synced").await;
    assert_eq!(ground.granted(&first).await.len(), 2);
    assert_eq!(ground.credentials("").await, first, "its secret stays");

    // The Secret vanishes, or is changed: another secret, and the old one counts no more.
    ground.api::<Secret>().delete("ci-pull", &DeleteParams::default()).await.unwrap();
    let second = ground.credentials(&first.1).await;
    assert_eq!(ground.granted(&first).await, [""; 0]);
    eventually("the second to count", async || (!ground.granted(&second).await.is_empty()).then_some(())).await;
    let edit = Patch::Merge(json!({ "stringData": { "password": "By-Hand-0" } }));
    let third = eventually("a third", async || {
        let third = ground.credentials("").await;
        if third == second {
            // A turn that was under way may have put back what it knew.
            ground.api::<Secret>().patch("ci-pull", &PatchParams::default(), &edit).await.unwrap();
            return None;
        }
        (!ground.granted(&third).await.is_empty()).then_some(third)
    })
    .await;
    operator.stop().await;

    // It is changed in Harbor.
    harbor.refresh_robot(id, Some(&"By-Hand-0".into())).await.unwrap();
    assert_eq!(ground.granted(&third).await, [""; 0]);
    let operator = Operator::start(&ground).await;
    let fourth = ground.credentials(&third.1).await;
    eventually("the fourth to count", async || (!ground.granted(&fourth).await.is_empty()).then_some(())).await;
    ground.says::<HarborRobot>("ci", "Synced", "True/Synced").await;
    operator.stop().await;

    // Its time has come; it lives as long from then on as it did from the beginning.
    ground.days.store(31, Ordering::Relaxed);
    let operator = Operator::start(&ground).await;
    let fifth = ground.credentials(&fourth.1).await;
    assert_eq!(ground.granted(&fourth).await, [""; 0]);
    assert_eq!(ground.granted(&fifth).await.len(), 2);
    // Its secret was made 31 days after it, and the seconds that this took.
    assert!([90 + 31, 90 + 32].contains(&harbor.robot(id).await.unwrap().unwrap().duration));
    ground.says::<HarborRobot>("ci", "Synced", "True/Synced").await;
    assert_eq!(ground.credentials("").await, fifth, "once");

    ground.change::<HarborRobot>("ci", json!({ "disabled": true })).await;
    ground.says::<HarborRobot>("ci", "Ready", "False/Disabled").await;
    assert_eq!(ground.granted(&fifth).await, [""; 0]);
    ground.api::<HarborRobot>().delete("ci", &DeleteParams::default()).await.unwrap();
    ground.gone::<HarborRobot>("ci").await;
    assert_eq!(harbor.robot(id).await.unwrap(), None);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robot_takes_up_its_own_and_no_other() {
    let ground = Box::pin(Ground::new()).await;
    let harbor = ground.core.administrator();
    let project = fairway::clients::harbor::NewProject {
        name: "team".to_owned(),
        metadata: std::collections::BTreeMap::new(),
        storage_limit: None,
        registry_id: None,
    };
    harbor.create_project(&project).await.unwrap();
    let access = json!([{ "resource": "repository", "action": "pull" }]);
    let mut foreign = json!({
        "name": "ci", "description": "somebody's", "level": "project", "duration": -1,
        "permissions": [{ "kind": "project", "namespace": "team", "access": access }],
    });
    let (status, made) = ground.core.post("/api/v2.0/robots", &foreign).await;
    assert_eq!(status, 201, "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    ground.robot(json!({})).await;
    let operator = Operator::start(&ground).await;
    let told = ground.says::<HarborRobot>("ci", "Accepted", "False/NameTaken").await;
    assert!(told.contains("not this resource's"), "{told}");
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(ground.core.granted("robot$team+ci", secret, "repository:team/app:pull").await, ["pull"]);
    operator.stop().await;

    // One that says that it is this resource's is taken up, with a secret that is known.
    let id = made["id"].as_i64().unwrap();
    harbor.delete_robot(id).await.unwrap();
    foreign["description"] = json!(format!("[fairway: HarborRobot {}/ci]", ground.namespace));
    let (status, made) = ground.core.post("/api/v2.0/robots", &foreign).await;
    assert_eq!(status, 201, "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    let operator = Operator::start(&ground).await;
    ground.says::<HarborRobot>("ci", "Ready", "True/Ready").await;
    let status = ground.api::<HarborRobot>().get("ci").await.unwrap().status.unwrap();
    assert_eq!(status.robot_id, made["id"].as_i64());
    let login = ground.credentials("").await;
    assert_eq!(ground.granted(&login).await, ["pull"]);
    operator.stop().await;
}
