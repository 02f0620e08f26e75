//! `emu serve`: a line for every request, health, ports that are exact, and an end that lets what runs end.
#![cfg(unix)]

use http::{Method, StatusCode};

use crate::harness::{Project, emu, request};

const API: &str = r#"
export default {
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === "/api/wait") {
      console.log("began");
      await new Promise((done) => setTimeout(done, Number(url.searchParams.get("ms"))));
    }
    if (url.pathname === "/api/fail") throw new Error("no luck");
    return new Response("hello");
  },
};
"#;

fn project() -> Project {
    Project::new(&[("functions/api.js", API)])
}

#[test]
fn every_request_has_a_line() {
    let emu = project().serve_with(&[]);
    assert_eq!(emu.get("/api/a?token=hunter2").text(), "hello");
    let line = emu.wait("request", |line| line["path"] == "/api/a");
    assert_eq!(line["status"], 200);
    assert_eq!(line["function"], "api");
    assert_eq!(line["response_bytes"], 5);
    assert_eq!(line["complete"], true);
    assert_eq!(line["peer"], "127.0.0.1");
    assert_eq!(line["message"], "GET /api/a 200");
    let invocation = line["invocation"].as_str().expect("an invocation").to_owned();
    assert_eq!(emu.get("/api/fail").status, StatusCode::BAD_GATEWAY);
    let line = emu.wait("request", |line| line["path"] == "/api/fail");
    assert_eq!(
        (line["status"].as_u64(), line["level"].as_str()),
        (Some(502), Some("error"))
    );
    assert_eq!(emu.get("/nowhere").status, StatusCode::NOT_FOUND);
    let line = emu.wait("request", |line| line["path"] == "/nowhere");
    assert_eq!((line["status"].as_u64(), line.get("function")), (Some(404), None));
    // What went well has its line already; what failed says why.
    emu.wait("invocation", |line| {
        line["error"]["message"].to_string().contains("no luck")
    });
    assert!(emu.events("invocation", |line| line["id"] == *invocation).is_empty());
    assert!(!emu.transcript().contains("hunter2"), "queries may hold secrets");
}

#[test]
fn health_is_told_and_the_page_is_not_there() {
    let emu = project().serve_with(&[]);
    let health = emu.get("/healthz");
    assert_eq!(
        (health.status, health.json()["status"].as_str()),
        (StatusCode::OK, Some("ok"))
    );
    let page = request(Method::GET, &format!("{}/", emu.control_url()), &[], String::new());
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.text().contains("emu dev has one"), "{}", page.text());
    assert_eq!(emu.control("/_emu/health")["status"], "ok");
    assert!(emu.command(["ps"]).status.success());
    emu.get("/api");
    emu.wait("request", |line| line["path"] == "/api");
    assert!(
        emu.events("request", |line| line["path"] == "/healthz").is_empty(),
        "probes have no line"
    );
}

#[test]
fn a_function_keeps_its_route_unless_the_path_was_asked_for() {
    let files = [
        ("functions/api.js", API),
        (
            "emu.toml",
            "[functions.api]\nsource = \"functions/api.js\"\nhttp = \"/*\"\n",
        ),
    ];
    let emu = Project::new(&files).serve_with(&[]);
    assert_eq!(emu.get("/healthz").text(), "hello");
    let warning = emu.wait("notice", |line| line["level"] == "warning");
    assert!(warning["message"].to_string().contains("--health-path"), "{warning}");
    let emu = Project::new(&files).serve_with(&["--health-path", "/up"]);
    assert_eq!(emu.get("/up").json()["status"], "ok");
    assert_eq!(emu.get("/healthz").text(), "hello");
    let warning = emu.wait("notice", |line| line["level"] == "warning");
    assert!(
        warning["message"].to_string().contains("never reaches api"),
        "{warning}"
    );
}

#[test]
fn sigterm_lets_what_runs_end() {
    let emu = project().serve_with(&[]);
    let url = format!("{}/api/wait?ms=300", emu.functions_url());
    let asked = std::thread::spawn(move || request(Method::GET, &url, &[], String::new()));
    emu.wait("log", |line| line["text"] == "began");
    emu.terminate();
    assert_eq!(asked.join().expect("an answer").text(), "hello");
    emu.wait("notice", |line| line["message"] == "stopped");
    assert_eq!(emu.end().code(), Some(0));
}

#[test]
fn a_drain_is_bounded() {
    let emu = project().serve_with(&["--drain-timeout", "50ms"]);
    let url = format!("{}/api/wait?ms=60000", emu.functions_url());
    let asked = std::thread::spawn(move || crate::harness::try_request(Method::GET, &url, &[], String::new()));
    emu.wait("log", |line| line["text"] == "began");
    emu.terminate();
    let cut = emu.wait("notice", |line| line["level"] == "warning");
    assert!(cut["message"].to_string().contains("1 invocation was cut off"), "{cut}");
    assert_eq!(emu.end().code(), Some(0));
    assert!(asked.join().expect("ended").is_err());
}

#[test]
fn what_cannot_be_served_ends_it() {
    let broken = Project::new(&[("functions/api.js", API), ("functions/bad.js", "export default {")]);
    let run = broken.emu(["serve", "--port", "0", "--control-port", "0"]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1));
    assert!(said.contains("1 function does not build: bad"), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let project = project();
    let run = emu(project.path())
        .args(["serve", "--port", &port, "--control-port", "0"])
        .output()
        .expect("run emu");
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1));
    assert!(said.contains(&format!("port {port} is in use")), "{said}");
}
