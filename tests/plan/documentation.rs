//! The examples of the documentation: each is a spec that HAProxy takes.

use fairway::loadbalancer::world::World;

use crate::fixtures::{certificate, judged, selected, service, world};

const PAGE: &str = include_str!("../../docs/load-balancer.md");

/// What the examples name.
fn documented_world() -> World {
    let mut world = world();
    for name in ["shop-example", "blog-example"] {
        world.certificates.insert(name.to_owned(), certificate(&[name]));
    }
    for name in ["partners", "members"] {
        let authority = String::from_utf8(certificate(&[name]).certificate.unwrap()).unwrap();
        world.authorities.insert(name.to_owned(), Some(authority));
    }
    world.services.insert("shop".to_owned(), service(&[("http", "10.0.0.1", 8080)]));
    for (selector, address) in [("app=shop,track notin (canary)", "10.0.0.2"), ("app=shop,track=canary", "10.0.0.3")] {
        world.selected.insert(selector.to_owned(), vec![selected(address, "http", 8080)]);
    }
    world
}

#[test]
fn every_example_of_the_page_is_taken_by_haproxy() {
    let examples: Vec<&str> = PAGE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() > 6, "the page has examples");
    for example in examples {
        let text = judged(example, &documented_world());
        assert!(text.contains("\nfrontend "), "{example}");
    }
}
