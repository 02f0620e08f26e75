//! The web APIs, each by a file of JavaScript tests in `api/` that runs as a function.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::harness::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/js/tests/api")
}

/// Runs the tests of one file and fails with all that failed.
async fn check(name: &str) {
    let read = |name: &str| std::fs::read_to_string(folder().join(format!("{name}.js"))).expect("a file of tests");
    let project = Project::new(&[("f.js", &read(name)), ("check.js", &read("check"))]);
    let version = match project.load("f.js").await {
        Ok(version) => version,
        Err(error) => panic!("{name}: {}", load_error(&error)),
    };
    let shown = show(project.invoke(&version, get("/")).await).await;
    let body = shown.split_once('\n').map_or("", |(_, body)| body);
    let answer: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{name}: {shown}\n{:?}", project.lines()));
    let failures: Vec<&str> = answer["failures"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(answer["run"].as_u64() > Some(2), "{name} runs its tests");
}

macro_rules! files {
    ($($name:ident)*) => {
        $(#[tokio::test] async fn $name() { check(stringify!($name)).await; })*

        /// A file that nobody lists would never run.
        #[test]
        fn every_file_is_run() {
            let listed = [$(stringify!($name)),*];
            for entry in std::fs::read_dir(folder()).expect("the folder is there") {
                let name = entry.expect("an entry").file_name().to_string_lossy().replace(".js", "");
                assert!(name == "check" || listed.contains(&&*name), "{name}.js is not listed");
            }
        }
    };
}

files! { blobs bodies events performance }
