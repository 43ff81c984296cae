//! The rights of the operator: the least that it works with, split by what needs them. Pure.

use serde_json::{Value, json};

/// Where the operator runs unless told otherwise.
pub(super) const NAMESPACE: &str = "fairway-system";
/// Its `ServiceAccount`.
pub(super) const ACCOUNT: &str = "fairway-operator";

/// Roles and their bindings: one `ClusterRole` for what is made for users, one Role for what is the
/// operator's own.
pub(super) fn roles() -> Vec<Value> {
    let everywhere = [cluster_rules(), operand_rules()].concat();
    let own = json!({ "name": ACCOUNT, "namespace": NAMESPACE });
    vec![
        role("ClusterRole", &json!({ "name": ACCOUNT }), &everywhere),
        binding("ClusterRole", &json!({ "name": ACCOUNT }), &own),
        role("Role", &own, &own_rules()),
        binding("Role", &own, &own),
    ]
}

/// What a Role holds in each namespace that is looked after and in the operator's own: OLM has one list for both.
pub(super) fn namespace_rules() -> Vec<Value> {
    [operand_rules(), own_rules()].concat()
}

/// What is in no namespace.
pub(super) fn cluster_rules() -> Vec<Value> {
    vec![json!({
        "apiGroups": ["fairway.dev"], "resources": ["harborclasses", "loadbalancerclasses"],
        "verbs": ["get", "list", "watch"]
    })]
}

/// What load balancers and registries need, in every namespace that is looked after.
fn operand_rules() -> Vec<Value> {
    let owned = ["get", "list", "watch", "create", "patch", "delete"];
    let read = ["get", "list", "watch"];
    rules(json!([
        // A registry's front door is a load balancer.
        { "apiGroups": ["fairway.dev"], "resources": ["loadbalancers"], "verbs": owned },
        // The finalizer of one whose data is to go with it.
        { "apiGroups": ["fairway.dev"], "resources": ["harbors"], "verbs": ["get", "list", "watch", "patch"] },
        // The finalizers of those that go from Harbor before their resource does.
        { "apiGroups": ["fairway.dev"], "resources": ["harborprojects", "harborrobots"], "verbs": ["get", "list", "watch", "patch"] },
        { "apiGroups": ["fairway.dev"], "resources": ["harborprojects/status", "harborrobots/status", "harbors/status", "loadbalancers/status"], "verbs": ["patch"] },
        // Owner references that block deletion need this where OwnerReferencesPermissionEnforcement is on.
        { "apiGroups": ["fairway.dev"], "resources": ["harborrobots/finalizers", "harbors/finalizers", "loadbalancers/finalizers"], "verbs": ["update"] },
        { "apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": owned },
        { "apiGroups": ["batch"], "resources": ["jobs"], "verbs": owned },
        { "apiGroups": [""], "resources": ["configmaps", "services", "serviceaccounts"], "verbs": owned },
        // No data is ever deleted by the operator itself.
        { "apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "list", "watch", "create", "patch"] },
        // Users' certificates and passwords are read; what is made for load balancers and registries is written.
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create", "patch"] },
        { "apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "networkpolicies"], "verbs": owned },
        // Where cert-manager is there.
        { "apiGroups": ["cert-manager.io"], "resources": ["certificates"], "verbs": owned },
        { "apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": owned },
        { "apiGroups": [""], "resources": ["pods"], "verbs": read },
        { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read },
        { "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] },
    ]))
}

/// What the operator keeps for itself: its lease and its certificate authority.
fn own_rules() -> Vec<Value> {
    rules(json!([
        { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"] },
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["create"] },
        { "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["fairway-authority"], "verbs": ["get", "update"] },
    ]))
}

fn rules(rules: Value) -> Vec<Value> {
    if let Value::Array(rules) = rules { rules } else { vec![] }
}

/// A Role or `ClusterRole`.
pub(super) fn role(kind: &str, metadata: &Value, rules: &[Value]) -> Value {
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules })
}

/// Gives the role of the binding's own name to an account, which is told by its name and namespace.
pub(super) fn binding(role: &str, metadata: &Value, account: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": format!("{role}Binding"),
        "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": metadata["name"] },
        "subjects": [{ "kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"] }],
    })
}
