//! How a guest's end becomes a [`Failure`] that its author can read.

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::host::Guest;
use super::limits::OutOfMemory;
use super::{Failure, FailureKind};

/// Longest stack shown.
const FRAMES_MAX: usize = 30;

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            stack: Vec::new(),
        }
    }

    /// Something of emu's own went wrong.
    pub(crate) fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(FailureKind::Error, format!("emu: {message}"))
    }

    pub(crate) fn timeout(timeout: std::time::Duration) -> Self {
        Self::new(
            FailureKind::Timeout,
            format!("timed out after {} s", timeout.as_secs_f64()),
        )
    }

    pub(crate) fn is_timeout(&self) -> bool {
        self.kind == FailureKind::Timeout
    }

    /// Virtual time stood still for something real that did not end.
    pub(crate) fn held_up(patience: std::time::Duration) -> Self {
        Self::new(
            FailureKind::Timeout,
            format!(
                "ended after {} s of real time: the manual clock stands still while a request to the outside, or a body, is under way",
                patience.as_secs()
            ),
        )
    }

    pub(crate) fn out_of_memory(refused: OutOfMemory) -> Self {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let message = format!(
            "out of memory: {} MB wanted, the function has memory = \"{}MB\"",
            mib(refused.wanted_bytes),
            mib(refused.limit_bytes)
        );
        Self::new(FailureKind::OutOfMemory, message)
    }

    /// What wasmtime's error means. A refused growth comes first: the guest's own trap after it is only a consequence.
    pub(crate) fn of(error: &wasmtime::Error, guest: &Guest) -> Self {
        if let Some(refused) = guest.memory.refused() {
            return Self::out_of_memory(refused);
        }
        let stack = error.downcast_ref::<WasmBacktrace>().map(stack).unwrap_or_default();
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Self {
                kind: FailureKind::Exit,
                message: format!("exit status {}", exit.0),
                stack,
            };
        }
        if let Some(trap) = error.downcast_ref::<Trap>() {
            let message = match trap {
                Trap::StackOverflow => "wasm trap: call stack exhausted (endless recursion?)".to_owned(),
                trap => trap.to_string(),
            };
            return Self {
                kind: FailureKind::Trap,
                message,
                stack,
            };
        }
        Self {
            kind: FailureKind::Error,
            message: root_message(error),
            stack,
        }
    }
}

/// The first cause: what wraps it are backtraces and names of imports.
fn root_message(error: &wasmtime::Error) -> String {
    error
        .chain()
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// Demangled frames with file and line where the guest carries them, the author's own first.
fn stack(backtrace: &WasmBacktrace) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut ours = false;
    for frame in frames(&backtrace.to_string()) {
        // How a Rust panic comes about says nothing about this one.
        ours |= !is_panicking(&frame[0]);
        if ours {
            lines.extend(frame);
        }
        if lines.len() >= FRAMES_MAX {
            break;
        }
    }
    lines
}

/// wasmtime's rendering without its addresses: a name, then its places.
fn frames(text: &str) -> Vec<Vec<String>> {
    let mut frames: Vec<Vec<String>> = Vec::new();
    for line in text.lines().skip(1) {
        let line = line.trim();
        if let Some(place) = line.strip_prefix("at ") {
            if let Some(frame) = frames.last_mut() {
                frame.push(format!("    at {place}"));
            }
        } else if let Some((_, frame)) = line.split_once(" - ") {
            // `module!function`: the module's name says nothing in a project of one.
            let name = frame.split_once('!').map_or(frame, |(_, name)| name);
            frames.push(vec![without_hashes(name)]);
        }
    }
    frames
}

fn is_panicking(name: &str) -> bool {
    [
        "__rustc",
        "rust_panic",
        "rust_begin_unwind",
        "std::",
        "core::panicking",
        "core::option::",
        "core::result::",
        "abort",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// `std[d730ca44a121e5f3]::f` and `f::h0123456789abcdef` without what only a linker needs.
fn without_hashes(name: &str) -> String {
    let is_hash = |text: &str| text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut clean = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('[') {
        clean.push_str(before);
        match after.split_once(']') {
            Some((inside, after)) if is_hash(inside) => rest = after,
            _ => {
                clean.push('[');
                rest = after;
            }
        }
    }
    clean.push_str(rest);
    match clean.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && is_hash(hash) => name.to_owned(),
        _ => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_hashes_and_nothing_else() {
        assert_eq!(
            without_hashes("std[d730ca44a121e5f3]::f::<u8, [u8; 4]>"),
            "std::f::<u8, [u8; 4]>"
        );
        assert_eq!(without_hashes("app::run::h0123456789abcdef"), "app::run");
        assert_eq!(without_hashes("app::run::hello"), "app::run::hello");
        assert_eq!(
            without_hashes("wasi:http/handler@0.3.0#handle"),
            "wasi:http/handler@0.3.0#handle"
        );
    }

    #[test]
    fn frames_keep_their_places() {
        let text = "error while executing at wasm backtrace:\n    0:   0x1b1 - m.wasm!inner\n                    at /a/b.rs:4:9\n    1:   0x2 - m.wasm!outer";
        assert_eq!(
            frames(text),
            [
                vec!["inner".to_owned(), "    at /a/b.rs:4:9".to_owned()],
                vec!["outer".to_owned()]
            ]
        );
    }
}
