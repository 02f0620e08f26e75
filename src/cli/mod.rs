//! One file a command: clap types and a short `run`.

pub mod head;
