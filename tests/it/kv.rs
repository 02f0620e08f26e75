//! Key-value stores: from a function, over a restart, by the command line.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Emu, Project, emu};

const MANIFEST: &str = r#"
[functions.visits]
source = "functions/visits.js"
bind = { VISITS = "kv:visits" }

[functions.ops]
source = "functions/ops.js"
bind = { KV = "kv:carts" }

[kv.visits]

[kv.carts]
ttl = "2h"
"#;

const VISITS: &str = r"
export default {
  async fetch(request, env) {
    const count = Number(await env.VISITS.get('count')) + 1;
    await env.VISITS.put('count', String(count));
    return new Response(`visit ${count}`);
  },
};
";

/// Runs the body it is sent as a function of the store.
const OPS: &str = r"
import { cases } from './cases.js';
export default {
  async fetch(request, env) {
    const name = new URL(request.url).searchParams.get('case');
    try {
      return Response.json((await cases[name](env.KV)) ?? null);
    } catch (error) {
      return Response.json({ error: `${error.name}: ${error.message}` });
    }
  },
};
";

const CASES: &str = r"
export const cases = {
  async types(kv) {
    await kv.put('text', 'h\u00e9llo');
    await kv.put('json', JSON.stringify({ a: [1] }));
    await kv.put('bytes', new Uint8Array([0, 255, 7]).subarray(1), { metadata: { kind: 'raw' } });
    await kv.put('buffer', new Uint8Array([1, 2]).buffer);
    const bytes = await kv.getWithMetadata('bytes', 'arrayBuffer');
    return {
      text: await kv.get('text'),
      json: await kv.get('json', 'json'),
      object: await kv.get('json', { type: 'json' }),
      bytes: [...new Uint8Array(bytes.value)],
      metadata: bytes.metadata,
      buffer: (await kv.get('buffer', 'arrayBuffer')).byteLength,
      stream: await new Response(await kv.get('text', 'stream')).text(),
      none: await kv.get('nothing'),
      noneWith: (await kv.getWithMetadata('nothing')).metadata,
    };
  },
  async large(kv) {
    const bytes = new Uint8Array(300_000).map((_, at) => at % 251);
    await kv.put('large', bytes);
    const back = new Uint8Array(await kv.get('large', 'arrayBuffer'));
    return back.length === bytes.length && back.every((byte, at) => byte === at % 251);
  },
  async pages(kv) {
    for (const name of ['c', 'a', 'b']) await kv.put(`page:${name}`, name, { metadata: name });
    await kv.put('other', 'x');
    const first = await kv.list({ prefix: 'page:', limit: 2 });
    const second = await kv.list({ prefix: 'page:', limit: 2, cursor: first.cursor });
    await kv.delete('page:a');
    const rest = await kv.list({ prefix: 'page:' });
    return {
      first: first.keys.map((key) => `${key.name}=${key.metadata}`),
      complete: [first.list_complete, second.list_complete],
      second: second.keys.map((key) => key.name),
      rest: rest.keys.map((key) => key.name),
      expires: rest.keys.every((key) => key.expiration > Date.now() / 1000 + 7000),
    };
  },
  badType: (kv) => kv.get('text', 'xml'),
  badKey: (kv) => kv.put('k'.repeat(513), 'v'),
  badValue: (kv) => kv.put('k', { a: 1 }),
  badTtl: (kv) => kv.put('k', 'v', { expirationTtl: -1 }),
  past: (kv) => kv.put('k', 'v', { expiration: 1000 }),
};
";

fn project() -> Project {
    Project::new(&[
        ("emu.toml", MANIFEST),
        ("functions/visits.js", VISITS),
        ("functions/ops.js", OPS),
        ("functions/cases.js", CASES),
    ])
}

fn case(emu: &Emu, name: &str) -> Value {
    let answer = emu.get(&format!("/ops?case={name}"));
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

fn printed(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn values_outlive_the_emulator() {
    let emu = project().start();
    assert_eq!(emu.get("/visits").text(), "visit 1");
    assert_eq!(emu.get("/visits").text(), "visit 2");
    let emu = emu.kill().start();
    assert_eq!(emu.get("/visits").text(), "visit 3");
    assert_eq!(emu.control("/_emu/kv/visits/value?key=count")["value"], "3");
}

#[test]
fn functions_read_write_and_list() {
    let emu = project().start();
    assert_eq!(
        case(&emu, "types"),
        json!({
            "text": "h\u{e9}llo", "json": {"a": [1]}, "object": {"a": [1]}, "bytes": [255, 7],
            "metadata": {"kind": "raw"}, "buffer": 2, "stream": "h\u{e9}llo", "none": null, "noneWith": null,
        })
    );
    assert_eq!(case(&emu, "large"), true);
    assert_eq!(
        case(&emu, "pages"),
        json!({
            "first": ["page:a=a", "page:b=b"], "complete": [false, true], "second": ["page:c"],
            "rest": ["page:b", "page:c"], "expires": true,
        })
    );
    for (name, says) in [
        (
            "badType",
            "TypeError: a value is read as text, json, arrayBuffer, stream",
        ),
        ("badKey", "a key has at most 512 bytes, this one 513"),
        ("badValue", "JSON.stringify"),
        ("badTtl", "expirationTtl is a number of seconds above 0"),
        ("past", "would expire at once"),
    ] {
        let error = case(&emu, name)["error"].to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
}

#[test]
fn values_expire_by_the_clock_of_the_emulator() {
    let emu = project().start_with(&["--clock", "x600"]);
    for (key, ttl) in [("short", "1m"), ("long", "1000h")] {
        let put = emu.control_post(
            "/_emu/kv/carts/put",
            &json!({"key": key, "value": "v", "ttl": ttl, "metadata": 1}),
        );
        assert!(put.status.is_success(), "{}", put.text());
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    let keys = loop {
        let list = emu.control("/_emu/kv/carts");
        if list["keys"].as_array().map(Vec::len) != Some(2) || Instant::now() > deadline {
            break list["keys"].clone();
        }
    };
    assert_eq!(
        (keys.as_array().map(Vec::len), &keys[0]["name"]),
        (Some(1), &json!("long"))
    );
    assert!(keys[0]["expires_at"].is_string() && keys[0]["metadata"] == 1, "{keys}");
    let gone = emu.command(["kv", "get", "carts", "short"]);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    assert!(
        String::from_utf8_lossy(&gone.stderr).contains("no key \"short\""),
        "{gone:?}"
    );
}

#[test]
fn the_command_line_reads_and_writes() {
    let emu = project().start();
    assert_eq!(
        printed(&emu.command(["kv", "put", "visits", "a/b?c", "one", "--ttl", "10m"])),
        "put a/b?c\n"
    );
    printed(&emu.command(["kv", "put", "visits", "a", "two", "--metadata", "{\"by\": \"me\"}"]));
    printed(&emu.command(["kv", "put", "visits", "b", "three"]));
    assert_eq!(printed(&emu.command(["kv", "get", "visits", "a/b?c"])), "one");
    let list: Value = serde_json::from_str(&printed(
        &emu.command(["kv", "ls", "visits", "--prefix", "a", "--json"]),
    ))
    .expect("JSON");
    assert_eq!(list[0], json!({"name": "a", "metadata": {"by": "me"}}));
    assert_eq!(
        (&list[1]["name"], list[1]["expires_at"].is_string()),
        (&json!("a/b?c"), true)
    );
    assert!(list[2].is_null(), "{list}");
    let table = printed(&emu.command(["kv"]));
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows[1..],
        [vec!["carts", "0", "2", "h"], vec!["visits", "3", "-"]],
        "{table}"
    );
    printed(&emu.command(["kv", "rm", "visits", "a"]));
    let keys = printed(&emu.command(["kv", "ls", "visits"]));
    assert!(keys.contains("a/b?c") && keys.lines().count() == 3, "{keys}");

    let wrong = emu.command(["kv", "get", "visit", "a"]);
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(
        wrong.status.code() == Some(1) && said.contains("did you mean visits?"),
        "{wrong:?}"
    );
}

#[test]
fn bytes_pass_through_the_command_line() {
    let running = project().start();
    let bytes = [0_u8, 255, 10, 13, 128];
    let mut put = emu(running.project.path())
        .args(["kv", "put", "visits", "raw", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("start emu");
    let mut stdin = put.stdin.take().expect("piped");
    stdin.write_all(&bytes).expect("write");
    drop(stdin);
    assert!(put.wait().expect("emu's status").success());
    assert_eq!(running.command(["kv", "get", "visits", "raw"]).stdout, bytes);
}

#[test]
fn a_component_uses_its_store() {
    let component = include_str!("../../fixtures/wasm/keyvalue.wat");
    let manifest = format!(
        "{MANIFEST}[functions.counter]\nsource = \"functions/counter.wat\"\nbind = {{ VISITS = \"kv:visits\" }}\n"
    );
    let emu = Project::new(&[
        ("emu.toml", &manifest),
        ("functions/visits.js", VISITS),
        ("functions/ops.js", OPS),
        ("functions/cases.js", CASES),
        ("functions/counter.wat", component),
    ])
    .start();
    assert_eq!(emu.get("/visits").text(), "visit 1");
    for sum in ["6", "11"] {
        let run = emu.command(["invoke", "counter"]);
        assert!(run.status.success(), "{run:?}");
        assert_eq!(emu.control("/_emu/kv/visits/value?key=count")["value"], sum);
    }
    assert_eq!(emu.control("/_emu/kv/visits/value?key=by")["value"], "component");
    let text = emu.control_post("/_emu/kv/visits/put", &json!({"key": "count", "value": "many"}));
    assert!(text.status.is_success(), "{}", text.text());
    assert!(
        !emu.command(["invoke", "counter"]).status.success(),
        "it cannot add to a text"
    );
}

#[test]
fn a_component_reads_and_writes_several_keys_at_once() {
    let manifest = "[kv.visits]\n[functions.many]\nsource = \"many.wat\"\nbind = { VISITS = \"kv:visits\" }\n";
    let component = include_str!("../../fixtures/wasm/keyvalue-batch.wat");
    let emu = Project::new(&[("emu.toml", manifest), ("many.wat", component)]).start();
    let run = emu.command(["invoke", "many"]);
    assert!(run.status.success(), "{run:?}");
    let keys = emu.control("/_emu/kv/visits");
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(1), "{keys}");
    assert_eq!(emu.control("/_emu/kv/visits/value?key=b")["value"], "22");
}

#[test]
fn a_binding_to_no_store_is_refused() {
    let validate = |manifest: &str| {
        let run = Project::new(&[("emu.toml", manifest), ("functions/visits.js", VISITS)]).emu(["validate"]);
        (run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned())
    };
    let function = "[functions.visits]\nbind = { VISITS = \"kv:visit\" }\n";
    let (code, said) = validate(&format!("{function}[kv.visits]\n"));
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("there is no key-value store `visit`") && said.contains("did you mean `visits`?"),
        "{said}"
    );
    let (_, said) = validate(function);
    assert!(said.contains("declare it with `[kv.visit]`"), "{said}");
    let (_, said) = validate("[kv.visits]\nttl = \"0s\"\n");
    assert!(said.contains("expire at once"), "{said}");
    let (_, said) = validate("[kv.visits]\nexpiration = \"5s\"\n");
    assert!(said.contains("did you mean `ttl`?"), "{said}");
}
