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

/// Processor time (microseconds) and page faults of this process so far, where the system tells them. Other load does not
/// count.
fn used() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some(((field(11)? + field(12)?) * 10_000.0, field(7)?))
}

#[test]
#[ignore = "a measurement"]
fn fresh_isolates() {
    for threads in [1, 2] {
        for (name, code, image) in [
            ("hello", HELLO, false),
            ("hello with an image", HELLO, true),
            ("router", ROUTER, true),
            ("lambda", LAMBDA, true),
        ] {
            measure(
                name,
                Project::new(&[("f.js", code)]),
                "f.js",
                "/path?q=1",
                image,
                threads,
            );
        }
    }
}

/// A function of a project on disk: `EMU_BENCH=FOLDER:ENTRY:PATH`, with packages as they are installed there.
#[test]
#[ignore = "a measurement"]
fn fresh_isolates_of_a_project() {
    let Ok(given) = std::env::var("EMU_BENCH") else {
        return println!("EMU_BENCH=FOLDER:ENTRY:PATH is not set");
    };
    let mut parts = given.splitn(3, ':');
    let mut part = || parts.next().expect("FOLDER:ENTRY:PATH").to_owned();
    let (folder, entry, path) = (part(), part(), part());
    for image in [false, true] {
        let name = if image { "with an image" } else { "imported" };
        measure(name, Project::at(folder.as_ref()), &entry, &path, image, 2);
    }
}

fn measure(name: &str, project: Project, entry: &str, path: &str, image: bool, threads: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let project = Arc::new(project);
    let mut fuel = 0;
    let (elapsed, (cpu, faults)) = runtime.block_on(async {
        let version = project.load(entry).await.unwrap();
        if image {
            project.image(&version).await.unwrap();
        }
        // `EMU_BENCH_WARM=SECONDS`: an image gets its bridges when it has been used for a while.
        let warm = std::env::var("EMU_BENCH_WARM").map_or(0, |seconds| seconds.parse().expect("seconds"));
        let until = Instant::now() + Duration::from_secs(warm);
        fuel = project.invoke(&version, get(path)).await.0.fuel;
        while Instant::now() < until {
            fuel = project.invoke(&version, get(path)).await.0.fuel;
        }
        let until = Instant::now() + Duration::from_secs(3);
        let started = (Instant::now(), used());
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (project, version, count, path) =
                    (project.clone(), version.clone(), count.clone(), path.to_owned());
                tokio::spawn(async move {
                    while Instant::now() < until {
                        let (outcome, _) = project.invoke(&version, get(&path)).await;
                        assert!(outcome.result.is_ok(), "{outcome:?}");
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let spent = started
            .1
            .zip(used())
            .map(|(before, after)| (after.0 - before.0, after.1 - before.1));
        (started.0.elapsed(), spent.unwrap_or((f64::NAN, f64::NAN)))
    });
    let count = count.load(Ordering::Relaxed);
    println!(
        "{name}, {threads} threads: {:.0}/s, {:.0} us of processor, {:.0} page faults and {fuel} fuel each",
        count as f64 / elapsed.as_secs_f64(),
        cpu / count as f64,
        faults / count as f64
    );
}
