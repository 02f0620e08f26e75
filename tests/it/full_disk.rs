//! A disk without room: sends are refused, what frees room goes on, and it all comes back.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Emu, Project};

const MANIFEST: &str = "[queues.jobs]\nmax_messages = 1000000\n";

/// A small file system of its own, gone when dropped.
struct Small<'a>(&'a Path);

impl Small<'_> {
    /// `None` where this process may not mount.
    fn mount(folder: &Path) -> Option<Small<'_>> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(folder)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Small(folder))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

fn post(emu: &Emu, action: &str, body: &Value) -> (u16, Value) {
    let answer = emu.control_post(&format!("/_emu/queues/jobs/{action}"), body);
    (answer.status.as_u16(), answer.json())
}

#[test]
fn on_a_full_disk_sends_are_refused_receives_and_deletes_go_on() {
    let project = Project::new(&[
        ("emu.toml", MANIFEST),
        (
            "functions/idle.js",
            "export default { fetch() { return new Response('ok'); } };",
        ),
    ]);
    let state = project.path().join(".emu");
    std::fs::create_dir(&state).expect("a folder");
    let Some(_small) = Small::mount(&state) else {
        println!("not run: mounting a small file system takes the right to do so");
        return;
    };
    let emu = project.start();
    let batch: Vec<Value> = (0..5).map(|_| json!({"body": "x".repeat(20_000)})).collect();
    let mut taken = 0;
    let refused = loop {
        let (status, answer) = post(&emu, "messages", &json!(batch));
        if status != 200 {
            assert_eq!(status, 507, "{answer}");
            break answer;
        }
        taken += 5;
        assert!(taken < 2_000, "the file system is not small");
    };
    assert_eq!(refused["error"]["code"], "store-full", "{refused}");
    emu.wait("notice", |e| {
        e["message"].as_str().is_some_and(|text| text.contains("is full"))
    });
    assert_eq!(
        emu.control("/_emu/queues/jobs")["visible"],
        taken,
        "a batch is refused as a whole"
    );
    let (_, got) = post(&emu, "receive", &json!({"max": 300}));
    let got = got.as_array().expect("messages").clone();
    assert_eq!(got.len(), 300);
    for message in &got {
        let (status, answer) = post(&emu, "delete", &json!({"receipt": message["receipt"]}));
        assert_eq!(status, 200, "{answer}");
    }
    emu.wait("notice", |e| {
        e["message"]
            .as_str()
            .is_some_and(|text| text.contains("room on the disk again"))
    });
    let (status, answer) = post(&emu, "messages", &json!({"body": "again"}));
    assert_eq!(status, 200, "{answer}");
    // What was deleted on the full disk stays deleted.
    let emu = emu.kill().start();
    assert_eq!(emu.control("/_emu/queues/jobs")["visible"], taken - 300 + 1);
    drop(emu.kill());
}
