//! Bodies that stream between the runtime and the outside, by the handles that the prelude knows them by.

use std::collections::BTreeMap;

use wit_bindgen::{FutureWriter, StreamReader, StreamResult, StreamWriter};

use crate::wit_stream;

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Handles one invocation may hold at a time.
const HANDLES_MAX: usize = 1024;

/// How a body comes to its end, for who reads it.
pub type End = FutureWriter<Result<(), String>>;

pub enum Slot {
    Arriving(StreamReader<u8>),
    Leaving(StreamWriter<u8>, Option<End>),
    /// Made by `pipe`, not yet taken by `fetch`.
    Piped(StreamWriter<u8>, StreamReader<u8>),
    /// In use just now.
    Busy,
}

/// All bodies of one invocation.
#[derive(Default)]
pub struct Bodies {
    slots: BTreeMap<u32, Slot>,
    last: u32,
}

impl Bodies {
    pub fn insert(&mut self, slot: Slot) -> Result<u32, String> {
        if self.slots.len() >= HANDLES_MAX {
            return Err(format!("more than {HANDLES_MAX} bodies are open at once; read or cancel some"));
        }
        self.last += 1;
        self.slots.insert(self.last, slot);
        Ok(self.last)
    }

    pub fn pipe(&mut self) -> Result<u32, String> {
        let (writer, reader) = wit_stream::new();
        self.insert(Slot::Piped(writer, reader))
    }

    /// The body behind a handle, to be sent on as it is.
    pub fn take(&mut self, handle: u32) -> Result<StreamReader<u8>, String> {
        match self.slots.remove(&handle) {
            Some(Slot::Arriving(body)) => Ok(body),
            Some(Slot::Piped(writer, body)) => {
                self.slots.insert(handle, Slot::Leaving(writer, None));
                Ok(body)
            }
            Some(slot) => {
                self.slots.insert(handle, slot);
                Err("the body is in use".to_owned())
            }
            None => Err("the body has been read already".to_owned()),
        }
    }

    /// Takes what is behind a handle out for one call; `None` when it has ended.
    fn begin(&mut self, handle: u32) -> Option<Slot> {
        let slot = self.slots.get_mut(&handle)?;
        Some(std::mem::replace(slot, Slot::Busy))
    }

    /// After the call. A handle closed meanwhile stays closed.
    fn put_back(&mut self, handle: u32, slot: Option<Slot>) {
        if let Some(known @ Slot::Busy) = self.slots.get_mut(&handle) {
            match slot {
                Some(slot) => *known = slot,
                None => drop(self.slots.remove(&handle)),
            }
        }
    }

    /// Of those that nobody has ended.
    pub fn ends(self) -> impl Iterator<Item = End> {
        self.slots.into_values().filter_map(|slot| match slot {
            Slot::Leaving(_, end) => end,
            _ => None,
        })
    }

    /// Ends a body, well or with an error. Without effect on one that has ended.
    pub fn close(&mut self, handle: u32, error: Option<String>) -> Option<(End, Result<(), String>)> {
        match self.slots.remove(&handle) {
            // A pipe that `fetch` has not taken yet goes on to exist for it.
            Some(Slot::Piped(_, body)) => {
                self.slots.insert(handle, Slot::Arriving(body));
                None
            }
            Some(Slot::Leaving(_, Some(end))) => Some((end, error.map_or(Ok(()), Err))),
            _ => None,
        }
    }
}

/// The next bytes of a body; `None` at its end.
pub async fn read(handle: u32) -> Result<Option<Vec<u8>>, String> {
    let slot = crate::with(|state| state.bodies.begin(handle));
    let mut body = match slot {
        None => return Ok(None),
        Some(Slot::Arriving(body)) => body,
        Some(slot) => {
            crate::with(|state| state.bodies.put_back(handle, Some(slot)));
            return Err("the body is in use".to_owned());
        }
    };
    let (result, bytes) = body.read(Vec::with_capacity(CHUNK_BYTES)).await;
    let is_over = matches!(result, StreamResult::Dropped);
    let rest = (!is_over).then_some(Slot::Arriving(body));
    crate::with(|state| state.bodies.put_back(handle, rest));
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// Writes a chunk; returns when it is taken.
pub async fn write(handle: u32, chunk: Vec<u8>) -> Result<(), String> {
    let slot = crate::with(|state| state.bodies.begin(handle));
    let (mut writer, rest): (_, Box<dyn FnOnce(StreamWriter<u8>) -> Slot>) = match slot {
        Some(Slot::Leaving(writer, end)) => (writer, Box::new(|writer| Slot::Leaving(writer, end))),
        Some(Slot::Piped(writer, body)) => (writer, Box::new(|writer| Slot::Piped(writer, body))),
        slot => {
            crate::with(|state| state.bodies.put_back(handle, slot));
            return Err("the body is closed".to_owned());
        }
    };
    let left = match chunk.is_empty() {
        true => Vec::new(),
        false => writer.write_all(chunk).await,
    };
    crate::with(|state| state.bodies.put_back(handle, Some(rest(writer))));
    match left.is_empty() {
        true => Ok(()),
        false => Err("the reader of the body has gone".to_owned()),
    }
}

/// A whole body.
pub async fn collect(body: StreamReader<u8>) -> Vec<u8> {
    body.collect().await
}
