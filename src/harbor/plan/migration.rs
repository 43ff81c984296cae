//! The database is brought to the version that is wanted, by a Job and before any program of that version starts. Pure.

use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;

use super::{Context, core, network::around};
use crate::{
    api::HarborStatus,
    clients::postgresql::DatabaseState,
    harbor::{Fact, facts::JobState, names::Component, versions, world::Problem},
};

/// How long a migration that has failed rests before it is tried again.
const REST: SignedDuration = SignedDuration::from_secs(60);

/// The version that programs run: the wanted one as soon as the database is ready for it.
pub(super) fn running(context: &Context<'_>, before: &HarborStatus) -> String {
    let done = matches!(state(context), Some(JobState::Complete));
    if done { context.settings.version.clone() } else { before.version.clone() }
}

fn state<'a>(context: &Context<'a>) -> Option<&'a JobState> {
    match context.world.child("Job", &core::migration(context)) {
        Some(Fact::Job(state)) => Some(state),
        _ => None,
    }
}

/// Whether the database is that of the wanted version.
pub(super) fn stands(context: &Context<'_>, before: &HarborStatus) -> Result<(), Problem> {
    let wanted = &context.settings.version;
    // Core looks at its start, and does not start.
    if let Some(problem) = unmigratable(context) {
        return Err(problem);
    }
    if !before.version.is_empty() && context.world.database.as_ref().is_some_and(is_empty) {
        let message = format!(
            "database {:?} holds nothing of Harbor's any more: restore it from a backup; to begin anew, delete this resource with its data first",
            context.references.database.database
        );
        return Err(Problem::new("DatabaseEmpty", message));
    }
    if before.version == *wanted {
        return Ok(());
    }
    match state(context) {
        Some(JobState::Complete) => Ok(()),
        Some(JobState::Failed { message, .. }) => {
            let said = context.world.pods.get(&Component::Migrate).unwrap_or(message);
            let message = format!(
                "the migration to {wanted} has failed and is tried again in a minute: {said}; see the logs of Job {}",
                core::migration(context)
            );
            Err(Problem::new("MigrationFailed", message))
        }
        Some(JobState::Running) => {
            let why = context.world.pods.get(&Component::Migrate).map(|why| format!(": {why}")).unwrap_or_default();
            Err(Problem::new("Migrating", format!("the database is being migrated to {wanted}{why}")))
        }
        None => Err(Problem::new("NotMigrated", format!("the database has yet to be migrated to {wanted}"))),
    }
}

/// Whether a database that answers has never been Harbor's.
fn is_empty(answer: &Result<DatabaseState, Problem>) -> bool {
    answer.as_ref().is_ok_and(|state| state.schema.is_none())
}

/// What no migration must touch.
fn unmigratable(context: &Context<'_>) -> Option<Problem> {
    let schema = context.world.schema()?;
    let database = &context.references.database;
    if schema.dirty && !matches!(state(context), Some(JobState::Running)) {
        let message = format!(
            "a migration to schema {} was cut off and left database {:?} dirty: restore it from a backup, or mend it by hand and set dirty to false in schema_migrations; nothing is done until then",
            schema.version, database.database
        );
        return Some(Problem::new("MigrationDirty", message));
    }
    let wanted = &context.settings.version;
    let newest = versions::schema(wanted)?;
    (schema.version > newest).then(|| {
        let message = format!(
            "database {:?} has schema {}, which is newer than version {wanted} knows ({newest}): ask for the version that it is of",
            database.database, schema.version
        );
        Problem::new("SchemaTooNew", message)
    })
}

/// The Job, until its end is written down. One that has failed goes for a moment, so that it is made anew.
pub(super) fn objects(
    context: &Context<'_>,
    before: &HarborStatus,
    ground: bool,
    now: Timestamp,
) -> Vec<DynamicObject> {
    let state = state(context);
    let rested = match state {
        Some(JobState::Failed { at, .. }) => at.is_some_and(|at| now.duration_since(at) >= REST),
        _ => false,
    };
    let done = before.version == context.settings.version;
    let goes = state.is_some() || ground && unmigratable(context).is_none();
    if done || rested || !goes {
        return vec![];
    }
    let mut objects = around(context, Component::Migrate);
    objects.push(core::migrate(context));
    objects
}
