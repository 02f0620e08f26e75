//! What `emu probe` found, in words and tables.

use serde::Serialize;

use super::number::plural;
use super::sanitize;
use super::style::{Style, Tone};
use super::table::{Table, width};

/// Longer texts are cut in the tables.
const CELL_WIDTH_MAX: usize = 36;
/// Of what is said in sentences.
const LINE_WIDTH_MAX: usize = 100;

/// One function, probed.
#[derive(Clone, Debug, Serialize)]
pub struct Probed {
    pub function: String,
    /// Sandboxes live on after an invocation, so that there is something to compare: not so with commands.
    #[serde(rename = "warm")]
    pub is_kept: bool,
    #[serde(skip)]
    pub is_instance: bool,
    /// The events are samples, not the user's.
    pub sampled: bool,
    pub events: Vec<ProbedEvent>,
    #[serde(rename = "differences")]
    pub findings: Vec<Finding>,
    /// The function may call hosts, and was not let.
    pub outbound_refused: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct ProbedEvent {
    pub name: String,
    /// Of the first fresh delivery: `200`, `done`, or an error.
    pub outcome: String,
    #[serde(rename = "failed")]
    pub is_failure: bool,
    /// It was delivered a second time as well.
    #[serde(rename = "repeated")]
    pub is_repeated: bool,
    /// Differences that are not listed.
    pub more: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A warm answer is not the fresh one.
    Kept,
    /// A warm answer holds a time or a random value of an earlier one.
    Stale,
    /// A second delivery did something once more.
    Repeated,
}

#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub kind: Kind,
    pub event: String,
    /// `body.count`, `header etag`, `log line 2`, `kv carts total`.
    pub place: String,
    /// Fresh, or after one delivery; null: that place is not there.
    pub expected: Option<String>,
    /// Warm, or after the second delivery.
    pub found: Option<String>,
    pub when: String,
}

impl Probed {
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Lines for people.
    pub fn render(&self, style: &Style) -> String {
        let mut text = self.events(style);
        for kind in [Kind::Kept, Kind::Stale, Kind::Repeated] {
            text.push_str(&self.findings_of(kind, style));
        }
        for event in self.events.iter().filter(|event| event.more > 0) {
            let more = plural(event.more as u64, "difference", "differences");
            text.push_str(&format!("\n{}: {more} more\n", line(&event.name)));
        }
        for note in self.notes() {
            text.push_str(&format!("\n{}", wrapped(&note)));
        }
        text.push_str(&format!("\n{}\n", self.verdict(style)));
        text
    }

    fn events(&self, style: &Style) -> String {
        let mut table = Table::new(&["event", "answer", "runs"]);
        for event in &self.events {
            let mut runs = vec!["fresh"];
            runs.extend(self.is_kept.then_some("warm"));
            runs.extend(event.is_repeated.then_some("twice"));
            table.row([line(&event.name), short(&event.outcome), runs.join(", ")]);
        }
        let mut out = String::new();
        for (at, row) in table.render().lines().enumerate() {
            let failed = at > 0 && self.events.get(at - 1).is_some_and(|event| event.is_failure);
            let tone = match (at, failed) {
                (0, _) => Tone::Dim,
                (_, true) => Tone::Warn,
                (_, false) => Tone::Plain,
            };
            out.push_str(&style.paint(tone, row));
            out.push('\n');
        }
        out
    }

    fn findings_of(&self, kind: Kind, style: &Style) -> String {
        let found: Vec<&Finding> = self.findings.iter().filter(|finding| finding.kind == kind).collect();
        if found.is_empty() {
            return String::new();
        }
        let (before, after) = match kind {
            Kind::Kept => ("fresh", "warm"),
            Kind::Stale => ("fresh", "warm, as before"),
            Kind::Repeated => ("once", "twice"),
        };
        let mut table = Table::new(&["event", "where", before, after, "when"]);
        for finding in found {
            let cell = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), short);
            table.row([
                line(&finding.event),
                line(&finding.place),
                cell(&finding.expected),
                cell(&finding.found),
                finding.when.clone(),
            ]);
        }
        let (title, remedy) = self.explain(kind);
        format!(
            "\n{}\n{}{}",
            style.paint(Tone::Bad, title),
            table.render(),
            wrapped(&remedy)
        )
    }

    fn explain(&self, kind: Kind) -> (&'static str, String) {
        match kind {
            Kind::Kept => (
                "state reaches the next invocation",
                format!(
                    "Something outside of the handler is kept: a variable of the module, or of a package. Providers use an \
                     instance again, so this happens there{}. Make it within the handler, keep it by what it belongs to \
                     (a user, an id), or in a key-value store.",
                    match self.is_instance {
                        true => " as it does here",
                        false => "; emu dev shows it with isolation = \"instance\"",
                    }
                ),
            ),
            Kind::Stale => (
                "a time or a random value is drawn once",
                "It is made when the module is imported, and stays as long as the instance. Make it within the handler."
                    .to_owned(),
            ),
            Kind::Repeated => (
                "a second delivery does it again",
                "Queues, topics, crons and retries deliver at least once. Note the message's id before the effect (a key-value \
                 store will do) and leave when it is there; write values rather than add to them; give what is sent to a FIFO \
                 queue a deduplicationId."
                    .to_owned(),
            ),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.is_kept {
            notes.push(
                "A command runs once and ends, so nothing of it can be warm: deliveries were repeated only.".to_owned(),
            );
        }
        if self.outbound_refused {
            notes.push(
                "Requests to allow_hosts were refused, since each event runs several times: --outbound lets them go."
                    .to_owned(),
            );
        }
        let failed = self.events.iter().filter(|event| event.is_failure).count();
        if failed > 0 && self.sampled {
            notes.push(format!(
                "{} failed by itself, as a sample may. Give events of your own: --event '{{\"request\": \"POST /orders\", \
                 \"body\": {{}}}}', --event '{{\"message\": {{}}}}'",
                plural(failed as u64, "event", "events")
            ));
        }
        notes
    }

    fn verdict(&self, style: &Style) -> String {
        let function = line(&self.function);
        let events = plural(self.events.len() as u64, "event", "events");
        if self.is_clean() {
            return style.paint(Tone::Good, &format!("{function}: no difference in {events}"));
        }
        let found = plural(self.findings.len() as u64, "difference", "differences");
        style.paint(Tone::Bad, &format!("{function}: {found} in {events}"))
    }
}

/// In lines that a terminal holds, each ended.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        if column > 0 && column + 1 + width(word) > LINE_WIDTH_MAX {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width(word);
    }
    out.push('\n');
    out
}

fn line(text: &str) -> String {
    sanitize::line(text).into_owned()
}

fn short(text: &str) -> String {
    let text = line(text);
    if width(&text) <= CELL_WIDTH_MAX {
        return text;
    }
    text.chars().take(CELL_WIDTH_MAX - 2).chain("..".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_where_and_what_to_do() {
        let finding = |kind, place: &str| Finding {
            kind,
            event: "GET /count".to_owned(),
            place: place.to_owned(),
            expected: Some("1".to_owned()),
            found: Some("2\u{1b}[2J".to_owned()),
            when: "again at once".to_owned(),
        };
        let mut probed = Probed {
            function: "count".to_owned(),
            is_kept: true,
            is_instance: false,
            sampled: true,
            events: vec![ProbedEvent {
                name: "GET /count".to_owned(),
                outcome: "200".to_owned(),
                is_failure: false,
                is_repeated: false,
                more: 0,
            }],
            findings: vec![finding(Kind::Kept, "body.hits"), finding(Kind::Repeated, "kv done")],
            outbound_refused: false,
        };
        let text = probed.render(&Style::default());
        assert!(
            text.contains("GET /count  body.hits  1      2     again at once"),
            "{text}"
        );
        assert!(text.contains("isolation = \"instance\""), "{text}");
        assert!(text.contains("deduplicationId"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.ends_with("count: 2 differences in 1 event\n"), "{text}");
        probed.findings.clear();
        assert!(
            probed
                .render(&Style::default())
                .ends_with("count: no difference in 1 event\n")
        );
    }
}
