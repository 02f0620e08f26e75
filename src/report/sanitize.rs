//! Makes text of a guest or a client safe for a terminal: no escapes, no control characters, no bidi overrides.
//!
//! A log line, a path or a header must not be able to move the cursor, retitle the window, write the clipboard or show
//! its characters in another order than they are in.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Longer lines are cut with a mark in terminals; the control API has them whole.
pub const LINE_CHARS_MAX: usize = 4_000;

/// One line, safe to print: escape sequences are left out, other control characters are shown as `\x07`, tabs become
/// spaces. Text that is safe comes back as it is.
pub fn line(text: &str) -> Cow<'_, str> {
    if text.len() <= LINE_CHARS_MAX && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().min(LINE_CHARS_MAX) + 16);
    let mut rest = text;
    let mut shown = 0;
    while let Some(c) = rest.chars().next() {
        if shown >= LINE_CHARS_MAX {
            let _ = write!(out, "… ({} more bytes)", rest.len());
            break;
        }
        if let Some(after) = skip_escape(rest) {
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        shown += 1;
        match c {
            '\t' => out.push_str("    "),
            c if is_plain(c) => out.push(c),
            c if is_invisible(c) => {}
            c if (c as u32) < 0x100 => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
        }
    }
    Cow::Owned(out)
}

/// May be printed as it is.
fn is_plain(c: char) -> bool {
    !c.is_control() && !is_bidi(c) && !is_separator(c) && !is_invisible(c)
}

/// Marks, embeddings, overrides and isolates: they change the order in which a terminal shows other characters.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Unicode's own line breaks.
fn is_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Tag characters and byte-order marks: nothing to see, so nothing to keep.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// The text after an escape sequence at its start; `None` when there is none.
fn skip_escape(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    let introducer = match chars.next()? {
        '\u{1b}' => match chars.clone().next() {
            Some(c @ ('[' | ']' | 'P' | 'X' | '^' | '_')) => {
                chars.next();
                c
            }
            _ => return Some(skip_short(chars.as_str())),
        },
        '\u{9b}' => '[',
        '\u{9d}' => ']',
        '\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}' => 'P',
        _ => return None,
    };
    let body = chars.as_str();
    Some(if introducer == '[' {
        skip_csi(body)
    } else {
        skip_string(body)
    })
}

/// After ESC: intermediates, then one final character.
fn skip_short(text: &str) -> &str {
    let rest = text.trim_start_matches(|c: char| matches!(c, ' '..='/'));
    rest.strip_prefix(|c: char| matches!(c, '0'..='~')).unwrap_or(rest)
}

/// After `ESC [`: parameters, intermediates, one final character.
fn skip_csi(text: &str) -> &str {
    let rest = text.trim_start_matches(|c: char| matches!(c, '0'..='?'));
    let rest = rest.trim_start_matches(|c: char| matches!(c, ' '..='/'));
    rest.strip_prefix(|c: char| matches!(c, '@'..='~')).unwrap_or(rest)
}

/// After `ESC ]` and its kin: up to BEL or ST. Without an end only the introducer goes, so that nothing is hidden.
fn skip_string(text: &str) -> &str {
    for (at, c) in text.char_indices() {
        match c {
            '\u{7}' | '\u{9c}' => return &text[at + c.len_utf8()..],
            '\u{1b}' if text[at + 1..].starts_with('\\') => return &text[at + 2..],
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(input: &str, expect: &str) {
        assert_eq!(line(input), expect, "{input:?}");
    }

    #[test]
    fn plain_text_is_untouched_and_not_copied() {
        for text in ["", "hello", "grüße 你好 👩‍👩‍👧 ñ", "a \\x1b that is only text"] {
            assert!(matches!(line(text), Cow::Borrowed(t) if t == text), "{text:?}");
        }
    }

    #[test]
    fn escape_sequences_leave_no_trace() {
        check("\u{1b}[31mred\u{1b}[0m", "red");
        check("\u{1b}]0;title\u{7}x", "x");
        check("\u{1b}]8;;http://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link");
        check("\u{1b}]52;c;aGk=\u{9c}x", "x");
        check("a\u{9b}2Jb", "ab");
        check("\u{1b}cx\u{1b}(Bx", "xx");
        check("\u{1b}P1;2|data\u{1b}\\x", "x");
        check("cut short \u{1b}[3", "cut short ");
        check("\u{1b}", "");
    }

    #[test]
    fn an_unended_string_sequence_hides_nothing() {
        check("\u{1b}]0;rest of the line", "0;rest of the line");
    }

    #[test]
    fn control_characters_are_shown() {
        check("bell\u{7}", "bell\\x07");
        check("over\rwrite", "over\\x0dwrite");
        check("back\u{8}", "back\\x08");
        check("two\nlines", "two\\x0alines");
        check("a\tb", "a    b");
        check("\u{85}\u{7f}", "\\x85\\x7f");
    }

    #[test]
    fn bidi_overrides_and_tags_are_disarmed() {
        check("user\u{202e}nimda", "user\\u{202e}nimda");
        check("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}");
        check("a\u{2028}b", "a\\u{2028}b");
        check("\u{feff}a\u{e0041}b", "ab");
    }

    #[test]
    fn long_lines_are_cut_and_say_so() {
        let long = "x".repeat(LINE_CHARS_MAX + 10);
        let cut = line(&long);
        assert!(cut.ends_with("x… (10 more bytes)"), "{}", &cut[cut.len() - 40..]);
    }

    /// Anything at all, but with the dangerous parts often.
    fn hostile() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            any::<String>(),
            Just("\u{1b}[".to_owned()),
            Just("\u{1b}]".to_owned()),
            Just("\u{1b}".to_owned()),
            Just("\u{7}".to_owned()),
            Just("\u{9b}31m".to_owned()),
            Just("\u{9c}".to_owned()),
            Just("\u{202e}".to_owned()),
            "[ -~]{0,6}",
        ];
        prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn nothing_dangerous_survives(text in hostile()) {
            let out = line(&text);
            prop_assert!(out.chars().all(is_plain), "{out:?}");
        }

        #[test]
        fn twice_is_once(text in hostile()) {
            let once = line(&text).into_owned();
            prop_assert_eq!(line(&once).into_owned(), once);
        }

        #[test]
        fn printable_ascii_is_kept(text in "[ -~]{0,200}") {
            prop_assert_eq!(line(&text), text.as_str());
        }
    }
}
