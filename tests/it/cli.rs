//! The command line itself: help, bad usage, exit codes, words when nothing runs, and each command against a running
//! emulator.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::harness::{Emu, Project, emu};

const HELLO: &str = "export default { fetch: () => { console.log('greeting'); return new Response('hello'); } };";

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Runs `emu` in an empty folder.
fn plain(args: &[&str]) -> Output {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    emu(folder.path())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("run emu")
}

#[test]
fn help_teaches() {
    let run = plain(&["--help"]);
    assert_eq!(run.status.code(), Some(0));
    let (help, _) = text(&run);
    for part in [
        "Run:",
        "Make things happen:",
        "dev ",
        "exec ",
        "Examples:",
        "Exit codes:",
        "125",
        "EMU_CONTROL_URL",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
    for command in [
        "dev",
        "exec",
        "invoke",
        "send",
        "publish",
        "fire",
        "load",
        "status",
        "functions",
        "ps",
        "queue",
        "crons",
        "logs",
        "bill",
        "new",
        "validate",
        "schema",
        "cache",
        "completions",
    ] {
        let run = plain(&[command, "--help"]);
        assert_eq!(run.status.code(), Some(0), "{command}");
        assert!(text(&run).0.contains("--control-url"), "{command}");
    }
}

#[test]
fn wrong_usage_is_status_2_and_says_what_was_meant() {
    for args in [
        &["dve"][..],
        &["dev", "--port", "http"],
        &["dev", "--clock", "fast"],
        &["dev", "--cold-starts", "maybe"],
        &["dev", "no-such-folder"],
        &["dev", "--quiet", "--verbose"],
        &["send", "orders"],
        &["exec"],
        &["load", "api", "--rate", "0"],
        &["load", "api", "--duration", "soon"],
        &["ps", "--control-url", "https://127.0.0.1:1"],
        &["--log-level", "=,=", "ps"],
    ] {
        let run = plain(args);
        let (out, err) = text(&run);
        assert_eq!(run.status.code(), Some(2), "{args:?}: {err}");
        assert_eq!(out, "", "{args:?}");
        assert!(err.starts_with("error"), "{args:?}: {err}");
    }
    assert!(text(&plain(&["invok"])).1.contains("invoke"));
}

#[test]
fn a_folder_without_a_project_is_status_2() {
    let run = plain(&["dev"]);
    assert_eq!(run.status.code(), Some(2));
    let (out, err) = text(&run);
    assert_eq!(out, "");
    assert!(err.contains("emu.toml") && err.contains("functions"), "{err}");
}

#[test]
fn commands_say_what_to_start_when_nothing_runs() {
    for args in [
        &["ps"][..],
        &["status"],
        &["functions"],
        &["queue"],
        &["crons"],
        &["bill"],
        &["logs"],
        &["send", "orders", "{}"],
        &["publish", "news", "{}"],
        &["fire", "report"],
        &["load", "api"],
    ] {
        let run = plain(args);
        let (out, err) = text(&run);
        assert_eq!(run.status.code(), Some(1), "{args:?}: {err}");
        assert_eq!(out, "", "{args:?}");
        assert!(
            err.contains("emu dev") && err.contains("--control-url"),
            "{args:?}: {err}"
        );
    }
    // A port of its own that nobody listens on any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let run = plain(&["ps", "--control-url", &url]);
    assert_eq!(run.status.code(), Some(1));
    assert!(text(&run).1.contains(&url), "{run:?}");
}

#[test]
fn the_run_file_of_a_killed_emulator_is_explained() {
    let run_file = r#"{"functions_url":"http://127.0.0.1:1","control_url":"http://127.0.0.1:1","pid":4242}"#;
    let project = Project::new(&[("functions/hello.js", HELLO), (".emu/run.json", run_file)]);
    let run = project.emu(["ps"]);
    assert_eq!(run.status.code(), Some(1));
    let (_, err) = text(&run);
    assert!(err.contains("4242") && err.contains("start it again"), "{err}");
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = plain(&["completions", shell]);
        assert_eq!(run.status.code(), Some(0), "{shell}");
        let (out, _) = text(&run);
        assert!(out.contains("invoke") && out.contains("cold-starts"), "{shell}");
    }
}

#[test]
fn the_cache_has_a_folder() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let cache = folder.path().join("compiled");
    let run = |action: &str| {
        let run = emu(folder.path())
            .env("EMU_CACHE_DIR", &cache)
            .args(["cache", action])
            .output()
            .expect("run emu");
        assert_eq!(run.status.code(), Some(0), "{run:?}");
        text(&run).0
    };
    assert_eq!(run("dir").trim_end(), cache.display().to_string());
    assert!(run("clear").starts_with("removed 0 files"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let mut child = emu(folder.path())
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run emu");
    drop(child.stdout.take());
    let run = child.wait_with_output().expect("its end");
    assert_eq!((run.status.code(), text(&run).1.as_str()), (Some(0), ""));
}

/// A running project with something of everything.
fn shop() -> Emu {
    let manifest = r#"
[functions.api]
source = "functions/api.js"
http = ["GET /orders/{id}", "POST /orders"]

[functions.billing]
source = "functions/billing.js"
queue = "orders"

[functions.report]
source = "functions/report.js"
cron = "0 8 * * *"

[functions.welcome]
source = "functions/welcome.js"
topic = "signup"

[queues.orders]
[queues.later]
[topics.signup]
"#;
    let echo = "export const handler = async (event) => { console.log('got', JSON.stringify(event.id ?? null)); \
                if (event.fail) throw new Error('as asked'); return { id: event.id ?? null }; };";
    let quiet = "export default { fetch: () => new Response('ok'), queue(batch) { console.log('charged', \
                 batch.messages.length); }, scheduled() { console.log('reported'); } };";
    Project::new(&[
        ("emu.toml", manifest),
        ("functions/api.js", quiet),
        ("functions/billing.js", quiet),
        ("functions/report.js", quiet),
        ("functions/welcome.js", quiet),
        ("functions/echo.js", echo),
    ])
    .start()
}

fn ok<const N: usize>(emu: &Emu, args: [&str; N]) -> String {
    let run = emu.project.emu(args);
    assert_eq!(run.status.code(), Some(0), "{args:?}: {run:?}");
    text(&run).0
}

fn json<const N: usize>(emu: &Emu, args: [&str; N]) -> Value {
    let out = ok(emu, args);
    assert_eq!(out.lines().count(), 1, "one line: {out}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}: {out}"))
}

#[test]
fn commands_look_at_a_running_emulator() {
    let emu = shop();
    assert!(ok(&emu, ["status"]).contains("5 functions"));
    assert_eq!(json(&emu, ["status", "--json"])["cold_starts"], "report");
    let functions = ok(&emu, ["functions"]);
    for part in ["GET /orders/{id}", "queue orders", "topic signup", "cron 0 8 * * *"] {
        assert!(functions.contains(part), "{part}: {functions}");
    }
    assert!(ok(&emu, ["crons"]).contains("08:00 UTC"));
    assert!(ok(&emu, ["queue"]).contains("billing"));
    assert!(ok(&emu, ["queue", "show", "orders"]).contains("consumer"));
    assert!(ok(&emu, ["ps"]).contains("scaled to zero"));
    for list in ["functions", "crons", "ps"] {
        assert!(json(&emu, [list, "--json"]).is_array(), "{list}");
    }
    assert_eq!(json(&emu, ["queue", "ls", "--json"]).as_array().map(Vec::len), Some(2));
    assert_eq!(json(&emu, ["bill", "--json"])["provider"], "aws-lambda");
    assert!(ok(&emu, ["bill", "--provider", "gcp-functions"]).contains("Google"));
}

#[test]
fn commands_make_things_happen() {
    let emu = shop();
    let id = ok(&emu, ["send", "orders", r#"{"id": 7}"#]);
    assert!(!id.trim().is_empty());
    emu.wait("log", |e| e["function"] == "billing" && e["text"] == "charged 1");
    ok(
        &emu,
        ["publish", "signup", r#"{"plan": "pro"}"#, "--attribute", "source=web"],
    );
    emu.wait("log", |e| e["function"] == "welcome" && e["text"] == "charged 1");
    ok(&emu, ["fire", "report"]);
    emu.wait("log", |e| e["function"] == "report" && e["text"] == "reported");
    ok(&emu, ["send", "later", "text", "--delay", "15m"]);
    assert_eq!(json(&emu, ["queue", "show", "later", "--json"])["delayed"], 1);
    ok(&emu, ["queue", "purge", "later"]);
    emu.wait("invocation", |e| e["function"] == "report");
    let logs = ok(&emu, ["logs"]);
    assert!(logs.contains("charged 1") && logs.contains("reported"), "{logs}");
    let only = ok(&emu, ["logs", "report"]);
    assert!(only.contains("reported") && !only.contains("charged"), "{only}");
    assert!(ok(&emu, ["ps"]).contains("report"));
}

#[test]
fn unknown_names_get_the_nearest_one() {
    let emu = shop();
    for (args, near) in [
        (["send", "ordesr", "{}"], "orders"),
        (["publish", "singup", "{}"], "signup"),
        (["fire", "reprot", "--json"], "report"),
        (["invoke", "ecoh", "--json"], "echo"),
    ] {
        let run = emu.project.emu(args);
        let (out, err) = text(&run);
        assert_eq!((run.status.code(), out.as_str()), (Some(1), ""), "{args:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains(near), "{args:?}: {err}");
    }
}

#[test]
fn invoke_answers_on_stdout_and_fails_with_1() {
    let emu = shop();
    let run = emu.project.emu(["invoke", "echo", "--event", r#"{"id": 7}"#]);
    let (out, err) = text(&run);
    assert_eq!(run.status.code(), Some(0), "{err}");
    assert_eq!(
        serde_json::from_str::<Value>(&out).expect("JSON"),
        serde_json::json!({"id": 7})
    );
    assert!(err.contains("got 7") && err.contains("billed"), "{err}");
    let run = emu.project.emu(["invoke", "echo", "--event", r#"{"fail": true}"#]);
    let (out, err) = text(&run);
    assert_eq!((run.status.code(), out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("as asked") && err.contains("functions/echo.js"), "{err}");
    let run = emu.project.emu(["invoke", "echo", "--event", "no-such-file.json"]);
    assert_eq!(run.status.code(), Some(2));
}

#[test]
fn invoke_needs_no_running_emulator() {
    let project = Project::new(&[("functions/hello.js", HELLO)]);
    let run = project.emu(["invoke", "hello"]);
    let (out, err) = text(&run);
    assert_eq!(run.status.code(), Some(0), "{err}");
    assert!(out.contains("hello"), "{out}");
    assert!(err.contains("greeting"), "{err}");
    let run = project.emu(["invoke", "helo"]);
    assert_eq!(run.status.code(), Some(1));
    assert!(text(&run).1.contains("did you mean hello?"), "{run:?}");
    project.write("functions/hello.js", "export default {");
    let run = project.emu(["invoke", "hello"]);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert!(text(&run).1.contains("functions/hello.js"), "{run:?}");
}

#[test]
fn load_measures_what_it_sent() {
    let emu = shop();
    let result = json(
        &emu,
        ["load", "/orders/1", "--rate", "100", "--duration", "300ms", "--json"],
    );
    assert_eq!(result["sent"], 30, "{result}");
    assert_eq!(result["ok"], 30, "{result}");
    assert!(result["cost"].as_f64().is_some_and(|cost| cost > 0.0), "{result}");
    assert!(result["cold"].as_u64().is_some_and(|cold| cold >= 1), "{result}");
    let words = ok(
        &emu,
        [
            "load",
            "api",
            "--rate",
            "50",
            "--duration",
            "200ms",
            "--pattern",
            "burst",
        ],
    );
    assert!(words.contains("lower bound") && words.contains("p99"), "{words}");
    let run = emu.project.emu(["load", "billing", "--duration", "1s"]);
    assert_eq!(run.status.code(), Some(1));
    assert!(text(&run).1.contains("emu send"), "{run:?}");
}

#[test]
fn a_project_that_does_not_build_stops_exec_before_the_command() {
    let project = Project::new(&[("functions/bad.js", "export default {")]);
    let marker = project.path().join("ran");
    let run = emu(project.path())
        .args(["exec", "--", "touch"])
        .arg(&marker)
        .output()
        .expect("run emu exec");
    assert_eq!(run.status.code(), Some(125), "{run:?}");
    assert!(text(&run).1.contains("functions/bad.js"), "{run:?}");
    assert!(!marker.exists());
    project.write("emu.toml", "nonsense");
    let run = project.emu(["exec", "--", "touch", "ran"]);
    assert_eq!(run.status.code(), Some(125), "{run:?}");
}

#[cfg(unix)]
#[test]
fn exec_gives_the_command_its_surroundings_and_its_status_back() {
    let project = Project::new(&[("functions/hello.js", HELLO)]);
    let script = "test -n \"$EMU_CONTROL_URL\" && test \"$EMU_SEED\" = 7 && echo \"$EMU_URL\"; exit 3";
    let run = project.emu(["exec", "--seed", "7", "--", "sh", "-c", script]);
    let (out, _) = text(&run);
    assert_eq!(run.status.code(), Some(3), "{run:?}");
    assert!(out.starts_with("http://127.0.0.1:"), "{out}");
    let run = project.emu(["exec", "--", "sh", "-c", "kill -KILL $$"]);
    assert_eq!(run.status.code(), Some(128 + 9), "{run:?}");
    // A failing command shows what the functions said, a good one does not.
    let program = env!("CARGO_BIN_EXE_emu");
    for (end, shown) in [("exit 1", true), ("exit 0", false)] {
        let run = project.emu([
            "exec",
            "--",
            "sh",
            "-c",
            &format!("{program} invoke hello >&2 2>&-; {end}"),
        ]);
        assert_eq!(text(&run).1.contains("greeting"), shown, "{end}: {run:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_command_of_exec_ends_with_emu() {
    use std::io::{BufRead as _, BufReader, Read as _};

    let project = Project::new(&[("functions/hello.js", HELLO)]);
    let mut command: Command = emu(project.path());
    // The command holds the pipe open until it ends itself.
    let mut child = command
        .args(["exec", "--", "sh", "-c", "echo ready; exec sleep 600"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("run emu exec");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("the command's word");
    assert_eq!(line, "ready\n");
    child.kill().expect("kill emu");
    child.wait().expect("emu's end");
    // Returns only when the last writer is gone.
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("the pipe's end");
    assert_eq!(rest, "");
}

#[test]
fn people_s_lines_go_to_stderr_with_a_stable_ready_line() {
    use std::io::{BufRead as _, BufReader};

    let project = Project::new(&[("functions/hello.js", HELLO)]);
    let mut child = emu(project.path())
        .args(["dev", "--port", "0", "--control-port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start emu");
    let mut err = BufReader::new(child.stderr.take().expect("piped"));
    let mut head = String::new();
    let ready = loop {
        let mut line = String::new();
        assert_ne!(
            err.read_line(&mut line).expect("stderr"),
            0,
            "ended before it was ready: {head}"
        );
        if line.starts_with("emu ready in ") {
            break line;
        }
        head.push_str(&line);
    };
    assert!(head.contains("  hello  http://127.0.0.1:"), "{head}");
    let words: Vec<&str> = ready.split_whitespace().collect();
    assert_eq!(words.len(), 9, "{ready}");
    assert_eq!((words[5], words[7]), ("functions", "control"), "{ready}");
    assert!(
        words[6].starts_with("http://127.0.0.1:") && words[8].starts_with("http://127.0.0.1:"),
        "{ready}"
    );
    child.kill().expect("kill emu");
    let run = child.wait_with_output().expect("its end");
    assert_eq!(text(&run).0, "", "stdout is for data");
}

#[test]
fn ndjson_ends_with_its_reader() {
    use std::io::{BufRead as _, BufReader};

    let project = Project::new(&[("functions/hello.js", HELLO)]);
    let mut child = emu(project.path())
        .args(["dev", "--port", "0", "--control-port", "0", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("start emu");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let ready: Value = loop {
        let mut line = String::new();
        assert_ne!(
            out.read_line(&mut line).expect("stdout"),
            0,
            "ended before it was ready"
        );
        let event: Value = serde_json::from_str(&line).expect("one JSON object a line");
        if event["event"] == "ready" {
            break event;
        }
    };
    drop(out);
    let address = Emu::address(ready["functions_url"].as_str().expect("a URL"));
    crate::harness::raw(
        &address,
        "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(child.wait().expect("its end").code(), Some(0));
}

#[test]
fn a_start_time_needs_a_clock_that_can_begin_there() {
    let project = Project::new(&[("functions/hello.js", HELLO)]);
    let refused = project.emu(["dev", "--start-time", "2026-03-29T00:00:00Z"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused).1.contains("add --clock manual"), "{refused:?}");
    let manual = [
        "invoke",
        "hello",
        "--clock",
        "manual",
        "--start-time",
        "2026-03-29T00:00:00Z",
    ];
    assert!(project.emu(manual).status.success());
}

#[test]
fn following_the_log_of_an_emulator_that_is_killed_fails() {
    use std::io::{BufRead as _, BufReader};

    let emu = Project::new(&[("functions/hello.js", HELLO)]).start();
    emu.get("/hello");
    let mut child = crate::harness::emu(emu.project.path())
        .args(["logs", "-f"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run emu");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    assert_ne!(out.read_line(&mut line).expect("stdout"), 0, "it shows what has been");
    drop(emu.kill());
    let run = child.wait_with_output().expect("its end");
    assert_eq!(run.status.code(), Some(1));
    assert!(text(&run).1.contains("the emulator is gone"), "{run:?}");
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_is_a_warning() {
    let project = Project::new(&[("functions/hello.js", HELLO)]);
    let link = project.path().join("functions/gone.js");
    std::os::unix::fs::symlink("nowhere.js", link).expect("linked");
    let checked = project.emu(["validate"]);
    let said = text(&checked).1;
    assert!(checked.status.success(), "{said}");
    assert!(
        said.contains("functions/gone.js is a symbolic link to a file that is not there"),
        "{said}"
    );
}

#[test]
fn types_are_not_asked_for_where_no_function_is_a_script() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = emu(folder.path())
        .args(["new", "--template", "component", "c"])
        .output();
    assert!(made.expect("run emu").status.success());
    let checked = emu(&folder.path().join("c"))
        .args(["types", "--check"])
        .output()
        .expect("run emu");
    assert!(checked.status.success(), "{checked:?}");
    let script = Project::new(&[("functions/hello.js", HELLO)]);
    assert_eq!(script.emu(["types", "--check"]).status.code(), Some(1));
}
