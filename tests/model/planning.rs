//! The production code, as the model calls it: what is planned for an input, and what is known of planned
//! objects. Each input is planned once: `plan` is pure.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
};

use fairway::{
    agent::{
        protocol::{Configuration, Proven, Refused, Report},
        queue::Queue,
    },
    api::{ConfigurationStatus, LoadBalancer, LoadBalancerStatus},
    loadbalancer::{
        Fact, LoadBalancers,
        plan::{self, Effect, Plan},
        world::{Identity, Installation, Replica, World},
    },
    reconcile::{Family, Retained, conditions},
};
use jiff::Timestamp;
use kube::api::DynamicObject;

use crate::state::{Config, EDITED, SLOTS, Slot};

/// The planner, or a broken one.
pub(crate) type Planner = fn(&LoadBalancer, &World) -> Plan;

/// The production code's.
pub(crate) fn production(resource: &LoadBalancer, world: &World) -> Plan {
    plan::plan(resource, world, now())
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// All that a plan is made from here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Input {
    pub(crate) scene: u8,
    pub(crate) wanted_before: Option<(u8, u64)>,
    pub(crate) refused_before: bool,
    /// What the Secret says that it holds.
    pub(crate) held: Option<Config>,
    /// Whether there is a certificate, and whether it is good.
    pub(crate) identity: Option<bool>,
    /// The Deployment.
    pub(crate) deployment: Option<u64>,
    /// Pods, and what their agents answer: what is proven and what was refused.
    pub(crate) pods: Vec<(usize, Option<Answer>)>,
}

/// What an agent answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Answer {
    pub(crate) proven: Option<Config>,
    pub(crate) refused: Option<Config>,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) objects: Vec<(Slot, u64)>,
    /// One bit a slot.
    pub(crate) retained: u8,
    pub(crate) effects: Vec<Act>,
    /// What the status says is wanted, and whether that is refused.
    pub(crate) wanted: Option<Config>,
    pub(crate) refused: bool,
}

/// An effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Issue,
    Push(usize, Config),
}

/// What was planned so far.
pub(crate) struct Planning {
    planner: Planner,
    scenes: Vec<LoadBalancer>,
    /// The hash of what each scene wants; none where it makes no sense.
    hashes: Vec<Option<String>>,
    plans: Mutex<HashMap<Input, Arc<Planned>>>,
    made: Mutex<HashMap<u64, DynamicObject>>,
    verdicts: Mutex<HashMap<(Option<Config>, Config), bool>>,
}

impl Planning {
    pub(crate) fn new(specs: &[&str], planner: Planner) -> Self {
        let scenes: Vec<LoadBalancer> = specs.iter().map(|spec| load_balancer(spec)).collect();
        let world = World { identity: Some(Identity { renew: None }), ..World::default() };
        let hash = |scene| production(scene, &world).status.configuration.map(|wanted| wanted.hash);
        let hashes = scenes.iter().map(hash).collect();
        let (plans, made, verdicts) = Default::default();
        Self { planner, scenes, hashes, plans, made, verdicts }
    }

    /// What a scene wants; none where it makes no sense. Scenes that want the same have one content.
    pub(crate) fn content(&self, scene: u8) -> Option<u8> {
        self.hashes[usize::from(scene)].as_deref().map(|hash| self.content_of(hash))
    }

    fn content_of(&self, hash: &str) -> u8 {
        let found = self.hashes.iter().position(|known| known.as_deref() == Some(hash));
        found.map_or(EDITED, |found| u8::try_from(found).unwrap())
    }

    fn hash(&self, content: u8) -> String {
        if content == EDITED { "edited".to_owned() } else { self.hashes[usize::from(content)].clone().unwrap() }
    }

    /// How many inputs were planned for.
    pub(crate) fn inputs(&self) -> usize {
        self.plans.lock().unwrap().len()
    }

    /// What the configuration Secret holds that was planned so.
    pub(crate) fn configuration(&self, content: u64) -> Option<Config> {
        let Fact::Configuration(status) = self.fact(content)? else { return None };
        Some(self.config(&status))
    }

    fn fact(&self, content: u64) -> Option<Fact> {
        Some(LoadBalancers::fact(self.made.lock().unwrap().get(&content)?))
    }

    fn config(&self, status: &ConfigurationStatus) -> Config {
        Config { content: self.content_of(&status.hash), sequence: status.sequence }
    }

    /// Whether an agent whose newest is this takes a configuration; as its queue says.
    pub(crate) fn takes(&self, newest: Option<Config>, pushed: Config) -> bool {
        *self.verdicts.lock().unwrap().entry((newest, pushed)).or_insert_with(|| {
            // Only who is who matters: not what the hash is of.
            let configuration = |config: Config| Configuration {
                sequence: config.sequence,
                files: [("haproxy.cfg".to_owned(), config.content.to_string())].into(),
            };
            let (sequence, hash) =
                newest.map(configuration).map_or((0, String::new()), |newest| (newest.sequence, newest.hash()));
            Queue::new(sequence, hash).submit(configuration(pushed)).is_ok()
        })
    }

    /// What is planned for an input.
    pub(crate) fn plan(&self, input: &Input) -> Arc<Planned> {
        if let Some(known) = self.plans.lock().unwrap().get(input) {
            return Arc::clone(known);
        }
        let mut resource = self.scenes[usize::from(input.scene)].clone();
        resource.status = Some(self.status(input));
        let planned = Arc::new(self.planned((self.planner)(&resource, &self.world(input))));
        self.plans.lock().unwrap().insert(input.clone(), Arc::clone(&planned));
        planned
    }

    fn status(&self, input: &Input) -> LoadBalancerStatus {
        let configuration =
            input.wanted_before.map(|(content, sequence)| ConfigurationStatus { hash: self.hash(content), sequence });
        let reason = if input.refused_before { "Refused" } else { "Pending" };
        let programmed = conditions::condition("Programmed", false, reason, "as it was", Some(1), now());
        let conditions = configuration.iter().map(|_| programmed.clone()).collect();
        LoadBalancerStatus { configuration, conditions, ..LoadBalancerStatus::default() }
    }

    fn world(&self, input: &Input) -> World {
        let status =
            |config: Config| ConfigurationStatus { hash: self.hash(config.content), sequence: config.sequence };
        let proven = |config: Config| Proven { hash: self.hash(config.content), sequence: config.sequence };
        let refused = |config: Config| Refused {
            hash: self.hash(config.content),
            sequence: config.sequence,
            message: "no".to_owned(),
        };
        let replica = |(number, answer): &(usize, Option<Answer>)| Replica {
            pod: format!("shop-lb-{number}"),
            address: Some("10.0.0.1".parse().unwrap()),
            ready: answer.as_ref().is_none_or(|answer| answer.proven.is_some()),
            report: Some(answer.as_ref().ok_or_else(|| "no route".to_owned()).map(|answer| Report {
                proven: answer.proven.map(proven),
                refused: answer.refused.map(refused),
                ..Report::default()
            })),
            ..Replica::default()
        };
        let pins = input.deployment.and_then(|content| match self.fact(content)? {
            Fact::Pods { pins, .. } => Some(*pins),
            _ => None,
        });
        World {
            configuration: input.held.map(status),
            identity: input.identity.map(|good| Identity { renew: (!good).then(|| "it is broken".to_owned()) }),
            pins,
            replicas: input.pods.iter().map(replica).collect(),
            installation: Installation {
                fairway_image: "fairway:1".to_owned(),
                haproxy_image: "haproxy:1".to_owned(),
                namespace: "fairway-system".to_owned(),
            },
            ..World::default()
        }
    }

    fn planned(&self, plan: Plan) -> Planned {
        let Plan { finalizer: _, objects, retained, effects, events: _, status, again: _ } = plan;
        let objects = objects.into_iter().map(|object| {
            let mut hasher = DefaultHasher::new();
            serde_json::to_string(&object).unwrap().hash(&mut hasher);
            let (slot, content) = (Slot::of(&object), hasher.finish());
            self.made.lock().unwrap().insert(content, object);
            (slot, content)
        });
        let programmed = status.conditions.iter().find(|condition| condition.type_ == "Programmed");
        Planned {
            objects: objects.collect(),
            retained: SLOTS.into_iter().filter(|slot| slot.held_by(&retained)).fold(0, |bits, slot| bits | slot.bit()),
            effects: effects.into_iter().map(|effect| self.act(effect)).collect(),
            wanted: status.configuration.as_ref().map(|wanted| self.config(wanted)),
            refused: programmed.is_some_and(|condition| condition.reason == "Refused"),
        }
    }

    fn act(&self, effect: Effect) -> Act {
        match effect {
            Effect::IssueIdentity { .. } => Act::Issue,
            Effect::Push { pod, configuration, .. } => {
                let number = pod.rsplit('-').next().unwrap().parse().unwrap();
                let wanted =
                    ConfigurationStatus { hash: configuration.hash().to_owned(), sequence: configuration.sequence };
                Act::Push(number, self.config(&wanted))
            }
        }
    }
}

impl Slot {
    fn of(object: &DynamicObject) -> Self {
        let kind = object.types.as_ref().unwrap().kind.as_str();
        let name = object.metadata.name.as_deref().unwrap();
        *SLOTS.iter().find(|slot| slot.named() == (kind, name)).unwrap()
    }

    fn named(self) -> (&'static str, &'static str) {
        match self {
            Self::Configuration => ("Secret", "shop-lb-configuration"),
            Self::Identity => ("Secret", "shop-lb-identity"),
            Self::Account => ("ServiceAccount", "shop-lb"),
            Self::Policy => ("NetworkPolicy", "shop-lb"),
            Self::Budget => ("PodDisruptionBudget", "shop-lb"),
            Self::Service => ("Service", "shop-lb"),
            Self::Deployment => ("Deployment", "shop-lb"),
        }
    }

    fn held_by(self, retained: &Retained) -> bool {
        let (kind, name) = self.named();
        retained.holds(kind, name)
    }

    pub(crate) fn bit(self) -> u8 {
        1 << self as u8
    }
}

fn load_balancer(spec: &str) -> LoadBalancer {
    let mut resource = LoadBalancer::new("shop", serde_saphyr::from_str(spec).unwrap());
    resource.metadata.namespace = Some("customer".to_owned());
    resource.metadata.uid = Some("11111111-2222-3333-4444-555555555555".to_owned());
    resource.metadata.generation = Some(1);
    resource
}
