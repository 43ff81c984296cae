//! Who may do what in a project.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{HarborClient, HarborError, exchange::Ask};

/// What a member may do; the numbers are Harbor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// 1: all within the project.
    ProjectAdmin,
    /// 2: pull and push.
    Developer,
    /// 3: pull, and see who else is there.
    Guest,
    /// 4: what a developer may, and scan, replicate, delete.
    Maintainer,
    /// 5: pull.
    LimitedGuest,
    /// One that this operator does not know.
    Other(i64),
}

impl Role {
    /// Harbor's number.
    #[must_use]
    pub fn id(self) -> i64 {
        match self {
            Self::ProjectAdmin => 1,
            Self::Developer => 2,
            Self::Guest => 3,
            Self::Maintainer => 4,
            Self::LimitedGuest => 5,
            Self::Other(id) => id,
        }
    }

    /// The role of this number.
    #[must_use]
    pub fn of(id: i64) -> Self {
        let known = [Self::ProjectAdmin, Self::Developer, Self::Guest, Self::Maintainer, Self::LimitedGuest];
        known.into_iter().find(|role| role.id() == id).unwrap_or(Self::Other(id))
    }
}

/// Who is a member.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum MemberEntity {
    /// A user.
    #[serde(rename = "u")]
    User,
    /// A group.
    #[serde(rename = "g")]
    Group,
}

/// A member, as Harbor tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Of the membership, for all other calls.
    pub id: i64,
    /// The name of the user or the group.
    pub name: String,
    /// Which of the two.
    pub entity: MemberEntity,
    /// What it may do.
    pub role: Role,
}

/// Who shall be a member.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum NewMember {
    /// By its name. Harbor looks for it where users log in (LDAP, OIDC) when it does not know it.
    #[serde(rename = "member_user")]
    User {
        /// As it logs in.
        username: String,
    },
    /// By its name or, with LDAP, by its place in the directory.
    #[serde(rename = "member_group")]
    Group {
        /// As it is shown.
        group_name: String,
        /// 1 for LDAP, 2 for HTTP, 3 for OIDC.
        group_type: i64,
        /// For LDAP.
        #[serde(skip_serializing_if = "Option::is_none")]
        ldap_group_dn: Option<String>,
    },
}

#[derive(Deserialize)]
struct Told {
    id: i64,
    entity_name: String,
    entity_type: MemberEntity,
    role_id: i64,
}

#[derive(Serialize)]
struct Request<'a> {
    role_id: i64,
    #[serde(flatten)]
    member: &'a NewMember,
}

impl HarborClient {
    /// All members of a project.
    ///
    /// # Errors
    /// As any question.
    pub async fn members(&self, project_id: i64) -> Result<Vec<Member>, HarborError> {
        let members: Vec<Told> = self.list(&format!("/projects/{project_id}/members")).await?;
        let member = |told: Told| Member {
            id: told.id,
            name: told.entity_name,
            entity: told.entity_type,
            role: Role::of(told.role_id),
        };
        Ok(members.into_iter().map(member).collect())
    }

    /// Makes someone a member, and tells the membership's id.
    ///
    /// # Errors
    /// Conflict for one who is a member; `NotFound` or Invalid for one whom Harbor does not know.
    pub async fn add_member(&self, project_id: i64, member: &NewMember, role: Role) -> Result<i64, HarborError> {
        let body = Request { role_id: role.id(), member };
        self.create(&format!("/projects/{project_id}/members"), &body).await
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// As any change.
    pub async fn update_member(&self, project_id: i64, id: i64, role: Role) -> Result<(), HarborError> {
        let path = format!("/projects/{project_id}/members/{id}");
        self.change(Ask::new(Method::PUT, &path).body(&json!({ "role_id": role.id() }))).await
    }

    /// Ends a membership.
    ///
    /// # Errors
    /// As any change.
    pub async fn remove_member(&self, project_id: i64, id: i64) -> Result<(), HarborError> {
        self.change(Ask::new(Method::DELETE, &format!("/projects/{project_id}/members/{id}"))).await
    }
}
