//! `.env`, `.env.local`, `--env-file`: what functions get of them, how changes are followed, and what never shows.

use serde_json::Value;

use crate::harness::{Emu, Project};

const API: &str = "export default {
    fetch(request, env) {
        console.log('the key is', env.API_KEY, JSON.stringify({ key: env.API_KEY }));
        if (new URL(request.url).pathname.endsWith('/fail')) throw new Error('refused ' + env.API_KEY);
        return Response.json([env.API_KEY, process.env.FROM, env.OWN, env.LISTED]);
    }
};
";

const MANIFEST: &str = "[project]
secrets = [\"LISTED\"]
[functions.api]
env = { OWN = \"own\", FROM = \"emu.toml\", LISTED = \"quite ordinary\" }
";

fn project() -> Project {
    Project::new(&[("emu.toml", MANIFEST), ("functions/api.js", API)])
}

fn answer(emu: &Emu) -> Value {
    emu.get("/api").json()
}

#[test]
fn later_files_win_and_changes_are_followed() {
    let project = project();
    project.write(".env", "API_KEY=first-key\nFROM=.env\n");
    let more = tempfile::tempdir().expect("a folder");
    let file = more.path().join("more");
    std::fs::write(&file, "FROM='--env-file'\n").expect("a file");
    let emu = project.start_with(&["--env-file", file.to_str().expect("a path")]);
    assert_eq!(
        answer(&emu),
        serde_json::json!(["first-key", "--env-file", "own", "quite ordinary"])
    );

    let changed = |step: &str, change: &dyn Fn(), expect: [&str; 2]| {
        let mark = emu.mark();
        change();
        emu.wait_from(mark, "reload", |e| e["outcome"] == "changed");
        let got = answer(&emu);
        assert_eq!([&got[0], &got[1]], expect, "{step}\n{}", emu.transcript());
    };
    let local = || emu.project.write(".env.local", "API_KEY=local-key\nFROM=.env.local");
    changed("added", &local, ["local-key", "--env-file"]);
    let outside = || std::fs::write(&file, "FROM=elsewhere\n").expect("a file");
    changed("outside of the project", &outside, ["local-key", "elsewhere"]);
    let renamed = || emu.project.write_by_rename(".env", "API_KEY=second-key\nOTHER=1\n");
    changed("saved by a rename", &renamed, ["local-key", "elsewhere"]);
    let removed = || emu.project.remove(".env.local");
    changed("removed", &removed, ["second-key", "elsewhere"]);
}

#[test]
fn a_broken_file_names_its_line_and_keeps_what_served() {
    let project = project();
    project.write(".env", "API_KEY=first-key\n");
    let emu = project.start();
    let mark = emu.mark();
    emu.project.write(".env", "FROM=x\nAPI_KEY='second' secret-key\n");
    let failed = emu.wait_from(mark, "reload", |e| e["outcome"] == "failed");
    let error = failed["error"].as_str().expect("an error");
    assert!(
        error.contains(".env:2:1") && error.contains("API_KEY=\"...\""),
        "{error}"
    );
    assert!(!error.contains("secret-key"), "{error}");
    assert_eq!(answer(&emu)[0], "first-key");

    let checked = emu.command(["validate", "--json"]);
    assert_eq!(checked.status.code(), Some(2));
    let report: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!(report["diagnostics"][0]["line"], 2, "{report}");

    emu.project.write(".env", "API_KEY=second secret-key\n");
    emu.wait_from(mark, "reload", |e| e["outcome"] == "changed");
    assert_eq!(answer(&emu)[0], "second secret-key");
}

#[test]
fn a_missing_env_file_ends_the_start() {
    let project = project();
    for command in ["dev", "validate", "invoke"] {
        let mut args = vec![command, "--env-file", "no/such.env"];
        args.extend((command == "invoke").then_some("api"));
        let output = crate::harness::emu(project.path())
            .args(args)
            .output()
            .expect("run emu");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        assert!(
            said.contains("there is no env file") && said.contains("no/such.env"),
            "{said}"
        );
    }
}

#[test]
fn secrets_show_nowhere() {
    let project = project();
    project.write(".env", "API_KEY=hunter-22-key\nFROM=visible-value\n");
    let emu = project.start();
    assert_eq!(answer(&emu)[0], "hunter-22-key", "functions have the value itself");
    let failed = emu.get("/api/fail");
    assert_eq!(failed.status, 502);
    assert!(failed.text().contains("refused [redacted]"), "{}", failed.text());
    let event = emu.wait("invocation", |e| e["outcome"] == "failed");
    assert_eq!(event["error"]["message"], "Error: refused [redacted]", "{event}");
    let log = emu.wait("log", |_| true);
    assert_eq!(log["text"], r#"the key is [redacted] {"key":"[redacted]"}"#, "{log}");
    let detail = emu.control(&format!("/_emu/invocations/{}", event["id"].as_str().expect("an id")));
    assert!(detail.to_string().contains("[redacted]"), "{detail}");
    for path in ["/_emu/invocations", "/_emu/functions", "/_emu/health"] {
        let text = emu.control(path).to_string();
        assert!(!text.contains("hunter-22"), "{path}: {text}");
    }
    assert!(!detail.to_string().contains("hunter-22"), "{detail}");

    // A module's own words when it is loaded, and a name that emu.toml lists.
    let mark = emu.mark();
    let loud = "throw new Error(`${process.env.LISTED}, ${process.env.API_KEY}, ${process.env.FROM}`);\n";
    emu.project.write("functions/api.js", loud);
    let failed = emu.wait_from(mark, "reload", |e| e["outcome"] == "failed");
    let error = failed["error"].as_str().expect("an error");
    assert!(error.contains("[redacted], [redacted], visible-value"), "{error}");
    let functions = emu.control("/_emu/functions").to_string();
    assert!(
        functions.contains("[redacted], [redacted], visible-value"),
        "{functions}"
    );
    assert!(!emu.transcript().contains("hunter-22"), "{}", emu.transcript());

    // Nor in what is kept.
    for args in [&["logs"][..], &["functions"]] {
        let said = crate::harness::emu(emu.project.path())
            .args(args)
            .output()
            .expect("run emu");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(!said.contains("hunter-22"), "{args:?}: {said}");
    }
    let project = emu.kill();
    let kept = std::fs::read_dir(project.path().join(".emu")).expect("the folder of the state");
    for file in kept
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
    {
        let bytes = std::fs::read(&file).expect("read");
        let found = bytes.windows(9).any(|part| part == b"hunter-22");
        assert!(!found, "{}", file.display());
    }
}

#[test]
fn errors_of_the_manifest_hide_what_it_calls_secret() {
    let manifest =
        "project = { secrets = [\"PASS\"] }\n[functions.api]\nenv = { PASS = \"hunter22\", \"A-B\" = \"shown\" }\n";
    let project = Project::new(&[("emu.toml", manifest), ("functions/api.js", API)]);
    let output = project.emu(["validate"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("A-B") && said.contains("PASS = \"********\""), "{said}");
    assert!(!said.contains("hunter22"), "{said}");
}
