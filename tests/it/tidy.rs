//! Rules of the house that no compiler holds: what each room may mention, how long things may be, how files begin.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Lines of a file, and of one that holds tests only.
const FILE_LINES_MAX: usize = 600;
const TEST_FILE_LINES_MAX: usize = 900;
const FUNCTION_LINES_MAX: usize = 70;

struct File {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
}

impl File {
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.starts_with("tests/") || self.path.contains("/tests/") || name.ends_with("tests.rs")
    }

    /// Where the tests at the end of the file begin.
    fn tests_at(&self) -> usize {
        self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len())
    }

    /// Lines before the tests at the end of the file, numbered from 1; comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text[..self.tests_at()].lines().enumerate();
        lines
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(at, line)| (at + 1, line))
    }
}

fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join("src"), root.join("tests")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            // Templates are what users get, not what emu is.
            if path.is_dir() && !path.ends_with("templates") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                let path = path
                    .strip_prefix(root)
                    .expect("below the root")
                    .to_string_lossy()
                    .replace('\\', "/");
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 50, "the sources are where they are looked for");
    files
}

/// Fails with all findings at once.
#[track_caller]
fn none(rule: &str, findings: &[String]) {
    let list = findings.iter().fold(String::new(), |mut list, finding| {
        write!(list, "\n  {finding}").expect("writing to a string");
        list
    });
    assert!(findings.is_empty(), "{rule}:{list}");
}

/// Where any of these words stands in the code of these files.
fn mentions(files: &[File], concerns: impl Fn(&File) -> bool, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| concerns(file)) {
        for (at, line) in file.code() {
            found.extend(
                words
                    .iter()
                    .filter(|word| has_word(line, word))
                    .map(|word| format!("{}:{at}: {word}", file.path)),
            );
        }
    }
    found
}

/// As a path or word of its own, not as a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let goes_on_before = before.is_some_and(is_name) && word.starts_with(is_name);
        let goes_on_after = after.is_some_and(is_name) && word.ends_with(is_name);
        !goes_on_before && !goes_on_after
    })
}

#[test]
fn words_are_found_whole() {
    assert!(has_word("use tokio::sync;", "tokio"));
    assert!(has_word("let a = Instant::now();", "Instant"));
    assert!(!has_word("let instant = InstantView;", "Instant"));
    assert!(has_word("crate::platform::Platform", "crate::platform"));
}

#[test]
fn the_core_is_pure() {
    let files = files();
    let pure = |file: &File| {
        let room = file.path.starts_with("src/platform/") || file.path.starts_with("src/provider/");
        room && !file.is_test()
    };
    let banned = [
        "tokio",
        "wasmtime",
        "warp",
        "futures",
        "async fn",
        "await",
        "std::fs",
        "std::net",
        "std::thread",
        "std::env",
        "std::process",
        "std::io",
        "std::sync::Mutex",
        "Instant",
        "SystemTime",
        "Utc::now",
        "Local",
        "getrandom",
        "thread_rng",
        "println!",
        "eprintln!",
        "print!",
        "eprint!",
        "dbg!",
        "tracing",
        "unsafe",
    ];
    none(
        "platform and provider are free of the outside world; put this into a shell",
        &mentions(&files, pure, &banned),
    );
    let unordered = |file: &File| pure(file) && file.path != "src/platform/table.rs";
    none(
        "order must not depend on hashes; use BTreeMap, or platform/table.rs where order cannot show",
        &mentions(&files, unordered, &["HashMap", "HashSet", "RandomState"]),
    );
}

#[test]
fn arrows_point_one_way() {
    let files = files();
    let rooms = [
        "platform", "provider", "project", "engine", "report", "live", "sim", "pack", "cli",
    ];
    // `platform` and `provider` are one pure house: profiles carry the platform's rules.
    let below: [(&str, &[&str]); 8] = [
        ("platform", &["platform", "provider"]),
        ("provider", &["platform", "provider"]),
        ("project", &["platform", "provider", "project"]),
        ("engine", &["engine", "platform"]),
        ("report", &["engine", "platform", "provider", "report"]),
        ("live", &["platform", "provider", "project", "engine", "report", "live"]),
        ("sim", &["platform", "provider", "project", "report", "sim"]),
        ("pack", &["platform", "project", "engine", "live", "pack"]),
    ];
    for (room, allowed) in below {
        let words: Vec<String> = rooms
            .iter()
            .filter(|other| !allowed.contains(other))
            .map(|other| format!("crate::{other}"))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let prefix = format!("src/{room}/");
        let found = mentions(&files, |file| file.path.starts_with(&prefix) && !file.is_test(), &words);
        none(&format!("{room} must not know of rooms further down"), &found);
    }
    let narrow = |room: &str, from: &str, only: &[&str]| {
        let prefix = format!("src/{room}/");
        let mut found = Vec::new();
        for file in files
            .iter()
            .filter(|file| file.path.starts_with(&prefix) && !file.is_test())
        {
            for (at, line) in file.code().filter(|(_, line)| has_word(line, from)) {
                if !only.iter().any(|only| has_word(line, only)) {
                    found.push(format!("{}:{at}: {}", file.path, line.trim()));
                }
            }
        }
        none(&format!("{room} uses of {from} only {}", only.join(", ")), &found);
    };
    narrow("engine", "crate::platform", &["crate::platform::time"]);
    narrow("report", "crate::engine", &["crate::engine::Stream"]);
    narrow(
        "report",
        "crate::platform",
        &[
            "crate::platform::billing",
            "crate::platform::ids",
            "crate::platform::time",
        ],
    );
}

#[test]
fn only_report_and_cli_print() {
    let silent = |file: &File| {
        let prints = ["src/report/", "src/cli/", "src/main.rs", "tests/"];
        !file.is_test() && !prints.iter().any(|prefix| file.path.starts_with(prefix))
    };
    let found = mentions(
        &files(),
        silent,
        &["println!", "eprintln!", "print!", "eprint!", "dbg!"],
    );
    none("only report and cli print", &found);
}

#[test]
fn exceptions_state_their_reason() {
    let mut found = Vec::new();
    for file in files() {
        // Built of pieces, so that this file does not find itself.
        let banned = [concat!("#[all", "ow("), concat!("#![all", "ow(")];
        for (at, line) in file.code() {
            if banned.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{at}", file.path));
            }
        }
    }
    none(
        "use #[expect(..., reason = \"...\")], which tells when it is no longer needed",
        &found,
    );
}

#[test]
fn files_begin_with_what_they_are_for() {
    let files = files();
    let bare = files
        .iter()
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| file.path.clone());
    none(
        "every file begins with a //! header that says what it is for",
        &bare.collect::<Vec<_>>(),
    );
}

#[test]
fn files_stay_short() {
    let too_long = |file: &File| {
        let lines = file.text.lines().count();
        let most = if file.is_test() {
            TEST_FILE_LINES_MAX
        } else {
            FILE_LINES_MAX
        };
        (lines > most).then(|| format!("{}: {lines} lines, {most} are the most", file.path))
    };
    none("split these", &files().iter().filter_map(too_long).collect::<Vec<_>>());
}

/// Functions as rustfmt lays them out: from the line with `fn` to the brace at the same depth.
#[test]
fn functions_stay_short() {
    let mut found = Vec::new();
    for file in files().iter().filter(|file| !file.is_test()) {
        let lines: Vec<&str> = file.text[..file.tests_at()].lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let depth = line.len() - line.trim_start().len();
            let starts = [
                "fn ",
                "pub fn ",
                "async fn ",
                "pub async fn ",
                "const fn ",
                "pub const fn ",
                "unsafe fn ",
            ];
            let head = line.trim_start();
            let head = head
                .strip_prefix("pub(super) ")
                .or(head.strip_prefix("pub(crate) "))
                .unwrap_or(head);
            if !starts.iter().any(|start| head.starts_with(start)) || line.trim_end().ends_with(['}', ';']) {
                continue;
            }
            let end = format!("{}}}", " ".repeat(depth));
            let length = lines[at..]
                .iter()
                .position(|line| *line == end)
                .map_or(0, |length| length + 1);
            let excused = lines[at.saturating_sub(8)..at]
                .iter()
                .any(|line| line.contains("tidy: long, because"));
            if length > FUNCTION_LINES_MAX && !excused {
                found.push(format!("{}:{}: {length} lines", file.path, at + 1));
            }
        }
    }
    none("split these, or say above them `// tidy: long, because ...`", &found);
}
