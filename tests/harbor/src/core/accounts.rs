//! The quota of a project: what is stored counts once, however many artifacts hold it.

use super::artifacts::Pushed;
use super::session::Project;
use super::state::Core;
use crate::answer::Fault;

/// What the blobs of a project's artifacts take, in bytes.
const USED: &str = "SELECT coalesce(sum(size), 0)::bigint FROM blob WHERE id IN
    (SELECT ab.blob_id FROM artifact_blob ab JOIN artifact a ON a.id = ab.artifact_id WHERE a.project_id = $1)";

/// Refuses a push that would go beyond the quota.
pub(crate) async fn check(core: &Core, project: &Project, pushed: &Pushed) -> Result<(), Fault> {
    let limit = core
        .number(
            "SELECT (hard->>'storage')::bigint FROM quota WHERE reference = 'project' AND reference_id = $1",
            &[&project.id.to_string()],
        )
        .await?;
    if limit <= 0 {
        return Ok(());
    }
    let used = core.number(USED, &[&project.id]).await?;
    let held: Vec<String> = core
        .rows(
            "SELECT DISTINCT b.digest FROM blob b JOIN artifact_blob ab ON ab.blob_id = b.id
             JOIN artifact a ON a.id = ab.artifact_id WHERE a.project_id = $1",
            &[&project.id],
        )
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let more: i64 = pushed.blobs.iter().filter(|(digest, _)| !held.contains(digest)).map(|(_, size)| size).sum();
    if used + more > limit {
        return Err(Fault::denied(format!(
            "adding {more} bytes of storage resource, which when updated to current usage of {used} bytes will exceed \
             the configured upper limit of {limit} bytes."
        )));
    }
    Ok(())
}

/// Writes down what is used now.
pub(crate) async fn settle(core: &Core, project: i32) -> Result<(), Fault> {
    let used = core.number(USED, &[&project]).await?;
    core.execute(
        "UPDATE quota_usage SET used = jsonb_build_object('storage', $2::bigint) WHERE id =
         (SELECT id FROM quota WHERE reference = 'project' AND reference_id = $1)",
        &[&project.to_string(), &used],
    )
    .await?;
    Ok(())
}
