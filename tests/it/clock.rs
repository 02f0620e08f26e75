//! Time under control: one clock over everything, which stands still until somebody moves it.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, Emu, Project};

const MANIFEST: &str = r#"
[functions.api]
source = "functions/api.js"
http = ["/*"]
timeout = "60s"
bind = { JOBS = "queue:jobs", SEEN = "kv:seen", OTHER = "function:other" }

[functions.other]
source = "functions/other.js"

[functions.worker]
source = "functions/worker.js"
queue = { from = "jobs", batch_size = 1 }

[functions.tick]
source = "functions/tick.js"
cron = "0 * * * *"

[queues.jobs]
visibility_timeout = "30s"
max_receives = 3
dead_letter = "jobs-dead"

[queues.jobs-dead]

[kv.seen]
"#;

const API: &str = r#"
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const began = Date.now();
    switch (url.pathname) {
      case "/sleep": await sleep(Number(url.searchParams.get("ms"))); break;
      case "/send": await env.JOBS.send({ fail: url.searchParams.has("fail") }); break;
      case "/spin": for (;;);
      case "/other": return env.OTHER.fetch("http://other/");
      case "/both": {
        const order = [];
        await Promise.all([3, 1, 2].map(async (n) => { await sleep(n * 1000); order.push(n); }));
        return Response.json(order);
      }
      case "/stream": {
        const body = new ReadableStream({
          async start(out) {
            for (const part of ["a", "b", "c"]) { out.enqueue(new TextEncoder().encode(part)); await sleep(5000); }
            out.close();
          },
        });
        return new Response(body);
      }
    }
    return Response.json({ began, ended: Date.now(), random: Math.random(), host: request.headers.get("host"), agent: request.headers.get("user-agent") });
  },
};
"#;

const OTHER: &str = "export default { async fetch() { await new Promise((done) => setTimeout(done, 2000)); return new Response(`other at ${Date.now()}`); } };";
const WORKER: &str = "export default { async queue(batch) { console.log(`job at ${new Date().toISOString()}`); if (batch.messages[0].body.fail) throw new Error('no'); } };";
const TICK: &str = "export default { async scheduled(event) { console.log(`tick at ${new Date().toISOString()}`); } };";

fn project() -> Project {
    Project::new(&[
        ("emu.toml", MANIFEST),
        ("functions/api.js", API),
        ("functions/other.js", OTHER),
        ("functions/worker.js", WORKER),
        ("functions/tick.js", TICK),
    ])
}

fn start() -> Emu {
    project().start_with(&["--clock", "manual", "--seed", "7"])
}

fn go(emu: &Emu, body: &Value) -> Answer {
    emu.control_post("/_emu/clock", body)
}

fn moved(emu: &Emu, body: &Value) -> Value {
    let answer = go(emu, body);
    assert_eq!(answer.status, StatusCode::OK, "{body}: {}", answer.text());
    answer.json()
}

fn code(answer: &Answer) -> String {
    answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
}

fn now(emu: &Emu) -> String {
    emu.control("/_emu/clock")["now"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn an_advance_serves_each_deadline_at_its_own_instant() {
    let emu = start();
    assert_eq!(now(&emu), "2026-01-01T00:00:00.000Z");
    let answer = moved(&emu, &json!({ "advance": "3h30m" }));
    assert_eq!(answer["now"], "2026-01-01T03:30:00.000Z", "{answer}");
    assert_eq!(
        answer["invocations"]["tick"],
        json!({ "ran": 3, "failed": 0 }),
        "{answer}"
    );
    emu.wait("log", |e| e["text"].as_str().is_some_and(|text| text.contains("T03:")));
    let texts: Vec<String> = emu
        .events("log", |e| e["function"] == "tick")
        .iter()
        .map(|e| e["text"].as_str().unwrap_or_default()[..24].to_owned())
        .collect();
    assert_eq!(
        texts,
        [
            "tick at 2026-01-01T01:00",
            "tick at 2026-01-01T02:00",
            "tick at 2026-01-01T03:00"
        ]
    );
    // The core's deadlines are on the same clock: the instance of the last run has been idle for too long by now.
    assert_eq!(emu.control("/_emu/instances"), json!([]));
}

#[test]
fn a_request_pulls_the_clock_to_its_own_end_and_what_is_due_before_that_comes_first() {
    let emu = start();
    moved(&emu, &json!({ "advance": "59m50s" }));
    let answer = emu.get("/sleep?ms=20000").json();
    let took = answer["ended"].as_u64().unwrap() - answer["began"].as_u64().unwrap();
    assert!((20_000..20_100).contains(&took), "{answer}");
    let run = emu.wait("invocation", |e| e["function"] == "api");
    let ticks = emu.events("invocation", |e| e["function"] == "tick");
    assert_eq!(ticks.len(), 1, "the cron of 01:00 was in between");
    assert!(run["duration_ms"].as_f64().unwrap() >= 20_000.0, "{run}");
    assert!(now(&emu).starts_with("2026-01-01T01:00:1"), "{}", now(&emu));
}

#[test]
fn what_waits_in_a_guest_comes_in_the_order_of_its_time() {
    let emu = start();
    assert_eq!(emu.get("/both").json(), json!([1, 2, 3]));
    let streamed = emu.get("/stream");
    assert_eq!(streamed.text(), "abc");
    let other = emu.get("/other");
    assert!(other.text().starts_with("other at 17672256"), "{}", other.text());
}

#[test]
fn a_spinning_guest_ends_by_its_fuel_at_the_same_instant_each_time() {
    let emu = project().start_with(&["--clock", "manual", "--seed", "7"]);
    emu.project.edit("emu.toml", "timeout = \"60s\"", "timeout = \"2s\"");
    emu.wait("notice", |e| {
        e["message"].as_str().is_some_and(|m| m.contains("project changed"))
    });
    let answer = emu.get("/spin");
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{}", answer.text());
    let run = emu.wait("invocation", |e| e["outcome"] == "timed_out");
    assert_eq!(now(&emu), "2026-01-01T00:00:02.000Z", "{run}");
}

/// The guest itself does next to nothing here: what counts is what the host does for it while it stands still.
#[test]
fn a_guest_that_keeps_the_host_busy_ends_at_the_same_instant_each_time() {
    let project = project();
    project.write(
        "emu.toml",
        &format!("{MANIFEST}\n[functions.hash]\nsource = \"functions/hash.js\"\ntimeout = \"2s\"\n"),
    );
    project.write(
        "functions/hash.js",
        "import { pbkdf2Sync } from 'node:crypto';
         export default { fetch() { for (;;) pbkdf2Sync('p', 's', 20000, 32, 'sha256'); } };",
    );
    let emu = project.start_with(&["--clock", "manual", "--seed", "7"]);
    let answer = emu.get("/hash");
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{}", answer.text());
    let run = emu.wait("invocation", |e| e["outcome"] == "timed_out");
    assert_eq!(now(&emu), "2026-01-01T00:00:02.000Z", "{run}");
}

#[test]
fn a_standing_clock_with_future_work_is_not_idle_and_says_what_moves_it() {
    let emu = start();
    assert_eq!(emu.control("/_emu/idle")["idle"], true);
    emu.get("/send?fail");
    let answer = crate::harness::request(
        http::Method::GET,
        &format!("{}/_emu/idle?timeout=60s", emu.control_url()),
        &[],
        String::new(),
    );
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text());
    assert_eq!(code(&answer), "clock-stands-still");
    assert!(answer.text().contains("run_until_idle"), "{}", answer.text());
    // What ran has come to its end: the message is hidden until its visibility timeout is over.
    assert_eq!(emu.control("/_emu/queues/jobs")["in_flight"], 1);
    let answer = moved(&emu, &json!({ "run_until_idle": true }));
    assert_eq!(
        answer["invocations"]["worker"],
        json!({ "ran": 2, "failed": 2 }),
        "{answer}"
    );
    assert_eq!(answer["dead_letters"], 1, "{answer}");
    assert!(
        answer["now"].as_str().unwrap().starts_with("2026-01-01T00:01:"),
        "{answer}"
    );
    assert_eq!(emu.control("/_emu/idle")["idle"], true);
}

#[test]
fn a_cron_is_no_pending_work_unless_a_bound_is_given() {
    let emu = start();
    let answer = moved(&emu, &json!({ "run_until_idle": true }));
    assert_eq!(answer["now"], "2026-01-01T00:00:00.000Z", "{answer}");
    let answer = moved(&emu, &json!({ "run_until_idle": "2h30m" }));
    assert_eq!(answer["now"], "2026-01-01T02:30:00.000Z", "{answer}");
    assert_eq!(answer["invocations"]["tick"]["ran"], 2, "{answer}");
}

#[test]
fn zero_is_no_move_the_past_is_refused_and_a_runaway_is_bounded() {
    let emu = start();
    let answer = moved(&emu, &json!({ "advance": "0s" }));
    assert_eq!(answer["from"], answer["now"], "{answer}");
    let answer = go(&emu, &json!({ "advance_to": "2025-12-31T23:59:59Z" }));
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::BAD_REQUEST, "clock-in-the-past")
    );
    let answer = go(&emu, &json!({ "advance": "87600h", "max_invocations": 50 }));
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::CONFLICT, "clock-too-much")
    );
    assert!(answer.text().contains("most of tick (4"), "{}", answer.text());
    // It stands where it came to, and goes on from there.
    assert!(now(&emu).starts_with("2026-01-03T02:00:00"), "{}", now(&emu));
    for wrong in [
        json!({}),
        json!({ "advance": "1m", "run_until_idle": true }),
        json!({ "advance": "soon" }),
    ] {
        assert_eq!(go(&emu, &wrong).status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[test]
fn a_real_clock_cannot_be_moved_and_is_waited_for() {
    let emu = project().start();
    let answer = go(&emu, &json!({ "advance": "1m" }));
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::CONFLICT, "clock-not-manual")
    );
    emu.get("/send");
    assert_eq!(emu.control("/_emu/idle?timeout=30s")["idle"], true);
    let ran = emu.control("/_emu/invocations?function=worker");
    assert_eq!(ran.as_array().map(Vec::len), Some(1), "{ran}");
}

#[test]
fn a_reset_leads_to_the_same_again() {
    let emu = start();
    let round = || {
        let mark = emu.mark();
        let mut answers = vec![emu.get("/sleep?ms=1234").text(), emu.get("/send?fail").text()];
        moved(&emu, &json!({ "advance": "1h" }));
        answers.push(emu.get("/other").text());
        emu.wait_from(mark, "invocation", |e| e["function"] == "other");
        let events = emu
            .events("invocation", |_| true)
            .into_iter()
            .chain(emu.events("message", |_| true));
        (answers, events.collect::<Vec<Value>>(), emu.control("/_emu/bill"))
    };
    let first = round();
    assert_eq!(emu.control_post("/_emu/reset", &json!({})).status, StatusCode::OK);
    assert_eq!(now(&emu), "2026-01-01T00:00:00.000Z");
    assert_eq!(emu.control("/_emu/invocations"), json!([]));
    let second = round();
    assert_eq!(first.0, second.0);
    assert_eq!(first.2, second.2);
    let (count, again) = (first.1.len(), second.1.len());
    assert_eq!(again, 2 * count, "{:?}", second.1);
}

#[test]
fn requests_with_numbers_are_taken_in_their_order_and_clients_look_the_same() {
    let emu = start();
    let url = emu.functions_url();
    let ask = |number: &str, agent: &str| {
        let headers = [("x-emu-sequence", number), ("user-agent", agent)];
        crate::harness::request(http::Method::GET, &format!("{url}/now"), &headers, String::new())
    };
    let began = |answer: &Answer| answer.json()["began"].as_u64().expect("a time");
    let (second, first) = std::thread::scope(|scope| {
        let second = scope.spawn(|| ask("2", "curl/8"));
        let first = scope.spawn(|| ask("1", "python/3"));
        (second.join().expect("no panic"), first.join().expect("no panic"))
    });
    assert!(began(&first) < began(&second), "{} {}", first.text(), second.text());
    for answer in [&first, &second] {
        let seen = answer.json();
        assert_eq!(
            (&seen["host"], &seen["agent"]),
            (&json!("localhost"), &json!("emu")),
            "{seen}"
        );
    }
    let again = ask("2", "curl/8");
    assert_eq!(
        (again.status, code(&again).as_str()),
        (StatusCode::CONFLICT, "bad-sequence")
    );
}

#[test]
fn a_barrier_waits_for_what_one_request_led_to_and_for_nothing_else() {
    for clock in ["real", "manual"] {
        let emu = project().start_with(&["--clock", clock, "--ephemeral"]);
        let failing = emu.get("/send?fail");
        let fine = emu.get("/send");
        let idle = |answer: &Answer, timeout: &str| {
            let id = answer.header("x-emu-invocation");
            let url = format!("{}/_emu/idle?timeout={timeout}&caused_by={id}", emu.control_url());
            crate::harness::request(http::Method::GET, &url, &[], String::new())
        };
        let answer = idle(&fine, "60s");
        assert_eq!(answer.status, StatusCode::OK, "{clock}: {}", answer.text());
        let answer = idle(&failing, "1ms");
        assert_ne!(
            answer.status,
            StatusCode::OK,
            "{clock}: its message comes again: {}",
            answer.text()
        );
        let worker = emu.control("/_emu/invocations?function=worker");
        assert!(worker.to_string().contains("succeeded"), "{clock}: {worker}");
    }
}

#[test]
fn an_advance_over_a_clock_change_fires_once_for_each_local_time_that_there_is() {
    let emu = project().start_with(&["--clock", "manual", "--start-time", "2026-03-28T12:00:00Z"]);
    let cron = "cron = { schedule = \"30 2 * * *\", timezone = \"Europe/Berlin\" }";
    emu.project.edit("emu.toml", "cron = \"0 * * * *\"", cron);
    emu.wait("notice", |e| {
        e["message"].as_str().is_some_and(|m| m.contains("project changed"))
    });
    // 02:30 of the 29th is skipped by the clocks, so there are the 30th and the 31st.
    let answer = moved(&emu, &json!({ "advance_to": "2026-03-31T12:00:00Z" }));
    assert_eq!(answer["invocations"]["tick"]["ran"], 2, "{answer}");
    let answer = moved(
        &emu,
        &json!({ "advance_to": "2026-10-24T12:00:00Z", "max_invocations": 1000 }),
    );
    assert_eq!(answer["invocations"]["tick"]["ran"], 207, "{answer}");
    // 02:30 comes twice in the night to the 25th.
    let answer = moved(&emu, &json!({ "advance": "1d" }));
    assert_eq!(answer["invocations"]["tick"]["ran"], 1, "{answer}");
}

#[test]
fn the_clock_stands_still_while_a_request_to_the_outside_is_under_way() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let manifest =
        format!("{MANIFEST}\n[functions.out]\nsource = \"functions/out.js\"\nallow_hosts = [\"127.0.0.1:{port}\"]\n");
    let out = format!(
        "export default {{ async fetch() {{ const began = Date.now(); const answer = await fetch('http://127.0.0.1:{port}/'); \
         return Response.json({{ took: Date.now() - began, text: await answer.text() }}); }} }};"
    );
    let project = project();
    project.write("emu.toml", &manifest);
    project.write("functions/out.js", &out);
    let emu = project.start_with(&["--clock", "manual"]);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| emu.get("/out"));
        let (mut peer, _) = listener.accept().expect("the function's request");
        // The advance waits for it, however far it goes.
        let advance = scope.spawn(|| moved(&emu, &json!({ "advance": "2h30m" })));
        assert_eq!(now(&emu), "2026-01-01T00:00:00.000Z");
        let mut buffer = [0; 1024];
        let _ = std::io::Read::read(&mut peer, &mut buffer).expect("a request");
        std::io::Write::write_all(&mut peer, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere").expect("sent");
        let answer = asked.join().expect("no panic").json();
        assert_eq!(answer["text"], "here", "{answer}");
        assert!(answer["took"].as_u64().is_some_and(|ms| ms < 50), "{answer}");
        assert_eq!(advance.join().expect("no panic")["invocations"]["tick"]["ran"], 2);
    });
}

#[test]
fn a_guest_that_sleeps_while_it_sends_moves_the_clock() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let manifest = format!(
        "{MANIFEST}\n[functions.out]\nsource = \"functions/out.js\"\ntimeout = '5m'\nallow_hosts = [\"127.0.0.1:{port}\"]\n"
    );
    // Beside it a timer, which must not come before the answer does.
    let out = format!(
        "const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
         export default {{ async fetch() {{
           const began = Date.now();
           const body = new ReadableStream({{ async start(out) {{
             for (const part of ['a', 'b', 'c']) {{ out.enqueue(new TextEncoder().encode(part)); await sleep(20000); }}
             out.close();
           }} }});
           const late = sleep(200000).then(() => 'late');
           const answer = fetch('http://127.0.0.1:{port}/', {{ method: 'POST', body, duplex: 'half' }}).then((answer) => answer.text());
           return Response.json({{ text: await Promise.race([answer, late]), took: Date.now() - began }});
         }} }};"
    );
    let project = project();
    project.write("emu.toml", &manifest);
    project.write("functions/out.js", &out);
    let emu = project.start_with(&["--clock", "manual"]);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| emu.get("/out"));
        let (mut peer, _) = listener.accept().expect("the function's request");
        let mut sent = Vec::new();
        while !sent.ends_with(b"0\r\n\r\n") {
            let mut buffer = [0; 1024];
            let read = std::io::Read::read(&mut peer, &mut buffer).expect("more of the request");
            assert!(read > 0, "{}", String::from_utf8_lossy(&sent));
            sent.extend_from_slice(&buffer[..read]);
        }
        std::io::Write::write_all(&mut peer, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere").expect("sent");
        let answer = asked.join().expect("no panic").json();
        assert_eq!(answer["text"], "here", "{answer}");
        assert!(
            answer["took"].as_u64().is_some_and(|ms| (60_000..60_100).contains(&ms)),
            "{answer}"
        );
    });
}

#[test]
fn files_of_guests_have_the_times_of_the_clock() {
    let guest = std::fs::read_to_string("fixtures/wasm/file-times.wat").expect("the fixture");
    let look = || {
        let project = Project::new(&[
            (
                "emu.toml",
                "[functions.files]\nsource = 'files.wat'\nmemory = '128MB'\n",
            ),
            ("files.wat", &guest),
        ]);
        let emu = project.start_with(&["--clock", "manual", "--start-time", "2026-01-01T00:00:00Z"]);
        let answer = emu.control_post("/_emu/functions/files/invoke", &json!({})).json();
        let times = answer["response"].as_array().cloned().unwrap_or_default();
        let nanos = |time: &Value| u64::from_str_radix(time.as_str().unwrap_or_default(), 16).ok();
        let times: Vec<u64> = times.iter().filter_map(nanos).collect();
        assert_eq!(times.len(), 4, "{answer}");
        times
    };
    let times = look();
    let start = 1_767_225_600_000_000_000;
    assert!((start..start + 1_000_000_000).contains(&times[0]), "{times:?}");
    assert_eq!(times[0], times[1], "nobody has changed it");
    assert!(
        times[2] > times[0] + 1_000_000,
        "changed a million steps later: {times:?}"
    );
    assert_eq!(times[3], 12_345, "set by the guest");
    assert_eq!(times, look(), "the same on another day");
}

#[test]
fn the_commands_move_the_clock_and_wait() {
    let emu = start();
    let said = |out: std::process::Output| (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned());
    let (status, text) = said(emu.command(["clock", "advance", "61m"]));
    assert_eq!(status, Some(0));
    assert!(
        text.contains("2026-01-01T00:00:00.000Z -> 2026-01-01T01:01:00.000Z\ntick: 1 invocation\n"),
        "{text}"
    );
    assert!(
        said(emu.command(["clock"]))
            .1
            .starts_with("2026-01-01T01:01:00.000Z (manual)")
    );
    emu.get("/send?fail");
    let waited = emu.command(["wait", "--idle", "--timeout", "60s"]);
    let error = String::from_utf8_lossy(&waited.stderr);
    assert_eq!(waited.status.code(), Some(1), "{error}");
    assert!(error.contains("run_until_idle"), "{error}");
    let (status, text) = said(emu.command(["clock", "run-until-idle"]));
    assert_eq!(status, Some(0));
    assert!(text.contains("1 dead letter"), "{text}");
    assert_eq!(said(emu.command(["wait", "--idle"])).0, Some(0));
    assert_eq!(
        said(emu.command(["clock", "advance-to", "2026-01-01T00:00:00Z"])).0,
        Some(1)
    );
}
