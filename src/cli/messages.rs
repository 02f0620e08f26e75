//! `emu send`, `emu publish`, `emu fire`: make something happen in a running emulator.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::Value;

use super::client::{block_on, find};
use super::failure::{Failure, Outcome};
use super::output::data;
use super::{Global, json_line};
use crate::live::api;

const SEND_EXAMPLES: &str = "\
Examples:
  emu send orders '{\"id\": 7}'             JSON
  emu send orders 'just text'             a string
  emu send orders --delay 5s - < order.json
  emu send orders.fifo '{}' --group a --deduplication 7";

/// Send a message to a queue
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = SEND_EXAMPLES)]
pub struct SendArgs {
    /// The queue
    queue: String,

    #[command(flatten)]
    message: MessageArgs,

    /// Keep it invisible for this long, e.g. 5s
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    delay: Option<String>,

    /// FIFO queues: the group in which order holds
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,

    /// FIFO queues: messages with the same id are taken once
    #[arg(long, value_name = "ID")]
    deduplication: Option<String>,
}

/// Publish a message to a topic
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Example:\n  emu publish signup '{\"plan\": \"pro\"}' --attribute source=web")]
pub struct PublishArgs {
    /// The topic
    topic: String,

    #[command(flatten)]
    message: MessageArgs,
}

#[derive(ClapArgs, Clone, Debug)]
struct MessageArgs {
    /// The body: JSON if it is JSON, else text; `-` reads it from stdin
    #[arg(value_name = "JSON|TEXT|-", allow_hyphen_values = true)]
    body: String,

    /// An attribute beside the body, which filters see; may be repeated
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, Value)>,

    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Run a cron now
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Example:\n  emu fire report\n\n`emu crons` lists the names.")]
pub struct FireArgs {
    /// The cron: its function's name, then NAME#2 and so on
    cron: String,

    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

fn attribute(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value_of(value)))
}

/// JSON where it is JSON, else the text itself.
pub fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

impl MessageArgs {
    fn message(&self) -> Result<api::SendMessage, Failure> {
        let body = if self.body == "-" { stdin()? } else { self.body.clone() };
        Ok(api::SendMessage {
            body: value_of(&body),
            attributes: self.attributes.iter().cloned().collect::<BTreeMap<_, _>>(),
            ..api::SendMessage::default()
        })
    }
}

/// All of stdin, as text.
///
/// # Errors
/// When it cannot be read or is no text.
pub fn stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(format!("stdin cannot be read: {error}")))?;
    Ok(text)
}

pub fn send(args: &SendArgs, global: &Global) -> Outcome {
    let message = api::SendMessage {
        delay: args.delay.clone(),
        group: args.group.clone(),
        deduplication: args.deduplication.clone(),
        ..args.message.message()?
    };
    let client = find(global)?;
    let sent: api::Sent = block_on(client.post(&["_emu", "queues", &args.queue, "messages"], &message))?;
    told(&sent.id, &sent, args.message.json)
}

pub fn publish(args: &PublishArgs, global: &Global) -> Outcome {
    let message = args.message.message()?;
    let client = find(global)?;
    let sent: api::Sent = block_on(client.post(&["_emu", "topics", &args.topic, "messages"], &message))?;
    told(&sent.id, &sent, args.message.json)
}

pub fn fire(args: &FireArgs, global: &Global) -> Outcome {
    let client = find(global)?;
    let fired: api::Fired = block_on(client.post(&["_emu", "crons", &args.cron, "fire"], &serde_json::json!({})))?;
    told(&fired.invocation, &fired, args.json)
}

/// The id on a line of its own, or everything as JSON.
fn told(id: &str, answer: &impl serde::Serialize, json: bool) -> Outcome {
    if json {
        data(&json_line(answer)?)?;
    } else {
        data(&format!("{id}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_are_json_where_they_can_be() {
        assert_eq!(value_of(r#"{"id": 7}"#), json!({"id": 7}));
        assert_eq!(value_of("7"), json!(7));
        assert_eq!(value_of("just text"), json!("just text"));
        assert_eq!(value_of(r#""quoted""#), json!("quoted"));
        assert_eq!(attribute("plan=pro"), Ok(("plan".to_owned(), json!("pro"))));
        assert!(attribute("plan").is_err());
    }
}
