//! Holds a manifest against the folder, the provider and itself; what comes out cannot be wrong.

mod destinations;
mod functions;
mod http;
mod messages;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use super::diagnostic::{Diagnostic, list_names, nearest};
use super::discover::{Discovered, is_name};
use super::manifest::Manifest;
use super::read::{At, Sink};
use super::{HttpSettings, KvStore, Project};
use crate::platform::time::Span;
use crate::provider::Profile;

/// What everything is held against.
pub struct World<'a> {
    /// Canonical.
    pub root: &'a Path,
    pub profile: &'a Profile,
    pub found: &'a Discovered,
    /// Functions that are served here; empty: all.
    only: &'a BTreeSet<String>,
    /// Names of everything declared, with the place of each.
    names: Names,
}

/// The names of one manifest by kind.
#[derive(Default)]
struct Names {
    functions: BTreeMap<String, Option<Range<usize>>>,
    queues: BTreeMap<String, Option<Range<usize>>>,
    topics: BTreeMap<String, Option<Range<usize>>>,
    kv: BTreeMap<String, Option<Range<usize>>>,
}

#[derive(Clone, Copy)]
enum Kind {
    Function,
    Queue,
    Topic,
    Kv,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Function => "function",
            Kind::Queue => "queue",
            Kind::Topic => "topic",
            Kind::Kv => "key-value store",
        }
    }

    /// What stands before the colon of a binding.
    fn prefix(self) -> &'static str {
        match self {
            Kind::Kv => "kv",
            other => other.word(),
        }
    }
}

impl Names {
    /// What the manifest names, and functions that have a source without it.
    fn declared<'a>(manifest: &Manifest, sources: impl Iterator<Item = &'a String>) -> Names {
        let found = sources.map(|name| (name.clone(), None));
        // A function whose source is wrong is still there for those that refer to it.
        let functions = manifest.functions.iter().map(|f| &f.name);
        let queues = manifest.queues.iter().map(|q| &q.name);
        let topics = manifest.topics.iter().map(|t| &t.name);
        let kv = manifest.kv.iter().map(|(name, _)| name);
        let placed = |name: &At<String>| (name.value.clone(), Some(name.span.clone()));
        Names {
            functions: found.chain(functions.map(placed)).collect(),
            queues: queues.map(placed).collect(),
            topics: topics.map(placed).collect(),
            kv: kv.map(placed).collect(),
        }
    }

    fn of(&self, kind: Kind) -> &BTreeMap<String, Option<Range<usize>>> {
        match kind {
            Kind::Function => &self.functions,
            Kind::Queue => &self.queues,
            Kind::Topic => &self.topics,
            Kind::Kv => &self.kv,
        }
    }
}

/// Builds the project. It is whole only when the sink got no error.
pub fn project(
    manifest: &Manifest,
    root: &Path,
    profile: &Profile,
    found: &Discovered,
    only: &BTreeSet<String>,
    sink: &mut Sink,
) -> Project {
    let mut world = World {
        root,
        profile,
        found,
        only,
        names: Names::default(),
    };
    let sources = source::all(manifest, &world, sink);
    world.names = Names::declared(manifest, sources.keys());
    check_names(&world.names, sink);
    let mut functions = functions::all(manifest, sources, &world, sink);
    let mut elsewhere = BTreeMap::new();
    functions.retain(|name, function| {
        let is_here = world.is_here(name);
        if !is_here {
            elsewhere.insert(name.clone(), function.topic.take());
        }
        is_here
    });
    let queues = messages::queues(manifest, &world, sink);
    let topics = messages::topics(manifest, &world, sink);
    let kv = manifest.kv.iter();
    let kv = kv.map(|(name, ttl)| (name.value.clone(), kv_store(name, ttl.as_ref(), sink)));
    let kv = kv.collect();
    messages::triggers(manifest, &world, sink);
    Project {
        root: root.to_owned(),
        name: name(manifest, root, sink),
        provider: profile.id.clone(),
        functions,
        elsewhere,
        queues,
        topics,
        kv,
        http: HttpSettings {
            cors: manifest.cors.as_ref().map(|cors| http::cors(cors, sink)),
        },
        history: manifest.history,
        dev: manifest.dev.clone(),
        secrets: secrets(manifest, sink),
        secret_values: Default::default(),
        env_files: Vec::new(),
        env_names: Default::default(),
        manifest: None,
    }
}

fn name(manifest: &Manifest, root: &Path, sink: &mut Sink) -> String {
    let Some(written) = &manifest.name else {
        return folder_name(root);
    };
    if written.value.trim().is_empty() {
        sink.error(&written.span, "the project's name is empty")
            .remedy("leave the key out for the folder's name");
    }
    written.value.clone()
}

fn kv_store(name: &At<String>, ttl: Option<&At<Span>>, sink: &mut Sink) -> KvStore {
    if let Some(ttl) = ttl.filter(|ttl| ttl.value == Span::ZERO) {
        sink.error(&ttl.span, "values that expire at once are never seen")
            .remedy("give a longer time, or leave the key out for values that stay");
    }
    KvStore {
        name: name.value.clone(),
        ttl: ttl.map(|ttl| ttl.value),
    }
}

fn secrets(manifest: &Manifest, sink: &mut Sink) -> BTreeSet<String> {
    let names = || manifest.secrets.iter().flat_map(|names| &names.value);
    for name in names().filter(|name| !is_variable(&name.value)) {
        sink.error(
            &name.span,
            format!("`{}` is no name for an environment variable", name.value),
        )
        .remedy("name the variable, not its value");
    }
    names().map(|name| name.value.clone()).collect()
}

pub use functions::{is_identifier as is_variable, plain as plain_function};

pub fn folder_name(root: &Path) -> String {
    root.file_name()
        .map_or_else(|| "project".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Names must fit into paths and host names, and host names know no case.
fn check_names(names: &Names, sink: &mut Sink) {
    for kind in [Kind::Function, Kind::Queue, Kind::Topic, Kind::Kv] {
        let word = kind.word();
        let mut seen: BTreeMap<String, (&String, &Option<Range<usize>>)> = BTreeMap::new();
        for (name, span) in names.of(kind) {
            if let Some(span) = span.as_ref().filter(|_| !is_name(name)) {
                sink.error(span, format!("`{name}` is no name for a {word}"))
                    .remedy("a name has up to 63 letters, digits, `-` and `_`, and begins with a letter or digit");
            }
            let Some((other, other_span)) = seen.insert(name.to_lowercase(), (name, span)) else {
                continue;
            };
            let message = format!("the {word}s `{other}` and `{name}` differ only in case");
            let remedy = "host names and some file systems cannot tell them apart; rename one";
            match (span, other_span) {
                (Some(span), Some(other)) => {
                    sink.error(span, message).related(other, "the other").remedy(remedy);
                }
                (Some(span), None) | (None, Some(span)) => {
                    sink.error(span, message).remedy(remedy);
                }
                (None, None) => {
                    sink.push(Diagnostic::error(message).remedy(remedy));
                }
            }
        }
    }
}

impl World<'_> {
    /// Whether this function is to be served here.
    pub fn is_here(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.contains(name)
    }

    /// Whether something of the kind is there under the name; reports it when it is not.
    fn resolve(&self, kind: Kind, name: &At<String>, sink: &mut Sink) -> bool {
        let known = self.names.of(kind);
        if known.contains_key(&name.value) {
            return true;
        }
        let word = kind.word();
        let problem = sink.error(&name.span, format!("there is no {word} `{}`", name.value));
        let near = nearest(&name.value, known.keys().map(String::as_str));
        let declare = match kind {
            Kind::Function => format!("add `functions/{}.js`", name.value),
            Kind::Queue | Kind::Topic => format!("declare it with `[{word}s.{}]`", name.value),
            Kind::Kv => format!("declare it with `[kv.{}]`", name.value),
        };
        problem.remedy(match near {
            Some(near) => format!("did you mean `{near}`? Otherwise {declare}"),
            None if known.is_empty() => declare,
            None => format!("{declare}; there {}", there_are(word, known.keys().map(String::as_str))),
        });
        false
    }

    /// What the provider is called in messages.
    fn provider(&self) -> &str {
        &self.profile.name
    }
}

fn there_are<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let listed = list_names(names.iter().copied().take(8)).replace(" or ", " and ");
    match names.len() {
        1 => format!("is the {word} {listed}"),
        2..=8 => format!("are the {word}s {listed}"),
        more => format!("are {more} {word}s, among them {listed}"),
    }
}
