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

/// Line and column, both from 1 and in characters, of an offset in bytes.
pub fn line_and_column(text: &str, offset: u32) -> (u32, u32) {
    let mut end = (offset as usize).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before[start..].chars().count() + 1;
    (
        u32::try_from(line).unwrap_or(u32::MAX),
        u32::try_from(column).unwrap_or(u32::MAX),
    )
}
