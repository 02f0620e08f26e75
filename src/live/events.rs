//! From what happened to who wants to know: history for the control API, server-sent events, the sink that prints.
//!
//! The data path only pushes a small value under a short lock. Texts are made on the reporter's thread, or by
//! whoever asks for the history, and only when somebody reads them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use crate::engine::{Failure, Stream};
use crate::platform::effect::{End, Note, Record, TriggerKind};
use crate::platform::ids::{FunctionId, InvocationId};
use crate::platform::input::Outcome;
use crate::platform::time::{Span, Time};
use crate::report::event::{Event, Stamped};

use super::Sink;
use super::clock::rfc3339;
use super::exchange::Exchange;
use super::history::{Budget as Keeping, Past, Recent, Row};
use super::names::{Names, PublicIds};
use super::render::Renderer;
use super::sample::Sampler;
use super::secrets::Secrets;

/// Events that wait for the reporter; beyond it they are counted, not kept.
const PENDING_MAX: usize = 65_536;
/// Server-sent events that a slow reader may be behind.
const SSE_BACKLOG: usize = 4_096;
/// How long the reporter lets events gather: a wake-up for each would cost the data path more than the event.
const GATHER: Duration = Duration::from_millis(4);

/// What the data path hands over.
pub struct Raw {
    pub at: Time,
    pub what: What,
}

pub enum What {
    Invocation(Box<Done>),
    Note(Note),
    Log {
        invocation: InvocationId,
        function: FunctionId,
        stream: Stream,
        text: String,
    },
    /// Made elsewhere, rare: ready, reload, notice.
    Made(Box<Event>),
}

/// What a flood is thinned by: so many of each kind are kept or shown singly.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Invocations that succeeded.
    Good,
    /// Those that did not.
    Bad,
    Log,
    Message,
    Other,
}

impl Kind {
    pub fn of(what: &What) -> Kind {
        match what {
            What::Invocation(done) if done.went_well() => Kind::Good,
            What::Invocation(_) => Kind::Bad,
            What::Log { .. } => Kind::Log,
            What::Note(Note::Message { .. }) => Kind::Message,
            What::Note(_) | What::Made(_) => Kind::Other,
        }
    }
}

/// A finished invocation with what only the shell knows of it.
pub struct Done {
    pub record: Record,
    pub summary: Summary,
    pub status: Option<u16>,
    pub failure: Option<Failure>,
    /// The measured init of this very run (fresh sandbox).
    pub sandbox_init: Span,
    pub log_bytes_dropped: u64,
    /// Its request and answer, which may still be under way.
    pub exchange: Option<Arc<Exchange>>,
}

impl Done {
    pub fn went_well(&self) -> bool {
        self.record.end == End::Ran(Outcome::Succeeded)
    }
}

#[derive(Clone)]
pub enum Summary {
    Request {
        method: http::Method,
        path: String,
        /// The invocation that called, when a function did.
        cause: Option<InvocationId>,
    },
    Event,
    Cron {
        name: Arc<str>,
        scheduled_at: Time,
    },
    Batch {
        queue: Arc<str>,
        messages: usize,
    },
    Topic {
        topic: Arc<str>,
    },
    /// Never ran, nothing known of it.
    Unknown(TriggerKind),
}

#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    pending: Mutex<Pending>,
    arrived: Condvar,
    /// Held while events move from `pending` to the histories, so that they arrive in order whoever moves them.
    consumer: Mutex<Consumer>,
    sse: broadcast::Sender<Arc<Stamped>>,
    /// As JSON, made once for all pages.
    samples: broadcast::Sender<Arc<str>>,
    secrets: Arc<Secrets>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Pending {
    events: VecDeque<Raw>,
    dropped: u64,
    /// Whole now; their invocations are in `events`, or were before.
    exchanges: Vec<Arc<Exchange>>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.exchanges.is_empty()
    }
}

struct Consumer {
    recent: Recent,
    past: Option<Past>,
    keeping: Keeping,
    sampler: Sampler,
    /// On their way to the past.
    rows: Vec<Row>,
    renderer: Renderer,
    sink: Option<Box<dyn Sink>>,
    budget: Budget,
    /// Of the pending queue, not yet told to the sink.
    dropped: u64,
    /// Of the last event.
    last_at: Time,
}

/// Lines a second that the sink wants; the rest is folded into a count.
#[derive(Default)]
struct Budget {
    second: u64,
    used: u32,
    folded_invocations: u64,
    folded_others: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves counters at worst one off; the emulator goes on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Starts the reporter's thread; it ends after [`Hub::close`].
    pub fn start(names: Arc<RwLock<Names>>, ids: PublicIds, sink: Box<dyn Sink>) -> std::io::Result<Hub> {
        let consumer = Consumer {
            recent: Recent::default(),
            past: None,
            keeping: Keeping::default(),
            sampler: Sampler::default(),
            rows: Vec::new(),
            renderer: Renderer::new(names, ids),
            sink: Some(sink),
            budget: Budget::default(),
            dropped: 0,
            last_at: Time::ZERO,
        };
        let hub = Hub(Arc::new(Inner {
            pending: Mutex::default(),
            arrived: Condvar::new(),
            consumer: Mutex::new(consumer),
            sse: broadcast::channel(SSE_BACKLOG).0,
            samples: broadcast::channel(2 * SSE_BACKLOG).0,
            secrets: Arc::default(),
            closed: AtomicBool::new(false),
        }));
        let reporter = hub.clone();
        std::thread::Builder::new()
            .name("report".into())
            .spawn(move || reporter.report())?;
        Ok(hub)
    }

    /// Never blocks for long, never fails: a full queue counts instead.
    pub fn push(&self, at: Time, mut what: What) {
        self.0.secrets.event(&mut what);
        let mut pending = lock(&self.0.pending);
        if pending.events.len() >= PENDING_MAX {
            pending.dropped += 1;
            return;
        }
        let was_empty = pending.is_empty();
        pending.events.push_back(Raw { at, what });
        drop(pending);
        if was_empty {
            self.0.arrived.notify_one();
        }
    }

    /// A request and its answer have passed. How many there can be is bounded where they begin.
    pub fn exchanged(&self, exchange: Arc<Exchange>) {
        let mut pending = lock(&self.0.pending);
        let was_empty = pending.is_empty();
        pending.exchanges.push(exchange);
        drop(pending);
        if was_empty {
            self.0.arrived.notify_one();
        }
    }

    /// Hands over what is pending, for whoever makes events faster than the reporter's thread looks.
    pub fn settle(&self) {
        let mut consumer = lock(&self.0.consumer);
        self.consume(&mut consumer);
    }

    /// From here on the past is kept.
    pub fn keep(&self, past: Past) {
        lock(&self.0.consumer).past = Some(past);
    }

    /// Reads the recent history with all that was pushed before this call in it.
    pub fn read<T>(&self, read: impl FnOnce(&Recent, &Renderer) -> T) -> T {
        let mut consumer = lock(&self.0.consumer);
        self.consume(&mut consumer);
        read(&consumer.recent, &consumer.renderer)
    }

    /// The database of the past, with all that was pushed before this call on its way there. `None`: none is kept.
    pub fn past(&self) -> Option<Past> {
        let mut consumer = lock(&self.0.consumer);
        self.consume(&mut consumer);
        consumer.past.clone()
    }

    /// Forgets the recent history. The database of the past, for whoever empties it too.
    pub fn forget(&self) -> Option<Past> {
        let mut consumer = lock(&self.0.consumer);
        self.consume(&mut consumer);
        consumer.recent = Recent::default();
        consumer.past.clone()
    }

    pub fn secrets(&self) -> &Arc<Secrets> {
        &self.0.secrets
    }

    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Stamped>> {
        self.0.sse.subscribe()
    }

    /// A sample of the events with sums of all, as JSON.
    pub fn subscribe_samples(&self) -> broadcast::Receiver<Arc<str>> {
        self.0.samples.subscribe()
    }

    /// Shows what is pending and lets the sink go.
    pub fn close(&self) {
        // The sums of the last second as well.
        let at = lock(&self.0.pending).events.back().map_or(Time::ZERO, |raw| raw.at);
        self.0.closed.store(true, Ordering::Release);
        self.0.arrived.notify_all();
        let mut consumer = lock(&self.0.consumer);
        self.consume(&mut consumer);
        consumer.flush_folded();
        consumer.sink = None;
        let rest = consumer.keeping.sums(Time::NEVER);
        if let Some(past) = &consumer.past {
            past.keep(at, rest);
        }
    }

    fn report(&self) {
        loop {
            {
                let mut pending = lock(&self.0.pending);
                while pending.is_empty() && !self.0.closed.load(Ordering::Acquire) {
                    let waited = self.0.arrived.wait_timeout(pending, Duration::from_secs(1));
                    let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    pending = guard;
                    if timeout.timed_out() {
                        break;
                    }
                }
            }
            if self.0.closed.load(Ordering::Acquire) {
                return;
            }
            {
                let mut consumer = lock(&self.0.consumer);
                let moved = self.consume(&mut consumer);
                self.tell_sums(&mut consumer);
                if !moved {
                    consumer.flush_folded();
                }
            }
            std::thread::sleep(GATHER);
        }
    }

    fn consume(&self, consumer: &mut Consumer) -> bool {
        let Pending {
            events,
            dropped,
            exchanges,
        } = std::mem::take(&mut *lock(&self.0.pending));
        if events.is_empty() && exchanges.is_empty() {
            return false;
        }
        consumer.dropped += dropped;
        let now = events.back().map_or(consumer.last_at, |raw| raw.at);
        consumer.last_at = now;
        if dropped > 0 {
            consumer.rows.push(Row::Skipped {
                at: now,
                what: "any",
                count: dropped,
            });
        }
        for raw in events {
            self.one(consumer, raw);
        }
        self.keep_exchanges(consumer, exchanges);
        if let Some(past) = &consumer.past {
            past.keep(now, std::mem::take(&mut consumer.rows));
        }
        true
    }

    fn keep_exchanges(&self, consumer: &mut Consumer, exchanges: Vec<Arc<Exchange>>) {
        for exchange in exchanges {
            if consumer.past.is_some() && exchange.is_wanted() {
                let secrets = self.0.secrets.clone();
                consumer.rows.push(Row::Exchange(exchange.clone(), secrets));
            }
            consumer.recent.exchanged(exchange);
        }
    }

    /// Once in a while, what happened in all, for pages.
    fn tell_sums(&self, consumer: &mut Consumer) {
        let Consumer {
            sampler,
            renderer,
            last_at,
            ..
        } = consumer;
        let sums = sampler.due(Instant::now(), rfc3339(*last_at), |function| {
            renderer.function(function)
        });
        if let Some(json) = sums.and_then(|sums| serde_json::to_string(&sums).ok()) {
            let _ = self.0.samples.send(json.into());
        }
    }

    fn one(&self, consumer: &mut Consumer, raw: Raw) {
        let Consumer {
            recent,
            past,
            keeping,
            sampler,
            rows,
            renderer,
            sink,
            budget,
            dropped,
            ..
        } = consumer;
        let listening = self.0.sse.receiver_count() > 0;
        let invocation = matches!(raw.what, What::Invocation(_));
        let shown = match sink {
            Some(sink) => {
                budget.take(raw.at, sink.lines_per_second_max(), sink.as_mut(), dropped) || is_rare(&raw.what)
            }
            None => false,
        };
        if !shown && sink.is_some() {
            budget.fold(invocation);
        }
        let kept = past.is_some() && {
            rows.extend(keeping.sums(raw.at));
            keeping.take(&raw, |function| renderer.function(function))
        };
        if kept
            && let What::Invocation(done) = &raw.what
            && let Some(exchange) = &done.exchange
        {
            exchange.wanted();
        }
        let sampled = self.0.samples.receiver_count() > 0 && sampler.take(&raw);
        if shown || listening || kept || sampled {
            let stamped = Arc::new(renderer.stamped(&raw));
            if let (Some(sink), true) = (sink.as_mut(), shown) {
                sink.event(&stamped);
            }
            if kept {
                rows.push(Row::Event(stamped.clone()));
            }
            if sampled && let Ok(json) = serde_json::to_string(&*stamped) {
                let _ = self.0.samples.send(json.into());
            }
            if listening {
                // Nobody left to listen is no error.
                let _ = self.0.sse.send(stamped);
            }
        }
        recent.keep(raw);
    }
}

/// Shown however fast things go.
fn is_rare(what: &What) -> bool {
    matches!(what, What::Made(_))
}

impl Budget {
    /// Whether one more line fits into this second; says what the last second folded.
    fn take(&mut self, at: Time, max: Option<u32>, sink: &mut dyn Sink, dropped: &mut u64) -> bool {
        let second = at.as_secs();
        if second != self.second {
            self.second = second;
            self.used = 0;
            self.flush(sink, dropped);
        }
        let Some(max) = max else { return true };
        self.used = self.used.saturating_add(1);
        self.used <= max
    }

    fn fold(&mut self, invocation: bool) {
        if invocation {
            self.folded_invocations += 1;
        } else {
            self.folded_others += 1;
        }
    }

    fn flush(&mut self, sink: &mut dyn Sink, dropped: &mut u64) {
        let others = std::mem::take(&mut self.folded_others) + std::mem::take(dropped);
        let invocations = std::mem::take(&mut self.folded_invocations);
        if invocations + others > 0 {
            sink.folded(invocations, others);
        }
    }
}

impl Consumer {
    fn flush_folded(&mut self) {
        if let Some(sink) = self.sink.as_mut() {
            self.budget.flush(sink.as_mut(), &mut self.dropped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<(u64, u64, u64)>>);

    impl Sink for Seen {
        fn event(&mut self, _: &Stamped) {
            lock(&self.0).0 += 1;
        }

        fn folded(&mut self, invocations: u64, others: u64) {
            let mut seen = lock(&self.0);
            seen.1 += invocations;
            seen.2 += others;
        }

        fn lines_per_second_max(&self) -> Option<u32> {
            Some(10)
        }
    }

    fn notice(text: &str) -> What {
        What::Made(Box::new(Event::Notice(crate::report::event::Notice {
            level: "info".into(),
            message: text.into(),
        })))
    }

    fn log(n: u64) -> What {
        What::Log {
            invocation: InvocationId(n),
            function: FunctionId(0),
            stream: Stream::Stdout,
            text: "x".into(),
        }
    }

    #[test]
    fn above_the_sinks_rate_lines_are_counted_and_none_is_lost() {
        let seen = Seen::default();
        let hub = Hub::start(Arc::default(), PublicIds::new(1), Box::new(seen.clone())).expect("a thread");
        for n in 0..1_000 {
            hub.push(Time::from_secs(5), log(n));
        }
        hub.push(Time::from_secs(5), notice("rare things are always shown"));
        hub.push(Time::from_secs(6), log(0));
        hub.close();
        let (shown, invocations, others) = *lock(&seen.0);
        assert_eq!(shown, 10 + 1 + 1);
        assert_eq!((invocations, others), (0, 990));
    }

    #[test]
    fn a_reader_sees_what_was_pushed_before_it_asked() {
        let hub = Hub::start(Arc::default(), PublicIds::new(1), Box::new(Seen::default())).expect("a thread");
        for n in 0..100 {
            hub.push(Time::ZERO, log(n));
            assert_eq!(hub.read(|history, _| history.log(InvocationId(n)).len()), 1);
        }
        hub.close();
    }

    #[test]
    fn a_full_queue_counts_what_it_drops() {
        let seen = Seen::default();
        let hub = Hub::start(Arc::default(), PublicIds::new(1), Box::new(seen.clone())).expect("a thread");
        // The reporter waits for this lock, so that nothing is taken out of the queue meanwhile.
        let consumer = lock(&hub.0.consumer);
        for n in 0..(2 * PENDING_MAX as u64) {
            hub.push(Time::ZERO, log(n));
        }
        drop(consumer);
        hub.close();
        let (shown, _, others) = *lock(&seen.0);
        assert!(
            shown + others >= 2 * PENDING_MAX as u64,
            "{shown} shown and {others} counted"
        );
    }
}
