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

/// Demangled frames with file and line where the guest carries them, in wasmtime's rendering without its addresses.
fn stack(backtrace: &WasmBacktrace) -> Vec<String> {
    let text = backtrace.to_string();
    let mut lines = Vec::new();
    for line in text.lines().skip(1) {
        let line = line.trim();
        if let Some(place) = line.strip_prefix("at ") {
            lines.push(format!("    at {place}"));
        } else if let Some((_, frame)) = line.split_once(" - ") {
            // `module!function`: the module's name says nothing in a project of one.
            let name = frame.split_once('!').map_or(frame, |(_, name)| name);
            lines.push(name.to_owned());
        }
        if lines.len() >= FRAMES_MAX {
            break;
        }
    }
    lines
}
