//! Positions: from generated code back into the file it came from.

use oxc_sourcemap::SourceMap;

/// A table from places in generated code to places in the source, sorted by the former.
#[derive(Debug)]
pub struct Positions {
    places: Vec<Pair>,
}

/// Lines and columns from 0, columns in UTF-16 units as source maps have them.
#[derive(Clone, Copy, Debug)]
struct Pair {
    to: (u32, u32),
    from: (u32, u32),
}

impl Positions {
    pub fn of(map: &SourceMap<'_>) -> Positions {
        let mut places: Vec<Pair> = map
            .get_tokens()
            .filter(|token| token.get_source_id().is_some())
            .map(|token| Pair {
                to: (token.get_dst_line(), token.get_dst_col()),
                from: (token.get_src_line(), token.get_src_col()),
            })
            .collect();
        places.sort_by_key(|pair| pair.to);
        Positions { places }
    }

    /// The source's line and column (from 1) of a line and column (from 1) of the code.
    pub fn find(&self, line: u32, column: u32) -> Option<(u32, u32)> {
        let wanted = (line.checked_sub(1)?, column.saturating_sub(1));
        let after = self.places.partition_point(|pair| pair.to <= wanted);
        let pair = self.places.get(after.checked_sub(1)?)?;
        // A place of an earlier line says where the statement is that goes on here.
        Some((pair.from.0 + 1, pair.from.1 + 1))
    }
}

/// Text put into code at an offset in bytes. It holds no line break, so that lines stay what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insertion {
    pub offset: u32,
    pub text: std::borrow::Cow<'static, str>,
}

/// Where insertions moved columns.
#[derive(Debug, Default)]
pub struct Shifts {
    /// Line and column from 0 where an insertion stands in the result, and its length in characters; in order.
    moved: Vec<(u32, u32, u32)>,
}

impl Shifts {
    /// Puts all insertions (in the order of their offsets) into the code.
    pub fn insert(code: &str, insertions: &[Insertion]) -> (String, Shifts) {
        let added: usize = insertions.iter().map(|insertion| insertion.text.len()).sum();
        let mut out = String::with_capacity(code.len() + added);
        let mut moved = Vec::with_capacity(insertions.len());
        let (mut at, mut line, mut column) = (0, 0, 0);
        for insertion in insertions {
            let end = (insertion.offset as usize).min(code.len());
            let piece = code.get(at..end).unwrap_or_default();
            out.push_str(piece);
            match piece.rfind('\n') {
                Some(last) => {
                    line += count(piece.matches('\n').count());
                    column = count(piece[last + 1..].chars().count());
                }
                None => column += count(piece.chars().count()),
            }
            let length = count(insertion.text.chars().count());
            moved.push((line, column, length));
            out.push_str(&insertion.text);
            column += length;
            at = end;
        }
        out.push_str(code.get(at..).unwrap_or_default());
        (out, Shifts { moved })
    }

    /// The column (from 1) before the insertions, of a line and column (from 1) after them.
    pub fn undo(&self, line: u32, column: u32) -> u32 {
        let (Some(line), Some(column)) = (line.checked_sub(1), column.checked_sub(1)) else {
            return column;
        };
        let first = self.moved.partition_point(|(at, _, _)| *at < line);
        let mut added = 0;
        for (_, start, length) in self.moved[first..].iter().take_while(|(at, _, _)| *at == line) {
            if start + length <= column {
                added += length;
            } else if *start <= column {
                return start - added + 1;
            } else {
                break;
            }
        }
        column - added + 1
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Line and column, both from 1 and in characters, of an offset in bytes.
pub fn line_and_column(text: &str, offset: u32) -> (u32, u32) {
    let mut end = (offset as usize).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (count(line), count(before[start..].chars().count() + 1))
}

/// The offset in bytes of a line and column, both from 1.
pub fn offset_of(text: &str, line: u32, column: u32) -> u32 {
    let lines = text.split_inclusive('\n').take(line.saturating_sub(1) as usize);
    let start: usize = lines.map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    let within = rest.char_indices().nth(column.saturating_sub(1) as usize);
    count((start + within.map_or(0, |(at, _)| at)).min(text.len()))
}

/// Where an offset of a text stands, from 1, and the line with a caret below.
pub fn point(text: &str, offset: u32, length: u32) -> (u32, u32, String) {
    let (line, column) = line_and_column(text, offset);
    let shown = text.lines().nth(line as usize - 1).unwrap_or("").replace('\t', " ");
    let left = (shown.chars().count() + 1).saturating_sub(column as usize).max(1);
    let caret = "^".repeat((length.max(1) as usize).min(left));
    let (shown, indent) = excerpt(&shown, column as usize - 1);
    let number = line.to_string();
    let gap = " ".repeat(number.len());
    let indent = " ".repeat(indent);
    (line, column, format!("{number} | {shown}\n{gap} | {indent}{caret}"))
}

/// Characters shown of a line: packages come minified, a megabyte a line.
const SHOWN_CHARACTERS_MAX: usize = 160;

/// A long line's part around a column, and the column within.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    if line.chars().count() <= SHOWN_CHARACTERS_MAX {
        return (line.to_owned(), column);
    }
    let start = column.saturating_sub(SHOWN_CHARACTERS_MAX / 2);
    let shown = line.chars().skip(start).take(SHOWN_CHARACTERS_MAX).collect();
    (shown, column - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insertions_move_columns_and_are_undone() {
        let code = "ab\ncd ef\n";
        let insertion = |offset, text: &'static str| Insertion {
            offset,
            text: text.into(),
        };
        let (out, shifts) = Shifts::insert(code, &[insertion(0, "xyz"), insertion(3, "{"), insertion(6, "12")]);
        assert_eq!(out, "xyzab\n{cd 12ef\n");
        assert_eq!(shifts.undo(1, 5), 2, "b");
        assert_eq!(shifts.undo(1, 2), 1, "within the first insertion");
        assert_eq!(shifts.undo(2, 2), 1, "c");
        assert_eq!(shifts.undo(2, 8), 5, "f of ef is one on");
        assert_eq!(shifts.undo(3, 1), 1);
        assert_eq!(offset_of(code, 2, 4), 6);
    }

    #[test]
    fn a_minified_line_is_shown_in_part() {
        let text = format!("{}X{}", "a".repeat(5_000), "b".repeat(5_000));
        let (line, column, shown) = point(&text, 5_000, 1);
        assert_eq!((line, column), (1, 5_001));
        assert!(shown.len() < 400, "{shown}");
        let (text, caret) = shown.split_once('\n').unwrap();
        assert_eq!(&text[caret.find('^').unwrap()..][..1], "X");
    }
}
