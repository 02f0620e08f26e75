//! What `emu new` makes runs as its README says, and the commands that look at a project without running it.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::Project;

/// `emu new` into the project's folder.
fn made(template: &str) -> Project {
    let project = Project::new(&[]);
    let run = project.emu(["new", ".", "--template", template]);
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(stderr(&run).contains("emu dev"), "{}", stderr(&run));
    project
}

fn stderr(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}

fn stdout(run: &Output) -> String {
    String::from_utf8_lossy(&run.stdout).into_owned()
}

#[test]
fn js_greets() {
    let emu = made("js").start();
    assert_eq!(emu.get("/hello/emu").json(), json!({"message": "Hello, emu!"}));
    assert_eq!(emu.get("/hello").json(), json!({"message": "Hello, world!"}));
}

#[test]
fn ts_routes_by_itself_and_answers_pages_of_its_origin() {
    let emu = made("ts").start();
    assert_eq!(emu.get("/hello/a%20b").json(), json!({"message": "Hello, a b!"}));
    assert_eq!(
        emu.request(http::Method::POST, "/echo", &[], "anything").text(),
        "anything"
    );
    assert_eq!(emu.get("/nowhere").status, 404);
    let origin = [("origin", "http://localhost:5173")];
    let answer = emu.request(http::Method::GET, "/hello", &origin, "");
    assert_eq!(answer.header("access-control-allow-origin"), "http://localhost:5173");
}

#[test]
fn cron_reports_when_fired_and_when_asked() {
    let emu = made("cron").start();
    assert!(emu.get("/report").text().ends_with(": nothing to report\n"));
    let fired = emu.command(["fire", "report"]);
    assert!(fired.status.success(), "{}", stderr(&fired));
    emu.wait("log", |log| log.to_string().contains("nothing to report"));
}

#[test]
fn queue_works_orders_off_and_gives_up_on_the_hopeless() {
    let project = made("queue");
    // As it stands it takes 20 s of waiting to give up.
    project.edit(
        "emu.toml",
        "visibility_timeout = \"10s\"",
        "visibility_timeout = \"0s\"",
    );
    let emu = project.start();
    let accepted = emu.post("/orders", &json!({"product": "tea"}));
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let id = accepted.json()["id"].as_str().expect("an id").to_owned();
    emu.wait("log", |log| log.to_string().contains(&format!("order {id}: done")));
    assert_eq!(emu.post("/orders", &json!({"fail": true})).status, 202);
    emu.wait("message", |message| message.to_string().contains("dead"));
    assert_eq!(emu.request(http::Method::POST, "/orders", &[], "{").status, 400);
}

#[test]
fn chatbot_has_a_page_and_answers() {
    let emu = made("chatbot").start();
    assert!(emu.get("/").text().contains("<title>Emu</title>"));
    let said = json!({"messages": [{"role": "user", "content": "Hello"}]});
    let answer = emu.post("/chat", &said).json();
    assert_eq!(answer["messages"][1]["role"], "assistant");
    assert_eq!(
        answer["messages"][1]["content"],
        "Hello! I am Emu. What can I do for you?"
    );
    assert_eq!(emu.post("/chat", &json!({"messages": []})).status, 400);
}

#[test]
fn new_refuses_a_folder_with_files() {
    let project = Project::new(&[("mine.txt", "mine")]);
    let run = project.emu(["new", "."]);
    assert_eq!(run.status.code(), Some(2), "{}", stderr(&run));
    assert!(stderr(&run).contains("--force"), "{}", stderr(&run));
}

#[test]
fn validate_names_every_problem_for_people_and_programs() {
    let manifest = "[functions.api]\nmemroy = \"1GB\"\nqueue = \"ordres\"\n\n[queues.orders]\n";
    let project = Project::new(&[("emu.toml", manifest), ("functions/api.js", "")]);
    let run = project.emu(["validate"]);
    assert_eq!(run.status.code(), Some(2));
    for expected in [
        "emu.toml:2:1",
        "did you mean `memory`?",
        "emu.toml:3:9",
        "did you mean `orders`?",
        "2 errors",
    ] {
        assert!(stderr(&run).contains(expected), "{expected} in\n{}", stderr(&run));
    }
    assert_eq!(stdout(&run), "");
    let run = project.emu(["validate", "--json"]);
    assert_eq!(run.status.code(), Some(2));
    let report: Value = serde_json::from_str(&stdout(&run)).expect("JSON");
    assert_eq!(report["valid"], false);
    assert_eq!(report["diagnostics"][0]["line"], 2);
    assert_eq!(report["diagnostics"][1]["column"], 9);
    assert_eq!(report["diagnostics"][1]["file"], "emu.toml");
}

#[test]
fn validate_can_be_strict_about_warnings() {
    let project = Project::new(&[("functions/api.js", ""), ("functions/other.py", "")]);
    assert!(project.emu(["validate"]).status.success());
    assert_eq!(project.emu(["validate", "--strict"]).status.code(), Some(2));
}

#[test]
fn schema_and_completions_are_printed() {
    let project = Project::new(&[]);
    let schema: Value = serde_json::from_str(&stdout(&project.emu(["schema"]))).expect("JSON");
    assert_eq!(schema["title"], "emu.toml");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&project.emu(["completions", shell]));
        assert!(script.contains("validate"), "{shell}");
    }
}

#[test]
fn a_broken_manifest_keeps_dev_from_starting_and_says_all() {
    let project = Project::new(&[
        ("emu.toml", "[dev]\nport = 99999\nclock = \"fast\"\n"),
        ("functions/a.js", ""),
    ]);
    let run = project.emu(["dev"]);
    assert_eq!(run.status.code(), Some(2), "{}", stderr(&run));
    assert!(
        stderr(&run).contains("emu.toml:2:8") && stderr(&run).contains("emu.toml:3:9"),
        "{}",
        stderr(&run)
    );
}

#[test]
fn types_follow_the_manifest() {
    let project = made("queue");
    assert!(
        project.emu(["types", "--check"]).status.success(),
        "`emu new` wrote them"
    );
    project.edit("emu.toml", "bind = { ORDERS = ", "bind = { QUEUE = ");
    let check = project.emu(["types", "--check"]);
    assert_eq!(check.status.code(), Some(1));
    assert!(stderr(&check).contains("run `emu types`"), "{}", stderr(&check));
    assert!(project.emu(["types"]).status.success());
    assert!(
        project
            .read("emu-env.d.ts")
            .contains("interface ApiEnv {\n  QUEUE: EmuQueue;\n}")
    );
    assert!(project.emu(["types", "--check"]).status.success());
}
