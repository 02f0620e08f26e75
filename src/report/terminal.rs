//! People's lines on a terminal, one for each finished invocation, folded when they come too fast to read.

use std::io::Write;

use super::event::{Event, Stamped};
use super::fold::Fold;
use super::line::Renderer;
use super::style::Tone;

/// Lines kept back between the ready event and [`Terminal::release`].
const HELD_LINES_MAX: usize = 1_000;

/// Milliseconds of a clock that only goes forward.
pub type Clock = Box<dyn Fn() -> u64 + Send>;

/// Writes lines to `out`. What cannot be written is lost: a closed terminal is no reason to stop serving.
pub struct Terminal<W> {
    out: W,
    renderer: Renderer,
    fold: Fold,
    clock: Clock,
    /// `Some` from the ready event on, until the table above the ready line is out.
    held: Option<Vec<String>>,
    released: bool,
}

impl<W: Write> Terminal<W> {
    pub fn new(out: W, renderer: Renderer, clock: Clock) -> Terminal<W> {
        Terminal {
            out,
            renderer,
            fold: Fold::default(),
            clock,
            held: None,
            released: false,
        }
    }

    /// Shows one event, or counts it.
    pub fn event(&mut self, stamped: &Stamped) {
        if matches!(stamped.event, Event::Ready(_)) && !self.released {
            self.held = Some(Vec::new());
        }
        self.tick();
        // The table tells what is there at the start; before it only problems are news.
        if let (false, Event::Reload(reload)) = (self.released, &stamped.event)
            && reload.error.is_none()
        {
            return;
        }
        // What folds is not rendered: at ten thousand requests a second that is nearly everything.
        if let Some(class) = self.renderer.class(&stamped.event)
            && self.fold.admit(class)
        {
            let lines = self.renderer.render(stamped);
            self.write(lines);
        }
    }

    /// Counts events that never came this far.
    pub fn folded(&mut self, invocations: u64, others: u64) {
        self.fold.add(invocations, others);
        self.tick();
    }

    /// Shows the sum of a second that is over. Call it now and then: nothing else does once traffic stops.
    pub fn tick(&mut self) {
        if let Some(hidden) = self.fold.due((self.clock)()) {
            let line = self.renderer.style().paint(Tone::Dim, &format!("         {hidden}"));
            self.write(vec![line]);
        }
    }

    /// Prints the head of the session (table, ready line), then what had to wait for it.
    pub fn release(&mut self, head: &str) {
        self.raw(head);
        self.released = true;
        if let Some(lines) = self.held.take() {
            self.write(lines);
        }
    }

    /// Makes the column of names fit these.
    pub fn fit_names<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.renderer.fit_names(names);
    }

    /// Shows what is counted, without waiting for its second to end.
    pub fn flush(&mut self) {
        if let Some(hidden) = self.fold.flush() {
            self.write(vec![format!("         {hidden}")]);
        }
    }

    pub fn out(&self) -> &W {
        &self.out
    }

    /// Text as it is: whole lines that are safe already.
    pub fn raw(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
    }

    fn write(&mut self, lines: Vec<String>) {
        if let Some(held) = &mut self.held {
            let room = HELD_LINES_MAX.saturating_sub(held.len());
            held.extend(lines.into_iter().take(room));
            return;
        }
        let mut text = lines.join("\n");
        text.push('\n');
        self.raw(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::event;
    use crate::report::style::{Style, Zone};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Fixture {
        terminal: Terminal<Vec<u8>>,
        now_ms: Arc<AtomicU64>,
    }

    fn fixture() -> Fixture {
        let style = Style {
            zone: Zone::Utc,
            ..Style::default()
        };
        let now_ms = Arc::new(AtomicU64::new(1_000));
        let clock = now_ms.clone();
        let terminal = Terminal::new(
            Vec::new(),
            Renderer::new(style),
            Box::new(move || clock.load(Ordering::Relaxed)),
        );
        Fixture { terminal, now_ms }
    }

    fn text(fixture: &mut Fixture) -> String {
        String::from_utf8(std::mem::take(&mut fixture.terminal.out)).expect("utf-8")
    }

    fn stamped(event: Event) -> Stamped {
        Stamped {
            time: "2026-01-31T12:00:01.000Z".to_owned(),
            event,
        }
    }

    fn notice(message: &str) -> Stamped {
        stamped(Event::Notice(event::Notice {
            level: "warning".to_owned(),
            message: message.to_owned(),
        }))
    }

    fn ready() -> Stamped {
        stamped(Event::Ready(event::Ready {
            functions_url: "http://127.0.0.1:3680".to_owned(),
            control_url: "http://127.0.0.1:3681".to_owned(),
            pid: 1,
            project: "shop".to_owned(),
            provider: "aws-lambda".to_owned(),
            functions: 1,
            startup_ms: 48.0,
        }))
    }

    fn log(text: &str) -> Stamped {
        stamped(Event::Log(event::Log {
            function: "api".to_owned(),
            invocation: "i".to_owned(),
            stream: crate::engine::Stream::Stdout,
            text: text.to_owned(),
        }))
    }

    #[test]
    fn what_follows_the_ready_event_waits_for_the_head() {
        let mut f = fixture();
        f.terminal.event(&notice("first"));
        f.terminal.event(&ready());
        f.terminal.event(&notice("second"));
        assert_eq!(text(&mut f), "12:00:01 warning: first\n");
        f.terminal.release("table\nready\n");
        f.terminal.event(&notice("third"));
        assert_eq!(
            text(&mut f),
            "table\nready\n12:00:01 warning: second\n12:00:01 warning: third\n"
        );
    }

    #[test]
    fn the_first_builds_are_news_only_when_they_fail() {
        let mut f = fixture();
        let build = |error: Option<&str>| {
            stamped(Event::Reload(event::Reload {
                function: "api".to_owned(),
                outcome: if error.is_some() { "failed" } else { "added" }.to_owned(),
                version: None,
                files: Vec::new(),
                total_ms: 1.0,
                phases: Vec::new(),
                error: error.map(str::to_owned),
                serving: false,
            }))
        };
        f.terminal.event(&build(None));
        f.terminal.event(&build(Some("unexpected token")));
        assert_eq!(
            text(&mut f),
            "12:00:01 api      does not build\n                  unexpected token\n"
        );
        f.terminal.release("");
        f.terminal.event(&build(None));
        assert_eq!(text(&mut f), "12:00:01 api      added in 1.00 ms\n");
    }

    #[test]
    fn a_flood_becomes_a_sum_even_when_traffic_stops() {
        let mut f = fixture();
        for n in 0..250 {
            f.terminal.event(&log(&n.to_string()));
        }
        f.terminal.folded(7, 0);
        assert_eq!(text(&mut f).lines().count(), 200);
        f.terminal.tick();
        assert_eq!(text(&mut f), "");
        f.now_ms.store(2_000, Ordering::Relaxed);
        f.terminal.tick();
        assert_eq!(text(&mut f), "         ... 7 more in the last second; 50 log lines\n");
    }
}
