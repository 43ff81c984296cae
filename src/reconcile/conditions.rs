//! How conditions are set, so that their times and order mean something. Nothing here does I/O.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The condition that the engine keeps: whether the last turn did all that was planned.
pub const RECONCILED: &str = "Reconciled";
/// The condition that the engine sets to false if a resource cannot be read at all.
pub const ACCEPTED: &str = "Accepted";
/// Characters of a message, the ellipsis among them.
pub const MESSAGE_LIMIT: usize = 1024;

/// A condition as it shall be; `since` counts only if its status changes.
#[must_use]
pub fn condition(
    type_: &str,
    status: bool,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    since: Timestamp,
) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: if status { "True" } else { "False" }.to_owned(),
        reason: reason.to_owned(),
        message: bounded(message, MESSAGE_LIMIT),
        observed_generation: generation,
        last_transition_time: Time(since),
    }
}

/// Puts `condition` in the place of the one of its type, or at the end. Its time stays what it was if
/// its status does.
pub fn set(conditions: &mut Vec<Condition>, mut condition: Condition) {
    condition.message = bounded(&condition.message, MESSAGE_LIMIT);
    match conditions.iter_mut().find(|known| known.type_ == condition.type_) {
        Some(known) => {
            keep_time(&mut condition, known);
            *known = condition;
        }
        None => conditions.push(condition),
    }
}

/// Gives each of `planned` the time of its namesake in `known` if their status is the same.
pub fn settle(planned: &mut [Condition], known: &[Condition]) {
    for condition in planned {
        condition.message = bounded(&condition.message, MESSAGE_LIMIT);
        if let Some(known) = known.iter().find(|known| known.type_ == condition.type_) {
            keep_time(condition, known);
        }
    }
}

fn keep_time(condition: &mut Condition, known: &Condition) {
    if condition.status == known.status {
        condition.last_transition_time = known.last_transition_time.clone();
    }
}

/// `text`, cut to at most `limit` characters with an ellipsis at its end.
#[must_use]
pub fn bounded(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rstest::rstest;

    use super::{MESSAGE_LIMIT, bounded, condition, set, settle};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn the_time_moves_with_the_status_alone() {
        let mut conditions = vec![];
        set(&mut conditions, condition("Ready", false, "Waiting", "one", Some(1), at(10)));
        set(&mut conditions, condition("Applied", true, "Applied", "", Some(1), at(10)));
        set(&mut conditions, condition("Ready", false, "Broken", "two", Some(2), at(20)));
        let told: Vec<_> = conditions.iter().map(|c| (c.type_.as_str(), c.reason.as_str())).collect();
        assert_eq!(told, [("Ready", "Broken"), ("Applied", "Applied")], "the order stays");
        assert_eq!(conditions[0].last_transition_time.0, at(10));
        assert_eq!(conditions[0].observed_generation, Some(2));
        set(&mut conditions, condition("Ready", true, "Ready", "", Some(2), at(30)));
        assert_eq!(conditions[0].last_transition_time.0, at(30));
    }

    #[test]
    fn planned_conditions_take_over_known_times() {
        let known = [condition("Ready", true, "Ready", "", None, at(1))];
        let mut planned =
            [condition("Ready", true, "Fine", "", None, at(9)), condition("New", true, "New", "", None, at(9))];
        settle(&mut planned, &known);
        assert_eq!(planned[0].last_transition_time.0, at(1));
        assert_eq!(planned[1].last_transition_time.0, at(9));
    }

    #[rstest]
    #[case("short", 10, "short")]
    #[case("exactly", 7, "exactly")]
    #[case("äöüßéè", 4, "äöü…")]
    fn a_text_is_cut_between_characters(#[case] text: &str, #[case] limit: usize, #[case] expected: &str) {
        assert_eq!(bounded(text, limit), expected);
    }

    #[test]
    fn a_message_is_bounded() {
        let long = condition("Ready", false, "Long", &"x".repeat(5000), None, at(1));
        assert_eq!(long.message.chars().count(), MESSAGE_LIMIT);
    }
}
