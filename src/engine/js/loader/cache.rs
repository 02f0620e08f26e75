//! Files parsed before. After a save, one file is read anew and the rest of the graph is taken from here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::parsed::{Options, Parsed};

/// Source text that is kept, in bytes, for all functions of a process; beyond it, all is forgotten. Code and tables take some
/// two times as much again.
const SOURCE_BYTES_MAX: usize = 64 << 20;

/// One for all functions of an engine.
#[derive(Debug, Default)]
pub struct Cache {
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    by_path: HashMap<PathBuf, Entry>,
    source_bytes: usize,
    /// For tests: files that had to be parsed.
    parsed: u64,
}

#[derive(Debug)]
struct Entry {
    text: Arc<str>,
    options: Options,
    parsed: Arc<Parsed>,
}

impl Cache {
    /// What the file gave when it held this text, under these options.
    pub fn get(&self, path: &Path, text: &str, options: &Options) -> Option<(Arc<str>, Arc<Parsed>)> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = files.by_path.get(path)?;
        // A comparison of the text itself: it takes less than a hash of it.
        let same = *entry.text == *text && entry.options == *options;
        same.then(|| (Arc::clone(&entry.text), Arc::clone(&entry.parsed)))
    }

    pub fn put(&self, path: &Path, text: &Arc<str>, options: Options, parsed: &Arc<Parsed>) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.source_bytes + text.len() > SOURCE_BYTES_MAX {
            files.by_path.clear();
            files.source_bytes = 0;
        }
        let entry = Entry {
            text: Arc::clone(text),
            options,
            parsed: Arc::clone(parsed),
        };
        files.source_bytes += text.len();
        files.parsed += 1;
        if let Some(old) = files.by_path.insert(path.to_path_buf(), entry) {
            files.source_bytes -= old.text.len();
        }
    }

    /// How many files have been parsed, not found here.
    #[cfg(test)]
    pub fn parsed(&self) -> u64 {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).parsed
    }
}
