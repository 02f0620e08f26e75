//! `emu snapshot`: the whole state under a name, of a running emulator or of a folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, block_on, try_find};
use super::failure::{Failure, Outcome, USAGE};
use super::list::safe;
use super::output::{data, machine_time};
use super::{Global, json_line};
use crate::live::api;
use crate::live::snapshot::{SnapshotError, Snapshots};
use crate::project::{self, Target};
use crate::report::number::count;
use crate::report::style::day_and_time;
use crate::report::table::Table;

/// Save the whole state under a name, and go back to it
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "\
Messages, waiting events and key-value stores, in .emu/snapshots/. Works with a running emulator, and without one on the \
folder. Without a subcommand: all snapshots.

Examples:
  emu snapshot save before-migration
  emu snapshot load before-migration")]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// Save the state
    Save {
        /// Letters, digits, `.`, `_` and `-` [default: the time]
        name: Option<String>,

        /// Replace a snapshot of this name
        #[arg(long)]
        force: bool,
    },
    /// Put a snapshot in the place of the state
    Load { name: String },
    /// List all snapshots
    Ls {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Remove a snapshot
    Rm { name: String },
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let at = At::find(global)?;
    match &args.action {
        None => list(&at, false),
        Some(Action::Ls { json }) => list(&at, *json),
        Some(Action::Save { name, force }) => {
            let name = name.clone().unwrap_or_else(name_of_now);
            let saved = match &at {
                At::Emulator(client) => client.act(&name, "save", &api::SaveSnapshot { force: *force })?,
                At::Folder(root) => Snapshots::of(root).save_stopped(root, &name, *force, seed())?,
            };
            say("saved", &saved)
        }
        Some(Action::Load { name }) => {
            let loaded = match &at {
                At::Emulator(client) => client.act(name, "load", &json!({}))?,
                At::Folder(root) => Snapshots::of(root).load_stopped(root, name, seed())?,
            };
            say("loaded", &loaded)
        }
        Some(Action::Rm { name }) => {
            match &at {
                At::Emulator(client) => drop(client.act::<Value>(name, "delete", &json!({}))?),
                At::Folder(root) => Snapshots::of(root).remove(name)?,
            }
            data(&format!("removed {}\n", safe(name)))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Where the state is.
enum At {
    Emulator(Emulator),
    Folder(PathBuf),
}

struct Emulator(Client);

impl Emulator {
    fn act<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        action: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Failure> {
        block_on(self.0.post(&["_emu", "snapshots", name, action], body))
    }
}

impl At {
    fn find(global: &Global) -> Result<At, Failure> {
        if let Some(client) = try_find(global)? {
            // A run file that a kill has left names nobody.
            let there = global.control_url.is_some() || block_on(async { Ok(client.answers().await) })?;
            if there {
                return Ok(At::Emulator(Emulator(client)));
            }
        }
        Ok(At::Folder(match project::find(global.project.as_deref())? {
            Target::Folder(folder) => folder,
            Target::File(file) => file.parent().unwrap_or(Path::new(".")).to_owned(),
        }))
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Failure {
        let failure = Failure::new(error.to_string());
        let failure = match error {
            SnapshotError::BadName(_) => failure.code(USAGE),
            _ => failure,
        };
        match error.remedy() {
            Some(remedy) => failure.remedy(remedy),
            None => failure,
        }
    }
}

/// `20260131-120000`.
fn name_of_now() -> String {
    let digits: String = machine_time().chars().filter(char::is_ascii_digit).take(14).collect();
    let (day, time) = digits.split_at(8);
    format!("{day}-{time}")
}

/// Of the ids in a folder that has no state yet.
fn seed() -> u64 {
    getrandom::u64().unwrap_or(0)
}

fn say(what: &str, snapshot: &api::Snapshot) -> Outcome {
    data(&format!("{what} {}: {}\n", safe(&snapshot.name), holds(snapshot)))?;
    Ok(ExitCode::SUCCESS)
}

fn holds(snapshot: &api::Snapshot) -> String {
    let parts = [
        (snapshot.messages, "message", "messages"),
        (snapshot.events, "waiting event", "waiting events"),
        (snapshot.keys, "key", "keys"),
    ];
    parts
        .map(|(many, one, more)| crate::report::number::plural(many, one, more))
        .join(", ")
}

fn list(at: &At, json: bool) -> Outcome {
    let rows: Vec<api::Snapshot> = match at {
        At::Emulator(Emulator(client)) => block_on(client.get(&["_emu", "snapshots"], &[]))?,
        At::Folder(root) => Snapshots::of(root).list()?,
    };
    data(&if json { json_line(&rows)? } else { table(&rows) })?;
    Ok(ExitCode::SUCCESS)
}

fn table(rows: &[api::Snapshot]) -> String {
    if rows.is_empty() {
        return "no snapshots: `emu snapshot save` makes one\n".to_owned();
    }
    let mut table = Table::new(&["snapshot", "saved", ">size", ">messages", ">events", ">keys"]);
    for row in rows {
        let counts = [row.messages, row.events, row.keys].map(count);
        let [messages, events, keys] = match &row.error {
            None => counts,
            Some(_) => ["?", "?", "?"].map(str::to_owned),
        };
        let size = format!("{} KB", count(row.bytes.div_ceil(1024)));
        table.row([
            safe(&row.name),
            day_and_time(&row.saved_at),
            size,
            messages,
            events,
            keys,
        ]);
    }
    let mut text = table.render();
    for row in rows {
        if let Some(error) = &row.error {
            text.push_str(&format!("{} {}\n", safe(&row.name), safe(error)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_name_is_a_time_that_fits_a_file() {
        let name = name_of_now();
        assert_eq!(name.len(), 15);
        assert_eq!(&name[8..9], "-");
    }

    #[test]
    fn a_snapshot_that_cannot_be_read_says_so() {
        let row = |error: Option<&str>| api::Snapshot {
            name: "a".to_owned(),
            bytes: 5_000,
            saved_at: "2026-01-31T12:00:00.000Z".to_owned(),
            messages: 3,
            events: 0,
            keys: 1,
            error: error.map(str::to_owned),
        };
        assert_eq!(holds(&row(None)), "3 messages, 0 waiting events, 1 key");
        let text = table(&[row(Some("is no snapshot of emu: file is not a database"))]);
        assert!(
            text.contains("5 KB") && text.contains('?') && text.contains("is no snapshot"),
            "{text}"
        );
    }
}
