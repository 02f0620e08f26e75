//! The process between `emu exec` and its command. When the command has ended, or emu has, nothing is left of what the command
//! has started, whatever detached itself on the way.
//!
//! ```text
//! emu exec -> guard -> command -> ...      dies with its parent: guard, command (Linux)
//! ```
//!
//! On Linux the guard is the parent of everything below it that loses its own (a *child subreaper*), and so is emu: whoever
//! of the two is left ends the rest. Elsewhere on Unix it ends the command's process group, unless there is a terminal, whose keys a group of its own
//! would miss. It is this program again, begun with a hidden argument.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal as Kill, WaitOptions, WaitStatus, getpid, getppid, kill_process, wait};
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::failure::{EXEC, Failure};
use super::output::say;

/// The hidden first arguments: of a guard, and of what becomes the command.
const GUARD: &str = "__guard";
const BECOME: &str = "__become";
/// What is asked to end has so long until it is made to.
const GRACE: Duration = Duration::from_secs(1);
/// How often a guard looks whether emu is there, where the system does not tell it.
const LOOK: Duration = Duration::from_millis(250);
/// How often it looks for what is left.
const AGAIN: Duration = Duration::from_millis(10);

/// The command with a guard around it.
///
/// # Errors
/// When emu does not find its own program.
pub fn guarded(program: &OsStr, args: &[OsString]) -> Result<Command, Failure> {
    // What a guard leaves that was killed comes to emu. Where the system refuses that, it stays.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(getpid()));
    let mut command = Command::from(again(GUARD)?);
    command.arg(program).args(args);
    Ok(command)
}

/// This program, begun as something else by this process.
fn again(what: &str) -> Result<std::process::Command, Failure> {
    let this = std::env::current_exe()
        .map_err(|error| Failure::new(format!("emu does not find itself: {error}")).code(EXEC))?;
    let mut command = std::process::Command::new(this);
    command.arg(what).arg(std::process::id().to_string());
    Ok(command)
}

/// Is a guard, or becomes the command, if the arguments say so. Returns when they do not, or with the end.
pub fn main() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let what = args.next()?;
    if what != GUARD && what != BECOME {
        return None;
    }
    let parent = args.next().and_then(|id| id.to_str()?.parse::<i32>().ok())?;
    let (program, rest) = (args.next()?, args.collect::<Vec<_>>());
    let ended = if is_orphan(tie(), parent) {
        Ok(EXEC)
    } else if what == BECOME {
        Err(become_command(&program, &rest))
    } else {
        guard(parent, &program, &rest)
    };
    Some(ExitCode::from(ended.unwrap_or_else(|failure| {
        say(&failure.render(&crate::report::style::Style::default()));
        EXEC
    })))
}

/// From here on this process gets SIGTERM when its parent dies.
#[cfg(target_os = "linux")]
fn tie() -> bool {
    rustix::process::set_parent_process_death_signal(Some(Kill::TERM)).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn tie() -> bool {
    true
}

fn is_orphan(tied: bool, parent: i32) -> bool {
    !tied || getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent)
}

fn become_command(program: &OsStr, args: &[OsString]) -> Failure {
    use std::os::unix::process::CommandExt as _;
    let error = std::process::Command::new(program).args(args).exec();
    Failure::new(format!("cannot run {}: {error}", program.to_string_lossy()))
}

/// Signals that concern a guard.
struct Heard {
    child: Signal,
    terminate: Signal,
    /// Keys of the terminal: the command has heard of them itself.
    _keys: [Signal; 3],
}

impl Heard {
    fn listen() -> std::io::Result<Heard> {
        Ok(Heard {
            child: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
            _keys: [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::quit())?,
                signal(SignalKind::hangup())?,
            ],
        })
    }
}

/// Runs the command, and ends whatever is left of it.
fn guard(parent: i32, program: &OsStr, args: &[OsString]) -> Result<u8, Failure> {
    // One thread: the command is tied to it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut heard = Heard::listen()?;
        #[cfg(target_os = "linux")]
        rustix::process::set_child_subreaper(Some(getpid())).map_err(std::io::Error::from)?;
        let mut command = again(BECOME)?;
        command.arg(program).args(args);
        let grouped = has_group(&mut command);
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Failure::new("the command has no process id"))?;
        let family = Family { pid };
        let code = family.watch(parent, &mut heard).await;
        if grouped {
            // What is left of the group is nobody's child that could be waited for.
            let _ = rustix::process::kill_process_group(pid, Kill::TERM);
        }
        family.end(&mut heard).await;
        Ok(code)
    })
}

/// Gives the command a group of its own, so that it can be ended as a whole where that is the only means.
fn has_group(command: &mut std::process::Command) -> bool {
    use std::io::IsTerminal as _;
    use std::os::unix::process::CommandExt as _;
    if cfg!(target_os = "linux") || std::io::stdin().is_terminal() {
        return false;
    }
    command.process_group(0);
    true
}

/// The command, and what has come of it.
struct Family {
    pid: Pid,
}

/// What ended just now.
enum Reaped {
    Command(u8),
    Another,
    /// What is left runs on.
    Nobody,
    /// There is nothing left.
    None,
}

impl Family {
    /// Up to the end of the command, or of emu: the command's code.
    async fn watch(&self, parent: i32, heard: &mut Heard) -> u8 {
        loop {
            match self.reap() {
                Reaped::Command(code) => return code,
                Reaped::Another => continue,
                // The command is gone although nobody told of its end.
                Reaped::None => return EXEC,
                Reaped::Nobody => {}
            }
            tokio::select! {
                _ = heard.child.recv() => {}
                _ = heard.terminate.recv() => {
                    if is_orphan(true, parent) {
                        return EXEC;
                    }
                    tell(self.pid, Kill::TERM);
                }
                () = tokio::time::sleep(LOOK), if !cfg!(target_os = "linux") => {
                    if is_orphan(true, parent) {
                        return EXEC;
                    }
                }
            }
        }
    }

    fn reap(&self) -> Reaped {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == self.pid => Reaped::Command(code_of(status)),
            Ok(Some(_)) | Err(Errno::INTR) => Reaped::Another,
            Ok(None) => Reaped::Nobody,
            Err(_) => Reaped::None,
        }
    }

    /// Ends all that is left: asks it to first.
    async fn end(&self, heard: &mut Heard) {
        let mut asked = BTreeSet::new();
        for how in [Kill::TERM, Kill::KILL] {
            let over = Instant::now() + GRACE;
            while Instant::now() < over {
                match self.reap() {
                    Reaped::None => return,
                    Reaped::Command(_) | Reaped::Another => continue,
                    Reaped::Nobody => {}
                }
                let mut left = self.left();
                // Asking twice means another thing to some.
                left.retain(|of| how == Kill::KILL || asked.insert(of.as_raw_nonzero()));
                for pid in left {
                    tell(pid, how);
                }
                tokio::select! {
                    _ = heard.child.recv() => {}
                    // Somebody may have had children meanwhile.
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
        }
    }

    /// What can be found of it. Outside of Linux: the command, for all of its group.
    fn left(&self) -> Vec<Pid> {
        match cfg!(target_os = "linux") {
            true => descendants(),
            false => vec![self.pid],
        }
    }
}

/// Sends a signal to what may have ended by itself just now.
fn tell(pid: Pid, what: Kill) {
    let _ = kill_process(pid, what);
}

/// As shells say it: 128 and the signal's number.
fn code_of(status: WaitStatus) -> u8 {
    let code = match status.terminating_signal() {
        Some(signal) => 128 + signal,
        None => status.exit_status().unwrap_or(1) & 0xff,
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// What this process has started and what came of it, as far as it runs.
#[cfg(target_os = "linux")]
fn descendants() -> Vec<Pid> {
    let mut parents: Vec<(i32, i32)> = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // It may have ended meanwhile. The name in parentheses may hold anything: `pid (name) state parent ...`
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let mut rest = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let (state, parent) = (rest.next(), rest.next().and_then(|id| id.parse().ok()));
        if let (Some(parent), false) = (parent, state == Some("Z")) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![getpid().as_raw_nonzero().get()];
    let mut at = 0;
    while let Some(of) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
        at += 1;
    }
    found.into_iter().skip(1).filter_map(Pid::from_raw).collect()
}

#[cfg(not(target_os = "linux"))]
fn descendants() -> Vec<Pid> {
    Vec::new()
}

/// Ends what a guard has left that was killed itself; for emu, which is about to end.
pub async fn end_orphans() {
    let over = Instant::now() + GRACE;
    while Instant::now() < over {
        let left = descendants();
        if left.is_empty() {
            return;
        }
        left.into_iter().for_each(|pid| tell(pid, Kill::KILL));
        tokio::time::sleep(AGAIN).await;
    }
}
