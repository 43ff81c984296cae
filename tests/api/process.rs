//! The operator as the process that runs in its pod: it leads, tells how it is, is traced, and stops as it is
//! asked to.

use std::{net::SocketAddr, process::Stdio, sync::Arc, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::Mutex,
};

use crate::{
    operator::{create, eventually, spec},
    server::{client, kubeconfig, namespace},
};

/// A collector that keeps the names of the spans that it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<String>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
        let names = scopes.flat_map(|scope| scope.spans).map(|span| span.name);
        self.0.lock().await.extend(names);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

/// An address of this machine that is free now.
async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn collector() -> (Collector, SocketAddr) {
    let (collector, address) = (Collector::default(), free_address().await);
    let service = TraceServiceServer::new(collector.clone());
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve(address));
    (collector, address)
}

async fn start(namespace: &str, name: &str, http: SocketAddr, traces: Option<SocketAddr>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairway"));
    command
        .args(["operator", "--log", "warn"])
        .env("KUBECONFIG", kubeconfig().await)
        .env("WATCH_NAMESPACE", namespace)
        .env("POD_NAMESPACE", namespace)
        .env("POD_NAME", name)
        .env("RELATED_IMAGE_FAIRWAY", "quay.io/fairway/fairway:0.1.0")
        .env("RELATED_IMAGE_HAPROXY", "quay.io/fairway/haproxy:2.6.12")
        .env("FAIRWAY_HTTP_ADDRESS", http.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(address) = traces {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")).env("OTEL_BSP_SCHEDULE_DELAY", "200");
    }
    command.spawn().unwrap()
}

/// The status code and the body.
async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

async fn ready(address: SocketAddr) {
    eventually("the operator to be ready", async || (get(address, "/readyz").await?.0 == 200).then_some(())).await;
}

/// Asks the process to end, and waits until it has; its exit code.
async fn terminate(mut child: Child) -> Option<i32> {
    let id = child.id().expect("it runs");
    kill(Pid::from_raw(i32::try_from(id).unwrap()), Signal::SIGTERM).unwrap();
    tokio::time::timeout(Duration::from_secs(30), child.wait()).await.expect("it ends when asked").unwrap().code()
}

async fn holder(namespace: &str) -> Option<String> {
    let lease: Option<Lease> = Api::namespaced(client().await, namespace).get_opt("fairway-operator").await.unwrap();
    lease?.spec?.holder_identity.filter(|holder| !holder.is_empty())
}

/// Waits until this one leads: one that only stands by is ready as well.
async fn leads(namespace: &str, name: &str) {
    eventually(&format!("{name} to lead"), async || (holder(namespace).await.as_deref() == Some(name)).then_some(()))
        .await;
}

#[tokio::test]
async fn it_leads_is_traced_and_stops_when_asked() {
    let (client, namespace) = namespace().await;
    let (collector, traces) = collector().await;
    let http = free_address().await;
    let operator = start(&namespace, "one", http, Some(traces)).await;
    ready(http).await;
    assert_eq!(get(http, "/healthz").await.map(|answer| answer.0), Some(200));
    leads(&namespace, "one").await;

    create(&client, &namespace, spec()).await;
    eventually("a turn in the metrics", async || {
        let (_, text) = get(http, "/metrics").await?;
        text.contains("fairway_turns_total{family=\"loadbalancer\",result=\"Succeeded\"}").then_some(())
    })
    .await;
    for name in ["turn", "observe", "plan", "execute"] {
        eventually(&format!("the span {name}"), async || {
            collector.0.lock().await.iter().any(|span| span == name).then_some(())
        })
        .await;
    }
    assert_eq!(terminate(operator).await, Some(0));
    assert_eq!(holder(&namespace).await, None, "the next one need not wait for the lease to run out");
}

#[tokio::test]
async fn one_leads_and_another_takes_over() {
    let (_, namespace) = namespace().await;
    let (first_http, second_http) = (free_address().await, free_address().await);
    let first = start(&namespace, "first", first_http, None).await;
    ready(first_http).await;
    leads(&namespace, "first").await;
    let second = start(&namespace, "second", second_http, None).await;
    eventually("the second to wait", async || {
        let (_, text) = get(second_http, "/metrics").await?;
        text.contains("fairway_leader 0").then_some(())
    })
    .await;
    assert_eq!(holder(&namespace).await.as_deref(), Some("first"));
    assert_eq!(terminate(first).await, Some(0));
    leads(&namespace, "second").await;
    ready(second_http).await;
    assert_eq!(terminate(second).await, Some(0));
}
