//! Whole projects: the examples load, goldens show what a person sees when something is wrong.
//!
//! `EMU_UPDATE_GOLDENS=1 cargo test --lib project::` writes the goldens anew; read the difference before you keep it.

use std::fs;
use std::path::{Path, PathBuf};

use super::diagnostic::{Source, render_all};
use super::{Diagnostics, LoadOptions, Loaded, Project, load_text};

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn load(path: &Path) -> Loaded {
    Project::load(Some(path)).unwrap_or_else(|problems| panic!("{}:\n{problems}", path.display()))
}

/// Loads a manifest of `fixtures/manifests` against the functions that lie there.
pub(super) fn load_fixture(file: &Path) -> Result<Loaded, Diagnostics> {
    let text = fs::read_to_string(file).expect("a fixture is readable");
    let name = file
        .file_name()
        .expect("a fixture has a name")
        .to_string_lossy()
        .into_owned();
    let folder = root()
        .join("fixtures/manifests")
        .canonicalize()
        .expect("the fixtures are there");
    load_text(
        Source {
            name,
            path: file.to_owned(),
            text,
        },
        &folder,
        &LoadOptions::default(),
    )
}

pub(super) fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = root().join("fixtures/manifests").join(kind);
    let entries = fs::read_dir(folder).expect("the fixtures are there");
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(!files.is_empty(), "no fixtures in {kind}");
    files
}

/// Holds a text against the file beside a fixture, or writes it when asked to.
fn golden(file: &Path, text: &str) -> Result<(), String> {
    let text = format!("{}\n", text.trim_end());
    if std::env::var_os("EMU_UPDATE_GOLDENS").is_some() {
        fs::write(file, &text).expect("the golden is writable");
        return Ok(());
    }
    let expected = fs::read_to_string(file).unwrap_or_default().replace("\r\n", "\n");
    if expected == text {
        return Ok(());
    }
    Err(format!(
        "{} differs; it should be\n{expected}\nand is\n{text}",
        file.display()
    ))
}

#[test]
fn every_example_loads() {
    for example in ["chatbot", "orders", "scale-to-zero", "scheduled-report"] {
        let loaded = load(&root().join("examples").join(example));
        assert!(!loaded.project.functions.is_empty(), "{example}");
        assert!(loaded.warnings.is_empty(), "{}", render_all(&loaded.warnings, false));
    }
}

#[test]
fn invalid_manifests_name_every_problem() {
    let mut wrong = Vec::new();
    for file in fixtures("invalid") {
        match load_fixture(&file) {
            Ok(_) => wrong.push(format!("{} loads, and should not", file.display())),
            Err(problems) => wrong.extend(golden(&file.with_extension("err"), &problems.render(false)).err()),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn valid_manifests_load_with_these_warnings() {
    let mut wrong = Vec::new();
    for file in fixtures("valid") {
        match load_fixture(&file) {
            Err(problems) => wrong.push(format!("{} does not load:\n{problems}", file.display())),
            Ok(loaded) => {
                let warnings = render_all(&loaded.warnings, false);
                wrong.extend(golden(&file.with_extension("warnings"), &warnings).err());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
