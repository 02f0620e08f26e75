//! A version's own image answers as its modules do when they are imported anew, or there is none.

use super::harness::*;
#[cfg(target_os = "linux")]
use crate::engine::Version;

/// What an import may leave behind that later invocations could see, and what they must not share.
const PURE: &[(&str, &str)] = &[
    (
        "globals, randomness and time are the invocation's; work of the host",
        "let count = 0; globalThis.seen = []; const url = new URL('/a?b=1', 'https://example.com');
         const money = new Intl.NumberFormat('de', { style: 'currency', currency: 'EUR' });
         const route = new URLPattern({ pathname: '/:name' }); const bytes = new TextEncoder().encode('h\u{e9}llo');
         export default { fetch(request) { seen.push(1); url.searchParams.append('c', '2');
             return Response.json([++count, seen.length, Math.random(), crypto.randomUUID(), Math.floor(Date.now() / 1e5), request.url,
                 url.href, money.format(3.5), route.exec('https://x.y/z').pathname.groups.name, bytes.length]); } };",
    ),
    (
        "environment and bindings, modules of Node, and context over awaits",
        "import { env as global } from 'cloudflare:workers'; import { AsyncLocalStorage } from 'node:async_hooks';
         import { createHash } from 'node:crypto'; import { EventEmitter } from 'node:events';
         const greeting = process.env.GREETING; process.env.MINE = 'x'; let total = 0;
         const storage = new AsyncLocalStorage(); const bus = new EventEmitter(); bus.on('x', (n) => { total += n; });
         export default { fetch(request, env) { return storage.run({ id: 7 }, async () => {
             const id = await env.ORDERS.send({ a: 1 }); bus.emit('x', 2);
             return Response.json([greeting, global.GREETING, process.env.MINE, env.GREETING, typeof id,
                 storage.getStore().id, total, createHash('sha256').update('a').digest('hex')]); }); } };",
    ),
    (
        "promises that an import awaited, and one that it left; streams and timers",
        "const ready = await Promise.resolve(5); const later = Promise.resolve(6); const never = new Promise(() => {});
         const encoder = new TextEncoder(); export default { async fetch() { const first = await Promise.race([never, later]);
             return new Response(new ReadableStream({ async pull(controller) { await new Promise((done) => setTimeout(done, 1));
                 controller.enqueue(encoder.encode(ready + ' ' + first)); controller.close(); } })); } };",
    ),
    (
        "output and errors",
        "class Oops extends Error {} export default { fetch() { console.log('before', { a: [1] }); throw new Oops('bad'); } };",
    ),
];

#[tokio::test]
async fn an_image_answers_as_a_fresh_import_does() {
    for (name, code) in PURE {
        let mut project = Project::new(&[("f.js", code)]);
        let version = project.loaded("f.js").await;
        let mut fresh = Vec::new();
        for seed in [3, 4] {
            project.seed = seed;
            fresh.push(show(project.invoke(&version, get("/p")).await).await);
            fresh.extend(project.lines());
        }
        let imported = project.invoke(&version, get("/p")).await.0.fuel;
        project
            .image(&version)
            .await
            .unwrap_or_else(|refused| panic!("{name}: {refused}"));
        project.lines();
        let mut frozen = Vec::new();
        for seed in [3, 4] {
            project.seed = seed;
            frozen.push(show(project.invoke(&version, get("/p")).await).await);
            frozen.extend(project.lines());
        }
        assert_eq!(frozen, fresh, "{name}");
        let spared = project.invoke(&version, get("/p")).await.0.fuel;
        assert!(
            spared < imported,
            "{name}: {spared} instructions with an image, {imported} without"
        );
    }
}

#[tokio::test]
async fn an_import_that_does_more_than_define_things_gets_no_image() {
    for (code, why) in [
        ("const began = Date.now();", "calls now of wasi:clocks/wall-clock"),
        ("const began = new Date();", "calls now of wasi:clocks/wall-clock"),
        ("const began = performance.now();", "calls elapsed-ms of emu:js/host"),
        ("const lucky = Math.random();", "calls Math.random"),
        ("const id = crypto.randomUUID();", "calls random of emu:js/host"),
        ("console.log('imported');", "calls log of emu:js/host"),
        ("setTimeout(() => {}, 1000);", "calls elapsed-ms of emu:js/host"),
        (
            "const sum = await crypto.subtle.digest('SHA-256', new Uint8Array(3));",
            "calls compute of emu:js/host",
        ),
    ] {
        let code = format!("{code} export default {{ fetch() {{ return new Response('hello'); }} }};");
        let project = Project::new(&[("f.js", &code)]);
        let version = project.loaded("f.js").await;
        let refused = project.image(&version).await.expect_err(&code);
        assert!(refused.contains(why), "{code}: {refused}");
        let shown = show(project.invoke(&version, get("/")).await).await;
        assert!(shown.ends_with("hello"), "{shown}");
    }
}

#[tokio::test]
async fn an_image_is_made_once_imports_have_cost_enough() {
    let code = "let sum = 0; for (let i = 0; i < 2e6; i++) sum += i; export default { fetch() { return Response.json(sum); } };";
    let project = Project::new(&[("f.js", code)]);
    let version = project.loaded("f.js").await;
    let first = project.invoke(&version, get("/")).await.0.fuel;
    // Each of these earns some of it; in between the compiler gets its time.
    let frozen = async {
        loop {
            let (outcome, _) = project.invoke(&version, get("/")).await;
            if outcome.fuel < first / 10 {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), frozen)
        .await
        .expect("an image");
}

#[tokio::test]
async fn an_image_ends_with_the_settings_that_it_was_made_with() {
    let code = "const { GREETING } = process.env; export default { fetch() { return new Response(GREETING); } };";
    let mut project = Project::new(&[("f.js", code)]);
    let version = project.loaded("f.js").await;
    project.image(&version).await.expect("an image");
    assert!(show(project.invoke(&version, get("/")).await).await.ends_with("hello"));
    project.settings.env = vec![("GREETING".to_owned(), "good day".to_owned())];
    assert!(
        show(project.invoke(&version, get("/")).await)
            .await
            .ends_with("good day")
    );
}

/// Until the image has been looked at; where its memory was another's at that moment, later. Each use gets this answer.
#[cfg(target_os = "linux")]
async fn use_until_bridged(project: &Project, version: &Version, answer: &str) {
    for _ in 0..3_000 {
        assert_eq!(show(project.invoke(version, get("/")).await).await, answer);
        if project.bridges_made(version).await {
            return;
        }
    }
}

/// Linux only: other systems do not tell which pages are written.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_image_whose_invocations_write_here_and_there_gets_bridges() {
    // Arrays of some pages each, and a handler that writes to all of them.
    let code = "const far = []; for (let i = 0; i < 80; i++) far.push(new Uint8Array(20000));
         export default { fetch() { let sum = 0; for (const one of far) sum += ++one[9000]; return Response.json(sum); } };";
    let project = Project::new(&[("f.js", code)]);
    let version = project.loaded("f.js").await;
    let imported = show(project.invoke(&version, get("/")).await).await;
    project.image(&version).await.expect("an image");
    let first = project.invoke(&version, get("/")).await.0.fuel;
    use_until_bridged(&project, &version, &imported).await;
    // What bridges a gap is instructions more.
    let (outcome, reply) = project.invoke(&version, get("/")).await;
    let fuel = outcome.fuel;
    assert_eq!(show((outcome, reply)).await, imported);
    assert!(fuel > first, "{fuel} instructions with bridges, {first} without");
    assert!(
        fuel < first + first / 10,
        "{fuel} instructions with bridges, {first} without"
    );
}

/// Linux only, as above. Invocations that allocate much write pages that the memory does not have when the next one begins.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn bridges_stay_within_the_memory_that_an_image_begins_with() {
    let code = "const far = []; for (let i = 0; i < 80; i++) far.push(new Uint8Array(20000));
         export default { fetch() { let sum = 0; for (const one of far) sum += ++one[9000]; const keep = [];
             for (let i = 0; i < 40; i++) { const own = []; for (let j = 0; j < 3000; j++) own.push(j); keep.push(own); }
             return Response.json([sum, keep.length]); } };";
    let project = Project::new(&[("f.js", code)]);
    let version = project.loaded("f.js").await;
    let imported = show(project.invoke(&version, get("/")).await).await;
    project.image(&version).await.expect("an image");
    use_until_bridged(&project, &version, &imported).await;
    assert_eq!(show(project.invoke(&version, get("/")).await).await, imported);
}

#[tokio::test]
async fn an_image_that_traps_is_used_once() {
    let code = "export default { fetch() { return new Response('hello'); } };";
    let project = Project::new(&[("f.js", code)]);
    let version = project.loaded("f.js").await;
    project.image(&version).await.expect("an image");
    project.spoil_image(&version).await;
    let shown = show(project.invoke(&version, get("/")).await).await;
    assert!(shown.contains("out of bounds memory access"), "{shown}");
    for _ in 0..2 {
        assert!(show(project.invoke(&version, get("/")).await).await.ends_with("hello"));
    }
}
