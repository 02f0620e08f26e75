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
    let mut project = Project::new(&[
        ("f.js", &read(name)),
        ("check.js", &read("check")),
        ("vectors.js", &read("vectors")),
    ]);
    // Some of them compute for long, beside all other tests.
    project.settings.timeout = std::time::Duration::from_secs(120);
    let version = project.loaded("f.js").await;
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
                assert!(["check", "vectors"].contains(&&*name) || listed.contains(&&*name), "{name}.js is not listed");
            }
        }
    };
}

files! { blobs bodies clones compression crypto events intl performance signatures streams urlpattern urls }

/// Keys are drawn from the invocation's seed, and what the host computes is on the guest's account.
#[tokio::test]
async fn keys_follow_the_seed_and_derivation_costs_fuel() {
    let code = |rounds: u32| {
        format!(
            "export default {{ async fetch() {{
                const pair = await crypto.subtle.generateKey({{ name: 'ECDSA', namedCurve: 'P-256' }}, true, ['sign']);
                const key = await crypto.subtle.importKey('raw', new Uint8Array(8), 'PBKDF2', false, ['deriveBits']);
                const params = {{ name: 'PBKDF2', hash: 'SHA-256', salt: new Uint8Array(8), iterations: {rounds} }};
                await crypto.subtle.deriveBits(params, key, 256);
                return Response.json((await crypto.subtle.exportKey('jwk', pair.privateKey)).d);
            }} }};"
        )
    };
    let mut project = Project::new(&[("f.js", &code(1)), ("g.js", &code(100_000))]);
    let cheap = project.load("f.js").await.expect("it loads");
    let dear = project.load("g.js").await.expect("it loads");
    let (first, answer) = project.invoke(&cheap, get("/")).await;
    let first_fuel = first.fuel;
    let key = show((first, answer)).await;
    assert_eq!(key, show(project.invoke(&cheap, get("/")).await).await);
    let (second, _) = project.invoke(&dear, get("/")).await;
    assert!(
        second.fuel > first_fuel + 50_000_000,
        "{first_fuel} and {}",
        second.fuel
    );
    project.seed += 1;
    assert_ne!(key, show(project.invoke(&cheap, get("/")).await).await);
}
