//! `emu record`: what an emulator received and answered, as a test file that `emu test` runs.

use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args as ClapArgs;

use super::Global;
use super::client::{block_on, find};
use super::failure::{FAILURE, Failure, Outcome};
use super::logs::{archive, runs};
use super::output::say;
use super::settings::{self, RunArgs};
use super::signals::Signals;
use super::test::trial;
use crate::live;
use crate::live::api::{Health, Recording};
use crate::live::recording::{Draft, Expected, Seen};
use crate::project::diagnostic::Source;
use crate::project::testfile::{SUFFIX, TestFile};
use crate::project::{ClockSetting, Function, Target, testfile};
use crate::report::number::plural;
use crate::report::style::Tone;

/// Steps of a file when only `--since` bounds them.
const STEPS_MAX: usize = 1_000;

const EXAMPLES: &str = "\
Examples:
  emu record tests/order.emu.toml              from now until Ctrl-C
  emu record tests/order.emu.toml --since 10m  what was in the last ten minutes
  emu record bug.emu.toml --last 3             the last three requests
  emu test tests/order.emu.toml

Requests, messages, events and crons fired by hand become steps, the time between them moves of the clock, what the outside answered \
[[outbound]]. The steps are tried twice on fresh emulators: what came both times is expected, what is drawn anew each time is `[..]`, and a \
value that an answer gave and a later request sends is saved. Values of secrets and credentials are left out. The exit code is 1 when \
the file does not pass, which the end of it says.";

/// Write what an emulator received and answered as a test file
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file, which ends in .emu.toml
    file: PathBuf,

    /// What was since then, at once: 10m, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// The last so many requests, messages and events, at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    last: Option<u16>,

    /// Only what came to this function
    #[arg(short, long, value_name = "NAME")]
    function: Option<String>,

    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let name = args.file.to_string_lossy().into_owned();
    if !name.ends_with(SUFFIX) {
        let stem = args.file.with_extension("");
        return Err(Failure::usage(format!(
            "{name} does not end in {SUFFIX}, by which `emu test` finds test files"
        ))
        .remedy(format!("call it {}{SUFFIX}", stem.display())));
    }
    if args.file.exists() && !args.force {
        return Err(Failure::usage(format!("{name} is there already")).remedy("give another name, or --force"));
    }
    let recording = recording(args, global)?;
    if recording.steps.is_empty() {
        return Err(
            Failure::new("nothing came from outside in this time, so there is nothing to write")
                .remedy("send a request while it records, or reach further back with --since 1h"),
        );
    }
    let draft = Draft::new(&recording);
    let place = Place::of(&args.file, global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (text, doubts) = runtime.block_on(written(&draft, &place));
    runtime.shutdown_background();
    if let Some(folder) = args.file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&args.file, text).map_err(|error| Failure::new(format!("{name} cannot be written: {error}")))?;
    let steps = plural(recording.steps.len() as u64, "step", "steps");
    let style = global.style();
    for note in &draft.notes {
        say(&format!("{} {note}\n", style.paint(Tone::Info, "note:")));
    }
    for doubt in &doubts {
        say(&format!("{} {doubt}\n", style.paint(Tone::Bad, "warning:")));
    }
    say(&format!("{steps} in {name}; run it with: emu test {name}\n"));
    Ok(ExitCode::from(if doubts.is_empty() { 0 } else { FAILURE }))
}

/// Queues and topics of a function, as far as the project is still there: its history may outlive it.
fn reads(function: &str, global: &Global) -> Vec<String> {
    let opened = settings::open(global.project.as_deref(), &RunArgs::default());
    let found = opened
        .ok()
        .and_then(|opened| opened.loaded.project.functions.get(function).map(Function::reads));
    found.unwrap_or_default()
}

/// From a running emulator, or from what a folder's history holds.
fn recording(args: &Args, global: &Global) -> Result<Recording, Failure> {
    let past = args.since.is_some() || args.last.is_some();
    let last = args.last.map_or(STEPS_MAX, usize::from);
    if let (true, false, Some(archive)) = (past, runs(global)?, archive(global)) {
        let function = args.function.as_deref();
        let reads = function.map_or_else(Vec::new, |name| reads(name, global));
        return Ok(archive.recording(function, reads, args.since.as_deref(), last)?);
    }
    block_on(async {
        let client = find(global)?;
        let mut since = args.since.clone();
        if !past {
            let mut signals = Signals::listen()?;
            let health: Health = client.get(&["_emu", "health"], &[]).await?;
            since = Some(health.now);
            say("recording what emu receives; Ctrl-C ends it and writes the file\n");
            signals.next().await;
        }
        let last = last.to_string();
        let mut query = vec![("limit", last.as_str())];
        query.extend(since.as_deref().map(|since| ("since", since)));
        query.extend(args.function.as_deref().map(|function| ("function", function)));
        client.get(&["_emu", "recording"], &query).await
    })
}

/// Where the file is, and what it tests.
struct Place {
    file: PathBuf,
    /// `None`: there is none on this machine, so nothing can be tried.
    root: Option<PathBuf>,
    /// How the file names the project, when it is not above it.
    written: Option<String>,
}

impl Place {
    fn of(file: &Path, global: &Global) -> Result<Place, Failure> {
        let file = std::env::current_dir()?.join(file);
        let folder = file.parent().unwrap_or(Path::new("/"));
        let target = crate::project::find(global.project.as_deref()).ok();
        let root = target.map(|target| match target {
            Target::Folder(root) | Target::File(root) => root,
        });
        let there = canonical(folder);
        let written = match &root {
            Some(root) if !there.starts_with(canonical(root)) => Some(relative(&there, &canonical(root))),
            _ => None,
        };
        Ok(Place { file, root, written })
    }

    fn read(&self, text: &str) -> Result<TestFile, String> {
        let source = Source {
            name: self.file.display().to_string(),
            path: self.file.clone(),
            text: text.to_owned(),
        };
        testfile::read(source).map_err(|problems| problems.render(false))
    }
}

/// With links followed, as far as it is there: the file's folder may be new.
fn canonical(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
    let there = there.canonicalize().unwrap_or_else(|_| there.to_owned());
    // An empty rest would end it with a slash.
    if rest.as_os_str().is_empty() {
        there
    } else {
        there.join(rest)
    }
}

/// `to` as seen from the folder `from`, both absolute.
fn relative(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - common);
    let down = to[common..]
        .iter()
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    let parts: Vec<String> = up.chain(down).collect();
    if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    }
}

/// The text of the file, and why it may not pass.
async fn written(draft: &Draft<'_>, place: &Place) -> (String, Vec<String>) {
    let project = place.written.as_deref();
    let recorded = || draft.text(project, &Expected::Recorded);
    let Some(root) = &place.root else {
        let doubt = "the project is not here, so the steps were not tried: look at what is expected, or use `emu test --update`";
        return (recorded(), vec![doubt.to_owned()]);
    };
    match tried(draft, place, root).await {
        Ok((text, doubts)) => (text, doubts),
        Err(why) => (recorded(), vec![format!("the steps could not be tried: {why}")]),
    }
}

/// Runs the steps under two seeds, then the file as it is to be.
async fn tried(draft: &Draft<'_>, place: &Place, root: &Path) -> Result<(String, Vec<String>), String> {
    let engine = live::engine_for(ClockSetting::Manual).map_err(|error| format!("{error:#}"))?;
    let project = place.written.as_deref();
    let bare = place.read(&draft.text(project, &Expected::Nothing))?;
    let mut runs: [Vec<Option<Seen>>; 2] = Default::default();
    for (run, seed) in runs.iter_mut().zip([1, 2]) {
        *run = trial::answers(&bare, root, seed, &engine).await?;
    }
    let text = draft.text(project, &Expected::Tried(&runs));
    let file = place.read(&text)?;
    let doubts = trial::doubts(Arc::new(file), root, &engine).await;
    Ok((text, doubts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_elsewhere_is_named_by_the_way_to_it() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(way("/a/tests", "/a"), "..");
        assert_eq!(way("/a/tests/x", "/a/shop"), "../../shop");
        assert_eq!(way("/a", "/a"), ".");
    }
}
