//! The rights of the operator: the least that it works with, split by what needs them. Pure.

use serde_json::{Value, json};

/// Where the operator runs unless told otherwise.
const NAMESPACE: &str = "fairway-system";
/// Its `ServiceAccount`.
const ACCOUNT: &str = "fairway-operator";

/// Roles and their bindings: one `ClusterRole` for what is made for users, one Role for what is the
/// operator's own.
pub(super) fn roles() -> Vec<Value> {
    vec![
        role("ClusterRole", &json!({ "name": ACCOUNT }), &operand_rules()),
        binding("ClusterRole", &json!({ "name": ACCOUNT })),
        role("Role", &json!({ "name": ACCOUNT, "namespace": NAMESPACE }), &own_rules()),
        binding("Role", &json!({ "name": ACCOUNT, "namespace": NAMESPACE })),
    ]
}

/// What load balancers need, in every namespace that is looked after.
fn operand_rules() -> Value {
    let owned = ["get", "list", "watch", "create", "patch", "delete"];
    let read = ["get", "list", "watch"];
    json!([
        { "apiGroups": ["fairway.dev"], "resources": ["loadbalancers", "loadbalancerclasses"], "verbs": read },
        { "apiGroups": ["fairway.dev"], "resources": ["loadbalancers/status"], "verbs": ["patch"] },
        // Owner references that block deletion need this where OwnerReferencesPermissionEnforcement is on.
        { "apiGroups": ["fairway.dev"], "resources": ["loadbalancers/finalizers"], "verbs": ["update"] },
        { "apiGroups": ["apps"], "resources": ["deployments"], "verbs": owned },
        { "apiGroups": [""], "resources": ["services", "serviceaccounts"], "verbs": owned },
        // Users' certificates are read; configurations and certificates of agents are written.
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create", "patch"] },
        { "apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": owned },
        { "apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": owned },
        { "apiGroups": [""], "resources": ["configmaps", "pods"], "verbs": read },
        { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read },
        { "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] },
    ])
}

/// What the operator keeps for itself: its lease and its certificate authority.
fn own_rules() -> Value {
    json!([
        { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"] },
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["create"] },
        { "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["fairway-authority"], "verbs": ["get", "update"] },
    ])
}

fn role(kind: &str, metadata: &Value, rules: &Value) -> Value {
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules })
}

fn binding(role: &str, metadata: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": format!("{role}Binding"),
        "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": ACCOUNT },
        "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE }],
    })
}
