//! The client of Harbor against the stand-in's core: what it makes is there, and what goes wrong is told apart.

use std::collections::BTreeMap;

use fairway::clients::harbor::{
    Access, CveAllowlist, HarborError, MemberEntity, NewMember, NewProject, NewRobot, Permission, ProjectChange,
    Retention, RetentionRule, Robot, RobotLevel, Role, Selector,
};
use serde_json::json;

use crate::harbor_core::Core;

fn new_project(name: &str) -> NewProject {
    NewProject {
        name: name.to_owned(),
        metadata: BTreeMap::from([("public".to_owned(), "false".to_owned())]),
        storage_limit: Some(1 << 30),
        registry_id: None,
    }
}

fn new_robot(name: &str, project: &str, actions: &[&str]) -> NewRobot {
    let access = |action: &&str| Access {
        resource: "repository".to_owned(),
        action: (*action).to_owned(),
        effect: String::new(),
    };
    NewRobot {
        name: name.to_owned(),
        description: "a robot".to_owned(),
        level: "project".to_owned(),
        duration: 30,
        permissions: vec![Permission {
            kind: "project".to_owned(),
            namespace: project.to_owned(),
            access: actions.iter().map(access).collect(),
        }],
    }
}

fn retention(pattern: &str) -> Retention {
    let selector = |decoration: &str, pattern: &str, extras: &str| Selector {
        kind: "doublestar".to_owned(),
        decoration: decoration.to_owned(),
        pattern: pattern.to_owned(),
        extras: extras.to_owned(),
    };
    Retention {
        cron: "0 0 3 * * *".to_owned(),
        rules: vec![RetentionRule {
            disabled: false,
            action: "retain".to_owned(),
            template: "latestPushedK".to_owned(),
            params: BTreeMap::from([("latestPushedK".to_owned(), json!(10))]),
            tag_selectors: vec![selector("matches", pattern, r#"{"untagged":true}"#)],
            scope_selectors: BTreeMap::from([("repository".to_owned(), vec![selector("repoMatches", "**", "")])]),
        }],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_with_all_that_belongs_to_it() {
    let core = Core::start().await;
    let harbor = core.administrator();
    assert_eq!(harbor.project("team").await.expect("an answer"), None);
    let id = harbor.create_project(&new_project("team")).await.expect("a project");
    assert!(matches!(harbor.create_project(&new_project("team")).await, Err(HarborError::Conflict { .. })));
    assert!(matches!(harbor.create_project(&new_project("-")).await, Err(HarborError::Invalid { .. })));

    let allowlist = CveAllowlist { expires_at: Some(1_900_000_000), items: vec!["CVE-2019-10164".to_owned()] };
    let change = ProjectChange {
        metadata: BTreeMap::from([("public".to_owned(), "true".to_owned())]),
        cve_allowlist: Some(allowlist.clone()),
    };
    harbor.update_project(id, &change).await.expect("a change");
    let project = harbor.project("team").await.expect("an answer").expect("a project");
    assert_eq!((project.id, project.metadata["public"].as_str(), project.cve_allowlist), (id, "true", allowlist));

    let quota = harbor.quota(id).await.expect("an answer").expect("a quota");
    assert_eq!((quota.limit, quota.used), (1 << 30, 0));
    harbor.set_quota(quota.id, -1).await.expect("a change");
    assert_eq!(harbor.quota(id).await.expect("an answer").expect("a quota").limit, -1);
    assert!(matches!(harbor.set_quota(quota.id, 0).await, Err(HarborError::Invalid { .. })));

    core.user("anna").await;
    let anna = NewMember::User { username: "anna".to_owned() };
    let member = harbor.add_member(id, &anna, Role::Guest).await.expect("a member");
    assert!(matches!(harbor.add_member(id, &anna, Role::Guest).await, Err(HarborError::Conflict { .. })));
    harbor.update_member(id, member, Role::Developer).await.expect("a change");
    let members = harbor.members(id).await.expect("members");
    let known = members.iter().find(|known| known.id == member).expect("the member");
    assert_eq!((known.name.as_str(), known.entity, known.role), ("anna", MemberEntity::User, Role::Developer));
    harbor.remove_member(id, member).await.expect("a change");
    assert_eq!(harbor.members(id).await.expect("members").len(), members.len() - 1);

    let policy = harbor.create_retention(id, &retention("v*")).await.expect("a policy");
    let project = harbor.project("team").await.expect("an answer").expect("a project");
    assert_eq!(project.retention_id(), Some(policy));
    harbor.update_retention(policy, id, &retention("w*")).await.expect("a change");
    assert_eq!(harbor.retention(policy).await.expect("an answer"), Some(retention("w*")));
    harbor.delete_retention(policy).await.expect("a change");
    harbor.delete_project(id).await.expect("a change");
    assert_eq!(harbor.project("team").await.expect("an answer"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robot_from_its_making_to_its_end() {
    let core = Core::start().await;
    let harbor = core.administrator();
    let project = harbor.create_project(&new_project("team")).await.expect("a project");
    let made = harbor.create_robot(&new_robot("ci", "team", &["pull"])).await.expect("a robot");
    assert_eq!(made.name, "robot$team+ci");
    let again = harbor.create_robot(&new_robot("ci", "team", &["pull"])).await;
    assert!(matches!(again, Err(HarborError::Conflict { .. })));
    let nowhere = harbor.create_robot(&new_robot("ci", "nowhere", &["pull"])).await;
    assert!(matches!(nowhere, Err(HarborError::NotFound { .. })), "{nowhere:?}");
    let unknown = harbor.create_robot(&new_robot("fly", "team", &["fly"])).await;
    assert!(matches!(unknown, Err(HarborError::Invalid { .. })), "{unknown:?}");

    let robot = harbor.robot(made.id).await.expect("an answer").expect("a robot");
    assert_eq!(harbor.robots(RobotLevel::Project(project)).await.expect("robots"), std::slice::from_ref(&robot));
    assert_eq!(harbor.robots(RobotLevel::System).await.expect("robots"), []);
    assert!(robot.creation_time.parse::<jiff::Timestamp>().is_ok(), "{}", robot.creation_time);
    let secret = secrecy::ExposeSecret::expose_secret(&made.secret).to_owned();
    assert!(core.client(&made.name, &secret).accepts_robot(made.id).await.expect("an answer"));
    assert!(!core.client(&made.name, "Wrong-Secret-0").accepts_robot(made.id).await.expect("an answer"));

    let chosen = "Chosen-Secret-0".into();
    harbor.refresh_robot(made.id, Some(&chosen)).await.expect("a change");
    assert!(core.client(&made.name, "Chosen-Secret-0").accepts_robot(made.id).await.expect("an answer"));
    assert!(!core.client(&made.name, &secret).accepts_robot(made.id).await.expect("an answer"));
    let weak = harbor.refresh_robot(made.id, Some(&"weak".into())).await;
    assert!(matches!(weak, Err(HarborError::Invalid { .. })), "{weak:?}");

    let permissions = new_robot("ci", "team", &["pull", "push"]).permissions;
    let change = Robot { disable: true, duration: 60, permissions: permissions.clone(), ..robot.clone() };
    harbor.update_robot(&change).await.expect("a change");
    let changed = harbor.robot(made.id).await.expect("an answer").expect("a robot");
    assert_eq!((changed.disable, changed.duration, &changed.permissions), (true, 60, &permissions));
    // Harbor counts from the robot's own time, which is taken a moment after the first expiry is.
    let later = changed.expires_at - robot.expires_at - 30 * 86_400;
    assert!((0..=2).contains(&later), "{later} s");
    assert!(!core.client(&made.name, "Chosen-Secret-0").accepts_robot(made.id).await.expect("an answer"));

    harbor.delete_robot(made.id).await.expect("a change");
    assert_eq!(harbor.robot(made.id).await.expect("an answer"), None);
    assert!(matches!(harbor.delete_robot(made.id).await, Err(HarborError::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_told_apart() {
    let core = Core::start().await;
    let wrong = core.client("admin", "Wrong-Password-0");
    assert_eq!(wrong.current_user().await.expect("an answer"), None);
    assert!(matches!(wrong.projects().await, Ok(_) | Err(HarborError::Unauthorized { .. })));
    assert!(matches!(wrong.configurations().await, Err(HarborError::Unauthorized { .. })));
    // A wrong password keeps its user out for a while, whoever tries.
    tokio::time::sleep(std::time::Duration::from_millis(1600)).await;
    core.user("anna").await;
    let anna = core.client("anna", "Some-Password-0");
    assert!(matches!(anna.configurations().await, Err(HarborError::Forbidden { .. })));
    let known = core.administrator().configurations().await.expect("configurations");
    assert_eq!(known["robot_name_prefix"].value, json!("robot$"));
    let health = core.administrator().health().await.expect("an answer");
    assert!(!health.is_healthy(), "there is no registry");
    assert!(core.administrator().system_information().await.expect("an answer").harbor_version.is_some());
}
