//! Bodies that stream between the guest and the outside, by the handles that the guest knows them by.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::engine::{Body, BodyError};

/// Chunks that may wait between writer and reader. A chunk is as long as the guest makes it, so memory bounds it.
const CHUNKS_WAITING_MAX: usize = 4;

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

/// The guest's end of a body that leaves.
#[derive(Clone)]
pub struct Writer {
    chunks: mpsc::Sender<Bytes>,
    end: End,
}

impl Writer {
    /// Waits for room. False when nobody reads any more.
    pub async fn write(&self, chunk: Bytes) -> bool {
        chunk.is_empty() || self.chunks.send(chunk).await.is_ok()
    }
}

/// The reader's end of a body that leaves.
struct Leaving {
    chunks: mpsc::Receiver<Bytes>,
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
        match self.chunks.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(chunk)) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
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

/// A body and the end to write it by.
pub fn channel() -> (Writer, Body) {
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
    let end = End::default();
    let leaving = Leaving {
        chunks: receiver,
        end: Arc::clone(&end),
        over: false,
    };
    (Writer { chunks: sender, end }, leaving.boxed_unsync())
}

/// All bodies of one invocation.
#[derive(Default)]
pub struct Bodies {
    slots: BTreeMap<u32, Slot>,
    last: u32,
}

impl Bodies {
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

    pub fn arriving(&mut self, body: Body) -> Result<u32, String> {
        self.insert(Slot::Arriving(body))
    }

    pub fn leaving(&mut self, writer: Writer) -> Result<u32, String> {
        self.insert(Slot::Leaving(writer))
    }

    pub fn pipe(&mut self) -> Result<u32, String> {
        let (writer, body) = channel();
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
            None => Err("the body has been read already".to_owned()),
        }
    }

    /// Takes a body out for one read; `None` when it has ended before. [`Bodies::put_back`] ends the read.
    pub fn begin_read(&mut self, handle: u32) -> Result<Option<Body>, String> {
        match self.slots.get_mut(&handle) {
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
            _ => Err("the body is closed".to_owned()),
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
