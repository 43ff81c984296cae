//! The machine that the fleet is on: a network namespace in which every cluster IP is here, and nodes that kwok plays.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// That this process is in a namespace of its own.
const ALONE: &str = "FAIRWAY_BENCH_ALONE";
/// As in `tests/cluster/lib/common.sh`.
const SERVICES: &str = "10.96.0.0/16";
const CLUSTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/cluster");

/// Goes on in a network namespace of its own, which ends with it and its children.
pub(crate) fn alone() {
    if std::env::var_os(ALONE).is_some() {
        return;
    }
    let begin = format!("ip link set lo up && ip route add local {SERVICES} dev lo && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--net", "--", "sh", "-c", &begin, "sh"]).arg(std::env::current_exe().unwrap()).env(ALONE, "yes");
    panic!("this bench needs root and unshare: {}", command.exec());
}

/// Starts what makes pods, and says that they run.
pub(crate) async fn simulate(folder: &Path) {
    let status = tokio::process::Command::new(CLUSTER).args(["api", "simulate"]).arg(folder).status().await.unwrap();
    assert!(status.success(), "controllers and kwok start");
}

/// The kubeconfig of the operator, who has its role's rights and no more, and whose requests are told apart.
pub(crate) fn as_operator(administrator: &Path) -> PathBuf {
    let text = fs::read_to_string(administrator).unwrap();
    let user = "user: {as: \"system:serviceaccount:fairway-system:fairway-operator\", ";
    let file = administrator.with_file_name("operator.kubeconfig");
    fs::write(&file, text.replace("user: {client", &format!("{user}client"))).unwrap();
    assert!(fs::read_to_string(&file).unwrap().contains(user));
    file
}
