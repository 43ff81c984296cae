//! What `kubectl apply` answers to projects and robots that make no sense: at once, and with what to do.

use fairway::api::{HarborProject, HarborRobot};
use kube::{
    Api, Resource,
    api::{DynamicObject, Patch, PatchParams, ValidationDirective},
    core::ApiResource,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::server::{client, namespace};

async fn apply_in<K: Resource<DynamicType = ()>>(
    namespace: &str,
    name: &str,
    spec: &Value,
) -> Result<DynamicObject, String> {
    let kind = ApiResource::erase::<K>(&());
    let object = json!({
        "apiVersion": "fairway.dev/v1alpha1", "kind": kind.kind, "metadata": { "name": name }, "spec": spec,
    });
    let api: Api<DynamicObject> = Api::namespaced_with(client().await, namespace, &kind);
    let strict = PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply("test") };
    api.patch(name, &strict, &Patch::Apply(&object)).await.map_err(|error| error.to_string())
}

/// The smallest spec, with these besides or in place; `null` leaves one out.
fn with(smallest: &str, more: &str) -> Value {
    let mut spec: Value = serde_saphyr::from_str(smallest).unwrap();
    let more: Value = serde_saphyr::from_str(more).unwrap();
    for (key, value) in more.as_object().unwrap() {
        if value.is_null() {
            spec.as_object_mut().unwrap().remove(key);
        } else {
            spec[key] = value.clone();
        }
    }
    spec
}

fn project(more: &str) -> Value {
    with("{ harborName: main }", more)
}

fn robot(more: &str) -> Value {
    let pull = "{ project: team, access: [{ resource: repository, actions: [pull] }] }";
    with(&format!("{{ harborName: main, permissions: [{pull}] }}"), more)
}

#[tokio::test]
async fn good_ones_are_taken_and_completed() {
    let (_, namespace) = namespace().await;
    let taken = apply_in::<HarborProject>(&namespace, "team", &project("{}")).await.unwrap();
    assert_eq!(taken.data["spec"], json!({ "harborName": "main", "drift": "Mend", "deletionPolicy": "Retain" }));
    let spec = "
projectName: team_a.b
public: true
quota: none
autoScan: true
autoSBOM: false
signedOnly: true
refuseVulnerable: Critical
cveAllowlist: { items: [CVE-2019-10164, GHSA-aaaa-bbbb-cccc], expiresAt: '2030-01-01T00:00:00Z' }
members:
  - { user: anna, role: Developer }
  - { group: developers, groupType: LDAP, ldapGroupDN: 'cn=developers,dc=example,dc=com', role: ProjectAdmin }
retention:
  schedule: 0 30 3 * * 1
  rules:
    - { keep: LatestPushed, number: 10 }
    - { keep: Always, repositories: 'web/**', tags: 'v*', untagged: false }
drift: Report
deletionPolicy: Delete
";
    let taken = apply_in::<HarborProject>(&namespace, "other", &project(spec)).await.unwrap();
    assert_eq!(taken.data["spec"]["retention"]["rules"][0]["repositories"], "**");
    let taken = apply_in::<HarborRobot>(&namespace, "ci", &robot("{}")).await.unwrap();
    assert_eq!((&taken.data["spec"]["level"], &taken.data["spec"]["drift"]), (&json!("Project"), &json!("Mend")));
    let spec = "
robotName: ci.all
level: System
permissions:
  - { project: '*', access: [{ resource: repository, actions: [pull, push] }] }
  - { access: [{ resource: catalog, actions: [read] }] }
description: for everything
duration: 90
rotation: { after: 30 }
pullSecret: { name: everything }
";
    apply_in::<HarborRobot>(&namespace, "everything", &robot(spec)).await.unwrap();
}

#[rstest]
#[case::no_harbor("{ harborName: null }", "spec.harborName: Required value")]
#[case::capitals("{ projectName: Team }", "spec.projectName")]
#[case::two_dots("{ projectName: a..b }", "spec.projectName")]
#[case::dot_at_the_end("{ projectName: a. }", "spec.projectName")]
#[case::a_slash("{ projectName: a/b }", "spec.projectName")]
#[case::no_quantity("{ quota: large }", "quota must be a whole quantity")]
#[case::no_room("{ quota: '0' }", "quota must be a whole quantity")]
#[case::below_nothing("{ quota: '-1' }", "or none for no limit")]
#[case::too_much("{ quota: 2000Ti }", "from 1 to 1024Ti")]
#[case::a_part_of_a_byte("{ quota: 1500m }", "quota must be a whole quantity")]
#[case::severity("{ refuseVulnerable: Bad }", "\"Critical\"")]
#[case::both_lists("{ cveAllowlist: { reuseSystem: true, items: [CVE-1] } }", "leave items and expiresAt out")]
#[case::one_twice("{ cveAllowlist: { items: [CVE-1, CVE-1] } }", "duplicate entries for key")]
#[case::no_time("{ cveAllowlist: { expiresAt: tomorrow } }", "expiresAt")]
#[case::nobody("{ members: [{ role: Guest }] }", "either a user or a group")]
#[case::both("{ members: [{ user: a, group: a, role: Guest }] }", "either a user or a group")]
#[case::no_role("{ members: [{ user: a }] }", "role: Required value")]
#[case::unknown_role("{ members: [{ user: a, role: Owner }] }", "\"Maintainer\"")]
#[case::group_of_a_user("{ members: [{ user: a, groupType: LDAP, role: Guest }] }", "are for groups")]
#[case::twice("{ members: [{ user: a, role: Guest }, { user: a, role: Developer }] }", "can be a member once")]
#[case::no_rules("{ retention: { rules: [] } }", "should have at least 1 items")]
#[case::no_number("{ retention: { rules: [{ keep: LatestPushed }] } }", "needs a number")]
#[case::number_for_nothing("{ retention: { rules: [{ keep: Always, number: 1 }] } }", "Always takes no number")]
#[case::alike("{ retention: { rules: [{ keep: Always }, { keep: Always }] } }", "no two rules may be alike")]
#[case::five_fields("{ retention: { schedule: '0 3 * * *', rules: [{ keep: Always }] } }", "six fields")]
#[case::each_minute("{ retention: { schedule: '0 * * * * *', rules: [{ keep: Always }] } }", "six fields")]
#[case::unknown_policy("{ drift: Ignore }", "\"Mend\", \"Report\"")]
#[case::unknown_field("{ private: true }", "private: field not declared in schema")]
#[tokio::test]
async fn a_wrong_project_is_refused_with_what_to_do(#[case] more: &str, #[case] expected: &str) {
    let (_, namespace) = namespace().await;
    let answer = apply_in::<HarborProject>(&namespace, "team", &project(more)).await.expect_err("a refusal");
    assert!(answer.contains(expected), "{answer}");
}

#[rstest]
#[case::no_harbor("{ harborName: null }", "spec.harborName: Required value")]
#[case::no_permissions("{ permissions: [] }", "should have at least 1 items")]
#[case::no_access("{ permissions: [{ project: a, access: [] }] }", "should have at least 1 items")]
#[case::no_actions(
    "{ permissions: [{ project: a, access: [{ resource: tag, actions: [] }] }] }",
    "should have at least 1 items"
)]
#[case::all_projects(
    "{ permissions: [{ project: '*', access: [{ resource: tag, actions: [list] }] }] }",
    "choose level System"
)]
#[case::the_system("{ permissions: [{ access: [{ resource: catalog, actions: [read] }] }] }", "choose level System")]
#[case::two_projects(
    "{ permissions: [{ project: a, access: [{ resource: tag, actions: [list] }] }, { project: b, access: [{ resource: tag, actions: [list] }] }] }",
    "exactly one permission"
)]
#[case::no_project(
    "{ level: System, permissions: [{ project: A, access: [{ resource: tag, actions: [list] }] }] }",
    "the name of a project in Harbor, or * for all"
)]
#[case::a_plus("{ robotName: team+ci }", "spec.robotName")]
#[case::for_no_time("{ duration: 0 }", "greater than or equal to 1")]
#[case::for_ever("{ duration: -1 }", "greater than or equal to 1")]
#[case::too_late("{ duration: 30, rotation: { after: 30 } }", "rotation.after must be less than duration")]
#[case::at_once("{ rotation: { after: 0 } }", "greater than or equal to 1")]
#[case::elsewhere("{ pullSecret: { namespace: other } }", "namespace: field not declared in schema")]
#[case::a_secret("{ secret: Secret-0 }", "secret: field not declared in schema")]
#[tokio::test]
async fn a_wrong_robot_is_refused_with_what_to_do(#[case] more: &str, #[case] expected: &str) {
    let (_, namespace) = namespace().await;
    let answer = apply_in::<HarborRobot>(&namespace, "ci", &robot(more)).await.expect_err("a refusal");
    assert!(answer.contains(expected), "{answer}");
}

#[rstest]
#[case::registry("{}", "{ harborName: other }", "harborName can't be changed")]
#[case::name("{ projectName: a }", "{ projectName: b }", "Harbor does not rename projects")]
#[case::name_later("{}", "{ projectName: b }", "projectName can't be given or taken away later")]
#[tokio::test]
async fn what_harbor_cannot_change_of_a_project_stays(#[case] one: &str, #[case] other: &str, #[case] expected: &str) {
    let (_, namespace) = namespace().await;
    apply_in::<HarborProject>(&namespace, "team", &project(one)).await.unwrap();
    let answer = apply_in::<HarborProject>(&namespace, "team", &project(other)).await.expect_err("a refusal");
    assert!(answer.contains(expected), "{answer}");
}

#[rstest]
#[case::registry("{}", "{ harborName: other }", "harborName can't be changed")]
#[case::name("{ robotName: a }", "{ robotName: b }", "Harbor does not rename robots")]
#[case::name_later("{}", "{ robotName: b }", "robotName can't be given or taken away later")]
#[case::level("{}", "{ level: System }", "make another HarborRobot")]
#[case::project(
    "{}",
    "{ permissions: [{ project: other, access: [{ resource: tag, actions: [list] }] }] }",
    "make another HarborRobot"
)]
#[case::secret("{}", "{ pullSecret: { name: other } }", "pullSecret.name can't be changed")]
#[tokio::test]
async fn what_harbor_cannot_change_of_a_robot_stays(#[case] one: &str, #[case] other: &str, #[case] expected: &str) {
    let (_, namespace) = namespace().await;
    apply_in::<HarborRobot>(&namespace, "ci", &robot(one)).await.unwrap();
    let answer = apply_in::<HarborRobot>(&namespace, "ci", &robot(other)).await.expect_err("a refusal");
    assert!(answer.contains(expected), "{answer}");
}

#[tokio::test]
async fn a_name_that_harbor_does_not_take_needs_another() {
    let (_, namespace) = namespace().await;
    let answer = apply_in::<HarborProject>(&namespace, "a--b", &project("{}")).await.expect_err("a refusal");
    assert!(answer.contains("or give spec.projectName"), "{answer}");
    apply_in::<HarborProject>(&namespace, "a--b", &project("{ projectName: a-b }")).await.unwrap();
    let answer = apply_in::<HarborRobot>(&namespace, "a--b", &robot("{}")).await.expect_err("a refusal");
    assert!(answer.contains("or give spec.robotName"), "{answer}");
    let long = "a".repeat(201);
    let answer = apply_in::<HarborRobot>(&namespace, &long, &robot("{}")).await.expect_err("a refusal");
    assert!(answer.contains("give spec.pullSecret.name"), "{answer}");
}
