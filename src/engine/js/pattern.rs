//! URLPattern: patterns are taken apart here, by the `urlpattern` crate, into regular expressions that QuickJS matches with.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Deserialize;
use urlpattern::UrlPatternOptions;
use urlpattern::parser::RegexSyntax;
use urlpattern::quirks::{self, EcmaRegexp, StringOrInit};

/// A pattern, or an address to be matched: text or parts, and what it is relative to.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    #[serde(borrow)]
    input: StringOrInit<'a>,
    base: Option<String>,
    #[serde(default)]
    ignore_case: bool,
}

fn parsed(json: &str) -> Result<Input<'_>, String> {
    serde_json::from_str(json).map_err(|error| format!("TypeError: {error}"))
}

/// The crate panics at some input that is no pattern (`https://]/` where overflow is checked): for the guest that is an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|_| Err("TypeError: the pattern cannot be understood".to_owned()))
}

/// The components of a pattern as JSON: for each its text, its regular expression and the names of its groups.
///
/// # Errors
/// When it is no pattern.
pub fn compile(json: &str) -> Result<String, String> {
    let Input {
        input,
        base,
        ignore_case,
    } = parsed(json)?;
    let refused = |error: urlpattern::Error| format!("TypeError: {error}");
    let options = UrlPatternOptions {
        regex_syntax: RegexSyntax::EcmaScript,
        ignore_case,
    };
    let pattern = guarded(|| {
        let init = quirks::process_construct_pattern_input(input, base.as_deref()).map_err(refused)?;
        quirks::parse_pattern::<EcmaRegexp>(init, options).map_err(refused)
    })?;
    serde_json::to_string(&pattern).map_err(|error| error.to_string())
}

/// The parts of an address to match, as JSON; `null` when it is none.
///
/// # Errors
/// When parts are given together with a base.
pub fn address(json: &str) -> Result<String, String> {
    let Input { input, base, .. } = parsed(json)?;
    let parts = guarded(|| {
        let found = quirks::process_match_input(input, base.as_deref());
        let found = found.map_err(|error| format!("TypeError: {error}"))?;
        Ok(found.and_then(|(input, _)| quirks::parse_match_input(input)))
    })?;
    serde_json::to_string(&parts).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_input_unwinds() {
        for odd in [
            "https://]/",
            "https://h/é:é",
            "(",
            "{",
            "\\",
            "https://[::1",
            "data:\u{1f600}*",
        ] {
            let json = serde_json::json!({ "input": odd, "base": null }).to_string();
            drop(compile(&json));
            drop(address(&json));
        }
        let good = compile(r#"{"input":"https://h/:id","base":null}"#).expect("a pattern");
        assert!(good.contains(r#""groupNameList":["id"]"#), "{good}");
    }
}
