//! The fields of rules.

use serde_json::{Value, Value::Null, json};

use super::{
    case::{Case, change, listening, with},
    effect::{any_text, text},
};

/// A listener with one rule that matches a path.
fn ruled(then: &str, what: Value) -> Value {
    let mut rule = json!({ "name": "first", "matches": [{ "type": "Path", "value": "/beta" }] });
    rule[then] = what;
    with(listening("HTTP"), "/listeners/0/rules", json!([rule]))
}

/// The same, with what the rule matches.
fn matching(what: Value) -> Value {
    with(ruled("reject", json!({})), "/listeners/0/rules/0/matches/0", what)
}

pub(super) fn cases() -> Vec<Case> {
    [rule(), matches(), actions()].into_iter().flatten().collect()
}

fn rule() -> Vec<Case> {
    let two_pools = with(ruled("pool", json!("app")), "/pools/1", json!({ "name": "api" }));
    vec![
        change(
            &["spec.listeners[].rules[].name"],
            ruled("reject", json!({})),
            "/listeners/0/rules/0/name",
            [json!("first"), json!("renamed")],
            text("renamed"),
        )
        .refused(json!("a.b"), "spec.listeners[0].rules[0].name"),
        change(
            &["spec.listeners[].rules[].matches"],
            ruled("reject", json!({})),
            "/listeners/0/rules/0/matches/1",
            [Null, json!({ "type": "Path", "operator": "EndsWith", "value": "/gamma" })],
            text("/gamma"),
        )
        .refused(json!({ "type": "Path", "value": "a\nb" }), "matches[1].value"),
        change(
            &["spec.listeners[].rules[].pool"],
            two_pools,
            "/listeners/0/rules/0/pool",
            [json!("app"), json!("api")],
            text("/beta? api.http"),
        )
        .refused(json!("nope"), "a rule names a pool that is not in spec.pools"),
    ]
}

fn matches() -> Vec<Case> {
    let path = || matching(json!({ "type": "Path", "value": "beta" }));
    vec![
        change(
            &["spec.listeners[].rules[].matches[].type"],
            path(),
            "/listeners/0/rules/0/matches/0/type",
            [json!("Path"), json!("Host")],
            text("first.0 req.fhdr(host)"),
        )
        .refused(json!("Method"), "supported values: \"Host\""),
        change(
            &["spec.listeners[].rules[].matches[].operator"],
            path(),
            "/listeners/0/rules/0/matches/0/operator",
            [json!("Equals"), json!("EndsWith")],
            any_text(&["-m end", "_end", "map_end"]),
        )
        .refused(json!("Like"), "supported values: \"Equals\""),
        change(
            &["spec.listeners[].rules[].matches[].value"],
            path(),
            "/listeners/0/rules/0/matches/0/value",
            [json!("beta"), json!("delta")],
            text("delta"),
        )
        .refused(json!(""), "matches[0].value"),
        change(
            &["spec.listeners[].rules[].matches[].invert"],
            path(),
            "/listeners/0/rules/0/matches/0/invert",
            [json!(false), json!(true)],
            text("!first.0"),
        )
        .refused(json!("yes"), "matches[0].invert"),
        change(
            &["spec.listeners[].rules[].matches[].key"],
            matching(json!({ "type": "Header", "key": "X-One", "value": "1" })),
            "/listeners/0/rules/0/matches/0/key",
            [json!("X-One"), json!("X-Two")],
            text("X-Two"),
        )
        .refused(Null, "a match of type Header or Cookie needs the name in key"),
    ]
}

fn actions() -> Vec<Case> {
    let to = || ruled("redirect", json!({ "url": "https://shop.example/" }));
    // One action in place of another is a change of the whole rule.
    let doing = |then: &str, what: Value| {
        let mut rule = json!({ "name": "first", "matches": [{ "type": "Path", "value": "/beta" }] });
        rule[then] = what;
        rule
    };
    let url = json!({ "url": "https://shop.example/" });
    vec![
        change(
            &["spec.listeners[].rules[].redirect", "spec.listeners[].rules[].reject"],
            ruled("reject", json!({})),
            "/listeners/0/rules/0",
            [doing("reject", json!({})), doing("redirect", url.clone())],
            text("https://shop.example/"),
        )
        .refused(doing("redirect", json!({})), "a redirect needs either url (the whole place) or prefix"),
        change(
            &["spec.listeners[].rules[].redirect.url", "spec.listeners[].rules[].redirect.prefix"],
            to(),
            "/listeners/0/rules/0/redirect",
            [url, json!({ "prefix": "https://other.example" })],
            text("prefix https://other.example"),
        )
        .refused(json!({ "url": "javascript:x" }), "redirect.url"),
        change(
            &["spec.listeners[].rules[].redirect.statusCode"],
            to(),
            "/listeners/0/rules/0/redirect/statusCode",
            [json!(302), json!(307)],
            text("code 307"),
        )
        .refused(json!(200), "statusCode of a redirect must be"),
        change(
            &["spec.listeners[].rules[].reject.statusCode"],
            ruled("reject", json!({})),
            "/listeners/0/rules/0/reject/statusCode",
            [Null, json!(410)],
            text("deny_status 410"),
        )
        .refused(json!(200), "statusCode of a rejection must be one of"),
    ]
}
