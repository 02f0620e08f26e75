//! A lesson on the terminal: paragraphs in lines of equal length, commands and output set off.

use crate::report::style::{Style, Tone};
use crate::report::table::Table;

/// Longer lines are hard to read.
const COLUMNS: usize = 92;

/// Markdown as lines for a terminal.
pub fn show(markdown: &str, style: &Style) -> String {
    let mut out = String::new();
    let mut paragraph = String::new();
    let mut block: Option<&str> = None;
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            flush(&mut paragraph, &mut out);
            block = if block.is_some() { None } else { Some(language) };
        } else if let Some(language) = block {
            let line = if language == "sh" {
                style.paint(Tone::Info, line)
            } else {
                line.to_owned()
            };
            out.push_str(format!("    {line}").trim_end());
            out.push('\n');
        } else if line.starts_with('#') {
            flush(&mut paragraph, &mut out);
            let title = line.trim_start_matches('#').trim();
            out.push_str(&format!("{}\n", style.paint(Tone::Strong, title)));
        } else if line.is_empty() {
            flush(&mut paragraph, &mut out);
            out.push('\n');
        } else if line.starts_with('|') {
            flush(&mut paragraph, &mut out);
            let mut rows = vec![cells(line)];
            while let Some(line) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(line));
            }
            out.push_str(&table(&rows));
        } else {
            if begins_item(line) {
                flush(&mut paragraph, &mut out);
            }
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line.trim_start());
        }
    }
    flush(&mut paragraph, &mut out);
    out
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

/// Headings, the line that says how columns line up, rows. Where cells are sentences, a row is a paragraph.
fn table(rows: &[Vec<&str>]) -> String {
    let (Some(headings), Some(lines_up)) = (rows.first(), rows.get(1)) else {
        return String::new();
    };
    let rows = &rows[2..];
    if rows.iter().flatten().any(|cell| cell.chars().count() > COLUMNS / 2) {
        let mut out = String::new();
        for row in rows {
            let cells: Vec<&str> = row.iter().copied().filter(|cell| !cell.is_empty()).collect();
            let (first, others) = cells
                .split_first()
                .map_or(("", &[][..]), |(first, others)| (*first, others));
            flush(&mut format!("- {first}: {}", others.join(" ")), &mut out);
        }
        return out;
    }
    let right = |at: usize| lines_up.get(at).is_some_and(|line| line.ends_with(':'));
    let headings = headings.iter().enumerate();
    let headings: Vec<String> = headings
        .map(|(at, heading)| {
            if right(at) {
                format!(">{heading}")
            } else {
                (*heading).to_owned()
            }
        })
        .collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut table = Table::new(&headings);
    for row in rows {
        table.row(row.iter().map(|cell| (*cell).to_owned()));
    }
    let text = table.render();
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// `- one`, `2. two`.
fn begins_item(line: &str) -> bool {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with("- ") || (rest.len() < line.len() && rest.starts_with(". "))
}

fn flush(paragraph: &mut String, out: &mut String) {
    let indent = if begins_item(paragraph) {
        " ".repeat(paragraph.find(' ').map_or(0, |at| at + 1))
    } else {
        String::new()
    };
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > COLUMNS {
            out.push_str(&format!("\n{indent}{word}"));
            column = indent.len() + width;
        } else if column > 0 {
            out.push_str(&format!(" {word}"));
            column += 1 + width;
        } else {
            out.push_str(word);
            column = width;
        }
    }
    if column > 0 {
        out.push('\n');
    }
    paragraph.clear();
}
