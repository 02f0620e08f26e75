//! The keys of the broker that several emulators share.

use super::{Kind, Table, Text, key};

pub static BUS: Table = Table {
    path: "bus",
    doc: "A NATS server with JetStream that keeps messages, events and key-value instead of this machine, for all emulators that \
          name it. `--bus` wins, `--ephemeral` and `--bus none` leave it out; `emu exec` and `emu test` never use it.",
    keys: &[key(
        "url",
        Kind::Text(Text::Plain),
        "",
        "`nats://HOST:4222`; several of a cluster with commas.",
    )
    .also(&["nats", "server", "servers", "broker"])],
};
