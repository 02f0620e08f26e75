//! The lines of an env file. There is no standard: what Node's `--env-file`, dotenv and Compose take is taken here, and where
//! they differ, README's "Environment" says which rule holds. What none of them can mean is an error with its line.

use std::collections::BTreeMap;

/// What a file says, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it begins, from 1.
    pub line: usize,
    /// Empty when the line has none.
    pub name: String,
    pub value: Result<String, Fault>,
    /// References to variables that are set nowhere, which became nothing.
    pub unset: Vec<String>,
}

/// Why a line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    NoName,
    NotClosed(char),
    AfterQuote(char),
    /// `${NAME:?text}` of a variable that is not set.
    Required(String),
}

/// Reads a file. `outer` knows the variables that are not set above in it.
pub fn parse(text: &str, outer: &dyn Fn(&str) -> Option<String>) -> Vec<Entry> {
    let text = text.replace("\r\n", "\n");
    let mut parser = Parser {
        rest: &text,
        line: 1,
        above: BTreeMap::new(),
        outer,
    };
    let mut entries = Vec::new();
    while !parser.rest.is_empty() {
        if let Some(entry) = parser.entry() {
            if let Ok(value) = &entry.value {
                parser.above.insert(entry.name.clone(), value.clone());
            }
            entries.push(entry);
        }
    }
    entries
}

/// The name that a line sets, and the rest of the line behind `=`. As YAML has it, `: ` may stand for that.
pub fn split(line: &str) -> Option<(&str, &str)> {
    let at = line.find(['=', ':'])?;
    let (name, value) = (line[..at].trim(), &line[at + 1..]);
    if line[at..].starts_with(':') && !value.starts_with([' ', '\t']) {
        return None;
    }
    let bare = name.strip_prefix("export").filter(|name| name.starts_with([' ', '\t']));
    Some((bare.map_or(name, str::trim), value))
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    above: BTreeMap<String, String>,
    outer: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Parser<'a> {
    /// The next line, and further ones that its quotes reach over; `None` for one that says nothing.
    fn entry(&mut self) -> Option<Entry> {
        let line = self.line;
        let text = self.rest.split('\n').next().unwrap_or_default();
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            self.skip(text.len());
            return None;
        }
        let Some((name, value)) = split(text) else {
            self.skip(text.len());
            return Some(Entry {
                line,
                name: String::new(),
                value: Err(Fault::NoName),
                unset: Vec::new(),
            });
        };
        let mut unset = Vec::new();
        let begin = text.len() - value.len() + (value.len() - value.trim_start().len());
        let value = match value.trim_start().chars().next() {
            Some(quote @ ('\'' | '"' | '`')) => self.quoted(begin + 1, quote, &mut unset),
            _ => {
                self.skip(text.len());
                self.expand(unquoted(value), false, &mut unset)
            }
        };
        Some(Entry {
            line,
            name: name.to_owned(),
            value,
            unset,
        })
    }

    /// A value from behind its opening quote on.
    fn quoted(&mut self, begin: usize, quote: char, unset: &mut Vec<String>) -> Result<String, Fault> {
        let rest = self.rest;
        let Some(length) = closing(&rest[begin..], quote) else {
            // Where it should have ended is anybody's guess.
            self.skip(rest.len());
            return Err(Fault::NotClosed(quote));
        };
        let after = &rest[begin + length + 1..];
        let after = after.split('\n').next().unwrap_or_default();
        self.skip(begin + length + 1 + after.len());
        let after = after.trim_start();
        if !after.is_empty() && !after.starts_with('#') {
            return Err(Fault::AfterQuote(quote));
        }
        let value = &rest[begin..begin + length];
        match quote {
            '"' => self.expand(value, true, unset),
            _ => Ok(value.to_owned()),
        }
    }

    /// Goes on behind so many bytes, and the end of the line there.
    fn skip(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count() + 1;
        self.rest = rest.strip_prefix('\n').unwrap_or(rest);
    }

    fn get(&self, name: &str) -> Option<String> {
        self.above.get(name).cloned().or_else(|| (self.outer)(name))
    }

    /// Puts values in the place of `$NAME` and `${NAME}`; with `escapes`, characters in that of `\n` and the like.
    fn expand(&self, text: &str, escapes: bool, unset: &mut Vec<String>) -> Result<String, Fault> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['$', '\\']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let taken = match rest.as_bytes() {
                [b'\\', b'$', ..] => push(&mut out, '$'),
                [b'\\', b'n', ..] if escapes => push(&mut out, '\n'),
                [b'\\', b'r', ..] if escapes => push(&mut out, '\r'),
                [b'\\', b't', ..] if escapes => push(&mut out, '\t'),
                [b'\\', b'\\', ..] if escapes => push(&mut out, '\\'),
                [b'\\', b'"', ..] if escapes => push(&mut out, '"'),
                // No reference: `pa$$word`.
                [b'$', b'$', ..] => {
                    out.push_str("$$");
                    2
                }
                [b'$', ..] => self.reference(rest, &mut out, unset)?,
                _ => {
                    out.push('\\');
                    1
                }
            };
            rest = &rest[taken..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// What begins with `$`; how many bytes of it are taken.
    fn reference(&self, text: &str, out: &mut String, unset: &mut Vec<String>) -> Result<usize, Fault> {
        if let Some(inner) = text.strip_prefix("${") {
            let name = name_at(inner);
            let close = braced(inner).filter(|_| !name.is_empty());
            if let Some((close, otherwise)) =
                close.and_then(|close| Some((close, operator(&inner[name.len()..close])?)))
            {
                self.put(name, &otherwise, out, unset)?;
                return Ok(2 + close + 1);
            }
        } else {
            let name = name_at(&text[1..]);
            if !name.is_empty() {
                self.put(name, &Otherwise::Nothing, out, unset)?;
                return Ok(1 + name.len());
            }
        }
        out.push('$');
        Ok(1)
    }

    fn put(&self, name: &str, otherwise: &Otherwise, out: &mut String, unset: &mut Vec<String>) -> Result<(), Fault> {
        let value = self.get(name);
        let full = |even_if_empty: bool| value.as_deref().filter(|value| even_if_empty || !value.is_empty());
        match *otherwise {
            Otherwise::Nothing => match value {
                Some(value) => out.push_str(&value),
                None => unset.push(name.to_owned()),
            },
            Otherwise::Default(empty_counts, text) => match full(empty_counts) {
                Some(value) => out.push_str(value),
                None => out.push_str(&self.expand(text, false, unset)?),
            },
            Otherwise::Instead(empty_counts, text) => {
                if full(empty_counts).is_some() {
                    out.push_str(&self.expand(text, false, unset)?);
                }
            }
            Otherwise::Required(empty_counts) => match full(empty_counts) {
                Some(value) => out.push_str(value),
                None => return Err(Fault::Required(name.to_owned())),
            },
        }
        Ok(())
    }
}

/// What stands behind the name in `${NAME...}`. The flags say whether a variable that is empty counts as set.
enum Otherwise<'a> {
    Nothing,
    /// `:-text` or `-text`
    Default(bool, &'a str),
    /// `:+text` or `+text`
    Instead(bool, &'a str),
    /// `:?text` or `?text`
    Required(bool),
}

fn operator(text: &str) -> Option<Otherwise<'_>> {
    let (empty_counts, operator) = match text.strip_prefix(':') {
        Some(operator) => (false, operator),
        None => (true, text),
    };
    match operator.as_bytes().first() {
        None if empty_counts => Some(Otherwise::Nothing),
        Some(b'-') => Some(Otherwise::Default(empty_counts, &operator[1..])),
        Some(b'+') => Some(Otherwise::Instead(empty_counts, &operator[1..])),
        Some(b'?') => Some(Otherwise::Required(empty_counts)),
        _ => None,
    }
}

/// Where the brace closes that stands open before `text`.
fn braced(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

/// The name of a variable that `text` begins with.
fn name_at(text: &str) -> &str {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = &text[..text.find(|c| !part(c)).unwrap_or(text.len())];
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        ""
    } else {
        name
    }
}

/// Up to the end of the line, or a comment, which needs a space before it: `a#b` is a value.
fn unquoted(text: &str) -> &str {
    let comment = text.char_indices().find(|(at, c)| {
        let before = text[..*at].chars().next_back();
        *c == '#' && before.is_none_or(char::is_whitespace)
    });
    text[..comment.map_or(text.len(), |(at, _)| at)].trim()
}

/// Where the quote ends. Between double quotes a backslash takes the next one in.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        if std::mem::take(&mut escaped) {
            return None;
        }
        escaped = c == '\\' && quote == '"';
        (c == quote).then_some(at)
    })
}

fn push(out: &mut String, c: char) -> usize {
    out.push(c);
    2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outer(name: &str) -> Option<String> {
        (name == "HOME_OF").then(|| "emu".to_owned())
    }

    /// What the last line sets.
    #[track_caller]
    fn last(text: &str) -> Entry {
        parse(text, &outer).pop().expect("a line")
    }

    #[test]
    fn values() {
        let table = [
            ("D=a b", "a b"),
            ("D = a b  ", "a b"),
            ("export D=1", "1"),
            ("export\tD=1", "1"),
            ("D: 1", "1"),
            ("D=", ""),
            ("D=   # nothing", ""),
            ("D=#x", ""),
            ("D=a#b", "a#b"),
            ("D=a #b", "a"),
            ("D=it's", "it's"),
            ("D=say \"hi\"", "say \"hi\""),
            ("D=C:\\new\\dir", "C:\\new\\dir"),
            ("D=https://x/?a=b&c=d", "https://x/?a=b&c=d"),
            ("D=`x y`", "x y"),
            ("D=`it's \"x\" $A`", "it's \"x\" $A"),
            ("D='x $A \\n'", "x $A \\n"),
            ("D='two words' # more", "two words"),
            ("D=\"two # words\"# more", "two # words"),
            ("D=\"a\\nb\\tc\\\\d\\\"e\\$f\"", "a\nb\tc\\d\"e$f"),
            ("D=\"^\\d+$\"", "^\\d+$"),
            ("D=^\\d+$", "^\\d+$"),
            ("D=\"pa$$word\"", "pa$$word"),
            ("D=pa$$word", "pa$$word"),
            ("D=5$", "5$"),
            ("D=$1", "$1"),
            ("D=${}", "${}"),
            ("D=${A", "${A"),
            ("D=\"one\ntwo\"", "one\ntwo"),
            ("D='one\r\ntwo'", "one\ntwo"),
            ("D=x\r\n", "x"),
            ("A=1\nB=\"x$A\"", "x1"),
            ("A=1\nB=$A-${A}.", "1-1."),
            ("A_B=1\nB=$A_B", "1"),
            ("A=1\nB=\\$A", "$A"),
            ("B=$HOME_OF", "emu"),
            ("HOME_OF=file\nB=$HOME_OF", "file"),
            ("A=\nB=${A:-x}${A-y}", "x"),
            ("A=\nB=[$A]", "[]"),
            ("B=${NO:-a ${HOME_OF} b}", "a emu b"),
            ("B=\"${NO:-}\"", ""),
            ("A=1\nB=${A:+set}${NO:+unset}", "set"),
            ("A=1\nB=${A:?needed}", "1"),
            ("A=$B\nB=2\nC=${A}x", "x"),
        ];
        for (text, expect) in table {
            assert_eq!(last(text).value, Ok(expect.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn faults_have_the_line_where_they_begin() {
        let table = [
            ("A=1\nno equals", 2, Fault::NoName),
            ("A:1", 1, Fault::NoName),
            ("A=1\nB=\"one\ntwo\nC=3", 2, Fault::NotClosed('"')),
            ("A='one\ntwo' three", 1, Fault::AfterQuote('\'')),
            ("A='it's'", 1, Fault::AfterQuote('\'')),
            ("A=${B:?say it}", 1, Fault::Required("B".to_owned())),
        ];
        for (text, line, fault) in table {
            let entry = last(text);
            assert_eq!((entry.line, entry.value), (line, Err(fault)), "{text:?}");
        }
        let entries = parse("A='one\ntwo' three\n\nB=4\n", &outer);
        let lines: Vec<usize> = entries.iter().map(|entry| entry.line).collect();
        assert_eq!(lines, [1, 4], "it goes on behind a fault");
    }

    #[test]
    fn what_is_set_nowhere_is_named() {
        let unset = |text: &str| last(text).unset;
        assert_eq!(unset("A=\"$NOPE/${ALSO}\""), ["NOPE", "ALSO"]);
        assert_eq!(unset("A=${NOPE:-x}"), [""; 0]);
        assert_eq!(unset("A='$NOPE'"), [""; 0]);
        assert_eq!(unset("A=$HOME_OF # $NOPE"), [""; 0]);
    }
}
