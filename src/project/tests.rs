//! Whole projects: the examples load, what is wrong is reported at once.

use std::path::{Path, PathBuf};

use super::{Loaded, Project};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn load(path: &Path) -> Loaded {
    Project::load(Some(path)).unwrap_or_else(|problems| panic!("{}:\n{problems}", path.display()))
}

#[test]
fn every_example_loads() {
    for example in ["chatbot", "orders", "scale-to-zero", "scheduled-report"] {
        let loaded = load(&root().join("examples").join(example));
        assert!(!loaded.project.functions.is_empty(), "{example}");
        assert!(
            loaded.warnings.is_empty(),
            "{}",
            super::diagnostic::render_all(&loaded.warnings, false)
        );
    }
}
