//! The cluster that is tested on: how it is reached, and the operator in it, which is installed once a run.
//! Touches the operator's namespace, the CRDs and roles, and through `tests/cluster/cluster` the nodes.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, Config,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{io::AsyncWriteExt, process::Command, sync::Mutex};

use crate::wait::{self, seen};

/// The namespace of the operator, as in config/manager.
pub(crate) const SYSTEM: &str = "fairway-system";
/// The operator's Deployment.
pub(crate) const OPERATOR: &str = "fairway-operator";
/// The labels of the operator's pods.
pub(crate) const OPERATOR_LABELS: &str = "app.kubernetes.io/name=fairway,app.kubernetes.io/component=operator";

/// Whether the operator of this tree was installed in this run, and not taken away since.
static INSTALLED: Mutex<bool> = Mutex::const_new(false);
/// Whether a test left the operator or a node otherwise than it was.
static DISTURBED: AtomicBool = AtomicBool::new(false);

/// A way to the cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
}

impl Cluster {
    /// Whether it is a cluster of the user's own, and not the one that `tests/cluster/cluster` makes.
    pub(crate) fn existing() -> bool {
        env::var("CLUSTER").is_ok_and(|cluster| cluster == "existing")
    }

    /// Where pods find the images of public registries, by their whole names: where they were pushed to.
    pub(crate) fn registry() -> String {
        env::var("IMAGE_REGISTRY").unwrap_or_else(|_| "10.200.0.1:5000".to_owned())
    }

    /// Finds the cluster.
    pub(crate) async fn find() -> Self {
        // Two TLS providers in one process would leave rustls to choose.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (kubeconfig, kubectl) = tools().await;
        let mut config = config(&kubeconfig).await;
        config.read_timeout = Some(Duration::from_secs(30));
        Self { client: Client::try_from(config).unwrap(), kubeconfig, kubectl }
    }

    /// Sees to it that the operator of this tree runs.
    pub(crate) async fn has_operator(&self) {
        let mut installed = INSTALLED.lock().await;
        if !*installed {
            self.install().await;
            *installed = true;
        }
    }

    /// Says that the operator was taken away: the next test that needs it installs it.
    pub(crate) async fn has_no_operator(&self) {
        *INSTALLED.lock().await = false;
    }

    /// A client with somebody's rights, and no limit to how long an answer takes.
    pub(crate) async fn client_as(&self, user: &str) -> Client {
        let mut config = config(&self.kubeconfig).await;
        config.auth_info.impersonate = Some(user.to_owned());
        Client::try_from(config).unwrap()
    }

    /// Runs kubectl; what it printed, or what it complained of.
    pub(crate) async fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new(&self.kubectl);
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig).current_dir(root());
        printed(&run(command, input).await, &format!("kubectl {}", arguments.join(" ")))
    }

    /// Lets a program use kubectl on this cluster.
    pub(crate) fn reach(&self, command: &mut Command) {
        let mut path = OsString::from(self.kubectl.parent().unwrap());
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        command.env("KUBECONFIG", &self.kubeconfig).env("PATH", path);
    }

    /// Installs the operator of this tree, with the images that were pushed last.
    pub(crate) async fn install(&self) {
        let mut command = Command::new(root().join("tests/support/install"));
        self.reach(&mut command);
        if let Err(error) = printed(&run(command, "").await, "tests/support/install") {
            let pods = self.kubectl(&["-n", SYSTEM, "describe", "pods", "-l", OPERATOR_LABELS], "").await;
            panic!("{error}\n{}", pods.unwrap_or_else(|error| error));
        }
    }

    /// Waits until the operator's Deployment is as it was asked to be and its pod is ready.
    pub(crate) async fn operator_runs(&self) {
        let deployment = format!("deployment/{OPERATOR}");
        let rollout = ["-n", SYSTEM, "rollout", "status", &deployment, "--timeout=120s"];
        if let Err(error) = self.kubectl(&rollout, "").await {
            let pods = self.kubectl(&["-n", SYSTEM, "describe", "pods", "-l", OPERATOR_LABELS], "").await;
            panic!("the operator does not start: {error}\n{}", pods.unwrap_or_else(|error| error));
        }
    }

    /// Says that the operator or a node is about to be changed: it is put right when the test ends.
    pub(crate) fn disturb() {
        DISTURBED.store(true, Ordering::SeqCst);
    }

    /// Puts right what a test has changed.
    pub(crate) async fn restore(&self) {
        if !DISTURBED.swap(false, Ordering::SeqCst) {
            return;
        }
        if !Self::existing() {
            for node in self.nodes().await {
                let name = node.metadata.name.clone().unwrap_or_default();
                if !node_ready(&node) {
                    cluster(&["node", "start", &name]).await.unwrap();
                }
                if node.spec.and_then(|spec| spec.unschedulable) == Some(true) {
                    self.kubectl(&["uncordon", &name], "").await.unwrap();
                }
            }
        }
        self.install().await;
    }

    /// The nodes.
    pub(crate) async fn nodes(&self) -> Vec<Node> {
        Api::<Node>::all(self.client.clone()).list(&ListParams::default()).await.unwrap().items
    }

    /// Waits until a node is as it is asked to be.
    pub(crate) async fn node_becomes(&self, name: &str, ready: bool, limit: Duration) {
        let nodes = Api::<Node>::all(self.client.clone());
        wait::until(&format!("node {name} to be ready: {ready}"), limit, async || {
            let node = nodes.get(name).await.map_err(|error| error.to_string())?;
            seen(node_ready(&node) == ready, || format!("ready: {}", !ready))
        })
        .await;
    }
}

async fn config(kubeconfig: &Path) -> Config {
    let read = Kubeconfig::read_from(kubeconfig).unwrap_or_else(|error| {
        panic!("{} can't be read: {error}; start it: tests/cluster/cluster up", kubeconfig.display())
    });
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
    config.connect_timeout = Some(Duration::from_secs(10));
    config
}

/// Whether a node is Ready.
pub(crate) fn node_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| &status.conditions).flatten();
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the script that makes the cluster.
pub(crate) async fn cluster(arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(root().join("tests/cluster/cluster"));
    command.args(arguments);
    printed(&run(command, "").await, &format!("tests/cluster/cluster {}", arguments.join(" ")))
}

/// Tells the one who reads the run; libtest captures what is printed in the usual way.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "    {text}");
}

/// Where the kubeconfig and kubectl are.
async fn tools() -> (PathBuf, PathBuf) {
    let mut command = Command::new("bash");
    let script = r#"environment=$("$0" env) && eval "$environment" && echo "$KUBECONFIG" && command -v kubectl"#;
    command.args(["-c", script]).arg(root().join("tests/cluster/cluster"));
    let told = printed(&run(command, "").await, "finding kubectl (run tests/cluster/cluster up)").unwrap();
    let mut lines = told.lines().map(PathBuf::from);
    (lines.next().unwrap(), lines.next().unwrap())
}

/// Names of images by tag and by digest, as `make images` left them.
pub(crate) fn pushed() -> BTreeMap<String, String> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || {
        set("FAIRWAY_CACHE").unwrap_or_else(|| {
            let home = || set("HOME").unwrap_or_default().join(".cache");
            set("XDG_CACHE_HOME").unwrap_or_else(home).join("fairway")
        })
    };
    let file = set("IMAGE_DIGESTS").unwrap_or_else(|| cache().join("images/digests"));
    let text = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{} can't be read: {error}; push the images: make images", file.display()));
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(tagged, exact)| (tagged.to_owned(), exact.to_owned()))
        .collect()
}

async fn run(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let write = async {
        let _ = pipe.write_all(input.as_bytes()).await;
        drop(pipe);
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    output.unwrap()
}

fn printed(output: &Output, what: &str) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{what}: {}: {}", output.status, text(&output.stderr).trim()))
}
