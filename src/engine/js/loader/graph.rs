//! The modules of one version: the entry and all it imports, read once and then unchangeable. What was read, and what was
//! looked for and not found, is the version's watch list.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::builtin;
use super::cache::Cache;
use super::emit::{self, Emitted, FACADE, FACADE_LIKE_NODE, FILE, Required, Requires};
use super::exports::{Exported, Missing};
use super::facts::{How, Import};
use super::manifest::Use;
use super::parsed::{Format, Invalid, Kind, Options, Parsed};
use super::positions::point;
use super::refused;
use super::resolve::{Found, Resolver, normalize};
use crate::engine::{LoadError, Place, Source};

/// Files a graph may hold, and bytes of source. Beyond that a bundle is what is wanted.
const MODULES_MAX: usize = 10_000;
const SOURCE_BYTES_MAX: usize = 64 << 20;

/// By specifier: the module's name, or why there is none.
type Imports = HashMap<String, Result<Arc<str>, String>>;
type Links = HashMap<Arc<str>, Imports>;

/// A module as it is evaluated.
#[derive(Debug)]
struct Module {
    emitted: Emitted,
    /// None for what emu made up.
    parsed: Option<Arc<Parsed>>,
}

/// Modules are named by their path below the project root, with `/`: stacks then name the user's files.
#[derive(Debug)]
pub struct Graph {
    pub entry: Arc<str>,
    modules: HashMap<Arc<str>, Module>,
    links: Links,
    pub watch: Vec<PathBuf>,
    pub source_bytes: usize,
}

impl Graph {
    /// Reads the entry and, one after the other, all it imports.
    ///
    /// # Errors
    /// The first mistake: a file that cannot be read, does not parse, or imports what is not there.
    pub fn load(source: &Source, cache: &Cache) -> Result<Graph, LoadError> {
        let node_env = source.env.get("NODE_ENV").map_or("production", String::as_str);
        let mut loader = Loader {
            resolver: Resolver::new(&source.project_root, node_env != "development"),
            cache,
            node_env,
            root: &source.project_root,
            files: HashMap::new(),
            broken: HashMap::new(),
            types: HashMap::new(),
            watch: BTreeSet::from([source.entry.clone()]),
            source_bytes: 0,
        };
        match loader.load_all(&source.entry) {
            Ok(entry) => Ok(loader.finish(entry)),
            Err(mut error) => {
                error.watch = loader.watched();
                Err(*error)
            }
        }
    }

    /// Answers the guest's `import`. The prelude names the entry itself; computed specifiers reach what the graph holds.
    pub fn resolve(&self, referrer: &str, specifier: &str) -> Result<Arc<str>, String> {
        if let Some(link) = self.links.get(referrer).and_then(|links| links.get(specifier)) {
            return link.clone();
        }
        if specifier == &*self.entry {
            return Ok(Arc::clone(&self.entry));
        }
        if let Some(name) = specifier.strip_prefix(FILE)
            && let Some((name, _)) = self.modules.get_key_value(name)
        {
            return Ok(Arc::clone(name));
        }
        if let Some(name) = builtin::find(specifier) {
            return Ok(name.into());
        }
        // Those that emu brings build upon the prelude, whose modules the interpreter already has.
        if builtin::find(referrer).is_some() && specifier.starts_with("emu:") {
            return Ok(specifier.into());
        }
        self.find_computed(referrer, specifier)
            .ok_or_else(|| format!("cannot find {specifier:?} imported from {referrer}: computed imports reach only files that are also imported by name"))
    }

    fn find_computed(&self, referrer: &str, specifier: &str) -> Option<Arc<str>> {
        let folder = Path::new(referrer).parent()?;
        let name = module_name(&normalize(&folder.join(specifier)))?;
        let implied = Kind::implied(Path::new(&name))
            .iter()
            .map(|extension| format!("{name}.{extension}"));
        std::iter::once(name.clone()).chain(implied).find_map(|name| {
            let facade = format!("{name}{FACADE}");
            let found = self.modules.get_key_value(facade.as_str());
            let found = found.or_else(|| self.modules.get_key_value(name.as_str()));
            found.map(|(name, _)| Arc::clone(name))
        })
    }

    /// The code of a module, for the guest to evaluate.
    pub fn code(&self, name: &str) -> Result<Arc<str>, String> {
        if let Some(module) = self.modules.get(name) {
            return Ok(Arc::clone(&module.emitted.code));
        }
        let source = builtin::source(name).ok_or_else(|| format!("no module {name}"))?;
        Ok(source.into())
    }

    /// Names and code of all modules.
    pub fn modules(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.modules.iter();
        all.map(|(name, module)| (&**name, &*module.emitted.code))
    }

    /// Files as they were parsed.
    pub fn parsed(&self) -> impl Iterator<Item = (&str, &Parsed)> {
        let all = self.modules.iter();
        all.filter_map(|(name, module)| Some((&**name, module.parsed.as_deref()?)))
    }

    /// What an import leads to, as it stands in its file.
    pub fn linked(&self, referrer: &str, specifier: &str) -> Option<Linked> {
        Some(match self.links.get(referrer)?.get(specifier)? {
            Ok(name) => match builtin::find(name) {
                Some(builtin) => Linked::Builtin(builtin),
                None => Linked::File(Arc::clone(name)),
            },
            Err(why) => Linked::Missing(why.clone()),
        })
    }

    /// What each module's imports lead to.
    pub fn links(&self) -> impl Iterator<Item = (&Arc<str>, &Imports)> {
        self.links.iter()
    }

    /// A place in a module's code as a place in its file.
    pub fn place(&self, name: &str, line: u32, column: u32) -> Option<(u32, u32)> {
        let module = self.modules.get(name)?;
        let parsed = module.parsed.as_ref()?;
        let column = module.emitted.shifts.undo(line, column);
        match &parsed.positions {
            Some(positions) => positions.find(line, column),
            None => Some((line, column)),
        }
    }
}

/// What an import leads to.
#[derive(Clone, Debug)]
pub enum Linked {
    File(Arc<str>),
    Builtin(&'static str),
    /// It fails when it comes to that.
    Missing(String),
}

/// One file of the graph.
pub struct File {
    pub parsed: Arc<Parsed>,
    /// What each of its imports leads to.
    pub linked: Vec<Linked>,
    text: Arc<str>,
    /// It runs whenever the entry does: nothing on the way to it may be left out.
    pub certain: bool,
    /// Its package says `"type": "module"`, or its extension.
    like_node: bool,
}

struct Loader<'s> {
    resolver: Resolver,
    cache: &'s Cache,
    node_env: &'s str,
    root: &'s Path,
    files: HashMap<Arc<str>, File>,
    /// Files that cannot be had and need not be: why.
    broken: HashMap<Arc<str>, String>,
    /// Types that others import as if they were values, by file.
    types: HashMap<Arc<str>, BTreeSet<String>>,
    watch: BTreeSet<PathBuf>,
    source_bytes: usize,
}

/// A file to read: its name, path, and whether its text alone is wanted.
struct Todo {
    name: Arc<str>,
    path: PathBuf,
    as_text: bool,
}

/// Files to read: those that run whenever the entry does, and those that run when something asks for them.
#[derive(Default)]
struct Queue {
    certain: Vec<Todo>,
    uncertain: Vec<Todo>,
}

/// A path below the root as a module's name; `None` when it is not UTF-8.
fn module_name(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

fn error(message: String) -> Box<LoadError> {
    Box::new(LoadError {
        message,
        place: None,
        detail: None,
        watch: Vec::new(),
    })
}

/// An error that points at a part of a file.
fn error_at(message: String, name: &str, text: &str, offset: u32, length: u32) -> Box<LoadError> {
    let (line, column, shown) = point(text, offset, length);
    Box::new(LoadError {
        message,
        place: Some(Place {
            file: name.to_owned(),
            line,
            column,
        }),
        detail: Some(shown),
        watch: Vec::new(),
    })
}

/// An error of a file that is not needed, for who asks for it when the code runs.
fn told(error: &LoadError) -> String {
    match &error.place {
        Some(place) => format!("{}:{}:{}: {}", place.file, place.line, place.column, error.message),
        None => error.message.clone(),
    }
}

impl<'s> Loader<'s> {
    fn watched(&mut self) -> Vec<PathBuf> {
        self.watch.append(&mut self.resolver.take_probed());
        self.watch.iter().cloned().collect()
    }

    fn name(&self, path: &Path) -> Result<String, Box<LoadError>> {
        let below = path.strip_prefix(self.root).map_err(|_| {
            error(format!(
                "{} lies outside of the project {}",
                path.display(),
                self.root.display()
            ))
        })?;
        module_name(below).ok_or_else(|| error(format!("{} is not a UTF-8 path", path.display())))
    }

    fn load_all(&mut self, entry: &Path) -> Result<Arc<str>, Box<LoadError>> {
        let entry_name: Arc<str> = self.name(entry)?.into();
        let mut queue = Queue::default();
        queue.certain.push(Todo {
            name: Arc::clone(&entry_name),
            path: entry.to_path_buf(),
            as_text: false,
        });
        // All that is certain comes first, so that what is left is not.
        loop {
            let (next, certain) = match (queue.certain.pop(), queue.uncertain.is_empty()) {
                (Some(next), _) => (next, true),
                (None, false) => match queue.uncertain.pop() {
                    Some(next) => (next, false),
                    None => break,
                },
                (None, true) => break,
            };
            if self.files.contains_key(&next.name) || self.broken.contains_key(&next.name) {
                continue;
            }
            if self.files.len() >= MODULES_MAX || self.source_bytes >= SOURCE_BYTES_MAX {
                return Err(error(format!(
                    "{entry_name} imports more than {MODULES_MAX} files or {SOURCE_BYTES_MAX} bytes; bundle it with a build command"
                )));
            }
            match self.load_file(&next, certain, &mut queue) {
                Ok(file) => drop(self.files.insert(next.name, file)),
                Err(error) if certain => return Err(error),
                Err(error) => drop(self.broken.insert(next.name, told(&error))),
            }
        }
        let mut types = HashMap::new();
        let checked = Exported::new(&self.files).check(&mut types);
        let tolerated = checked.map_err(|missing| self.missing(&missing))?;
        for missing in &tolerated {
            let error = self.missing(missing);
            self.broken.insert(Arc::clone(&missing.importer), told(&error));
        }
        self.types = types;
        self.spread_broken();
        Ok(entry_name)
    }

    /// A module that imports what cannot be had cannot be had either.
    fn spread_broken(&mut self) {
        loop {
            let mut more = Vec::new();
            for (name, file) in self.files.iter().filter(|(name, _)| !self.broken.contains_key(*name)) {
                let mut imports = file.parsed.imports.iter().zip(&file.linked);
                let why = imports.find_map(|(import, linked)| match linked {
                    _ if import.how != How::Import => None,
                    Linked::Missing(why) => Some(why),
                    Linked::File(target) => self.broken.get(target),
                    Linked::Builtin(_) => None,
                });
                more.extend(why.map(|why| (Arc::clone(name), why.clone())));
            }
            if more.is_empty() {
                return;
            }
            self.broken.extend(more);
        }
    }

    fn load_file(&mut self, file: &Todo, certain: bool, queue: &mut Queue) -> Result<File, Box<LoadError>> {
        let Todo { name, path, as_text } = file;
        let text = self.read(name, path)?;
        let kind = if *as_text { Some(Kind::Text) } else { Kind::of(path) };
        let kind = kind.ok_or_else(|| error(refused::file(name)))?;
        let module_package = self.resolver.in_module_package(path).map_err(error)?;
        let options = Options {
            compiler: self.resolver.compiler(path).map_err(error)?,
            module_package,
            node_env: self.node_env.to_owned(),
        };
        let (text, parsed) = match self.cache.get(path, &text, &options) {
            Some(known) if !as_text => known,
            _ => {
                let text: Arc<str> = text.into();
                let parsed = Parsed::new(path, kind, &text, &options);
                let parsed = Arc::new(parsed.map_err(|invalid| self.invalid(name, &text, invalid))?);
                if !as_text {
                    self.cache.put(path, &text, options, &parsed);
                }
                (text, parsed)
            }
        };
        let mut linked = Vec::with_capacity(parsed.imports.len());
        for import in &parsed.imports {
            let linked_to = self.link(name, path, import, certain, queue);
            linked.push(linked_to.map_err(|message| {
                let length = u32::try_from(import.specifier.len() + 2).unwrap_or(1);
                let offset = parsed.offset_in_text(&text, import.offset);
                error_at(message, name, &text, offset, length)
            })?);
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        Ok(File {
            parsed,
            linked,
            text,
            certain,
            like_node: module_package || matches!(extension, Some("mjs" | "mts")),
        })
    }

    fn read(&mut self, name: &str, path: &Path) -> Result<String, Box<LoadError>> {
        self.watch.insert(path.to_path_buf());
        let bytes = std::fs::read(path).map_err(|cause| error(format!("failed to read {name}: {cause}")))?;
        self.source_bytes += bytes.len();
        String::from_utf8(bytes).map_err(|_| match Kind::of(path) {
            Some(_) => error(format!("{name} is not UTF-8 text")),
            None => error(refused::file(name)),
        })
    }

    fn invalid(&self, name: &str, text: &str, invalid: Invalid) -> Box<LoadError> {
        let mut error = match invalid.span {
            Some((offset, length)) => error_at(invalid.message, name, text, offset, length),
            None => error(invalid.message),
        };
        if let Some(help) = invalid.help {
            error.detail = Some(match error.detail {
                Some(detail) => format!("{detail}\nhelp: {help}"),
                None => help,
            });
        }
        error
    }

    /// What one import leads to. A file goes on the list of those to read.
    fn link(
        &mut self,
        name: &Arc<str>,
        path: &Path,
        import: &Import,
        certain: bool,
        queue: &mut Queue,
    ) -> Result<Linked, String> {
        let certain = certain && matches!(import.how, How::Import | How::Require { optional: false });
        let by = match import.how {
            How::Import | How::Dynamic => Use::Import,
            How::Require { .. } => Use::Require,
        };
        let bare = import.specifier.strip_suffix("?raw");
        let as_text = import.as_text || bare.is_some();
        let specifier = bare.unwrap_or(&import.specifier);
        let found = self
            .resolver
            .resolve(path, specifier, by)
            .and_then(|found| match found {
                // What cannot be loaded is told where it is imported.
                Found::File(target) if !as_text && Kind::of(&target).is_none() => {
                    Err(refused::file(&self.name(&target).map_err(|error| error.message)?))
                }
                found => Ok(found),
            });
        match found {
            Ok(Found::File(target)) => {
                let target_name: Arc<str> = match self.name(&target).map_err(|error| error.message)? {
                    name if as_text => format!("{name}?raw").into(),
                    name => name.into(),
                };
                let todo = if certain {
                    &mut queue.certain
                } else {
                    &mut queue.uncertain
                };
                todo.push(Todo {
                    name: Arc::clone(&target_name),
                    path: target,
                    as_text,
                });
                Ok(Linked::File(target_name))
            }
            Ok(Found::Builtin(name)) => Ok(Linked::Builtin(name)),
            Err(message) if certain => Err(message),
            Err(message) => Ok(Linked::Missing(format!("{message} (imported from {name})"))),
        }
    }

    /// An import of what is not there, at its place.
    fn missing(&self, missing: &Missing) -> Box<LoadError> {
        let file = self.files.get(&missing.importer);
        let import = file.and_then(|file| Some((file, file.parsed.imports.get(missing.import)?)));
        let Some((file, import)) = import else {
            return error(missing.message.clone());
        };
        let length = u32::try_from(import.specifier.len() + 2).unwrap_or(1);
        let offset = file.parsed.offset_in_text(&file.text, import.offset);
        error_at(missing.message.clone(), &missing.importer, &file.text, offset, length)
    }

    fn is_common_js(&self, name: &str) -> bool {
        let file = self.files.get(name);
        file.is_some_and(|file| matches!(file.parsed.format, Format::CommonJs { .. }))
    }

    /// Exports that importers ask for by name, by file.
    fn wanted(&self) -> HashMap<Arc<str>, BTreeSet<String>> {
        let mut wanted: HashMap<Arc<str>, BTreeSet<String>> = HashMap::new();
        for file in self.files.values() {
            for (import, linked) in file.parsed.imports.iter().zip(&file.linked) {
                if let (How::Import, Linked::File(target)) = (import.how, linked) {
                    let names = wanted.entry(Arc::clone(target)).or_default();
                    names.extend(import.names.union(&import.members).cloned());
                }
            }
        }
        wanted
    }

    /// Files whose exports somebody asks for without names.
    fn wanted_whole(&self) -> BTreeSet<Arc<str>> {
        let files = self.files.values();
        let imports = files.flat_map(|file| file.parsed.imports.iter().zip(&file.linked));
        let whole = imports.filter_map(|(import, linked)| match linked {
            Linked::File(target) if import.whole => Some(Arc::clone(target)),
            _ => None,
        });
        whole.collect()
    }

    /// The names a CommonJS file exports, as far as can be seen, with those that it passes on.
    fn exported(&self, name: &str, seen: &mut BTreeSet<String>, out: &mut BTreeSet<String>) {
        let Some(file) = self.files.get(name) else {
            return;
        };
        if !seen.insert(name.to_owned()) {
            return;
        }
        out.extend(file.parsed.exports.names.iter().cloned());
        for (import, linked) in file.parsed.imports.iter().zip(&file.linked) {
            if let (How::Require { .. }, Linked::File(target)) = (import.how, linked)
                && file.parsed.exports.of_others.contains(&import.specifier)
            {
                self.exported(target, seen, out);
            }
        }
    }

    /// Turns what was read into what is evaluated.
    fn finish(mut self, entry: Arc<str>) -> Graph {
        let wanted = self.wanted();
        let contexts = self.files.values().any(|file| {
            let mut linked = file.linked.iter();
            linked.any(|linked| matches!(linked, Linked::Builtin(name) if *name == builtin::ASYNC_HOOKS))
        });
        let whole = self.wanted_whole();
        let none = BTreeSet::new();
        let mut modules = HashMap::with_capacity(self.files.len() * 2);
        let mut links: Links = HashMap::with_capacity(self.files.len());
        for (name, file) in &self.files {
            let requires = self.link_imports(name, file, &mut links);
            let names = wanted.get(name).unwrap_or(&none);
            // JSON and CommonJS give what is asked for; modules lack but types.
            let names = match file.parsed.format {
                Format::Module => self.types.get(name).unwrap_or(&none),
                _ => names,
            };
            let emitted = emit::file(name, &file.parsed, &requires, names, contexts);
            let parsed = Some(Arc::clone(&file.parsed));
            modules.insert(Arc::clone(name), Module { emitted, parsed });
            if let Format::CommonJs { .. } = file.parsed.format {
                let mut names = names.clone();
                // Only then: to read an export may run what nobody asked for.
                if *name == entry || whole.contains(name) {
                    self.exported(name, &mut BTreeSet::new(), &mut names);
                }
                for (end, like_node) in [(FACADE, false), (FACADE_LIKE_NODE, true)] {
                    let emitted = emit::facade(name, &names, like_node);
                    modules.insert(format!("{name}{end}").into(), Module { emitted, parsed: None });
                }
            }
        }
        let entry = match self.is_common_js(&entry) {
            true => format!("{entry}{FACADE}").into(),
            false => entry,
        };
        Graph {
            entry,
            watch: self.watched(),
            modules,
            links,
            source_bytes: self.source_bytes,
        }
    }

    /// Notes what a file's imports lead to, and answers with what its `require` calls do.
    fn link_imports(&self, name: &Arc<str>, file: &File, links: &mut Links) -> Requires {
        let mut requires = Requires::new();
        for (import, linked) in file.parsed.imports.iter().zip(&file.linked) {
            if let How::Require { .. } = import.how {
                let broken = match linked {
                    Linked::File(target) => self.broken.get(target),
                    _ => None,
                };
                let required = match linked {
                    _ if broken.is_some() => Required::Missing(broken.cloned().unwrap_or_default()),
                    Linked::File(target) => match self.files.get(target).map(|file| file.parsed.format) {
                        Some(Format::CommonJs { .. }) => Required::File(Arc::clone(target)),
                        Some(Format::Json | Format::Text) => Required::Value(Arc::clone(target)),
                        _ => Required::Module(Arc::clone(target)),
                    },
                    Linked::Builtin(name) => Required::Builtin(name),
                    Linked::Missing(why) => Required::Missing(why.clone()),
                };
                requires.insert(import.specifier.clone(), required);
                continue;
            }
            let link = match linked {
                Linked::File(target) if !self.files.contains_key(target) => {
                    Err(self.broken.get(target).cloned().unwrap_or_default())
                }
                Linked::File(target) if self.is_common_js(target) => {
                    let end = if file.like_node { FACADE_LIKE_NODE } else { FACADE };
                    Ok(format!("{target}{end}").into())
                }
                Linked::File(target) => Ok(Arc::clone(target)),
                Linked::Builtin(name) => Ok((*name).into()),
                Linked::Missing(why) => Err(why.clone()),
            };
            links
                .entry(Arc::clone(name))
                .or_default()
                .insert(import.specifier.clone(), link);
        }
        requires
    }
}
