//! What steps save of their answers, for later steps: `${name}`.

use serde_json::Value;

use super::stage::Answer;
use crate::project::testfile::{Act, Content};

#[derive(Clone, Debug, Default)]
pub struct Vars(Vec<(String, String)>);

impl Vars {
    /// A part of an answer's JSON by its path, `order.items.0.id`; an empty path is all of it.
    ///
    /// # Errors
    /// When the answer has no such part.
    pub fn save(&mut self, name: &str, path: &str, answer: &Answer) -> Result<(), String> {
        let value: Value =
            serde_json::from_str(&answer.text()).map_err(|error| format!("the answer is not JSON: {error}"))?;
        let mut at = &value;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            let next = match part.parse::<usize>() {
                Ok(index) if at.is_array() => at.get(index),
                _ => at.get(part),
            };
            at = next.ok_or_else(|| format!("the answer has no {path:?}: {value}"))?;
        }
        let text = at.as_str().map_or_else(|| at.to_string(), str::to_owned);
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), text));
        Ok(())
    }

    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.0 {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        text
    }

    pub fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.json(item)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| (name.clone(), self.json(value)))
                .collect(),
            other => other.clone(),
        }
    }

    /// With what has been saved in its texts.
    pub fn act(&self, act: &Act) -> Act {
        let content = |content: &Content| match content {
            Content::None => Content::None,
            Content::Text(text) => Content::Text(self.text(text)),
            Content::Json(value) => Content::Json(self.json(value)),
        };
        match act.clone() {
            Act::Request {
                method,
                path,
                headers,
                content: body,
            } => Act::Request {
                method,
                path: self.text(&path),
                headers: headers
                    .into_iter()
                    .map(|(name, value)| (name, self.text(&value)))
                    .collect(),
                content: content(&body),
            },
            Act::Send {
                queue,
                content: body,
                delay,
                group,
            } => Act::Send {
                queue,
                content: content(&body),
                delay,
                group,
            },
            Act::Publish { topic, content: body } => Act::Publish {
                topic,
                content: content(&body),
            },
            Act::Invoke { function, event } => Act::Invoke {
                function,
                event: self.json(&event),
            },
            other => other,
        }
    }
}
