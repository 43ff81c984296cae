//! What a registry's data takes, so told that it does not change all the time. Pure.

use super::Context;
use crate::{
    api::{StorageStatus, VolumeStatus},
    harbor::{
        Fact,
        names::{self, Component},
    },
};

/// Less than this many bytes is no change.
const STEP: i64 = 1 << 20;
/// Less than this part is none either.
const PART: i64 = 100;

/// What it takes; what Harbor was not asked for now is as it was.
pub(super) fn usage(context: &Context<'_>, before: Option<&StorageStatus>) -> StorageStatus {
    let told = before.and_then(|before| before.used_bytes);
    let used = context.world.administrator.as_ref().and_then(|answer| answer.as_ref().ok()).map(|told| told.used);
    let volume = |component: Component| {
        let name = names::volume(context.name, component);
        let place = ("PersistentVolumeClaim".to_owned(), name);
        match context.world.children.get(&place) {
            Some(Fact::Volume { requested, capacity, .. }) => {
                let (requested_bytes, capacity_bytes) = (bytes(*requested), capacity.map(bytes));
                Some(VolumeStatus { name: place.1, requested_bytes, capacity_bytes })
            }
            // As long as it is there at all, it is told: what was told and is gone was lost.
            None if context.world.ending.contains(&place) => {
                before?.volumes.iter().find(|volume| volume.name == place.1).cloned()
            }
            _ => None,
        }
    };
    StorageStatus {
        kind: context.settings.storage.kind,
        used_bytes: used.map(|used| settled(told, bytes(used))).or(told),
        volumes: [Component::Registry, Component::Database, Component::Cache].into_iter().filter_map(volume).collect(),
    }
}

/// What was told stays while it is nearly right.
fn settled(told: Option<i64>, now: i64) -> i64 {
    let near = |told: &i64| (now - told).abs() < STEP.max(told / PART);
    told.filter(|told| *told > 0 && now > 0 && near(told)).unwrap_or(now)
}

fn bytes(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::settled;

    #[rstest]
    #[case::first(None, 5, 5)]
    #[case::little(Some(5 << 20), (5 << 20) + 4096, 5 << 20)]
    #[case::much_of_little(Some(5 << 20), 7 << 20, 7 << 20)]
    #[case::little_of_much(Some(1 << 40), (1 << 40) + (1 << 30), 1 << 40)]
    #[case::much(Some(1 << 40), (1 << 40) + (20 << 30), (1 << 40) + (20 << 30))]
    #[case::less(Some(1 << 40), 1 << 39, 1 << 39)]
    #[case::first_image(Some(0), 4096, 4096)]
    #[case::emptied(Some(4096), 0, 0)]
    fn a_small_change_is_none(#[case] told: Option<i64>, #[case] now: i64, #[case] expected: i64) {
        assert_eq!(settled(told, now), expected);
        assert_eq!(settled(Some(expected), now), expected, "and then it rests");
    }
}
