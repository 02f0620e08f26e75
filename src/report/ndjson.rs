//! One JSON object a line, for programs.

use std::io::{ErrorKind, Write};

use super::event::{Event, Notice, Stamped};

/// Writes every event to `out`. When nobody reads any more it says so once through `closed` and stays silent.
pub struct Ndjson<W> {
    out: W,
    closed: Option<Box<dyn FnOnce() + Send>>,
    /// Of the last event, for lines of its own.
    time: String,
}

impl<W: Write> Ndjson<W> {
    /// `closed` runs when the reader has gone or the output cannot be written.
    pub fn new(out: W, closed: Box<dyn FnOnce() + Send>) -> Ndjson<W> {
        Ndjson {
            out,
            closed: Some(closed),
            time: String::new(),
        }
    }

    pub fn event(&mut self, stamped: &Stamped) {
        if self.closed.is_none() {
            return;
        }
        self.time.clone_from(&stamped.time);
        self.write(stamped);
    }

    /// Says how many events are missing from the stream.
    pub fn folded(&mut self, invocations: u64, others: u64) {
        let left_out = invocations + others;
        if left_out == 0 || self.closed.is_none() {
            return;
        }
        let notice = Stamped {
            time: self.time.clone(),
            event: Event::Notice(Notice {
                level: "warning".to_owned(),
                message: format!(
                    "{left_out} events are left out here, {invocations} of them invocations: they came faster than \
                     they could be written"
                ),
            }),
        };
        self.write(&notice);
    }

    fn write(&mut self, stamped: &Stamped) {
        let written = serde_json::to_vec(stamped)
            .map_err(std::io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                self.out.write_all(&line)?;
                self.out.flush()
            });
        match written {
            Ok(()) => {}
            // Nothing of an event can fail to become JSON; were it so, the next may do better.
            Err(e) if e.kind() == ErrorKind::InvalidData => {}
            Err(_) => {
                if let Some(closed) = self.closed.take() {
                    closed();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::event;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn log(text: &str) -> Stamped {
        Stamped {
            time: "2026-01-31T12:00:00.000Z".to_owned(),
            event: Event::Log(event::Log {
                function: "api".to_owned(),
                invocation: "i-1".to_owned(),
                stream: crate::engine::Stream::Stderr,
                text: text.to_owned(),
            }),
        }
    }

    #[test]
    fn one_object_a_line() {
        let mut sink = Ndjson::new(Vec::new(), Box::new(|| {}));
        sink.event(&log("one\nand\u{1b}[2J"));
        sink.folded(3, 1);
        let text = String::from_utf8(sink.out).expect("utf-8");
        let expect = concat!(
            r#"{"time":"2026-01-31T12:00:00.000Z","event":"log","function":"api","invocation":"i-1","stream":"stderr","#,
            r#""text":"one\nand\u001b[2J"}"#,
            "\n",
            r#"{"time":"2026-01-31T12:00:00.000Z","event":"notice","level":"warning","message":"4 events are left out "#,
            r#"here, 3 of them invocations: they came faster than they could be written"}"#,
            "\n"
        );
        assert_eq!(text, expect);
    }

    /// A pipe whose reader has gone after some lines.
    struct Pipe {
        lines: u32,
    }

    impl Write for Pipe {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            if self.lines == 0 {
                return Err(ErrorKind::BrokenPipe.into());
            }
            self.lines -= 1;
            Ok(buf.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_broken_pipe_is_told_once() {
        let told = Arc::new(AtomicU32::new(0));
        let count = told.clone();
        let closed = Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let mut sink = Ndjson::new(Pipe { lines: 2 }, closed);
        for _ in 0..5 {
            sink.event(&log("x"));
            sink.folded(1, 0);
        }
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
