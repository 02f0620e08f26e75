//! Crons fire by themselves, by hand, in their zone, and do not pile up.

use serde_json::json;

use crate::harness::Project;

const TICK: &str = "export default { async scheduled(event) { console.log(event.cron + ' ' + new Date(event.scheduledTime).toISOString()); \
    if (event.cron.startsWith('*/5')) await new Promise((done) => setTimeout(done, 1_500)); } };";

fn project(cron: &str) -> Project {
    let manifest = format!("[functions.tick]\nsource = \"functions/tick.js\"\ntimeout = \"5s\"\ncron = {cron}\n");
    Project::new(&[("emu.toml", &manifest), ("functions/tick.js", TICK)])
}

#[test]
fn a_cron_fires_at_its_second() {
    let emu = project("\"* * * * * *\"").start();
    let run = emu.wait("invocation", |e| e["trigger"] == "cron");
    assert_eq!(run["outcome"], "succeeded", "{run}");
    let log = emu.wait("log", |e| e["function"] == "tick");
    let text = log["text"].as_str().expect("text");
    assert!(
        text.starts_with("* * * * * * ") && text.ends_with(".000Z"),
        "the scheduled second, not the time it ran: {text}"
    );
}

#[test]
fn a_scaled_clock_fires_a_minute_cron_often() {
    let emu = project("\"* * * * *\"").start_with(&["--clock", "x60"]);
    let mut mark = 0;
    let mut times = Vec::new();
    while times.len() < 3 {
        let log = emu.wait_from(mark, "log", |e| e["function"] == "tick" && !times.contains(&e["text"]));
        times.push(log["text"].clone());
        mark = emu.mark().saturating_sub(1);
    }
    assert!(
        times
            .iter()
            .all(|t| t.as_str().is_some_and(|t| t.ends_with(":00.000Z"))),
        "{times:?}"
    );
}

#[test]
fn a_cron_that_still_runs_is_skipped() {
    let emu = project("{ schedule = \"*/5 * * * * *\", overlap = \"skip\" }").start_with(&["--clock", "x10"]);
    let skipped = emu.wait("cron", |e| e["outcome"] == "skipped");
    assert_eq!(skipped["name"], "tick", "{skipped}");
}

#[test]
fn the_next_runs_are_shown_in_the_crons_zone() {
    let emu = project("{ schedule = \"0 8 * * 1-5\", timezone = \"Asia/Tokyo\" }").start();
    let crons = emu.control("/_emu/crons");
    let cron = &crons[0];
    assert_eq!(
        (&cron["name"], &cron["timezone"]),
        (&json!("tick"), &json!("Asia/Tokyo")),
        "{crons}"
    );
    let next = cron["next"].as_array().expect("the next runs");
    assert!(
        next.len() >= 3
            && next.iter().all(|t| t
                .as_str()
                .is_some_and(|t| t.contains("T08:00:00") && t.ends_with("+09:00"))),
        "{crons}"
    );
    let shown = emu.command(["crons"]);
    assert!(
        shown.status.success() && String::from_utf8_lossy(&shown.stdout).contains("Asia/Tokyo"),
        "{shown:?}"
    );
}

#[test]
fn a_cron_fires_by_hand() {
    let emu = project("\"0 0 1 1 *\"").start();
    let fired = emu.control_post("/_emu/crons/tick/fire", &json!({}));
    assert!(fired.status.is_success(), "{}", fired.text());
    let id = fired.json()["invocation"].clone();
    let run = emu.wait("invocation", |e| e["id"] == id);
    assert_eq!(
        (&run["trigger"], &run["outcome"]),
        (&json!("cron"), &json!("succeeded")),
        "{run}"
    );

    let wrong = emu.control_post("/_emu/crons/tock/fire", &json!({}));
    assert_eq!(wrong.status, 404);
    assert!(
        wrong.json()["error"]["remedy"]
            .as_str()
            .is_some_and(|r| r.contains("tick")),
        "{}",
        wrong.text()
    );
}
