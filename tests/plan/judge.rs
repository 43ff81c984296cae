//! HAProxy as the judge of a configuration.

use std::{collections::BTreeMap, fs, process::Command};

/// What the agent adds: the directory, members' health, and a port that is always there.
const PROCESS: &str = "global
    default-path config
    server-state-file health
frontend fairway-health
    mode http
    bind :9102
    timeout client 5s
";

/// Fails the test when HAProxy does not take the files or warns of them.
pub(crate) fn accepts(files: &BTreeMap<String, String>) {
    let (good, output) = judged(files);
    assert!(good, "HAProxy refuses: {output}\n{}", files["haproxy.cfg"]);
}

fn judged(files: &BTreeMap<String, String>) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    fs::write(folder.path().join("process.cfg"), PROCESS).unwrap();
    fs::write(folder.path().join("health"), "1\n").unwrap();
    let output = Command::new("haproxy")
        .args(["-c", "-f", "process.cfg", "-f", "haproxy.cfg"])
        .current_dir(folder.path())
        .output()
        .expect("haproxy must be installed: tests/support/packages haproxy");
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    (output.status.success() && !text.contains("[ALERT]") && !text.contains("[WARNING]"), text)
}
