//! The modules of one version: the entry and all it imports, read once and then unchangeable. What was read, and what was
//! looked for and not found, is the version's watch list.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::module::{Kind, Module, point};
use super::resolve::Resolver;
use crate::engine::{LoadError, Place, Source};

/// Files a graph may hold, and bytes of source. Beyond that a bundle is what is wanted.
const MODULES_MAX: usize = 10_000;
const SOURCE_BYTES_MAX: usize = 64 << 20;

/// Importer, then specifier: the module's name, or why there is none.
type Links = HashMap<Arc<str>, HashMap<String, Result<Arc<str>, String>>>;

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
    pub fn load(source: &Source) -> Result<Graph, LoadError> {
        let mut loader = Loader {
            resolver: Resolver::new(&source.project_root),
            root: source.project_root.clone(),
            modules: HashMap::new(),
            links: HashMap::new(),
            watch: BTreeSet::from([source.entry.clone()]),
            source_bytes: 0,
        };
        match loader.load_all(&source.entry) {
            Ok(entry) => Ok(Graph {
                entry,
                watch: loader.watched(),
                modules: loader.modules,
                links: loader.links,
                source_bytes: loader.source_bytes,
            }),
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
        self.find_computed(referrer, specifier)
            .ok_or_else(|| format!("cannot find {specifier:?} imported from {referrer}: computed imports reach only files that are also imported by name"))
    }

    fn find_computed(&self, referrer: &str, specifier: &str) -> Option<Arc<str>> {
        let folder = Path::new(referrer).parent()?;
        let joined = super::resolve::normalize(&folder.join(specifier));
        let name = module_name(&joined)?;
        let candidates = Kind::IMPLIED.iter().map(|extension| format!("{name}.{extension}"));
        std::iter::once(name.clone()).chain(candidates).find_map(|name| {
            self.modules
                .get_key_value(name.as_str())
                .map(|(name, _)| Arc::clone(name))
        })
    }

    /// The code of a module, for the guest to evaluate.
    pub fn code(&self, name: &str) -> Result<Arc<str>, String> {
        self.modules
            .get(name)
            .map(|module| Arc::clone(&module.code))
            .ok_or_else(|| format!("no module {name}"))
    }

    /// A place in a module's code as a place in its file.
    pub fn place(&self, name: &str, line: u32, column: u32) -> Option<(u32, u32)> {
        let module = self.modules.get(name)?;
        match &module.positions {
            Some(positions) => positions.find(line, column),
            None => Some((line, column)),
        }
    }
}

struct Loader {
    resolver: Resolver,
    root: PathBuf,
    modules: HashMap<Arc<str>, Module>,
    links: Links,
    watch: BTreeSet<PathBuf>,
    source_bytes: usize,
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

impl Loader {
    fn watched(&mut self) -> Vec<PathBuf> {
        self.watch.append(&mut self.resolver.take_probed());
        self.watch.iter().cloned().collect()
    }

    fn name(&self, path: &Path) -> Result<Arc<str>, Box<LoadError>> {
        let below = path.strip_prefix(&self.root).map_err(|_| {
            error(format!(
                "{} lies outside of the project {}",
                path.display(),
                self.root.display()
            ))
        })?;
        let name = module_name(below).ok_or_else(|| error(format!("{} is not a UTF-8 path", path.display())))?;
        Ok(name.into())
    }

    fn load_all(&mut self, entry: &Path) -> Result<Arc<str>, Box<LoadError>> {
        let entry_name = self.name(entry)?;
        let mut todo = vec![(Arc::clone(&entry_name), entry.to_path_buf())];
        while let Some((name, path)) = todo.pop() {
            if self.modules.contains_key(&name) {
                continue;
            }
            if self.modules.len() >= MODULES_MAX || self.source_bytes >= SOURCE_BYTES_MAX {
                return Err(error(format!(
                    "{entry_name} imports more than {MODULES_MAX} files or {SOURCE_BYTES_MAX} bytes; bundle it with a build command"
                )));
            }
            let text = self.read(&name, &path)?;
            let module = self.parse(&name, &path, &text)?;
            self.link(&name, &path, &text, &module, &mut todo)?;
            self.modules.insert(name, module);
        }
        Ok(entry_name)
    }

    fn read(&mut self, name: &str, path: &Path) -> Result<String, Box<LoadError>> {
        self.watch.insert(path.to_path_buf());
        let bytes = std::fs::read(path).map_err(|cause| error(format!("failed to read {name}: {cause}")))?;
        self.source_bytes += bytes.len();
        String::from_utf8(bytes).map_err(|_| error(format!("{name} is not UTF-8 text")))
    }

    fn parse(&self, name: &str, path: &Path, text: &str) -> Result<Module, Box<LoadError>> {
        let kind =
            Kind::of(path).ok_or_else(|| error(format!("{name} cannot be imported: no loader for such files")))?;
        Module::new(path, kind, text).map_err(|invalid| {
            let (place, detail) = match invalid.span {
                Some((offset, length)) => {
                    let (line, column, shown) = point(text, offset, length);
                    (
                        Some(Place {
                            file: name.to_owned(),
                            line,
                            column,
                        }),
                        Some(shown),
                    )
                }
                None => (None, None),
            };
            let detail = match (detail, invalid.help) {
                (Some(detail), Some(help)) => Some(format!("{detail}\nhelp: {help}")),
                (detail, help) => detail.or(help),
            };
            Box::new(LoadError {
                message: invalid.message,
                place,
                detail,
                watch: Vec::new(),
            })
        })
    }

    fn link(
        &mut self,
        name: &Arc<str>,
        path: &Path,
        text: &str,
        module: &Module,
        todo: &mut Vec<(Arc<str>, PathBuf)>,
    ) -> Result<(), Box<LoadError>> {
        for import in &module.imports {
            let found = self.resolver.resolve(path, &import.specifier);
            let link = match found {
                Ok(target) => {
                    let target_name = self.name(&target)?;
                    todo.push((Arc::clone(&target_name), target));
                    Ok(target_name)
                }
                Err(message) if import.dynamic => Err(message),
                Err(message) => {
                    let length = u32::try_from(import.specifier.len() + 2).unwrap_or(1);
                    let (line, column, shown) = point(text, import.offset, length);
                    let place = Place {
                        file: name.to_string(),
                        line,
                        column,
                    };
                    return Err(Box::new(LoadError {
                        message,
                        place: Some(place),
                        detail: Some(shown),
                        watch: Vec::new(),
                    }));
                }
            };
            self.links
                .entry(Arc::clone(name))
                .or_default()
                .insert(import.specifier.clone(), link);
        }
        Ok(())
    }
}
