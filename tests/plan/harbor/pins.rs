//! A new operator replaces no pod by itself, and a change takes what the operator has for those that it touches.

use std::collections::BTreeMap;

use fairway::{
    api::Harbor,
    harbor::{
        Fact,
        images::{self, Images},
        plan::{Plan, pins::LAYOUT},
        world::{Pins, World},
    },
};
use rstest::rstest;
use serde_json::Value;

use super::{
    fixtures::{SMALLEST, made, names, object, planned, settled, template},
    objects,
};

fn of(plan: &Plan) -> BTreeMap<String, Value> {
    let makes_pods = |name: &&String| name.starts_with("Deployment") || name.starts_with("StatefulSet");
    names(plan).iter().filter(makes_pods).map(|name| (name.clone(), template(plan, name))).collect()
}

fn images_of(plan: &Plan, name: &str) -> Vec<String> {
    let template = template(plan, name);
    let containers = template["spec"]["containers"].as_array().unwrap();
    containers.iter().map(|container| container["image"].as_str().unwrap().to_owned()).collect()
}

/// An operator that was installed with all images by digest.
fn mirrored() -> Images {
    Images::read(|variable| variable.starts_with("RELATED_IMAGE_").then(|| mirror(variable)))
}

fn mirror(variable: &str) -> String {
    format!("mirror.example.com/{}@sha256:1", variable.to_lowercase())
}

#[test]
fn a_new_operator_replaces_no_pod() {
    let (resource, mut world, before) = settled(SMALLEST);
    world.installation.images = mirrored();
    let after = planned(&resource, &world);
    assert_eq!(of(&after), of(&before));
    // Nor does it when it looks again.
    made(&mut world, &after);
    assert_eq!(of(&planned(&resource, &world)), of(&before));
}

#[rstest]
#[case::of_core("components: { core: { resources: { limits: { memory: 2Gi } } } }", &["main-core"])]
#[case::of_the_cache("cache: { managed: { resources: { limits: { memory: 512Mi } } } }", &["main-cache"])]
#[case::of_the_level("logLevel: Debug", &["main-core", "main-jobservice", "main-registry"])]
#[case::of_an_upgrade("version: 2.15.2", &["main-core", "main-jobservice", "main-portal", "main-registry"])]
fn a_change_takes_the_images_of_the_new_operator(#[case] change: &str, #[case] expected: &[&str]) {
    let (mut resource, mut world, _) = settled(&format!("{SMALLEST}version: 2.14.3\n"));
    world.installation.images = mirrored();
    world.children.retain(|(kind, _), _| kind != "Job");
    let version = if change.starts_with("version") { "" } else { "version: 2.14.3\n" };
    resource.spec = serde_saphyr::from_str(&format!("{SMALLEST}{version}{change}\n")).unwrap();
    for _ in 0..2 {
        let plan = planned(&resource, &world);
        made(&mut world, &plan);
        resource.status = Some(plan.status);
    }
    let plan = planned(&resource, &world);
    let mut changed: Vec<String> = of(&plan)
        .keys()
        .filter(|name| images_of(&plan, name).iter().all(|image| image.starts_with("mirror.example.com")))
        .map(|name| name.split_once(' ').unwrap().1.to_owned())
        .collect();
    changed.sort();
    assert_eq!(changed, expected);
}

#[test]
fn pods_that_another_layout_made_later_are_made_anew() {
    let (resource, mut world, before) = settled(SMALLEST);
    for fact in world.children.values_mut() {
        if let Fact::Pods { pins: Some(pins), .. } = fact {
            let mut later: Pins = serde_json::from_str(pins).unwrap();
            later.layout = LAYOUT + 1;
            *pins = serde_json::to_string(&later).unwrap().into();
        }
    }
    world.installation.images = mirrored();
    assert_ne!(of(&planned(&resource, &world)), of(&before), "an older operator can't make them");
}

#[rstest]
#[case::nobody_asks("", "", "mirror.example.com/related_image_harbor_core_v2_15_2@sha256:1")]
#[case::the_class_has_a_repository("", "imageRepository: local/harbor", "local/harbor/harbor-core:v2.15.2")]
#[case::the_class_has_an_image(
    "",
    "imageRepository: local/harbor\ncomponents: { core: { image: 'class/core:1' } }",
    "class/core:1"
)]
#[case::the_registry_has_one(
    "components: { core: { image: 'own/core:1' } }",
    "components: { core: { image: 'class/core:1' } }",
    "own/core:1"
)]
fn who_asks_first_is_heard(#[case] own: &str, #[case] class: &str, #[case] expected: &str) {
    let (mut resource, mut world, _) = settled(SMALLEST);
    world.children.retain(|(kind, _), _| kind != "Deployment" && kind != "StatefulSet");
    world.installation.images = mirrored();
    world.class = Some(serde_saphyr::from_str(&format!("versions: []\n{class}\n")).unwrap());
    resource.spec = serde_saphyr::from_str(&format!("{SMALLEST}className: small\n{own}\n")).unwrap();
    let plan = planned(&resource, &world);
    assert_eq!(images_of(&plan, "Deployment main-core"), [expected]);
    let database = images_of(&plan, "StatefulSet main-database");
    assert_eq!(database, [mirror("RELATED_IMAGE_POSTGRES_15")], "the repository is for Harbor's own");
}

#[test]
fn every_image_that_is_run_can_be_given_by_the_environment() {
    let exposed = format!("{SMALLEST}exposure: {{ type: Service }}\ncomponents: {{ trivy: {{}}, exporter: {{}} }}\n");
    let (_, _, plan) = settled(&exposed);
    let known: Vec<String> = images::all().collect();
    for name in of(&plan).keys() {
        for image in images_of(&plan, name) {
            assert!(known.contains(&image), "{name}: {image}");
        }
    }
}

/// The registries whose pods are looked at.
fn registries() -> Vec<(&'static str, Harbor, World)> {
    let exposed = format!("{SMALLEST}exposure: {{ type: Service }}\ncomponents: {{ trivy: {{}}, exporter: {{}} }}\n");
    let older = format!("{SMALLEST}version: 2.14.3\n");
    let settled = |name, spec: &str| {
        let (resource, world, _) = settled(spec);
        (name, resource, world)
    };
    let (outside, world) = objects::full_settled();
    vec![
        settled("smallest", SMALLEST),
        settled("older", &older),
        settled("service", &exposed),
        ("outside", outside, world),
    ]
}

/// What the pods of a plan were made from.
fn pins(plan: &Plan) -> BTreeMap<String, Pins> {
    let read = |name: String| {
        let annotations = object(plan, &name).metadata.annotations.clone().unwrap();
        (name, serde_json::from_str(&annotations["fairway.dev/pod-template"]).unwrap())
    };
    of(plan).into_keys().map(read).collect()
}

/// When this fails, pods of registries would be replaced by an upgrade of the operator. Raise `LAYOUT` in
/// src/harbor/plan/pins.rs, make the older way where `context.layout` is the older number, and leave this file as it
/// is: the new layout gets one of its own.
#[test]
fn pod_templates_are_those_of_the_layout() {
    let made: BTreeMap<&str, _> =
        registries().into_iter().map(|(name, resource, world)| (name, pins(&planned(&resource, &world)))).collect();
    insta::assert_yaml_snapshot!(format!("layout_{LAYOUT}"), made);
}

#[test]
fn pods_of_every_layout_stay_as_they_were_made() {
    for layout in 1..=LAYOUT {
        let file = format!(
            "{}/tests/plan/harbor/snapshots/plan__harbor__pins__layout_{layout}.snap",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(file).unwrap();
        let made = text.splitn(3, "---\n").nth(2).unwrap();
        let made: BTreeMap<String, BTreeMap<String, Pins>> = serde_saphyr::from_str(made).unwrap();
        for (name, resource, mut world) in registries() {
            for ((kind, object), fact) in &mut world.children {
                if let Fact::Pods { pins, .. } = fact {
                    let before = &made[name][&format!("{kind} {object}")];
                    *pins = Some(serde_json::to_string(before).unwrap().into());
                }
            }
            world.installation.images = mirrored();
            assert_eq!(pins(&planned(&resource, &world)), made[name], "layout {layout} of {name}");
        }
    }
}
