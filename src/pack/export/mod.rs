//! Descriptors for other platforms, made from emu.toml: each says in comments what its platform cannot express, and all of
//! that is told when they are written as well.

mod compose;
mod cron;
mod knative;
mod sam;
mod spin;
mod text;
mod wasmcloud;

use std::collections::{BTreeMap, BTreeSet};

use crate::pack::PackError;
use crate::project::{Function, Project};

/// Who is to run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Compose,
    Knative,
    Sam,
    Spin,
    WasmCloud,
}

impl Target {
    pub const ALL: [(&str, Target); 5] = [
        ("compose", Target::Compose),
        ("knative", Target::Knative),
        ("sam", Target::Sam),
        ("spin", Target::Spin),
        ("wasmcloud", Target::WasmCloud),
    ];
}

/// What the descriptors are made from.
pub struct Input<'a> {
    pub project: &'a Project,
    /// Where images or artefacts are: `ghcr.io/me/shop:v1`.
    pub image: String,
    /// Lambda: what is to be called in each function's archive, or why it has none.
    pub handlers: BTreeMap<String, Result<String, String>>,
}

/// What the target cannot do, or does otherwise.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Note {
    /// `api`, `queue orders`, or the project.
    pub about: String,
    pub text: String,
}

#[derive(Clone, Debug, Default)]
pub struct Export {
    /// Text by name.
    pub files: BTreeMap<String, String>,
    pub notes: Vec<Note>,
    /// What to do with them.
    pub steps: Vec<String>,
}

impl Export {
    /// The same words for a comment in the file.
    fn note(&mut self, about: &str, text: impl Into<String>) -> String {
        let text = text.into();
        let comment = match about {
            "" => text.clone(),
            _ => format!("{about}: {text}"),
        };
        let about = about.to_owned();
        self.notes.push(Note { about, text });
        comment
    }
}

/// # Errors
/// When the target cannot tell two names apart.
pub fn export(target: Target, input: &Input<'_>) -> Result<Export, PackError> {
    let project = input.project;
    let functions = || project.functions.values();
    match target {
        Target::Compose => {}
        Target::Knative => {
            let shared = knative::shared(project);
            differ(
                "functions",
                functions().filter(|f| !shared.contains(&f.name)).map(|f| &f.name),
                dns_name,
            )?;
        }
        Target::Spin | Target::WasmCloud => differ(
            "functions",
            functions().filter(|f| !f.routes.is_empty()).map(|f| &f.name),
            dns_name,
        )?,
        Target::Sam => {
            differ(
                "functions",
                functions().filter(|f| sam::is_there(input, &f.name)).map(|f| &f.name),
                sam::id,
            )?;
            differ("queues", project.queues.keys(), sam::id)?;
            differ("topics", project.topics.keys(), sam::id)?;
            let variables: BTreeSet<String> = functions().flat_map(|f| input.secret_names(f)).collect();
            differ("variables", variables.iter(), sam::id)?;
        }
    }
    Ok(match target {
        Target::Compose => compose::export(input),
        Target::Knative => knative::export(input),
        Target::Sam => sam::export(input),
        Target::Spin => spin::export(input),
        Target::WasmCloud => wasmcloud::export(input),
    })
}

/// Fails where two names become one, of which the target would keep but the last.
fn differ<'a>(kind: &str, names: impl Iterator<Item = &'a String>, key: fn(&str) -> String) -> Result<(), PackError> {
    let mut seen: BTreeMap<String, &String> = BTreeMap::new();
    for name in names {
        let key = key(name);
        if let Some(other) = seen.insert(key.clone(), name) {
            let message = format!("the {kind} {other} and {name} are both called {key} there");
            return Err(PackError::new(message).remedy("rename one of them"));
        }
    }
    Ok(())
}

impl Input<'_> {
    /// What emu.toml itself says.
    fn open_env<'f>(&self, function: &'f Function) -> Vec<(&'f str, &'f str)> {
        let (from_files, secret) = (&self.project.env_names, &self.project.secret_values.0);
        let open = function.env.iter();
        let open = open.filter(|(name, value)| !from_files.contains(*name) && !secret.contains(*value));
        open.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Names of what it needs besides, and emu.toml does not say.
    fn secret_names(&self, function: &Function) -> Vec<String> {
        let open: BTreeSet<&str> = self.open_env(function).iter().map(|(name, _)| *name).collect();
        function
            .env
            .keys()
            .filter(|name| !open.contains(name.as_str()))
            .cloned()
            .collect()
    }

    /// The image's reference without its tag, and the tag.
    fn repository(&self) -> (&str, &str) {
        match self.image.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (&self.image, "latest"),
        }
    }
}

/// What a function has that a host of nothing but components does not give it.
pub fn of_emu_alone(function: &Function) -> Vec<String> {
    let mut list = function.bound();
    list.extend(function.queue.as_ref().map(|queue| format!("queue {}", queue.from)));
    list.extend(function.topic.as_ref().map(|topic| format!("topic {}", topic.from)));
    list
}

/// Seconds, rounded up.
fn seconds(span: crate::platform::time::Span) -> u64 {
    span.as_millis().div_ceil(1_000)
}

/// As DNS and Kubernetes name things: lower case, digits and hyphens.
pub fn dns_name(name: &str) -> String {
    let kept = name.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    });
    let name: String = kept.collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() { "project".to_owned() } else { name }
}
