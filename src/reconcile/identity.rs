//! How an object says whose it is: labels and owner references. Nothing here does I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Resource, ResourceExt,
    api::{DynamicObject, ObjectMeta},
};
use sha2::{Digest, Sha256};

use super::family::Family;

/// Who manages an object; the value is [`super::MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Which resource an object belongs to.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Which family an object belongs to.
pub const FAMILY: &str = "fairway.dev/family";
/// An object with this label at `"true"` is never pruned, and has no owner reference, so that it outlives
/// its resource: for what holds data or secrets.
pub const KEEP: &str = "fairway.dev/keep";

/// Characters of a label's value.
const LABEL_LIMIT: usize = 63;

/// Who controls an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Controller {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// Whether a planned name is free for a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The object is the resource's, or was and is controlled by nobody now.
    Ours,
    /// The object is somebody else's, told as in `is controlled by Deployment web`.
    Foreign(String),
}

/// Who controls what has this metadata.
pub(crate) fn controller(meta: &ObjectMeta) -> Option<Controller> {
    let references = meta.owner_references.as_deref().unwrap_or_default();
    let reference = references.iter().find(|reference| reference.controller == Some(true))?;
    let OwnerReference { kind, name, uid, .. } = reference.clone();
    Some(Controller { kind, name, uid })
}

/// A label's value; empty if there is none.
pub(crate) fn label<'a>(meta: &'a ObjectMeta, name: &str) -> &'a str {
    meta.labels.as_ref().and_then(|labels| labels.get(name)).map_or("", String::as_str)
}

/// The resource that an object belongs to by its label; empty if none.
pub(crate) fn instance(meta: &ObjectMeta) -> &str {
    label(meta, INSTANCE)
}

/// The name of a resource as a label's value: as it is, or cut and made unique again by a hash if it is
/// too long for one.
#[must_use]
pub fn instance_label(name: &str) -> String {
    if name.len() <= LABEL_LIMIT {
        return name.to_owned();
    }
    let hash = format!("{:x}", Sha256::digest(name.as_bytes()));
    let kept = name.get(..LABEL_LIMIT - 11).unwrap_or_default();
    format!("{kept}-{}", &hash[..10])
}

/// The labels by which all objects of a family are found.
#[must_use]
pub fn selector(family: &str) -> String {
    format!("{MANAGED_BY}={},{FAMILY}={family}", super::MANAGER)
}

/// The finalizer of a family.
#[must_use]
pub fn finalizer(family: &str) -> String {
    format!("fairway.dev/{family}")
}

/// Makes a planned object say whose it is.
pub fn stamp<F: Family>(resource: &F::Resource, object: &mut DynamicObject) {
    object.metadata.namespace = resource.namespace();
    let labels = object.labels_mut();
    labels.insert(MANAGED_BY.to_owned(), super::MANAGER.to_owned());
    labels.insert(FAMILY.to_owned(), F::NAME.to_owned());
    labels.insert(INSTANCE.to_owned(), instance_label(&resource.name_any()));
    object.metadata.owner_references = None;
    if label(&object.metadata, KEEP) != "true" {
        let reference = resource.controller_owner_ref(&()).map(|mut reference| {
            reference.block_owner_deletion = Some(true);
            reference
        });
        object.metadata.owner_references = reference.map(|reference| vec![reference]);
    }
}

/// What an object says about whose it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks<'a> {
    pub(crate) controller: Option<&'a Controller>,
    pub(crate) manager: &'a str,
    pub(crate) family: &'a str,
    pub(crate) instance: &'a str,
}

/// Whose an object with these marks is, seen from a resource: its controller decides, and where there is
/// none, its labels do.
pub(crate) fn standing<F: Family>(resource: &F::Resource, marks: Marks<'_>) -> Standing {
    let Marks { controller, manager, family, instance } = marks;
    if let Some(Controller { kind, name, uid }) = controller {
        return if Some(uid) == resource.meta().uid.as_ref() {
            Standing::Ours
        } else {
            Standing::Foreign(format!("is controlled by {kind} {name}"))
        };
    }
    match (manager, family, instance) {
        (super::MANAGER, family, name) if family == F::NAME && name == instance_label(&resource.name_any()) => {
            Standing::Ours
        }
        (super::MANAGER, family, name) => Standing::Foreign(format!("belongs to the {family} {name}")),
        ("", ..) => Standing::Foreign("is not managed by Fairway".to_owned()),
        (other, ..) => Standing::Foreign(format!("is managed by {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{LABEL_LIMIT, instance_label};

    #[test]
    fn a_long_name_makes_a_label_of_its_own() {
        assert_eq!(instance_label("web"), "web");
        let (one, two) = ("a".repeat(80), "a".repeat(81));
        assert_eq!(instance_label(&one).len(), LABEL_LIMIT);
        assert_ne!(instance_label(&one), instance_label(&two));
    }
}
