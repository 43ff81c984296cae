//! `catalog/release` in a copy of this repository: what a release and a promotion change, and that whoever is refused
//! finds everything as it was. Touches temporary folders.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rstest::rstest;
use tempfile::TempDir;

const FAIRWAY: &str = env!("CARGO_BIN_EXE_fairway");
const CURRENT: &str = env!("CARGO_PKG_VERSION");
const NEXT: &str = "98.76.5";
const CHANGELOG: &str = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something new.\n";

/// A copy of the repository, of which only this version is listed and nothing was released.
struct Repository(TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        let copy =
            "git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory \"$1\"";
        let mut command = Command::new("bash");
        let copied = command.args(["-c", copy, "bash"]).arg(repository.0.path());
        assert!(copied.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
        repository.write("CHANGELOG.md", CHANGELOG);
        repository.write("catalog/releases.yaml", &listed());
        assert!(command_of(FAIRWAY, &["generate"], repository.0.path()).status.success());
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository.commit();
        repository
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    /// A change that is committed; a file of which nothing is replaced is deleted.
    fn change(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        if from.is_empty() {
            fs::remove_file(self.path(path)).unwrap();
        } else {
            assert!(text.contains(from), "{path} does not say {from}");
            self.write(path, &text.replacen(from, to, 1));
        }
        self.commit();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"];
        told(&command_of("git", &[&identity[..], arguments].concat(), self.0.path())).unwrap()
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "A change"]);
    }

    fn release(&self, arguments: &[&str]) -> Result<String, String> {
        told(&command_of(self.path("catalog/release").to_str().unwrap(), arguments, self.0.path()))
    }

    /// Everything that a user may find changed: commits, tags, and the tree.
    fn state(&self) -> [String; 3] {
        [self.git(&["rev-parse", "HEAD"]), self.git(&["tag", "--list"]), self.git(&["status", "--porcelain"])]
    }
}

fn listed() -> String {
    let channels = "channels:\n  - name: candidate-v1\n  - name: fast-v1\n  - name: stable-v1\n";
    let created = "createdAt: \"2026-01-01T00:00:00Z\"\n    channels: [candidate-v1, fast-v1, stable-v1]";
    format!("{channels}releases:\n  - version: {CURRENT}\n    {created}\n")
}

fn command_of(program: &str, arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(program);
    for (name, value) in [("NAME", "Somebody"), ("EMAIL", "somebody@example.com")] {
        command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
    }
    command.args(arguments).env("FAIRWAY", FAIRWAY).current_dir(folder).output().unwrap()
}

fn told(output: &Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn a_release_is_one_commit_and_one_tag_and_holds_together() {
    let repository = Repository::new();
    repository.release(&["version", NEXT]).unwrap();
    assert_eq!(repository.git(&["log", "--format=%s"]), format!("Release {NEXT}\nA change"));
    assert_eq!(repository.git(&["status", "--porcelain"]), "");
    let tag = repository.git(&["for-each-ref", "--format=%(objecttype) %(contents)", &format!("refs/tags/v{NEXT}")]);
    assert!(tag.starts_with(&format!("tag Fairway {NEXT}")) && tag.contains("- Something new."), "{tag}");
    assert_eq!(repository.git(&["rev-parse", &format!("v{NEXT}^{{commit}}")]), repository.git(&["rev-parse", "HEAD"]));

    let fairway = |text: &str| text.split("name = \"fairway\"").nth(1).unwrap().lines().nth(1).unwrap().to_owned();
    assert_eq!(fairway(&repository.read("Cargo.toml")), format!("version = \"{NEXT}\""));
    assert_eq!(fairway(&repository.read("Cargo.lock")), format!("version = \"{NEXT}\""));
    let changelog = repository.read("CHANGELOG.md");
    let (before, after) = changelog.split_once(&format!("## [{NEXT}] - 20")).unwrap();
    assert!(before.trim_end().ends_with("## [Unreleased]") && after.contains("- Something new."), "{changelog}");
    let bundle = repository.read("bundle/manifests/fairway.clusterserviceversion.yaml");
    for expected in [
        format!("name: fairway.v{NEXT}"),
        format!("replaces: fairway.v{CURRENT}"),
        format!("olm.skipRange: \">={CURRENT} <{NEXT}\""),
        format!("quay.io/fairway/fairway:{NEXT}"),
    ] {
        assert!(bundle.contains(&expected), "{expected}");
    }
    assert!(repository.read("config/manager/deployment.yaml").contains(&format!("fairway:{NEXT}")));
    for kept in ["everything.yaml", "loadbalancer.yaml", "fairway.dev_loadbalancers.yaml"] {
        assert!(!repository.read(&format!("tests/api/released/{NEXT}/{kept}")).is_empty());
    }
    assert!(command_of(FAIRWAY, &["generate", "--check", "--of", NEXT], repository.0.path()).status.success());
}

#[test]
fn a_version_is_promoted_from_channel_to_channel() {
    let repository = Repository::new();
    repository.release(&["version", NEXT]).unwrap();
    let offered = || {
        let folder = repository.path("catalog-of-now");
        let output = folder.to_str().unwrap();
        assert!(
            command_of(FAIRWAY, &["generate", "catalog", "--output", output], repository.0.path()).status.success()
        );
        let text = fs::read_to_string(folder.join("package.yaml")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        text.matches(&format!("name: fairway.v{NEXT}")).count()
    };
    assert_eq!(offered(), 1);
    let error = repository.release(&["promote", NEXT, "stable-v1"]).unwrap_err();
    assert_eq!(error, format!("refused: {NEXT} is not in fast-v1 yet, which comes before stable-v1"));
    for (channel, times) in [("fast-v1", 2), ("stable-v1", 3)] {
        repository.release(&["promote", NEXT, channel]).unwrap();
        assert_eq!(offered(), times, "{channel}");
    }
    let error = repository.release(&["promote", NEXT, "fast-v1"]).unwrap_err();
    assert_eq!(error, format!("refused: fast-v1 offers {NEXT} already"));
    let error = repository.release(&["promote", NEXT, "nightly"]).unwrap_err();
    assert_eq!(error, "refused: nothing is promoted to 'nightly': fast-v1 or stable-v1");
    let error = repository.release(&["promote", "1.2.3", "fast-v1"]).unwrap_err();
    assert_eq!(error, "refused: catalog/releases.yaml has no release 1.2.3");
}

type Disturbance = fn(&Repository);

#[rstest]
#[case::no_version("1.2", |_: &Repository| {}, "'1.2' is no version: three numbers such as 1.2.3")]
#[case::leading_zero("01.2.3", |_: &Repository| {}, "'01.2.3' is no version: three numbers such as 1.2.3")]
#[case::before_another("0.0.1", |_: &Repository| {}, "0.0.1 comes before ")]
#[case::tagged(NEXT, |at: &Repository| drop(at.git(&["tag", "v98.76.5"])), "the tag v98.76.5 is there already")]
#[case::nothing_new(NEXT, |at: &Repository| at.change("CHANGELOG.md", "- Something new.", ""), "CHANGELOG.md says nothing under [Unreleased]")]
#[case::dirty(NEXT, |at: &Repository| at.write("new", ""), "the tree has changes that are not committed: git status")]
#[case::stale(NEXT, |at: &Repository| at.change("bundle/metadata/annotations.yaml", "registry+v1", "v2"), "generated files are not what the code says")]
#[case::detached(NEXT, |at: &Repository| drop(at.git(&["checkout", "--quiet", "--detach"])), "no branch is checked out")]
#[case::impossible(NEXT, |at: &Repository| at.change("tests/api/released/everything.yaml", "", ""), "it could not be made; nothing was changed")]
fn what_does_not_hold_together_is_refused(#[case] version: &str, #[case] disturb: Disturbance, #[case] expected: &str) {
    let repository = Repository::new();
    disturb(&repository);
    let before = repository.state();
    let error = repository.release(&["version", version]).unwrap_err();
    assert!(error.lines().last().unwrap().starts_with(&format!("refused: {expected}")), "{error}");
    assert_eq!(repository.state(), before);
    assert_eq!(repository.git(&["worktree", "list"]).lines().count(), 1);
}

#[test]
fn the_next_release_needs_the_last_one_published() {
    let repository = Repository::new();
    // The version that the tree is of was listed, and not released.
    repository.release(&["version", CURRENT]).unwrap();
    assert_eq!(repository.read("catalog/releases.yaml").matches("version: ").count(), 1);
    assert!(!repository.read("bundle/manifests/fairway.clusterserviceversion.yaml").contains("replaces: "));
    let error = repository.release(&["version", CURRENT]).unwrap_err();
    assert_eq!(error, format!("refused: the tag v{CURRENT} is there already"));

    repository.change("CHANGELOG.md", "## [Unreleased]\n", "## [Unreleased]\n\n- More.\n");
    let bundle = format!("catalog/bundles/fairway.v{CURRENT}.yaml");
    let error = repository.release(&["version", NEXT]).unwrap_err();
    assert_eq!(error, format!("refused: {bundle} is not there: {CURRENT} was not published (make publish)"));
    repository.write(&bundle, "schema: olm.bundle\n");
    repository.commit();
    repository.release(&["version", NEXT]).unwrap();
    let error = repository.release(&["version", "98.76.4"]).unwrap_err();
    assert_eq!(error, format!("refused: 98.76.4 does not come after {NEXT}, the last release"));
}
