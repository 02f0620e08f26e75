//! Lines with an indent, comments that wrap, and texts that every reader of YAML and TOML reads as texts.

/// Width of comments.
const WIDTH: usize = 100;

#[derive(Default)]
pub struct Text(String);

impl Text {
    pub fn line(&mut self, indent: usize, text: impl AsRef<str>) {
        self.0.push_str(&" ".repeat(indent));
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    pub fn blank(&mut self) {
        self.0.push('\n');
    }

    /// Wrapped between words.
    pub fn comment(&mut self, indent: usize, text: impl AsRef<str>) {
        let mut line = String::new();
        for word in text.as_ref().split_whitespace() {
            if !line.is_empty() && indent + line.chars().count() + word.chars().count() > WIDTH {
                self.line(indent, format!("# {line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.line(indent, format!("# {line}"));
        }
    }

    pub fn done(self) -> String {
        self.0
    }
}

/// In double quotes, as JSON, which YAML and TOML read alike.
pub fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_wrap() {
        let mut text = Text::default();
        text.comment(2, "word ".repeat(30));
        let text = text.done();
        assert_eq!(text.lines().count(), 2);
        assert!(
            text.lines()
                .all(|line| line.starts_with("  # word") && line.len() <= WIDTH + 4),
            "{text}"
        );
        assert_eq!(quoted("a \"b\": #"), "\"a \\\"b\\\": #\"");
    }
}
