//! TLS between Harbor's programs, and certificates that cert-manager issues.

use std::collections::BTreeSet;

use fairway::{
    authority::{AuthoritySet, Leaf},
    harbor::{
        Component, Fact,
        plan::{Effect, Plan, plan},
        world::World,
    },
    reconcile::family::Retained,
};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::Value;

use super::{
    fixtures::{SMALLEST, condition, harbor, installed, made, names, object, planned, settled, template},
    objects::{templates, texts},
};
use crate::fixtures::now;

const COMPONENTS: [Component; 5] =
    [Component::Core, Component::JobService, Component::Registry, Component::Portal, Component::Trivy];
const ENCRYPTED: &str = "
externalURL: http://registry.example.com
internalTLS: { enabled: true }
components: { trivy: {}, exporter: {} }
";

fn keep(world: &mut World, name: &str, fact: Fact) {
    world.children.insert(("Secret".to_owned(), format!("main-{name}")), fact);
}

fn certify(world: &mut World, set: &AuthoritySet, component: Component, hash: &str, at: Timestamp) {
    let name = component.word();
    let made = set.issue_program(vec![format!("main-{name}")], at).unwrap();
    let leaf = Leaf::read(made.certificate.as_bytes(), made.bundle.as_bytes()).map(Box::new);
    keep(world, &format!("{name}-tls"), Fact::Certificate { leaf, hash: hash.to_owned() });
}

/// Authority and certificates, as if they had been made.
fn certified(world: &mut World) -> AuthoritySet {
    let set = AuthoritySet::first(now()).unwrap();
    keep(world, "authority", Fact::Authority(Some(Box::new(set.clone()))));
    for component in COMPONENTS {
        certify(world, &set, component, component.word(), now());
    }
    set
}

/// One that runs with TLS.
fn encrypted() -> (World, AuthoritySet, Plan) {
    let (_, mut world, _) = settled(&ENCRYPTED.replace("internalTLS: { enabled: true }\n", ""));
    let set = certified(&mut world);
    let resource = installed(ENCRYPTED, "2.15.2");
    let plan = planned(&resource, &world);
    made(&mut world, &plan);
    keep(&mut world, "authority", Fact::Authority(Some(Box::new(set.clone()))));
    let plan = planned(&resource, &world);
    (world, set, plan)
}

fn certificates(plan: &Plan) -> Option<(Vec<&'static str>, &str)> {
    plan.effects.iter().find_map(|effect| match effect {
        Effect::MakeCertificates { components, why } => {
            Some((components.iter().map(|component| component.word()).collect(), why.as_str()))
        }
        _ => None,
    })
}

/// Which components' pods differ.
fn replaced(before: &Plan, after: &Plan) -> BTreeSet<String> {
    let before = templates(before);
    let after = templates(after).into_iter().filter(|(name, template)| before.get(name) != Some(template));
    after.map(|(name, _)| name.rsplit_once('-').unwrap().1.to_owned()).collect()
}

#[test]
fn with_tls_between_programs_it_is_this() {
    let (_, set, plan) = encrypted();
    let bundle = serde_json::to_string(&set.bundle()).unwrap();
    let kinds = ["ConfigMap", "Deployment", "LoadBalancer", "NetworkPolicy", "Secret", "Service"];
    let texts: Vec<Value> = texts(&plan)
        .into_iter()
        .filter(|text| kinds.contains(&text["kind"].as_str().unwrap()))
        .filter(|text| !["main-database", "main-cache"].contains(&text["metadata"]["name"].as_str().unwrap()))
        .map(|mut text| {
            if text["kind"] == "Deployment" && text["metadata"]["name"] == "main-exporter" {
                // It is a hash over authorities that are made anew for each test.
                let annotations = &mut text["spec"]["template"]["metadata"]["annotations"];
                annotations["fairway.dev/configuration-hash"] = "of the authorities".into();
                text["metadata"]["annotations"]["fairway.dev/pod-template"] = "with that hash".into();
            }
            serde_json::from_str(&text.to_string().replace(&bundle, "\"AUTHORITIES\"")).unwrap()
        })
        .collect();
    insta::assert_yaml_snapshot!("encrypted", texts);
}

#[test]
fn certificates_come_before_pods_that_need_them() {
    let (mut resource, mut world, unencrypted) = settled(SMALLEST);
    resource.spec = serde_saphyr::from_str(&format!("{SMALLEST}internalTLS: {{ enabled: true }}\n")).unwrap();
    let plan = planned(&resource, &world);
    let (components, why) = certificates(&plan).unwrap();
    assert_eq!(components, ["core", "jobservice", "registry", "portal"]);
    assert_eq!(why, "the registry has no certificate authority of its own");
    assert!(plan.objects.is_empty() && plan.retained == Retained::All, "what runs runs on meanwhile");

    let set = certified(&mut world);
    let plan = planned(&resource, &world);
    assert_eq!(certificates(&plan), None);
    let core = template(&plan, "Deployment main-core");
    assert_eq!(core["spec"]["containers"][0]["readinessProbe"]["httpGet"]["scheme"], "HTTPS");
    assert_eq!(object(&plan, "ConfigMap main-authority").data["data"]["ca.crt"], set.bundle());
    let all = ["core", "jobservice", "portal", "registry"].map(str::to_owned);
    assert_eq!(replaced(&unencrypted, &plan), BTreeSet::from(all));

    // And back: nobody needs the certificates, and pods are just as they were.
    resource.spec = serde_saphyr::from_str(SMALLEST).unwrap();
    let plan = planned(&resource, &world);
    assert_eq!(replaced(&unencrypted, &plan), BTreeSet::new());
    let kept = ["main-authority", "main-core-tls", "main-trivy-tls"];
    assert!(kept.iter().all(|name| plan.retained.holds("Secret", name)), "the operator may delete no Secret");
}

#[test]
fn a_migration_has_no_need_of_certificates() {
    let mut world = super::fixtures::world();
    let set = certified(&mut world);
    let resource = harbor(ENCRYPTED);
    let plan = planned(&resource, &world);
    made(&mut world, &plan);
    keep(&mut world, "authority", Fact::Authority(Some(Box::new(set))));
    let plan = planned(&resource, &world);
    let job = names(&plan).into_iter().find(|name| name.starts_with("Job ")).unwrap();
    assert!(!template(&plan, &job).to_string().contains("INTERNAL_TLS"));
}

/// Which certificates are made after so many days, and whose pods are replaced by them.
#[rstest]
#[case::young(242, &[], "")]
#[case::two_thirds(244, &["core", "jobservice", "registry", "portal", "trivy"], "two thirds of the certificate's life are over")]
#[case::expired(400, &["core", "jobservice", "registry", "portal", "trivy"], "two thirds of the certificate's life are over")]
fn certificates_are_renewed_well_before_they_expire(
    #[case] days: i64,
    #[case] expected: &[&str],
    #[case] expected_why: &str,
) {
    let (world, _, before) = encrypted();
    let later = now() + SignedDuration::from_hours(24 * days);
    let plan = plan(&installed(ENCRYPTED, "2.15.2"), &world, later);
    assert_eq!(certificates(&plan), (!expected.is_empty()).then(|| (expected.to_vec(), expected_why)));
    assert_eq!(replaced(&before, &plan), BTreeSet::new(), "only what was made replaces pods");
}

#[rstest]
#[case(Component::Core, "core")]
#[case(Component::Registry, "registry")]
#[case(Component::Portal, "portal")]
fn a_renewed_certificate_replaces_the_pods_that_have_it(#[case] component: Component, #[case] expected: &str) {
    let (mut world, set, before) = encrypted();
    certify(&mut world, &set, component, "another", now());
    let plan = planned(&installed(ENCRYPTED, "2.15.2"), &world);
    assert_eq!(replaced(&before, &plan), BTreeSet::from([expected.to_owned()]));
}

#[test]
fn the_next_authority_is_trusted_before_it_signs() {
    let (mut world, set, _) = encrypted();
    let resource = installed(ENCRYPTED, "2.15.2");
    let later = now() + SignedDuration::from_hours(24 * 500);
    for component in COMPONENTS {
        certify(&mut world, &set, component, component.word(), later);
    }
    let due = plan(&resource, &world, later);
    let (components, why) = certificates(&due).unwrap();
    assert_eq!(components.len(), 5);
    assert_eq!(why, "two thirds of the life of the registry's certificate authority are over");

    // It was made, and the operator ended before it issued certificates.
    let next = set.renewed(later).unwrap().unwrap();
    keep(&mut world, "authority", Fact::Authority(Some(Box::new(next.clone()))));
    let plan = plan(&resource, &world, later);
    assert_eq!(certificates(&plan).unwrap().1, "the authorities to be trusted have changed");
    assert_eq!(object(&plan, "ConfigMap main-authority").data["data"]["ca.crt"], next.bundle());
}

#[test]
fn a_lost_certificate_is_made_anew_and_a_spoilt_authority_told() {
    let (mut world, _, _) = encrypted();
    let resource = installed(ENCRYPTED, "2.15.2");
    world.children.remove(&("Secret".to_owned(), "main-registry-tls".to_owned()));
    let plan = planned(&resource, &world);
    assert_eq!(certificates(&plan), Some((vec!["registry"], "there is no certificate for registry")));
    assert_eq!(plan.retained, Retained::All);

    keep(&mut world, "authority", Fact::Authority(None));
    let plan = planned(&resource, &world);
    let (verdict, message) = condition(&plan, "ResolvedRefs");
    assert_eq!(verdict, "False/AuthorityUnreadable");
    assert!(message.contains("delete it to have a new authority made"), "{message}");
    assert_eq!(certificates(&plan), None);

    world.children.remove(&("Secret".to_owned(), "main-authority".to_owned()));
    assert_eq!(certificates(&planned(&resource, &world)).unwrap().0.len(), 5);
}

/// The front door speaks as the pods that are ready listen.
#[rstest]
#[case::none_is_ready(true, &[], true)]
#[case::old_ones_alone(true, &[false], false)]
#[case::the_first_new_one(true, &[false, true], true)]
#[case::turned_off_and_old_ones_alone(false, &[true], true)]
#[case::turned_off_and_the_first_new_one(false, &[true, false], false)]
fn the_front_door_follows_the_pods(#[case] wanted: bool, #[case] ready: &[bool], #[case] expected: bool) {
    let (mut world, _, _) = encrypted();
    world.listening = ready.iter().map(|tls| (Component::Core, *tls)).collect();
    let spec = ENCRYPTED.replace("enabled: true", &format!("enabled: {wanted}"));
    let plan = planned(&installed(&spec, "2.15.2"), &world);
    let front = &object(&plan, "LoadBalancer main-front").data["spec"]["pools"];
    assert_eq!(front[0]["services"][0]["port"], if expected { "https" } else { "http" });
    let tls = serde_json::json!({ "caConfigMapName": "main-authority", "serverName": "main-core" });
    assert_eq!(front[0]["tls"], if expected { tls } else { Value::Null });
    // The portal's pods are looked at by themselves.
    assert_eq!(front[2]["tls"].is_null(), !wanted);
    assert!(!front[0]["tls"].is_object() || names(&plan).contains(&"ConfigMap main-authority".to_owned()));
}

#[test]
fn the_front_door_with_tls_behind_is_one_that_haproxy_takes() {
    let (_, set, plan) = encrypted();
    let front = object(&plan, "LoadBalancer main-front").data["spec"].to_string();
    let mut surroundings = crate::fixtures::world();
    surroundings.authorities.insert("main-authority".to_owned(), Some(set.bundle()));
    for service in ["main-core", "main-portal"] {
        surroundings.services.insert(service.to_owned(), crate::fixtures::service(&[("https", "10.0.0.1", 8443)]));
    }
    let text = crate::fixtures::judged(&front, &surroundings);
    assert!(text.contains("verify required"), "{text}");
    assert!(text.contains("main-core"), "{text}");
}

#[rstest]
#[case::service("exposure: { type: Service }", "encrypted_service")]
#[case::ingress("exposure: { type: Ingress }", "encrypted_ingress")]
fn other_front_doors_speak_tls_too(#[case] exposure: &str, #[case] name: &str) {
    let (mut resource, mut world, _) = settled(SMALLEST);
    let set = certified(&mut world);
    resource.spec =
        serde_saphyr::from_str(&format!("{SMALLEST}internalTLS: {{ enabled: true }}\n{exposure}\n")).unwrap();
    let plan = planned(&resource, &world);
    let front = texts(&plan).into_iter().filter(|text| text["metadata"]["name"] == "main-front");
    let front: Vec<Value> =
        front.filter(|text| ["ConfigMap", "Ingress"].contains(&text["kind"].as_str().unwrap())).collect();
    assert!(!serde_json::to_string(&front).unwrap().contains(&set.bundle()));
    insta::assert_yaml_snapshot!(name, front);
}

const ISSUED: &str = "
externalURL: https://registry.example.com
exposure: { tls: { certManager: { issuerName: letsencrypt, issuerKind: ClusterIssuer } } }
";

#[test]
fn without_cert_manager_it_is_told_and_the_rest_is_made() {
    let (mut resource, mut world, _) = settled(SMALLEST);
    resource.spec = serde_saphyr::from_str(ISSUED).unwrap();
    world.cert_manager = Some(false);
    let plan = planned(&resource, &world);
    let (verdict, message) = condition(&plan, "ResolvedRefs");
    assert_eq!(verdict, "False/CertManagerNotInstalled");
    assert!(message.contains("install it, or give exposure.tls.secretName"), "{message}");
    let all = names(&plan);
    assert!(!all.iter().any(|name| name.starts_with("Certificate")), "the API would refuse it");
    assert!(all.contains(&"Deployment main-core".to_owned()), "{all:?}");
    let front = &object(&plan, "LoadBalancer main-front").data["spec"]["listeners"];
    assert_eq!(front[1]["certificates"][0]["secretName"], "main-front-tls");
}

#[test]
fn cert_manager_is_asked_and_its_words_are_told() {
    let (mut resource, mut world, _) = settled(SMALLEST);
    resource.spec = serde_saphyr::from_str(ISSUED).unwrap();
    world.cert_manager = Some(true);
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "ResolvedRefs").0, "False/CertificateNotReady");
    assert_eq!(names(&plan).last().unwrap(), "Certificate main-front", "nothing waits for it");
    insta::assert_yaml_snapshot!("certificate", object(&plan, "Certificate main-front"));

    let key = ("Certificate".to_owned(), "main-front".to_owned());
    let message = "The ACME order failed".to_owned();
    world.children.insert(key.clone(), Fact::Issuance { ready: false, message });
    let (_, told) = condition(&planned(&resource, &world), "ResolvedRefs");
    assert!(told.contains("Certificate main-front, of \"letsencrypt\": The ACME order failed"), "{told}");
    world.children.insert(key, Fact::Issuance { ready: true, message: String::new() });
    assert_eq!(condition(&planned(&resource, &world), "ResolvedRefs").0, "True/ResolvedRefs");
}

#[test]
fn an_address_is_no_dns_name() {
    let (mut resource, mut world, _) = settled(SMALLEST);
    resource.spec = serde_saphyr::from_str(&ISSUED.replace("registry.example.com", "192.0.2.7:8443")).unwrap();
    world.cert_manager = Some(true);
    let plan = planned(&resource, &world);
    let spec = &object(&plan, "Certificate main-front").data["spec"];
    assert_eq!((&spec["ipAddresses"][0], &spec["dnsNames"]), (&Value::from("192.0.2.7"), &Value::Null));
}
