//! `emu kv`: the key-value stores of a running emulator.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::Value;

use super::client::{block_on, find};
use super::failure::{Failure, Outcome};
use super::list::safe;
use super::output::data;
use super::{Global, json_line};
use crate::live::api;
use crate::report::number::{count, long};
use crate::report::table::Table;

/// Look into key-value stores, write and delete values
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Without a subcommand: all stores.")]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// List all stores, or the keys of one
    Ls {
        store: Option<String>,

        /// Only keys that begin with this
        #[arg(long, value_name = "TEXT", requires = "store")]
        prefix: Option<String>,

        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Print a value as it is
    Get {
        store: String,
        key: String,

        /// Print value, metadata and expiry as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a value
    #[command(
        after_help = "Examples:\n  emu kv put carts user:7 '{\"items\": 3}' --ttl 10m\n  emu kv put carts logo - < logo.png"
    )]
    Put {
        store: String,
        key: String,

        /// The value; `-` reads it from stdin
        #[arg(value_name = "VALUE|-", allow_hyphen_values = true)]
        value: String,

        /// It expires after this long, e.g. 10m [default: the store's ttl]
        #[arg(long, value_name = "TIME", value_parser = super::time)]
        ttl: Option<String>,

        /// What a list shows beside the key
        #[arg(long, value_name = "JSON")]
        metadata: Option<String>,
    },
    /// Delete a value
    Rm { store: String, key: String },
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    match &args.action {
        None => stores(global, false),
        Some(Action::Ls { store: None, json, .. }) => stores(global, *json),
        Some(Action::Ls {
            store: Some(store),
            prefix,
            json,
        }) => keys(global, store, prefix.as_deref().unwrap_or_default(), *json),
        Some(Action::Get { store, key, json }) => get(global, store, key, *json),
        Some(Action::Put {
            store,
            key,
            value,
            ttl,
            metadata,
        }) => {
            let metadata = metadata.as_deref().map(super::messages::value_of);
            let (value, base64) = match value.as_str() {
                "-" => stdin()?,
                text => (Some(text.to_owned()), None),
            };
            let put = api::KvPut {
                key: key.clone(),
                value,
                base64,
                ttl: ttl.clone(),
                metadata,
            };
            let done: api::KvDone = block_on(find(global)?.post(&["_emu", "kv", store, "put"], &put))?;
            data(&format!("put {}\n", safe(&done.key)))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Action::Rm { store, key }) => {
            let done = api::KvDone { key: key.clone() };
            let done: api::KvDone = block_on(find(global)?.post(&["_emu", "kv", store, "delete"], &done))?;
            data(&format!("deleted {}\n", safe(&done.key)))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// All of stdin: as text where it is text, else in base64.
fn stdin() -> Result<(Option<String>, Option<String>), Failure> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes);
    read.map_err(|error| Failure::new(format!("stdin cannot be read: {error}")))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(BASE64.encode(error.as_bytes()))),
    })
}

fn stores(global: &Global, json: bool) -> Outcome {
    let rows: Vec<api::KvStore> = block_on(find(global)?.get(&["_emu", "kv"], &[]))?;
    data(&if json { json_line(&rows)? } else { stores_table(&rows) })?;
    Ok(ExitCode::SUCCESS)
}

fn stores_table(rows: &[api::KvStore]) -> String {
    if rows.is_empty() {
        return "no key-value stores: emu.toml declares one by `[kv.NAME]`\n".to_owned();
    }
    let mut table = Table::new(&["store", ">keys", ">ttl"]);
    for row in rows {
        let ttl = row.ttl_ms.map_or_else(|| "-".to_owned(), long);
        table.row([safe(&row.name), count(row.keys), ttl]);
    }
    table.render()
}

fn keys(global: &Global, store: &str, prefix: &str, json: bool) -> Outcome {
    let client = find(global)?;
    let all: Vec<api::KvKey> = block_on(async {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let query = [("prefix", prefix), ("cursor", cursor.as_str())];
            let page: api::KvKeys = client.get(&["_emu", "kv", store], &query).await?;
            all.extend(page.keys);
            match page.cursor {
                Some(next) => cursor = next,
                None => return Ok(all),
            }
        }
    })?;
    data(&if json { json_line(&all)? } else { keys_table(&all) })?;
    Ok(ExitCode::SUCCESS)
}

fn keys_table(rows: &[api::KvKey]) -> String {
    if rows.is_empty() {
        return "no keys\n".to_owned();
    }
    let mut table = Table::new(&["key", "expires", "metadata"]);
    for row in rows {
        let metadata = row.metadata.as_ref().map(Value::to_string);
        table.row([
            safe(&row.name),
            row.expires_at.as_deref().map_or_else(|| "-".to_owned(), safe),
            metadata.as_deref().map_or_else(|| "-".to_owned(), safe),
        ]);
    }
    table.render()
}

/// Exactly the value's bytes, so that it can be piped; a terminal gets a line end as well.
fn get(global: &Global, store: &str, key: &str, json: bool) -> Outcome {
    let found: api::KvValue = block_on(find(global)?.get(&["_emu", "kv", store, "value"], &[("key", key)]))?;
    if json {
        data(&json_line(&found)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut bytes = match (found.value, found.base64) {
        (Some(text), _) => text.into_bytes(),
        (None, base64) => BASE64
            .decode(base64.unwrap_or_default())
            .map_err(|error| Failure::new(format!("the value is not base64: {error}")))?,
    };
    let mut out = std::io::stdout();
    if out.is_terminal() && !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    out.write_all(&bytes)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
