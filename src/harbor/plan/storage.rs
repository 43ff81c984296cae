//! What images are written to: whether it takes them, and what to do where it does not. Pure.

use super::{Context, stages::ready};
use crate::{
    api::StorageKind,
    harbor::{
        names::{self, Component},
        world::Problem,
    },
};

/// How programs tell of a disk that is full.
const NO_SPACE: &str = "no space left on device";

/// Whether images can be written.
pub(super) fn stands(context: &Context<'_>) -> Result<String, Problem> {
    ready(context, Component::Registry)?;
    match &context.world.storage {
        None => Err(Problem::new("NotAsked", "the registry was not asked yet whether it can write")),
        Some(Ok(())) => Ok(format!("the registry can write to {}", place(context))),
        Some(Err(problem)) => {
            let message = match problem.reason {
                "StorageFull" => format!("{} is full: {}", place(context), room(context)),
                "StorageRefuses" => format!("{}; {}", problem.message, access(context)),
                _ => problem.message.clone(),
            };
            Err(Problem::new(problem.reason, message))
        }
    }
}

/// What a program says whose volume is full, and what became of it.
pub(super) fn full(context: &Context<'_>, component: Component, state: &str, why: &str) -> Option<Problem> {
    let size = match component {
        Component::Database => "database.managed.volume.size",
        Component::Cache => "cache.managed.volume.size",
        Component::Registry => "storage.filesystem.volume.size",
        _ => return None,
    };
    why.to_lowercase().contains(NO_SPACE).then(|| {
        let name = names::volume(context.name, component);
        let message = format!(
            "{} {state}, since its disk is full: enlarge volume {name} by {size}, where its storage class lets volumes grow ({why})",
            component.word()
        );
        Problem::new("VolumeFull", message)
    })
}

/// What a registry says that Swift does not let in: it opens the container at its start, and gives up.
pub(super) fn refused(context: &Context<'_>, component: Component, why: &str) -> Option<Problem> {
    let swift = component == Component::Registry && context.settings.storage.swift.is_some();
    let opening = ["swift authentication failed", "info about container", "failed to create container"];
    (swift && opening.iter().any(|words| why.contains(words))).then(|| {
        let message = format!("the registry can't open its storage: {}; {why}", access(context));
        Problem::new("StorageRefuses", message)
    })
}

fn place(context: &Context<'_>) -> String {
    let storage = &context.settings.storage;
    match (&storage.s3, &storage.swift) {
        (Some(s3), _) => format!("bucket {:?}", s3.bucket),
        (_, Some(swift)) => format!("container {:?}", swift.container),
        _ => format!("volume {}", names::volume(context.name, Component::Registry)),
    }
}

/// What makes room.
fn room(context: &Context<'_>) -> &'static str {
    if context.settings.storage.kind == StorageKind::Filesystem {
        "nothing can be pushed, what is there can be pulled; raise storage.filesystem.volume.size, where its storage class lets volumes grow, or delete artifacts and let Harbor collect its garbage"
    } else {
        "nothing can be pushed, what is there can be pulled; give it more room, or delete artifacts and let Harbor collect its garbage"
    }
}

/// What lets the registry in.
fn access(context: &Context<'_>) -> String {
    let storage = &context.settings.storage;
    let secret = match (&storage.s3, &storage.swift) {
        (Some(s3), _) => &s3.credentials_secret_name,
        (_, Some(swift)) => &swift.credentials_secret_name,
        _ => return format!("look after {}, and see the log of the registry's pod", place(context)),
    };
    let endpoint = storage.s3.as_ref().and_then(|s3| s3.endpoint.as_ref());
    let at = endpoint.or(storage.swift.as_ref().map(|swift| &swift.auth_url));
    let at = at.map(|at| format!(" at {at}")).unwrap_or_default();
    format!(
        "check that {} exists{at}, and that whom Secret {secret:?} names may read, write and delete there; the log of the registry's pod says more",
        place(context)
    )
}
