//! `emu record`: what came and was answered, as a file that `emu test` runs.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use http::Method;
use serde_json::json;

use crate::harness::{Emu, Project};

fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn command(emu: &Emu) -> Command {
    crate::harness::emu(emu.project.path())
}

fn order(emu: &Emu, card: &str) -> u16 {
    let items = json!([{ "product": "mug", "quantity": 2 }]);
    emu.post("/orders", &json!({ "card": card, "items": items }))
        .status
        .as_u16()
}

#[test]
fn a_session_becomes_a_test_that_fails_when_the_code_changes() {
    let emu = Emu::example("orders");
    assert_eq!(emu.get("/products/mug").status, 200);
    assert_eq!(order(&emu, "0001"), 202);
    assert_eq!(order(&emu, "x"), 400);
    emu.wait("invocation", |e| e["function"] == "billing");
    let recorded = emu.command(["record", "session.emu.toml", "--last", "10"]);
    let file = emu.project.read("session.emu.toml");
    assert!(recorded.status.success(), "{}\n{file}", text(&recorded));
    for part in [
        "request = \"GET /products/mug\"\nexpect.status = 200\n",
        "json = { card = \"0001\", items = [{ product = \"mug\", quantity = 2 }] }\nexpect.status = 202\n",
        "order = \"[..]\"",
        "status = \"accepted\"",
        "expect.status = 400\n",
    ] {
        assert!(file.contains(part), "{part}\n{file}");
    }
    let passed = emu.command(["test", "session.emu.toml"]);
    assert!(passed.status.success(), "{}\n{file}", text(&passed));
    emu.project.edit("functions/api.ts", "\"accepted\"", "\"taken\"");
    let failed = emu.command(["test", "session.emu.toml"]);
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed));
    assert!(text(&failed).contains("+   \"status\": \"taken\""), "{}", text(&failed));
}

const NOTES: &str = "const notes = new Map();
export default { async fetch(request, env) {
    const id = new URL(request.url).pathname.split('/')[2];
    if (request.method === 'GET') {
        const note = await env.NOTES.get(id, 'json');
        return note ? Response.json({ id, ...note }) : Response.json({ error: 'no such note' }, { status: 404 });
    }
    const made = crypto.randomUUID();
    await env.NOTES.put(made, JSON.stringify({ text: await request.text(), by: request.headers.get('authorization') ? 'me' : 'x' }));
    return Response.json({ note: made, at: new Date().toISOString() });
} };";

fn notes() -> Project {
    let manifest =
        "[functions.notes]\nsource = \"notes.js\"\nhttp = \"/notes/*\"\nbind = { NOTES = \"kv:notes\" }\n[kv.notes]\n";
    Project::new(&[("emu.toml", manifest), ("notes.js", NOTES)])
}

#[test]
fn what_an_answer_gave_is_saved_for_the_request_that_sends_it() {
    let emu = notes().start();
    let made = emu
        .request(
            Method::POST,
            "/notes/",
            &[("authorization", "Bearer s3cr3t-t0ken")],
            "hello",
        )
        .json();
    let id = made["note"].as_str().expect("an id").to_owned();
    assert_eq!(emu.get(&format!("/notes/{id}")).status, 200);
    // Of the history alone, and in a folder that is yet to be made.
    emu.control("/_emu/history?limit=1");
    let project = emu.kill();
    let recorded = project.emu(["record", "tests/notes.emu.toml", "--since", "1h"]);
    let file = project.read("tests/notes.emu.toml");
    assert!(recorded.status.success(), "{}\n{file}", text(&recorded));
    assert!(
        text(&recorded).contains("note: values of authorization are left out"),
        "{}",
        text(&recorded)
    );
    assert!(!file.contains("s3cr3t") && !file.contains(&id), "{file}");
    for part in [
        "save = { note = \"note\" }",
        "request = \"GET /notes/${note}\"",
        "authorization = \"Bearer [left out]\"",
        "text = \"hello\"",
        "at = \"[..]\"",
    ] {
        assert!(file.contains(part), "{part}\n{file}");
    }
    let passed = project.emu(["test", "tests"]);
    assert!(passed.status.success(), "{}\n{file}", text(&passed));
}

#[test]
fn what_the_outside_answered_is_in_the_file() {
    let other = Project::new(&[(
        "functions/rates.js",
        "export default { fetch: () => Response.json({ brl: 5 }) };",
    )])
    .start();
    let address = Emu::address(&other.functions_url());
    let asking = format!(
        "export default {{ async fetch() {{
            const answer = await fetch('http://{address}/rates');
            return new Response('said ' + answer.status + ' ' + (await answer.json()).brl);
        }} }};"
    );
    let manifest = format!("[functions.api]\nsource = \"api.js\"\nhttp = \"/\"\nallow_hosts = [\"{address}\"]\n");
    let emu = Project::new(&[("emu.toml", &manifest), ("api.js", &asking)]).start();
    assert_eq!(emu.get("/").text(), "said 200 5");
    drop(other);
    let recorded = emu.command(["record", "rates.emu.toml", "--last", "1"]);
    let file = emu.project.read("rates.emu.toml");
    assert!(recorded.status.success(), "{}\n{file}", text(&recorded));
    for part in [
        &format!("url = \"GET http://{address}/rates\"\nstatus = 200\n"),
        "json = { brl = 5 }",
        "expect.body = \"said 200 5\"",
    ] {
        assert!(file.contains(part), "{part}\n{file}");
    }
}

#[cfg(unix)]
#[test]
fn recording_goes_on_until_it_is_interrupted() {
    let emu = notes().start_with(&["--ephemeral"]);
    emu.request(Method::POST, "/notes/", &[], "too early");
    let mut recorder = command(&emu);
    let mut child = recorder
        .args(["record", "live.emu.toml"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("start emu record");
    let mut said = BufReader::new(child.stderr.take().expect("piped")).lines();
    let first = said.next().expect("a line").expect("text");
    assert!(first.contains("Ctrl-C"), "{first}");
    emu.request(Method::POST, "/notes/", &[], "while it records");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("interrupt the recorder");
    let rest: Vec<String> = said.map_while(Result::ok).collect();
    let status = child.wait().expect("its end");
    assert!(status.success(), "{rest:?}");
    let file = emu.project.read("live.emu.toml");
    assert!(
        file.contains("while it records") && !file.contains("too early"),
        "{file}"
    );
}

#[test]
fn messages_of_a_functions_queue_are_its_too_also_without_an_emulator() {
    let emu = Project::new(&[
        (
            "emu.toml",
            "[functions.worker]\nsource = \"worker.js\"\nqueue = \"jobs\"\n[queues.jobs]\n[queues.others]\n",
        ),
        ("worker.js", "export default { queue() {} };"),
    ])
    .start();
    emu.control_post("/_emu/queues/others/messages", &json!({"body": "not for the worker"}));
    emu.control_post("/_emu/queues/jobs/messages", &json!({"body": "for the worker"}));
    emu.wait("invocation", |event| event["function"] == "worker");
    // Whoever asks the database is answered after all that was before.
    emu.control("/_emu/history?limit=1");
    let served = emu.command(["record", "served.emu.toml", "--last", "5", "--function", "worker"]);
    assert!(served.status.success(), "{}", text(&served));
    let project = emu.kill();
    let alone = project.emu(["record", "alone.emu.toml", "--last", "5", "--function", "worker"]);
    assert!(alone.status.success(), "{}", text(&alone));
    for file in ["served.emu.toml", "alone.emu.toml"] {
        let file = project.read(file);
        assert!(
            file.contains("for the worker") && !file.contains("not for the worker"),
            "{file}"
        );
    }
}

#[test]
fn mistakes_are_told() {
    let emu = notes().start();
    for (args, part) in [
        (vec!["record", "session.toml"], "help: call it session.emu.toml"),
        (
            vec!["record", "a.emu.toml", "--last", "3"],
            "nothing came from outside in this time",
        ),
        (vec!["record", "a.emu.toml", "--since", "soon"], "since: "),
        (
            vec!["record", "a.emu.toml", "--last", "3", "--function", "note"],
            "did you mean notes?",
        ),
    ] {
        let output = command(&emu).args(&args).output().expect("run emu");
        assert!(
            !output.status.success() && text(&output).contains(part),
            "{args:?}: {}",
            text(&output)
        );
    }
    emu.project.write("there.emu.toml", "");
    let output = emu.command(["record", "there.emu.toml", "--last", "3"]);
    assert!(text(&output).contains("is there already"), "{}", text(&output));
}
