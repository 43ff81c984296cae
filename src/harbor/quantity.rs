//! Kubernetes' quantities of bytes, as numbers. Pure.

/// How many bytes `512Mi` or `1.5G` are, rounded up; none when it is no quantity.
#[must_use]
pub(super) fn bytes(quantity: &str) -> Option<u64> {
    let end = quantity.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(end);
    // The number of thousandths that one of the unit has.
    let unit: u128 = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1000 * 1000,
        "M" => 1000 * 1000_u128.pow(2),
        "G" => 1000 * 1000_u128.pow(3),
        "T" => 1000 * 1000_u128.pow(4),
        "P" => 1000 * 1000_u128.pow(5),
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        "Pi" => 1000 << 50,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let thousandths = digits.checked_mul(unit)?.div_ceil(scale);
    u64::try_from(thousandths.div_ceil(1000)).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::bytes;

    #[rstest]
    #[case("512Mi", Some(512 << 20))]
    #[case("1.5Gi", Some(3 << 29))]
    #[case("1G", Some(1_000_000_000))]
    #[case("1000", Some(1000))]
    #[case("1500m", Some(2))]
    #[case("0.5", Some(1))]
    #[case("", None)]
    #[case("Gi", None)]
    #[case("1Xi", None)]
    #[case("-1Gi", None)]
    fn quantities_are_read(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(bytes(text), expected);
    }
}
