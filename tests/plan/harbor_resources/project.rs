//! Projects: what differs is found, and only what is named is touched.

use std::collections::BTreeMap;

use fairway::{
    api::{HarborProject, HarborProjectStatus},
    clients::harbor::{CveAllowlist, Member, MemberEntity, Project, Quota, Role},
    harbor::{
        access::Registry,
        project::{
            plan::{Plan, plan},
            wanted::Act,
            world::{Seen, World},
        },
        world::Problem,
    },
    reconcile::family::{Effect as _, Finalizer},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;

use super::{condition, registry};
use crate::fixtures::now;

const ALL: &str = "
public: true
quota: 1Gi
autoScan: true
refuseVulnerable: High
cveAllowlist: { items: [CVE-1, CVE-2] }
members: [{ user: anna, role: Developer }]
retention: { rules: [{ keep: LatestPushed, number: 10 }] }
";

fn project(spec: &str) -> HarborProject {
    let spec = format!("harborName: main\n{spec}");
    let mut resource = HarborProject::new("team", serde_saphyr::from_str(&spec).unwrap());
    resource.metadata.namespace = Some("customer".to_owned());
    resource.metadata.generation = Some(1);
    resource
}

/// As Harbor makes one that says nothing.
fn bare() -> Seen {
    Seen {
        project: Project {
            id: 7,
            name: "team".to_owned(),
            metadata: BTreeMap::from([("public".to_owned(), "false".to_owned())]),
            cve_allowlist: CveAllowlist::default(),
            repo_count: 0,
            registry_id: None,
        },
        quota: Some(Quota { id: 3, limit: -1, used: 5 }),
        members: vec![member(1, "admin", Role::ProjectAdmin)],
        retention: None,
    }
}

fn member(id: i64, name: &str, role: Role) -> Member {
    Member { id, name: name.to_owned(), entity: MemberEntity::User, role }
}

fn world(asked: Option<Seen>) -> World {
    World { registry: Some(registry()), rival: None, asked: Some(Ok(asked)) }
}

/// What Harbor has after what was planned.
fn performed(seen: &mut Seen, plan: &Plan) {
    for effect in &plan.effects {
        match &effect.act {
            Act::Update { change, .. } => {
                seen.project.metadata.extend(change.metadata.clone());
                if let Some(list) = &change.cve_allowlist {
                    seen.project.cve_allowlist = list.clone();
                }
            }
            Act::SetQuota { limit, .. } => seen.quota.as_mut().unwrap().limit = *limit,
            Act::AddMember { role, .. } => seen.members.push(member(9, "anna", *role)),
            Act::SetRole { member, role, .. } => {
                seen.members.iter_mut().find(|known| known.id == *member).unwrap().role = *role;
            }
            Act::RemoveMember { member, .. } => seen.members.retain(|known| known.id != *member),
            Act::SetRetention { retention, .. } => {
                seen.retention = Some(retention.clone());
                seen.project.metadata.insert("retention_id".to_owned(), "4".to_owned());
            }
            Act::Create(_) | Act::Delete { .. } => panic!("{effect:?}"),
        }
    }
}

/// A resource and its project, when all is as the spec says.
fn settled(spec: &str) -> (HarborProject, Seen) {
    let (mut resource, mut seen) = (project(spec), bare());
    let first = plan(&resource, &world(Some(seen.clone())), now());
    performed(&mut seen, &first);
    let second = plan(&resource, &world(Some(seen.clone())), now());
    assert!(second.effects.is_empty(), "{:?}", second.effects);
    assert_eq!(condition(&second.status.conditions, "Synced").0, "True/Synced");
    resource.status = Some(second.status);
    (resource, seen)
}

fn names(plan: &Plan) -> Vec<&'static str> {
    plan.effects.iter().map(fairway::reconcile::Effect::name).collect()
}

#[test]
fn it_is_made_first_and_completed_then() {
    let resource = project(ALL);
    let first = plan(&resource, &world(None), now());
    assert_eq!(names(&first), ["CreateProject"]);
    let Act::Create(made) = &first.effects[0].act else { panic!("{:?}", first.effects) };
    assert_eq!((made.name.as_str(), made.storage_limit), ("team", Some(1 << 30)));
    assert_eq!(made.metadata["severity"], "high");
    assert_eq!(condition(&first.status.conditions, "Ready").0, "False/NotSynced");
    let second = plan(&resource, &world(Some(bare())), now());
    assert_eq!(names(&second), ["UpdateProject", "SetQuota", "AddMember", "SetRetention"]);
    assert!(second.effects.iter().all(|effect| effect.routine), "it follows from what was written");
    let (resource, _) = settled(ALL);
    assert_eq!(resource.status.unwrap().synced_generation, Some(1));
}

#[test]
fn what_is_not_named_is_left_alone() {
    let mut seen = bare();
    seen.project.metadata.insert("auto_scan".to_owned(), "true".to_owned());
    seen.project.cve_allowlist.items = vec!["CVE-9".to_owned()];
    let plan = plan(&project(""), &world(Some(seen)), now());
    assert!(plan.effects.is_empty(), "{:?}", plan.effects);
    assert_eq!(condition(&plan.status.conditions, "Synced").0, "True/Synced");
}

#[rstest]
#[case::switch(|seen: &mut Seen| { seen.project.metadata.remove("public"); }, "public")]
#[case::severity(|seen: &mut Seen| { seen.project.metadata.insert("severity".into(), "low".into()); }, "refuseVulnerable")]
#[case::list(|seen: &mut Seen| { seen.project.cve_allowlist.items.pop(); }, "cveAllowlist")]
#[case::harbors_own_list(|seen: &mut Seen| { seen.project.metadata.remove("reuse_sys_cve_allowlist"); }, "cveAllowlist")]
#[case::end_of_the_list(|seen: &mut Seen| seen.project.cve_allowlist.expires_at = Some(5), "cveAllowlist")]
#[case::quota(|seen: &mut Seen| seen.quota.as_mut().unwrap().limit = 5, "quota")]
#[case::role(|seen: &mut Seen| seen.members[1].role = Role::ProjectAdmin, "members[user/anna]")]
#[case::member(|seen: &mut Seen| { seen.members.pop(); }, "members[user/anna]")]
#[case::no_retention(|seen: &mut Seen| seen.retention = None, "retention")]
#[case::schedule(|seen: &mut Seen| seen.retention.as_mut().unwrap().cron = "0 0 1 * * *".into(), "retention")]
#[case::rule(|seen: &mut Seen| seen.retention.as_mut().unwrap().rules[0].disabled = true, "retention")]
fn what_is_changed_by_hand_is_told_first_and_then_mended_or_left(
    #[case] change: fn(&mut Seen),
    #[case] field: &str,
    #[values("Mend", "Report")] policy: &str,
) {
    let (mut resource, mut seen) = settled(&format!("{ALL}drift: {policy}\n"));
    let before = seen.clone();
    change(&mut seen);
    let told = plan(&resource, &world(Some(seen.clone())), now());
    assert!(told.effects.is_empty(), "it is told first: {:?}", told.effects);
    let (verdict, message) = condition(&told.status.conditions, "Synced");
    assert_eq!(verdict, "False/Drifted");
    assert!(message.contains(&format!("by hand in Harbor: {field};")), "{message}");
    assert_eq!((told.status.drift.as_slice(), told.events[0].reason), ([field.to_owned()].as_slice(), "Drifted"));
    assert_eq!(condition(&told.status.conditions, "Ready").0, "True/Ready");

    resource.status = Some(told.status);
    let then = plan(&resource, &world(Some(seen.clone())), now());
    assert!(then.events.is_empty(), "it is told once");
    performed(&mut seen, &then);
    if policy == "Mend" {
        assert!(then.effects.iter().all(|effect| effect.why().contains("by hand in Harbor")));
        let ended = plan(&resource, &world(Some(seen)), now());
        assert!(ended.effects.is_empty() && ended.status.drift.is_empty());
        assert_eq!(ended.events[0].reason, "Synced");
    } else {
        assert!(then.effects.is_empty() && seen != before);
        // The next change of the spec sets all of it.
        resource.metadata.generation = Some(2);
        assert!(!plan(&resource, &world(Some(seen)), now()).effects.is_empty());
    }
}

#[test]
fn one_who_is_named_no_longer_goes_and_one_who_never_was_stays() {
    let (mut resource, mut seen) = settled(ALL);
    seen.members.push(member(5, "berta", Role::Guest));
    resource.spec.members.clear();
    resource.metadata.generation = Some(2);
    let plan = plan(&resource, &world(Some(seen)), now());
    let acts: Vec<_> = plan.effects.iter().map(|effect| &effect.act).collect();
    assert_eq!(acts, [&Act::RemoveMember { id: 7, member: 9 }]);
    assert_eq!(plan.status.members, ["user/anna"], "until it is gone");
}

#[test]
fn rules_that_are_written_otherwise_are_the_same() {
    let (resource, mut seen) = settled(ALL);
    let rule = &mut seen.retention.as_mut().unwrap().rules[0];
    rule.params = BTreeMap::from([("latestPushedK".to_owned(), serde_json::json!(10.0))]);
    rule.tag_selectors[0].extras = r#"{ "untagged" : true }"#.to_owned();
    assert!(plan(&resource, &world(Some(seen)), now()).effects.is_empty());
}

#[test]
fn a_project_that_was_deleted_by_hand_is_told_and_made_anew() {
    let (mut resource, _) = settled("");
    let told = plan(&resource, &world(None), now());
    assert!(told.effects.is_empty());
    assert!(condition(&told.status.conditions, "Synced").1.contains("the project was deleted"));
    assert_eq!(condition(&told.status.conditions, "Ready").0, "False/Drifted");
    resource.status = Some(told.status);
    assert_eq!(names(&plan(&resource, &world(None), now())), ["CreateProject"]);
}

#[test]
fn a_quota_where_harbor_keeps_none_is_told() {
    let mut seen = bare();
    seen.quota = None;
    let plan = plan(&project("quota: 1Gi\n"), &world(Some(seen)), now());
    assert!(plan.effects.is_empty());
    assert_eq!(condition(&plan.status.conditions, "Synced").0, "False/NoQuotas");
}

#[rstest]
#[case::no_harbor(World::default(), "ResolvedRefs", "False/HarborNotFound")]
#[case::not_ready(
    World { registry: Some(Registry { waits: Some("it starts".to_owned()), ..registry() }), ..World::default() },
    "ResolvedRefs",
    "False/HarborNotReady"
)]
#[case::leaving(
    World { registry: Some(Registry { leaving: true, ..registry() }), ..World::default() },
    "ResolvedRefs",
    "False/HarborDeleting"
)]
#[case::rival(World { rival: Some("other".to_owned()), ..world(None) }, "Accepted", "False/NameTaken")]
#[case::error(
    World { asked: Some(Err(Problem::new("HarborUnreachable", "nobody listens"))), ..world(None) },
    "Synced",
    "False/HarborUnreachable"
)]
fn what_keeps_it_from_being_made_is_told(#[case] world: World, #[case] kind: &str, #[case] verdict: &str) {
    let plan = plan(&project(ALL), &world, now());
    assert!(plan.effects.is_empty());
    assert_eq!(condition(&plan.status.conditions, kind).0, verdict);
    assert_eq!(condition(&plan.status.conditions, "Ready").0, verdict);
}

fn deleted(spec: &str, repositories: u64) -> (HarborProject, Seen) {
    let (mut resource, mut seen) = settled(spec);
    resource.metadata.deletion_timestamp = Some(Time(now()));
    seen.project.repo_count = repositories;
    (resource, seen)
}

#[test]
fn a_project_outlives_its_resource_unless_it_is_empty_and_to_go() {
    let (resource, seen) = deleted("", 0);
    let kept = plan(&resource, &world(Some(seen)), now());
    assert_eq!((kept.finalizer, kept.effects.len()), (Finalizer::Released, 0));

    let (resource, seen) = deleted("deletionPolicy: Delete\n", 2);
    let full = plan(&resource, &world(Some(seen)), now());
    assert_eq!((full.finalizer, full.effects.len()), (Finalizer::Held, 0));
    let (verdict, message) = condition(&full.status.conditions, "Ready");
    assert_eq!((verdict.as_str(), full.events[0].reason), ("False/NotEmpty", "NotEmpty"));
    assert!(message.contains("2 repositories"), "{message}");

    let (resource, seen) = deleted("deletionPolicy: Delete\n", 0);
    let empty = plan(&resource, &world(Some(seen.clone())), now());
    assert_eq!((empty.finalizer, names(&empty)), (Finalizer::Held, vec!["DeleteProject"]));
    assert_eq!(plan(&resource, &world(None), now()).finalizer, Finalizer::Released);
    assert_eq!(plan(&resource, &World::default(), now()).finalizer, Finalizer::Released, "the registry is gone");
    let silent = World { asked: Some(Err(Problem::new("HarborUnreachable", "no"))), ..world(None) };
    assert_eq!(plan(&resource, &silent, now()).finalizer, Finalizer::Held);

    // Another project of the same name, and one that was never this resource's.
    let mut other = seen.clone();
    other.project.id = 8;
    assert_eq!(plan(&resource, &world(Some(other)), now()).finalizer, Finalizer::Released);
    let never = HarborProject { status: Some(HarborProjectStatus::default()), ..resource };
    assert_eq!(plan(&never, &world(Some(seen)), now()).finalizer, Finalizer::Released);
}
