//! The reference of the custom resources: a row for every field, from the schema. Pure.

use std::fmt::Write;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use super::definition;

/// The page.
pub(super) fn page(definitions: &[CustomResourceDefinition]) -> String {
    let mut page = String::from(
        "<!-- Written by `fairway generate`; edit the code instead. -->\n# Reference of the custom resources\n\n\
         A field in bold has to be given. `[]` stands for each entry of a list, `{}` for each value of a map.\n",
    );
    for crd in definitions {
        let value = definition(crd);
        let names = &value["spec"]["names"];
        for version in value["spec"]["versions"].as_array().into_iter().flatten() {
            let schema = &version["schema"]["openAPIV3Schema"];
            let kind = names["kind"].as_str().unwrap_or_default();
            let group = value["spec"]["group"].as_str().unwrap_or_default();
            let version = version["name"].as_str().unwrap_or_default();
            let about = schema["description"].as_str().unwrap_or_default();
            // Writing to a String does not fail.
            let _ = write!(page, "\n## {kind} (`{group}/{version}`)\n\n{about}\n");
            for part in ["spec", "status"] {
                if schema["properties"][part]["properties"].is_object() {
                    let _ = write!(page, "\n### {kind}: {part}\n\n| field | type | meaning |\n|---|---|---|\n");
                    fields(&mut page, part, &schema["properties"][part]);
                }
            }
        }
    }
    page
}

/// Rows of all fields below `path`, deeper ones after the one that they belong to.
fn fields(page: &mut String, path: &str, schema: &Value) {
    let required = |key: &str| schema["required"].as_array().is_some_and(|keys| keys.iter().any(|name| name == key));
    for (key, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        let shown = if required(key) { format!("**`{path}`**") } else { format!("`{path}`") };
        let about = field["description"].as_str().unwrap_or_default().replace('|', "\\|");
        let _ = writeln!(page, "| {shown} | {} | {about} |", kind(field));
        fields(page, &path, field);
        fields(page, &format!("{path}[]"), &field["items"]);
        fields(page, &format!("{path}{{}}"), &field["additionalProperties"]);
    }
}

fn kind(field: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("any").to_owned();
    match field["type"].as_str() {
        Some("array") => format!("list of {}", text(&field["items"]["type"])),
        Some("object") if field["additionalProperties"].is_object() => {
            format!("map of {}", text(&field["additionalProperties"]["type"]))
        }
        _ => text(&field["type"]),
    }
}
