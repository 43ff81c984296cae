//! Whether the pods that run are those that spec and class ask for. Pure.

use kube::{ResourceExt, api::DynamicObject};

use super::Context;
use crate::{
    harbor::{
        Fact,
        names::{COMPONENT_LABEL, PINS_ANNOTATION},
        world::Problem,
    },
    reconcile::dynamic,
};

/// Whether pods of all that is planned are made of it and run; `paused` when it is planned and left.
pub(super) fn stands(context: &Context<'_>, planned: &[DynamicObject], paused: bool) -> Result<String, Problem> {
    let wanted = &context.settings.version;
    if context.version != wanted && !paused {
        return Err(Problem::new("RollingOut", format!("pods become those of {wanted} when the database is")));
    }
    let behind: Vec<&str> = planned.iter().filter_map(|object| behind(context, object)).collect();
    if behind.is_empty() {
        return Ok("all pods are as they were asked for".to_owned());
    }
    let behind = behind.join(", ");
    if paused {
        let message = format!("pods of these are not as they were asked for while the registry is paused: {behind}");
        return Err(Problem::new("Paused", message));
    }
    Err(Problem::new("RollingOut", format!("pods of these are being replaced or start: {behind}")))
}

/// The component of what makes pods, when these are not yet as it asks for.
pub(super) fn behind<'a>(context: &Context<'_>, object: &'a DynamicObject) -> Option<&'a str> {
    let asked = object.annotations().get(PINS_ANNOTATION)?;
    let replicas = object.data["spec"]["replicas"].as_i64();
    let kind = dynamic::kind(object);
    let done = match context.world.child(kind, &object.name_any()) {
        Some(Fact::Pods { wanted, current: true, pins: Some(pins), .. }) => {
            **pins == **asked && replicas.is_none_or(|replicas| replicas == i64::from(*wanted))
        }
        _ => false,
    };
    let component =
        object.data.pointer("/spec/template/metadata/labels").and_then(|labels| labels.get(COMPONENT_LABEL));
    (!done).then(|| component.and_then(|component| component.as_str()).unwrap_or(kind))
}
