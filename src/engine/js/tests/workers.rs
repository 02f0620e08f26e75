//! The convention of Workers.

use http_body_util::BodyExt;
use serde_json::json;

use super::harness::*;
use crate::engine::{Batch, BatchSource, Event, InMessage, Reply, Scheduled};
use crate::platform::time::Time;

pub fn message(id: &str, body: &str, kind: Option<&str>) -> InMessage {
    InMessage {
        id: id.to_owned(),
        receipt: format!("receipt-{id}"),
        body: body.to_owned().into(),
        content_type: kind.map(str::to_owned),
        attributes: [("kind".to_owned(), json!("new"))].into(),
        sent_at: Time::from_millis(1_700_000_000_000),
        first_received_at: Time::from_millis(1_700_000_001_000),
        receive_count: 2,
        group: None,
    }
}

pub fn batch(messages: Vec<InMessage>) -> Event {
    Event::Batch(Batch {
        source: BatchSource::Queue("orders".into()),
        messages,
    })
}

#[tokio::test]
async fn hello() {
    let shown = serve("export default { fetch() { return new Response('hello'); } };").await;
    assert_eq!(shown, "200 content-type: text/plain;charset=UTF-8;\nhello");
}

#[tokio::test]
async fn handlers_may_be_named_exports() {
    let shown = serve("export function fetch(request) { return new Response(request.method); }").await;
    assert_eq!(shown, "200 content-type: text/plain;charset=UTF-8;\nGET");
}

#[tokio::test]
async fn request_and_response_have_all_their_parts() {
    let project = Project::new(&[(
        "f.js",
        "export default { async fetch(request, env) {
            const url = new URL(request.url);
            const body = await request.json();
            return Response.json(
                { method: request.method, url: request.url, q: url.searchParams.getAll('q'), type: request.headers.get('Content-Type'),
                  names: [...request.headers.keys()], body, env: env.GREETING, used: request.bodyUsed },
                { status: 201, headers: { 'X-Made': 'yes' } });
        } };",
    )]);
    let version = project.load("f.js").await.unwrap();
    let event = request(
        "POST",
        "/a/b?q=1&q=2",
        &[("content-type", "application/json")],
        text_body("{\"x\":[1,2]}"),
    );
    let shown = show(project.invoke(&version, event).await).await;
    assert_eq!(
        shown,
        "201 x-made: yes; content-type: application/json;\n\
         {\"method\":\"POST\",\"url\":\"http://localhost:3680/a/b?q=1&q=2\",\"q\":[\"1\",\"2\"],\"type\":\"application/json\",\
         \"names\":[\"content-type\",\"host\"],\"body\":{\"x\":[1,2]},\"env\":\"hello\",\"used\":true}"
    );
}

#[tokio::test]
async fn bodies_stream_in_and_out() {
    let project = Project::new(&[(
        "f.js",
        "export default { async fetch(request) {
            let count = 0;
            const upper = new TransformStream({ transform(chunk, controller) { count += chunk.length; controller.enqueue(chunk.map(b => b - 32)); },
                flush(controller) { controller.enqueue(new TextEncoder().encode(String(count))); } });
            return new Response(request.body.pipeThrough(upper));
        } };",
    )]);
    let version = project.load("f.js").await.unwrap();
    let chunks =
        ["abc", "def", "g"].map(|chunk| Ok(http_body::Frame::data(bytes::Bytes::from_static(chunk.as_bytes()))));
    let body = http_body_util::StreamBody::new(futures::stream::iter(chunks)).boxed_unsync();
    let shown = show(project.invoke(&version, request("POST", "/", &[], body)).await).await;
    assert_eq!(shown, "200\nABCDEFG7");
}

#[tokio::test]
async fn a_response_goes_out_before_its_body_is_complete() {
    let project = Project::new(&[(
        "f.js",
        "export default { fetch() {
            const stream = new ReadableStream({ async start(controller) {
                for (const part of ['a', 'b', 'c']) { controller.enqueue(new TextEncoder().encode(part)); await new Promise(r => setTimeout(r, 5)); }
                controller.close();
            } });
            return new Response(stream, { status: 202 });
        } };",
    )]);
    let version = project.load("f.js").await.unwrap();
    assert_eq!(show(project.invoke(&version, get("/")).await).await, "202\nabc");
}

#[tokio::test]
async fn a_stream_that_fails_breaks_the_body_and_the_invocation() {
    let shown = serve(
        "export default { fetch() { return new Response(new ReadableStream({ pull(c) { throw new Error('no more'); } })); } };",
    )
    .await;
    assert!(
        shown.starts_with("200\n<broken: no more>\nError: Error: no more"),
        "{shown}"
    );
}

#[tokio::test]
async fn work_goes_on_after_the_response() {
    let project = Project::new(&[(
        "f.js",
        "export default { fetch(request, env, ctx) {
            ctx.waitUntil((async () => { await new Promise(r => setTimeout(r, 5)); await env.ORDERS.send({ late: true }); })());
            ctx.waitUntil(Promise.reject(new Error('lost')));
            return new Response('early');
        } };",
    )]);
    let version = project.load("f.js").await.unwrap();
    assert_eq!(
        show(project.invoke(&version, get("/")).await).await,
        "200 content-type: text/plain;charset=UTF-8;\nearly"
    );
    assert_eq!(project.world.sent.lock().unwrap().len(), 1);
    assert!(
        project
            .lines()
            .iter()
            .any(|line| line.contains("uncaught in waitUntil: Error: lost"))
    );
}

/// Work begins, then the path says what becomes of the handler.
const LATE: &str = "export default {
    fetch(request, env, ctx) {
        ctx.waitUntil((async () => { await new Promise(r => setTimeout(r, 5)); await env.ORDERS.send({ late: true }); })());
        if (request.url.endsWith('/throw')) throw new Error('thrown');
        return new Response(new ReadableStream({
            pull(controller) { controller.enqueue(new Uint8Array(70_000)); },
            cancel() { console.log('cancelled'); },
        }));
    },
    scheduled(event, env, ctx) {
        ctx.waitUntil(env.ORDERS.send({ late: true }));
        throw new Error('thrown');
    },
    async queue(batch, env, ctx) {
        ctx.waitUntil((async () => { await null; await env.ORDERS.send({ late: true }); })());
        throw new Error('thrown');
    },
};";

#[tokio::test]
async fn work_goes_on_when_the_handler_throws() {
    let project = Project::new(&[("f.js", LATE)]);
    let version = project.load("f.js").await.unwrap();
    let scheduled = Event::Scheduled(Scheduled {
        name: "nightly".into(),
        schedule: "0 0 * * *".into(),
        scheduled_at: Time::from_millis(0),
    });
    for (done, event) in [get("/throw"), scheduled, batch(vec![message("1", "{}", None)])]
        .into_iter()
        .enumerate()
    {
        let (outcome, _) = project.invoke(&version, event).await;
        let failure = outcome.result.expect_err("it throws");
        assert!(failure.message.contains("thrown"), "{failure:?}");
        assert_eq!(project.world.sent.lock().unwrap().len(), done + 1);
    }
}

#[tokio::test]
async fn work_goes_on_when_the_client_goes() {
    let project = Project::new(&[("f.js", LATE)]);
    let version = project.load("f.js").await.unwrap();
    let mut sandbox = project.sandbox(&version);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let hang_up = async {
        let Ok(Reply::Http(response)) = receiver.await else {
            panic!("no response");
        };
        let first = response.into_body().frame().await;
        assert!(first.is_some_and(|frame| frame.is_ok()));
    };
    let (outcome, ()) = tokio::join!(sandbox.run(project.invocation(get("/")), sender), hang_up);
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert_eq!(project.world.sent.lock().unwrap().len(), 1);
    assert!(project.lines().iter().any(|line| line == "Info cancelled"));
}

#[tokio::test]
async fn scheduled_gets_cron_and_time() {
    let project = Project::new(&[(
        "f.js",
        "export default { async scheduled(event, env, ctx) { console.log(event.cron, event.scheduledTime, env.GREETING); } };",
    )]);
    let version = project.load("f.js").await.unwrap();
    let event = Event::Scheduled(Scheduled {
        name: "report".into(),
        schedule: "0 8 * * *".into(),
        scheduled_at: Time::from_millis(1_700_000_000_000),
    });
    assert_eq!(show(project.invoke(&version, event).await).await, "done");
    assert_eq!(project.lines(), ["Info 0 8 * * * 1700000000000 hello"]);
    assert!(
        show(project.invoke(&version, get("/")).await)
            .await
            .contains("no fetch handler (it has scheduled)")
    );
}

#[tokio::test]
async fn the_first_verdict_on_a_message_counts() {
    let project = Project::new(&[(
        "f.js",
        "export default { async queue(batch, env, ctx) {
            const [one, two, three, four] = batch.messages;
            console.log(batch.queue, one.body.n, two.body, typeof three.body, four.attempts, one.timestamp.toISOString());
            one.retry({ delaySeconds: 5 }); one.ack();
            two.ack(); two.retry();
            batch.retryAll({ delaySeconds: 1.5 });
            three.ack();
        } };",
    )]);
    let version = project.load("f.js").await.unwrap();
    let messages = vec![
        message("1", "{\"n\":1}", Some("application/json")),
        message("2", "two", Some("text/plain")),
        message("3", "3", Some("text/plain")),
        message("4", "4", None),
    ];
    let (outcome, reply) = project.invoke(&version, batch(messages)).await;
    assert!(outcome.result.is_ok(), "{outcome:?}");
    let Some(Reply::Batch(retried)) = reply else {
        panic!("no batch reply")
    };
    let seen: Vec<_> = retried
        .iter()
        .map(|retry| (retry.id.as_str(), retry.delay.map(|delay| delay.as_millis())))
        .collect();
    assert_eq!(seen, [("1", Some(5_000)), ("4", Some(1_500))]);
    assert_eq!(project.lines(), ["Info orders 1 two string 2 2023-11-14T22:13:20.000Z"]);
}

#[tokio::test]
async fn a_failed_batch_keeps_what_was_acknowledged_by_name() {
    let project = Project::new(&[(
        "f.js",
        "export default { async queue(batch) { batch.messages[0].ack(); throw new Error('second'); } };",
    )]);
    let version = project.load("f.js").await.unwrap();
    let messages = vec![message("1", "1", None), message("2", "2", None)];
    let (outcome, reply) = project.invoke(&version, batch(messages)).await;
    assert_eq!(outcome.result.unwrap_err().message, "Error: second");
    let Some(Reply::Batch(retried)) = reply else {
        panic!("no batch reply")
    };
    assert_eq!(retried.iter().map(|retry| retry.id.as_str()).collect::<Vec<_>>(), ["2"]);
}

#[tokio::test]
async fn bindings_send_and_call() {
    let project = Project::new(&[(
        "f.js",
        "export default { async fetch(request, env) {
            const { id } = await env.ORDERS.send({ n: 1 }, { delaySeconds: 3 });
            await env.ORDERS.sendBatch([{ body: 'plain' }, { body: [2], delaySeconds: 1 }]);
            await env.NEWS.publish('hi', { attributes: { plan: 'pro' } });
            const answer = await env.OTHER.fetch('http://anything/charge?x=1', { method: 'POST', body: 'pay' });
            const full = await env.FULL.send(1).catch((error) => error.message);
            return Response.json([id, answer.status, answer.headers.get('x-from'), await answer.text(), full, process.env.GREETING]);
        } };",
    )]);
    let version = project.load("f.js").await.unwrap();
    let shown = show(project.invoke(&version, get("/")).await).await;
    assert_eq!(
        shown,
        "200 content-type: application/json;\n[\"id-0\",201,\"other\",\"other POST http://anything/charge?x=1 pay\",\"the queue is full\",\"hello\"]"
    );
    let sent = project.world.sent.lock().unwrap();
    let seen: Vec<_> = sent
        .iter()
        .map(|(to, message)| {
            (
                to.as_str(),
                std::str::from_utf8(&message.body).unwrap(),
                message.content_type.as_deref(),
                message.delay.map(|d| d.as_secs()),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("orders", "{\"n\":1}", Some("application/json"), Some(3)),
            ("orders", "plain", Some("text/plain"), None),
            ("orders", "[2]", Some("application/json"), Some(1)),
            ("topic news", "hi", Some("text/plain"), None),
        ]
    );
    assert_eq!(sent[3].1.attributes["plan"], json!("pro"));
}

#[tokio::test]
async fn a_json_event_is_posted_to_fetch() {
    let project = Project::new(&[(
        "f.js",
        "export default { async fetch(request) { return Response.json({ got: await request.json(), at: new URL(request.url).pathname }); } };",
    )]);
    let version = project.load("f.js").await.unwrap();
    assert_eq!(
        show(project.invoke(&version, Event::Json(json!({"a": 1}))).await).await,
        "{\"at\":\"/\",\"got\":{\"a\":1}}"
    );
}

#[tokio::test]
async fn every_invocation_starts_afresh_and_the_seed_decides() {
    let mut project = Project::new(&[(
        "f.js",
        "let count = 0; export default { fetch() { globalThis.leak = (globalThis.leak ?? 0) + 1;
            return Response.json([++count, globalThis.leak, Math.random(), crypto.randomUUID()]); } };",
    )]);
    let version = project.load("f.js").await.unwrap();
    let first = show(project.invoke(&version, get("/")).await).await;
    let again = show(project.invoke(&version, get("/")).await).await;
    assert!(first.contains("[1,1,"), "{first}");
    assert_eq!(first, again);
    project.seed = 8;
    assert_ne!(first, show(project.invoke(&version, get("/")).await).await);
}

#[tokio::test]
async fn a_kept_sandbox_keeps_its_globals() {
    let project = Project::new(&[(
        "f.js",
        "let count = 0; export default { fetch() { return new Response(String(++count)); } };",
    )]);
    let version = project.load("f.js").await.unwrap();
    let mut sandbox = project.sandbox(&version);
    for expected in ["1", "2", "3"] {
        let shown = show(project.invoke_in(&mut sandbox, get("/")).await).await;
        assert!(shown.ends_with(&format!("\n{expected}")), "{shown}");
    }
}

#[tokio::test]
async fn a_class_has_an_instance_for_each_invocation() {
    let code = "import { WorkerEntrypoint, env, waitUntil } from 'cloudflare:workers';\n\
        export default class extends WorkerEntrypoint {\n  count = 0;\n  \
        async fetch(request) { waitUntil(Promise.resolve().then(() => console.log('later'))); return new Response([++this.count, this.env.GREETING, env.GREETING, 'GREETING' in env].join()); }\n}";
    let project = Project::new(&[("f.js", code)]);
    let version = project.loaded("f.js").await;
    let mut sandbox = project.sandbox(&version);
    for _ in 0..2 {
        let shown = show(project.invoke_in(&mut sandbox, get("/")).await).await;
        assert!(shown.ends_with("\n1,hello,hello,true"), "{shown}");
    }
    assert_eq!(project.lines(), ["Info later", "Info later"]);
}

#[tokio::test]
async fn handlers_are_found_on_prototypes_and_functions() {
    let shown = serve("class App { fetch() { return new Response('app'); } } export default new App();").await;
    assert!(shown.ends_with("\napp"), "{shown}");
    let shown = serve("const app = () => {}; app.fetch = () => new Response('function'); export default app;").await;
    assert!(shown.ends_with("\nfunction"), "{shown}");
}

#[tokio::test]
async fn what_others_have_is_refused_by_name() {
    let shown = serve("import { DurableObject } from 'cloudflare:workers';\nexport class Counter extends DurableObject {}\nexport default { fetch() {} };").await;
    assert!(
        shown.starts_with("error: TypeError: DurableObject is not in emu: keep state in a key-value store")
            && shown.contains(" at f.js:2:"),
        "{shown}"
    );
    for (specifier, says) in [
        ("cloudflare:sockets", "use `fetch` with the host in `allow_hosts`"),
        ("bun:sqlite", "choose a package that runs outside of Bun"),
        ("node:net", "a function opens no sockets"),
        ("node:http", "use `fetch`"),
        ("npm:zod", "install the package with npm"),
        ("node:nothing", "Node has no such module"),
    ] {
        let shown = serve(&format!("import x from '{specifier}';")).await;
        assert!(
            shown.contains(says) && shown.contains(" at f.js:1:15"),
            "{specifier}: {shown}"
        );
    }
}
