//! What one invocation leaves in an instance that is kept, and what the next one finds.

use std::time::Duration;

use super::harness::*;
use crate::engine::compile::CompileIn;
use crate::engine::{Engine, EngineOptions, FailureKind};

/// Answers of one sandbox to requests for these paths.
async fn in_turn(code: &str, paths: &[&str]) -> Vec<String> {
    let project = Project::new(&[("f.js", code)]);
    let version = project.loaded("f.js").await;
    let mut sandbox = project.sandbox(&version);
    let mut answers = Vec::new();
    for path in paths {
        let shown = show(project.invoke_in(&mut sandbox, get(path)).await).await;
        answers.push(shown.split_once('\n').map_or("", |(_, body)| body).to_owned());
    }
    answers
}

#[tokio::test]
async fn timers_that_an_invocation_left_hold_up_nobody() {
    let code = "let fired = 0; let runs = 0; const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
         export default { async fetch(request) { runs++;
             if (request.url.endsWith('/leave')) { setTimeout(() => fired++, 3); setTimeout(() => fired += 10, 3_600_000);
                 AbortSignal.timeout(2); await Promise.race([sleep(4_000_000), Promise.resolve()]); return Response.json([runs]); }
             const interval = setInterval(() => {}, 1); await sleep(1); await sleep(2); await sleep(5); clearInterval(interval);
             return Response.json([runs, fired]); } };";
    let answers = in_turn(code, &["/leave", "/sleep", "/leave", "/leave", "/sleep"]).await;
    assert_eq!(answers, ["[1]", "[2,1]", "[3]", "[4]", "[5,3]"]);
}

#[tokio::test]
async fn a_timer_that_an_earlier_invocation_awaited_goes_on() {
    let code = "let later; let runs = 0; export default { async fetch(request) { runs++;
             later ??= new Promise((done) => setTimeout(() => done('done'), 3));
             return request.url.endsWith('/leave') ? Response.json([runs]) : Response.json([runs, await later]); } };";
    let answers = in_turn(code, &["/leave", "/leave", "/await"]).await;
    assert_eq!(answers, ["[1]", "[2]", "[3,\"done\"]"]);
}

#[tokio::test]
async fn a_call_of_the_host_ends_with_the_invocation_that_began_it() {
    // Derivations that are not done when the invocation ends, which is at once.
    let code = "let loading; let runs = 0; const derive = async () => { const key = await crypto.subtle.importKey('raw', new Uint8Array(9),
                 'PBKDF2', false, ['deriveBits']); return crypto.subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt: new Uint8Array(9),
                 iterations: 2000000 }, key, 256); };
         export default { async fetch(request, env) { runs++;
             if (request.url.endsWith('/leave')) { loading = derive(); await env.ORDERS.send({ a: 1 }); return Response.json([runs]); }
             let told; try { await loading; told = 'settled'; } catch (error) { told = error.message; }
             await env.ORDERS.send({ b: 2 }); return Response.json([runs, told]); } };";
    let answers = in_turn(code, &["/leave", "/await", "/leave", "/await"]).await;
    assert_eq!((answers[0].as_str(), answers[2].as_str()), ("[1]", "[3]"));
    for (answer, run) in [(&answers[1], 2), (&answers[3], 4)] {
        assert!(
            answer.starts_with(&format!("[{run},\"")) && answer.contains("earlier invocation"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_body_of_an_earlier_invocation_is_nobody_elses() {
    let code = "let cached; export default { async fetch(request, env) {
             if (request.url.endsWith('/keep')) { cached = await env.OTHER.fetch('http://x/first'); return Response.json('kept'); }
             const mine = await env.OTHER.fetch('http://x/private'); let told;
             try { told = await cached.text(); } catch (error) { told = error.name + ': ' + error.message; }
             return Response.json([told, await mine.text()]); } };";
    let answers = in_turn(code, &["/keep", "/read"]).await;
    assert!(
        answers[1].contains("TypeError: the body belongs to an earlier invocation"),
        "{}",
        answers[1]
    );
    assert!(answers[1].ends_with("other GET http://x/private \"]"), "{}", answers[1]);
}

#[tokio::test]
async fn a_compression_stream_of_an_earlier_invocation_is_nobody_elses() {
    let code = "let old; const packed = async (stream, text) => { const writer = stream.writable.getWriter();
             writer.write(new TextEncoder().encode(text)).catch(() => {}); writer.close().catch(() => {});
             return (await new Response(stream.readable).arrayBuffer()).byteLength; };
         export default { async fetch(request) {
             if (request.url.endsWith('/keep')) { old = new CompressionStream('gzip'); old.writable.getWriter().write(new Uint8Array(9)); await null;
                 return Response.json('kept'); }
             const mine = new CompressionStream('gzip'); old.readable.cancel().catch(() => {});
             return Response.json(await packed(mine, 'hello') > 20); } };";
    let answers = in_turn(code, &["/keep", "/pack"]).await;
    assert_eq!(answers, ["\"kept\"", "true"]);
}

#[tokio::test]
async fn what_is_kept_gives_way_to_those_who_run_and_nobody_waits_for_ever() {
    let code = "let count = 0; export default { async fetch(request) { count++;
             if (request.url.endsWith('/stay')) await new Promise((done) => setTimeout(done, 3_600_000));
             return Response.json(count); } };";
    let project = Project::new(&[("f.js", code)]);
    let engine = Engine::new(EngineOptions {
        compile_in: CompileIn::Process,
        cache_dir: None,
        images: false,
    })
    .expect("an engine");
    let version = engine.load(&project.source("f.js")).await.expect("a version").version;
    engine.pool().narrow(2);
    let mut sandboxes: Vec<_> = (0..3).map(|_| engine.open(&version).expect("a sandbox")).collect();
    let mut counts = Vec::new();
    // The third takes the room of the first, which has been idle longest, and the first then that of the third.
    for at in [0, 1, 0, 1, 2, 1, 0] {
        let shown = show(project.invoke_in(&mut sandboxes[at], get("/")).await).await;
        counts.push(shown.split_once('\n').expect("a body").1.to_owned());
    }
    assert_eq!(counts, ["1", "1", "2", "2", "1", "3", "1"]);

    drop(sandboxes);
    let [mut one, mut two, mut third] = [(); 3].map(|()| engine.open(&version).expect("a sandbox"));
    let long = async {
        tokio::join!(
            project.invoke_in(&mut one, get("/stay")),
            project.invoke_in(&mut two, get("/stay"))
        )
    };
    let short = async {
        let mut brief = Project::new(&[("f.js", code)]);
        brief.settings.timeout = Duration::from_millis(20);
        let (outcome, _) = brief.invoke_in(&mut third, get("/")).await;
        outcome.result.expect_err("no room")
    };
    let failure = tokio::select! {
        biased;
        _ = long => panic!("they stay"),
        failure = short => failure,
    };
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.message.contains("without beginning"), "{}", failure.message);
}
