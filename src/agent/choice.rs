//! What HAProxy starts with. Pure.

use super::protocol::Proven;

/// Where a configuration lies that HAProxy could start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the mounted Secret.
    Mounted,
    /// In the shared directory, by its hash.
    Kept,
}

/// What is known at the start.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// In the mounted Secret.
    pub mounted: Option<Proven>,
    /// The last one that a worker has proven.
    pub proven: Option<Proven>,
    /// One that came while no HAProxy ran.
    pub offered: Option<Proven>,
    /// The one that was tried last.
    pub attempted: Option<Proven>,
    /// The hash of the one that was refused last.
    pub refused: Option<String>,
}

/// All that may be tried, the best first: the newest, but one that was tried before and not proven only
/// after the others, and one that was refused only while nothing has ever been proven.
#[must_use]
pub fn candidates(known: &Known) -> Vec<(Origin, Proven)> {
    let is_proven = |hash: &str| known.proven.as_ref().is_some_and(|proven| proven.hash == hash);
    let is_refused = |hash: &str| known.refused.as_deref() == Some(hash) && !is_proven(hash);
    let is_suspect =
        |hash: &str| known.attempted.as_ref().is_some_and(|attempted| attempted.hash == hash) && !is_proven(hash);
    let mut all: Vec<(Origin, Proven)> = Vec::new();
    let kept = [&known.proven, &known.offered, &known.attempted].map(|record| (Origin::Kept, record));
    for (origin, record) in kept.into_iter().chain([(Origin::Mounted, &known.mounted)]) {
        let Some(record) = record else { continue };
        match all.iter_mut().find(|(_, other)| other.hash == record.hash) {
            Some((_, other)) => other.sequence = other.sequence.max(record.sequence),
            None => all.push((origin, record.clone())),
        }
    }
    all.retain(|(_, record)| known.proven.is_none() || !is_refused(&record.hash));
    all.sort_by_key(|(_, record)| {
        (is_refused(&record.hash), is_suspect(&record.hash), std::cmp::Reverse(record.sequence))
    });
    all
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn record(text: &str) -> Proven {
        let (hash, sequence) = text.split_once('@').expect("hash@sequence");
        Proven { hash: hash.to_owned(), sequence: sequence.parse().expect("a number") }
    }

    /// mounted, proven, offered, attempted, refused
    #[rstest]
    #[case::nothing(["", "", "", "", ""], "")]
    #[case::mounted_alone(["m@1", "", "", "", ""], "m@1")]
    #[case::mounted_newer(["m@2", "p@1", "", "p@1", ""], "m@2 p@1")]
    #[case::mounted_older(["m@1", "p@2", "", "p@2", ""], "p@2 m@1")]
    #[case::same_hash_later_sequence(["p@3", "p@2", "", "p@2", ""], "p@3")]
    #[case::offered_is_newest(["m@1", "p@2", "o@3", "p@2", ""], "o@3 p@2 m@1")]
    #[case::crashed_attempt_comes_last(["a@3", "p@2", "", "a@3", ""], "p@2 a@3")]
    #[case::first_attempt_is_tried_again(["a@1", "", "", "a@1", ""], "a@1")]
    #[case::refused_never_beats_proven(["r@3", "p@2", "", "p@2", "r"], "p@2")]
    #[case::refused_as_the_last_resort(["r@3", "", "o@1", "", "r"], "o@1 r@3")]
    #[case::proven_after_it_was_refused(["p@3", "p@3", "", "p@3", "p"], "p@3")]
    fn what_is_tried(#[case] known: [&str; 5], #[case] expected: &str) {
        let [mounted, proven, offered, attempted] =
            [0, 1, 2, 3].map(|index| (!known[index].is_empty()).then(|| record(known[index])));
        let refused = (!known[4].is_empty()).then(|| known[4].to_owned());
        let known = Known { mounted, proven, offered, attempted, refused };
        let tried: Vec<String> =
            candidates(&known).iter().map(|(_, record)| format!("{}@{}", record.hash, record.sequence)).collect();
        assert_eq!(tried.join(" "), expected);
    }
}
