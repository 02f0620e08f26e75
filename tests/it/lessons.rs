//! `emu lesson` as a student uses it. That the texts hold their figures is tested beside the code.

use serde_json::json;

use crate::harness::Project;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_lesson_is_listed_shown_and_taken_home() {
    let project = Project::new(&[]);
    let list = text(&project.emu(["lesson"]).stdout);
    assert!(
        list.contains("limits") && list.contains("\"It scales without limit.\" Does it?"),
        "{list}"
    );

    let shown = project.emu(["lesson", "limits", "--lang", "pt"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let shown = text(&shown.stdout);
    assert!(shown.starts_with("\"Escala sem limite.\" Será?\n"), "{shown}");
    assert!(shown.contains("max_concurrency  requests  refused"), "{shown}");
    assert!(
        shown.contains("Erlang") && !shown.contains("{{") && !shown.contains("<!--"),
        "{shown}"
    );

    let written = project.emu(["lesson", "limits", "--write", "mine"]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    let again = project.emu(["simulate", "mine/limits.sim.toml", "--replications", "1"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(
        project
            .read("mine/lesson.md")
            .contains("--sweep max_concurrency=8,10,15,20")
    );

    project.edit("mine/limits.sim.toml", "rate = \"20/s\"", "rate = \"30/s\"");
    let refused = project.emu(["lesson", "limits", "--write", "mine"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        project.read("mine/limits.sim.toml").contains("30/s"),
        "what was changed is kept"
    );

    let unknown = project.emu(["lesson", "limit"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        text(&unknown.stderr).contains("did you mean `limits`?"),
        "{}",
        text(&unknown.stderr)
    );
}

#[test]
fn the_counter_of_the_lesson_forgets_and_remembers() {
    let project = Project::new(&[]);
    assert!(project.emu(["lesson", "stateless", "--write", "."]).status.success());
    let emu = project.start();
    for stored in 1..=3 {
        assert_eq!(emu.get("/").json(), json!({"inMemory": 1, "stored": stored}));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_box_of_the_lesson_changes_where_the_code_does() {
    let project = Project::new(&[]);
    assert!(project.emu(["lesson", "packaging", "--write", "box"]).status.success());
    let package = |more: &[&str]| -> serde_json::Value {
        let mut emu = crate::harness::emu(project.path());
        emu.args([
            "--project",
            "box",
            "package",
            "-o",
            "whole",
            "--json",
            "--compression",
            "none",
        ]);
        let run = emu.args(more).output().expect("run emu");
        assert!(run.status.success(), "{}", text(&run.stderr));
        serde_json::from_slice(&run.stdout).expect("JSON")
    };
    let digests = |report: &serde_json::Value| -> Vec<String> {
        let layers = report["packages"][0]["layers"].as_array().expect("layers").iter();
        layers.map(|layer| layer["digest"].to_string()).collect()
    };
    let first = package(&[]);
    assert_eq!(first, package(&[]));
    project.edit("box/lib/products.js", "price: 9", "price: 10");
    let changed = package(&[]);
    let (before, after) = (digests(&first), digests(&changed));
    assert_eq!(before[..before.len() - 1], after[..after.len() - 1]);
    assert_ne!(before.last(), after.last());
    assert_eq!(
        package(&["--per-function"])["packages"].as_array().map(Vec::len),
        Some(3)
    );
}
