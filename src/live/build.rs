//! Runs a function's `build` command: through the shell, as a process group of its own that ends with its future,
//! with its output streamed and bounded.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::engine::{LoadError, Place, Stream};
use crate::project::Build;

/// A command that takes longer is ended: a first build of a big crate takes minutes, a command that waits for input
/// takes for ever.
const TIME_MAX: Duration = Duration::from_secs(30 * 60);
/// Longest line that is passed on; the rest of it is cut.
const LINE_BYTES_MAX: usize = 4096;
/// Lines that one run may pass on.
const LINES_MAX: usize = 2000;
/// Last lines kept for the error.
const TAIL_LINES_MAX: usize = 40;
/// After the shell's end, so long for what it left in the pipes; a process it left behind may hold them open.
const LEFTOVER: Duration = Duration::from_millis(500);

/// Takes a line of output. Must not block.
pub type Lines = Arc<dyn Fn(Stream, String) + Send + Sync>;

/// Runs the command to its end. Dropping the future ends the command and all that it started.
///
/// # Errors
/// When it cannot start, fails, or takes too long; with the end of its output, and the place that this names.
pub async fn run(build: &Build, root: &Path, lines: Lines) -> Result<(), LoadError> {
    let tail = Arc::new(Mutex::new(Tail::default()));
    let Err(message) = run_to_end(build, root, lines, tail.clone()).await else {
        return Ok(());
    };
    let tail = &tail.lock().unwrap_or_else(PoisonError::into_inner).lines;
    // Warnings may stand before the first error.
    let is_error = |line: &String| line.to_lowercase().contains("error");
    let first = tail.iter().position(is_error).unwrap_or(0);
    let place = |line: &String| find_place(line, &root.join(&build.dir), root);
    Err(LoadError {
        message,
        place: tail
            .iter()
            .skip(first)
            .find_map(place)
            .or_else(|| tail.iter().find_map(place)),
        detail: (!tail.is_empty()).then(|| tail.iter().cloned().collect::<Vec<_>>().join("\n")),
        watch: Vec::new(),
    })
}

async fn run_to_end(build: &Build, root: &Path, lines: Lines, tail: Arc<Mutex<Tail>>) -> Result<(), String> {
    let Build { command, dir, .. } = build;
    if !root.join(dir).is_dir() {
        return Err(format!(
            "the folder `{}` of the build command does not exist",
            dir.display()
        ));
    }
    let mut child = shell(command);
    child
        .current_dir(root.join(dir))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    child.kill_on_drop(true);
    #[cfg(unix)]
    child.process_group(0);
    let mut child = child
        .spawn()
        .map_err(|error| format!("the build command `{command}` could not start: {error}"))?;
    let mut group = Group { id: child.id() };
    let mut reading = tokio::task::JoinSet::new();
    if let Some(pipe) = child.stdout.take() {
        reading.spawn(pass_on(pipe, Stream::Stdout, lines.clone(), tail.clone()));
    }
    if let Some(pipe) = child.stderr.take() {
        reading.spawn(pass_on(pipe, Stream::Stderr, lines, tail));
    }
    let ended = tokio::time::timeout(TIME_MAX, child.wait()).await;
    let all_read = async { while reading.join_next().await.is_some() {} };
    let is_read = tokio::time::timeout(LEFTOVER, all_read).await.is_ok();
    if ended.is_ok() && is_read {
        // Nothing of the group still writes, and its number may soon be another's.
        group.id = None;
    }
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("the build command `{command}` failed ({status})")),
        Ok(Err(error)) => Err(format!(
            "the build command `{command}` could not be waited for: {error}"
        )),
        Err(_) => Err(format!(
            "the build command `{command}` was ended after {} minutes",
            TIME_MAX.as_secs() / 60
        )),
    }
}

#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    shell
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    // The command line as written: `cmd` does not undo the quoting that `arg` would add.
    shell.raw_arg("/D /S /C \"").raw_arg(command).raw_arg("\"");
    shell
}

/// A running command with all that it started, ended at the drop while it has a number.
struct Group {
    id: Option<u32>,
}

impl Drop for Group {
    #[cfg(unix)]
    fn drop(&mut self) {
        let id = self
            .id
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id {
            // The usual case is that nothing of it is left.
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }

    #[cfg(windows)]
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let mut kill = std::process::Command::new("taskkill");
            kill.args(["/T", "/F", "/PID", &id.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            // The usual case is that nothing of it is left.
            let _ = kill.spawn();
        }
    }

    #[cfg(not(any(unix, windows)))]
    fn drop(&mut self) {}
}

#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    passed_on: usize,
}

async fn pass_on(mut pipe: impl AsyncRead + Unpin, stream: Stream, lines: Lines, tail: Arc<Mutex<Tail>>) {
    let take = |line: &[u8]| {
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.lines.len() == TAIL_LINES_MAX {
            tail.lines.pop_front();
        }
        tail.lines.push_back(text.clone());
        tail.passed_on += 1;
        match tail.passed_on {
            LINES_MAX => lines(stream, "(more output is not shown)".to_owned()),
            count if count < LINES_MAX => lines(stream, text),
            _ => {}
        }
    };
    let mut line = Vec::new();
    let mut chunk = vec![0; 8192];
    // A broken pipe is the end of the output like any other.
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        for &byte in &chunk[..count] {
            if byte == b'\n' {
                take(&line);
                line.clear();
            } else if line.len() < LINE_BYTES_MAX {
                line.push(byte);
            }
        }
    }
    if !line.is_empty() {
        take(&line);
    }
}

/// The first place in a compiler's line of output that names a file which exists: `src/a.rs:3:5`, `a.ts(3,5)`.
fn find_place(line: &str, dir: &Path, root: &Path) -> Option<Place> {
    let plain = strip_escapes(line);
    let words = plain.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '[' | ']'));
    words.filter_map(parse_place).find_map(|(file, line, column)| {
        let path = dir.join(file);
        let shown = path.strip_prefix(root).ok()?;
        path.is_file().then(|| Place {
            file: shown.to_string_lossy().replace('\\', "/"),
            line,
            column,
        })
    })
}

fn parse_place(word: &str) -> Option<(&str, u32, u32)> {
    let word = word.trim_start_matches("./").trim_end_matches([':', ',', '.', ';']);
    if let Some((file, rest)) = word.strip_suffix(')').and_then(|word| word.rsplit_once('(')) {
        let (line, column) = rest.split_once(',').unwrap_or((rest, "1"));
        return Some((file, line.parse().ok()?, column.parse().ok()?));
    }
    let (head, last) = word.rsplit_once(':')?;
    let last: u32 = last.parse().ok()?;
    match head.rsplit_once(':').map(|(file, line)| (file, line.parse::<u32>())) {
        Some((file, Ok(line))) => Some((file, line, last)),
        _ => Some((head, last, 1)),
    }
}

/// Colours, mostly.
fn strip_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            chars.find(char::is_ascii_alphabetic);
        } else {
            plain.push(char);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(command: &str) -> Build {
        Build {
            command: command.to_owned(),
            dir: "".into(),
            watch: Vec::new(),
        }
    }

    /// Runs in an empty folder: the result, and the lines with their streams.
    async fn run_here(command: &str) -> (Result<(), LoadError>, Vec<(Stream, String)>) {
        let dir = tempfile::tempdir().expect("a folder");
        let taken = Arc::new(Mutex::new(Vec::new()));
        let sink = taken.clone();
        let lines: Lines = Arc::new(move |stream, line| sink.lock().expect("a lock").push((stream, line)));
        let result = run(&build(command), dir.path(), lines).await;
        let lines = taken.lock().expect("a lock").clone();
        (result, lines)
    }

    #[test]
    fn places() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path();
        std::fs::create_dir(root.join("crate")).expect("a folder");
        for file in ["crate/lib.rs", "crate/a.ts", "crate/main.go"] {
            std::fs::write(root.join(file), "").expect("a file");
        }
        let check = |line: &str, expect: Option<(&str, u32, u32)>| {
            let found = find_place(line, &root.join("crate"), root);
            let expect = expect.map(|(file, line, column)| Place {
                file: file.to_owned(),
                line,
                column,
            });
            assert_eq!(found, expect, "{line}");
        };
        check("   --> lib.rs:14:5", Some(("crate/lib.rs", 14, 5)));
        check(
            "\u{1b}[1m\u{1b}[34m--> \u{1b}[0mlib.rs:14:5",
            Some(("crate/lib.rs", 14, 5)),
        );
        check(
            "a.ts(3,9): error TS2304: Cannot find name 'x'.",
            Some(("crate/a.ts", 3, 9)),
        );
        check("./main.go:7:2: undefined: y", Some(("crate/main.go", 7, 2)));
        check("main.go:7: undefined: y", Some(("crate/main.go", 7, 1)));
        check(
            "✘ [ERROR] Could not resolve \"z\" a.ts:1:8:",
            Some(("crate/a.ts", 1, 8)),
        );
        check("missing.rs:1:1", None);
        check("finished at 12:30:01", None);
        check("error: could not compile", None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn output_is_passed_on_and_success_is_success() {
        let (result, mut lines) = run_here("echo one; echo two >&2; printf three").await;
        lines.sort_by(|a, b| a.1.cmp(&b.1));
        assert!(result.is_ok(), "{result:?}");
        let expect = [
            (Stream::Stdout, "one"),
            (Stream::Stdout, "three"),
            (Stream::Stderr, "two"),
        ];
        assert_eq!(lines, expect.map(|(stream, line)| (stream, line.to_owned())));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_failure_tells_the_end_of_the_output_and_the_place() {
        let (result, _) =
            run_here("touch a.c; echo 'a.c:1:1: warning: so-so'; echo 'a.c:4:2: error: no'; exit 3").await;
        let error = result.expect_err("it fails");
        assert!(error.message.contains("exit status: 3"), "{}", error.message);
        let lines = "a.c:1:1: warning: so-so\na.c:4:2: error: no";
        assert_eq!(error.detail.as_deref(), Some(lines));
        assert_eq!(
            error.place,
            Some(Place {
                file: "a.c".to_owned(),
                line: 4,
                column: 2
            })
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn endless_output_is_bounded() {
        let (result, lines) = run_here("yes 0123456789 | head -n 5000; exit 1").await;
        assert_eq!(lines.len(), LINES_MAX);
        let detail = result.expect_err("it fails").detail.expect("a tail");
        assert_eq!(detail.lines().count(), TAIL_LINES_MAX);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_long_line_is_cut() {
        let (_, lines) = run_here("head -c 100000 /dev/zero | tr '\\0' x").await;
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].1.len(), LINE_BYTES_MAX);
    }

    /// The command tells the process id of a grandchild; once the future is dropped, that process goes.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_dropped_run_ends_the_whole_group() {
        let dir = tempfile::tempdir().expect("a folder");
        let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
        let sink: Lines = Arc::new(move |_, line| sender.send(line).expect("a listener"));
        let build = build("sleep 600 & echo $!; wait");
        let pid = tokio::select! {
            result = run(&build, dir.path(), sink) => panic!("ended by itself: {result:?}"),
            pid = lines.recv() => pid.expect("a line").parse().expect("a number"),
        };
        let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
        // Killed at once; only its reaping is up to the system. A zombie without a reaper counts as ended.
        let gone = || {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat", pid = pid.as_raw_nonzero()));
            rustix::process::test_kill_process(pid).is_err() || state.is_ok_and(|state| state.contains(") Z "))
        };
        let wait = async {
            while !gone() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .expect("the grandchild ends");
    }

    #[tokio::test]
    async fn a_missing_folder_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let build = Build {
            dir: "nowhere".into(),
            ..build("true")
        };
        let error = run(&build, dir.path(), Arc::new(|_, _| {}))
            .await
            .expect_err("no such folder");
        assert!(error.message.contains("`nowhere`"), "{}", error.message);
    }
}
