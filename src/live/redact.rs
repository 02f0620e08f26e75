//! Takes the values of secrets out of texts before anybody reads them.

use std::borrow::Cow;

/// What stands in a secret's place.
pub const MARK: &str = "[redacted]";

/// Shorter values are left alone: replacing every `1` or `yes` would make logs unreadable and hide nothing.
pub const VALUE_BYTES_MIN: usize = 6;

/// Knows the values that must not show.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a value that contains another goes as a whole.
    values: Vec<String>,
}

impl Redactor {
    /// Also finds the lines of values that have several, and values as JSON and URLs write them.
    pub fn new(values: impl IntoIterator<Item = String>) -> Redactor {
        let mut values: Vec<String> = values.into_iter().flat_map(forms).collect();
        values.retain(|value| value.len() >= VALUE_BYTES_MIN);
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Redactor { values }
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// [`Redactor::apply`] in place. Whether there was anything to take out.
    pub fn clean(&self, text: &mut String) -> bool {
        let Cow::Owned(clean) = self.apply(text) else {
            return false;
        };
        *text = clean;
        true
    }

    pub fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = Cow::Borrowed(text);
        for value in &self.values {
            if out.contains(value.as_str()) {
                out = Cow::Owned(out.replace(value.as_str(), MARK));
            }
        }
        out
    }
}

fn forms(value: String) -> Vec<String> {
    let json = serde_json::Value::String(value.clone()).to_string();
    let url: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let mut forms = vec![json[1..json.len() - 1].to_owned(), url.replace('+', "%20"), url];
    forms.extend(value.lines().map(|line| line.trim().to_owned()));
    forms.push(value);
    forms
}

impl std::fmt::Debug for Redactor {
    /// Without the values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(values: &[&str]) -> Redactor {
        Redactor::new(values.iter().map(|v| (*v).to_owned()))
    }

    #[test]
    fn values_go_wherever_they_stand() {
        let r = redactor(&["hunter22", "sk-live-1234"]);
        assert_eq!(r.apply("key=sk-live-1234&p=hunter22!"), "key=[redacted]&p=[redacted]!");
        assert!(matches!(r.apply("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn the_longer_value_goes_first() {
        assert_eq!(redactor(&["secret", "secret-two"]).apply("secret-two"), "[redacted]");
    }

    #[test]
    fn short_values_and_none_change_nothing() {
        assert_eq!(redactor(&["", "1", "yes"]).apply("1 yes"), "1 yes");
    }

    #[test]
    fn values_are_found_as_they_are_written_elsewhere() {
        let r = redactor(&["two \"words\"", "-----BEGIN-----\nabcdefgh\nijklmnop\n"]);
        assert_eq!(r.apply(r#"{"p":"two \"words\""}"#), r#"{"p":"[redacted]"}"#);
        assert_eq!(r.apply("?p=two%20%22words%22&q"), "?p=[redacted]&q");
        assert_eq!(r.apply("?p=two+%22words%22&q"), "?p=[redacted]&q");
        assert_eq!(r.apply("it is abcdefgh"), "it is [redacted]");
    }

    #[test]
    fn its_debug_form_keeps_the_secret() {
        assert_eq!(format!("{:?}", redactor(&["hunter22"])), "Redactor(1 values)");
    }
}
