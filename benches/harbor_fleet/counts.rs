//! What was asked of whom: of the API server by the operator, as its flow schema counts; of core's stand-in; and
//! connections to PostgreSQL and Redis, of which each probe opens one.

use std::collections::BTreeMap;

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PostParams},
    core::GroupVersionKind,
};
use serde_json::json;

use crate::{
    postgresql_server::{PostgreSql, column},
    redis_server::RedisServer,
    standin::{self, Asked},
};

/// Of the operator's requests, to tell them from the controllers'.
const FLOW: &str = "fairway-operator";
/// Kinds that nobody but the operator reads one by one.
const NAMED: [&str; 3] = ["secrets", "configmaps", "harbors"];

/// Everybody who is asked.
pub(crate) struct Counts {
    client: Client,
    asked: Asked,
    postgresql: PostgreSql,
    redis: RedisServer,
}

/// How often, since each began.
#[derive(Default)]
pub(crate) struct Counted {
    pub(crate) operator: u64,
    pub(crate) harbor: u64,
    pub(crate) postgresql: u64,
    pub(crate) redis: u64,
    pub(crate) paths: BTreeMap<String, u64>,
    named: BTreeMap<String, u64>,
}

impl Counts {
    pub(crate) async fn start(client: Client) -> Self {
        count_operator(&client).await;
        let settings = ["max_connections=200", "log_statement=none"];
        let postgresql = PostgreSql::start_with(None, &settings).await;
        // As migrations leave it, which here nobody runs.
        let migrated = "CREATE TABLE schema_migrations AS SELECT 180::bigint AS version, false AS dirty";
        postgresql.root("postgres").await.batch_execute(migrated).await.unwrap();
        Self { client, asked: standin::start().await, postgresql, redis: RedisServer::start().await }
    }

    pub(crate) fn postgresql(&self) -> u16 {
        self.postgresql.server.port
    }

    pub(crate) fn redis(&self) -> u16 {
        self.redis.server.port
    }

    pub(crate) async fn now(&self) -> Counted {
        let root = self.postgresql.root("postgres").await;
        let sessions = column(&root, "SELECT sessions FROM pg_stat_database WHERE datname = 'postgres'").await;
        let said: String = self.redis.root().await.does("INFO stats").await;
        let connections = said.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        let metrics = self.client.request_text(http::Request::get("/metrics").body(vec![]).unwrap()).await.unwrap();
        let paths = self.asked.lock().unwrap().clone();
        let dispatched = "apiserver_flowcontrol_dispatched_requests_total{";
        let flow = format!("flow_schema=\"{FLOW}\"");
        let reads = |kind: &&str| {
            let label = format!("resource=\"{kind}\"");
            ((*kind).to_owned(), total(&metrics, "apiserver_request_total{", &[&label, "verb=\"GET\""]))
        };
        Counted {
            operator: total(&metrics, dispatched, &[&flow]),
            harbor: paths.values().sum(),
            postgresql: sessions[0].parse().unwrap(),
            redis: connections.unwrap().trim().parse().unwrap(),
            paths,
            named: NAMED.iter().map(reads).collect(),
        }
    }
}

/// How much more there is of each.
pub(crate) fn difference(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> String {
    let more = |(name, count): (&String, &u64)| {
        let more = count - before.get(name).copied().unwrap_or_default();
        (more > 0).then(|| format!("{name} {more}"))
    };
    let told: Vec<String> = now.iter().filter_map(more).collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
}

/// What was read one by one.
pub(crate) fn reads(before: &Counted, now: &Counted) -> String {
    difference(&before.named, &now.named)
}

/// The sum over the lines of a metric that have all these labels.
fn total(metrics: &str, metric: &str, labels: &[&str]) -> u64 {
    let lines = metrics.lines().filter(|line| line.starts_with(metric));
    let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    let counts = lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap());
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    counts.map(|count| count as u64).sum()
}

/// Has the API server count what the operator asks of it, and not limit it, as nobody else is limited here.
async fn count_operator(client: &Client) {
    let kind = GroupVersionKind::gvk("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema");
    let kind = ApiResource::from_gvk_with_plural(&kind, "flowschemas");
    let everything =
        json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true });
    let object = DynamicObject::new(FLOW, &kind).data(json!({ "spec": {
        "matchingPrecedence": 2,
        "priorityLevelConfiguration": { "name": "exempt" },
        "rules": [{
            "subjects": [{
                "kind": "ServiceAccount",
                "serviceAccount": { "namespace": "fairway-system", "name": "fairway-operator" },
            }],
            "resourceRules": [everything],
            "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
        }],
    }}));
    Api::<DynamicObject>::all_with(client.clone(), &kind).create(&PostParams::default(), &object).await.unwrap();
}
