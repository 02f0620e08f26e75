//! How fast a fresh isolate answers. Not a test: `cargo test --release --lib js::tests::bench -- --ignored --nocapture`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::harness::*;

const HELLO: &str = "export default { fetch() { return new Response('hello'); } };";
const ROUTER: &str = "const routes = { '/path': (url) => ({ q: url.searchParams.get('q') }) };
    export default { async fetch(request) { const url = new URL(request.url); return Response.json(routes[url.pathname](url)); } };";
const LAMBDA: &str =
    "export const handler = async (event) => ({ statusCode: 200, body: JSON.stringify({ path: event.rawPath }) });";

#[test]
#[ignore = "a measurement"]
fn fresh_isolates() {
    for threads in [1, 2] {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .unwrap();
        for (name, code) in [("hello", HELLO), ("router", ROUTER), ("lambda", LAMBDA)] {
            let count = Arc::new(AtomicU64::new(0));
            let project = Arc::new(Project::new(&[("f.js", code)]));
            let elapsed = runtime.block_on(async {
                let version = project.load("f.js").await.unwrap();
                let until = Instant::now() + Duration::from_secs(3);
                let started = Instant::now();
                let tasks: Vec<_> = (0..8)
                    .map(|_| {
                        let (project, version, count) = (project.clone(), version.clone(), count.clone());
                        tokio::spawn(async move {
                            while Instant::now() < until {
                                let (outcome, _) = project.invoke(&version, get("/path?q=1")).await;
                                assert!(outcome.result.is_ok(), "{outcome:?}");
                                count.fetch_add(1, Ordering::Relaxed);
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
                started.elapsed()
            });
            let count = count.load(Ordering::Relaxed);
            let each = elapsed.as_secs_f64() * 1e6 / count as f64;
            println!(
                "{name}, {threads} threads: {:.0}/s, {each:.0} us each",
                count as f64 / elapsed.as_secs_f64()
            );
        }
    }
}
