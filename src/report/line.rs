//! One event, its lines: the wording and the columns of what a person reads.

use super::event::{self, Event, Stamped};
use super::fold::Class;
use super::number::{attempts, count, dollars, megabytes, millis};
use super::sanitize;
use super::style::{Style, Tone, Verbosity};
use super::table::{pad, pad_left, width};
use crate::engine::Stream;

const NAME_WIDTH_MAX: usize = 24;
const SUMMARY_WIDTH_MIN: usize = 24;
const SUMMARY_WIDTH_MAX: usize = 44;
const STACK_LINES_MAX: usize = 12;
/// `12:00:01 `.
const CLOCK_WIDTH: usize = 9;

/// Turns events into lines; remembers only the widths it has used, so that columns hold still.
#[derive(Clone, Debug)]
pub struct Renderer {
    style: Style,
    name_width: usize,
    summary_width: usize,
}

impl Renderer {
    pub fn new(style: Style) -> Renderer {
        Renderer {
            style,
            name_width: 8,
            summary_width: SUMMARY_WIDTH_MIN,
        }
    }

    pub fn style(&self) -> &Style {
        &self.style
    }

    /// Makes the column of names fit these, up to a bound.
    pub fn fit_names<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.name_width = self.name_width.max(width(name).min(NAME_WIDTH_MAX));
        }
    }

    /// How the event's lines fold; `None` when this verbosity leaves it out.
    pub fn class(&self, event: &Event) -> Option<Class> {
        let verbosity = self.style.verbosity;
        let verbose = verbosity >= Verbosity::Verbose;
        let normal = verbosity >= Verbosity::Normal;
        let (class, shown) = match event {
            Event::Ready(_) => (Class::Always, false),
            Event::Invocation(i) if is_failure(&i.outcome) => (Class::Failure, true),
            Event::Invocation(_) => (Class::Invocation, normal),
            Event::Instance(i) => (Class::Other, verbose || (normal && i.state == "gone")),
            Event::Reload(r) => (Class::Always, normal || r.error.is_some()),
            Event::Log(_) => (Class::Log, normal),
            // One that ends an invocation has that invocation's line.
            Event::Throttle(t) => (Class::Other, verbose || (normal && t.invocation.is_none())),
            Event::Message(m) => (Class::Other, verbose || (normal && !is_routine(&m.change))),
            Event::Cron(_) => (Class::Other, normal),
            Event::Retry(_) => (Class::Other, normal),
            Event::GaveUp(_) => (Class::Failure, true),
            Event::Fault(_) => (Class::Other, normal),
            Event::Notice(n) => (Class::Always, normal || n.level != "info"),
        };
        shown.then_some(class)
    }

    /// The event's lines; none when this verbosity leaves it out.
    pub fn render(&mut self, stamped: &Stamped) -> Vec<String> {
        if self.class(&stamped.event).is_none() {
            return Vec::new();
        }
        let clock = self.style.paint(Tone::Dim, &self.style.clock(&stamped.time));
        match &stamped.event {
            Event::Ready(_) => Vec::new(),
            Event::Invocation(i) => self.invocation(&clock, i),
            Event::Instance(i) => vec![self.instance(&clock, i)],
            Event::Reload(r) => self.reload(&clock, r),
            Event::Log(l) => self.log(&clock, l),
            Event::Throttle(t) => vec![self.throttle(&clock, t)],
            Event::Message(m) => vec![self.message(&clock, m)],
            Event::Cron(c) => vec![self.cron(&clock, c)],
            Event::Retry(r) => vec![self.retry(&clock, r)],
            Event::GaveUp(g) => vec![self.gave_up(&clock, g)],
            Event::Fault(f) => vec![self.fault(&clock, f)],
            Event::Notice(n) => self.notice(&clock, n),
        }
    }

    fn text(&self, text: &str) -> String {
        sanitize::line(text).into_owned()
    }

    /// `12:00:01 api      ` in front of everything about a function, queue or topic.
    fn head(&mut self, clock: &str, name: &str) -> String {
        let name = sanitize::line(name);
        self.fit_names([name.as_ref()]);
        let name = self.style.paint(Tone::Strong, &pad(&name, self.name_width));
        format!("{clock} {name} ")
    }

    /// As wide as [`Renderer::head`], for what belongs to the line above.
    fn indent(&self) -> String {
        " ".repeat(CLOCK_WIDTH + self.name_width + 1)
    }

    fn invocation(&mut self, clock: &str, i: &event::Invocation) -> Vec<String> {
        let mut line = self.head(clock, &i.function);
        let summary = self.text(&i.summary);
        let (status, tone) = verdict(i);
        let used = width(&summary) + 1 + width(&status);
        self.summary_width = self.summary_width.max(used.min(SUMMARY_WIDTH_MAX));
        line.push_str(&summary);
        line.push(' ');
        line.push_str(&self.style.paint(tone, &status));
        line.push_str(&" ".repeat(self.summary_width.saturating_sub(used)));
        if ran(&i.outcome) {
            line.push_str(&self.figures(i));
        } else if let Some(error) = &i.error {
            line.push_str("  ");
            line.push_str(&self.text(&error.message));
        }
        if i.attempt > 1 {
            line.push_str(&self.style.paint(Tone::Warn, &format!("  attempt {}", i.attempt)));
        }
        if self.style.verbosity >= Verbosity::Verbose {
            line.push_str(
                &self
                    .style
                    .paint(Tone::Dim, &format!("  v{} {}", i.version, self.text(&i.id))),
            );
        }
        line.truncate(line.trim_end().len());
        let mut lines = vec![line];
        if let (true, Some(error)) = (ran(&i.outcome), &i.error) {
            self.error(error, &mut lines);
        }
        lines
    }

    /// `12.3 ms  billed 13 ms  18/256 MB  $0.0000004  cold +145 ms modelled`.
    fn figures(&self, i: &event::Invocation) -> String {
        let duration = pad_left(&millis(i.duration_ms), 9);
        let billed = pad(&format!("billed {} ms", count(i.billed_ms)), 13);
        let memory = pad_left(&format!("{}/{} MB", megabytes(i.max_memory_mb), i.memory_mb), 11);
        let cost = pad(&dollars(i.cost), 11);
        let figures = self.style.paint(Tone::Dim, &format!("{billed}  {memory}  {cost}"));
        let cold = if i.cold {
            self.style.paint(Tone::Info, &format!("  {}", cold(i)))
        } else {
            String::new()
        };
        format!("{duration}  {figures}{cold}")
    }

    fn error(&self, error: &event::Error, lines: &mut Vec<String>) {
        let indent = self.indent();
        for line in error.message.lines() {
            lines.push(format!("{indent}{}", self.style.paint(Tone::Bad, &self.text(line))));
        }
        for line in error.stack.iter().take(STACK_LINES_MAX) {
            let line = self.style.paint(Tone::Dim, &self.text(line.trim_start()));
            lines.push(format!("{indent}    {line}"));
        }
        let more = error.stack.len().saturating_sub(STACK_LINES_MAX);
        if more > 0 {
            lines.push(format!(
                "{indent}    {}",
                self.style.paint(Tone::Dim, &format!("... {more} more"))
            ));
        }
    }

    fn instance(&mut self, clock: &str, i: &event::Instance) -> String {
        let head = self.head(clock, &i.function);
        let reason = i
            .reason
            .as_ref()
            .map(|r| format!(": {}", self.text(r)))
            .unwrap_or_default();
        let text = format!("instance {} {}{reason}", i.id, self.text(&i.state));
        format!("{head}{}", self.style.paint(Tone::Dim, &text))
    }

    fn reload(&mut self, clock: &str, r: &event::Reload) -> Vec<String> {
        let head = self.head(clock, &r.function);
        let version = r.version.map(|v| format!(" v{v}")).unwrap_or_default();
        let files = r
            .files
            .iter()
            .take(3)
            .map(|f| self.text(f))
            .collect::<Vec<_>>()
            .join(", ");
        let files = match r.files.len().saturating_sub(3) {
            0 => files,
            more => format!("{files} and {more} more"),
        };
        let (what, tone) = match (r.outcome.as_str(), r.serving) {
            ("changed", _) => (format!("reloaded{version}"), Tone::Good),
            ("added", _) => (format!("added{version}"), Tone::Good),
            ("removed", _) => ("removed".to_owned(), Tone::Warn),
            ("unchanged", _) => ("built, and came out the same".to_owned(), Tone::Good),
            (_, true) => ("does not build, the version before still serves".to_owned(), Tone::Bad),
            (_, false) => ("does not build".to_owned(), Tone::Bad),
        };
        let mut line = format!("{head}{}", self.style.paint(tone, &what));
        if r.error.is_none() && r.outcome != "removed" {
            line.push_str(&format!(" in {}", millis(r.total_ms)));
            if !r.phases.is_empty() {
                let phases: Vec<String> = r
                    .phases
                    .iter()
                    .map(|(name, ms)| format!("{} {}", self.text(name), millis(*ms)))
                    .collect();
                line.push_str(&self.style.paint(Tone::Dim, &format!("  ({})", phases.join(", "))));
            }
        }
        if !files.is_empty() {
            line.push_str(&self.style.paint(Tone::Dim, &format!("  {files}")));
        }
        let mut lines = vec![line];
        let indent = self.indent();
        for line in r.error.iter().flat_map(|e| e.lines()) {
            lines.push(format!("{indent}{}", self.text(line)));
        }
        lines
    }

    fn log(&mut self, clock: &str, l: &event::Log) -> Vec<String> {
        let head = self.head(clock, &l.function);
        let (mark, tone) = match l.stream {
            Stream::Stdout | Stream::Info => ("|", Tone::Plain),
            Stream::Debug => ("|", Tone::Dim),
            Stream::Stderr => ("!", Tone::Plain),
            Stream::Warn => ("|", Tone::Warn),
            Stream::Error => ("|", Tone::Bad),
        };
        let mark = self.style.paint(Tone::Dim, mark);
        let text = if l.text.is_empty() { "\n" } else { l.text.as_str() };
        text.lines()
            .map(|line| {
                let line = format!("{head}{mark} {}", self.style.paint(tone, &self.text(line)));
                line.trim_end().to_owned()
            })
            .collect()
    }

    fn throttle(&mut self, clock: &str, t: &event::Throttle) -> String {
        let head = self.head(clock, &t.function);
        format!(
            "{head}{}",
            self.style
                .paint(Tone::Warn, &format!("throttled: {}", self.text(&t.reason)))
        )
    }

    fn message(&mut self, clock: &str, m: &event::Message) -> String {
        let name = m.queue.as_deref().or(m.topic.as_deref()).unwrap_or("");
        let head = self.head(clock, name);
        let detail = m
            .detail
            .as_ref()
            .map(|d| format!(", {}", self.text(d)))
            .unwrap_or_default();
        let tone = match m.change.as_str() {
            "dead_lettered" | "expired" | "refused" => Tone::Bad,
            "returned" => Tone::Warn,
            _ => Tone::Dim,
        };
        let what = self
            .style
            .paint(tone, &format!("{}{detail}", self.text(&m.change.replace('_', " "))));
        format!("{head}message {} {what}", self.text(&m.id))
    }

    fn cron(&mut self, clock: &str, c: &event::Cron) -> String {
        let head = self.head(clock, &c.name);
        let at = super::style::day_and_time(&c.scheduled_at);
        let detail = if c.detail.is_empty() {
            String::new()
        } else {
            format!(": {}", self.text(&c.detail))
        };
        let what = format!("cron of {at} {}{detail}", self.text(&c.outcome));
        format!("{head}{}", self.style.paint(Tone::Warn, &what))
    }

    fn retry(&mut self, clock: &str, r: &event::Retry) -> String {
        let head = self.head(clock, &r.function);
        let at = super::style::day_and_time(&r.at);
        let what = format!("attempt {} of {} at {at}", r.attempt, r.attempts_max);
        let of = self
            .style
            .paint(Tone::Dim, &format!("  event {}", self.text(&r.first_attempt)));
        format!("{head}{}{of}", self.style.paint(Tone::Warn, &what))
    }

    fn gave_up(&mut self, clock: &str, g: &event::GaveUp) -> String {
        let head = self.head(clock, &g.function);
        let to = match &g.to {
            Some(to) => format!("its event went to {}", self.text(to)),
            None => "no on_failure is set, its event is dropped".to_owned(),
        };
        let what = format!("gave up after {}: {to}", attempts(g.attempts));
        let of = self
            .style
            .paint(Tone::Dim, &format!("  event {}", self.text(&g.first_attempt)));
        format!("{head}{}{of}", self.style.paint(Tone::Bad, &what))
    }

    fn fault(&mut self, clock: &str, f: &event::Fault) -> String {
        let head = self.head(clock, &f.function);
        let what = self.text(&format!("fault on purpose: {} ({})", f.detail, f.kind));
        let of = f.invocation.as_ref().or(f.message.as_ref());
        let of = of.map(|id| self.style.paint(Tone::Dim, &format!("  {}", self.text(id))));
        format!(
            "{head}{}{}",
            self.style.paint(Tone::Warn, &what),
            of.unwrap_or_default()
        )
    }

    fn notice(&self, clock: &str, n: &event::Notice) -> Vec<String> {
        let (label, tone) = match n.level.as_str() {
            "error" => ("error: ", Tone::Bad),
            "warning" => ("warning: ", Tone::Warn),
            _ => ("", Tone::Plain),
        };
        let mut lines = Vec::new();
        for (at, line) in n.message.lines().enumerate() {
            let line = self.text(line);
            lines.push(if at == 0 {
                format!("{clock} {}{line}", self.style.paint(tone, label))
            } else {
                format!("{}{line}", " ".repeat(CLOCK_WIDTH))
            });
        }
        lines
    }
}

/// `200`, `502 failed`, `ok`, `timed out`.
fn verdict(i: &event::Invocation) -> (String, Tone) {
    let word = i.outcome.replace('_', " ");
    let word = sanitize::line(&word);
    match (i.status, i.outcome.as_str()) {
        (Some(status), "succeeded") => {
            let tone = match status {
                500.. => Tone::Bad,
                400.. => Tone::Warn,
                300.. => Tone::Info,
                _ => Tone::Good,
            };
            (status.to_string(), tone)
        }
        (None, "succeeded") => ("ok".to_owned(), Tone::Good),
        (Some(status), _) => (format!("{status} {word}"), tone_of(&i.outcome)),
        (None, _) => (word.into_owned(), tone_of(&i.outcome)),
    }
}

fn tone_of(outcome: &str) -> Tone {
    match outcome {
        "throttled" | "dropped" | "cancelled" => Tone::Warn,
        _ => Tone::Bad,
    }
}

/// Measured and modelled apart, each by its name.
fn cold(i: &event::Invocation) -> String {
    let mut text = "cold".to_owned();
    if i.init_ms >= 1.0 {
        text.push_str(&format!(" {} measured", millis(i.init_ms)));
    }
    if i.modelled_init_ms > 0.0 {
        text.push_str(&format!(" +{} modelled", millis(i.modelled_init_ms)));
    }
    text
}

/// Whether the guest's code ran at all.
fn ran(outcome: &str) -> bool {
    !matches!(outcome, "throttled" | "rejected" | "expired" | "dropped" | "cancelled")
}

/// Somebody would want to look at it.
pub fn is_failure(outcome: &str) -> bool {
    !matches!(outcome, "succeeded" | "cancelled" | "dropped")
}

/// What messages go through on a good day.
fn is_routine(change: &str) -> bool {
    matches!(change, "sent" | "received" | "deleted" | "fanned_out" | "deduplicated")
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
