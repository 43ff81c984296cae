//! What the spec names and can't be used: told, while what served before serves on.

use fairway::{
    agent::protocol::MAIN_FILE,
    loadbalancer::{
        plan,
        world::{CertificateSecret, World},
    },
};
use rstest::rstest;

use crate::fixtures::{
    certificate, condition, kind, load_balancer, planned, secret_configuration, selected, service, settled, world,
};
use crate::judge;

const SECURE: &str = "
listeners:
  - { name: web, protocol: HTTP, port: 80, pool: app }
  - { name: secure, protocol: HTTPS, port: 443, pool: app, certificates: [{ secretName: shop }] }
pools:
  - name: app
    services: [{ name: app }]
    pods: [{ name: web, selector: { matchLabels: { app: web } }, port: http }]
";

fn good_world() -> World {
    let mut world = world();
    world.services.insert("app".to_owned(), service(&[("", "10.0.0.8", 8080)]));
    world.certificates.insert("shop".to_owned(), certificate(&["shop.example"]));
    world.selected.insert("app=web".to_owned(), vec![selected("10.0.1.1", "http", 8080)]);
    world
}

/// A way to break a world.
type Breakage = fn(&mut World);

#[rstest]
#[case::secret_gone(|world: &mut World| world.certificates.clear(), "False/SecretNotFound", "there is no Secret \"shop\"")]
#[case::certificate_missing(|world: &mut World| secret(world).certificate = None, "False/InvalidCertificate", "has no tls.crt")]
#[case::key_missing(|world: &mut World| secret(world).key = None, "False/InvalidCertificate", "has no tls.key")]
#[case::certificate_malformed(|world: &mut World| secret(world).certificate = Some(b"-----BEGIN".to_vec()), "False/InvalidCertificate", "tls.crt is not a PEM certificate")]
#[case::certificate_not_der(|world: &mut World| secret(world).certificate = Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()), "False/InvalidCertificate", "tls.crt is not a PEM certificate")]
#[case::key_malformed(|world: &mut World| secret(world).key = Some(b"global\n".to_vec()), "False/InvalidCertificate", "tls.key is not a PEM private key")]
#[case::mismatched(|world: &mut World| { secret(world).key = certificate(&["other.example"]).key; }, "False/InvalidCertificate", "tls.key is not the key of")]
#[case::service_gone(|world: &mut World| world.services.clear(), "False/ServiceNotFound", "there is no Service \"app\"")]
#[case::ports_unclear(|world: &mut World| { world.services.insert("app".to_owned(), service(&[("a", "10.0.0.1", 1), ("b", "10.0.0.1", 2)])); }, "False/ServicePortNotFound", "several ports (80 (a), 81 (b))")]
#[case::port_of_no_pod(|world: &mut World| { world.selected.insert("app=web".to_owned(), vec![selected("10.0.1.1", "web", 80)]); }, "False/PodPortNotFound", "no pod with app=web has a container with a TCP port named \"http\" (there are web): give")]
fn what_served_before_serves_on(#[case] breakage: Breakage, #[case] verdict: &str, #[case] words: &str) {
    let mut resource = load_balancer(SECURE);
    let mut world = good_world();
    let good = settled(&mut resource, &mut world);

    breakage(&mut world);
    assert!(plan::needs_last_good(&resource, &world));
    world.last_good = Some(good.clone());
    let plan = planned(&resource, &world);
    let (told, message) = condition(&plan, "ResolvedRefs");
    assert_eq!(told, verdict);
    assert!(message.contains(words), "{message}");
    assert_eq!(secret_configuration(&plan).unwrap(), good, "the configuration is what it was");
    assert!(plan.effects.is_empty(), "nothing is to be done: {:?}", plan.effects);
    let event = plan.events.iter().find(|event| event.warning).expect("an event tells");
    assert_eq!(format!("False/{}", event.reason), verdict);

    // The same news is told once.
    let mut later = resource.clone();
    later.status = Some(plan.status);
    assert_eq!(planned(&later, &world).events, []);

    // As soon as the cause is gone so is the condition.
    let mended = planned(&later, &good_world_with(&world));
    assert_eq!(condition(&mended, "ResolvedRefs").0, "True/ResolvedRefs");
}

#[test]
fn a_certificate_that_never_was_keeps_only_its_listener_out() {
    let mut world = good_world();
    world.certificates.clear();
    let plan = planned(&load_balancer(SECURE), &world);
    let files = secret_configuration(&plan).unwrap().files;
    assert!(files[MAIN_FILE].contains("frontend web\n"));
    assert!(!files[MAIN_FILE].contains("frontend secure\n"));
    judge::accepts(&files);
}

#[test]
fn a_member_changes_while_a_certificate_is_missing() {
    let mut resource = load_balancer(SECURE);
    let mut world = good_world();
    let good = settled(&mut resource, &mut world);
    world.certificates.clear();
    world.last_good = Some(good.clone());
    world.services.insert("app".to_owned(), service(&[("", "10.0.0.8", 8080), ("", "10.0.0.9", 8080)]));
    let plan = planned(&resource, &world);
    let pushed = crate::fixtures::pushes(&plan);
    assert_eq!(pushed.len(), 2);
    assert!(pushed[0].1.files[MAIN_FILE].contains("server app:10.0.0.9:8080"));
    assert_eq!(pushed[0].1.files["certificate-shop.pem"], good.files["certificate-shop.pem"]);
}

#[test]
fn a_service_that_was_just_made_again_takes_no_member_away() {
    let mut resource = load_balancer(SECURE);
    let mut world = good_world();
    let good = settled(&mut resource, &mut world);
    let fresh = world.services.get_mut("app").unwrap();
    (fresh.sliced, fresh.endpoints) = (false, vec![]);
    assert!(plan::needs_last_good(&resource, &world));
    world.last_good = Some(good.clone());
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "ResolvedRefs").0, "False/Pending");
    assert_eq!(secret_configuration(&plan).unwrap(), good, "the configuration is what it was");
    assert_eq!(plan.events, [], "nobody has to do anything");

    // An empty slice is an answer: nothing stands behind it.
    world.services.get_mut("app").unwrap().sliced = true;
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "ResolvedRefs").0, "True/ResolvedRefs");
    assert!(!crate::fixtures::pushes(&plan)[0].1.files[MAIN_FILE].contains("server app:"));
}

const NAMED: &str = "
listeners:
  - name: secure
    protocol: HTTPS
    port: 443
    pool: app
    certificates: [{ secretName: shop }, { secretName: blog }]
    clientAuthentication: { caConfigMapName: partners }
pools:
  - name: app
    tls: { caConfigMapName: members }
    services: [{ name: app }]
    pods: [{ name: web, selector: { matchLabels: { app: web } }, port: http }]
    members: [{ address: 192.0.2.10, port: 8080 }]
";

#[rstest]
#[case::first_certificate("secretName: shop", "secretName: nope", "False/SecretNotFound")]
#[case::certificate("secretName: blog", "secretName: nope", "False/SecretNotFound")]
#[case::all_certificates("{ secretName: shop }, { secretName: blog }", "{ secretName: nope }", "False/SecretNotFound")]
#[case::authorities_of_clients("partners", "nope", "False/ConfigMapNotFound")]
#[case::authorities_of_members("caConfigMapName: members", "caConfigMapName: nope", "False/ConfigMapNotFound")]
#[case::service("services: [{ name: app }]", "services: [{ name: nope }]", "False/ServiceNotFound")]
#[case::selector(
    "[{ name: web, selector: { matchLabels: { app: web",
    "[{ name: www, selector: { matchLabels: { app: www",
    "False/Pending"
)]
fn a_wrong_name_takes_nothing_away(#[case] right: &str, #[case] wrong: &str, #[case] verdict: &str) {
    let mut world = good_world();
    world.certificates.insert("blog".to_owned(), certificate(&["blog.example"]));
    for name in ["partners", "members"] {
        let authority = String::from_utf8(certificate(&[name]).certificate.unwrap()).unwrap();
        world.authorities.insert(name.to_owned(), Some(authority));
    }
    let mut resource = load_balancer(NAMED);
    let good = settled(&mut resource, &mut world);
    judge::accepts(&good.files);

    // Secrets and ConfigMaps that nothing names any more are not read.
    let misspelt = NAMED.replace(right, wrong);
    assert_ne!(misspelt, NAMED);
    resource.spec = load_balancer(&misspelt).spec;
    for name in ["shop", "blog", "partners", "members"].into_iter().filter(|name| !misspelt.contains(name)) {
        world.certificates.remove(name);
        world.authorities.remove(name);
    }
    assert!(plan::needs_last_good(&resource, &world));
    world.last_good = Some(good.clone());
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "ResolvedRefs").0, verdict);
    assert_eq!(secret_configuration(&plan).unwrap(), good, "what served before serves on");
}

#[test]
fn what_a_wrong_name_keeps_goes_when_it_is_mended() {
    let mut resource = load_balancer(SECURE);
    let mut world = good_world();
    let good = settled(&mut resource, &mut world);
    resource.spec.pools[0].services[0].name = "nope".to_owned();
    world.last_good = Some(good);
    let kept = secret_configuration(&planned(&resource, &world)).unwrap();
    assert!(kept.files[MAIN_FILE].contains("server app:10.0.0.8:8080"));
    world.services.insert("nope".to_owned(), service(&[("", "10.0.0.7", 8080)]));
    let plan = planned(&resource, &world);
    let text = &crate::fixtures::pushes(&plan)[0].1.files[MAIN_FILE];
    assert!(text.contains("server nope:10.0.0.7:8080") && !text.contains("server app:"), "{text}");
}

#[test]
fn pods_that_were_not_listed_yet_stay_members() {
    let mut resource = load_balancer(SECURE);
    let mut world = good_world();
    let good = settled(&mut resource, &mut world);
    world.selected.clear();
    assert!(plan::needs_last_good(&resource, &world));
    world.last_good = Some(good.clone());
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "ResolvedRefs").0, "False/Pending");
    assert_eq!(secret_configuration(&plan).unwrap(), good, "the configuration is what it was");
    assert_eq!(plan.events, [], "nobody has to do anything");
}

#[test]
fn a_selector_that_matches_nothing_is_told_and_has_no_members() {
    let mut resource = load_balancer(SECURE);
    let mut world = good_world();
    settled(&mut resource, &mut world);
    world.selected.insert("app=web".to_owned(), vec![]);
    assert!(!plan::needs_last_good(&resource, &world), "nothing is kept of what was");
    let plan = planned(&resource, &world);
    let (verdict, message) = condition(&plan, "ResolvedRefs");
    assert_eq!(verdict, "False/NoPods");
    assert!(
        message.contains(
            "no pod in this namespace has app=web: start one, or correct the selector of spec.pools[app].pods[web]"
        ),
        "{message}"
    );
    let text = &crate::fixtures::pushes(&plan)[0].1.files[MAIN_FILE];
    assert!(!text.contains("server pods.web:") && text.contains("server app:10.0.0.8:8080"), "{text}");

    // A pod that does not serve yet is a pod.
    let mut starting = selected("10.0.1.1", "http", 8080);
    starting.address = None;
    world.selected.insert("app=web".to_owned(), vec![starting]);
    assert_eq!(condition(&planned(&resource, &world), "ResolvedRefs").0, "True/ResolvedRefs");
}

#[test]
fn a_missing_class_leaves_the_pods_as_they_are() {
    let mut resource = load_balancer(SECURE);
    let mut world = good_world();
    settled(&mut resource, &mut world);
    resource.spec.class_name = Some("gold".to_owned());
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "ResolvedRefs").0, "False/ClassNotFound");
    assert!(plan.objects.iter().all(|object| kind(object) == "Secret"));
    assert_eq!(plan.retained, fairway::reconcile::family::Retained::All);
}

fn secret(world: &mut World) -> &mut CertificateSecret {
    world.certificates.get_mut("shop").unwrap()
}

fn good_world_with(broken: &World) -> World {
    World { replicas: broken.replicas.clone(), configuration: broken.configuration.clone(), ..good_world() }
}
