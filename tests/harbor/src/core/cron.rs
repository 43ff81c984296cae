//! Schedules in cron's words, as Harbor takes them: six fields, of which the first, the seconds, must be 0.

/// Why a schedule is refused.
pub(crate) fn problem(cron: &str) -> Option<String> {
    if cron.is_empty() {
        return Some("empty cron string is invalid".to_owned());
    }
    if matches!(cron, "@yearly" | "@annually" | "@monthly" | "@weekly" | "@daily" | "@midnight" | "@hourly") {
        return None;
    }
    let fields: Vec<&str> = cron.split(' ').collect();
    if fields.len() != 6 {
        return Some(format!("expected exactly 6 fields, found {}: {cron}", fields.len()));
    }
    let limits = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
    for (field, (low, high)) in fields.iter().zip(limits) {
        if !field.split(',').all(|part| fits(part, low, high)) {
            return Some(format!("failed to parse {field:?} of {cron:?}"));
        }
    }
    (fields[0] != "0").then(|| "the 1st field (indicating Seconds of time) of the cron setting must be 0".to_owned())
}

fn fits(part: &str, low: u32, high: u32) -> bool {
    let (range, step) = part.split_once('/').unwrap_or((part, "1"));
    if !step.parse::<u32>().is_ok_and(|step| step > 0) {
        return false;
    }
    if matches!(range, "*" | "?") {
        return true;
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number =
        |text: &str| text.parse::<u32>().ok().or_else(|| named(text)).filter(|number| (low..=high).contains(number));
    matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last)
}

fn named(text: &str) -> Option<u32> {
    const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let upper = text.to_uppercase();
    DAYS.iter().position(|day| *day == upper).and_then(|place| u32::try_from(place).ok())
}

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn six_fields_with_seconds_of_zero() {
        for cron in ["0 0 0 * * *", "0 30 2 * * MON", "0 */15 1-5 1,15 * ?", "@daily"] {
            assert_eq!(problem(cron), None, "{cron}");
        }
        for cron in ["", "0 0 * * *", "5 0 0 * * *", "0 61 0 * * *", "0 0 0 0 * *", "0 a 0 * * *"] {
            assert!(problem(cron).is_some(), "{cron}");
        }
    }
}
