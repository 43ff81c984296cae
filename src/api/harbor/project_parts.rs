//! What belongs to a project: its members, and which of its images are kept.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a difference that was made by hand in Harbor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftPolicy {
    /// It is told and put right.
    #[default]
    Mend,
    /// It is told and left.
    Report,
}

/// A member of a project.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.user) != has(self.group)", "a member is either a user or a group: give one of them"),
    validation = (
        "has(self.group) || (!has(self.groupType) && !has(self.ldapGroupDN))",
        "groupType and ldapGroupDN are for groups: leave them out for a user"
    )
)]
pub struct ProjectMember {
    /// A user, as it logs in. Harbor has to know it, or to find it where users log in (LDAP, OIDC). Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub user: Option<String>,

    /// A group, as Harbor shows it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub group: Option<String>,

    /// Where the group comes from. Default: `OIDC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_type: Option<MemberGroupType>,

    /// The group's place in the directory, for LDAP. Default: none, so that Harbor looks for the name.
    #[serde(rename = "ldapGroupDN", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub ldap_group_dn: Option<String>,

    /// What it may do: `LimitedGuest` and `Guest` pull, `Developer` pushes, too, `Maintainer` deletes and scans,
    /// `ProjectAdmin` does all within the project.
    pub role: MemberRole,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MemberRole {
    /// Pull.
    LimitedGuest,
    /// Pull, and see who else is there.
    #[default]
    Guest,
    /// Push, too.
    Developer,
    /// Delete and scan, too.
    Maintainer,
    /// All within the project.
    ProjectAdmin,
}

/// Where the group comes from. Default: `OIDC`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MemberGroupType {
    /// A directory.
    #[serde(rename = "LDAP")]
    Ldap,
    /// A proxy that authenticates.
    #[serde(rename = "HTTP")]
    Http,
    /// An identity provider.
    #[default]
    #[serde(rename = "OIDC")]
    Oidc,
}

/// Which images of a project are kept.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectRetention {
    /// When all that no rule keeps is deleted: six fields, seconds first, which have to be 0, in UTC, such as
    /// `0 0 3 * * *`. Default: never by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = (
        "self.matches('^0 [0-9][-0-9,/]*( [^ ]+){4}$')",
        "schedule must have six fields (second minute hour day month weekday) with second 0 and a minute, such as 0 0 3 * * *"
    ))]
    pub schedule: Option<String>,

    /// What is kept, from 1 to 15, no two alike: an image stays when one of them keeps it.
    #[schemars(length(min = 1, max = 15))]
    #[x_kube(validation = ("self.all(a, self.exists_one(b, a == b))", "no two rules may be alike"))]
    pub rules: Vec<RetentionKeep>,
}

/// A rule that keeps images.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.keep == 'Always' || has(self.number)",
        "this rule needs a number: of images for LatestPushed and LatestPulled, of days for DaysSincePush and DaysSincePull"
    ),
    validation = ("self.keep != 'Always' || !has(self.number)", "Always takes no number: leave it out")
)]
pub struct RetentionKeep {
    /// `LatestPushed` and `LatestPulled` keep so many images of each repository, `DaysSincePush` and `DaysSincePull`
    /// those that were pushed or pulled within so many days, `Always` all.
    pub keep: RetentionTemplate,

    /// How many images or days. Default: none, for `Always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub number: Option<i32>,

    /// The repositories that are meant, without the project, as a pattern such as `web/**` or `{api,web}`. Default: `**`,
    /// all.
    #[serde(default = "everything")]
    #[schemars(length(min = 1, max = 255))]
    pub repositories: String,

    /// Whether all repositories but those are meant. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repositories_excluded: bool,

    /// The tags that are meant, as a pattern such as `v*`. Default: `**`, all.
    #[serde(default = "everything")]
    #[schemars(length(min = 1, max = 255))]
    pub tags: String,

    /// Whether all tags but those are meant. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tags_excluded: bool,

    /// Whether images without a tag are meant, too. Default: `true`.
    #[serde(default = "crate::api::yes")]
    pub untagged: bool,
}

/// How a rule chooses what it keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetentionTemplate {
    /// So many of each repository that were pushed last.
    LatestPushed,
    /// So many of each repository that were pulled last.
    LatestPulled,
    /// Those that were pushed within so many days.
    DaysSincePush,
    /// Those that were pulled within so many days.
    DaysSincePull,
    /// All.
    #[default]
    Always,
}

fn everything() -> String {
    "**".to_owned()
}
