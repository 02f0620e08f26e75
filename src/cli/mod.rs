//! One file a command: clap types and a short `run`.
