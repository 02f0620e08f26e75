//! The keys of the project as a whole.

use super::function::KEEP_ALIVE;
use super::{Kind, TEXT, Table, Text, key};

pub static PROJECT: Table = Table {
    path: "project",
    doc: "The project as a whole.",
    keys: &[
        key("name", TEXT, "the folder's name", "Shown in reports."),
        key(
            "provider",
            Kind::Text(Text::Choice(&PROVIDERS)),
            "`\"aws-lambda\"`",
            "Whose limits, scaling, cold starts and prices apply.",
        )
        .also(&["profile", "platform", "cloud"]),
        key(
            "keep_alive",
            KEEP_ALIVE,
            "the provider's",
            "How long idle instances of functions stay warm that do not say so themselves.",
        )
        .also(&["idle_timeout", "ttl", "keepalive"]),
        key(
            "secrets",
            Kind::List(&TEXT),
            "`[]`",
            "Names in the functions' environment whose values never show, besides those in env files that look secret.",
        )
        .also(&["secret", "redact", "mask"]),
    ],
};

/// Ids of the provider profiles.
pub static PROVIDERS: [&str; 4] = ["aws-lambda", "gcp-functions", "azure-functions", "cloudflare-workers"];
