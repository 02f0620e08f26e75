//! Which paths never count as a change unless a function read them.

use std::path::{Component, Path};

/// Folders of version control, of emu itself, of package managers, and of builds.
const FOLDERS: [&str; 26] = [
    ".git",
    ".hg",
    ".svn",
    ".jj",
    ".emu",
    ".cache",
    ".idea",
    ".vscode",
    ".gradle",
    ".next",
    ".output",
    ".parcel-cache",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".turbo",
    ".venv",
    ".wrangler",
    ".zig-cache",
    "__pycache__",
    "bower_components",
    "node_modules",
    "target",
    "venv",
    "zig-cache",
    "zig-out",
];

/// Folders that hold what a build makes, if an artefact lies in them; elsewhere the names may be sources.
const OUTPUTS: [&str; 9] = [
    "dist", "build", "out", "output", "pkg", "bin", "release", "_build", "wasm",
];

/// Whether a new or changed file at this path, relative to the watched folder, says nothing about the project.
pub fn ignored(relative: &Path) -> bool {
    relative.components().any(|component| match component {
        Component::Normal(name) => name
            .to_str()
            .is_some_and(|name| FOLDERS.contains(&name) || temporary(name)),
        _ => false,
    })
}

/// Names that editors and tools give to files they are about to rename or delete.
fn temporary(name: &str) -> bool {
    const ENDS: [&str; 9] = [
        "~",
        ".swp",
        ".swo",
        ".swx",
        ".tmp",
        ".crswap",
        ".part",
        ".crdownload",
        "___jb_old___",
    ];
    const STARTS: [&str; 3] = [".#", ".goutputstream-", ".nfs"];
    // Vim tries whether it can create files by making one of this name.
    matches!(name, "4913" | ".DS_Store" | "Thumbs.db")
        || ENDS.iter().any(|end| name.ends_with(end))
        || STARTS.iter().any(|start| name.starts_with(start))
        || name.ends_with("___jb_tmp___")
        || (name.starts_with('#') && name.ends_with('#'))
}

/// The outermost folder above `artefact` (relative to the project) that by its name holds only what builds make.
pub fn output_folder(artefact: &Path) -> Option<&Path> {
    let folders: Vec<&Path> = artefact.ancestors().skip(1).collect();
    folders.into_iter().rev().find(|folder| {
        let name = folder.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| OUTPUTS.contains(&name) || FOLDERS.contains(&name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let yes = [
            ".git/index",
            "functions/.emu/run.json",
            "a/target/debug/x",
            "node_modules/x/index.js",
            "functions/4913",
            "functions/api.ts~",
            "functions/.#api.ts",
            "functions/#api.ts#",
            "functions/.api.ts.swp",
            "functions/api.ts.tmp",
            "functions/api.ts___jb_tmp___",
        ];
        let no = [
            "functions/api.ts",
            "emu.toml",
            "src/targets/x",
            "functions/49131",
            "lib/build/x.js",
            ".env",
            "src/bin/a.rs",
        ];
        for path in yes {
            assert!(ignored(Path::new(path)), "{path} should be ignored");
        }
        for path in no {
            assert!(!ignored(Path::new(path)), "{path} should count");
        }
    }

    #[test]
    fn outputs() {
        let check = |artefact: &str, folder: Option<&str>| {
            assert_eq!(output_folder(Path::new(artefact)), folder.map(Path::new), "{artefact}");
        };
        check("dist/api.js", Some("dist"));
        check("web/dist/js/api.js", Some("web/dist"));
        check("target/wasm32-wasip2/release/api.wasm", Some("target"));
        check("functions/api.wasm", None);
        check("api.wasm", None);
    }
}
