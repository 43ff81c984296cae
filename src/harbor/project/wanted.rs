//! Where Harbor differs from the spec of a project, and what puts it right. What the spec does not name is left alone.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{name, world::Seen};
use crate::{
    api::{
        HarborProject, HarborProjectSpec, MemberGroupType, MemberRole, ProjectCveAllowlist, ProjectMember,
        ProjectRetention, RetentionKeep, RetentionTemplate, VulnerabilitySeverity,
    },
    clients::harbor::{
        CveAllowlist, Member, MemberEntity, NewMember, NewProject, ProjectChange, Retention, RetentionRule, Role,
        Selector,
    },
    harbor::quantity,
    reconcile::family,
};

/// Something to do in Harbor, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// What.
    pub act: Act,
    /// Why, in words.
    pub why: String,
    /// Whether users need not be told, since it follows from what they wrote.
    pub routine: bool,
}

/// Something to do in Harbor. `id` is the project's.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Make the project.
    Create(NewProject),
    /// Change what the project itself says.
    Update {
        /// The project.
        id: i64,
        /// To what.
        change: ProjectChange,
    },
    /// Let it hold so much.
    SetQuota {
        /// The quota's own number.
        quota: i64,
        /// In bytes; -1 for no limit.
        limit: i64,
    },
    /// Make somebody a member.
    AddMember {
        /// The project.
        id: i64,
        /// Who.
        member: NewMember,
        /// As what.
        role: Role,
    },
    /// Give a member another role.
    SetRole {
        /// The project.
        id: i64,
        /// The membership.
        member: i64,
        /// Which role.
        role: Role,
    },
    /// End a membership.
    RemoveMember {
        /// The project.
        id: i64,
        /// The membership.
        member: i64,
    },
    /// Say which images are kept.
    SetRetention {
        /// The project.
        id: i64,
        /// The policy that is there.
        policy: Option<i64>,
        /// What is kept.
        retention: Retention,
    },
    /// Delete it.
    Delete {
        /// The project.
        id: i64,
    },
}

impl family::Effect for Effect {
    fn name(&self) -> &'static str {
        match self.act {
            Act::Create(_) => "CreateProject",
            Act::Update { .. } => "UpdateProject",
            Act::SetQuota { .. } => "SetQuota",
            Act::AddMember { .. } => "AddMember",
            Act::SetRole { .. } => "SetRole",
            Act::RemoveMember { .. } => "RemoveMember",
            Act::SetRetention { .. } => "SetRetention",
            Act::Delete { .. } => "DeleteProject",
        }
    }

    fn why(&self) -> String {
        self.why.clone()
    }

    fn routine(&self) -> bool {
        self.routine
    }
}

/// Where Harbor differs from the spec.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    /// The spec's fields.
    pub fields: Vec<String>,
    /// What puts them right.
    pub acts: Vec<(Act, String)>,
}

impl Differences {
    fn add(&mut self, field: impl Into<String>, act: Act) {
        let field = field.into();
        self.acts.push((act, field.clone()));
        self.fields.push(field);
    }
}

/// The project as it is made first. Harbor takes the rest once it is there.
#[must_use]
pub fn new_project(resource: &HarborProject) -> NewProject {
    let metadata = metadata(&resource.spec).into_iter().map(|(key, value, _)| (key.to_owned(), value)).collect();
    NewProject { name: name(resource).to_owned(), metadata, storage_limit: limit(&resource.spec), registry_id: None }
}

/// Where what was seen differs from the spec.
#[must_use]
pub fn differences(resource: &HarborProject, seen: &Seen) -> Differences {
    let (spec, id) = (&resource.spec, seen.project.id);
    let mut found = Differences::default();
    project(spec, seen, &mut found);
    match (limit(spec), seen.quota) {
        (Some(limit), Some(quota)) if quota.limit != limit => {
            found.add("quota", Act::SetQuota { quota: quota.id, limit });
        }
        // Nothing mends it: Harbor keeps no quotas.
        (Some(limit), None) if limit != -1 => found.fields.push("quota".to_owned()),
        _ => {}
    }
    for member in &spec.members {
        let role = role(member.role);
        match seen.members.iter().find(|known| is(known, member)) {
            None => found.add(member_field(member), Act::AddMember { id, member: new_member(member), role }),
            Some(known) if known.role != role => {
                found.add(member_field(member), Act::SetRole { id, member: known.id, role });
            }
            Some(_) => {}
        }
    }
    let managed = resource.status.iter().flat_map(|status| &status.members);
    for former in managed.filter(|former| !spec.members.iter().any(|member| member_name(member) == **former)) {
        if let Some(known) = seen.members.iter().find(|known| known_name(known) == *former) {
            found.add(format!("members[{former}]"), Act::RemoveMember { id, member: known.id });
        }
    }
    if let Some(wanted) = spec.retention.as_ref().map(retention)
        && !seen.retention.as_ref().is_some_and(|known| alike(known, &wanted))
    {
        let policy = seen.retention.as_ref().and(seen.project.retention_id());
        found.add("retention", Act::SetRetention { id, policy, retention: wanted });
    }
    found
}

/// The members that are to go when the spec names them no longer.
#[must_use]
pub fn managed(resource: &HarborProject, seen: &Seen) -> Vec<String> {
    let before = resource.status.iter().flat_map(|status| status.members.iter().cloned());
    let still = before.filter(|former| seen.members.iter().any(|known| known_name(known) == *former));
    let all: BTreeSet<String> = resource.spec.members.iter().map(member_name).chain(still).collect();
    all.into_iter().collect()
}

/// What the project itself says, which is changed in one request.
fn project(spec: &HarborProjectSpec, seen: &Seen, found: &mut Differences) {
    let mut change = ProjectChange::default();
    let mut fields = vec![];
    for (key, value, field) in metadata(spec) {
        if seen.project.metadata.get(key).map_or(unsaid(key), String::as_str) != value {
            change.metadata.insert(key.to_owned(), value);
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
    }
    if let Some(list) = spec.cve_allowlist.as_ref().filter(|list| !list.reuse_system) {
        let wanted = allowlist(list);
        let of = |list: &CveAllowlist| list.items.iter().cloned().collect::<BTreeSet<String>>();
        let known = &seen.project.cve_allowlist;
        if of(known) != of(&wanted) || known.expires_at.filter(|time| *time > 0) != wanted.expires_at {
            change.cve_allowlist = Some(wanted);
            if !fields.contains(&"cveAllowlist") {
                fields.push("cveAllowlist");
            }
        }
    }
    if !fields.is_empty() {
        found.acts.push((Act::Update { id: seen.project.id, change }, fields.join(", ")));
        found.fields.extend(fields.into_iter().map(ToOwned::to_owned));
    }
}

/// What Harbor goes by where a project says nothing: its own list of vulnerabilities counts, and nothing else is on.
fn unsaid(key: &str) -> &'static str {
    if key == "reuse_sys_cve_allowlist" { "true" } else { "false" }
}

/// Harbor's keys and values for what the spec names, with the spec's fields.
fn metadata(spec: &HarborProjectSpec) -> Vec<(&'static str, String, &'static str)> {
    let switches = [
        ("public", spec.public, "public"),
        ("auto_scan", spec.auto_scan, "autoScan"),
        ("auto_sbom_generation", spec.auto_sbom, "autoSBOM"),
        ("enable_content_trust_cosign", spec.signed_only, "signedOnly"),
        ("reuse_sys_cve_allowlist", spec.cve_allowlist.as_ref().map(|list| list.reuse_system), "cveAllowlist"),
    ];
    let mut all: Vec<_> =
        switches.into_iter().filter_map(|(key, value, field)| Some((key, value?.to_string(), field))).collect();
    if let Some(worst) = spec.refuse_vulnerable {
        let severity = match worst {
            VulnerabilitySeverity::None => None,
            VulnerabilitySeverity::Low => Some("low"),
            VulnerabilitySeverity::Medium => Some("medium"),
            VulnerabilitySeverity::High => Some("high"),
            VulnerabilitySeverity::Critical => Some("critical"),
        };
        all.push(("prevent_vul", severity.is_some().to_string(), "refuseVulnerable"));
        all.extend(severity.map(|severity| ("severity", severity.to_owned(), "refuseVulnerable")));
    }
    all
}

fn limit(spec: &HarborProjectSpec) -> Option<i64> {
    match spec.quota.as_deref()? {
        "none" => Some(-1),
        // What the schema has let through is a quantity.
        quota => quantity::bytes(quota).and_then(|bytes| i64::try_from(bytes).ok()),
    }
}

fn allowlist(list: &ProjectCveAllowlist) -> CveAllowlist {
    CveAllowlist { expires_at: list.expires_at.as_ref().map(|time| time.0.as_second()), items: list.items.clone() }
}

fn role(role: MemberRole) -> Role {
    match role {
        MemberRole::LimitedGuest => Role::LimitedGuest,
        MemberRole::Guest => Role::Guest,
        MemberRole::Developer => Role::Developer,
        MemberRole::Maintainer => Role::Maintainer,
        MemberRole::ProjectAdmin => Role::ProjectAdmin,
    }
}

fn new_member(member: &ProjectMember) -> NewMember {
    match (&member.user, &member.group) {
        (Some(user), _) => NewMember::User { username: user.clone() },
        (None, group) => NewMember::Group {
            group_name: group.clone().unwrap_or_default(),
            group_type: match member.group_type.unwrap_or_default() {
                MemberGroupType::Ldap => 1,
                MemberGroupType::Http => 2,
                MemberGroupType::Oidc => 3,
            },
            ldap_group_dn: member.ldap_group_dn.clone(),
        },
    }
}

/// As in `status.members`.
fn member_name(member: &ProjectMember) -> String {
    match (&member.user, &member.group) {
        (Some(user), _) => format!("user/{user}"),
        (None, group) => format!("group/{}", group.as_deref().unwrap_or_default()),
    }
}

fn member_field(member: &ProjectMember) -> String {
    format!("members[{}]", member_name(member))
}

fn known_name(member: &Member) -> String {
    match member.entity {
        MemberEntity::User => format!("user/{}", member.name),
        MemberEntity::Group => format!("group/{}", member.name),
    }
}

fn is(known: &Member, member: &ProjectMember) -> bool {
    known_name(known) == member_name(member)
}

fn retention(wanted: &ProjectRetention) -> Retention {
    Retention { cron: wanted.schedule.clone().unwrap_or_default(), rules: wanted.rules.iter().map(rule).collect() }
}

fn rule(keep: &RetentionKeep) -> RetentionRule {
    let template = match keep.keep {
        RetentionTemplate::LatestPushed => "latestPushedK",
        RetentionTemplate::LatestPulled => "latestPulledN",
        RetentionTemplate::DaysSincePush => "nDaysSinceLastPush",
        RetentionTemplate::DaysSincePull => "nDaysSinceLastPull",
        RetentionTemplate::Always => "always",
    };
    let selector = |decoration: &str, pattern: &str, extras: String| Selector {
        kind: "doublestar".to_owned(),
        decoration: decoration.to_owned(),
        pattern: pattern.to_owned(),
        extras,
    };
    let of_tags = if keep.tags_excluded { "excludes" } else { "matches" };
    let of_repositories = if keep.repositories_excluded { "repoExcludes" } else { "repoMatches" };
    let extras = json!({ "untagged": keep.untagged }).to_string();
    RetentionRule {
        disabled: false,
        action: "retain".to_owned(),
        template: template.to_owned(),
        params: keep.number.map(|number| (template.to_owned(), json!(number))).into_iter().collect(),
        tag_selectors: vec![selector(of_tags, &keep.tags, extras)],
        scope_selectors: BTreeMap::from([(
            "repository".to_owned(),
            vec![selector(of_repositories, &keep.repositories, String::new())],
        )]),
    }
}

/// Whether two policies keep the same at the same times, however they are written.
fn alike(known: &Retention, wanted: &Retention) -> bool {
    let plain = |retention: &Retention| {
        let mut rules: Vec<String> = retention.rules.iter().map(plain).collect();
        rules.sort();
        rules
    };
    known.cron.trim() == wanted.cron.trim() && plain(known) == plain(wanted)
}

/// A rule in words that are the same for rules that do the same.
fn plain(rule: &RetentionRule) -> String {
    let selector = |selector: &Selector| {
        let extras: Value = serde_json::from_str(&selector.extras).unwrap_or_default();
        let untagged = extras["untagged"].as_bool().unwrap_or(false);
        json!([selector.kind, selector.decoration, selector.pattern, untagged])
    };
    let tags: Vec<Value> = rule.tag_selectors.iter().map(selector).collect();
    let scopes: BTreeMap<&String, Vec<Value>> =
        rule.scope_selectors.iter().map(|(place, all)| (place, all.iter().map(selector).collect())).collect();
    let numbers: BTreeMap<&String, Option<f64>> =
        rule.params.iter().map(|(name, number)| (name, number.as_f64())).collect();
    json!([rule.disabled, rule.action, rule.template, numbers, tags, scopes]).to_string()
}
