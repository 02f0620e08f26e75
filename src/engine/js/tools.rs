//! `tool` of the prelude: work of Rust that needs no waiting, by name. Pure: bundles have it too (`scripts/bundle-shell`).

use serde::Deserialize;

use super::pattern;
use super::zip::{Format, Step, Zips};

/// Of one byte that deflate takes in, or gives out when it unpacks: nanoseconds, as fuel counts.
const PACK_FUEL: usize = 40;
const UNPACK_FUEL: usize = 5;

/// Text and bytes that a tool answers with, or `Name: message` for the error of that name.
type Answer = Result<(String, Vec<u8>), String>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opening {
    format: Format,
    unpack: bool,
}

#[derive(Deserialize)]
struct Piece {
    handle: u32,
    end: bool,
}

/// Adds to `charged` what it costs in fuel.
///
/// # Errors
/// `Name: message`.
pub fn run(zips: &mut Zips, charged: &mut u64, op: &str, text: &str, bytes: &[u8]) -> Answer {
    match op {
        "pattern" => Ok((pattern::compile(text)?, Vec::new())),
        "pattern-address" => Ok((pattern::address(text)?, Vec::new())),
        "zip-open" => {
            let Opening { format, unpack } = told(text)?;
            let handle = zips.open(format, unpack);
            let handle = handle.map_err(|message| format!("QuotaExceededError: {message}"))?;
            Ok((handle.to_string(), Vec::new()))
        }
        "zip" => {
            let Piece { handle, end } = told(text)?;
            let Step { output, used, over } = zips.step(handle, bytes, end)?;
            *charged += (used * PACK_FUEL + output.len() * UNPACK_FUEL) as u64;
            Ok((format!("{{\"used\":{used},\"over\":{over}}}"), output))
        }
        "zip-close" => {
            let Piece { handle, .. } = told(text)?;
            zips.close(handle);
            Ok((String::new(), Vec::new()))
        }
        _ => Err(format!("NotSupportedError: there is no tool {op}")),
    }
}

fn told<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("TypeError: {error}"))
}
