//! Every metric of the agent: its name, what it says, and where HAProxy tells it. Pure.

use crate::{clients::haproxy::Column, telemetry::metrics::Row};

/// A metric of each listener, pool or member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// As Prometheus knows it.
    pub(super) name: &'static str,
    /// Whether it only grows, until HAProxy begins anew.
    pub(super) counter: bool,
    /// What it is made of.
    pub(super) value: Value,
    /// What it says, as a sentence without its full stop.
    pub(super) meaning: &'static str,
}

/// What a metric of a line is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// A column.
    Number(Column),
    /// Two columns together.
    Sum(Column, Column),
    /// A column of milliseconds, in seconds.
    Milliseconds(Column),
    /// Responses by the class of their status code, as label `code`.
    Codes,
    /// Whether it takes traffic.
    Up,
    /// 1, with the state as label `state`.
    State,
}

/// A metric of the worker's process, by the name that `show info` has for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact {
    /// As Prometheus knows it.
    pub(super) name: &'static str,
    /// Whether it only grows, until HAProxy begins anew.
    pub(super) counter: bool,
    /// Where it is told.
    pub(super) key: &'static str,
    /// Whether it is told in hundredths.
    pub(super) percent: bool,
    /// What it says, as a sentence without its full stop.
    pub(super) meaning: &'static str,
}

const fn counter(name: &'static str, column: Column, meaning: &'static str) -> Measure {
    Measure { name, counter: true, value: Value::Number(column), meaning }
}

const fn gauge(name: &'static str, column: Column, meaning: &'static str) -> Measure {
    Measure { name, counter: false, value: Value::Number(column), meaning }
}

const fn seconds(name: &'static str, column: Column, meaning: &'static str) -> Measure {
    Measure { name, counter: false, value: Value::Milliseconds(column), meaning }
}

const fn codes(name: &'static str, meaning: &'static str) -> Measure {
    Measure { name, counter: true, value: Value::Codes, meaning }
}

const fn up(name: &'static str, meaning: &'static str) -> Measure {
    Measure { name, counter: false, value: Value::Up, meaning }
}

const fn row(name: &'static str, kind: &'static str, labels: &'static str, meaning: &'static str) -> Row {
    Row { name, kind, labels, meaning }
}

/// Of each listener.
pub(super) const LISTENER: &[Measure] = &[
    up("fairway_listener_up", "Whether HAProxy listens: 1 or 0"),
    gauge("fairway_listener_connections", Column::Scur, "Connections of clients that are open"),
    gauge("fairway_listener_connections_limit", Column::Slim, "Connections of clients that may be open at a time"),
    counter("fairway_listener_connections_total", Column::ConnTot, "Connections that clients have opened"),
    counter("fairway_listener_requests_total", Column::ReqTot, "HTTP requests that have come in"),
    codes("fairway_listener_responses_total", "HTTP responses by code (1xx to 5xx, other), HAProxy's own among them"),
    counter("fairway_listener_received_bytes_total", Column::Bin, "Bytes that clients have sent"),
    counter("fairway_listener_sent_bytes_total", Column::Bout, "Bytes that clients were sent"),
    Measure {
        name: "fairway_listener_denied_connections_total",
        counter: true,
        value: Value::Sum(Column::Dcon, Column::Dses),
        meaning: "Connections that were closed at once, since their address may not connect",
    },
    counter("fairway_listener_denied_requests_total", Column::Dreq, "Requests that a rule or a limit has refused"),
    counter("fairway_listener_denied_responses_total", Column::Dresp, "Responses that HAProxy has withheld"),
    counter("fairway_listener_request_errors_total", Column::Ereq, "Requests that were malformed or broken off"),
    counter("fairway_listener_internal_errors_total", Column::Eint, "Failures of HAProxy itself, such as no memory"),
];

/// Of each pool.
pub(super) const POOL: &[Measure] = &[
    up("fairway_pool_up", "Whether HAProxy has a member to send traffic to: 1 or 0"),
    gauge("fairway_pool_active_members", Column::Act, "Members that take traffic, without backup members"),
    gauge("fairway_pool_backup_members", Column::Bck, "Backup members that could take traffic"),
    gauge("fairway_pool_sessions", Column::Scur, "Requests, or connections of TCP, that are under way"),
    gauge("fairway_pool_queue", Column::Qcur, "Requests that wait for any member to have room"),
    counter("fairway_pool_sessions_total", Column::Stot, "Requests, or connections of TCP, that were given to it"),
    counter("fairway_pool_requests_total", Column::ReqTot, "HTTP requests that were given to it"),
    codes("fairway_pool_responses_total", "HTTP responses by code (1xx to 5xx, other), HAProxy's own among them"),
    counter("fairway_pool_received_bytes_total", Column::Bin, "Bytes that clients have sent"),
    counter("fairway_pool_sent_bytes_total", Column::Bout, "Bytes that clients were sent"),
    counter("fairway_pool_denied_requests_total", Column::Dreq, "Requests that a rule has refused"),
    counter("fairway_pool_denied_responses_total", Column::Dresp, "Responses that HAProxy has withheld"),
    counter(
        "fairway_pool_connection_errors_total",
        Column::Econ,
        "Requests that could not be given to a member: none was up, or none could be connected to",
    ),
    counter("fairway_pool_response_errors_total", Column::Eresp, "Responses that were malformed or broken off"),
    counter("fairway_pool_internal_errors_total", Column::Eint, "Failures of HAProxy itself, such as no memory"),
    counter("fairway_pool_retries_total", Column::Wretr, "Connections to members that were tried again"),
    counter("fairway_pool_redispatches_total", Column::Wredis, "Requests that were given to another member"),
    counter("fairway_pool_client_aborts_total", Column::CliAbrt, "Transfers that the client has broken off"),
    counter("fairway_pool_member_aborts_total", Column::SrvAbrt, "Transfers that the member has broken off"),
    counter("fairway_pool_connection_attempts_total", Column::Connect, "Connections to members that were begun"),
    counter("fairway_pool_connection_reuses_total", Column::Reuse, "Requests over a connection that was open already"),
    seconds("fairway_pool_queue_time_average_seconds", Column::Qtime, QUEUE_TIME),
    seconds("fairway_pool_connect_time_average_seconds", Column::Ctime, CONNECT_TIME),
    seconds("fairway_pool_response_time_average_seconds", Column::Rtime, RESPONSE_TIME),
    seconds("fairway_pool_total_time_average_seconds", Column::Ttime, TOTAL_TIME),
    counter("fairway_pool_down_seconds_total", Column::Downtime, "How long it had no member to send traffic to"),
];

/// Of each member.
pub(super) const MEMBER: &[Measure] = &[
    up("fairway_member_up", "Whether HAProxy sends it traffic: 1 or 0"),
    Measure {
        name: "fairway_member_state",
        counter: false,
        value: Value::State,
        meaning: "1 for the state that it has: Up, Down, Drain, Maintenance, NoMonitor (it takes traffic, and nothing checks it) or Unknown",
    },
    gauge("fairway_member_weight", Column::Weight, "Its weight now, 0 to 256"),
    gauge("fairway_member_sessions", Column::Scur, "Requests, or connections of TCP, that are under way"),
    gauge("fairway_member_sessions_limit", Column::Slim, "How many may be under way at a time, where that is limited"),
    gauge("fairway_member_queue", Column::Qcur, "Requests that wait for this member to have room"),
    gauge("fairway_member_idle_connections", Column::SrvIcur, "Connections that are kept open for the next request"),
    counter("fairway_member_sessions_total", Column::Stot, "Requests, or connections of TCP, that were given to it"),
    counter("fairway_member_requests_total", Column::ReqTot, "HTTP requests that were given to it"),
    codes("fairway_member_responses_total", "HTTP responses by code (1xx to 5xx, other)"),
    counter("fairway_member_received_bytes_total", Column::Bin, "Bytes that it was sent by clients"),
    counter("fairway_member_sent_bytes_total", Column::Bout, "Bytes that it has sent to clients"),
    counter("fairway_member_denied_responses_total", Column::Dresp, "Responses that HAProxy has withheld"),
    counter("fairway_member_connection_errors_total", Column::Econ, "Connections to it that failed"),
    counter("fairway_member_response_errors_total", Column::Eresp, "Responses that were malformed or broken off"),
    counter("fairway_member_internal_errors_total", Column::Eint, "Failures of HAProxy itself, such as no memory"),
    counter("fairway_member_retries_total", Column::Wretr, "Connections to it that were tried again"),
    counter("fairway_member_redispatches_total", Column::Wredis, "Requests that were given to another in its place"),
    counter("fairway_member_client_aborts_total", Column::CliAbrt, "Transfers that the client has broken off"),
    counter("fairway_member_aborts_total", Column::SrvAbrt, "Transfers that it has broken off"),
    counter("fairway_member_connection_attempts_total", Column::Connect, "Connections to it that were begun"),
    counter(
        "fairway_member_connection_reuses_total",
        Column::Reuse,
        "Requests over a connection that was open already",
    ),
    seconds("fairway_member_queue_time_average_seconds", Column::Qtime, QUEUE_TIME),
    seconds("fairway_member_connect_time_average_seconds", Column::Ctime, CONNECT_TIME),
    seconds("fairway_member_response_time_average_seconds", Column::Rtime, RESPONSE_TIME),
    seconds("fairway_member_total_time_average_seconds", Column::Ttime, TOTAL_TIME),
    counter("fairway_member_failed_checks_total", Column::Chkfail, "Checks that failed while it was up"),
    counter("fairway_member_downs_total", Column::Chkdown, "How often it went from up to down"),
    counter("fairway_member_down_seconds_total", Column::Downtime, "How long it was down"),
    seconds("fairway_member_check_duration_seconds", Column::CheckDuration, "How long its last check took"),
];

const QUEUE_TIME: &str = "How long the last 1,024 requests waited for room, on average";
const CONNECT_TIME: &str =
    "How long connecting took for the last 1,024 requests, on average; nothing where a connection was reused";
const RESPONSE_TIME: &str = "How long the first byte of a response took for the last 1,024 requests, on average; 0 where HTTP is not understood";
const TOTAL_TIME: &str =
    "How long the last 1,024 requests took from first to last byte, or connections of TCP were open, on average";

const fn fact(name: &'static str, key: &'static str, meaning: &'static str) -> Fact {
    Fact { name, counter: false, key, percent: false, meaning }
}

const fn growing(name: &'static str, key: &'static str, meaning: &'static str) -> Fact {
    Fact { name, counter: true, key, percent: false, meaning }
}

const fn ratio(name: &'static str, key: &'static str, meaning: &'static str) -> Fact {
    Fact { name, counter: false, key, percent: true, meaning }
}

/// Of the worker.
pub(super) const PROCESS: &[Fact] = &[
    fact("fairway_haproxy_uptime_seconds", "Uptime_sec", "How long the worker has run; a reload begins a new one"),
    fact("fairway_haproxy_threads", "Nbthread", "Threads"),
    fact(
        "fairway_haproxy_memory_allocated_bytes",
        "PoolAlloc_bytes",
        "Memory in HAProxy's pools (connections, buffers, sessions), used or kept; code, tables and TLS come on top",
    ),
    fact("fairway_haproxy_memory_used_bytes", "PoolUsed_bytes", "Memory in HAProxy's pools that is in use"),
    growing("fairway_haproxy_memory_failures_total", "PoolFailed", "Allocations that failed"),
    fact("fairway_haproxy_connections", "CurrConns", "Connections of clients that are open, over all listeners"),
    fact("fairway_haproxy_connections_limit", "Maxconn", "Connections of clients that may be open at a time"),
    growing(
        "fairway_haproxy_connections_total",
        "CumConns",
        "Connections of clients, those to HAProxy's own sockets among them",
    ),
    growing(
        "fairway_haproxy_requests_total",
        "CumReq",
        "Requests, and connections of TCP; health checks of the pod among them",
    ),
    fact("fairway_haproxy_connections_per_second", "ConnRate", "Connections of clients in the last second"),
    fact("fairway_haproxy_sessions_per_second", "SessRate", "Sessions of clients in the last second"),
    fact("fairway_haproxy_tls_connections", "CurrSslConns", "TLS connections that are open, to clients and members"),
    growing("fairway_haproxy_tls_connections_total", "CumSslConns", "TLS connections, to clients and members"),
    fact("fairway_haproxy_tls_connections_per_second", "SslRate", "TLS connections of clients in the last second"),
    ratio(
        "fairway_haproxy_tls_reuse_ratio",
        "SslFrontendSessionReuse_pct",
        "TLS sessions of clients that were resumed, of all, in the last second",
    ),
    ratio(
        "fairway_haproxy_idle_ratio",
        "Idle_pct",
        "Time in which the thread that answered had nothing to do, in the last second: 0 to 1",
    ),
    fact("fairway_haproxy_run_queue", "Run_queue", "Tasks that wait for a thread"),
    growing("fairway_haproxy_sent_bytes_total", "TotalBytesOut", "Bytes that were sent, by any way"),
    growing("fairway_haproxy_dropped_logs_total", "DroppedLogs", "Log lines that could not be written"),
];

/// Whether HAProxy answers; told in any case.
pub(super) const UP: Row =
    row("fairway_haproxy_up", "gauge", "", "Whether a worker of HAProxy has answered this scrape: 1 or 0");
/// The version of HAProxy.
pub(super) const VERSION: Row = row("fairway_haproxy_version", "gauge", "version", "1, for the version that runs");
/// From the master process.
pub(super) const OLD_WORKERS: Row = row(
    "fairway_haproxy_old_workers",
    "gauge",
    "",
    "Workers of before a reload that still finish what they have; missing while the master process does not answer",
);
/// When certificates end.
pub(super) const CERTIFICATE: Row = row(
    "fairway_certificate_expiry_timestamp_seconds",
    "gauge",
    "secret",
    "When the certificate ends that HAProxy serves from a Secret, in seconds since 1970",
);

/// The agent's own.
pub(super) const AGENT: &[Row] = &[
    row(
        "fairway_agent_proven_sequence",
        "gauge",
        "",
        "Sequence of the configuration that the running worker has proven; 0 while none has",
    ),
    row("fairway_agent_reloads_total", "counter", "", "Reloads of HAProxy since the agent started"),
    row(
        "fairway_agent_failed_reloads_total",
        "counter",
        "",
        "Reloads after which no worker proved what was wanted, so that what ran before was brought back",
    ),
    row("fairway_agent_refused_total", "counter", "", "Configurations that HAProxy did not take"),
    row(
        "fairway_agent_changes_total",
        "counter",
        "kind,reason",
        "Changes that were begun, by kind (runtime or reload) and by what changed, or why it was a reload",
    ),
    row("fairway_agent_drifted_total", "counter", "", "Times that HAProxy had drifted from what it should run"),
];

/// All of it, for the documentation.
#[must_use]
pub fn rows() -> Vec<Row> {
    let kind = |counter: bool| if counter { "counter" } else { "gauge" };
    let lines = [
        (LISTENER, ["listener", "listener,code", ""]),
        (POOL, ["pool,mode", "pool,mode,code", ""]),
        (MEMBER, ["pool,mode,member", "pool,mode,member,code", "pool,mode,member,state"]),
    ];
    let of_lines = lines.into_iter().flat_map(|(measures, [plain, codes, state])| {
        measures.iter().map(move |measure| {
            let labels = match measure.value {
                Value::Codes => codes,
                Value::State => state,
                _ => plain,
            };
            row(measure.name, kind(measure.counter), labels, measure.meaning)
        })
    });
    let of_process = PROCESS.iter().map(|fact| row(fact.name, kind(fact.counter), "", fact.meaning));
    AGENT
        .iter()
        .copied()
        .chain([UP, VERSION, OLD_WORKERS])
        .chain(of_process)
        .chain([CERTIFICATE])
        .chain(of_lines)
        .collect()
}
