//! Which values of the functions' environment must not show in logs, events and messages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::Project;
use super::diagnostic::{Diagnostic, Source};
use super::manifest::Manifest;

/// Wherever they stand in a name, the value is a secret.
const PARTS: [&str; 8] = [
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "APIKEY",
    "PRIVATE",
];
/// As words of a name: `MONKEY` is none.
const WORDS: [&str; 7] = ["KEY", "KEYS", "PWD", "PASS", "DSN", "SALT", "PAT"];
/// With these words a value is for everybody, whatever else its name says: `NEXT_PUBLIC_KEY`.
const OPEN: [&str; 2] = ["PUBLIC", "PUBLISHABLE"];

/// Values that must not show.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretValues(pub BTreeSet<String>);

impl SecretValues {
    /// `files`: what env files hold; the functions have their own environment only.
    pub(super) fn of(project: &Project, files: &BTreeMap<String, String>) -> SecretValues {
        let mut values = BTreeSet::new();
        for (name, value) in files {
            if project.is_secret(name, value) {
                values.extend(password_of(value));
                values.insert(value.clone());
            }
        }
        let own = project.functions.values().flat_map(|function| &function.env);
        for (_, value) in own.filter(|(name, _)| project.secrets.contains(*name)) {
            values.extend(password_of(value));
            values.insert(value.clone());
        }
        values.remove("");
        SecretValues(values)
    }
}

impl fmt::Debug for SecretValues {
    /// Without the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretValues({})", self.0.len())
    }
}

impl Project {
    /// Gives every function a variable, over what emu.toml and env files say, and keeps its value to itself if its name looks
    /// secret.
    pub fn give(&mut self, name: &str, value: &str) {
        for function in self.functions.values_mut() {
            function.env.insert(name.to_owned(), value.to_owned());
        }
        if self.is_secret(name, value) && !value.is_empty() {
            self.secret_values.0.extend(password_of(value));
            self.secret_values.0.insert(value.to_owned());
        }
    }

    /// Whether a variable holds a secret: by `secrets` of emu.toml, by its name, or by a password in its value.
    pub fn is_secret(&self, name: &str, value: &str) -> bool {
        self.secrets.contains(name) || looks_secret(name) || password_of(value).is_some()
    }
}

/// Whether a variable of this name, found in an env file, holds a secret.
fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    if words.clone().any(|word| OPEN.contains(&word)) {
        return false;
    }
    PARTS.iter().any(|part| name.contains(part)) || words.any(|word| WORDS.contains(&word))
}

/// The password in an address such as `postgres://user:password@host/`.
fn password_of(value: &str) -> Option<String> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!password.is_empty()).then(|| password.to_owned())
}

/// Diagnostics show lines of emu.toml: the values of its secrets are made unreadable there, at their length.
pub(super) fn mask(list: &mut [Diagnostic], source: &Arc<Source>, manifest: &Manifest) {
    let listed = manifest.secrets.iter().flat_map(|names| &names.value);
    let is_listed = |name: &str| listed.clone().any(|listed| listed.value == name);
    let own = manifest.functions.iter().flat_map(|function| &function.env);
    let mut values: Vec<&str> = own
        .filter(|(name, value)| is_listed(&name.value) && !value.is_empty())
        .map(|(_, value)| value.as_str())
        .collect();
    if list.is_empty() || values.is_empty() {
        return;
    }
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let mut text = source.text.clone();
    for value in values {
        let quotes = [('"', '"'), ('\'', '\'')];
        for (open, close) in quotes {
            let hidden = format!("{open}{}{close}", "*".repeat(value.len()));
            text = text.replace(&format!("{open}{value}{close}"), &hidden);
        }
    }
    let masked = Arc::new(Source {
        name: source.name.clone(),
        path: source.path.clone(),
        text,
    });
    for problem in list {
        let places = problem
            .place
            .iter_mut()
            .chain(problem.related.iter_mut().map(|(place, _)| place));
        for place in places.filter(|place| Arc::ptr_eq(&place.source, source)) {
            place.source = Arc::clone(&masked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_secret() {
        let yes = [
            "API_KEY",
            "stripe_secret",
            "GITHUB_TOKEN",
            "DB_PASSWORD",
            "AWS_ACCESS_KEY_ID",
            "GOOGLE_CREDENTIALS",
            "SENTRY_DSN",
            "OPENAI_APIKEY",
            "SECRETS",
            "PG_PWD",
        ];
        let no = [
            "MONKEY",
            "KEYBOARD",
            "GREETING",
            "NEXT_PUBLIC_KEY",
            "COMPASS",
            "STRIPE_PUBLISHABLE_KEY",
            "PATH",
        ];
        for name in yes {
            assert!(looks_secret(name), "{name}");
        }
        for name in no {
            assert!(!looks_secret(name), "{name}");
        }
    }

    #[test]
    fn passwords_in_addresses() {
        let check = |value: &str, password: Option<&str>| {
            assert_eq!(password_of(value).as_deref(), password, "{value}");
        };
        check("postgres://me:hunter22@db/shop", Some("hunter22"));
        check("amqp://me:a@b@host", Some("a@b"));
        check("https://example.com/a:b@c", None);
        check("https://me@example.com", None);
        check("redis://:pass@host", Some("pass"));
        check("plain", None);
    }
}
