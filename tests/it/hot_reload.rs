//! Save, and the next request runs the new code.

use std::thread;

use crate::harness::{Emu, Project};

const HELLO: &str = "export default { fetch: () => new Response('one') };\n";

fn hello() -> Emu {
    Project::new(&[("functions/hello.js", HELLO)]).start()
}

fn reloaded(emu: &Emu, mark: usize, outcome: &str) -> serde_json::Value {
    emu.wait_from(mark, "reload", |e| e["outcome"] == outcome)
}

#[test]
fn a_saved_change_is_served() {
    let emu = hello();
    assert_eq!(emu.get("/hello").text(), "one");
    let mark = emu.mark();
    emu.project.edit("functions/hello.js", "one", "two");
    let reload = reloaded(&emu, mark, "changed");
    assert_eq!(
        (&reload["function"], &reload["version"]),
        (&"hello".into(), &2.into()),
        "{reload}"
    );
    assert!(
        reload["phases"].as_array().is_some_and(|phases| !phases.is_empty()),
        "{reload}"
    );
    let answer = emu.get("/hello");
    assert_eq!((answer.text().as_str(), answer.header("x-emu-start")), ("two", "cold"));
}

#[test]
fn an_editors_rename_is_seen_and_so_is_the_next_one() {
    let emu = hello();
    for text in ["two", "three"] {
        let mark = emu.mark();
        emu.project
            .write_by_rename("functions/hello.js", &HELLO.replace("one", text));
        reloaded(&emu, mark, "changed");
        assert_eq!(emu.get("/hello").text(), text);
    }
}

#[test]
fn a_broken_change_keeps_the_last_good_version() {
    let emu = hello();
    let mark = emu.mark();
    emu.project.write(
        "functions/hello.js",
        "export default {\n  fetch() { return new Response('two') \n",
    );
    let failed = reloaded(&emu, mark, "failed");
    assert_eq!(failed["serving"], true, "{failed}");
    assert!(
        failed["error"]
            .as_str()
            .is_some_and(|e| e.contains("functions/hello.js:")),
        "{failed}"
    );
    assert_eq!(emu.get("/hello").text(), "one");
    assert!(emu.control("/_emu/functions")[0]["error"].is_string());

    let mark = emu.mark();
    emu.project.write("functions/hello.js", &HELLO.replace("one", "three"));
    reloaded(&emu, mark, "changed");
    assert_eq!(emu.get("/hello").text(), "three");
}

#[test]
fn only_functions_that_import_the_changed_file_reload() {
    let importer = "import { word } from '../lib/word.js';\nexport default { fetch: () => new Response(word) };\n";
    let emu = Project::new(&[
        ("functions/hello.js", HELLO),
        ("functions/worded.js", importer),
        ("lib/word.js", "export const word = 'tea';\n"),
    ])
    .start();
    assert_eq!(emu.get("/worded").text(), "tea");
    let mark = emu.mark();
    emu.project.write("lib/word.js", "export const word = 'coffee';\n");
    reloaded(&emu, mark, "changed");
    assert_eq!(emu.get("/worded").text(), "coffee");
    assert!(
        emu.events("reload", |e| e["function"] == "hello")
            .iter()
            .all(|e| e["outcome"] == "added"),
        "{}",
        emu.transcript()
    );
}

#[test]
fn functions_come_and_go() {
    let emu = hello();
    let mark = emu.mark();
    emu.project.write("functions/new.js", &HELLO.replace("one", "new"));
    reloaded(&emu, mark, "added");
    assert_eq!(emu.get("/new").text(), "new");
    let mark = emu.mark();
    emu.project.remove("functions/new.js");
    reloaded(&emu, mark, "removed");
    assert_eq!(emu.get("/new").status, 404);
}

#[test]
fn the_manifest_is_read_again() {
    let emu = Project::new(&[
        ("emu.toml", "[functions.hello]\nsource = \"functions/hello.js\"\n"),
        ("functions/hello.js", HELLO),
    ])
    .start();
    assert_eq!(emu.get("/greeting").status, 404);
    let mark = emu.mark();
    emu.project.write(
        "emu.toml",
        "[functions.hello]\nsource = \"functions/hello.js\"\nhttp = \"GET /greeting\"\n",
    );
    emu.wait_from(mark, "notice", |e| {
        e["message"].as_str().is_some_and(|text| text.contains("emu.toml"))
    });
    assert_eq!(emu.get("/greeting").text(), "one");
    assert_eq!(emu.get("/hello").status, 404, "declared routes replace the default one");
}

#[test]
fn a_request_in_flight_finishes_on_its_version() {
    let slow = "export default { async fetch() { console.log('started'); await new Promise((done) => setTimeout(done, 1_000)); \
                return new Response('one'); } };\n";
    let emu = Project::new(&[("functions/hello.js", slow)]).start();
    thread::scope(|scope| {
        let old = scope.spawn(|| emu.get("/hello"));
        emu.wait("log", |e| e["text"] == "started");
        let mark = emu.mark();
        emu.project.write("functions/hello.js", &HELLO.replace("one", "two"));
        reloaded(&emu, mark, "changed");
        assert_eq!(emu.get("/hello").text(), "two");
        assert_eq!(old.join().expect("the old request").text(), "one");
    });
}

#[test]
fn without_watching_nothing_changes() {
    let emu = Project::new(&[("functions/hello.js", HELLO)]).start_with(&["--no-watch"]);
    emu.project.edit("functions/hello.js", "one", "two");
    assert_eq!(emu.get("/hello").text(), "one");
    assert_eq!(emu.events("reload", |e| e["outcome"] == "changed").len(), 0);
}

#[test]
fn a_package_and_a_tsconfig_are_watched_like_the_function() {
    let emu = Project::new(&[
        ("functions/api.ts", "import { text } from '@lib/text';\nimport old from 'old';\nexport default { fetch: () => new Response(text + old()) };\n"),
        ("lib/a/text.ts", "export const text: string = 'a';\n"),
        ("lib/b/text.ts", "export const text: string = 'b';\n"),
        ("tsconfig.json", "{ \"compilerOptions\": { \"paths\": { \"@lib/*\": [\"./lib/a/*\"] } } }\n"),
        ("node_modules/old/index.js", "module.exports = () => 'one';\n"),
    ])
    .start();
    assert_eq!(emu.get("/api").text(), "aone");
    let mark = emu.mark();
    emu.project.edit("tsconfig.json", "lib/a", "lib/b");
    reloaded(&emu, mark, "changed");
    assert_eq!(emu.get("/api").text(), "bone");
    let mark = emu.mark();
    emu.project
        .edit("node_modules/old/index.js", "'one'", "{ throw new TypeError('torn') }");
    reloaded(&emu, mark, "changed");
    let answer = emu.get("/api");
    assert_eq!(answer.status, 502);
    let error = &answer.json()["error"];
    assert_eq!(error["message"], "TypeError: torn");
    let stack = error["stack"].to_string();
    assert!(
        stack.contains("node_modules/old/index.js:1:") && stack.contains("functions/api.ts:3:"),
        "{stack}"
    );
}

#[test]
fn what_a_running_emulator_cannot_change_is_said() {
    let project = Project::new(&[
        ("emu.toml", "[dev]\ncold_starts = \"report\"\n"),
        (
            "functions/api.js",
            "export default { fetch() { return new Response('ok'); } };",
        ),
    ]);
    let emu = project.start();
    let mark = emu.mark();
    emu.project.write(
        "emu.toml",
        "[dev]\nport = 3999\nclock = \"x60\"\ncold_starts = \"report\"\n[history]\nmax_age = \"1d\"\n",
    );
    let notice = emu.wait_from(mark, "notice", |e| e["level"] == "warning");
    let text = notice["message"].as_str().unwrap_or_default();
    assert!(
        text.ends_with("at the next start: dev.port, dev.clock, history.max_age"),
        "{text}"
    );
}

#[test]
fn a_trigger_without_its_handler_is_a_warning_when_the_module_is_loaded() {
    let module = "export default { fetch() { return new Response('ok'); } };";
    let project = Project::new(&[
        (
            "emu.toml",
            "[functions.w]\nsource = \"functions/w.js\"\nqueue = \"q\"\ncron = \"0 8 * * *\"\n[queues.q]\n",
        ),
        ("functions/w.js", module),
    ]);
    let emu = project.start();
    let says = |part: &'static str| {
        move |e: &serde_json::Value| e["level"] == "warning" && e["message"].as_str().is_some_and(|m| m.contains(part))
    };
    emu.wait(
        "notice",
        says("w takes messages of queue q, but exports no `queue` handler"),
    );
    emu.wait("notice", says("w has a cron, but exports no `scheduled` handler"));
    let mark = emu.mark();
    emu.project.write(
        "functions/w.js",
        "export default { queue() {}, scheduled() {}, fetch() {} };",
    );
    emu.wait_from(mark, "reload", |e| e["outcome"] == "changed");
    assert_eq!(emu.events("notice", says("but exports no")).len(), 2);
}

#[test]
fn a_project_without_a_manifest_is_not_called_by_its_name() {
    let module = "export default { fetch() { return new Response('ok'); } };";
    let emu = Project::new(&[("functions/a.js", module)]).start();
    let mark = emu.mark();
    emu.project.write(".env", "A='never closed\n");
    let failed = emu.wait_from(mark, "reload", |e| e["outcome"] == "failed");
    assert_eq!(failed["function"], "the project", "{failed}");
}
