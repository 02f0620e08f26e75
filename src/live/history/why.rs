//! The causal chain of an invocation or a message: what led to it, and what came of it, with the rule of each hop.
//!
//! An event that is tried several times is one node, named after its first attempt. Upward there is one way (of a batch
//! that of its first message), downward a tree, bounded in depth and number.

use rusqlite::Connection;

use crate::live::api::{Hop, Step, Then, Why};
use crate::report::event::{self, Event};
use crate::report::number::{attempts, receives};

/// Hops shown at all.
const HOPS_MAX: usize = 300;
const DEPTH_MAX: usize = 40;
/// Of one invocation or message.
const SHOWN_MAX: usize = 50;
/// Events read of one id.
const ROWS_MAX: usize = 2_000;

/// Why an id has no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoWhy {
    Unknown,
    /// Several ids end so: some of them, each with what it is of.
    Several(Vec<String>),
}

/// Any unmistakable end of the id will do.
///
/// # Errors
/// Those of the database.
pub fn why(connection: &Connection, id: &str) -> rusqlite::Result<Result<Why, NoWhy>> {
    let asked = match whole_id(connection, id)? {
        Ok(asked) => asked,
        Err(unclear) => return Ok(Err(unclear)),
    };
    let mut tree = Tree {
        connection,
        asked: asked.clone(),
        left: HOPS_MAX,
        truncated: false,
    };
    let node = tree.node(&asked)?;
    let mut path = vec![node.clone()];
    while path.len() < DEPTH_MAX {
        match tree.parent(path.last().unwrap_or(&node))? {
            Some(parent) if !path.contains(&parent) => path.push(parent),
            _ => break,
        }
    }
    let mut below = tree.hop(&node, DEPTH_MAX)?;
    for pair in path.windows(2) {
        below = tree.above(&pair[1], &pair[0], below)?;
    }
    Ok(Ok(Why {
        asked,
        root: below,
        truncated: tree.truncated,
    }))
}

impl NoWhy {
    /// What to say of it: a message and its remedy.
    pub fn explain(&self, id: &str) -> (String, String) {
        match self {
            NoWhy::Unknown => (
                format!("the history knows no invocation or message {id}"),
                "give the id of the x-emu-invocation header, of `emu send`, or of `emu logs --json`; its last digits, \
                 three or more, do if no other id ends so"
                    .to_owned(),
            ),
            NoWhy::Several(ids) => (
                format!("more than one id ends with {id}"),
                format!("give more of it: {}", ids.join(", ")),
            ),
        }
    }
}

/// The id that ends like this, when there is exactly one.
pub(super) fn whole_id(connection: &Connection, end: &str) -> rusqlite::Result<Result<String, NoWhy>> {
    let known = connection
        .prepare_cached("SELECT 1 FROM event WHERE id = ?1 LIMIT 1")?
        .exists([end])?;
    if known {
        return Ok(Ok(end.to_owned()));
    }
    if end.len() < 3 || !end.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return Ok(Err(NoWhy::Unknown));
    }
    let mut find = connection.prepare_cached(
        "SELECT id, max(kind = 'message') FROM event WHERE id LIKE '%' || ?1 GROUP BY id ORDER BY max(seq) DESC LIMIT 4",
    )?;
    let found = find.query_map([end], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found: Vec<(String, bool)> = found.collect::<rusqlite::Result<_>>()?;
    let shown = |(id, is_message): &(String, bool)| match is_message {
        true => format!("{id} (a message)"),
        false => format!("{id} (an invocation)"),
    };
    Ok(match found.as_slice() {
        [] => Err(NoWhy::Unknown),
        [(id, _)] => Ok(id.clone()),
        several => Err(NoWhy::Several(several.iter().map(shown).collect())),
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    /// An invocation, or by the id of its first attempt an event with all its attempts.
    Invocation(String),
    Message(String),
}

impl Node {
    fn id(&self) -> &str {
        match self {
            Node::Invocation(id) | Node::Message(id) => id,
        }
    }
}

/// An event with its place in the history.
struct Row {
    seq: i64,
    time: String,
    event: Event,
}

struct Tree<'a> {
    connection: &'a Connection,
    asked: String,
    left: usize,
    truncated: bool,
}

impl Tree<'_> {
    fn rows(&self, column: &str, id: &str) -> rusqlite::Result<Vec<Row>> {
        let sql = format!(
            "SELECT seq, time, data FROM event WHERE {column} = ?1 AND kind <> 'log' ORDER BY seq LIMIT {ROWS_MAX}"
        );
        let mut find = self.connection.prepare_cached(&sql)?;
        let rows = find.query_map([id], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)))?;
        // What only another version of emu knows is left out.
        let known = rows.map(|row| {
            let (seq, time, data) = row?;
            let event = serde_json::from_str(&data).ok();
            Ok(event.map(|event| Row { seq, time, event }))
        });
        known.filter_map(Result::transpose).collect()
    }

    fn invocation(&self, id: &str) -> rusqlite::Result<Option<Row>> {
        let rows = self.rows("id", id)?;
        Ok(rows.into_iter().find(|row| matches!(row.event, Event::Invocation(_))))
    }

    fn node(&self, id: &str) -> rusqlite::Result<Node> {
        let rows = self.rows("id", id)?;
        for row in &rows {
            match &row.event {
                Event::Message(_) => return Ok(Node::Message(id.to_owned())),
                Event::Invocation(invocation) => {
                    let first = invocation.first_attempt.clone();
                    return Ok(Node::Invocation(first.unwrap_or_else(|| id.to_owned())));
                }
                _ => {}
            }
        }
        Ok(Node::Invocation(id.to_owned()))
    }

    fn parent(&self, node: &Node) -> rusqlite::Result<Option<Node>> {
        match node {
            Node::Invocation(id) => {
                // Of a first attempt that a kill cut off only later ones are known.
                let own = match self.invocation(id)? {
                    None => self.rows("first_attempt", id)?.into_iter().next(),
                    some => some,
                };
                let Some(Event::Invocation(invocation)) = own.map(|row| row.event) else {
                    return Ok(None);
                };
                if let Some(message) = invocation.message {
                    return Ok(Some(Node::Message(message)));
                }
                if invocation.trigger == "queue" {
                    return Ok(self.received(id)?.into_iter().next().map(Node::Message));
                }
                invocation.cause.map(|cause| self.node(&cause)).transpose()
            }
            Node::Message(id) => {
                let rows = self.rows("id", id)?;
                let sent = rows.into_iter().find_map(|row| match row.event {
                    Event::Message(message) if message.change == "sent" || message.change == "fanned_out" => {
                        Some(message)
                    }
                    _ => None,
                });
                let Some(sent) = sent else { return Ok(None) };
                self.sender(&sent)
            }
        }
    }

    /// What a message that was sent came from.
    fn sender(&self, sent: &event::Message) -> rusqlite::Result<Option<Node>> {
        let cause = sent.cause.as_deref();
        let Some(of) = &sent.of else {
            return cause.map(|cause| self.node(cause)).transpose();
        };
        // A copy for a subscription, or for the dead-letter queue of one that failed.
        let failed = match cause {
            None => None,
            Some(cause) => self.invocation(cause)?.filter(
                |row| matches!(&row.event, Event::Invocation(invocation) if invocation.message.as_ref() == Some(of)),
            ),
        };
        match (failed, cause) {
            (Some(_), Some(cause)) => self.node(cause).map(Some),
            _ => Ok(Some(Node::Message(of.clone()))),
        }
    }

    /// The messages that a batch brought.
    fn received(&self, batch: &str) -> rusqlite::Result<Vec<String>> {
        let rows = self.rows("cause", batch)?;
        let ids = rows.into_iter().filter_map(|row| match row.event {
            Event::Message(message) if message.change == "received" => Some(message.id),
            _ => None,
        });
        Ok(ids.collect())
    }

    /// A node on the way up: of what came of it only the way down is shown, the rest counted.
    fn above(&mut self, node: &Node, on_the_way: &Node, below: Hop) -> rusqlite::Result<Hop> {
        let mut hop = self.head(node)?;
        let mut below = Some(below);
        for (row, child) in self.children(node)? {
            match child {
                None => hop.then.push(Then::Step(step(&row))),
                Some(child) if child == *on_the_way => {
                    if let Some(mut below) = below.take() {
                        below.how = how(&row, node).or(below.how);
                        hop.then.push(Then::Hop(below));
                    }
                }
                // Which attempts there were is part of the way.
                Some(child) if attempt_of(&row, node).is_some() => {
                    let mut attempt = self.head(&child)?;
                    attempt.how = how(&row, node);
                    let mut came = self.children(&child)?.into_iter();
                    let on = came.find(|(_, to)| to.as_ref() == Some(on_the_way));
                    if let Some((row, _)) = on
                        && let Some(mut below) = below.take()
                    {
                        below.how = how(&row, &child).or(below.how);
                        attempt.then.push(Then::Hop(below));
                    }
                    hop.then.push(Then::Hop(attempt));
                }
                Some(_) => hop.more += 1,
            }
        }
        hop.then.extend(below.map(Then::Hop));
        Ok(hop)
    }

    /// A node with all that came of it.
    fn hop(&mut self, node: &Node, depth: usize) -> rusqlite::Result<Hop> {
        let mut hop = self.head(node)?;
        if depth == 0 {
            self.truncated = true;
            return Ok(hop);
        }
        let mut shown = 0;
        for (row, child) in self.children(node)? {
            let Some(child) = child else {
                hop.then.push(Then::Step(step(&row)));
                continue;
            };
            if self.left == 0 || shown >= SHOWN_MAX {
                hop.more += 1;
                self.truncated = true;
                continue;
            }
            self.left -= 1;
            shown += 1;
            let mut below = self.hop(&child, depth - 1)?;
            below.how = how(&row, node).or(below.how);
            hop.then.push(Then::Hop(below));
        }
        Ok(hop)
    }

    fn head(&self, node: &Node) -> rusqlite::Result<Hop> {
        let id = node.id().to_owned();
        let asked = id == self.asked;
        let hop = Hop {
            kind: match node {
                Node::Invocation(_) => "invocation".to_owned(),
                Node::Message(_) => "message".to_owned(),
            },
            id,
            asked,
            ..Hop::default()
        };
        match node {
            Node::Message(id) => {
                let rows = self.rows("id", id)?;
                let first = rows.into_iter().next();
                Ok(Hop {
                    time: first.as_ref().map(|row| row.time.clone()),
                    what: first.as_ref().map_or_else(String::new, |row| place(&row.event)),
                    ..hop
                })
            }
            Node::Invocation(id) => match self.invocation(id)? {
                Some(Row {
                    time,
                    event: Event::Invocation(invocation),
                    ..
                }) => Ok(Hop {
                    time: Some(time),
                    what: format!("{} {}", invocation.function, invocation.summary),
                    function: Some(invocation.function),
                    outcome: Some(invocation.outcome),
                    status: invocation.status,
                    error: invocation.error.map(|error| error.message),
                    ..hop
                }),
                _ => Ok(Hop {
                    what: "still running, or not in the history".to_owned(),
                    ..hop
                }),
            },
        }
    }

    /// What is told of a node, oldest first, and for each what came of it.
    fn children(&self, node: &Node) -> rusqlite::Result<Vec<(Row, Option<Node>)>> {
        match node {
            Node::Message(id) => self.children_of_message(id),
            Node::Invocation(id) => self.children_of_invocation(id),
        }
    }

    fn children_of_message(&self, id: &str) -> rusqlite::Result<Vec<(Row, Option<Node>)>> {
        let mut all = Vec::new();
        for row in self.rows("id", id)? {
            let Event::Message(message) = &row.event else { continue };
            let child = message.by.clone().map(Node::Invocation);
            // Where it is, is said by the node itself.
            if message.change != "sent" {
                all.push((row, child));
            }
        }
        for row in self.rows("via", id)? {
            let child = match &row.event {
                Event::Invocation(invocation) => {
                    let first = invocation.first_attempt.as_ref().unwrap_or(&invocation.id);
                    (*first == invocation.id).then(|| Node::Invocation(first.clone()))
                }
                Event::Message(copy) if self.sender(copy)? == Some(Node::Message(id.to_owned())) => {
                    Some(Node::Message(copy.id.clone()))
                }
                _ => None,
            };
            if child.is_some() {
                all.push((row, child));
            }
        }
        all.sort_by_key(|(row, _)| row.seq);
        Ok(all)
    }

    fn children_of_invocation(&self, id: &str) -> rusqlite::Result<Vec<(Row, Option<Node>)>> {
        let mut all = Vec::new();
        for row in self.rows("cause", id)? {
            let child = match &row.event {
                // Attempts stand below their event, and what a topic's message led to below that message.
                Event::Invocation(invocation) => {
                    let own = invocation
                        .first_attempt
                        .as_ref()
                        .is_none_or(|first| *first == invocation.id);
                    (own && invocation.message.is_none() && invocation.trigger != "queue")
                        .then(|| Node::Invocation(invocation.id.clone()))
                }
                Event::Message(message) if message.change == "sent" => {
                    (self.sender(message)? == Some(self.node(id)?)).then(|| Node::Message(message.id.clone()))
                }
                Event::Message(message) if message.change == "fanned_out" => Some(Node::Message(message.id.clone())),
                _ => None,
            };
            if child.is_some() {
                all.push((row, child));
            }
        }
        for row in self.rows("id", id)? {
            if matches!(
                row.event,
                Event::Retry(_) | Event::GaveUp(_) | Event::Throttle(_) | Event::Fault(_)
            ) {
                all.push((row, None));
            }
        }
        for row in self.rows("first_attempt", id)? {
            if let Event::Invocation(invocation) = &row.event
                && invocation.id != id
            {
                let child = Node::Invocation(invocation.id.clone());
                all.push((row, Some(child)));
            }
        }
        all.sort_by_key(|(row, _)| row.seq);
        Ok(all)
    }
}

/// The number of a later attempt at the node's own event.
fn attempt_of(row: &Row, node: &Node) -> Option<u32> {
    match &row.event {
        Event::Invocation(invocation) => {
            let first = invocation.first_attempt.as_deref()?;
            (first == node.id() && invocation.id != first).then_some(invocation.attempt)
        }
        _ => None,
    }
}

/// `queue orders`.
fn place(event: &Event) -> String {
    match event {
        Event::Message(message) => match (&message.queue, &message.topic) {
            (Some(queue), _) => format!("queue {queue}"),
            (None, Some(topic)) => format!("topic {topic}"),
            (None, None) => String::new(),
        },
        _ => String::new(),
    }
}

/// How a node came from the one above it.
fn how(row: &Row, above: &Node) -> Option<String> {
    match &row.event {
        Event::Message(message) => match message.change.as_str() {
            "sent" => Some(match &message.of {
                Some(_) => format!("copied to {}", place(&row.event)),
                None => format!("sent to {}", place(&row.event)),
            }),
            "fanned_out" => Some(format!("published to {}", place(&row.event))),
            "received" => Some(format!("receive {}", message.receive_count.unwrap_or(1))),
            _ => None,
        },
        Event::Invocation(invocation) => Some(match attempt_of(row, above) {
            Some(attempt) => format!("attempt {attempt}"),
            None if invocation.trigger == "topic" => "delivered to its subscription".to_owned(),
            None if invocation.trigger == "async" => "invoked asynchronously".to_owned(),
            None => "called".to_owned(),
        }),
        _ => None,
    }
}

/// What happened, and by which rule.
fn step(row: &Row) -> Step {
    let (what, rule) = match &row.event {
        Event::Message(message) => of_message(message),
        Event::Retry(retry) => (
            format!("attempt {} of {} at {}", retry.attempt, retry.attempts_max, retry.at),
            Some(format!(
                "an event that fails is tried {} times (max_retries, or the provider's)",
                retry.attempts_max
            )),
        ),
        Event::GaveUp(gave_up) => match &gave_up.to {
            Some(to) => (
                format!("gave up after {}, its event went to {to}", attempts(gave_up.attempts)),
                Some(format!("on_failure of function {}", gave_up.function)),
            ),
            None => (
                format!("gave up after {}, its event is dropped", attempts(gave_up.attempts)),
                Some(format!("function {} has no on_failure", gave_up.function)),
            ),
        },
        Event::Fault(fault) => (
            format!("fault on purpose: {}", fault.detail),
            Some(format!("a fault {} with probability {}", fault.kind, fault.probability)),
        ),
        Event::Throttle(throttle) => ("throttled".to_owned(), Some(throttle.reason.clone())),
        _ => (String::new(), None),
    };
    Step {
        time: row.time.clone(),
        what,
        rule,
    }
}

fn of_message(message: &event::Message) -> (String, Option<String>) {
    let queue = message.queue.as_deref().unwrap_or_default();
    let detail = message.detail.clone().unwrap_or_default();
    match message.change.as_str() {
        "dead_lettered" => (
            format!("moved to queue {}", message.to.as_deref().unwrap_or_default()),
            message.receive_count.map(|count| {
                let receives = receives(count);
                format!("queue {queue} gives a message {receives} (max_receives), then it goes to dead_letter")
            }),
        ),
        "returned" => (
            detail,
            Some(format!("it was not acknowledged; queue {queue} hides it until then")),
        ),
        "expired" => (
            "expired".to_owned(),
            Some(match message.receive_count {
                Some(count) => format!(
                    "queue {queue} gives a message {} (max_receives), and has no dead_letter",
                    receives(count)
                ),
                None => format!("retention of queue {queue}"),
            }),
        ),
        "received" => (
            format!("{detail} by a client"),
            Some("taken over the control API".to_owned()),
        ),
        "deduplicated" => (
            detail,
            Some("same deduplication key within the provider's window".to_owned()),
        ),
        "fanned_out" => (
            format!("handed {detail}"),
            Some("those whose filter it passes".to_owned()),
        ),
        "redriven" => (
            format!("moved to queue {}", message.to.as_deref().unwrap_or_default()),
            Some("somebody redrove the dead-letter queue".to_owned()),
        ),
        "refused" => ("refused".to_owned(), Some(format!("queue {queue} holds max_messages"))),
        "deleted" => ("deleted: handled".to_owned(), None),
        other => (format!("{} {detail}", other.replace('_', " ")).trim().to_owned(), None),
    }
}
