//! The state's files, or the whole project, are removed while emu runs: nothing that was acknowledged is lost, and
//! commands go on finding the emulator.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Emu, Project};

const FILES: [(&str, &str); 2] = [
    ("emu.toml", "[queues.jobs]\n[kv.carts]\n"),
    (
        "functions/idle.js",
        "export default { fetch() { return new Response('ok'); } };",
    ),
];

fn send(emu: &Emu, body: u32) -> crate::harness::Answer {
    emu.control_post("/_emu/queues/jobs/messages", &json!({ "body": body }))
}

fn says(what: &'static str) -> impl FnMut(&Value) -> bool {
    move |event| event["message"].as_str().is_some_and(|message| message.contains(what))
}

#[test]
fn removed_state_is_put_back_with_all_it_held() {
    let emu = Project::new(&FILES).start();
    assert!(send(&emu, 1).status.is_success());
    assert!(emu.command(["kv", "put", "carts", "user:7", "3"]).status.success());
    let folder = emu.project.path().join(".emu");
    let mark = emu.mark();
    fs::remove_dir_all(&folder).expect("removed");
    assert!(send(&emu, 2).status.is_success(), "it is taken in, and kept as well");
    let notice = emu.wait_from(mark, "notice", says("was removed while emu runs"));
    let text = notice["message"].as_str().unwrap_or_default();
    assert!(
        text.contains("put back with 2 messages") && text.contains("1 key"),
        "{text}"
    );
    assert!(text.contains("emu reset"), "{text}");
    assert_eq!(notice["level"], "warning");

    assert!(send(&emu, 3).status.is_success());
    let second = emu.project.emu(["dev", "--port", "0", "--control-port", "0"]);
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another emulator"), "{said}");
    let begun = Instant::now();
    while !folder.join("run.json").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not written again");
        std::thread::yield_now();
    }
    let status = emu.command(["queue"]);
    assert!(status.status.success(), "{status:?}");

    let emu = emu.kill().start();
    assert_eq!(emu.control("/_emu/queues/jobs")["visible"], 3);
    let got = emu.command(["kv", "get", "carts", "user:7"]);
    assert_eq!(String::from_utf8_lossy(&got.stdout).trim(), "3");
}

#[test]
fn the_history_is_put_back_as_well() {
    let emu = Project::new(&FILES).start();
    assert_eq!(emu.get("/idle").text(), "ok");
    emu.wait("invocation", |_| true);
    let mark = emu.mark();
    fs::remove_dir_all(emu.project.path().join(".emu")).expect("removed");
    emu.wait_from(mark, "notice", says("put back"));
    let project = emu.stop();
    let logs = project.emu(["logs"]);
    let said = String::from_utf8_lossy(&logs.stdout);
    assert!(said.contains("idle"), "{said}");
}

#[test]
fn without_its_project_emu_refuses_what_it_cannot_keep_and_goes_on_when_that_is_back() {
    let emu = Project::new(&FILES).start();
    assert!(send(&emu, 1).status.is_success());
    let mark = emu.mark();
    fs::remove_dir_all(emu.project.path()).expect("removed");
    emu.wait_from(mark, "notice", says("cannot be put back"));
    let refused = send(&emu, 2);
    assert_eq!(refused.status.as_u16(), 503, "{}", refused.text());
    assert!(refused.text().contains("store-removed"), "{}", refused.text());
    assert_eq!(
        emu.control("/_emu/queues/jobs")["visible"],
        1,
        "what is there is served"
    );
    for (path, text) in FILES {
        emu.project.write(path, text);
    }
    emu.wait_from(mark, "notice", says("put back with 1 message"));
    assert!(send(&emu, 2).status.is_success());
    let emu = emu.kill().start();
    assert_eq!(emu.control("/_emu/queues/jobs")["visible"], 2);
}

#[test]
fn what_stands_in_its_place_is_kept_beside_it() {
    let emu = Project::new(&FILES).start();
    assert!(send(&emu, 1).status.is_success());
    let mark = emu.mark();
    let database = emu.project.path().join(".emu/state.db");
    let other = emu.project.path().join(".emu/other.db");
    fs::write(&other, "somebody's").expect("written");
    fs::rename(&other, &database).expect("renamed");
    let notice = emu.wait_from(mark, "notice", says("put back with 1 message"));
    let text = notice["message"].as_str().unwrap_or_default();
    assert!(text.contains("state.db.found-1"), "{text}");
    let project = emu.kill();
    assert_eq!(project.read(".emu/state.db.found-1"), "somebody's");
    let emu = project.start();
    assert_eq!(emu.control("/_emu/queues/jobs")["visible"], 1);
}
