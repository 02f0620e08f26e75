//! The last invocations with their logs in memory, bounded by count and by bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::engine::Stream;
use crate::platform::ids::{FunctionId, InvocationId};
use crate::platform::time::Time;

use crate::live::events::{Done, Raw, What};
use crate::live::exchange::Exchange;

/// Invocations kept.
const INVOCATIONS_MAX: usize = 10_000;
/// Guest output kept over all of them.
const LOG_BYTES_MAX: usize = 16 << 20;
/// What a line costs beside its text.
const LINE_OVERHEAD: usize = 64;
/// Requests and answers that are kept in memory; older ones only the database has.
const EXCHANGE_BYTES_MAX: usize = 16 << 20;

#[derive(Default)]
pub struct Recent {
    finished: VecDeque<(Time, Box<Done>)>,
    /// Also of invocations that still run.
    logs: HashMap<InvocationId, Vec<(Stream, String)>>,
    log_order: VecDeque<(InvocationId, usize)>,
    log_bytes: usize,
    /// Those that are whole, with what they take.
    exchanges: VecDeque<(Arc<Exchange>, usize)>,
    exchange_bytes: usize,
}

impl Recent {
    pub fn keep(&mut self, raw: Raw) {
        match raw.what {
            What::Invocation(done) => self.finished(raw.at, done),
            What::Log {
                invocation,
                stream,
                text,
                ..
            } => self.log_line(invocation, stream, text),
            What::Note(_) | What::Made(_) => {}
        }
    }

    fn finished(&mut self, at: Time, done: Box<Done>) {
        if self.finished.len() >= INVOCATIONS_MAX {
            self.finished.pop_front();
        }
        self.finished.push_back((at, done));
    }

    fn log_line(&mut self, invocation: InvocationId, stream: Stream, text: String) {
        let bytes = text.len() + LINE_OVERHEAD;
        self.log_bytes += bytes;
        self.log_order.push_back((invocation, bytes));
        self.logs.entry(invocation).or_default().push((stream, text));
        while self.log_bytes > LOG_BYTES_MAX {
            let Some((oldest, bytes)) = self.log_order.pop_front() else {
                break;
            };
            self.log_bytes -= bytes;
            if let Some(lines) = self.logs.get_mut(&oldest) {
                lines.remove(0);
                if lines.is_empty() {
                    self.logs.remove(&oldest);
                }
            }
        }
    }

    pub fn exchanged(&mut self, exchange: Arc<Exchange>) {
        let bytes = exchange.bytes();
        self.exchange_bytes += bytes;
        self.exchanges.push_back((exchange, bytes));
        while self.exchange_bytes > EXCHANGE_BYTES_MAX || self.exchanges.len() > INVOCATIONS_MAX {
            let Some((oldest, bytes)) = self.exchanges.pop_front() else {
                break;
            };
            self.exchange_bytes -= bytes;
            oldest.forget();
        }
    }

    /// Newest first.
    pub fn invocations(&self, function: Option<FunctionId>) -> impl Iterator<Item = &(Time, Box<Done>)> {
        self.finished
            .iter()
            .rev()
            .filter(move |(_, done)| function.is_none_or(|f| f == done.record.function))
    }

    pub fn invocation(&self, id: InvocationId) -> Option<&(Time, Box<Done>)> {
        self.finished
            .iter()
            .rev()
            .find(|(_, done)| done.record.invocation == id)
    }

    pub fn log(&self, id: InvocationId) -> &[(Stream, String)] {
        self.logs.get(&id).map_or(&[], Vec::as_slice)
    }
}
