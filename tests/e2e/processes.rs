//! Processes of containers, found by the control group that names their container, and killed by their
//! numbers. Touches processes of the pods that it is given, on the machine that the test cluster runs on.

use std::{fs, path::Path};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process of a container.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) id: i32,
    pub(crate) parent: i32,
    pub(crate) command: String,
}

/// The processes of a pod's container, the first one first.
///
/// # Panics
/// When there is none: the container has just ended, or its node is not on this machine.
pub(crate) fn of(pod: &Pod, container: &str) -> Vec<Process> {
    let statuses = pod.status.iter().flat_map(|status| &status.container_statuses).flatten();
    let found = statuses.into_iter().find(|status| status.name == container);
    let id = found.and_then(|status| status.container_id.as_deref()).unwrap_or_default();
    let id = id.rsplit('/').next().filter(|id| id.len() >= 32).unwrap_or_else(|| panic!("{container} does not run"));
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let mut processes: Vec<_> = entries.filter_map(|entry| process(&entry.path(), id)).collect();
    processes.sort_by_key(|process| process.id);
    assert!(!processes.is_empty(), "container {container} of pod {} has no process on this machine", pod.name_any());
    processes
}

fn process(folder: &Path, container: &str) -> Option<Process> {
    let id = folder.file_name()?.to_str()?.parse().ok()?;
    if !fs::read_to_string(folder.join("cgroup")).ok()?.contains(container) {
        return None;
    }
    let command = fs::read_to_string(folder.join("cmdline")).ok()?.replace('\0', " ");
    let status = fs::read_to_string(folder.join("stat")).ok()?;
    // The name in parentheses may hold blanks: what follows it is the state and the parent.
    let parent = status.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
    Some(Process { id, parent, command })
}

/// Kills a process at once, with nothing that it could do about it.
pub(crate) fn end(process: &Process) {
    assert!(process.id > 1, "{process:?}");
    kill(Pid::from_raw(process.id), Signal::SIGKILL).unwrap_or_else(|error| panic!("{process:?}: {error}"));
}
