//! Where `emu dev` and its kin say things: people's lines on stderr or NDJSON on stdout, from several threads.

use std::collections::VecDeque;
use std::io::{self, Stderr, Stdout, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::live::Sink;
use crate::report::event::{Event, Notice, Stamped};
use crate::report::line::Renderer;
use crate::report::ndjson::Ndjson;
use crate::report::style::Style;
use crate::report::terminal::Terminal;

/// One place to say things, shared between the command and the thread that reports.
#[derive(Clone)]
pub struct Output(Arc<Mutex<State>>);

struct State {
    kind: Kind,
    /// Of the newest event: under a scaled clock it runs ahead of the machine's.
    time: String,
}

enum Kind {
    People(Terminal<Stderr>),
    Programs(Ndjson<Stdout>),
    /// Kept for later, if at all.
    Kept(Terminal<Tail>),
}

impl Output {
    pub fn people(style: Style) -> Output {
        let renderer = Renderer::new(style);
        Output::of(Kind::People(Terminal::new(io::stderr(), renderer, clock())))
    }

    /// `closed` runs once when nobody reads stdout any more.
    pub fn programs(closed: Box<dyn FnOnce() + Send>) -> Output {
        Output::of(Kind::Programs(Ndjson::new(io::stdout(), closed)))
    }

    /// Keeps the last lines; [`Output::kept`] has them.
    pub fn kept_back(style: Style) -> Output {
        let renderer = Renderer::new(style);
        Output::of(Kind::Kept(Terminal::new(Tail::default(), renderer, clock())))
    }

    fn of(kind: Kind) -> Output {
        let time = String::new();
        Output(Arc::new(Mutex::new(State { kind, time })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table and the ready line; programs have the ready event.
    pub fn release(&self, names: &[&str], head: &str) {
        match &mut self.lock().kind {
            Kind::People(terminal) => {
                terminal.fit_names(names.iter().copied());
                terminal.release(head);
            }
            Kind::Kept(terminal) => terminal.release(""),
            Kind::Programs(_) => {}
        }
    }

    /// What the command itself has to say: `info`, `warning` or `error`.
    pub fn notice(&self, level: &str, message: &str) {
        #[expect(
            clippy::disallowed_methods,
            reason = "spoken before an emulator with a clock runs, or after"
        )]
        let now = chrono::Utc::now();
        let stamped = Stamped {
            time: now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            event: Event::Notice(Notice {
                level: level.to_owned(),
                message: message.to_owned(),
            }),
        };
        self.show(&stamped);
    }

    /// Whole lines that are safe already; people only.
    pub fn raw(&self, text: &str) {
        if let Kind::People(terminal) = &mut self.lock().kind {
            terminal.raw(text);
        }
    }

    /// Shows sums that are due.
    pub fn tick(&self) {
        match &mut self.lock().kind {
            Kind::People(terminal) => terminal.tick(),
            Kind::Kept(terminal) => terminal.tick(),
            Kind::Programs(_) => {}
        }
    }

    /// Shows what is counted so far: the end.
    pub fn flush(&self) {
        if let Kind::People(terminal) = &mut self.lock().kind {
            terminal.flush();
        }
    }

    /// The last lines, each ended, and how many came before them.
    pub fn kept(&self) -> (String, u64) {
        match &mut self.lock().kind {
            Kind::Kept(terminal) => {
                terminal.flush();
                terminal.out().text()
            }
            Kind::People(_) | Kind::Programs(_) => (String::new(), 0),
        }
    }

    pub fn sink(&self) -> Box<dyn Sink> {
        Box::new(Shared(self.clone()))
    }

    fn show(&self, stamped: &Stamped) {
        let mut state = self.lock();
        state.time.clone_from(&stamped.time);
        match &mut state.kind {
            Kind::People(terminal) => terminal.event(stamped),
            Kind::Programs(ndjson) => ndjson.event(stamped),
            Kind::Kept(terminal) => terminal.event(stamped),
        }
    }
}

struct Shared(Output);

/// More lines than a terminal shows of a second; what a guest says in a burst should still come through.
const LINES_PER_SECOND_MAX: u32 = 1_000;

impl Sink for Shared {
    fn event(&mut self, event: &Stamped) {
        self.0.show(event);
    }

    fn folded(&mut self, invocations: u64, others: u64) {
        match &mut self.0.lock().kind {
            Kind::People(terminal) => terminal.folded(invocations, others),
            Kind::Programs(ndjson) => ndjson.folded(invocations, others),
            Kind::Kept(terminal) => terminal.folded(invocations, others),
        }
    }

    fn lines_per_second_max(&self) -> Option<u32> {
        match &self.0.lock().kind {
            Kind::People(_) => Some(LINES_PER_SECOND_MAX),
            Kind::Programs(_) | Kind::Kept(_) => None,
        }
    }
}

fn clock() -> Box<dyn Fn() -> u64 + Send> {
    let start = Instant::now();
    // From one second on, so that the first window is a whole one.
    Box::new(move || 1_000 + u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX / 2))
}

/// Lines that a kept-back output holds at most.
const TAIL_LINES_MAX: usize = 500;

/// The last lines of what is written to it.
#[derive(Default)]
pub struct Tail {
    lines: VecDeque<String>,
    dropped: u64,
}

impl Tail {
    fn text(&self) -> (String, u64) {
        let text = self.lines.iter().map(|line| format!("{line}\n")).collect();
        (text, self.dropped)
    }
}

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines() {
            if self.lines.len() == TAIL_LINES_MAX {
                self.lines.pop_front();
                self.dropped += 1;
            }
            self.lines.push_back(line.to_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Now, as events write it.
#[expect(
    clippy::disallowed_methods,
    reason = "a command's own words need a time even where no emulator's clock is at hand"
)]
pub fn machine_time() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// Data of a command, on stdout. A reader that has gone (`| head`) is no failure.
///
/// # Errors
/// When stdout cannot be written for another reason, e.g. a full disk.
pub fn data(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// A word to people, on stderr. Losing it is no failure.
pub fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_and_counts() {
        let mut tail = Tail::default();
        for n in 0..TAIL_LINES_MAX + 3 {
            tail.write_all(format!("line {n}\n").as_bytes()).expect("memory");
        }
        let (text, dropped) = tail.text();
        assert_eq!(dropped, 3);
        assert!(text.starts_with("line 3\n"), "{}", &text[..20]);
    }

    #[test]
    fn kept_lines_can_be_had_later() {
        let output = Output::kept_back(Style::default());
        output.release(&[], "not shown");
        output.notice("warning", "one");
        let (text, dropped) = output.kept();
        assert!(text.ends_with(" warning: one\n"), "{text}");
        assert_eq!(dropped, 0);
    }
}
