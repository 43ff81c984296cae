//! What pods were made of stays while nobody asks for anything else: a new operator, which may make their templates
//! otherwise or bring other images, replaces no pod by itself. Pure.
//!
//! A Deployment or `StatefulSet` tells in an annotation which layout and images its template was made with, and a hash
//! of it. It is made with them again; where that comes to another template, somebody has asked for a change, and the
//! pods are made of what is newest.

use kube::{ResourceExt, api::DynamicObject};

use super::Context;
use crate::harbor::{
    Fact,
    names::{self, Component, PINS_ANNOTATION},
    world::Pins,
};

/// How pod templates are made. To be raised whenever one is made differently from the same inputs; the older way
/// stays (`context.layout` tells which is asked for) until no pod can be left that was made so.
pub const LAYOUT: u32 = 1;

/// The objects of a component, with its pods made as before, or else as this operator makes them.
pub(super) fn pinned(
    context: &Context<'_>,
    component: Component,
    objects: fn(&Context<'_>) -> Vec<DynamicObject>,
) -> Vec<DynamicObject> {
    if let Some(before) = before(context, component).filter(|before| before.layout <= LAYOUT) {
        let mut made = objects(&Context { layout: before.layout, images: &before.images, ..*context });
        if pods(&mut made).is_some_and(|pods| hash(pods) == before.template) {
            note(&mut made, &before);
            return made;
        }
    }
    let mut made = objects(context);
    let pins = pods(&mut made).map(|pods| Pins {
        layout: context.layout,
        template: hash(pods),
        images: context.images.among(&running(pods)),
    });
    if let Some(pins) = pins {
        note(&mut made, &pins);
    }
    made
}

/// What the pods of a component were made of.
fn before(context: &Context<'_>, component: Component) -> Option<Pins> {
    let name = names::child(context.name, component);
    ["Deployment", "StatefulSet"].into_iter().find_map(|kind| match context.world.child(kind, &name) {
        Some(Fact::Pods { pins: Some(pins), .. }) => serde_json::from_str(pins).ok(),
        _ => None,
    })
}

/// The one that makes pods.
fn pods(objects: &mut [DynamicObject]) -> Option<&mut DynamicObject> {
    let makes = |object: &&mut DynamicObject| object.data.pointer("/spec/template").is_some();
    objects.iter_mut().find(makes)
}

fn hash(pods: &DynamicObject) -> String {
    let template = pods.data["spec"]["template"].to_string();
    names::hash([("template", template.as_str())])
}

fn running(pods: &DynamicObject) -> Vec<&str> {
    let containers = pods.data["spec"]["template"]["spec"]["containers"].as_array();
    containers.into_iter().flatten().filter_map(|container| container["image"].as_str()).collect()
}

fn note(objects: &mut [DynamicObject], pins: &Pins) {
    if let Some(pods) = pods(objects) {
        // Plain values always serialize.
        let text = serde_json::to_string(pins).unwrap_or_default();
        pods.annotations_mut().insert(PINS_ANNOTATION.to_owned(), text);
    }
}
