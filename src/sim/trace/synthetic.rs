//! Synthetic traces in the public formats. The shares are those of Shahrad et al., "Serverless in the Wild" (ATC 2020): triggers, how
//! often applications are called, and that half of the functions run below a second on average. What is not published is
//! assumed, and said so here: rates within a class are log-uniform, run times and memory log-normal, and nothing follows the day.
//! Every name in them begins with `synthetic`.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use rand_distr::{Distribution as _, Poisson, StandardNormal};

use super::super::random::{Purpose, Stream};

const MINUTES: u32 = 1_440;

/// A trigger, its share of functions and its share of invocations, in percent.
const TRIGGERS: [(&str, f64, f64); 7] = [
    ("http", 55.0, 35.9),
    ("queue", 15.2, 33.5),
    ("event", 2.2, 24.7),
    ("orchestration", 6.9, 2.3),
    ("timer", 15.6, 2.0),
    ("storage", 2.8, 0.7),
    ("others", 2.2, 1.0),
];

/// Applications that are called at most once an hour, and at most once a minute; the others make nearly all invocations.
const SELDOM: f64 = 0.45;
const OFTEN: f64 = 0.81;
const OF_THE_MANY: f64 = 0.995;

/// Medians over functions, assumed spreads.
const RUN_MS: (f64, f64) = (1_000.0, 1.5);
const RUN_SIGMA_WITHIN: f64 = 0.5;
const MEMORY_MB: (f64, f64) = (128.0, 0.6);

/// Standard normal quantiles of the percentile columns; the outermost stand for the least and the most of a day.
const SCORES: [f64; 7] = [
    -3.5,
    -2.326_347_874,
    -0.674_489_75,
    0.0,
    0.674_489_75,
    2.326_347_874,
    3.5,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Azure2019,
    Azure2021,
    Plain,
}

#[derive(Clone, Debug)]
pub struct Wanted {
    pub format: Format,
    pub functions: u32,
    pub days: u32,
    /// Invocations a day, about.
    pub requests_day: u64,
    pub seed: u64,
}

struct Function {
    trigger: usize,
    /// A minute.
    rate: f64,
    run_ms: f64,
    memory_mb: f64,
}

/// Writes the files into a folder that is there, and says which.
///
/// # Errors
/// When one cannot be written.
pub fn write(wanted: &Wanted, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let functions = functions(wanted);
    let mut files = Vec::new();
    let mut open = |name: String| {
        let path = folder.join(name);
        files.push(path.clone());
        fs::File::create(path).map(BufWriter::new)
    };
    match wanted.format {
        Format::Azure2019 => {
            for day in 1..=wanted.days {
                let mut out = open(format!("synthetic.invocations_per_function_md.anon.d{day:02}.csv"))?;
                minutes(&functions, wanted.seed, day, &mut out)?;
                out.flush()?;
            }
            let mut out = open("synthetic.function_durations_percentiles.anon.d01.csv".to_owned())?;
            durations(&functions, &mut out)?;
            out.flush()?;
            let mut out = open("synthetic.app_memory_percentiles.anon.d01.csv".to_owned())?;
            memory(&functions, &mut out)?;
            out.flush()?;
        }
        Format::Azure2021 | Format::Plain => {
            let mut out = open("synthetic.invocations.csv".to_owned())?;
            rows(&functions, wanted, &mut out)?;
            out.flush()?;
        }
    }
    Ok(files)
}

fn functions(wanted: &Wanted) -> Vec<Function> {
    let mut stream = Stream::new(wanted.seed, 0, Purpose::Service, 0);
    let normal = |stream: &mut Stream| -> f64 { StandardNormal.sample(stream) };
    let mut functions = Vec::new();
    let mut many = Vec::new();
    for at in 0..wanted.functions as usize {
        let trigger = picked(stream.unit() * 100.0);
        let class = stream.unit();
        let within = stream.unit();
        // From once a day to once an hour, and from there to once a minute; low rates are the more frequent ones.
        let rate = match class {
            class if class < SELDOM => 24f64.powf(within) / f64::from(MINUTES),
            class if class < OFTEN => 60f64.powf(within * within) / 60.0,
            _ => {
                many.push((at, 1_000f64.powf(within)));
                1.0
            }
        };
        functions.push(Function {
            trigger,
            rate,
            run_ms: (RUN_MS.0 * (RUN_MS.1 * normal(&mut stream)).exp()).clamp(1.0, 600_000.0),
            memory_mb: (MEMORY_MB.0 * (MEMORY_MB.1 * normal(&mut stream)).exp()).clamp(16.0, 1_536.0),
        });
    }
    share_out(
        &mut functions,
        &many,
        wanted.requests_day as f64 * OF_THE_MANY / f64::from(MINUTES),
    );
    functions
}

/// Gives the functions that are called often their rates, by the weights that they have drawn, so that each trigger comes to its
/// share of all invocations; none falls below once a minute.
fn share_out(functions: &mut [Function], many: &[(usize, f64)], rate: f64) {
    for (trigger, (_, _, percent)) in TRIGGERS.iter().enumerate() {
        let of_trigger = || many.iter().filter(|(at, _)| functions[*at].trigger == trigger);
        let weights: f64 = of_trigger().map(|(_, weight)| weight).sum();
        let each = rate * percent / 100.0 / weights.max(f64::MIN_POSITIVE);
        let rates: Vec<(usize, f64)> = of_trigger()
            .map(|(at, weight)| (*at, (weight * each).max(1.0)))
            .collect();
        for (at, rate) in rates {
            functions[at].rate = rate;
        }
    }
}

fn picked(percent: f64) -> usize {
    let mut upto = 0.0;
    let at = TRIGGERS.iter().position(|(_, share, _)| {
        upto += share;
        percent < upto
    });
    at.unwrap_or(TRIGGERS.len() - 1)
}

/// Timers fire evenly, the others independently.
fn count(function: &Function, minute: u64, stream: &mut Stream) -> u64 {
    if TRIGGERS[function.trigger].0 == "timer" {
        let upto = |minute: u64| (minute as f64 * function.rate) as u64;
        return upto(minute + 1) - upto(minute);
    }
    Poisson::new(function.rate).map_or(0, |poisson| {
        let drawn: f64 = poisson.sample(stream);
        drawn as u64
    })
}

fn names(at: usize) -> String {
    format!("synthetic-owner-{at:06},synthetic-app-{at:06},synthetic-function-{at:06}")
}

fn minutes(functions: &[Function], seed: u64, day: u32, out: &mut impl io::Write) -> io::Result<()> {
    write!(out, "HashOwner,HashApp,HashFunction,Trigger")?;
    for minute in 1..=MINUTES {
        write!(out, ",{minute}")?;
    }
    writeln!(out)?;
    for (at, function) in functions.iter().enumerate() {
        let mut stream = Stream::new(seed, day, Purpose::Arrivals, at as u32);
        write!(out, "{},{}", names(at), TRIGGERS[function.trigger].0)?;
        for minute in 0..MINUTES {
            let since = u64::from(day - 1) * u64::from(MINUTES) + u64::from(minute);
            write!(out, ",{}", count(function, since, &mut stream))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn durations(functions: &[Function], out: &mut impl io::Write) -> io::Result<()> {
    writeln!(
        out,
        "HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,percentile_Average_0,percentile_Average_1,\
         percentile_Average_25,percentile_Average_50,percentile_Average_75,percentile_Average_99,percentile_Average_100"
    )?;
    for (at, function) in functions.iter().enumerate() {
        let ms: Vec<f64> = SCORES.iter().map(|score| run_ms(function, *score)).collect();
        let calls = (function.rate * f64::from(MINUTES)) as u64;
        write!(
            out,
            "{},{:.3},{calls},{:.3},{:.3}",
            names(at),
            function.run_ms,
            ms[0],
            ms[6]
        )?;
        for value in ms {
            write!(out, ",{value:.3}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Log-normal with the function's mean.
fn run_ms(function: &Function, score: f64) -> f64 {
    function.run_ms * (RUN_SIGMA_WITHIN * score - RUN_SIGMA_WITHIN * RUN_SIGMA_WITHIN / 2.0).exp()
}

fn memory(functions: &[Function], out: &mut impl io::Write) -> io::Result<()> {
    write!(out, "HashOwner,HashApp,SampleCount,AverageAllocatedMb")?;
    for percentile in [1, 5, 25, 50, 75, 95, 99, 100] {
        write!(out, ",AverageAllocatedMb_pct{percentile}")?;
    }
    writeln!(out)?;
    for (at, function) in functions.iter().enumerate() {
        write!(
            out,
            "synthetic-owner-{at:06},synthetic-app-{at:06},{MINUTES},{:.0}",
            function.memory_mb
        )?;
        for share in [0.8, 0.85, 0.95, 1.0, 1.05, 1.15, 1.2, 1.25] {
            write!(out, ",{:.0}", function.memory_mb * share)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A minute at a time, in the order of arrival.
fn rows(functions: &[Function], wanted: &Wanted, out: &mut impl io::Write) -> io::Result<()> {
    let azure = wanted.format == Format::Azure2021;
    writeln!(
        out,
        "{}",
        if azure {
            "app,func,end_timestamp,duration"
        } else {
            "time,function,duration"
        }
    )?;
    let mut stream = Stream::new(wanted.seed, 1, Purpose::Arrivals, u32::MAX);
    let mut due: Vec<(f64, usize, f64)> = Vec::new();
    for minute in 0..u64::from(wanted.days) * u64::from(MINUTES) {
        for (at, function) in functions.iter().enumerate() {
            for _ in 0..count(function, minute, &mut stream) {
                let score: f64 = StandardNormal.sample(&mut stream);
                due.push((
                    minute as f64 * 60.0 + stream.unit() * 60.0,
                    at,
                    run_ms(function, score) / 1e3,
                ));
            }
        }
        due.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        for (time, at, duration) in due.drain(..) {
            if azure {
                let end = time + duration;
                writeln!(
                    out,
                    "synthetic-app-{at:06},synthetic-function-{at:06},{end:.6},{duration:.6}"
                )?;
            } else {
                writeln!(out, "{time:.6},synthetic-function-{at:06},{duration:.6}")?;
            }
        }
    }
    Ok(())
}
