//! The same project, seed and requests give the same event log to the byte, here and on every machine.

use std::fs;
use std::path::PathBuf;

use crate::harness::{Project, emu};

/// What is done to an example, by emu's own commands.
const ORDERS: &str = r#"
emu send orders '{"id": "a", "card": "0002", "items": [{"product": "mug", "quantity": 2}], "total_cents": 1800}'
emu publish order-placed '{"id": "b", "card": "4242", "items": [{"product": "mug", "quantity": 1}], "total_cents": 900}'
emu clock run-until-idle
emu invoke stock
emu clock advance 16m
emu queue redrive orders-dead
emu clock run-until-idle
emu fire report
emu wait --idle
"#;

const REPORT: &str = "
emu clock advance 3d
emu fire report
emu clock advance-to 2026-03-29T00:00:00Z
";

const HELLO: &str = "
emu invoke hello
emu clock advance 1h
emu invoke hello
";

fn golden(example: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/event-logs")
        .join(format!("{example}.ndjson"))
}

/// The log of one run.
fn log(example: &str, script: &str) -> String {
    let project = Project::example(example);
    let outside = tempfile::tempdir().expect("a folder");
    let file = outside.path().join("events.ndjson");
    let program = env!("CARGO_BIN_EXE_emu");
    let script = format!("set -e\nemu() {{ {program:?} \"$@\" >/dev/null; }}\n{script}");
    let run = emu(project.path())
        .args(["exec", "--clock", "manual", "--seed", "7", "--log"])
        .arg(&file)
        .args(["--", "sh", "-c", &script])
        .output()
        .expect("run emu exec");
    assert!(
        run.status.success(),
        "{example}: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    fs::read_to_string(&file).expect("the log")
}

/// Without what a new emu may count anew: instructions, and the time that they take.
fn without_durations(log: &str) -> String {
    let mut out = String::new();
    for line in log.lines() {
        let mut event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let fields = event.as_object_mut().expect("an object");
        for key in ["duration_ms", "init_ms", "billed_ms", "cost", "max_memory_mb"] {
            fields.remove(key);
        }
        out.push_str(&without_millis(&event.to_string()));
        out.push('\n');
    }
    out
}

/// `12:00:01.205Z` is `12:00:01Z`.
fn without_millis(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('.') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let is_time = after.len() > 4 && after.as_bytes()[4] == b'Z' && after[1..4].bytes().all(|b| b.is_ascii_digit());
        rest = match is_time {
            true => &after[4..],
            false => {
                out.push('.');
                &after[1..]
            }
        };
    }
    out + rest
}

/// Against the file that is kept: as a whole with `EMU_EXACT=1`, else without durations.
fn same_every_time(example: &str, script: &str) {
    let first = log(example, script);
    assert!(first.lines().count() > 4, "{first}");
    assert_eq!(first, log(example, script), "{example}: two runs differ");
    for changing in ["127.0.0.1", "\"pid\"", "startup_ms"] {
        assert!(!first.contains(changing), "{first}");
    }
    let path = golden(example);
    if std::env::var_os("EMU_UPDATE_GOLDENS").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("create it");
        fs::write(&path, &first).expect("write the golden");
        return;
    }
    let kept = fs::read_to_string(&path).expect("the golden, which EMU_UPDATE_GOLDENS=1 writes");
    match std::env::var_os("EMU_EXACT") {
        Some(_) => assert_eq!(first, kept),
        None => assert_eq!(without_durations(&first), without_durations(&kept)),
    }
}

#[test]
fn of_orders() {
    same_every_time("orders", ORDERS);
}

#[test]
fn of_scheduled_report() {
    same_every_time("scheduled-report", REPORT);
}

#[test]
fn of_hello_component() {
    same_every_time("hello-component", HELLO);
}

#[test]
fn milliseconds_are_cut_where_they_are_of_a_time() {
    assert_eq!(
        without_millis("at 12:00:01.205Z, 1.5 s, 0.123Z."),
        "at 12:00:01Z, 1.5 s, 0Z."
    );
}
