//! What is known of each watched path, and whether a new look at it is a change: pure.
//!
//! A WebAssembly file, or a file that became empty, is believed only when two looks some time apart show the same:
//! linkers and editors that write in place leave halves behind.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::print::Print;

/// Between the two looks at a WebAssembly file.
const WASM_SETTLE: Duration = Duration::from_millis(10);
/// Between the two looks at a file that became empty.
const EMPTY_SETTLE: Duration = Duration::from_millis(40);
/// A file that never settles is looked at no more often than this.
const SETTLE_MAX: Duration = Duration::from_millis(640);

/// What a look at a path came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    Changed(How),
    /// Look again at this time.
    Unsettled(Instant),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    Appeared,
    Modified,
    Vanished,
}

#[derive(Clone, Debug)]
struct Entry {
    print: Print,
    unsettled: Option<Unsettled>,
}

#[derive(Clone, Debug)]
struct Unsettled {
    print: Print,
    seen: Instant,
    wait: Duration,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<PathBuf, Entry>,
}

impl Ledger {
    pub fn get(&self, path: &Path) -> Option<&Print> {
        self.entries.get(path).map(|entry| &entry.print)
    }

    pub fn contains(&self, path: &Path) -> bool {
        self.entries.contains_key(path)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Print)> {
        self.entries.iter().map(|(path, entry)| (path.as_path(), &entry.print))
    }

    /// The watched paths that are `path` or lie beneath it.
    pub fn beneath<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Path> {
        let from = (Bound::Included(path), Bound::Unbounded);
        self.entries
            .range::<Path, _>(from)
            .map(|(found, _)| found.as_path())
            .take_while(move |found| found.starts_with(path))
    }

    /// Takes a path in, or settles what it is now.
    pub fn set(&mut self, path: PathBuf, print: Print) {
        self.entries.insert(path, Entry { print, unsettled: None });
    }

    /// Adds the content of a file whose stamp alone was known, unless it has changed since.
    pub fn fill(&mut self, path: &Path, print: &Print) {
        if let Some(entry) = self.entries.get_mut(path)
            && entry.print.hash().is_none()
            && entry.print.stamp() == print.stamp()
        {
            entry.print = print.clone();
        }
    }

    pub fn remove(&mut self, path: &Path) {
        self.entries.remove(path);
    }

    /// Drops the other paths. Whether there were any.
    pub fn retain(&mut self, keep: impl Fn(&Path) -> bool) -> bool {
        let before = self.entries.len();
        self.entries.retain(|path, _| keep(path));
        before != self.entries.len()
    }

    /// Compares a look at a path with what was known, and remembers it. A path never seen was missing.
    pub fn observe(&mut self, path: &Path, print: Print, now: Instant) -> Verdict {
        let entry = match self.entries.get_mut(path) {
            Some(entry) => entry,
            None => self.entries.entry(path.to_owned()).or_insert(Entry {
                print: Print::Missing,
                unsettled: None,
            }),
        };
        if entry.print.same(&print) {
            entry.unsettled = None;
            // The times may differ, and the next sweep compares them.
            entry.print = print;
            return Verdict::Same;
        }
        if let Some(wait) = settle(path, &entry.print, &print) {
            match &mut entry.unsettled {
                Some(before) if before.print == print && before.seen + wait <= now => {}
                Some(before) if before.print == print => return Verdict::Unsettled(before.seen + wait),
                before => {
                    let wait = before.as_ref().map_or(wait, |before| (before.wait * 2).min(SETTLE_MAX));
                    *before = Some(Unsettled { print, seen: now, wait });
                    return Verdict::Unsettled(now + wait);
                }
            }
        }
        let how = match (entry.print.is_there(), print.is_there()) {
            (false, true) => How::Appeared,
            (true, false) => How::Vanished,
            _ => How::Modified,
        };
        *entry = Entry { print, unsettled: None };
        Verdict::Changed(how)
    }
}

/// How far apart two looks must show the same before this change is believed.
fn settle(path: &Path, old: &Print, new: &Print) -> Option<Duration> {
    let stamp = new.stamp()?;
    if path.extension().is_some_and(|extension| extension == "wasm") {
        return Some(WASM_SETTLE);
    }
    let emptied = stamp.bytes == 0 && old.stamp().is_some_and(|old| old.bytes > 0);
    emptied.then_some(EMPTY_SETTLE)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::print::Stamp;
    use super::*;

    fn file(content: &str, second: u64) -> Print {
        let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        let mut hash = [0; 32];
        hash[..content.len()].copy_from_slice(content.as_bytes());
        Print::File {
            stamp: Stamp {
                bytes: content.len() as u64,
                modified,
                identity: 1,
            },
            hash: Some(hash),
        }
    }

    /// Each line: `MS PATH STATE`, where the state is `gone` or a content, with `@` and a time in seconds. Gives the
    /// verdicts, one a line.
    fn check(script: &str, expect: &str) {
        let zero = Instant::now();
        let mut ledger = Ledger::default();
        let mut verdicts = Vec::new();
        for line in script.lines().map(str::trim) {
            let [ms, path, state] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("bad line {line}")
            };
            let now = zero + Duration::from_millis(ms.parse().expect("a time"));
            let print = match state.split_once('@') {
                _ if state == "gone" => Print::Missing,
                Some((content, second)) => file(content, second.parse().expect("a second")),
                None => panic!("bad state {state}"),
            };
            verdicts.push(match ledger.observe(Path::new(path), print, now) {
                Verdict::Same => "same".to_owned(),
                Verdict::Changed(how) => format!("{how:?}").to_lowercase(),
                Verdict::Unsettled(when) => format!("again at {}", (when - zero).as_millis()),
            });
        }
        let expect: Vec<_> = expect.lines().map(str::trim).collect();
        assert_eq!(verdicts, expect, "script:\n{script}");
    }

    #[test]
    fn a_script_changes_by_content_alone() {
        check(
            "0 a.js one@1\n 1 a.js one@2\n 2 a.js two@2\n 3 a.js gone\n 4 a.js gone\n 5 a.js two@3",
            "appeared\n same\n modified\n vanished\n same\n appeared",
        );
    }

    #[test]
    fn a_wasm_file_is_believed_at_the_second_look() {
        check("0 a.wasm one@1\n 10 a.wasm one@1", "again at 10\n appeared");
        check(
            "0 a.wasm one@1\n 4 a.wasm one@1\n 10 a.wasm one@1",
            "again at 10\n again at 10\n appeared",
        );
        check(
            "0 a.wasm o@1\n 10 a.wasm one@1\n 30 a.wasm one,@2\n 70 a.wasm one,@2",
            "again at 10\n again at 30\n again at 70\n appeared",
        );
    }

    #[test]
    fn a_wasm_file_that_goes_back_is_the_same() {
        check(
            "0 a.wasm gone\n 1 a.wasm one@1\n 2 a.wasm gone",
            "same\n again at 11\n same",
        );
    }

    #[test]
    fn an_emptied_script_waits_for_its_content() {
        check(
            "0 a.js one@1\n 1 a.js @2\n 5 a.js two@2",
            "appeared\n again at 41\n modified",
        );
        check(
            "0 a.js one@1\n 1 a.js @2\n 41 a.js @2",
            "appeared\n again at 41\n modified",
        );
    }

    #[test]
    fn beneath_takes_whole_names() {
        let mut ledger = Ledger::default();
        for path in ["/p/lib", "/p/lib/a.js", "/p/lib/b/c.js", "/p/lib.js", "/p/libs/d.js"] {
            ledger.set(PathBuf::from(path), Print::Missing);
        }
        let found: Vec<_> = ledger
            .beneath(Path::new("/p/lib"))
            .map(|path| path.to_str().unwrap_or("?"))
            .collect();
        // `Path` orders by component, so what lies beneath stands together.
        assert_eq!(found, ["/p/lib", "/p/lib/a.js", "/p/lib/b/c.js"]);
    }

    #[test]
    fn stamps_are_compared_when_a_content_is_not_known() {
        let stamp_only = |print: &Print| Print::File {
            stamp: print.stamp().expect("a file"),
            hash: None,
        };
        let one = file("one", 1);
        assert!(stamp_only(&one).same(&one));
        assert!(!stamp_only(&one).same(&file("one", 2)));
        let mut ledger = Ledger::default();
        ledger.set(PathBuf::from("a"), stamp_only(&one));
        ledger.fill(Path::new("a"), &file("two", 2));
        assert_eq!(ledger.get(Path::new("a")).and_then(Print::hash), None);
        ledger.fill(Path::new("a"), &one);
        assert_eq!(ledger.get(Path::new("a")).and_then(Print::hash), one.hash());
    }
}
