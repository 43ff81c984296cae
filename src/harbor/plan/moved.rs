//! A registry stays with its database: one that is named in its place, and does not hold its data, would make an empty
//! registry of it. Pure.

use super::{
    references::{DatabaseAddress, References},
    settings::Settings,
};
use crate::{
    api::{HarborStatus, ServerKind},
    harbor::world::Problem,
    harbor::world::World,
};

/// What status remembers of the database, such as `Managed` or `db.example.com:5432/registry`.
pub(super) fn called(settings: &Settings, references: &References) -> String {
    let DatabaseAddress { host, port, database, .. } = &references.database;
    match settings.database.kind {
        ServerKind::Managed => "Managed".to_owned(),
        ServerKind::Shared | ServerKind::External => format!("{host}:{port}/{database}"),
    }
}

/// Refuses another database than the one that the registry runs on, unless Harbor's data is there.
pub(super) fn stays(before: &HarborStatus, world: &World, called: &str) -> Result<(), Problem> {
    let known = &before.database;
    if known.is_empty() || known == called {
        return Ok(());
    }
    let why = match &world.database {
        Some(Ok(state)) if state.schema.is_some_and(|schema| !schema.dirty) => return Ok(()),
        Some(Ok(_)) => "which holds no data of Harbor's".to_owned(),
        Some(Err(problem)) => format!("which can't be asked: {}", problem.message),
        None => "which has none of it".to_owned(),
    };
    let message = format!(
        "the registry's data is in {known}, and the spec or its class names {called} now, {why}: copy it there (pg_dump, pg_restore), or name {known} again"
    );
    Err(Problem::new("DatabaseMoved", message))
}
