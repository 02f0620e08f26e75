//! Plain text tables: a header line, columns two spaces apart, no frames.

/// How a column lines up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows of texts under headings. Cells must be sanitised already; a cell may hold several lines.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A heading that starts with `>` makes a column of figures, lined up at the right.
    pub fn new(headings: &[&str]) -> Table {
        let columns = headings
            .iter()
            .map(|h| match h.strip_prefix('>') {
                Some(h) => (h.to_owned(), Align::Right),
                None => ((*h).to_owned(), Align::Left),
            })
            .collect();
        Table {
            columns,
            rows: Vec::new(),
        }
    }

    /// Missing cells are empty, cells beyond the headings are left out.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().take(self.columns.len()).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table, each line ended, without trailing spaces.
    pub fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                let cells = self.rows.iter().flat_map(|row| row[at].lines()).map(width);
                cells.chain([width(&self.columns[at].0)]).max().unwrap_or(0)
            })
            .collect();
        let headings: Vec<&str> = self.columns.iter().map(|(h, _)| h.as_str()).collect();
        let mut out = self.line(&widths, &headings);
        for row in &self.rows {
            let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(1).max(1);
            for at in 0..height {
                let cells: Vec<&str> = row.iter().map(|cell| cell.lines().nth(at).unwrap_or("")).collect();
                out.push_str(&self.line(&widths, &cells));
            }
        }
        out
    }

    fn line(&self, widths: &[usize], cells: &[&str]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(&self.columns) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            match align {
                Align::Left => line.push_str(&pad(cell, *width)),
                Align::Right => line.push_str(&pad_left(cell, *width)),
            }
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// Characters, which is what the names and figures of a table take up.
pub fn width(text: &str) -> usize {
    text.chars().count()
}

/// With spaces after it.
pub fn pad(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(width(text))))
}

/// With spaces before it.
pub fn pad_left(text: &str, to: usize) -> String {
    format!("{}{text}", " ".repeat(to.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["function", ">requests", "state"]);
        table.row(["api".to_owned(), "12,004".to_owned(), "ok".to_owned()]);
        table.row(["größe".to_owned(), "7".to_owned()]);
        table.row([
            "x".to_owned(),
            "1".to_owned(),
            "two\nlines".to_owned(),
            "left out".to_owned(),
        ]);
        let expect = "\
function  requests  state
api         12,004  ok
größe            7
x                1  two
                    lines
";
        assert_eq!(table.render(), expect);
    }

    #[test]
    fn an_empty_first_cell_keeps_its_column() {
        let mut table = Table::new(&["a", "b"]);
        table.row([String::new(), "x".to_owned()]);
        assert_eq!(table.render(), "a  b\n   x\n");
    }
}
