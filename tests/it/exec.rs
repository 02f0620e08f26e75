//! `emu exec`: what a command and its caller get, and that nothing is left behind.

use std::io::BufReader;
use std::process::{Output, Stdio};

use crate::harness::{Project, emu};

const FUNCTION: &str = "export default { fetch() { console.log('somebody asked'); return new Response('hello'); } };";

fn exec(project: &Project, args: &[&str]) -> Output {
    emu(project.path())
        .arg("exec")
        .args(args)
        .output()
        .expect("run emu exec")
}

fn error(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}

#[test]
fn a_project_that_does_not_build_ends_before_the_command() {
    let project = Project::new(&[
        ("functions/api.js", FUNCTION),
        ("functions/bad.js", "export default {\n  fetch( {\n"),
    ]);
    let run = exec(&project, &["--", "sh", "-c", "echo it ran"]);
    assert_eq!(run.status.code(), Some(125), "{run:?}");
    assert!(run.stdout.is_empty(), "{run:?}");
    assert!(error(&run).contains("functions/bad.js:3"), "{}", error(&run));
}

#[test]
fn what_the_functions_said_is_shown_when_the_command_fails() {
    let project = Project::new(&[("functions/api.js", FUNCTION)]);
    let program = env!("CARGO_BIN_EXE_emu");
    let ask = format!("{program:?} invoke api >/dev/null 2>&1 && test -n \"$EMU_SEED\" && test -n \"$EMU_URL\"");
    let fine = exec(&project, &["--", "sh", "-c", &ask]);
    assert_eq!((fine.status.code(), error(&fine).as_str()), (Some(0), ""));
    let failing = exec(&project, &["--", "sh", "-c", &format!("{ask}; exit 7")]);
    assert_eq!(failing.status.code(), Some(7), "{failing:?}");
    assert!(error(&failing).contains("somebody asked"), "{}", error(&failing));
    let killed = exec(&project, &["--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.status.code(), Some(137), "{killed:?}");
}

#[test]
fn a_log_that_cannot_be_written_is_said_before_the_command_runs() {
    let project = Project::new(&[("functions/api.js", FUNCTION)]);
    let run = exec(
        &project,
        &["--log", "no/such/folder/events.ndjson", "--", "sh", "-c", "echo it ran"],
    );
    assert_eq!(run.status.code(), Some(125), "{run:?}");
    assert!(
        run.stdout.is_empty() && error(&run).contains("no/such/folder"),
        "{run:?}"
    );
}

#[test]
fn a_run_that_waited_for_retries_hears_of_the_manual_clock() {
    let worker = "export default { async queue() { throw new Error('no'); } };";
    let manifest = "[functions.worker]\nsource = \"functions/worker.js\"\nqueue = \"jobs\"\n\
        [queues.jobs]\nvisibility_timeout = \"3s\"\nmax_receives = 2\ndead_letter = \"dead\"\n[queues.dead]\n";
    let project = Project::new(&[("emu.toml", manifest), ("functions/worker.js", worker)]);
    let program = env!("CARGO_BIN_EXE_emu");
    let script = format!("{program:?} send jobs 1 >/dev/null && {program:?} wait --idle");
    let run = exec(&project, &["--", "sh", "-c", &script]);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    assert!(error(&run).contains("--clock manual"), "{}", error(&run));
    let script = format!("{program:?} send jobs 1 >/dev/null && {program:?} clock run-until-idle");
    let run = exec(&project, &["--clock", "manual", "--", "sh", "-c", &script]);
    assert_eq!((run.status.code(), error(&run).as_str()), (Some(0), ""));
    assert!(
        String::from_utf8_lossy(&run.stdout).contains("1 dead letter"),
        "{run:?}"
    );
}

/// `emu exec` of a shell's script, with what it writes.
#[cfg(target_os = "linux")]
fn spawn(project: &Project, script: &str) -> (std::process::Child, BufReader<std::process::ChildStdout>) {
    let mut run = emu(project.path())
        .args(["exec", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("run emu exec");
    let out = BufReader::new(run.stdout.take().expect("piped"));
    (run, out)
}

#[cfg(target_os = "linux")]
fn line(out: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

/// The pipe ends when nobody holds it any more: no process of the command's is left.
#[cfg(target_os = "linux")]
fn nobody_is_left(mut out: impl std::io::Read) {
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("the end");
}

/// A child, a grandchild in a session of its own, and one that does not end when it is asked to.
#[cfg(target_os = "linux")]
const FAMILY: &str = "sleep 600 & setsid sh -c 'sleep 600 & sleep 600' & sh -c 'trap \"\" TERM; while :; do sleep 600; done' & echo $PPID;";

#[cfg(target_os = "linux")]
#[test]
fn nothing_of_the_command_is_left_when_it_has_ended() {
    let project = Project::new(&[("functions/api.js", FUNCTION)]);
    let (mut run, mut out) = spawn(
        &project,
        "setsid sh -c 'sleep 600 & sleep 600' & sleep 600 & disown 2>/dev/null; echo begun; exit 3",
    );
    assert_eq!(line(&mut out), "begun");
    nobody_is_left(out);
    assert_eq!(run.wait().expect("emu's status").code(), Some(3));
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_emu_takes_the_command_with_it() {
    let project = Project::new(&[("functions/api.js", FUNCTION)]);
    let (mut run, mut out) = spawn(&project, &format!("{FAMILY} exec sleep 600"));
    line(&mut out);
    run.kill().expect("kill emu");
    run.wait().expect("emu's status");
    nobody_is_left(out);
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_guard_takes_the_command_with_it() {
    let project = Project::new(&[("functions/api.js", FUNCTION)]);
    let (mut run, mut out) = spawn(&project, &format!("{FAMILY} exec sleep 600"));
    let guard = line(&mut out).parse().ok().and_then(rustix::process::Pid::from_raw);
    let guard = guard.expect("the guard's id");
    assert_ne!(
        guard.as_raw_nonzero().get().unsigned_abs(),
        run.id(),
        "a process between emu and the command"
    );
    rustix::process::kill_process(guard, rustix::process::Signal::KILL).expect("kill the guard");
    assert_eq!(run.wait().expect("emu's status").code(), Some(137));
    nobody_is_left(out);
}

#[cfg(target_os = "linux")]
#[test]
fn a_request_to_end_goes_to_the_command() {
    let project = Project::new(&[("functions/api.js", FUNCTION)]);
    let (mut run, mut out) = spawn(
        &project,
        "trap 'echo ended; exit 9' TERM; echo begun; while :; do sleep 0.01; done",
    );
    assert_eq!(line(&mut out), "begun");
    let emu = i32::try_from(run.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .expect("emu's id");
    rustix::process::kill_process(emu, rustix::process::Signal::TERM).expect("ask emu to end");
    assert_eq!(line(&mut out), "ended");
    assert_eq!(run.wait().expect("emu's status").code(), Some(9));
}
