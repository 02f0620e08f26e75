//! Which messages a policy lets pass, and what is said of policies that are none.

use serde_json::json;

use super::*;

fn passes(policy: &Value, attributes: &Value, body: &Value) -> bool {
    let filter = Filter::parse(policy).unwrap_or_else(|error| panic!("{policy}: {error}"));
    let attributes = attributes.as_object().expect("attributes are an object");
    let attributes = attributes
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    filter.matches(&TopicContent {
        attributes,
        body: body.clone(),
    })
}

#[track_caller]
fn check(policy: Value, passing: &[Value], stopped: &[Value]) {
    for body in passing {
        assert!(passes(&policy, &json!({}), body), "{policy} stops {body}");
    }
    for body in stopped {
        assert!(!passes(&policy, &json!({}), body), "{policy} lets {body} pass");
    }
}

#[test]
fn values_and_lists() {
    check(
        json!({"plan": ["pro", "team"]}),
        &[
            json!({"plan": "pro"}),
            json!({"plan": "team", "more": 1}),
            json!({"plan": ["free", "pro"]}),
        ],
        &[
            json!({"plan": "free"}),
            json!({"plan": "PRO"}),
            json!({}),
            json!(null),
            json!("pro"),
            json!({"plan": null}),
        ],
    );
    check(
        json!({"plan": "pro"}),
        &[json!({"plan": "pro"})],
        &[json!({"plan": "free"})],
    );
    check(
        json!({"n": [5]}),
        &[json!({"n": 5}), json!({"n": 5.0})],
        &[json!({"n": "5"}), json!({"n": 6})],
    );
    check(
        json!({"on": [true, null]}),
        &[json!({"on": true}), json!({"on": null})],
        &[json!({"on": false}), json!({})],
    );
}

#[test]
fn every_key_must_match() {
    check(
        json!({"plan": ["pro"], "land": ["de", "at"]}),
        &[json!({"plan": "pro", "land": "at"})],
        &[json!({"plan": "pro"}), json!({"plan": "free", "land": "at"})],
    );
    check(json!({}), &[json!({}), json!(null), json!([1])], &[]);
}

#[test]
fn texts() {
    check(
        json!({"id": [{"prefix": "ord-"}]}),
        &[json!({"id": "ord-1"})],
        &[json!({"id": "xord-"}), json!({"id": 1})],
    );
    check(
        json!({"file": [{"suffix": ".png"}]}),
        &[json!({"file": "a.png"})],
        &[json!({"file": "a.pngx"})],
    );
    check(
        json!({"x": [{"equals-ignore-case": "YES"}]}),
        &[json!({"x": "yes"})],
        &[json!({"x": "no"})],
    );
    check(
        json!({"x": {"prefix": "a"}}),
        &[json!({"x": "ab"})],
        &[json!({"x": "b"})],
    );
}

#[test]
fn anything_but() {
    check(
        json!({"state": [{"anything-but": ["done", "failed"]}]}),
        &[
            json!({"state": "open"}),
            json!({"state": 1}),
            json!({"state": ["open", "late"]}),
        ],
        &[json!({"state": "done"}), json!({}), json!({"state": ["open", "done"]})],
    );
    check(
        json!({"a": [{"anything-but": {"prefix": "x"}}]}),
        &[json!({"a": "y"})],
        &[json!({"a": "xy"})],
    );
    check(
        json!({"a": [{"anything-but": 3}]}),
        &[json!({"a": 4})],
        &[json!({"a": 3})],
    );
}

#[test]
fn numbers() {
    check(
        json!({"price": [{"numeric": [">=", 10, "<", 20]}]}),
        &[json!({"price": 10}), json!({"price": 19.99})],
        &[
            json!({"price": 20}),
            json!({"price": 9}),
            json!({"price": "15"}),
            json!({}),
        ],
    );
    check(
        json!({"n": [{"numeric": ["=", 3]}]}),
        &[json!({"n": 3.0})],
        &[json!({"n": 4})],
    );
    check(
        json!({"n": [{"numeric": [">", -1]}, "none"]}),
        &[json!({"n": 0}), json!({"n": "none"})],
        &[json!({"n": -2})],
    );
}

#[test]
fn presence() {
    check(
        json!({"a": [{"exists": true}]}),
        &[json!({"a": null}), json!({"a": 0})],
        &[json!({}), json!(3)],
    );
    check(
        json!({"a": [{"exists": false}]}),
        &[json!({}), json!(null)],
        &[json!({"a": 1})],
    );
}

#[test]
fn deeper_keys() {
    check(
        json!({"order": {"total": [{"numeric": [">", 100]}], "land": ["de"]}}),
        &[json!({"order": {"total": 101, "land": "de"}})],
        &[
            json!({"order": {"total": 99, "land": "de"}}),
            json!({"order": 3}),
            json!({}),
        ],
    );
    check(
        json!({"lines": {"sku": ["a"]}}),
        &[json!({"lines": [{"sku": "b"}, {"sku": "a"}]})],
        &[json!({"lines": []})],
    );
    check(
        json!({"a": {"b": [{"exists": false}]}}),
        &[json!({"a": {}}), json!({})],
        &[json!({"a": {"b": 1}})],
    );
}

#[test]
fn attributes_come_before_the_body() {
    let policy = json!({"plan": ["pro"]});
    assert!(passes(&policy, &json!({"plan": "pro"}), &json!({"plan": "free"})));
    assert!(!passes(&policy, &json!({"plan": "free"}), &json!({"plan": "pro"})));
    assert!(passes(&policy, &json!({"land": "de"}), &json!({"plan": "pro"})));
}

#[test]
fn errors_say_where_and_what_to_do() {
    let cases = [
        (json!("pro"), "a filter is a table of keys and patterns"),
        (json!({"plan": []}), "`plan` has no pattern"),
        (json!({"plan": [["pro"]]}), "`plan` has a list within its list"),
        (
            json!({"plan": [{"begins": "a"}]}),
            "a pattern is a value or a table with one of prefix, suffix",
        ),
        (json!({"plan": {"prefx": "a"}}), "unknown operator `prefx`"),
        (
            json!({"a": {"b": [{"prefix": 3}]}}),
            "`prefix` of `a.b` needs a string, not 3",
        ),
        (
            json!({"n": [{"numeric": ["~", 3]}]}),
            "`numeric` of `n` needs one or two comparisons",
        ),
        (
            json!({"n": [{"numeric": [">"]}]}),
            "`numeric` of `n` needs one or two comparisons",
        ),
        (
            json!({"n": [{"exists": 1}]}),
            "`exists` of `n` needs true or false, not 1",
        ),
        (
            json!({"n": [{"anything-but": []}]}),
            "`anything-but` of `n` excludes nothing",
        ),
        (
            json!({"n": [{"anything-but": {"numeric": [">", 1]}}]}),
            "`anything-but` of `n` takes values",
        ),
        (json!({"n": {}}), "`n` is empty"),
        (json!({"n": vec![1; 151]}), "151 patterns; 150 are the most"),
    ];
    for (policy, part) in cases {
        let error = Filter::parse(&policy).expect_err("a policy that is none");
        assert!(error.contains(part), "`{error}` does not say `{part}`");
    }
    let deep = (0..12).fold(json!(["x"]), |inner, _| json!({ "k": inner }));
    assert!(
        Filter::parse(&deep)
            .expect_err("too deep")
            .contains("deeper than 8 levels")
    );
}

#[test]
fn a_scope_narrows_where_keys_are_looked_for() {
    let policy = json!({"plan": ["pro"]});
    let attribute = (json!({"plan": "pro"}), json!({}));
    let body = (json!({}), json!({"plan": "pro"}));
    for (scope, by_attribute, by_body) in [
        (Scope::Any, true, true),
        (Scope::Attributes, true, false),
        (Scope::Body, false, true),
    ] {
        let filter = Filter::parse(&policy)
            .expect("a policy")
            .within(scope)
            .expect("a scope");
        let passes = |(attributes, body): &(Value, Value)| {
            let attributes = attributes.as_object().expect("an object").clone().into_iter().collect();
            let body = body.clone();
            filter.matches(&TopicContent { attributes, body })
        };
        assert_eq!(
            (passes(&attribute), passes(&body)),
            (by_attribute, by_body),
            "{scope:?}"
        );
    }
    let absent = Filter::parse(&json!({"plan": [{"exists": false}]})).expect("a policy");
    let absent = absent.within(Scope::Body).expect("a scope");
    let text = TopicContent {
        attributes: BTreeMap::new(),
        body: Value::Null,
    };
    assert!(!absent.matches(&text), "a body that is no object has no keys to miss");
    let nested = Filter::parse(&json!({"user": {"plan": ["pro"]}})).expect("a policy");
    assert!(
        nested
            .within(Scope::Attributes)
            .expect_err("no object")
            .contains("`user`")
    );
}
