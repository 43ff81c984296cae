//! Label and field selectors, as far as they are used: `=`, `==`, `!=`, `in`, `notin`, `key`, `!key`.

use serde_json::Value;

/// Whether an object is within both selectors; an empty one selects all.
pub(super) fn selects(labels: &str, fields: &str, object: &Value) -> bool {
    let label = |name: &str| object["metadata"]["labels"].get(name).and_then(Value::as_str);
    let field = |path: &str| path.split('.').try_fold(object, |value, part| value.get(part)).and_then(Value::as_str);
    terms(labels).iter().all(|term| holds(term, &label)) && terms(fields).iter().all(|term| holds(term, &field))
}

/// The terms of a selector; commas within brackets belong to a term.
fn terms(selector: &str) -> Vec<String> {
    let (mut terms, mut depth) = (vec![String::new()], 0);
    for letter in selector.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        terms.last_mut().expect("a term").push(letter);
    }
    terms.into_iter().map(|term| term.trim().to_owned()).filter(|term| !term.is_empty()).collect()
}

fn holds<'a>(term: &str, value: &impl Fn(&str) -> Option<&'a str>) -> bool {
    let set = |list: &str| -> Vec<String> {
        list.trim().trim_matches(['(', ')']).split(',').map(|one| one.trim().to_owned()).collect()
    };
    if let Some((name, list)) = term.split_once(" notin ") {
        return value(name.trim()).is_none_or(|value| !set(list).iter().any(|one| one == value));
    }
    if let Some((name, list)) = term.split_once(" in ") {
        return value(name.trim()).is_some_and(|value| set(list).iter().any(|one| one == value));
    }
    if let Some((name, other)) = term.split_once("!=") {
        return value(name.trim()) != Some(other.trim());
    }
    if let Some((name, other)) = term.split_once('=') {
        return value(name.trim()) == Some(other.trim_start_matches('=').trim());
    }
    match term.strip_prefix('!') {
        Some(name) => value(name.trim()).is_none(),
        None => value(term).is_some(),
    }
}
