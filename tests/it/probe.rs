//! `emu probe`: leaks and repeated effects are found and named, clean functions are left alone.

use serde_json::Value;

use crate::harness::Project;

const MANIFEST: &str = r#"
[functions.leaky]
source = "functions/leaky.js"
http = ["GET /leaky/{id}"]

[functions.clean]
source = "functions/clean.js"
http = ["GET /clean/{id}", "PUT /clean/{id}"]
bind = { CARTS = "kv:carts", ORDERS = "queue:orders", TWIN = "function:leaky" }

[functions.adds]
source = "functions/adds.js"
queue = "orders"
bind = { CARTS = "kv:carts", NEWS = "topic:news" }

[functions.careful]
source = "functions/careful.js"
topic = "news"
bind = { CARTS = "kv:carts", NEWS = "topic:news" }

[functions.count]
source = "count.wat"
http = ["GET /count"]

[queues.orders]
[topics.news]
[kv.carts]
"#;

/// Counts, remembers who asked last, and draws an id and a day once.
const LEAKY: &str = r#"
let hits = 0;
let last;
const instance = crypto.randomUUID();
const loaded = new Date().toISOString();
console.log("loading");
export default {
  async fetch(request) {
    const before = last;
    last = new URL(request.url).pathname;
    console.log(`hit ${++hits}`);
    return Response.json({ id: crypto.randomUUID(), now: Date.now(), before, instance, loaded });
  },
};
"#;

/// Takes time, draws by lot, keeps only what is drawn anew anyway.
const CLEAN: &str = r#"
const pool = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()];
export default {
  async fetch(request, env) {
    const path = new URL(request.url).pathname;
    await new Promise((done) => setTimeout(done, 2));
    const twin = await env.TWIN.fetch("http://twin/leaky/9");
    await env.CARTS.put(path, JSON.stringify({ path, at: Date.now() }));
    if (request.method === "GET") await env.ORDERS.send({ path, id: crypto.randomUUID() });
    return Response.json({ path, twin: twin.status, id: pool.pop() ?? crypto.randomUUID(), took: performance.now() });
  },
};
"#;

const ADDS: &str = r#"
export default {
  async queue(batch, env) {
    for (const message of batch.messages) {
      const sum = Number(await env.CARTS.get("sum") ?? 0) + message.body.id;
      await env.CARTS.put("sum", String(sum));
      await env.NEWS.send({ sum });
    }
  },
};
"#;

const CAREFUL: &str = r#"
export default {
  async queue(batch, env) {
    for (const { id, body } of batch.messages) {
      if (await env.CARTS.get(`done:${id}`)) continue;
      await env.CARTS.put(`done:${id}`, new Date().toISOString());
      await env.NEWS.send(body);
    }
  },
};
"#;

fn project() -> Project {
    let project = Project::new(&[
        ("emu.toml", MANIFEST),
        ("functions/leaky.js", LEAKY),
        ("functions/clean.js", CLEAN),
        ("functions/adds.js", ADDS),
        ("functions/careful.js", CAREFUL),
    ]);
    project.write("count.wat", include_str!("../../fixtures/wasm/count.wat"));
    project
}

/// The exit code and the report.
fn probe<const N: usize>(project: &Project, args: [&str; N]) -> (i32, Value) {
    let output = project.emu(args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = serde_json::from_str(&text);
    let report = report.unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().expect("it ends"), report)
}

/// `kind event place` of each difference.
fn found(report: &Value) -> Vec<String> {
    let differences = report["differences"].as_array().expect("a list");
    let text = |difference: &Value, key: &str| difference[key].as_str().expect("text").to_owned();
    let one = |difference: &Value| {
        format!(
            "{} {} {}",
            text(difference, "kind"),
            text(difference, "event"),
            text(difference, "place")
        )
    };
    differences.iter().map(one).collect()
}

#[test]
fn state_that_leaks_is_named_and_what_is_drawn_anew_is_not() {
    let project = project();
    let (code, report) = probe(&project, ["probe", "leaky", "--json"]);
    assert_eq!(code, 1, "{report}");
    let expect = [
        "kept GET /leaky/1 body.before",
        "kept GET /leaky/1 log line 2",
        "stale GET /leaky/1 body.instance",
        "stale GET /leaky/1 body.loaded",
        "kept GET /leaky/2 body.before",
        "kept GET /leaky/2 log line 2",
        "stale GET /leaky/2 body.instance",
        "stale GET /leaky/2 body.loaded",
    ];
    let mut names = found(&report);
    names.sort();
    let mut expect = expect.map(str::to_owned).to_vec();
    expect.sort();
    assert_eq!(names, expect, "{report}");
    let text = String::from_utf8_lossy(&project.emu(["probe", "leaky"]).stdout).into_owned();
    assert!(text.contains("GET /leaky/2  body.before  -"), "{text}");
    assert!(text.contains("isolation = \"instance\""), "{text}");
    assert!(!project.path().join(".emu").exists(), "nothing durable is touched");
}

#[test]
fn what_only_draws_by_lot_and_time_is_clean() {
    let (code, report) = probe(&project(), ["probe", "clean", "--json"]);
    assert_eq!((code, found(&report)), (0, Vec::new()), "{report}");
    let answers: Vec<_> = report["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|event| &event["outcome"])
        .collect();
    assert_eq!(answers, ["200"; 4], "{report}");
}

#[test]
fn a_handler_that_adds_is_not_idempotent_and_one_that_notes_ids_is() {
    let project = project();
    let event = r#"[{"message": {"id": 5}}]"#;
    let (code, report) = probe(&project, ["probe", "adds", "--event", event, "--json"]);
    assert_eq!(code, 1, "{report}");
    let name = "repeated message of queue orders";
    assert_eq!(
        found(&report),
        [format!("{name} kv carts sum"), format!("{name} message to topic news")]
    );
    let sum = &report["differences"][0];
    assert_eq!(
        (&sum["expected"], &sum["found"]),
        (&"5".into(), &"10".into()),
        "{report}"
    );
    let (code, report) = probe(&project, ["probe", "careful", "--json"]);
    assert_eq!((code, found(&report)), (0, Vec::new()), "{report}");
}

#[test]
fn a_command_is_never_warm_and_a_component_is() {
    let project = project();
    let (code, report) = probe(&project, ["probe", "count", "--json"]);
    assert_eq!((code, &report["warm"]), (0, &Value::Bool(false)), "{report}");
    let said = project.emu(["probe", "count"]);
    assert!(
        String::from_utf8_lossy(&said.stdout).contains("A command runs once"),
        "{said:?}"
    );

    let hello = Project::example("hello-component");
    let (code, report) = probe(&hello, ["probe", "hello", "--json"]);
    assert_eq!((code, &report["warm"]), (0, &Value::Bool(true)), "{report}");
}

#[test]
fn mistakes_are_told() {
    let project = project();
    let said = |output: std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said(project.emu(["probe", "leeky"])).contains("did you mean leaky?"));
    let wrong = project.emu(["probe", "adds", "--event", r#"{"request": "GET /"}"#]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(wrong).contains("has no routes"));
    project.write("functions/leaky.js", "export default { fetch( }");
    let broken = project.emu(["probe", "leaky"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(said(broken).contains("functions/leaky.js:1:"), "the place is named");
}
