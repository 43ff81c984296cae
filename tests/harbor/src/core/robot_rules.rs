//! What a robot's permissions may be.

use serde_json::Value;

/// Resources and actions that a robot may be given over the system, and over a project.
const SYSTEM: &str = "audit-log:list preheat-instance:read,create,delete,list,update project:list,create
    replication-policy:read,create,delete,list,update replication:read,create,list replication-adapter:list
    registry:read,create,delete,list,update scan-all:read,update,stop,create system-volumes:read
    garbage-collection:read,create,list,update,stop purge-audit:read,create,list,update,stop jobservice-monitor:list,stop
    scanner:read,create,delete,list,update label:read,create,delete,update security-hub:read,list catalog:read
    quota:read,list,update robot:create,read,list,delete user:create,read,update,list,delete ldap-user:create,list
    user-group:create,read,update,list,delete";
const PROJECT: &str = "log:list project:read,delete,update metadata:read,create,delete,list,update
    repository:read,update,delete,list,pull,push artifact:read,create,list,delete scan:create,read,stop sbom:create,stop,read
    tag:create,list,delete accessory:list artifact-addition:read artifact-label:create,delete scanner:create,read
    preheat-policy:read,create,delete,list,update immutable-tag:create,delete,list,update
    notification-policy:read,create,delete,list,update tag-retention:read,create,delete,list,update
    label:read,create,delete,list,update quota:read robot:create,read,list,delete export-cve:create,read
    member:create,read,update,list,delete";

/// Why these permissions are refused.
pub(crate) fn problem(level: &str, duration: i64, permissions: &Value) -> Option<String> {
    if duration != -1 && duration <= 0 {
        return Some(format!(
            "bad request error duration input: {duration}, duration must be either -1(Never) or a positive integer"
        ));
    }
    if !matches!(level, "system" | "project") {
        return Some(format!("bad request error level input: {level}"));
    }
    let permissions = permissions.as_array().map(Vec::as_slice).unwrap_or_default();
    if permissions.is_empty() {
        return Some("bad request empty permission".to_owned());
    }
    if level == "project" && permissions.len() > 1 {
        return Some("bad request permission".to_owned());
    }
    permissions.iter().find_map(permission_problem)
}

fn permission_problem(permission: &Value) -> Option<String> {
    let kind = permission["kind"].as_str().unwrap_or_default();
    let known = match kind {
        "system" => SYSTEM,
        "project" => PROJECT,
        other => return Some(format!("bad request permission level: {other}")),
    };
    if kind == "project" && permission["namespace"].as_str().unwrap_or_default().is_empty() {
        return Some("bad request permission: a project's name is missing".to_owned());
    }
    let access = permission["access"].as_array().map(Vec::as_slice).unwrap_or_default();
    if access.is_empty() {
        return Some("bad request empty access".to_owned());
    }
    access.iter().find_map(|access| {
        let (resource, action) = (access["resource"].as_str()?, access["action"].as_str()?);
        let listed = known.split_whitespace().any(|line| {
            line.split_once(':')
                .is_some_and(|(name, actions)| name == resource && actions.split(',').any(|one| one == action))
        });
        (!listed).then(|| format!("bad request permission: {resource}:{action}"))
    })
}

/// Lower letters and digits, with dots, dashes and underscores between them.
pub(crate) fn valid_name(name: &str) -> bool {
    let inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    (1..=255).contains(&name.len())
        && name.starts_with(inner)
        && name.ends_with(inner)
        && name.chars().all(|letter| inner(letter) || matches!(letter, '.' | '_' | '-'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::problem;

    fn permission(action: &str) -> serde_json::Value {
        json!([{"kind": "project", "namespace": "library", "access": [{"resource": "repository", "action": action}]}])
    }

    #[test]
    fn only_known_permissions_are_given() {
        assert_eq!(problem("project", -1, &permission("pull")), None);
        assert!(problem("project", -1, &permission("fly")).is_some());
        assert!(problem("project", 0, &permission("pull")).is_some());
        assert!(problem("team", -1, &permission("pull")).is_some());
        assert!(problem("project", -1, &json!([])).is_some());
    }
}
