//! The queues, in Redis below one namespace: a list of jobs for each type, and which of them are paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use hyper::Method;
use redis::cmd;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Jobservice;
use super::collection;
use super::config::Configuration;
use crate::cache::Cache;

/// The types that Harbor has queues for.
pub(crate) const TYPES: [&str; 9] = [
    "IMAGE_SCAN",
    "REPLICATION",
    "GARBAGE_COLLECTION",
    "RETENTION",
    "WEBHOOK",
    "EXECUTION_SWEEP",
    "SCHEDULER",
    "PURGE_AUDIT_LOG",
    "SCAN_ALL",
];
const IDLE: Duration = Duration::from_millis(400);

/// A job as it lies in its queue.
#[derive(Deserialize, Serialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) parameters: Map<String, Value>,
    pub(crate) status_hook: String,
    /// In seconds.
    enqueued_at: i64,
}

/// All queues of one jobservice.
pub(crate) struct Queue {
    cache: Cache,
    namespace: String,
    pool: String,
    started: i64,
    /// Jobs that went well, and that failed.
    pub(crate) succeeded: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Queue {
    pub(crate) fn new(config: &Configuration) -> Result<Self> {
        Ok(Self {
            cache: Cache::new(config.redis_url())?,
            namespace: config.namespace(),
            pool: crate::core::random(9),
            started: now(),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    fn jobs(&self, name: &str) -> String {
        format!("{}:jobs:{name}", self.namespace)
    }

    fn paused(&self) -> String {
        format!("{}:paused_job_types", self.namespace)
    }

    pub(crate) async fn push(&self, name: &str, parameters: Map<String, Value>, status_hook: String) -> Result<String> {
        let job =
            Job { id: crate::core::random(12), name: name.to_owned(), parameters, status_hook, enqueued_at: now() };
        self.cache.run::<u64>(cmd("LPUSH").arg(self.jobs(name)).arg(serde_json::to_string(&job)?)).await?;
        Ok(job.id)
    }

    /// The next job of a queue that is not paused.
    async fn next(&self) -> Result<Option<Job>> {
        let paused: Vec<String> = self.cache.run(cmd("SMEMBERS").arg(self.paused())).await?;
        for name in TYPES.iter().filter(|name| !paused.iter().any(|paused| paused == *name)) {
            let text: Option<String> = self.cache.run(cmd("RPOP").arg(self.jobs(name))).await?;
            if let Some(text) = text {
                return Ok(Some(serde_json::from_str(&text)?));
            }
        }
        Ok(None)
    }

    /// Each queue with its length, how long its oldest job waits, and whether it is paused.
    pub(crate) async fn told(&self) -> Result<Value> {
        let paused: Vec<String> = self.cache.run(cmd("SMEMBERS").arg(self.paused())).await?;
        let mut told = Vec::new();
        for name in TYPES {
            let count: u64 = self.cache.run(cmd("LLEN").arg(self.jobs(name))).await?;
            let oldest: Option<String> = self.cache.run(cmd("LINDEX").arg(self.jobs(name)).arg(-1)).await?;
            let since =
                oldest.and_then(|text| serde_json::from_str::<Job>(&text).ok()).map(|job| now() - job.enqueued_at);
            told.push(json!({"job_type": name, "count": count, "latency": since.unwrap_or_default(),
                "paused": paused.iter().any(|paused| paused == name)}));
        }
        Ok(Value::Array(told))
    }

    pub(crate) async fn act(&self, name: &str, action: &str) -> Result<()> {
        for name in TYPES.iter().filter(|known| name == "ALL" || **known == name) {
            match action {
                "stop" => self.cache.run::<u64>(cmd("DEL").arg(self.jobs(name))).await?,
                "pause" => self.cache.run::<u64>(cmd("SADD").arg(self.paused()).arg(*name)).await?,
                _ => self.cache.run::<u64>(cmd("SREM").arg(self.paused()).arg(*name)).await?,
            };
        }
        Ok(())
    }

    /// Says that this pool lives.
    async fn beat(&self, workers: u32) -> Result<()> {
        let key = format!("{}:worker_pools:{}", self.namespace, self.pool);
        let mut command = cmd("HSET");
        command.arg(&key).arg("started_at").arg(self.started).arg("heartbeat_at").arg(now());
        command.arg("concurrency").arg(workers).arg("pid").arg(std::process::id());
        self.cache.run::<()>(&command).await?;
        self.cache.run::<u64>(cmd("EXPIRE").arg(&key).arg(30)).await?;
        Ok(())
    }

    /// The pools that live.
    pub(crate) async fn pools(&self) -> Result<Vec<Value>> {
        let prefix = format!("{}:worker_pools:", self.namespace);
        // Braces and the like mean nothing in a pattern of Redis.
        let mut pools = Vec::new();
        for key in self.cache.keys(&prefix).await? {
            let fields: std::collections::BTreeMap<String, i64> = self.cache.run(cmd("HGETALL").arg(&key)).await?;
            let time = |name: &str| {
                let seconds = fields.get(name).copied().unwrap_or_default();
                jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
            };
            pools.push(json!({"worker_pool_id": key.strip_prefix(&prefix), "start_at": time("started_at"),
                "heartbeat_at": time("heartbeat_at"), "concurrency": fields.get("concurrency"), "pid": fields.get("pid"),
                "status": "Healthy"}));
        }
        Ok(pools)
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Works off what is queued, for ever. Redis that is away is waited for.
pub(crate) async fn work(jobservice: Arc<Jobservice>) {
    loop {
        let next = async {
            jobservice.queue.beat(jobservice.config.workers()).await?;
            jobservice.queue.next().await
        };
        match next.await {
            Ok(Some(job)) => run(&jobservice, job).await,
            Ok(None) => tokio::time::sleep(IDLE).await,
            Err(error) => {
                tracing::error!("{error:#}");
                tokio::time::sleep(IDLE * 5).await;
            }
        }
    }
}

async fn run(jobservice: &Jobservice, job: Job) {
    tracing::info!("job {} of {} begins", job.id, job.name);
    report(jobservice, &job, "Running", "").await;
    let ran = match job.name.as_str() {
        "GARBAGE_COLLECTION" => collection::run(jobservice, &job.parameters).await,
        _ => Ok("the stand-in has nothing to do for it".to_owned()),
    };
    match ran {
        Ok(message) => {
            jobservice.queue.succeeded.fetch_add(1, Ordering::Relaxed);
            tracing::info!("job {} went well: {message}", job.id);
            report(jobservice, &job, "Success", &message).await;
        }
        Err(error) => {
            jobservice.queue.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!("job {} failed: {error:#}", job.id);
            report(jobservice, &job, "Error", &format!("{error:#}")).await;
        }
    }
}

async fn report(jobservice: &Jobservice, job: &Job, status: &str, message: &str) {
    if job.status_hook.is_empty() {
        return;
    }
    let body = json!({"status": status, "message": message});
    let authorization = jobservice.authorization();
    if let Err(error) = jobservice.client.json(Method::POST, &job.status_hook, Some(&authorization), Some(&body)).await
    {
        tracing::error!("core was not told of job {}: {error:#}", job.id);
    }
}
