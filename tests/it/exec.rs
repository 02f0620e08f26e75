//! `emu exec`: what a command and its caller get, and that nothing is left behind.

use std::io::{BufRead as _, BufReader, Read as _};
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

#[cfg(target_os = "linux")]
#[test]
fn a_killed_emu_takes_the_command_with_it() {
    let project = Project::new(&[("functions/api.js", FUNCTION)]);
    let mut run = emu(project.path())
        .args(["exec", "--", "sh", "-c", "echo begun; exec sleep 600"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("run emu exec");
    let mut out = BufReader::new(run.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    assert_eq!(line, "begun\n");
    run.kill().expect("kill emu");
    run.wait().expect("emu's status");
    // The pipe ends when nobody holds it any more, the command included.
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("the end");
}
