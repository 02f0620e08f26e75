//! What goes wrong, and how it is told.

use std::time::Duration;

use serde_json::json;

use super::harness::*;
use crate::engine::{Event, FailureKind};

#[tokio::test]
async fn a_stack_names_the_users_lines() {
    // The column of a `new` is that of its last argument: QuickJS keeps the place it read last.
    let project = Project::new(&[
        (
            "functions/api.ts",
            "import { deep } from './lib/deep';\n\
             interface Env { GREETING: string }\n\
             type Unused = { a: number };\n\n\
             export default {\n  async fetch(request: Request, env: Env): Promise<Response> {\n    return deep(1 as number);\n  },\n};\n",
        ),
        (
            "functions/lib/deep.ts",
            "export enum Level { Low, High }\n\nexport function deep(n: number): never {\n    const level: Level = Level.High;\n    throw new RangeError(`too deep: ${n}, ${level}`);\n}\n",
        ),
    ]);
    let version = project.loaded("functions/api.ts").await;
    let shown = show(project.invoke(&version, get("/")).await).await;
    assert_eq!(
        shown,
        "no reply\nError: RangeError: too deep: 1, 1\n  at deep (functions/lib/deep.ts:5:45)\n  at fetch (functions/api.ts:7:12)"
    );
}

#[tokio::test]
async fn causes_are_told_and_thrown_values_shown() {
    let shown =
        serve("export default { fetch() { throw new Error('outer', { cause: new TypeError('inner') }); } };").await;
    assert!(shown.contains("Error: Error: outer\n  at fetch (f.js:1:"), "{shown}");
    assert!(
        shown.contains("caused by: TypeError: inner\n  at fetch (f.js:1:"),
        "{shown}"
    );
    let shown = serve("export default { fetch() { throw { code: 7 }; } };").await;
    assert_eq!(shown, "no reply\nError: thrown: { code: 7 }");
}

#[tokio::test]
async fn endless_recursion_is_a_range_error() {
    let shown =
        serve("function f(n) { return f(n + 1) + 1; } export default { fetch() { return new Response(f(0)); } };")
            .await;
    assert!(
        shown.contains("RangeError: Maximum call stack size exceeded"),
        "{shown}"
    );
}

#[tokio::test]
async fn an_endless_loop_meets_the_deadline() {
    let mut project = Project::new(&[("f.js", "export default { fetch() { for (;;) {} } };")]);
    project.settings.timeout = Duration::from_millis(100);
    let version = project.load("f.js").await.unwrap();
    let (outcome, _) = project.invoke(&version, get("/")).await;
    assert_eq!(outcome.result.unwrap_err().kind, FailureKind::Timeout);
}

/// What others do in between is seen in the order of the lines: all of it is one thread here.
#[tokio::test]
async fn others_run_while_a_guest_waits_for_the_host() {
    for (work, name) in [
        ("pbkdf2Sync('p', 's', 100000, 32, 'sha256')", "crypto"),
        (
            "for (let i = 0; i < 20; i++) createHash('sha256').update(new Uint8Array(100000)).digest()",
            "hashes",
        ),
        (
            "new Intl.Collator('de').compare('x'.repeat(100000), 'y'.repeat(100000))",
            "collation",
        ),
    ] {
        let code = format!(
            "import {{ createHash, pbkdf2Sync }} from 'node:crypto';
             export default {{ fetch() {{ console.log('before'); {work}; console.log('after'); return new Response(); }} }};"
        );
        let project = Project::new(&[("f.js", &code)]);
        let version = project.loaded("f.js").await;
        let world = std::sync::Arc::clone(&project.world);
        let others = tokio::spawn(async move {
            loop {
                world.lines.lock().unwrap().push("other".to_owned());
                tokio::task::yield_now().await;
            }
        });
        let shown = show(project.invoke(&version, get("/")).await).await;
        others.abort();
        let lines = project.lines();
        let at = |text: &str| {
            lines
                .iter()
                .position(|line| line == text)
                .unwrap_or_else(|| panic!("{name}: {shown}"))
        };
        let between = &lines[at("Info before")..at("Info after")];
        assert!(between.iter().any(|line| line == "other"), "{name}: {between:?}");
    }
}

#[tokio::test]
async fn an_endless_loop_of_host_work_meets_the_deadline() {
    let mut project = Project::new(&[(
        "f.js",
        "import { pbkdf2Sync } from 'node:crypto';
         export default { fetch() { for (;;) { console.log('again'); pbkdf2Sync('p', 's', 100000, 32, 'sha256'); } } };",
    )]);
    project.settings.timeout = Duration::from_millis(50);
    let version = project.load("f.js").await.unwrap();
    let (outcome, _) = project.invoke(&version, get("/")).await;
    assert_eq!(outcome.result.unwrap_err().kind, FailureKind::Timeout);
}

#[tokio::test]
async fn sleeping_too_long_meets_the_deadline_too() {
    let mut project = Project::new(&[(
        "f.js",
        "export default { async fetch() { await new Promise(r => setTimeout(r, 60000)); } };",
    )]);
    project.settings.timeout = Duration::from_millis(50);
    let version = project.load("f.js").await.unwrap();
    let (outcome, _) = project.invoke(&version, get("/")).await;
    assert_eq!(outcome.result.unwrap_err().kind, FailureKind::Timeout);
}

#[tokio::test]
async fn memory_ends_the_invocation_even_if_the_guest_catches() {
    let mut project = Project::new(&[(
        "f.js",
        "export default { fetch() { const all = []; try { for (;;) all.push(new Uint8Array(1 << 20)); } catch { return new Response('caught'); } } };",
    )]);
    project.settings.memory_bytes = 32 << 20;
    let version = project.load("f.js").await.unwrap();
    let (outcome, _) = project.invoke(&version, get("/")).await;
    assert_eq!(outcome.result.unwrap_err().kind, FailureKind::OutOfMemory);
    assert!(outcome.memory_bytes_max <= 32 << 20);
}

#[tokio::test]
#[cfg_attr(
    debug_assertions,
    ignore = "wasmtime 48 asserts in debug builds when the call that ended so is dropped"
)]
async fn a_promise_that_nothing_settles_is_told() {
    let shown = serve("export default { fetch() { return new Promise(() => {}); } };").await;
    assert!(shown.contains("waits for a promise that nothing can settle"), "{shown}");
}

#[tokio::test]
async fn output_is_bounded() {
    let mut project = Project::new(&[(
        "f.js",
        "export default { fetch() { for (let i = 0; i < 1000; i++) console.log('0123456789'); return new Response(); } };",
    )]);
    project.settings.log_bytes_max = 100;
    let version = project.load("f.js").await.unwrap();
    let (outcome, _) = project.invoke(&version, get("/")).await;
    assert_eq!(project.lines().len(), 9);
    assert!(outcome.log_bytes_dropped > 10_000);
}

#[tokio::test]
async fn a_wrong_answer_is_no_handlers_error() {
    let project = Project::new(&[("f.js", "export default { fetch() { return 'text'; } };")]);
    let version = project.load("f.js").await.unwrap();
    let failure = project.invoke(&version, get("/")).await.0.result.unwrap_err();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (
            FailureKind::BadResponse,
            "TypeError: fetch must return a Response, got string"
        )
    );
    let failure = project
        .invoke(&version, super::workers::batch(Vec::new()))
        .await
        .0
        .result
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadResponse);
}

#[tokio::test]
async fn a_failure_leaves_nothing_behind_in_a_kept_sandbox() {
    let project = Project::new(&[(
        "f.js",
        "let count = 0; export const handler = (event) => { count++; if (event.fail) throw new Error('x'); return count; };",
    )]);
    let version = project.load("f.js").await.unwrap();
    let mut sandbox = project.sandbox(&version);
    let mut answers = Vec::new();
    for fail in [false, false, true, false] {
        answers.push(
            show(
                project
                    .invoke_in(&mut sandbox, Event::Json(json!({"fail": fail})))
                    .await,
            )
            .await,
        );
    }
    assert_eq!(
        (answers[0].as_str(), answers[1].as_str(), answers[3].as_str()),
        ("1", "2", "1")
    );
}

#[tokio::test]
async fn outbound_requests_need_permission() {
    let shown = serve("export default { async fetch() { return fetch('http://example.com/'); } };").await;
    assert!(shown.contains("TypeError: fetch failed: "), "{shown}");
    assert!(shown.contains("allow_hosts"), "{shown}");
}
