//! `emu simulate` as a user runs it.

use std::process::Output;

use serde_json::Value;

use crate::harness::{Project, emu};

const SHOP: &str = r#"
horizon = "1h"
replications = 3

[workload]
rate = "5/s"

[functions.api]
service = { exponential = "200ms" }
memory = "256MB"
keep_alive = "1m"

[servers.web]
type = "t4g.small"
workers = 4
"#;

fn simulate(project: &Project, args: &[&str]) -> Output {
    emu(project.path())
        .arg("simulate")
        .args(args)
        .output()
        .expect("emu runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let project = Project::new(&[("shop.sim.toml", SHOP)]);
    let first = simulate(&project, &["--json"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let again = simulate(&project, &["shop.sim.toml", "--json"]);
    assert_eq!(text(&first.stdout), text(&again.stdout));
    let other = simulate(&project, &["--json", "--seed", "2"]);
    assert_ne!(text(&first.stdout), text(&other.stdout));
    let figures: Value = serde_json::from_slice(&first.stdout).expect("JSON");
    let api = &figures["points"][0]["functions"][0]["figures"];
    let requests = api["requests"]["mean"].as_f64().expect("a number");
    assert!((requests / 18_000.0 - 1.0).abs() < 0.05, "{requests}");
    assert!(api["cold_share"]["half_width"].is_number(), "{api}");
    assert_eq!(figures["points"][0]["functions"][0]["over_time"][119]["at_s"], 3_570.0);
    // Both sides meet the same requests.
    assert_eq!(
        figures["points"][0]["servers"][0]["figures"]["requests"],
        api["requests"]
    );
}

#[test]
fn a_sweep_is_a_table_and_a_file() {
    let project = Project::new(&[("shop.sim.toml", SHOP)]);
    let output = simulate(
        &project,
        &["--set", "rate=1/m", "--sweep", "keep_alive=1s,1h", "--csv", "out.csv"],
    );
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let cold = |value: &str| -> f64 {
        let line = shown
            .lines()
            .find(|line| line.starts_with(value))
            .expect("a line for each value");
        let cell = line
            .split_whitespace()
            .find(|cell| cell.ends_with('%') && *cell != "0%")
            .expect("a share");
        cell.trim_end_matches('%').parse().expect("a number")
    };
    assert!(cold("1s") > 90.0 && cold("1h") < 10.0, "{shown}");
    let csv = project.read("out.csv");
    assert!(csv.starts_with("keep_alive,side,name,requests,"), "{csv}");
    assert_eq!(csv.lines().count(), 5, "{csv}");
}

#[test]
fn each_output_goes_where_it_is_asked_for() {
    let project = Project::new(&[("shop.sim.toml", SHOP)]);
    let run = |args: &[&str]| {
        let output = simulate(&project, args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    // The table is written although the page is on stdout, and JSON is on stdout although the others are files.
    assert!(run(&["--html", "-", "--csv", "out.csv"]).starts_with("<!doctype html>"));
    assert!(project.read("out.csv").starts_with("side,name,requests,"));
    let json = run(&["--json", "--html", "one.html", "--csv", "again.csv"]);
    assert!(serde_json::from_str::<Value>(&json).expect("JSON")["points"].is_array());
    assert!(project.read("one.html").starts_with("<!doctype html>"));
    assert_eq!(project.read("again.csv"), project.read("out.csv"));
    assert_eq!(run(&["--csv", "-"]), project.read("out.csv"));
    // Said before anything is read, and so before anything is simulated.
    for (args, said, remedy) in [
        (
            &["--html", "-", "--json"][..],
            "`--html -` and `--json`",
            "--html report.html",
        ),
        (
            &["--html", "-", "--csv", "-"],
            "`--html -` and `--csv -`",
            "--html report.html",
        ),
        (&["--csv", "-", "--json"], "`--csv -` and `--json`", "--csv figures.csv"),
    ] {
        let output = simulate(&project, &[&["none.sim.toml"], args].concat());
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(2), String::new()),
            "{args:?}"
        );
        let stderr = text(&output.stderr);
        assert!(stderr.contains(said) && stderr.contains(remedy), "{args:?}: {stderr}");
    }
}

#[test]
fn mistakes_are_answered() {
    let project = Project::new(&[]);
    let none = simulate(&project, &[]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("[functions.api]"), "{}", text(&none.stderr));
    project.write("shop.sim.toml", &SHOP.replace("keep_alive", "keepalive"));
    project.write("other.sim.toml", SHOP);
    for (args, said) in [
        (&[][..], "name one: other.sim.toml, shop.sim.toml"),
        (&["shop.sim.toml"][..], "did you mean `keep_alive`?"),
        (&["shp.sim.toml"][..], "did you mean ./shop.sim.toml?"),
        (&["other.sim.toml", "--set", "rate=10"][..], "rate = \"10/s\""),
        (&["other.sim.toml", "--sweep", "rate"][..], "KEY=A,B,C"),
        (&["other.sim.toml", "--set", "memroy=1GB"][..], "unknown key `memroy`"),
    ] {
        let output = simulate(&project, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            text(&output.stderr).contains(said),
            "{args:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_project_is_simulated_from_its_history() {
    let handler = "export default { fetch() { return new Response('hello'); } };";
    let manifest = "[functions.hello]\nmemory = \"256MB\"\nkeep_alive = { policy = \"half-life\" }\n";
    let project = Project::new(&[("emu.toml", manifest), ("functions/hello.js", handler)]);
    let none = simulate(&project, &["--from-history"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("emu dev"), "{}", text(&none.stderr));
    let emulator = project.start();
    for _ in 0..5 {
        let id = emulator.get("/hello").header("x-emu-invocation").to_owned();
        emulator.wait("invocation", |event| event["id"] == id.as_str());
    }
    // Its rows have been written when the history answers.
    let events = emulator.control("/_emu/history?kind=invocation");
    assert_eq!(events.as_array().expect("events").len(), 5);
    let project = emulator.kill();
    let run = |args: &[&str]| {
        let output = simulate(&project, args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let printed = run(&["--from-history", "--print"]);
    assert!(
        printed.contains("keep_alive = { policy = \"half-life\", period = \"6m20s\" }"),
        "{printed}"
    );
    let swept = run(&[
        "--from-history",
        "--set",
        "horizon=1h",
        "--sweep",
        "keep_alive=none,1h",
        "--replications",
        "2",
    ]);
    assert!(swept.contains("keep_alive"), "{swept}");
    let replayed: Value = serde_json::from_str(&run(&["--history", "--json"])).expect("JSON");
    let requests = &replayed["points"][0]["functions"][0]["figures"]["requests"]["mean"];
    assert_eq!(requests, 5.0);
}

#[test]
fn a_trace_is_replayed() {
    let file = r#"
replications = 1
[trace]
files = ["calls.csv"]
[functions.each]
service = "1s"
keep_alive = "10s"
cold_start = "none"
memory = "1GB"
[servers.web]
hourly = "$1"
workers = 2
"#;
    let calls = "time,function,duration\n10,a,2\n11,b,1\n13,a,4\n60,a,3\n";
    let project = Project::new(&[("t.sim.toml", file), ("calls.csv", calls)]);
    let output = simulate(&project, &["--json", "--set", "horizon=100s"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let came: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let figure = |side: &Value, name: &str| side["figures"][name]["mean"].as_f64().unwrap_or(-1.0);
    let [a, b] = [0, 1].map(|at| &came["points"][0]["functions"][at]);
    assert_eq!(
        (&a["name"], figure(a, "requests"), figure(b, "requests")),
        (&"a".into(), 3.0, 1.0)
    );
    // The second call of `a` finds its instance warm, the third comes when that is gone.
    assert!((figure(a, "cold_share") - 2.0 / 3.0).abs() < 1e-9, "{a}");
    assert!((figure(a, "latency_mean_ms") - 3_000.0).abs() < 1.0, "{a}");
    assert_eq!(figure(&came["points"][0]["servers"][0], "requests"), 4.0);
    for (from, to, said) in [
        ("calls.csv", "cals.csv", "cals.csv: cannot be read"),
        (
            "[functions.each]",
            "[functions.b]\nservice = \"1s\"\n[functions.each]",
            "there must be one function",
        ),
        ("[trace]", "[workload]\nrate = \"1/s\"\n[trace]", "take one of them out"),
    ] {
        project.write("t.sim.toml", &file.replace(from, to));
        let output = simulate(&project, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(said), "{said}: {}", text(&output.stderr));
    }
}

/// Fails where an element is not closed, or closed by another, and where an address leads out of the file.
fn hold_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for (at, part) in page.split('<').enumerate().skip(1) {
        let (tag, _) = part.split_once('>').unwrap_or_else(|| panic!("`<{part}` has no end"));
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/', '\n'])
            .next()
            .unwrap_or_default();
        match tag {
            _ if tag.starts_with("!doctype") => assert_eq!(at, 1),
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "closed by </{name}>"),
            _ if tag.ends_with('/') => {}
            _ => open.push(name),
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
    }
    assert!(open.is_empty(), "{open:?} are not closed");
    let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
    for way in [
        "http:", "https:", "//", " src=", " href=", "url(", "@import", "<script", "<link",
    ] {
        assert!(!elsewhere.contains(way), "{way}");
    }
}

#[test]
fn a_report_is_one_file_with_every_figure_and_nothing_from_elsewhere() {
    let file = SHOP.replacen(
        "\nhorizon",
        "\nname = \"<script>alert(1)</script> & \\\"co\\\"\"\nhorizon",
        1,
    );
    let project = Project::new(&[("shop.sim.toml", &file)]);
    let output = simulate(&project, &["--html", "one.html"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = project.read("one.html");
    hold_well_formed(&page);
    assert!(
        page.contains("<h1>&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;co&quot;</h1>"),
        "{page}"
    );
    assert_eq!(page.matches("<figure>").count(), 4, "two plots a side");
    // What the terminal shows, with its intervals.
    let shown = text(&output.stdout);
    for line in shown.lines().filter(|line| line.contains(" to ")) {
        let cells: Vec<&str> = line
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect();
        let [words, mean, range] = cells[..] else {
            panic!("{line}")
        };
        let row = format!("<tr><th>{words}</th><td class=\"n\">{mean}</td><td class=\"n dim\">{range}</td></tr>");
        assert!(page.contains(&row), "{row}\n{page}");
    }
    assert!(page.contains("t over 3 replications"), "{page}");

    let swept = simulate(
        &project,
        &[
            "--html",
            "-",
            "--sweep",
            "memory=128MB,1GB",
            "--sweep",
            "keep_alive=1m,10m",
        ],
    );
    assert!(swept.status.success(), "{}", text(&swept.stderr));
    let page = text(&swept.stdout);
    hold_well_formed(&page);
    assert!(
        page.contains("<b>cost of such a month by memory</b>") && page.contains("api, keep_alive 10m</span>"),
        "{page}"
    );
    assert!(
        page.contains("<th>memory</th><th>keep_alive</th>") && page.contains("\n1GB\n</text>"),
        "{page}"
    );
    assert!(page.contains("<span class=\"dim\">± "), "{page}");

    let nowhere = simulate(&project, &["--html", "none/one.html"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(
        text(&nowhere.stderr).contains("none/one.html cannot be written"),
        "{}",
        text(&nowhere.stderr)
    );
}

#[test]
fn functions_are_measured_as_they_are() {
    let handler = "let starts = 0; export default { fetch(request) {
        if (request.url.endsWith('/broken')) throw new Error('broken on purpose');
        if (request.headers.get('authorization')) throw new Error('the token is not known here');
        if (request.method === 'POST' && request.headers.get('content-type') !== 'application/json') throw new Error('no JSON');
        let sum = 0; for (let n = 0; n < 20000; n++) sum += n; return new Response(`${starts++} ${sum}`); } };";
    let manifest = "[functions.sum]\nhttp = \"/sum/*\"\nmemory = \"256MB\"\nkeep_alive = \"5m\"\n[functions.plain]\nhttp = \"GET /plain/{id}\"\n";
    // The last two want what an earlier answer held: they are left out.
    let test = r#"
[[step]]
request = "GET /sum/broken"
expect.status = 502
[[step]]
request = "GET /sum/1"
expect.status = 200
[[step]]
request = "POST /sum/2"
json = { a = 1 }
[[step]]
request = "GET /sum/3"
headers = { authorization = "Bearer ${token}" }
[[step]]
request = "GET /sum/${token}/broken"
"#;
    let project = Project::new(&[
        ("emu.toml", manifest),
        ("functions/sum.js", handler),
        (
            "functions/plain.js",
            "export default { fetch() { return new Response('plain'); } };",
        ),
        ("sum.emu.toml", test),
    ]);
    let output = simulate(&project, &["--measure", "--print"]);
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    for part in [
        "[functions.sum]\nservice = { ",
        "\ncold_service = { ",
        "memory = \"256MB\"\nkeep_alive = \"5m\"\n",
        "[functions.plain.workload]\nrate = \"1/s\"\n",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert!(
        said.contains("plain: ") && said.contains("(medians of 20 and 20 runs)"),
        "{said}"
    );
    assert!(
        said.contains("sum: ") && said.contains("; 40 runs failed and do not count"),
        "{said}"
    );
    assert!(said.contains("1/s is assumed"), "{said}");
    // What is printed is a file that can be simulated.
    project.write("measured.sim.toml", &printed);
    let run = simulate(
        &project,
        &[
            "measured.sim.toml",
            "--json",
            "--set",
            "horizon=10m",
            "--set",
            "functions.plain.workload.rate=2/s",
        ],
    );
    assert!(run.status.success(), "{}", text(&run.stderr));
    let came: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let names: Vec<&str> = came["points"][0]["functions"]
        .as_array()
        .expect("functions")
        .iter()
        .filter_map(|side| side["name"].as_str())
        .collect();
    assert_eq!(names, ["plain", "sum"]);

    project.remove("sum.emu.toml");
    project.write(
        "functions/sum.js",
        "export default { fetch() { throw new Error('always'); } };",
    );
    let broken = simulate(&project, &["--measure"]);
    assert_eq!(broken.status.code(), Some(1));
    let said = text(&broken.stderr);
    assert!(
        said.contains("sum cannot be measured") && said.contains("always"),
        "{said}"
    );
    let alone = simulate(&project, &["--print"]);
    assert_eq!(alone.status.code(), Some(2));
    assert!(text(&alone.stderr).contains("--from-history or --measure"));
}
