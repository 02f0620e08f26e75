//! What files export, through those whose exports they pass on; and whether imports ask for what is there.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::facts::{How, Import};
use super::graph::{File, Linked};
use super::parsed::Format;

/// An import of a name that its module does not have.
pub struct Missing {
    pub importer: Arc<str>,
    /// Which of the importer's imports.
    pub import: usize,
    pub message: String,
}

/// What modules export: names, and types that are not there when code runs. None: it shows only when they run.
type Known = Option<(BTreeSet<String>, BTreeSet<String>)>;

pub struct Exported<'f> {
    files: &'f HashMap<Arc<str>, File>,
    known: HashMap<Arc<str>, Known>,
}

impl<'f> Exported<'f> {
    pub fn new(files: &'f HashMap<Arc<str>, File>) -> Self {
        Exported {
            files,
            known: HashMap::new(),
        }
    }

    fn of(&mut self, name: &Arc<str>, around: &mut Vec<Arc<str>>) -> Known {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let file = self.files.get(name)?;
        // In a circle each gets what the others have by themselves.
        if file.parsed.format != Format::Module || around.contains(name) {
            return (file.parsed.format == Format::Module).then(Default::default);
        }
        around.push(Arc::clone(name));
        let exports = &file.parsed.exports;
        let mut all = Some((exports.names.clone(), exports.types.clone()));
        for (import, linked) in file.parsed.imports.iter().zip(&file.linked) {
            if import.how != How::Import || !exports.of_others.contains(&import.specifier) {
                continue;
            }
            let theirs = match linked {
                Linked::File(target) => self.of(target, around),
                Linked::Builtin(_) | Linked::Missing(_) => None,
            };
            all = all.zip(theirs).map(|((mut names, mut types), (more, more_types))| {
                names.extend(more.into_iter().filter(|name| name != "default"));
                types.extend(more_types);
                (names, types)
            });
        }
        around.pop();
        // Within a circle the answer is not whole.
        if around.is_empty() {
            self.known.insert(Arc::clone(name), all.clone());
        }
        all
    }

    /// Looks at every import by name. Types that are asked for as values, which TypeScript allows, go into `types` by file.
    /// Answers with the names that are not there in files that may never run.
    ///
    /// # Errors
    /// The first name that is not there in a file that runs.
    pub fn check(&mut self, types: &mut HashMap<Arc<str>, BTreeSet<String>>) -> Result<Vec<Missing>, Missing> {
        let mut tolerated = Vec::new();
        let mut importers: Vec<&Arc<str>> = self.files.keys().collect();
        importers.sort();
        for importer in importers {
            let Some(file) = self.files.get(importer) else {
                continue;
            };
            for (at, (import, linked)) in file.parsed.imports.iter().zip(&file.linked).enumerate() {
                let (How::Import, Linked::File(target)) = (import.how, linked) else {
                    continue;
                };
                if import.names.is_empty() {
                    continue;
                }
                let Some((names, their_types)) = self.of(target, &mut Vec::new()) else {
                    continue;
                };
                for name in import.names.difference(&names) {
                    if their_types.contains(name) {
                        types.entry(Arc::clone(target)).or_default().insert(name.clone());
                        continue;
                    }
                    let missing = Missing {
                        importer: Arc::clone(importer),
                        import: at,
                        message: message(import, name, &names),
                    };
                    if file.certain {
                        return Err(missing);
                    }
                    tolerated.push(missing);
                }
            }
        }
        Ok(tolerated)
    }
}

/// Names that are listed of a module that has not the one asked for.
const LISTED_MAX: usize = 8;

fn message(import: &Import, name: &str, names: &BTreeSet<String>) -> String {
    let specifier = &import.specifier;
    let near = names.iter().filter(|known| *known != "default");
    let near = near.max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    if let Some(near) = near.filter(|near| name != "default" && strsim::jaro_winkler(near, name) > 0.8) {
        return format!("SyntaxError: {specifier:?} has no export `{name}`; did you mean `{near}`?");
    }
    let mut list: Vec<String> = names.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    if names.len() > LISTED_MAX {
        list.push("...".to_owned());
    }
    let has = if list.is_empty() {
        "nothing".to_owned()
    } else {
        list.join(", ")
    };
    match name {
        "default" => format!("SyntaxError: {specifier:?} has no default export; it exports {has}"),
        _ => format!("SyntaxError: {specifier:?} has no export `{name}`; it exports {has}"),
    }
}
