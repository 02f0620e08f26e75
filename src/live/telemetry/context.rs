//! W3C trace context: `00-TRACE-SPAN-FLAGS`, in the header of a request, in an attribute of a message and beside an event.

use std::cell::RefCell;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The header, and the attribute of messages.
pub const HEADER: &str = "traceparent";

/// A context as what waits carries it and stores keep it: text that holds one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace(Arc<str>);

impl Trace {
    /// `None`: it is no context.
    pub fn read(text: &str) -> Option<Trace> {
        parse(text).map(|context| Trace::of(&context))
    }

    /// What a request came with.
    pub fn of_headers(headers: &HeaderMap) -> Option<Trace> {
        of_headers(headers).map(|context| Trace::of(&context))
    }

    pub fn of(context: &SpanContext) -> Trace {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex(&context.trace_id().to_bytes(), &mut text[3..35]);
        hex(&context.span_id().to_bytes(), &mut text[36..52]);
        hex(&[u8::from(context.is_sampled())], &mut text[53..]);
        Trace(std::str::from_utf8(&text).unwrap_or_default().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it goes out with a request.
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }

    pub(super) fn context(&self) -> Option<SpanContext> {
        parse(&self.0)
    }
}

/// Each run writes one: formatting it would cost as much as all else of its span.
fn hex(bytes: &[u8], to: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(to.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// What came in; `None` when it is no context, which is then as good as none.
pub fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    // Later versions may have more parts; this one has not.
    let is_known = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !is_known || !is_hex(trace, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

/// As [`Trace::of_headers`], for who goes on at once.
pub fn of_headers(headers: &HeaderMap) -> Option<SpanContext> {
    parse(headers.get(HEADER)?.to_str().ok()?)
}

/// Of a trace and a span.
const ID_BYTES: usize = 24;

/// Ids that are drawn at once: asking the system for each takes longer than all else that a context needs.
struct Drawn {
    bytes: [u8; 64 * ID_BYTES],
    used: usize,
    is_random: bool,
}

thread_local! {
    static DRAWN: RefCell<Drawn> = const {
        RefCell::new(Drawn { bytes: [0; 64 * ID_BYTES], used: 64 * ID_BYTES, is_random: false })
    };
}

/// The next ids, and whether they are random: without the system's randomness they would repeat; the spans of such a machine are left out.
fn ids() -> ([u8; ID_BYTES], bool) {
    DRAWN.with_borrow_mut(|drawn| {
        if drawn.used == drawn.bytes.len() {
            drawn.is_random = getrandom::fill(&mut drawn.bytes).is_ok();
            drawn.used = 0;
        }
        let mut ids = [0; ID_BYTES];
        ids.copy_from_slice(&drawn.bytes[drawn.used..drawn.used + ID_BYTES]);
        drawn.used += ID_BYTES;
        (ids, drawn.is_random)
    })
}

/// A span within a trace; without one it begins its own, which is kept with this probability.
pub fn child(parent: Option<&SpanContext>, ratio: f64) -> SpanContext {
    let (bytes, is_random) = ids();
    let mut span = [0u8; 8];
    span.copy_from_slice(&bytes[16..]);
    let (trace, flags) = match parent {
        Some(parent) => (parent.trace_id(), parent.trace_flags()),
        None => {
            let mut trace = [0u8; 16];
            trace.copy_from_slice(&bytes[..16]);
            // As all samplers by trace id do: the low bits decide, so that they agree.
            let mut low = [0u8; 8];
            low.copy_from_slice(&trace[8..]);
            let kept = ((u64::from_be_bytes(low) >> 1) as f64) < ratio * (1u64 << 63) as f64;
            let flags = if kept && is_random {
                TraceFlags::SAMPLED
            } else {
                TraceFlags::default()
            };
            (TraceId::from_bytes(trace), flags)
        }
    };
    SpanContext::new(trace, SpanId::from_bytes(span), flags, false, TraceState::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_goes_on() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = parse(text).expect("a context");
        assert_eq!(Trace::of(&context).as_str(), text);
        assert_eq!(
            Trace::read(text).and_then(|trace| trace.context()),
            Some(context.clone())
        );
        let own = child(Some(&context), 0.0);
        assert_eq!(own.trace_id(), context.trace_id());
        assert!(own.is_sampled() && own.span_id() != context.span_id());
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_two_spans_have_one_id() {
        let drawn: std::collections::BTreeSet<_> = (0..1_000).map(|_| child(None, 1.0).span_id().to_bytes()).collect();
        assert_eq!(drawn.len(), 1_000);
        assert!(!drawn.contains(&[0; 8]));
    }

    #[test]
    fn a_share_of_traces_is_kept() {
        assert!(child(None, 1.0).is_sampled());
        assert!(!child(None, 0.0).is_sampled());
        let kept = (0..2_000).filter(|_| child(None, 0.5).is_sampled()).count();
        assert!((800..1_200).contains(&kept), "{kept}");
    }
}
