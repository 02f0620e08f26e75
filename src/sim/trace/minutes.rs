//! Azure's trace of 2019: a line for each function, a column for each minute of a day. What a minute holds is spread over it at
//! random, from a stream of each function's own. Of one function alone its lines are read, which the first reading has found; for all
//! of them together a day is read an hour at a time: once through the file for each hour, with that hour's counts in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_distr::{Distribution as _, Exp1};

use super::super::Source;
use super::super::distribution::Distribution;
use super::super::random::{Purpose, Seeds, Stream};
use super::super::workload::{Arrival, Arrivals};
use super::{Fault, Files, Trace, Traced, column, fault, headings, reader, short, unreadable};
use crate::platform::time::{Span, Time};

const MINUTE: u64 = 60_000_000_000;
/// Invocations of one function in one minute, which are in memory at once.
const COUNT_MAX: u32 = 10_000_000;
/// Minutes that are in memory at once.
const CHUNK: usize = 60;

/// Percentiles of `function_durations_percentiles`, with their columns.
const PERCENTILES: [(f64, &str); 7] = [
    (0.0, "percentile_Average_0"),
    (0.01, "percentile_Average_1"),
    (0.25, "percentile_Average_25"),
    (0.5, "percentile_Average_50"),
    (0.75, "percentile_Average_75"),
    (0.99, "percentile_Average_99"),
    (1.0, "percentile_Average_100"),
];

struct Days {
    files: Vec<Day>,
    ids: Arc<HashMap<String, u32>>,
    /// Where each function's lines begin: the day, and the byte.
    lines: Vec<Vec<(u32, u64)>>,
}

#[derive(Clone)]
struct Day {
    path: PathBuf,
    keys: [usize; 3],
    /// Column of the first minute, and how many there are.
    minutes: (usize, usize),
}

impl Day {
    fn of(path: &Path, heading: &[String]) -> Result<Day, Fault> {
        let first = column(heading, "1", path)?;
        let numbered = heading[first..].iter().zip(1usize..);
        let count = numbered
            .take_while(|(column, minute)| column.parse::<usize>() == Ok(*minute))
            .count();
        Ok(Day {
            path: path.to_owned(),
            keys: keys(heading, path)?,
            minutes: (first, count),
        })
    }
}

fn keys(heading: &[String], path: &Path) -> Result<[usize; 3], Fault> {
    Ok([
        column(heading, "HashOwner", path)?,
        column(heading, "HashApp", path)?,
        column(heading, "HashFunction", path)?,
    ])
}

fn key(record: &csv::StringRecord, columns: &[usize]) -> String {
    let parts: Vec<&str> = columns.iter().filter_map(|at| record.get(*at)).collect();
    parts.join("/")
}

pub fn open(files: &Files) -> Result<Trace, Fault> {
    let mut ids: HashMap<String, u32> = HashMap::new();
    let mut functions: Vec<Traced> = Vec::new();
    let mut lines: Vec<Vec<(u32, u64)>> = Vec::new();
    let (mut days, mut requests, mut minutes) = (Vec::new(), 0u64, 0);
    for path in &files.requests {
        let mut reader = reader(path)?;
        let day = Day::of(path, &headings(&mut reader, path)?)?;
        let mut record = csv::StringRecord::new();
        while reader
            .read_record(&mut record)
            .map_err(|error| unreadable(path, &error))?
        {
            let id = match ids.entry(key(&record, &day.keys)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(_) if functions.len() >= files.functions_max => continue,
                Entry::Vacant(vacant) => {
                    let parts: Vec<&str> = vacant.key().split('/').skip(1).collect();
                    functions.push(Traced {
                        name: short(&parts),
                        service: None,
                        memory_mb: None,
                    });
                    lines.push(Vec::with_capacity(1));
                    *vacant.insert(functions.len() as u32 - 1)
                }
            };
            let begins = record.position().map_or(0, csv::Position::byte);
            lines[id as usize].push((days.len() as u32, begins));
            for (text, minute) in record.iter().skip(day.minutes.0).take(day.minutes.1).zip(1..) {
                let line = record.position().map(csv::Position::line);
                requests += match text {
                    "0" => 0,
                    text => u64::from(
                        count(text)
                            .map_err(|what| fault(path, line, format!("`{text}` in the column {minute} is {what}")))?,
                    ),
                };
            }
        }
        minutes += day.minutes.1 as u64;
        days.push(day);
    }
    if requests == 0 {
        let path = files.requests.first().cloned().unwrap_or_default();
        return Err(fault(&path, None, "there is no invocation in it"));
    }
    durations(&files.durations, &ids, &mut functions)?;
    memory(&files.memory, &ids, &mut functions)?;
    let lasts = Span(minutes * MINUTE);
    let source = Arc::new(Days {
        files: days,
        ids: Arc::new(ids),
        lines,
    });
    Ok(Trace {
        functions,
        requests,
        lasts,
        many_accounts: true,
        source,
    })
}

/// # Errors
/// What it is instead.
fn count(text: &str) -> Result<u32, &'static str> {
    match text.parse::<u32>() {
        Ok(count) if count > COUNT_MAX => Err("more than a minute may have (10,000,000 invocations of one function)"),
        Ok(count) => Ok(count),
        Err(_) => Err("no count of invocations"),
    }
}

fn durations(files: &[PathBuf], ids: &HashMap<String, u32>, functions: &mut [Traced]) -> Result<(), Fault> {
    for path in files {
        let mut reader = reader(path)?;
        let heading = headings(&mut reader, path)?;
        let keys = keys(&heading, path)?;
        let columns: Result<Vec<usize>, Fault> = PERCENTILES
            .iter()
            .map(|(_, name)| column(&heading, name, path))
            .collect();
        let columns = columns?;
        let mut record = csv::StringRecord::new();
        while reader
            .read_record(&mut record)
            .map_err(|error| unreadable(path, &error))?
        {
            let id = ids.get(&key(&record, &keys));
            let Some(function) = id.and_then(|id| functions.get_mut(*id as usize)) else {
                continue;
            };
            let mut points = Vec::new();
            let mut least = 0.0f64;
            for ((share, name), at) in PERCENTILES.iter().zip(&columns) {
                let ms = number(&record, *at, name, path)?;
                least = least.max(ms * 1e6);
                points.push((*share, least));
            }
            // A function has a line for each day; the first one holds.
            function.service.get_or_insert(Distribution::Quantiles(points.into()));
        }
    }
    Ok(())
}

/// By application: each of its functions has an instance of its own here.
fn memory(files: &[PathBuf], ids: &HashMap<String, u32>, functions: &mut [Traced]) -> Result<(), Fault> {
    let mut apps: HashMap<String, u32> = HashMap::new();
    for path in files {
        let mut reader = reader(path)?;
        let heading = headings(&mut reader, path)?;
        let app = [column(&heading, "HashOwner", path)?, column(&heading, "HashApp", path)?];
        let name = "AverageAllocatedMb_pct100";
        let at = column(&heading, name, path)?;
        let mut record = csv::StringRecord::new();
        while reader
            .read_record(&mut record)
            .map_err(|error| unreadable(path, &error))?
        {
            let mb = number(&record, at, name, path)?.ceil() as u32;
            let most = apps.entry(key(&record, &app)).or_default();
            *most = mb.max(*most);
        }
    }
    for (key, id) in ids {
        let app = key.rsplit_once('/').map_or(key.as_str(), |(app, _)| app);
        if let (Some(mb), Some(function)) = (apps.get(app), functions.get_mut(*id as usize)) {
            function.memory_mb = Some((*mb).max(1));
        }
    }
    Ok(())
}

fn number(record: &csv::StringRecord, at: usize, name: &str, path: &Path) -> Result<f64, Fault> {
    let text = record.get(at).unwrap_or_default();
    let value = text
        .parse::<f64>()
        .ok()
        .filter(|value| value.is_finite() && *value >= 0.0);
    let line = record.position().map(csv::Position::line);
    value.ok_or_else(|| fault(path, line, format!("`{text}` is no number for `{name}`")))
}

impl Source for Days {
    fn open(&self, _function: u32, seeds: Seeds) -> Box<dyn Arrivals + Send> {
        let functions = 0..self.lines.len() as u32;
        let mut arrivals = Minutes {
            days: self.files.clone(),
            ids: Arc::clone(&self.ids),
            streams: functions.map(|id| seeds.stream(Purpose::Arrivals, id)).collect(),
            day: 0,
            chunk: 0,
            begins: 0,
            cells: Vec::new(),
            due: Vec::new(),
        };
        arrivals.fill();
        Box::new(arrivals)
    }

    fn open_one(&self, function: u32, seeds: Seeds) -> Option<Box<dyn Arrivals + Send>> {
        let mut alone = Alone {
            function,
            stream: seeds.stream(Purpose::Arrivals, function),
            cells: self.cells(function),
            due: Vec::new(),
            next: 0,
        };
        alone.fill();
        Some(Box::new(alone))
    }

    fn opens_one(&self) -> bool {
        true
    }
}

impl Days {
    /// Minutes of the whole trace in which the function was called, with its counts; the latest first.
    fn cells(&self, function: u32) -> Vec<(u32, u32)> {
        let mut cells = Vec::new();
        let mut begins = 0;
        for (at, day) in self.files.iter().enumerate() {
            let lines = self.lines.get(function as usize).into_iter().flatten();
            for (_, byte) in lines.filter(|(of, _)| *of as usize == at) {
                let Some(record) = day.line(*byte) else { continue };
                for (text, minute) in record.iter().skip(day.minutes.0).take(day.minutes.1).zip(begins..) {
                    if text != "0" {
                        cells.push((minute, count(text).unwrap_or(0)));
                    }
                }
            }
            begins += day.minutes.1 as u32;
        }
        cells.sort_unstable_by(|a, b| b.cmp(a));
        cells
    }
}

impl Day {
    /// The line that begins at this byte; `None`: the file is no longer what it was.
    fn line(&self, byte: u64) -> Option<csv::StringRecord> {
        /// About a line.
        const BUFFER: usize = 1 << 13;
        let mut file = File::open(&self.path).ok()?;
        file.seek(SeekFrom::Start(byte)).ok()?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .trim(csv::Trim::All)
            .buffer_capacity(BUFFER)
            .from_reader(file);
        let mut record = csv::StringRecord::new();
        reader.read_record(&mut record).ok()?.then_some(record)
    }
}

/// Spreads so many invocations over a minute, in order: independent instants are sums of exponential gaps, scaled.
fn spread(stream: &mut Stream, count: u32, mut instant: impl FnMut(u64)) {
    let mut before = stream.clone();
    let gap = |stream: &mut Stream| -> f64 { Exp1.sample(stream) };
    let all: f64 = (0..=count).map(|_| gap(stream)).sum();
    let mut upto = 0.0;
    for _ in 0..count {
        upto += gap(&mut before);
        instant(((upto / all * MINUTE as f64) as u64).min(MINUTE - 1));
    }
}

/// One function's invocations.
struct Alone {
    function: u32,
    stream: Stream,
    /// Minute, count; the latest first.
    cells: Vec<(u32, u32)>,
    /// Of one minute, in order.
    due: Vec<Time>,
    next: usize,
}

impl Alone {
    #[cold]
    fn fill(&mut self) {
        self.due.clear();
        self.next = 0;
        while self.due.is_empty()
            && let Some(&(minute, _)) = self.cells.last()
        {
            let begins = u64::from(minute) * MINUTE;
            let mut lines = 0;
            while let Some((_, count)) = self.cells.pop_if(|(at, _)| *at == minute) {
                let due = &mut self.due;
                spread(&mut self.stream, count, |within| due.push(Time(begins + within)));
                lines += 1;
            }
            if lines > 1 {
                self.due.sort_unstable();
            }
        }
    }
}

impl Arrivals for Alone {
    #[inline]
    fn next_at(&self) -> Time {
        self.due.get(self.next).copied().unwrap_or(Time::NEVER)
    }

    #[inline]
    fn take(&mut self) -> Arrival {
        self.next += 1;
        if self.next >= self.due.len() {
            self.fill();
        }
        Arrival {
            function: self.function,
            service: None,
        }
    }
}

struct Minutes {
    days: Vec<Day>,
    ids: Arc<HashMap<String, u32>>,
    /// By function.
    streams: Vec<Stream>,
    day: usize,
    chunk: usize,
    /// Minutes of the days before.
    begins: u64,
    /// Minute of the day, function, count; the latest first.
    cells: Vec<(u32, u32, u32)>,
    /// Of one minute; the latest first.
    due: Vec<(Time, u32)>,
}

impl Minutes {
    fn fill(&mut self) {
        while self.due.is_empty() {
            let Some(&(minute, ..)) = self.cells.last() else {
                if !self.read() {
                    return;
                }
                continue;
            };
            while let Some((_, function, count)) = self.cells.pop_if(|(at, ..)| *at == minute) {
                let begins = (self.begins + u64::from(minute)) * MINUTE;
                let due = &mut self.due;
                if let Some(stream) = self.streams.get_mut(function as usize) {
                    spread(stream, count, |within| due.push((Time(begins + within), function)));
                }
            }
            self.due.sort_unstable_by(|a, b| b.cmp(a));
            if self.cells.is_empty() {
                self.cells.shrink_to(1 << 16);
            }
        }
    }

    /// The next hour's counts; `false`: that was the last one.
    fn read(&mut self) -> bool {
        let Some(day) = self.days.get(self.day).cloned() else {
            return false;
        };
        let from = self.chunk * CHUNK;
        if from >= day.minutes.1 {
            self.begins += day.minutes.1 as u64;
            self.day += 1;
            self.chunk = 0;
            return true;
        }
        self.chunk += 1;
        let upto = (from + CHUNK).min(day.minutes.1);
        let Ok(mut reader) = reader(&day.path) else { return true };
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).unwrap_or(false) {
            let Some(function) = self.ids.get(&key(&record, &day.keys)) else {
                continue;
            };
            for minute in from..upto {
                match record.get(day.minutes.0 + minute) {
                    None | Some("0") => {}
                    Some(text) => self.cells.push((minute as u32, *function, count(text).unwrap_or(0))),
                }
            }
        }
        self.cells.sort_unstable_by(|a, b| b.cmp(a));
        true
    }
}

impl Arrivals for Minutes {
    fn next_at(&self) -> Time {
        self.due.last().map_or(Time::NEVER, |(at, _)| *at)
    }

    fn take(&mut self) -> Arrival {
        let taken = self.due.pop();
        self.fill();
        Arrival {
            function: taken.map_or(0, |(_, function)| function),
            service: None,
        }
    }
}
