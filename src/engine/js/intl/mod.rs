//! `Intl` for scripts: numbers, dates, order, plurals, lists and names as a locale has them, by ICU4X and the data of
//! CLDR that it is compiled with. One host call an operation; the prelude checks arguments and options.
//!
//! What an operation answers depends on its inputs alone, and so does the fuel it is charged, whether or not the
//! formatter was at hand.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::json;

mod affix;
mod collate;
mod date;
mod decimal;
mod list;
mod locale;
mod number;
mod pattern;
mod plural;
mod relative;
mod words;
mod zone;

/// Formatters kept by each worker. One takes some kilobytes; to build one takes up to a millisecond.
const KEPT_MAX: usize = 64;
/// Bytes of a locale and of options, of which the prelude makes a few hundred at most.
const OPTIONS_BYTES_MAX: usize = 4_096;
/// To build a formatter, and to use it, in nanoseconds, as fuel counts.
const BUILD_FUEL: u64 = 60_000;
const USE_FUEL: u64 = 4_000;
/// Of one byte that is formatted or compared.
const BYTE_FUEL: u64 = 40;

/// A piece of formatted text, by the name that `formatToParts` has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    kind: &'static str,
    text: String,
}

impl Part {
    fn new(kind: &'static str, text: impl Into<String>) -> Part {
        Part {
            kind,
            text: text.into(),
        }
    }
}

/// A formatter for one locale and one set of options.
enum Made {
    Number(number::Format),
    Date(date::Format),
    Collator(collate::Collator),
    Plural(plural::Rules),
    Relative(relative::Format),
    List(list::Format),
}

#[derive(Default)]
struct Kept {
    made: HashMap<String, Rc<Made>>,
    /// Keys, the oldest first.
    order: VecDeque<String>,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// What an operation costs in fuel.
pub fn fuel(op: &str, value: &str) -> u64 {
    let build = if op.ends_with("resolve") || op == "locales" {
        BUILD_FUEL
    } else {
        0
    };
    build + USE_FUEL + BYTE_FUEL * value.len() as u64
}

/// `intl` of the prelude.
///
/// # Errors
/// `Name: message`, mostly a RangeError.
pub fn run(op: &str, tag: &str, options: &str, value: &str) -> Result<String, String> {
    match op {
        "locales" => locale::negotiate(value),
        "maximize" => locale::maximized(value),
        "minimize" => locale::minimized(value),
        "name" => locale::name(tag, options, value),
        "zone" => zone::canonical(value),
        "zones" => Ok(json!(zone::names()).to_string()),
        "currency-digits" => affix::currency_digits(value),
        _ => {
            let (what, how) = op.split_once('-').unwrap_or((op, ""));
            let made = made(what, tag, options)?;
            apply(&made, how, value)
        }
    }
}

fn made(what: &str, tag: &str, options: &str) -> Result<Rc<Made>, String> {
    if tag.len() + options.len() > OPTIONS_BYTES_MAX {
        return Err(range("these options are too long"));
    }
    let key = format!("{what}\n{tag}\n{options}");
    if let Some(made) = KEPT.with_borrow(|kept| kept.made.get(&key).cloned()) {
        return Ok(made);
    }
    let made = Rc::new(build(what, tag, options)?);
    KEPT.with_borrow_mut(|kept| {
        if kept.order.len() >= KEPT_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.made.remove(&oldest);
        }
        kept.order.push_back(key.clone());
        kept.made.insert(key, made.clone());
    });
    Ok(made)
}

fn build(what: &str, tag: &str, options: &str) -> Result<Made, String> {
    let locale = locale::parse(tag)?;
    Ok(match what {
        "number" => Made::Number(number::Format::new(&locale, &told(options)?)?),
        "date" => Made::Date(date::Format::new(&locale, &told(options)?)?),
        "collate" => Made::Collator(collate::Collator::new(&locale, &told(options)?)?),
        "plural" => Made::Plural(plural::Rules::new(&locale, told(options)?)?),
        "relative" => Made::Relative(relative::Format::new(&locale, &told(options)?)?),
        "list" => Made::List(list::Format::new(&locale, &told(options)?)?),
        _ => return Err(format!("NotSupportedError: Intl has no {what}")),
    })
}

fn apply(made: &Made, how: &str, value: &str) -> Result<String, String> {
    match made {
        Made::Number(format) if how == "resolve" => Ok(json!({ "numberingSystem": format.digits() }).to_string()),
        Made::Number(format) => answer(&format.format(value)?, how),
        Made::Date(format) if how == "resolve" => Ok(format.resolved().to_string()),
        Made::Date(format) => answer(&format.format(value)?, how),
        Made::Collator(collator) => collator.compare(value),
        Made::Plural(rules) if how == "resolve" => Ok(rules.categories().to_string()),
        Made::Plural(rules) => rules.select(value),
        Made::Relative(format) => answer(&format.format(value)?, how),
        Made::List(format) => answer(&format.format(value)?, how),
    }
}

/// As text, or as a list of name and text.
fn answer(parts: &[Part], how: &str) -> Result<String, String> {
    if how == "parts" {
        let pairs: Vec<_> = parts.iter().map(|part| json!([part.kind, part.text])).collect();
        return Ok(serde_json::Value::Array(pairs).to_string());
    }
    Ok(parts.iter().map(|part| part.text.as_str()).collect())
}

fn told<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("TypeError: {error}"))
}

fn range(message: &str) -> String {
    format!("RangeError: {message}")
}

/// A formatter that the data has not, which the prelude rules out for locales and options it lets pass.
fn absent(error: impl std::fmt::Display) -> String {
    range(&format!("the data of this locale lacks something: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatters_are_kept_up_to_a_number() {
        for digits in 0..2 * KEPT_MAX {
            let options = format!(r#"{{"digits":{{"minInteger":1,"maxFraction":{digits}}}}}"#);
            let text = run("number", "de-DE", &options, "1234.5").expect("it formats");
            assert_eq!(text, if digits == 0 { "1.235" } else { "1.234,5" });
        }
        KEPT.with_borrow(|kept| {
            assert_eq!(kept.made.len(), KEPT_MAX);
            assert_eq!(kept.order.len(), KEPT_MAX);
        });
        assert!(run("number", &"a".repeat(5_000), "{}", "1").is_err(), "keys are short");
    }

    #[test]
    fn what_guests_may_send_is_refused_by_name() {
        for (op, tag, options, value) in [
            ("nothing", "en", "{}", ""),
            ("number", "!", "{}", "1"),
            ("number", "en", "{", "1"),
            ("number", "en", "{}", "one"),
            ("date", "en", r#"{"timeZone":"UTC"}"#, "99999999999999999999"),
            ("date", "en", r#"{"timeZone":"nowhere"}"#, "0"),
            (
                "date",
                "en",
                r#"{"timeZone":"UTC","dateStyle":"short"}"#,
                "9223372036854775807",
            ),
            ("collate", "en", "{}", "[]"),
            ("list", "en", "{}", "{}"),
            ("relative", "en", r#"{"unit":"aeon"}"#, "1"),
            ("locales", "", "", r#"["e"]"#),
            ("zone", "", "", "+25:00"),
        ] {
            let error = run(op, tag, options, value).expect_err(op);
            assert!(error.contains("Error: "), "{op}: {error}");
        }
    }

    #[test]
    fn fuel_follows_the_input_and_not_what_is_kept() {
        assert!(fuel("number-resolve", "") > 10 * fuel("number", "1"));
        assert!(fuel("collate", &"x".repeat(10_000)) > 50 * fuel("collate", "x"));
    }
}
