//! `emu export`: what emu.toml says is in the descriptors, and what they cannot say is told.

use serde_json::Value;

use crate::harness::Project;

const MANIFEST: &str = r#"
[project]
name = "Shop 2"

[functions.api]
source = "functions/api.js"
http = ["GET /products/{id}", "/files/*"]
memory = "256MB"
timeout = "2500ms"
max_concurrency = 20
env = { STAGE = "live", API_KEY = "" }
allow_hosts = ["api.example.com"]

[functions.billing]
source = "functions/billing.js"
queue = { from = "orders", batch_size = 5 }
cron = "0 8 * * 1-5"
bind = { NEWS = "topic:paid" }

[queues.orders]
visibility_timeout = "30s"
max_receives = 3
dead_letter = "dead"

[queues.dead]

[topics.paid]
queues = ["dead"]
"#;

fn project() -> Project {
    Project::new(&[
        ("emu.toml", MANIFEST),
        (
            "functions/api.js",
            "exports.handler = async () => ({ statusCode: 200 });\n",
        ),
        ("functions/billing.js", "export const handler = async () => {};\n"),
        (".env", "API_KEY=sk-12345678\n"),
    ])
}

fn export(target: &str, file: &str) -> (String, Value) {
    let project = project();
    let args = [
        "export",
        "--target",
        target,
        "out",
        "--image",
        "ghcr.io/me/shop:v1",
        "--json",
    ];
    let run = project.emu(args);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = project.read(&format!("out/{file}"));
    assert!(!text.contains("sk-12345678"), "{text}");
    (text, serde_json::from_slice(&run.stdout).expect("JSON"))
}

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            text.lines().any(|found| found.trim_start() == *line),
            "no {line:?} in\n{text}"
        );
    }
}

#[test]
fn sam() {
    let (text, report) = export("sam", "template.yaml");
    has(
        &text,
        &[
            "ApiFunction:",
            "Handler: \"functions/api.handler\"",
            "MemorySize: 256",
            "Timeout: 3",
            "ReservedConcurrentExecutions: 20",
            "Path: \"/products/{id}\"",
            "Path: \"/files/{proxy+}\"",
            "API_KEY: !Ref APIKEY",
            "STAGE: \"live\"",
            "ScheduleExpression: \"cron(0 8 ? * 2-6 *)\"",
            "Queue: !GetAtt OrdersQueue.Arn",
            "maxReceiveCount: 3",
            "PaidToDead:",
        ],
    );
    assert!(report["notes"].to_string().contains("whole seconds"), "{report}");
}

#[test]
fn sam_refers_to_nothing_that_is_left_out() {
    let project = Project::new(&[
        (
            "emu.toml",
            "[functions.api]\nsource = \"functions/api.js\"\non_failure = \"function:page\"\nbind = { PAGE = \"function:page\" }\n\
             [functions.both]\nsource = \"functions/api.js\"\non_failure = \"function:page\"\non_success = \"function:api\"\n",
        ),
        ("functions/api.js", "export const handler = async () => {};\n"),
        ("functions/page.js", "export default { fetch: () => new Response() };\n"),
    ]);
    let run = project.emu(["export", "--target", "sam", "out", "--json"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = project.read("out/template.yaml");
    assert!(
        !text.contains("!GetAtt PageFunction") && !text.contains("!Ref PageFunction"),
        "{text}"
    );
    assert!(!text.contains("LambdaInvokePolicy"), "{text}");
    assert_eq!(
        text.matches("EventInvokeConfig:").count(),
        1,
        "api has nothing for it: {text}"
    );
    has(&text, &["OnSuccess:", "Destination: !GetAtt ApiFunction.Arn"]);
    let report: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let notes = report["notes"].to_string();
    assert!(notes.contains("on_failure: page is left out"), "{notes}");
    assert!(notes.contains("env.PAGE: page is left out"), "{notes}");
}

#[test]
fn knative_and_compose() {
    let (text, _) = export("knative", "knative.yaml");
    has(
        &text,
        &[
            "name: shop-2-api",
            "name: shop-2",
            "value: \"billing\"",
            "autoscaling.knative.dev/max-scale: \"20\"",
            "secretKeyRef: { name: shop-2, key: \"API_KEY\" }",
            "path: /healthz",
        ],
    );
    let (text, report) = export("compose", "compose.yaml");
    has(
        &text,
        &[
            "image: \"ghcr.io/me/shop:v1\"",
            "- \"8080:8080\"",
            "API_KEY:",
            "EMU_PASS: \"API_KEY\"",
        ],
    );
    assert!(report["steps"].to_string().contains("docker compose up"), "{report}");
}

#[test]
fn spin_and_wasmcloud() {
    let (text, report) = export("spin", "spin.toml");
    let parsed: toml::Table = text.parse().expect("TOML");
    assert_eq!(parsed["trigger"]["http"][0]["route"].as_str(), Some("/products/:id"));
    assert_eq!(parsed["trigger"]["http"][1]["route"].as_str(), Some("/files/..."));
    let api = &parsed["component"]["api"];
    assert_eq!(
        api["allowed_outbound_hosts"][0].as_str(),
        Some("https://api.example.com")
    );
    assert_eq!(api["environment"]["STAGE"].as_str(), Some("live"));
    assert!(
        report["notes"].to_string().contains("routes hold for all methods"),
        "{report}"
    );
    let (text, _) = export("wasmcloud", "wadm.yaml");
    has(
        &text,
        &[
            "image: \"ghcr.io/me/shop/api:v1\"",
            "instances: 20",
            "path: \"/products\"",
        ],
    );
}

#[test]
fn mistakes() {
    let project = project();
    let run = project.emu(["export", "--target", "heroku", "out"]);
    assert!(String::from_utf8_lossy(&run.stderr).contains("expected one of compose, knative"));
    assert!(project.emu(["export", "--target", "compose", "out"]).status.success());
    let run = project.emu(["export", "--target", "compose", "out"]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.code() == Some(1) && said.contains("--force"), "{said}");
    assert!(
        project
            .emu(["export", "--target", "compose", "out", "--force"])
            .status
            .success()
    );
    let twins = Project::new(&[
        ("functions/a_b.js", "export const handler = async () => {};\n"),
        ("functions/a-b.js", "export const handler = async () => {};\n"),
    ]);
    for (target, key) in [("knative", "a-b"), ("sam", "AB")] {
        let run = twins.emu(["export", "--target", target, "out"]);
        let said = String::from_utf8_lossy(&run.stderr);
        let expect = format!("the functions a-b and a_b are both called {key} there");
        assert!(run.status.code() == Some(1) && said.contains(&expect), "{said}");
    }
    assert!(twins.emu(["export", "--target", "compose", "out"]).status.success());
    let twins = Project::new(&[
        ("functions/api.js", "export const handler = async () => {};\n"),
        (".env", "DB_URL=a\nDBURL=b\n"),
    ]);
    let run = twins.emu(["export", "--target", "sam", "out"]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(
        said.contains("the variables DBURL and DB_URL are both called DBURL there"),
        "{said}"
    );
}

#[test]
fn manual_pages() {
    let project = project();
    assert!(project.emu(["man", "pages"]).status.success());
    let page = project.read("pages/emu-package.1");
    assert!(
        page.contains("emu\\-package") && page.contains("per\\-function"),
        "{page}"
    );
}
