//! Where things lie in the broker: names of streams, subjects and buckets, and how a name of the project becomes a part of one.

use std::fmt::Write as _;

/// A stream and the subject in it that something is published to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub stream: String,
    pub subject: String,
}

/// Names of one project in the broker.
#[derive(Clone, Debug)]
pub(super) struct Places {
    project: String,
    /// Head of the names of buckets, which are of fewer characters.
    bucket: String,
}

impl Places {
    pub fn new(project: &str) -> Places {
        Places {
            project: encode(project),
            bucket: format!("emu-{}", escape(project, b'_')),
        }
    }

    /// A stream of its own for each queue: its bounds are the queue's.
    pub fn queue(&self, name: &str) -> Place {
        let name = encode(name);
        Place {
            stream: format!("emu-{}-queue-{name}", self.project),
            subject: format!("emu.{}.queue.{name}", self.project),
        }
    }

    /// Asynchronous invocations and topics' deliveries to a function.
    pub fn event(&self, function: &str) -> Place {
        Place {
            stream: format!("emu-{}-events", self.project),
            subject: format!("emu.{}.event.{}", self.project, encode(function)),
        }
    }

    /// Topics' messages that have not been handed on.
    pub fn topic(&self, name: &str) -> Place {
        Place {
            stream: format!("emu-{}-topics", self.project),
            subject: format!("emu.{}.topic.{}", self.project, encode(name)),
        }
    }

    /// Where a member answers what it does; in no stream.
    pub fn ask(&self, member: &str) -> String {
        format!("emu.{}.ask.{member}", self.project)
    }

    pub fn bucket(&self, store: &str) -> String {
        format!("{}-kv-{}", self.bucket, escape(store, b'_'))
    }

    /// Head of ids and the counter of their blocks.
    pub fn meta(&self) -> String {
        format!("{}-meta", self.bucket)
    }

    /// What members say of themselves, and what they have taken for themselves; gone when they do not repeat it.
    pub fn members(&self) -> String {
        format!("{}-members", self.bucket)
    }

    /// Instants of crons that somebody fires for.
    pub fn crons(&self) -> String {
        format!("{}-crons", self.bucket)
    }

    /// Deduplication keys of FIFO queues, and whose message had them.
    pub fn keys(&self, queue: &str) -> String {
        format!("{}-keys-{}", self.bucket, escape(queue, b'_'))
    }
}

/// Letters, digits, `-` and `_` stay; of anything else each byte becomes `=` and two hexadecimal digits. One token of a
/// subject, and a key of a bucket.
pub(super) fn encode(name: &str) -> String {
    escape(name, b'=')
}

fn escape(name: &str, by: u8) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte != by && (byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(escaped, "{}{byte:02X}", char::from(by));
        }
    }
    escaped
}

/// The way back; `None`: somebody else's.
pub(super) fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'=' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let text = std::str::from_utf8(&digits).ok()?;
        bytes.push(u8::from_str_radix(text, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_tokens_and_come_back() {
        for name in ["orders", "orders.fifo", "a b*>c/\\", "é=1", "", "x_-9"] {
            let encoded = encode(name);
            assert!(
                encoded
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte)),
                "{encoded}"
            );
            assert_eq!(decode(&encoded).as_deref(), Some(name));
        }
        assert_eq!(decode("a=Z1"), None);
        assert_eq!(decode("a=4"), None);
    }

    #[test]
    fn names_that_differ_lie_apart() {
        let places = Places::new("my shop");
        assert_ne!(places.queue("a.b"), places.queue("a-b"));
        assert_ne!(places.queue("a").stream, places.topic("a").stream);
        assert_ne!(places.bucket("a_2E"), places.bucket("a."));
        assert_eq!(places.bucket("a."), "emu-my_20shop-kv-a_2E");
        assert_eq!(places.queue("a.fifo").subject, "emu.my=20shop.queue.a=2Efifo");
    }
}
