//! Traces with an invocation a line: Azure 2021 (`app,func,end_timestamp,duration`; it arrived at end less duration) and plain
//! `time,function,duration`, all in seconds. Lines need not be in order: the first reading finds how far they are out of it, and
//! the stream holds back so much.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use super::super::Source;
use super::super::random::Seeds;
use super::super::workload::{Arrival, Arrivals};
use super::{Fault, Files, Reader, Trace, Traced, column, fault, headings, reader, short, unreadable};
use crate::platform::time::{Span, Time};

/// Where the cells are.
#[derive(Clone, Copy, Debug)]
struct Columns {
    app: Option<usize>,
    function: usize,
    time: usize,
    duration: Option<usize>,
    /// The time is that of the end.
    ends: bool,
}

impl Columns {
    fn of(heading: &[String], path: &std::path::Path) -> Result<Columns, Fault> {
        let ends = heading.iter().any(|column| column == "end_timestamp");
        let names = if ends {
            ("func", "end_timestamp")
        } else {
            ("function", "time")
        };
        Ok(Columns {
            app: column(heading, "app", path).ok(),
            function: column(heading, names.0, path)?,
            time: column(heading, names.1, path)?,
            duration: match column(heading, "duration", path) {
                Err(missing) if ends => return Err(missing),
                duration => duration.ok(),
            },
            ends,
        })
    }
}

/// A line: when it arrived, of which function, and for how long it ran, in seconds.
struct Row {
    at_s: f64,
    duration_s: Option<f64>,
}

/// The files' lines, one after the other.
struct Lines {
    files: VecDeque<PathBuf>,
    open: Option<(Reader, Columns, PathBuf)>,
    record: csv::StringRecord,
    /// Application and function, as one key.
    key: String,
}

impl Lines {
    fn new(files: &[PathBuf]) -> Lines {
        Lines {
            files: files.iter().cloned().collect(),
            open: None,
            record: csv::StringRecord::new(),
            key: String::new(),
        }
    }

    fn next(&mut self) -> Result<Option<Row>, Fault> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.files.pop_front() else {
                    return Ok(None);
                };
                let mut reader = reader(&path)?;
                let columns = Columns::of(&headings(&mut reader, &path)?, &path)?;
                self.open = Some((reader, columns, path));
            }
            let Some((reader, _, path)) = &mut self.open else {
                return Ok(None);
            };
            if reader
                .read_record(&mut self.record)
                .map_err(|error| unreadable(path, &error))?
            {
                break;
            }
            self.open = None;
        }
        let Some((reader, columns, path)) = &self.open else {
            return Ok(None);
        };
        let line = Some(reader.position().line().saturating_sub(1));
        let number = |at: usize, name: &str| {
            let text = self.record.get(at).unwrap_or_default();
            let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
            value.ok_or_else(|| fault(path, line, format!("`{text}` is no {name} in seconds")))
        };
        let time = number(columns.time, "time")?;
        let duration_s = columns.duration.map(|at| number(at, "duration")).transpose()?;
        if duration_s.is_some_and(|duration| duration < 0.0) {
            return Err(fault(path, line, "a duration is below zero"));
        }
        self.key.clear();
        if let Some(app) = columns.app.and_then(|at| self.record.get(at)) {
            self.key.push_str(app);
            self.key.push('/');
        }
        self.key.push_str(self.record.get(columns.function).unwrap_or_default());
        Ok(Some(Row {
            at_s: if columns.ends {
                time - duration_s.unwrap_or(0.0)
            } else {
                time
            },
            duration_s,
        }))
    }
}

struct Rows {
    files: Vec<PathBuf>,
    ids: Arc<HashMap<String, u32>>,
    first_s: f64,
    /// How far a line is behind an earlier one, at most.
    behind: Span,
}

pub fn open(files: &Files) -> Result<Trace, Fault> {
    let mut lines = Lines::new(&files.requests);
    let mut ids: HashMap<String, u32> = HashMap::new();
    let mut functions: Vec<Traced> = Vec::new();
    let (mut first, mut newest, mut last, mut behind, mut requests) =
        (f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0f64, 0u64);
    let mut many_accounts = false;
    while let Some(row) = lines.next()? {
        many_accounts |= lines.open.as_ref().is_some_and(|(_, columns, _)| columns.ends);
        if !ids.contains_key(&lines.key) {
            if functions.len() >= files.functions_max {
                continue;
            }
            let parts: Vec<&str> = lines.key.split('/').collect();
            functions.push(Traced {
                name: short(&parts),
                service: None,
                memory_mb: None,
            });
            ids.insert(lines.key.clone(), functions.len() as u32 - 1);
        }
        requests += 1;
        first = first.min(row.at_s);
        newest = newest.max(row.at_s);
        last = last.max(row.at_s + row.duration_s.unwrap_or(0.0));
        behind = behind.max(newest - row.at_s);
    }
    let path = files.requests.first().cloned().unwrap_or_default();
    if requests == 0 {
        return Err(fault(&path, None, "there is no request in it"));
    }
    Ok(Trace {
        functions,
        requests,
        lasts: nanos(last - first),
        many_accounts,
        source: Arc::new(Rows {
            files: files.requests.clone(),
            ids: Arc::new(ids),
            first_s: first,
            behind: nanos(behind) + Span(1),
        }),
    })
}

fn nanos(seconds: f64) -> Span {
    Span::from_nanos((seconds.max(0.0) * 1e9).round() as u64)
}

impl Source for Rows {
    fn open(&self, _function: u32, _seeds: Seeds) -> Box<dyn Arrivals + Send> {
        let mut stream = Ordered {
            lines: Lines::new(&self.files),
            ids: Arc::clone(&self.ids),
            first_s: self.first_s,
            behind: self.behind,
            newest: Time::ZERO,
            ended: false,
            seq: 0,
            held: BinaryHeap::new(),
        };
        stream.fill();
        Box::new(stream)
    }
}

/// Time, order in the file, function, duration.
type Held = (Time, u64, u32, Option<Span>);

/// Lines in the order of their arrival.
struct Ordered {
    lines: Lines,
    ids: Arc<HashMap<String, u32>>,
    first_s: f64,
    behind: Span,
    newest: Time,
    ended: bool,
    seq: u64,
    held: BinaryHeap<Reverse<Held>>,
}

impl Ordered {
    fn fill(&mut self) {
        while !self.ended
            && self
                .held
                .peek()
                .is_none_or(|Reverse((at, ..))| *at + self.behind > self.newest)
        {
            let Ok(Some(row)) = self.lines.next() else {
                self.ended = true;
                return;
            };
            let Some(function) = self.ids.get(&self.lines.key) else {
                continue;
            };
            let at = Time::ZERO + nanos(row.at_s - self.first_s);
            self.newest = self.newest.max(at);
            self.seq += 1;
            self.held
                .push(Reverse((at, self.seq, *function, row.duration_s.map(nanos))));
        }
    }
}

impl Arrivals for Ordered {
    fn next_at(&self) -> Time {
        self.held.peek().map_or(Time::NEVER, |Reverse((at, ..))| *at)
    }

    fn take(&mut self) -> Arrival {
        let taken = self.held.pop();
        self.fill();
        let (function, service) = taken.map_or((0, None), |Reverse((_, _, function, service))| (function, service));
        Arrival { function, service }
    }
}
