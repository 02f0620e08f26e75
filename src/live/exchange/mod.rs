//! Requests and answers as they passed, kept within bounds: what the history shows, `emu record` writes and `emu replay` sends again.
//!
//! Bodies are heard on their way, frame by frame, and never held up. So many exchanges begin to be kept in one second, so many
//! bytes of each body are copied, so many are in memory in all; what is above that costs nothing. An exchange is whole when its
//! invocation has ended and both bodies have passed: the last of the three to end hands it to the history, whose own thread
//! makes it text and takes secrets out.

mod kept;
mod tape;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderValue};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use crate::engine::{Batch, Body, Event, HttpEvent, InMessage, Reply, RetryMessage, Scheduled};
use crate::platform::ids::{InvocationId, MessageId};
use crate::platform::time::{Span, Time};

use super::events::Hub;
use super::messages::{Content, attribute_bytes};
use super::names::PublicIds;
use tape::{Tape, Taped};

pub use kept::Kept;

/// Kept of one body; of the rest its length.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Exchanges that begin to be kept in one second of emu's clock: as many as the history keeps invocations.
const BEGUN_MAX: u64 = 1_000;
/// Bytes of bodies in memory, over all exchanges.
const HELD_BYTES_MAX: usize = 48 << 20;
/// Requests to the outside that are kept of one invocation.
const OUTBOUND_MAX: usize = 50;

/// Where the keeping of exchanges begins.
pub struct Exchanges {
    hub: Hub,
    ids: PublicIds,
    /// Nothing is kept when it is off.
    on: bool,
    /// The second that runs, above [`COUNT_BITS`], and how many have begun in it.
    begun: AtomicU64,
    held: Arc<AtomicUsize>,
}

const COUNT_BITS: u32 = 20;

impl Exchanges {
    pub fn new(hub: Hub, ids: PublicIds, on: bool) -> Exchanges {
        Exchanges {
            hub,
            ids,
            on,
            begun: AtomicU64::new(0),
            held: Arc::default(),
        }
    }

    pub fn is_on(&self) -> bool {
        self.on
    }

    /// The event on its way to the guest, and the exchange that hears it, if this one is kept.
    pub fn begin(&self, now: Time, of: InvocationId, by_hand: bool, event: Event) -> (Event, Option<Hold>) {
        if !self.has_room(now) {
            return (event, None);
        }
        let whose = (now, self.ids.invocation(of));
        match event {
            Event::Http(event) => {
                let (event, hold) = self.hear_request(whose, event);
                (Event::Http(event), Some(hold))
            }
            Event::Batch(batch) => {
                let asked = Asked::Batch(Messages::of(&batch));
                (Event::Batch(batch), Some(self.hold(whose, asked)))
            }
            Event::Scheduled(scheduled) => {
                let asked = Asked::Cron {
                    scheduled: scheduled.clone(),
                    by_hand,
                };
                (Event::Scheduled(scheduled), Some(self.hold(whose, asked)))
            }
            Event::Json(value) => {
                let asked = Asked::Event(Tape::of_json(&value));
                (Event::Json(value), Some(self.hold(whose, asked)))
            }
        }
    }

    fn hear_request(&self, whose: (Time, String), event: HttpEvent) -> (HttpEvent, Hold) {
        let request = &event.request;
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let asked = Asked::Http {
            method: request.method().clone(),
            target: target.to_owned(),
            headers: own(request.headers()),
            body: Tape::default(),
        };
        let hold = self.hold(whose, asked);
        let ended = event.request.body().is_end_stream();
        let request = match ended {
            true => event.request,
            false => {
                let hold = hold.clone();
                event
                    .request
                    .map(|body| Taped::new(body, hold, Side::Request).boxed_unsync())
            }
        };
        (HttpEvent { request, ..event }, hold)
    }

    /// Keeps what somebody outside has sent to a queue or topic: a message that no invocation may ever be handed.
    pub fn sent(&self, now: Time, id: MessageId, sent: impl FnOnce() -> Sent) {
        if self.has_room(now) {
            let hold = self.hold((now, self.ids.message(id)), Asked::Sent(sent()));
            hold.0.wanted();
        }
    }

    fn hold(&self, (at, id): (Time, String), asked: Asked) -> Hold {
        let mut state = State {
            asked: Some(asked),
            ..State::default()
        };
        state.bytes = state.asked.as_ref().map_or(0, Asked::bytes);
        self.held.fetch_add(state.bytes, Ordering::Relaxed);
        let exchange = Exchange {
            at,
            id,
            state: Mutex::new(state),
            held: self.held.clone(),
            open: AtomicU32::new(1),
            keep: AtomicBool::new(false),
        };
        Hold(Arc::new(exchange), self.hub.clone())
    }

    /// Whether one more may begin in this second.
    fn has_room(&self, now: Time) -> bool {
        if !self.on || self.held.load(Ordering::Relaxed) > HELD_BYTES_MAX {
            return false;
        }
        let second = now.as_secs();
        let count = |begun: u64| match begun >> COUNT_BITS == second {
            true => begun & ((1 << COUNT_BITS) - 1),
            false => 0,
        };
        let next = |begun: u64| (count(begun) < BEGUN_MAX).then(|| (second << COUNT_BITS) | (count(begun) + 1));
        self.begun
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }
}

/// One invocation's request and answer.
pub struct Exchange {
    /// When it began.
    pub at: Time,
    /// Public: the invocation's, or that of a message from outside.
    pub id: String,
    state: Mutex<State>,
    held: Arc<AtomicUsize>,
    /// Those who may still add to it.
    open: AtomicU32,
    /// Its invocation is kept singly, and so is it.
    keep: AtomicBool,
}

#[derive(Default)]
struct State {
    /// `None`: it was forgotten.
    asked: Option<Asked>,
    answered: Option<Answered>,
    outbound: Vec<Outbound>,
    /// Counted as held.
    bytes: usize,
}

enum Asked {
    Http {
        method: http::Method,
        /// The path with its query.
        target: String,
        headers: HeaderMap,
        body: Tape,
    },
    Batch(Messages),
    Cron {
        scheduled: Scheduled,
        by_hand: bool,
    },
    Event(Tape),
    Sent(Sent),
}

/// A message that came from outside.
pub struct Sent {
    /// Of a queue, else of a topic.
    pub to_queue: bool,
    pub name: String,
    pub head: Vec<u8>,
    /// All of the body.
    pub bytes: usize,
    pub delay: Option<Span>,
    pub group: Option<String>,
    pub attributes: usize,
}

impl Sent {
    pub fn new(to_queue: bool, name: &str, content: &Content) -> Sent {
        Sent {
            to_queue,
            name: name.to_owned(),
            head: content.body[..content.body.len().min(BODY_BYTES_MAX)].to_vec(),
            bytes: content.body.len(),
            delay: None,
            group: None,
            attributes: content.attributes.len(),
        }
    }
}

enum Answered {
    Http {
        status: u16,
        headers: HeaderMap,
        body: Tape,
    },
    Json(Tape),
    Batch(Vec<RetryMessage>),
    Done,
}

/// A request of the guest to the outside, and what it was answered.
struct Outbound {
    method: http::Method,
    url: String,
    status: u16,
    content_type: Option<String>,
    body: Tape,
}

/// A batch as far as there is room for it.
struct Messages {
    batch: Batch,
    /// The lengths of their bodies, of which the first so many bytes are in `batch`.
    lengths: Vec<usize>,
    /// Beyond the room.
    left_out: usize,
    /// What is held of them.
    bytes: usize,
}

impl Messages {
    fn of(batch: &Batch) -> Messages {
        let mut room = BODY_BYTES_MAX;
        let mut kept = Vec::new();
        let mut lengths = Vec::new();
        for message in &batch.messages {
            // What a message costs beside its body counts as well.
            let beside = 64 + attribute_bytes(&message.attributes);
            let Some(left) = room.checked_sub(beside) else { break };
            let head = message.body.len().min(left);
            room = left - head;
            lengths.push(message.body.len());
            kept.push(InMessage {
                // A copy: a slice would keep the whole body in memory.
                body: bytes::Bytes::copy_from_slice(&message.body[..head]),
                // Good for its batch only.
                receipt: String::new(),
                id: message.id.clone(),
                content_type: message.content_type.clone(),
                attributes: message.attributes.clone(),
                sent_at: message.sent_at,
                first_received_at: message.first_received_at,
                receive_count: message.receive_count,
                group: message.group.clone(),
            });
        }
        Messages {
            left_out: batch.messages.len() - kept.len(),
            batch: Batch {
                source: batch.source.clone(),
                messages: kept,
            },
            lengths,
            bytes: BODY_BYTES_MAX - room,
        }
    }
}

impl Asked {
    /// What it holds before any body has passed.
    fn bytes(&self) -> usize {
        match self {
            Asked::Http { target, headers, .. } => target.len() + header_bytes(headers),
            Asked::Batch(messages) => messages.bytes,
            Asked::Cron { .. } => 64,
            Asked::Event(tape) => tape.held(),
            Asked::Sent(sent) => sent.head.len(),
        }
    }
}

/// A copy that shares nothing: values are slices of the buffer that the connection was read into, and would keep all of it.
fn own(headers: &HeaderMap) -> HeaderMap {
    let mut own = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            own.append(name, value);
        }
    }
    own
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

/// Which of the two bodies.
#[derive(Clone, Copy)]
enum Side {
    Request,
    Answer,
}

impl Exchange {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that panics is done under it; what is there is good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, side: Side, data: &[u8]) {
        let mut state = self.lock();
        let State {
            asked, answered, bytes, ..
        } = &mut *state;
        let tape = match (side, asked, answered) {
            (Side::Request, Some(Asked::Http { body, .. }), _) => body,
            (Side::Answer, _, Some(Answered::Http { body, .. })) => body,
            _ => return,
        };
        self.add(tape, data, bytes);
    }

    /// What there is room for.
    fn add(&self, tape: &mut Tape, data: &[u8], bytes: &mut usize) {
        let room = HELD_BYTES_MAX.saturating_sub(self.held.load(Ordering::Relaxed));
        let taken = tape.add(data, room);
        *bytes += taken;
        self.held.fetch_add(taken, Ordering::Relaxed);
    }

    /// What a body did not come to its end for counts as cut off.
    fn ended(&self, side: Side) {
        match (side, &mut *self.lock()) {
            (
                Side::Request,
                State {
                    asked: Some(Asked::Http { body, .. }),
                    ..
                },
            ) => body.ended = true,
            (
                Side::Answer,
                State {
                    answered: Some(Answered::Http { body, .. }),
                    ..
                },
            ) => body.ended = true,
            _ => {}
        }
    }

    /// The answer of the outside on its way to the guest.
    pub fn hear_outside(
        self: &Arc<Self>,
        method: &http::Method,
        url: &str,
        response: http::Response<Body>,
    ) -> http::Response<Body> {
        let at = {
            let mut state = self.lock();
            if state.asked.is_none() || state.outbound.len() >= OUTBOUND_MAX {
                return response;
            }
            let kind = response.headers().get(http::header::CONTENT_TYPE);
            state.outbound.push(Outbound {
                method: method.clone(),
                url: url.to_owned(),
                status: response.status().as_u16(),
                content_type: kind.and_then(|kind| kind.to_str().ok()).map(str::to_owned),
                body: Tape::default(),
            });
            state.outbound.len() - 1
        };
        let exchange = self.clone();
        let heard = move |data: Option<&[u8]>| {
            let mut state = exchange.lock();
            let State { outbound, bytes, .. } = &mut *state;
            match (outbound.get_mut(at), data) {
                (Some(one), Some(data)) => exchange.add(&mut one.body, data, bytes),
                (Some(one), None) => one.body.ended = true,
                (None, _) => {}
            }
        };
        response.map(|body| tape::Heard::new(body, heard).boxed_unsync())
    }

    /// The invocation is kept singly: so is this.
    pub fn wanted(&self) {
        self.keep.store(true, Ordering::Release);
    }

    pub fn is_wanted(&self) -> bool {
        self.keep.load(Ordering::Acquire)
    }

    /// What it takes in memory, about.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Makes room: newer ones are more likely to be asked for.
    pub fn forget(&self) {
        let mut state = self.lock();
        self.held.fetch_sub(state.bytes, Ordering::Relaxed);
        *state = State::default();
    }
}

impl std::fmt::Debug for Exchange {
    /// Without its contents.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exchange({})", self.id)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.forget();
    }
}

/// May add to an exchange; the last to go hands it to the history.
pub struct Hold(Arc<Exchange>, Hub);

impl Hold {
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.0
    }

    /// The answer on its way to whoever waits for it.
    pub fn hear(&self, reply: Reply) -> Reply {
        let (answered, reply) = match reply {
            Reply::Http(response) => {
                let answered = Answered::Http {
                    status: response.status().as_u16(),
                    headers: own(response.headers()),
                    body: Tape::default(),
                };
                let ended = response.body().is_end_stream();
                let hold = self.clone();
                self.answer(answered);
                return Reply::Http(match ended {
                    true => {
                        self.0.ended(Side::Answer);
                        response
                    }
                    false => response.map(|body| Taped::new(body, hold, Side::Answer).boxed_unsync()),
                });
            }
            Reply::Json(value) => (Answered::Json(Tape::of_json(&value)), Reply::Json(value)),
            Reply::Batch(retries) => (Answered::Batch(retries.clone()), Reply::Batch(retries)),
            Reply::Done => (Answered::Done, Reply::Done),
        };
        self.answer(answered);
        reply
    }

    fn answer(&self, answered: Answered) {
        let bytes = match &answered {
            Answered::Http { headers, .. } => header_bytes(headers),
            Answered::Json(tape) => tape.held(),
            Answered::Batch(retries) => retries.len() * 64,
            Answered::Done => 0,
        };
        let mut state = self.0.lock();
        if state.asked.is_some() {
            state.answered = Some(answered);
            state.bytes += bytes;
            self.0.held.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl Clone for Hold {
    fn clone(&self) -> Hold {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Hold(self.0.clone(), self.1.clone())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.1.exchanged(self.0.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::BatchSource;

    #[test]
    fn headers_that_are_kept_hold_no_buffer_of_a_connection() {
        let buffer = bytes::Bytes::from(vec![b'x'; 8 << 10]);
        let mut headers = HeaderMap::new();
        for at in [0, 5] {
            let value = HeaderValue::from_maybe_shared(buffer.slice(at..at + 5)).expect("a value");
            headers.append("x-one", value);
        }
        let own = own(&headers);
        assert_eq!(own, headers);
        drop(headers);
        assert!(buffer.is_unique(), "nothing else refers to it");
    }

    #[test]
    fn what_is_held_of_a_batch_is_bounded_attributes_included() {
        let message = |body: usize, attribute: usize| InMessage {
            id: "m".to_owned(),
            receipt: "r".to_owned(),
            body: vec![b'x'; body].into(),
            content_type: None,
            attributes: BTreeMap::from([("a".to_owned(), "y".repeat(attribute).into())]),
            sent_at: Time::ZERO,
            first_received_at: Time::ZERO,
            receive_count: 1,
            group: None,
        };
        for (messages, kept, heads) in [
            (vec![message(10, 10), message(10, 10)], 2, vec![10, 10]),
            (vec![message(10, 200_000), message(10, 10)], 0, vec![]),
            (vec![message(10, 10), message(10, 200_000)], 1, vec![10]),
            (vec![message(60_000, 10), message(60_000, 10)], 2, vec![60_000, 5_382]),
        ] {
            let held = Messages::of(&Batch {
                source: BatchSource::Queue("jobs".into()),
                messages: messages.clone(),
            });
            let lengths: Vec<usize> = held.batch.messages.iter().map(|message| message.body.len()).collect();
            assert_eq!((held.batch.messages.len(), lengths), (kept, heads));
            assert_eq!(held.left_out, messages.len() - kept);
            assert!(held.bytes <= BODY_BYTES_MAX);
        }
    }
}
