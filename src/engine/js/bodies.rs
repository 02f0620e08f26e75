//! Bodies that stream between the guest and the outside, by the handles that the guest knows them by.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::engine::{Body, BodyError};

/// What is handed from writer to reader at once; the prelude writes no more either.
const PIECE_BYTES_MAX: usize = 64 << 10;
/// Pieces that may wait in one body between writer and reader: a megabyte.
const PIECES_WAITING_MAX: usize = 16;
/// Bytes that may wait in all bodies of one invocation together. A body in which nothing waits takes a piece all the same, so
/// that no body waits for another one's reader.
const BYTES_WAITING_MAX: usize = 16 << 20;

/// Handles one invocation may hold at a time.
const HANDLES_MAX: usize = 1024;

enum Slot {
    Arriving(Body),
    /// Somebody reads from it just now.
    Reading,
    Leaving(Writer),
    /// Made by `pipe`, not yet taken by `fetch`.
    Piped(Writer, Body),
}

/// How a body that leaves came to its end; unset when its writer vanished.
type End = Arc<OnceLock<Result<(), String>>>;

/// A piece on its way, and its room.
type Piece = (Bytes, OwnedSemaphorePermit);

/// The guest's end of a body that leaves.
#[derive(Clone)]
pub struct Writer {
    pieces: mpsc::Sender<Piece>,
    /// Room of this body alone, for one piece.
    own: Arc<Semaphore>,
    /// Room of all bodies of the invocation.
    shared: Arc<Semaphore>,
    end: End,
}

impl Writer {
    /// Waits for room. False when nobody reads any more.
    pub async fn write(&self, mut chunk: Bytes) -> bool {
        while !chunk.is_empty() {
            let piece = chunk.split_to(chunk.len().min(PIECE_BYTES_MAX));
            if !self.write_piece(piece).await {
                return false;
            }
        }
        true
    }

    async fn write_piece(&self, piece: Bytes) -> bool {
        let bytes = piece.len() as u32;
        let room = tokio::select! {
            biased;
            () = self.pieces.closed() => return false,
            room = Arc::clone(&self.own).acquire_many_owned(bytes) => room,
            room = Arc::clone(&self.shared).acquire_many_owned(bytes) => room,
        };
        // Nobody closes the room.
        let Ok(room) = room else { return false };
        self.pieces.send((piece, room)).await.is_ok()
    }
}

/// The reader's end of a body that leaves.
struct Leaving {
    pieces: mpsc::Receiver<Piece>,
    end: End,
    over: bool,
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        match self.pieces.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some((piece, _room))) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            Poll::Ready(None) => {
                self.over = true;
                match self.end.get() {
                    Some(Ok(())) => Poll::Ready(None),
                    Some(Err(message)) => Poll::Ready(Some(Err(BodyError(message.clone())))),
                    None => Poll::Ready(Some(Err(BodyError(
                        "the function ended before its body did".to_owned(),
                    )))),
                }
            }
        }
    }
}

/// A script in an instance that is kept can hold on to what belonged to the invocation before.
const EARLIER: &str = "the body belongs to an earlier invocation and was closed with it: read it in the invocation that it came to, and \
                       keep what was read";

/// All bodies of one invocation.
pub struct Bodies {
    slots: BTreeMap<u32, Slot>,
    last: u32,
    /// The last handle of the invocations before.
    earlier: u32,
    /// For what waits between writers and readers.
    room: Arc<Semaphore>,
    /// Bytes of bodies that were handed over whole and that nobody has let go of yet.
    whole_bytes: Arc<AtomicU64>,
}

impl Default for Bodies {
    fn default() -> Bodies {
        Bodies {
            slots: BTreeMap::new(),
            last: 0,
            earlier: 0,
            room: Arc::new(Semaphore::new(BYTES_WAITING_MAX)),
            whole_bytes: Arc::default(),
        }
    }
}

/// The place that a whole body takes until it is dropped.
pub struct Place {
    bytes: u64,
    of: Arc<AtomicU64>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Bodies {
    /// Begins an invocation: what is open is closed, and its handles are nobody else's.
    pub fn renew(&mut self) {
        *self = Bodies {
            last: self.last,
            earlier: self.last,
            ..Bodies::default()
        };
    }

    /// Why a handle leads to no body, for one that does not.
    fn gone(&self, handle: u32, otherwise: &str) -> String {
        match handle <= self.earlier {
            true => EARLIER.to_owned(),
            false => otherwise.to_owned(),
        }
    }

    fn insert(&mut self, slot: Slot) -> Result<u32, String> {
        if self.slots.len() >= HANDLES_MAX {
            return Err(format!(
                "more than {HANDLES_MAX} bodies are open at once; read or cancel some"
            ));
        }
        self.last += 1;
        self.slots.insert(self.last, slot);
        Ok(self.last)
    }

    /// A body and the end to write it by.
    pub fn channel(&self) -> (Writer, Body) {
        let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
        let end = End::default();
        let leaving = Leaving {
            pieces: receiver,
            end: Arc::clone(&end),
            over: false,
        };
        let writer = Writer {
            pieces: sender,
            own: Arc::new(Semaphore::new(PIECE_BYTES_MAX)),
            shared: Arc::clone(&self.room),
            end,
        };
        (writer, leaving.boxed_unsync())
    }

    /// Takes place for a body that leaves whole. All of them together have as much as the function has memory.
    ///
    /// # Errors
    /// When there is none left.
    pub fn place(&self, bytes: usize, memory_bytes: u64) -> Result<Place, String> {
        let bytes = bytes as u64;
        let of = Arc::clone(&self.whole_bytes);
        let place = Place { bytes, of };
        if place.of.fetch_add(bytes, Ordering::Relaxed) + bytes > memory_bytes {
            let mb = memory_bytes >> 20;
            return Err(format!(
                "the bodies of the requests under way have more than {mb} MB, the function's memory; await some of them first"
            ));
        }
        Ok(place)
    }

    pub fn arriving(&mut self, body: Body) -> Result<u32, String> {
        self.insert(Slot::Arriving(body))
    }

    pub fn leaving(&mut self, writer: Writer) -> Result<u32, String> {
        self.insert(Slot::Leaving(writer))
    }

    pub fn pipe(&mut self) -> Result<u32, String> {
        let (writer, body) = self.channel();
        self.insert(Slot::Piped(writer, body))
    }

    /// The body behind a handle, to be sent on as it is: one that arrived, or the reader's end of a pipe.
    pub fn take(&mut self, handle: u32) -> Result<Body, String> {
        match self.slots.remove(&handle) {
            Some(Slot::Arriving(body)) => Ok(body),
            Some(Slot::Piped(writer, body)) => {
                self.slots.insert(handle, Slot::Leaving(writer));
                Ok(body)
            }
            Some(slot) => {
                self.slots.insert(handle, slot);
                Err("the body is in use".to_owned())
            }
            None => Err(self.gone(handle, "the body has been read already")),
        }
    }

    /// Takes a body out for one read; `None` when it has ended before. [`Bodies::put_back`] ends the read.
    pub fn begin_read(&mut self, handle: u32) -> Result<Option<Body>, String> {
        match self.slots.get_mut(&handle) {
            None if handle <= self.earlier => Err(EARLIER.to_owned()),
            None => Ok(None),
            Some(slot @ Slot::Arriving(_)) => match std::mem::replace(slot, Slot::Reading) {
                Slot::Arriving(body) => Ok(Some(body)),
                _ => Ok(None),
            },
            Some(_) => Err("the body is in use".to_owned()),
        }
    }

    /// After a read; without a body when it has ended. A handle closed meanwhile stays closed.
    pub fn put_back(&mut self, handle: u32, body: Option<Body>) {
        if let Some(slot @ Slot::Reading) = self.slots.get_mut(&handle) {
            match body {
                Some(body) => *slot = Slot::Arriving(body),
                None => drop(self.slots.remove(&handle)),
            }
        }
    }

    /// The writer's end behind a handle.
    pub fn writer(&self, handle: u32) -> Result<Writer, String> {
        match self.slots.get(&handle) {
            Some(Slot::Leaving(writer) | Slot::Piped(writer, _)) => Ok(writer.clone()),
            _ => Err(self.gone(handle, "the body is closed")),
        }
    }

    /// Ends a body, well or with an error. Without effect on one that has ended.
    pub fn close(&mut self, handle: u32, error: Option<String>) {
        if let Some(Slot::Leaving(writer) | Slot::Piped(writer, _)) = self.slots.get(&handle) {
            let end = error.map_or(Ok(()), Err);
            // The first end counts.
            drop(writer.end.set(end));
        }
        // A pipe that `fetch` has not taken yet goes on to exist for it.
        if let Some(Slot::Piped(_, body)) = self.slots.remove(&handle) {
            self.slots.insert(handle, Slot::Arriving(body));
        }
    }
}

/// The next bytes of a body; `None` at its end. Trailers are skipped.
///
/// # Errors
/// What the body ended with.
pub async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, String> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        if let Ok(chunk) = frame.into_data()
            && !chunk.is_empty()
        {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}

/// A whole body, if it is no longer than `bytes_max`.
///
/// # Errors
/// What the body ended with, or that it is too long.
pub async fn collect(body: Body, bytes_max: u64) -> Result<Vec<u8>, String> {
    let mut body = body;
    let mut all = Vec::new();
    while let Some(chunk) = next_chunk(&mut body).await? {
        if (all.len() + chunk.len()) as u64 > bytes_max {
            return Err(format!("the body is longer than {bytes_max} bytes"));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn piece() -> Bytes {
        Bytes::from(vec![0; PIECE_BYTES_MAX])
    }

    /// Writes until the writer would have to wait; how often.
    fn fill(writer: &Writer) -> usize {
        (0..1_000)
            .take_while(|_| writer.write(piece()).now_or_never().is_some())
            .count()
    }

    #[test]
    fn what_waits_for_a_reader_is_bounded() {
        let bodies = Bodies::default();
        let (writer, _body) = bodies.channel();
        assert_eq!(fill(&writer), PIECES_WAITING_MAX);
        // A chunk of any length is taken piece by piece.
        let (writer, _second) = bodies.channel();
        assert!(writer.write(Bytes::from(vec![0; 48 << 20])).now_or_never().is_none());
        let (writer, body) = bodies.channel();
        drop(body);
        assert_eq!(writer.write(piece()).now_or_never(), Some(false), "nobody reads");
    }

    #[test]
    fn a_body_that_is_read_waits_for_no_other() {
        let bodies = Bodies::default();
        let unread: Vec<_> = (0..20)
            .map(|_| {
                let (writer, body) = bodies.channel();
                fill(&writer);
                (writer, body)
            })
            .collect();
        assert_eq!(bodies.room.available_permits(), 0);
        let (writer, mut body) = bodies.channel();
        for _ in 0..100 {
            assert_eq!(writer.write(piece()).now_or_never(), Some(true));
            let chunk = next_chunk(&mut body).now_or_never().expect("it is there");
            let length = chunk.expect("no error").map(|chunk| chunk.len());
            assert_eq!(length, Some(PIECE_BYTES_MAX));
        }
        drop(unread);
        assert_eq!(bodies.room.available_permits(), BYTES_WAITING_MAX);
    }

    #[test]
    fn whole_bodies_have_as_much_place_as_the_function_has_memory() {
        let bodies = Bodies::default();
        let first = bodies.place(60 << 20, 128 << 20).expect("place");
        let _second = bodies.place(60 << 20, 128 << 20).expect("place");
        let refused = bodies.place(60 << 20, 128 << 20).err().expect("no place");
        assert!(refused.contains("more than 128 MB"), "{refused}");
        drop(first);
        assert!(bodies.place(60 << 20, 128 << 20).is_ok());
    }
}
