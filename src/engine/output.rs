//! A guest's standard streams: lines to the log, or bytes kept as an answer. Both bounded; neither ever blocks the guest.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::{LogSink, Stream};

/// Longest line handed to the log in one piece.
const LINE_BYTES_MAX: usize = 16 << 10;
/// What a guest may write in one call.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// The log of one run, shared by all that writes to it: its bound and what went beyond.
pub struct Log {
    sink: Arc<dyn LogSink>,
    left_bytes: AtomicU64,
    dropped_bytes: AtomicU64,
}

impl Log {
    pub fn new(sink: Arc<dyn LogSink>, bytes_max: u64) -> Self {
        Self {
            sink,
            left_bytes: AtomicU64::new(bytes_max),
            dropped_bytes: AtomicU64::new(0),
        }
    }

    /// Forwards a line unless the bound is reached; then it only counts.
    pub fn line(&self, stream: Stream, text: &str) {
        let bytes = text.len() as u64 + 1;
        let taken = self
            .left_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        if taken.is_ok() {
            self.sink.line(stream, text);
        } else {
            self.left_bytes.store(0, Ordering::Relaxed);
            self.dropped_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub fn dropped_bytes(&self) -> u64 {
        self.dropped_bytes.load(Ordering::Relaxed)
    }

    fn exhausted(&self) -> bool {
        self.left_bytes.load(Ordering::Relaxed) == 0
    }

    fn dropped(&self, bytes: usize) {
        self.dropped_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// One standard stream. A guest keeps its handle for as long as it lives, so a kept sandbox is given the next run's
/// log by [`Self::arm`].
#[derive(Clone)]
pub struct Output(Arc<Mutex<State>>);

enum State {
    Idle,
    Lines {
        stream: Stream,
        log: Arc<Log>,
        line: Vec<u8>,
    },
    Capture {
        bytes: Vec<u8>,
        bytes_max: usize,
        overflowed: bool,
    },
}

/// What a captured stream holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Captured {
    pub bytes: Vec<u8>,
    /// There was more than the bound.
    pub overflowed: bool,
}

impl Default for Output {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State::Idle)))
    }
}

impl Output {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, lines go to `log`.
    pub fn arm(&self, stream: Stream, log: Arc<Log>) {
        *self.state() = State::Lines {
            stream,
            log,
            line: Vec::new(),
        };
    }

    /// From now on, bytes are kept, at most `bytes_max`.
    pub fn capture(&self, bytes_max: u64) {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        *self.state() = State::Capture {
            bytes: Vec::new(),
            bytes_max,
            overflowed: false,
        };
    }

    /// Ends the run: hands on an unfinished line, gives what was captured.
    pub fn finish(&self) -> Captured {
        match std::mem::replace(&mut *self.state(), State::Idle) {
            State::Idle => Captured {
                bytes: Vec::new(),
                overflowed: false,
            },
            State::Lines { stream, log, line } => {
                if !line.is_empty() {
                    log.line(stream, &String::from_utf8_lossy(&line));
                }
                Captured {
                    bytes: Vec::new(),
                    overflowed: false,
                }
            }
            State::Capture { bytes, overflowed, .. } => Captured { bytes, overflowed },
        }
    }

    fn push(&self, input: &[u8]) {
        match &mut *self.state() {
            State::Idle => {}
            State::Lines { stream, log, line } => push_lines(*stream, log, line, input),
            State::Capture {
                bytes,
                bytes_max,
                overflowed,
            } => {
                let room = bytes_max.saturating_sub(bytes.len()).min(input.len());
                bytes.extend_from_slice(&input[..room]);
                *overflowed |= room < input.len();
            }
        }
    }
}

fn push_lines(stream: Stream, log: &Log, line: &mut Vec<u8>, mut input: &[u8]) {
    while !input.is_empty() {
        if log.exhausted() {
            log.dropped(line.len() + input.len());
            line.clear();
            return;
        }
        let room = LINE_BYTES_MAX.saturating_sub(line.len()).max(1).min(input.len());
        let newline = input[..room].iter().position(|byte| *byte == b'\n');
        let take = newline.unwrap_or(room);
        line.extend_from_slice(&input[..take]);
        input = &input[take + usize::from(newline.is_some())..];
        if newline.is_some() || line.len() >= LINE_BYTES_MAX {
            let text = line.strip_suffix(b"\r").unwrap_or(line);
            log.line(stream, &String::from_utf8_lossy(text));
            line.clear();
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.push(buffer);
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl LogSink for Lines {
        fn line(&self, _: Stream, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }

    fn lines(chunks: &[&[u8]], bytes_max: u64) -> (Vec<String>, u64) {
        let sink = Arc::new(Lines::default());
        let log = Arc::new(Log::new(sink.clone(), bytes_max));
        let output = Output::default();
        output.arm(Stream::Stdout, log.clone());
        for chunk in chunks {
            output.push(chunk);
        }
        output.finish();
        let lines = sink.0.lock().unwrap().clone();
        (lines, log.dropped_bytes())
    }

    #[test]
    fn chunks_become_lines_wherever_they_are_cut() {
        let text = b"one\r\ntwo\n\nthree";
        for cut in 0..=text.len() {
            let (got, dropped) = lines(&[&text[..cut], &text[cut..]], 100);
            assert_eq!(got, ["one", "two", "", "three"], "cut at {cut}");
            assert_eq!(dropped, 0);
        }
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_bound_holds() {
        let chunk = [b'x'; LINE_BYTES_MAX];
        let (got, dropped) = lines(&[&chunk[..]; 10], 3 * LINE_BYTES_MAX as u64);
        assert_eq!(got.len(), 2);
        let total: u64 = got.iter().map(|line| line.len() as u64).sum();
        assert!(total + dropped >= 10 * LINE_BYTES_MAX as u64, "{total} {dropped}");
    }

    #[test]
    fn capture_keeps_the_bound_and_says_so() {
        let output = Output::default();
        output.capture(4);
        output.push(b"abc");
        output.push(b"def");
        assert_eq!(
            output.finish(),
            Captured {
                bytes: b"abcd".to_vec(),
                overflowed: true
            }
        );
    }
}
