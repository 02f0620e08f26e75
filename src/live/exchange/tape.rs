//! A body that is heard on its way.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use serde_json::Value;

use super::{BODY_BYTES_MAX, Hold, Side};
use crate::engine::{Body, BodyError};

/// The head of a body, and how long all of it is.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    pub head: Vec<u8>,
    pub bytes: u64,
    /// All of it has passed.
    pub ended: bool,
}

impl Tape {
    /// Adds what passes, as far as there is room; how much was taken.
    pub fn add(&mut self, data: &[u8], room: usize) -> usize {
        let is_whole = self.head.len() as u64 == self.bytes;
        self.bytes += data.len() as u64;
        if !is_whole {
            // What is kept is a head without gaps.
            return 0;
        }
        let taken = data.len().min(BODY_BYTES_MAX - self.head.len()).min(room);
        self.head.extend_from_slice(&data[..taken]);
        taken
    }

    pub fn of_json(value: &Value) -> Tape {
        let mut writer = Writer(Tape::default());
        // It takes everything.
        let _ = serde_json::to_writer(&mut writer, value);
        writer.0.ended = true;
        writer.0
    }

    pub fn held(&self) -> usize {
        self.head.len()
    }

    /// Not all that was sent is here.
    pub fn is_cut(&self) -> bool {
        !self.ended || (self.head.len() as u64) < self.bytes
    }
}

struct Writer(Tape);

impl std::io::Write for Writer {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.add(data, usize::MAX);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A body of an exchange.
pub(super) struct Taped {
    body: Body,
    side: Side,
    /// Let go when all has passed, or nobody reads on.
    hold: Option<Hold>,
}

impl Taped {
    pub fn new(body: Body, hold: Hold, side: Side) -> Taped {
        Taped {
            body,
            side,
            hold: Some(hold),
        }
    }
}

impl http_body::Body for Taped {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(hold), Some(Ok(frame))) = (&self.hold, &frame)
            && let Some(data) = frame.data_ref()
        {
            hold.0.hear(self.side, data);
        }
        if (frame.is_none() || self.body.is_end_stream())
            && let Some(hold) = self.hold.take()
        {
            hold.0.ended(self.side);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that somebody hears: each piece, then `None` at its end.
pub(super) struct Heard<F> {
    body: Body,
    heard: F,
    ended: bool,
}

impl<F: FnMut(Option<&[u8]>)> Heard<F> {
    pub fn new(body: Body, heard: F) -> Heard<F> {
        Heard {
            body,
            heard,
            ended: false,
        }
    }
}

impl<F: FnMut(Option<&[u8]>) + Unpin> http_body::Body for Heard<F> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            (self.heard)(Some(data));
        }
        if (frame.is_none() || self.body.is_end_stream()) && !self.ended {
            self.ended = true;
            (self.heard)(None);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tape_keeps_the_head_without_gaps_and_counts_the_rest() {
        let mut tape = Tape::default();
        assert_eq!(tape.add(b"abc", 2), 2);
        assert_eq!(tape.add(b"def", 100), 0, "a gap");
        tape.ended = true;
        assert_eq!((tape.head.as_slice(), tape.bytes, tape.is_cut()), (&b"ab"[..], 6, true));
        let mut long = Tape::default();
        assert_eq!(long.add(&vec![b'x'; BODY_BYTES_MAX + 1], usize::MAX), BODY_BYTES_MAX);
        long.ended = true;
        assert!(long.is_cut());
        let json = Tape::of_json(&serde_json::json!({"a": 1}));
        assert_eq!((json.head.as_slice(), json.is_cut()), (&br#"{"a":1}"#[..], false));
    }
}
