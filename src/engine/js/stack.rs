//! Errors of the guest: stacks of QuickJS, mapped into the user's files, without the frames of the loader and the prelude.

use serde::Deserialize;

use super::loader::{FACADE, Graph};
use crate::engine::{Failure, FailureKind, Place};

/// Stack lines kept of one error.
const FRAMES_MAX: usize = 50;

/// An error as the prelude describes it.
#[derive(Debug, Deserialize)]
pub struct Thrown {
    name: String,
    message: String,
    #[serde(default)]
    stack: String,
    cause: Option<Box<Thrown>>,
}

/// One frame of a stack: `    at name (file:line:column)`, or without a name, or without a place for native functions.
#[derive(Debug, PartialEq, Eq)]
struct Frame<'a> {
    name: &'a str,
    file: &'a str,
    place: Option<(u32, u32)>,
}

fn parse_frame(line: &str) -> Option<Frame<'_>> {
    let rest = line.trim().strip_prefix("at ")?;
    let (name, place) = match rest.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')) {
        Some((name, place)) => (name.trim(), place),
        None => ("", rest),
    };
    let mut parts = place.rsplitn(3, ':');
    let column = parts.next().and_then(|column| column.parse().ok());
    let line = parts.next().and_then(|line| line.parse().ok());
    match (column, line, parts.next()) {
        (Some(column), Some(line), Some(file)) => Some(Frame {
            name,
            file,
            place: Some((line, column)),
        }),
        _ => Some(Frame {
            name,
            file: place,
            place: None,
        }),
    }
}

fn is_ours(frame: &Frame<'_>) -> bool {
    let loaders = ["emu:", "componentize-qjs:"]
        .iter()
        .any(|start| frame.file.starts_with(start));
    loaders || frame.file.contains(FACADE)
}

/// The frames of a stack that are the user's (and native ones between them), ready to print.
fn frames(graph: &Graph, stack: &str) -> Vec<String> {
    let mut shown = Vec::new();
    for frame in stack.lines().filter_map(parse_frame) {
        if is_ours(&frame) {
            continue;
        }
        let place = match frame.place {
            Some((line, column)) => {
                let (line, column) = graph.place(frame.file, line, column).unwrap_or((line, column));
                format!("{}:{line}:{column}", frame.file)
            }
            None => frame.file.to_owned(),
        };
        shown.push(match frame.name {
            "" | "<anonymous>" | "<eval>" => format!("at {place}"),
            name => format!("at {name} ({place})"),
        });
    }
    // Where JSON.parse stopped within its text is in the message.
    if shown.first().is_some_and(|line| line.starts_with("at <input>:"))
        && shown.get(1).is_some_and(|line| line.starts_with("at parse (native)"))
    {
        shown.remove(0);
    }
    // Native frames at the end were called by the prelude.
    while shown
        .last()
        .is_some_and(|line| line.ends_with("(native)") || line == "at native")
    {
        shown.pop();
    }
    shown.truncate(FRAMES_MAX);
    shown
}

/// The topmost frame that lies in a file of the user.
fn first_place(graph: &Graph, stack: &str) -> Option<Place> {
    let frames = stack.lines().filter_map(parse_frame);
    let mut users = frames.filter(|frame| !is_ours(frame));
    users.find_map(|frame| {
        let (line, column) = frame.place?;
        let (line, column) = graph.place(frame.file, line, column)?;
        Some(Place {
            file: frame.file.to_owned(),
            line,
            column,
        })
    })
}

impl Thrown {
    /// From the JSON of the prelude; what is none is shown as it is.
    pub fn parse(json: &str) -> Thrown {
        serde_json::from_str(json).unwrap_or_else(|_| Thrown {
            name: "Error".to_owned(),
            message: json.to_owned(),
            stack: String::new(),
            cause: None,
        })
    }

    /// `TypeError: x is not a function`.
    pub fn headline(&self) -> String {
        match (self.name.as_str(), self.message.as_str()) {
            ("Error", thrown) if thrown.starts_with("thrown: ") => thrown.to_owned(),
            (name, "") => name.to_owned(),
            (name, message) => format!("{name}: {message}"),
        }
    }

    pub fn place(&self, graph: &Graph) -> Option<Place> {
        first_place(graph, &self.stack)
    }

    /// The stack's lines, and those of the causes below their headlines.
    pub fn lines(&self, graph: &Graph) -> Vec<String> {
        let mut lines = frames(graph, &self.stack);
        let mut cause = self.cause.as_deref();
        while let Some(thrown) = cause {
            lines.push(format!("caused by: {}", thrown.headline()));
            lines.extend(frames(graph, &thrown.stack));
            cause = thrown.cause.as_deref();
        }
        lines
    }

    pub fn failure(&self, graph: &Graph, kind: FailureKind) -> Failure {
        Failure {
            kind,
            message: self.headline(),
            stack: self.lines(graph),
        }
    }
}
