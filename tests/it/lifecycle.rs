//! Start and end: ports, readiness, Ctrl-C, `emu exec`.

use crate::harness::{Emu, Project, emu};

const HELLO: &str = "export default { fetch: () => new Response('hello') };";

#[test]
fn a_busy_port_is_named_and_the_next_free_one_taken() {
    let first = Project::new(&[("functions/hello.js", HELLO)]).start();
    let taken = Emu::address(&first.functions_url())
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    let second = Project::new(&[("functions/hello.js", HELLO)]).start_with(&["--port", &taken]);
    assert_ne!(second.functions_url(), first.functions_url());
    assert_eq!(second.get("/hello").text(), "hello");
    assert!(
        second.transcript().contains(&format!("port {taken}")),
        "{}",
        second.transcript()
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_drains_what_runs() {
    let slow = "export default { async fetch() { console.log('started'); await new Promise((done) => setTimeout(done, 1_000)); \
                return new Response('finished'); } };";
    let emu = Project::new(&[("functions/slow.js", slow)]).start();
    let answer = std::thread::scope(|scope| {
        let request = scope.spawn(|| emu.get("/slow"));
        emu.wait("log", |e| e["text"] == "started");
        emu.interrupt();
        request.join().expect("the answer")
    });
    assert_eq!(answer.text(), "finished");
    // The answer may be here before the event.
    emu.wait("invocation", |e| e["outcome"] == "succeeded");
    assert_eq!(emu.end().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_second_ctrl_c_forces() {
    let stuck = "export default { async fetch() { console.log('started'); await new Promise((done) => setTimeout(done, 100_000)); } };";
    let manifest = "[functions.stuck]\nsource = \"functions/stuck.js\"\ntimeout = \"15m\"\n";
    let emu = Project::new(&[("emu.toml", manifest), ("functions/stuck.js", stuck)]).start();
    let address = Emu::address(&emu.functions_url());
    let asked =
        std::thread::spawn(move || crate::harness::raw(&address, "GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    emu.wait("log", |e| e["text"] == "started");
    let begun = std::time::Instant::now();
    emu.interrupt();
    emu.wait("notice", |_| true);
    emu.interrupt();
    emu.end();
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(4),
        "the drain would have taken five seconds"
    );
    let _ = asked.join();
}

#[test]
fn exec_runs_a_command_beside_a_fresh_emulator() {
    let project = Project::new(&[("functions/hello.js", HELLO)]);
    let program = env!("CARGO_BIN_EXE_emu");
    // The child asks the emulator through the variables it is given.
    let run = emu(project.path())
        .args(["exec", "--", program, "invoke", "hello"])
        .output()
        .expect("run emu exec");
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    assert!(String::from_utf8_lossy(&run.stdout).contains("hello"), "{run:?}");

    let failing = emu(project.path())
        .args(["exec", "--", program, "--no-such-flag"])
        .output()
        .expect("run emu exec");
    assert_eq!(failing.status.code(), Some(2), "the child's own status: {failing:?}");
    let missing = emu(project.path())
        .args(["exec", "--", "no-such-program-anywhere"])
        .output()
        .expect("run emu exec");
    assert_eq!(missing.status.code(), Some(125), "{missing:?}");
}

#[test]
fn a_broken_manifest_ends_with_every_problem() {
    let manifest = "[functions.hello]\nsource = \"functions/hello.js\"\nmemry = \"1GB\"\nqueue = \"nowhere\"\n";
    let project = Project::new(&[("emu.toml", manifest), ("functions/hello.js", HELLO)]);
    let run = project.emu(["dev", "--port", "0", "--control-port", "0"]);
    assert_eq!(run.status.code(), Some(2), "{run:?}");
    let said = String::from_utf8_lossy(&run.stderr);
    for part in [
        "emu.toml:3:",
        "memry",
        "did you mean `memory`",
        "emu.toml:4:",
        "nowhere",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
