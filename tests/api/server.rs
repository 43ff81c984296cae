//! One etcd and one kube-apiserver for all tests of this run, with Fairway's resources known to them.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use fairway::api::{Harbor, HarborClass, HarborProject, HarborRobot, LoadBalancer, LoadBalancerClass};
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, CustomResourceExt, ResourceExt,
    api::{DynamicObject, GroupVersionKind, ObjectMeta, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    discovery::{Discovery, Scope},
    runtime::wait::{await_condition, conditions},
};
use tokio::{sync::OnceCell, time::timeout};

static SERVER: OnceCell<Server> = OnceCell::const_new();
static NAMESPACES: AtomicUsize = AtomicUsize::new(0);

struct Server {
    kubeconfig: PathBuf,
    /// When this process ends, however it ends, the pipe closes and the servers are stopped.
    _alive: ChildStdin,
}

/// A client of its own for each test: a test's runtime ends with it.
pub(crate) async fn client() -> Client {
    let server = SERVER.get_or_init(start).await;
    Client::try_from(config(&server.kubeconfig).await).unwrap()
}

/// The administrator's kubeconfig, for a process of its own.
pub(crate) async fn kubeconfig() -> &'static Path {
    &SERVER.get_or_init(start).await.kubeconfig
}

/// A client with the operator's rights and no more: those of its role.
pub(crate) async fn operator_client() -> Client {
    let server = SERVER.get_or_init(start).await;
    let mut config = config(&server.kubeconfig).await;
    config.auth_info.impersonate = Some("system:serviceaccount:fairway-system:fairway-operator".to_owned());
    Client::try_from(config).unwrap()
}

/// A client, and a namespace that no other test uses.
pub(crate) async fn namespace() -> (Client, String) {
    let client = client().await;
    let name = format!("customer-{}", NAMESPACES.fetch_add(1, Ordering::Relaxed));
    let namespace = Namespace {
        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    (client, name)
}

async fn config(kubeconfig: &Path) -> Config {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
}

async fn start() -> Server {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let server = tokio::task::spawn_blocking(start_processes).await.unwrap();
    let client = Client::try_from(config(&server.kubeconfig).await).unwrap();
    install_roles(&client).await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    for definition in [
        LoadBalancer::crd(),
        LoadBalancerClass::crd(),
        Harbor::crd(),
        HarborClass::crd(),
        HarborProject::crd(),
        HarborRobot::crd(),
    ] {
        let name = definition.metadata.name.clone().unwrap();
        definitions.create(&PostParams::default(), &definition).await.unwrap();
        let established = await_condition(definitions.clone(), &name, conditions::is_crd_established());
        timeout(Duration::from_secs(20), established).await.expect("the CRD is established").unwrap();
    }
    server
}

/// The roles that users install.
async fn install_roles(client: &Client) {
    let files = [
        include_str!("../../config/manager/namespace.yaml"),
        include_str!("../../config/rbac/service_account.yaml"),
        include_str!("../../config/rbac/roles.yaml"),
    ];
    install(client, &files).await;
}

/// Installs objects from the very files that users install.
pub(crate) async fn install(client: &Client, files: &[&str]) {
    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    for object in files.iter().flat_map(|file| serde_saphyr::from_multiple::<DynamicObject>(file).unwrap()) {
        let kind = GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap();
        let (resource, capabilities) = discovery.resolve_gvk(&kind).unwrap();
        let api: Api<DynamicObject> = match (capabilities.scope, &object.metadata.namespace) {
            (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), namespace, &resource),
            _ => Api::all_with(client.clone(), &resource),
        };
        let name = object.name_any();
        api.patch(&name, &PatchParams::apply("test"), &Patch::Apply(&object)).await.unwrap();
    }
}

fn start_processes() -> Server {
    let folder = tempfile::tempdir().unwrap().keep();
    let cluster = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/cluster");
    let script = "\"$1\" api up \"$2\" >&2 && echo up; cat >/dev/null; \"$1\" api down \"$2\" >&2";
    let mut child = Command::new("bash")
        .args(["-c", script, "bash", cluster])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let alive = child.stdin.take().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut errors = child.stderr.take().unwrap();
    if line.trim() != "up" {
        drop(alive);
        let mut text = String::new();
        errors.read_to_string(&mut text).unwrap();
        panic!("etcd and kube-apiserver don't start: {text}");
    }
    // Nobody reads on: what comes later must not block the script, which outlives this process.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut errors, &mut std::io::sink());
        let _ = child.wait();
    });
    Server { kubeconfig: folder.join("kubeconfig"), _alive: alive }
}
