//! `emu simulate`: the platform in virtual time.

mod measure;
mod project;
mod sweep;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failure::{Failure, Outcome};
use super::{Global, json_line, output};
use crate::project::diagnostic::render_all;
use crate::report::simulation::Simulation;
use crate::report::{html, number};
use crate::sim::file::{self, ENDING, Override, Plan};
use crate::sim::recorded::Recorded;
use crate::sim::{self, figures};
use sweep::{Settings, Sweep};

/// Simulate functions and servers in virtual time: cold starts, latency, instances, cost
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// A simulation file [default: the folder's only *.sim.toml]
    #[arg(value_name = "FILE.sim.toml")]
    pub file: Option<PathBuf>,

    /// Simulate the project (`--project`) in place of a file: its functions with the service times and rates of its history
    #[arg(long, conflicts_with = "file")]
    pub from_history: bool,

    /// The same with its recorded requests, one by one
    #[arg(long, conflicts_with = "file")]
    pub history: bool,

    /// The same with times that are measured now: each HTTP function is run, fresh and warm, with the requests of its test files or
    /// a plain GET
    #[arg(long, conflicts_with_all = ["file", "from_history", "history"])]
    pub measure: bool,

    /// Print what is simulated as a simulation file, and do no more; with --from-history or --measure
    #[arg(long)]
    pub print: bool,

    /// Set a value of the file, such as `rate=20/s` or `functions.api.memory=1GB`; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = Override::parse)]
    pub set: Vec<Override>,

    /// Simulate once for each of these values; given again, for each combination
    #[arg(long, value_name = "KEY=A,B,C", value_parser = Sweep::parse)]
    pub sweep: Vec<Sweep>,

    /// Independent runs, from whose spread the intervals come
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub replications: Option<u32>,

    /// The same seed gives the same figures
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Print one JSON object to stdout
    #[arg(long)]
    pub json: bool,

    /// Write a table of all figures to this file; `-` is stdout
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Write a report with tables and plots to this file, for a browser; `-` is stdout
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// As the path of `--csv` and `--html`.
const STDOUT: &str = "-";

/// A file of a few lines, for those who have none.
const EXAMPLE: &str = "\
[workload]
rate = \"10/s\"

[functions.api]
service = { median = \"80ms\", p99 = \"400ms\" }
memory = \"256MB\"

[servers.web]
type = \"t4g.small\"
workers = 8
";

/// # Errors
/// When there is no file, when it is wrong, or when stdout or a file cannot be written.
pub fn run(args: &Args, global: &Global) -> Outcome {
    if args.print {
        output::data(&printed(args, global)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    one_on_stdout(args)?;
    let plans = if args.measure {
        let (path, text) = measure::read(global)?;
        plans(args, &path, &text, None)?
    } else if args.from_history || args.history {
        let (path, text, recorded) = project::read(global)?;
        plans(args, &path, &text, args.history.then_some(&recorded))?
    } else {
        let path = file_of(args)?;
        plans(args, &path, &file::read_text(&path)?, None)?
    };
    let color = global.style().color;
    let mut said: Vec<String> = Vec::new();
    for (_, plan) in &plans {
        let warnings = render_all(&plan.warnings, color);
        if !warnings.is_empty() && !said.contains(&warnings) {
            output::say(&format!("{warnings}\n\n"));
            said.push(warnings);
        }
    }
    let runs = plans.first().map_or(0, |(_, plan)| replications(args, plan));
    let parts: u64 = plans.iter().map(|(_, plan)| sim::parts(&plan.scene)).sum();
    let bar = progress(parts * u64::from(runs), global.quiet);
    let simulation = simulation(args, &plans, &|| bar.inc(1))?;
    bar.finish_and_clear();
    show(&simulation, args)?;
    Ok(ExitCode::SUCCESS)
}

/// The file that a project comes to.
fn printed(args: &Args, global: &Global) -> Result<String, Failure> {
    match (args.measure, args.from_history) {
        (true, _) => Ok(measure::read(global)?.1),
        (_, true) => Ok(project::read(global)?.1),
        _ => Err(
            Failure::usage("--print shows what a project comes to as a simulation file")
                .remedy("say --from-history or --measure with it"),
        ),
    }
}

/// What a file of this text comes to, without a word on the terminal.
///
/// # Errors
/// When the text or what is set is wrong.
pub fn of_text(args: &Args, path: &Path, text: &str) -> Result<Simulation, Failure> {
    simulation(args, &plans(args, path, text, None)?, &|| ())
}

fn replications(args: &Args, plan: &Plan) -> u32 {
    args.replications.unwrap_or(plan.replications)
}

/// `done` hears of each part of a replication that has ended.
fn simulation(args: &Args, plans: &[(Settings, Plan)], done: &(dyn Fn() + Sync)) -> Result<Simulation, Failure> {
    let Some((_, first)) = plans.first() else {
        return Err(Failure::usage("there is nothing to simulate"));
    };
    let replications = replications(args, first);
    let seed = args.seed.unwrap_or(first.seed);
    let mut points = Vec::new();
    for (settings, plan) in plans {
        let came = sim::run(&plan.scene, seed, replications, done);
        points.push(figures::point(&plan.scene, &came, settings.clone()));
    }
    let window = first.scene.window;
    Ok(Simulation {
        name: first.name.clone(),
        provider: first.scene.config.profile.name.clone(),
        seed,
        replications,
        horizon_s: window.seconds(),
        warmup_s: window.from.0 as f64 / 1e9,
        points,
        assumptions: assumptions(first, replications),
    })
}

/// Of what is asked for stdout takes one thing.
fn one_on_stdout(args: &Args) -> Result<(), Failure> {
    let is_stdout = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new(STDOUT));
    let asked = [
        (is_stdout(&args.html), "`--html -`", "`--html report.html`"),
        (is_stdout(&args.csv), "`--csv -`", "`--csv figures.csv`"),
        (args.json, "`--json`", ""),
    ];
    let asked: Vec<(&str, &str)> = asked
        .into_iter()
        .filter_map(|(on_stdout, flag, into_file)| on_stdout.then_some((flag, into_file)))
        .collect();
    match asked.as_slice() {
        [(_, into_file), _, ..] => {
            let flags: Vec<&str> = asked.iter().map(|(flag, _)| *flag).collect();
            Err(
                Failure::usage(format!("stdout takes only one of {}", flags.join(" and ")))
                    .remedy(format!("name a file, such as {into_file}")),
            )
        }
        _ => Ok(()),
    }
}

/// Writes the text into a file, or onto stdout, which is `taken` then.
fn put(path: &Path, text: &str, taken: &mut bool) -> Result<(), Failure> {
    if path == Path::new(STDOUT) {
        *taken = true;
        return Ok(output::data(text)?);
    }
    std::fs::write(path, text).map_err(|error| Failure::new(format!("{} cannot be written: {error}", path.display())))
}

fn show(simulation: &Simulation, args: &Args) -> Result<(), Failure> {
    let mut taken = false;
    if let Some(path) = &args.html {
        let page =
            html::page(simulation).map_err(|fault| Failure::new(format!("the report cannot be made: {fault}")))?;
        put(path, &page, &mut taken)?;
    }
    if let Some(path) = &args.csv {
        let csv = simulation
            .csv()
            .map_err(|error| Failure::new(format!("the table cannot be made: {error}")))?;
        put(path, &csv, &mut taken)?;
    }
    if taken {
        return Ok(());
    }
    let text = if args.json {
        json_line(simulation)?
    } else {
        simulation.text()
    };
    Ok(output::data(&text)?)
}

/// The file's plan, or one for each combination of what is swept.
fn plans(args: &Args, path: &Path, text: &str, recorded: Option<&Recorded>) -> Result<Vec<(Settings, Plan)>, Failure> {
    let mut plans = Vec::new();
    for settings in sweep::combinations(&args.sweep)? {
        let swept = settings.iter().map(|(key, value)| Override {
            key: key.clone(),
            value: value.clone(),
        });
        let overrides: Vec<Override> = args.set.iter().cloned().chain(swept).collect();
        let mut plan = file::read(path, text, &overrides)?;
        if let Some(recorded) = recorded {
            plan.scene.window.until = plan.scene.window.from.max(recorded.last()) + project::AFTER_LAST;
            plan.scene.shared = Some(Arc::new(recorded.clone()));
        }
        plans.push((settings, plan));
    }
    Ok(plans)
}

fn file_of(args: &Args) -> Result<PathBuf, Failure> {
    if let Some(file) = &args.file {
        return Ok(file.clone());
    }
    let files = file::in_folder(Path::new("."));
    match files.as_slice() {
        [only] => Ok(only.strip_prefix(".").unwrap_or(only).to_owned()),
        [] => Err(
            Failure::usage(format!("there is no file here whose name ends with {ENDING}"))
                .remedy(format!("write one, say shop{ENDING}:\n\n{EXAMPLE}")),
        ),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|file| file.strip_prefix(".").unwrap_or(file).display().to_string())
                .collect();
            Err(Failure::usage("there are several simulation files here")
                .remedy(format!("name one: {}", names.join(", "))))
        }
    }
}

/// On stderr, and only where it is a terminal; a short run shows none.
fn progress(work: u64, quiet: bool) -> ProgressBar {
    if quiet || work < 2 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(work), ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template("simulating {bar:30} {pos}/{len} runs, {eta} left");
    let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

fn assumptions(plan: &Plan, replications: u32) -> Vec<String> {
    let scene = &plan.scene;
    let billing = &scene.config.profile.billing;
    let mut words = plan.assumptions.clone();
    if !scene.functions.is_empty() {
        words.push(format!(
            "list prices of {} ({}, {}); a month has 730 hours, and its free tier is taken off",
            billing.as_of, billing.plan, billing.region
        ));
    }
    if !scene.servers.is_empty() {
        words.push("servers cost their hours, whether they work or not".to_owned());
    }
    words.push(match replications {
        1 => "a single replication has no interval; --replications 10 gives one".to_owned(),
        n => format!(
            "intervals hold the mean with 95%: Student's t over {}",
            number::plural(u64::from(n), "replication", "replications")
        ),
    });
    words
}
