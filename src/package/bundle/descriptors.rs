//! What a console shows of each field of a custom resource: a descriptor for every top-level key of spec and status,
//! made of the schema, so that none is ever missing. Pure.

use serde_json::{Value, json};

/// What the console's own widgets are called.
const WIDGET: &str = "urn:alm:descriptor:com.tectonic.ui";
const KUBERNETES: &str = "urn:alm:descriptor:io.kubernetes";

/// Descriptors of the keys of `part` (`spec` or `status`) of a custom resource, in the schema's order; none if the
/// resource has no such part.
pub(super) fn descriptors(schema: &Value, part: &str) -> Vec<Value> {
    let keys = schema["properties"][part]["properties"].as_object();
    keys.into_iter().flatten().map(|(key, schema)| descriptor(key, schema)).collect()
}

fn descriptor(key: &str, schema: &Value) -> Value {
    let mut descriptor = json!({
        "path": key,
        "displayName": display_name(key),
        "description": schema["description"],
    });
    let widgets = widgets(key, schema);
    if !widgets.is_empty() {
        descriptor["x-descriptors"] = json!(widgets);
    }
    descriptor
}

/// How a field is shown and edited: by its meaning where that is known, else by its type.
fn widgets(key: &str, schema: &Value) -> Vec<String> {
    let widget = |name: &str| format!("{WIDGET}:{name}");
    if let Some(choices) = schema["enum"].as_array() {
        return choices.iter().filter_map(Value::as_str).map(|choice| widget(&format!("select:{choice}"))).collect();
    }
    match (key, schema["type"].as_str().unwrap_or_default()) {
        ("replicas", _) => vec![widget("podCount")],
        ("resources", _) => vec![widget("resourceRequirements")],
        ("conditions", _) => vec![format!("{KUBERNETES}.conditions")],
        ("exposure" | "nodeSelector", _) => vec![widget("advanced")],
        ("image", _) => vec![widget("text"), widget("advanced")],
        (_, "boolean") => vec![widget("booleanSwitch")],
        (_, "integer") => vec![widget("number")],
        (_, "string") => vec![widget("text")],
        _ => vec![],
    }
}

/// `className` as `Class name`, and `externalURL` as `External URL`.
pub(super) fn display_name(key: &str) -> String {
    let mut words = String::new();
    let mut characters = key.chars().peekable();
    let mut before = None;
    while let Some(character) = characters.next() {
        let upper = |other: Option<&char>| other.is_some_and(char::is_ascii_uppercase);
        let begins = character.is_ascii_uppercase() && before.is_some() && !upper(before.as_ref());
        // Capitals in a row are one word.
        let abbreviated = upper(before.as_ref()) || upper(characters.peek());
        match character {
            first if before.is_none() => words.push(first.to_ascii_uppercase()),
            upper if begins && abbreviated => words.extend([' ', upper]),
            upper if begins => words.extend([' ', upper.to_ascii_lowercase()]),
            other => words.push(other),
        }
        before = Some(character);
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{descriptors, display_name};

    #[test]
    fn abbreviations_stay_whole() {
        let names = ["className", "externalURL", "internalTLS", "LoadBalancer", "url", "autoSBOM"].map(display_name);
        assert_eq!(names, ["Class name", "External URL", "Internal TLS", "Load balancer", "Url", "Auto SBOM"]);
    }

    #[test]
    fn a_field_is_shown_by_what_it_means_else_by_its_type() {
        let schema = json!({ "properties": { "spec": { "properties": {
            "algorithm": { "type": "string", "description": "How.", "enum": ["One", "Two"] },
            "className": { "type": "string", "description": "Which." },
            "listeners": { "type": "array", "description": "Where." },
            "replicas": { "type": "integer", "description": "How many." },
        } } } });
        let found = descriptors(&schema, "spec");
        let shown: Vec<_> = found.iter().map(|one| (&one["displayName"], &one["x-descriptors"])).collect();
        let ui = |name: &str| json!(format!("urn:alm:descriptor:com.tectonic.ui:{name}"));
        assert_eq!(
            shown,
            [
                (&json!("Algorithm"), &json!([ui("select:One"), ui("select:Two")])),
                (&json!("Class name"), &json!([ui("text")])),
                (&json!("Listeners"), &json!(null)),
                (&json!("Replicas"), &json!([ui("podCount")])),
            ]
        );
        assert_eq!(descriptors(&schema, "status").len(), 0);
    }
}
