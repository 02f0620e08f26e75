//! Whether a whole group is at rest. Members are asked what they do, by a request of the broker's own; what waits or is held by
//! any of them is in the streams until it is done, whoever has it.
//!
//! Nobody sees all of it at one moment, so everything is looked at twice: members, streams, streams, members. Nothing was left
//! and nothing has changed in between, so there was a moment at which nothing was left anywhere. It would not do to look once: a
//! message may pass from a stream that was not looked at yet to one that was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::RequestErrorKind;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{ErrorCode, stream};
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _};

use super::label::json;
use super::place::decode;
use super::{Inner, away};
use crate::live::keeper::{Busy, Left};
use crate::live::store::StoreError;

/// A member that does not answer for so long may still do something.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What each of them has come to: two that are the same had nothing between them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Marks(BTreeMap<String, u64>);

/// What members say.
#[derive(Default)]
struct Asked {
    marks: Marks,
    running: u64,
    /// Of what lies in the streams, what these are about.
    taken: u64,
    silent: Vec<String>,
    queues: BTreeSet<String>,
    functions: BTreeSet<String>,
    topics: BTreeSet<String>,
}

impl Asked {
    fn is_at_rest(&self) -> bool {
        self.running == 0 && self.silent.is_empty()
    }

    fn add(&mut self, member: &str, busy: Busy) {
        self.marks.0.insert(member.to_owned(), busy.steps);
        self.running += busy.running;
        self.taken += busy.taken;
        self.queues.extend(busy.queues);
        self.functions.extend(busy.functions);
        self.topics.extend(busy.topics);
    }
}

impl Inner {
    /// Answers others that ask what this member does.
    pub async fn run_answers(self: Arc<Self>) {
        let client = self.context.client();
        let asked = client.subscribe(self.places.ask(&self.member)).await;
        let mut asked = match asked {
            Ok(asked) => asked,
            Err(error) => {
                tracing::error!("nobody can ask what this member does: {error}");
                return;
            }
        };
        while let Some(Some(question)) = self.stop.run_until_cancelled(asked.next()).await {
            let (Some(reply), Some(busy)) = (question.reply, self.busy()) else {
                continue;
            };
            if let Err(error) = client.publish(reply, json(&busy).into()).await {
                tracing::debug!("an answer was not sent: {error}");
            }
        }
    }

    /// What this member does, with what it has decided and the broker has not heard of yet.
    fn busy(&self) -> Option<Busy> {
        let mut busy = self.driver()?.busy();
        busy.running += u64::from(*self.open.borrow() > 0);
        Some(busy)
    }

    /// `None`: for a moment nothing was left.
    pub async fn left(&self) -> Result<Option<Left>, StoreError> {
        let asked = self.ask().await?;
        let (before, messages) = self.in_streams(&asked).await?;
        if !asked.is_at_rest() || messages > 0 {
            return Ok(Some(Left {
                running: asked.running,
                messages: messages.saturating_sub(asked.taken),
                silent: asked.silent,
            }));
        }
        let (after, messages) = self.in_streams(&asked).await?;
        let again = self.ask().await?;
        let same = before == after && asked.marks == again.marks;
        match same && messages == 0 && again.is_at_rest() {
            true => Ok(None),
            false => Ok(Some(Left {
                running: again.running,
                messages: messages.saturating_sub(again.taken),
                silent: again.silent,
            })),
        }
    }

    async fn ask(&self) -> Result<Asked, StoreError> {
        let mut asked = Asked::default();
        asked.add(&self.member, self.busy().ok_or(StoreError::Closed)?);
        let members = self.member_names().await?;
        let others = members.into_iter().filter(|member| *member != self.member);
        let client = self.context.client();
        let client = &client;
        let answers = others.map(|member| async move {
            let question = client.request(self.places.ask(&member), "".into());
            (tokio::time::timeout(ANSWER_MAX, question).await, member)
        });
        for (answer, member) in join_all(answers).await {
            match answer {
                Ok(Ok(answer)) => match serde_json::from_slice(&answer.payload) {
                    Ok(busy) => asked.add(&member, busy),
                    Err(_) => asked.silent.push(member),
                },
                // It is gone, and what it held is in the streams.
                Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {}
                Ok(Err(_)) | Err(_) => asked.silent.push(member),
            }
        }
        Ok(asked)
    }

    /// How many messages and events somebody is to work on, and how far each stream is.
    async fn in_streams(&self, of: &Asked) -> Result<(Marks, u64), StoreError> {
        let queues = of.queues.iter().map(|queue| {
            let place = self.places.queue(queue);
            self.in_stream(place.stream, place.subject, None)
        });
        let wide = [
            (self.places.event(""), &of.functions),
            (self.places.topic(""), &of.topics),
        ];
        let wide = wide.map(|(place, names)| self.in_stream(place.stream, format!("{}>", place.subject), Some(names)));
        let counted = join_all(queues.chain(wide)).await;
        let mut marks = Marks::default();
        let mut all = 0;
        for one in counted {
            let (stream, last, messages) = one?;
            marks.0.insert(stream, last);
            all += messages;
        }
        Ok((marks, all))
    }

    /// A stream's last sequence, and how much it holds for these names.
    async fn in_stream(
        &self,
        name: String,
        subject: String,
        names: Option<&BTreeSet<String>>,
    ) -> Result<(String, u64, u64), StoreError> {
        let failed = |error: &dyn std::fmt::Display| away(self, &format!("stream {name} cannot be counted"), error);
        let stream = match self.context.get_stream(&name).await {
            Ok(stream) => stream,
            Err(error) => {
                return match error.kind() {
                    GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                        Ok((name, 0, 0))
                    }
                    _ => Err(failed(&error)),
                };
            }
        };
        let Some(names) = names else {
            let stream::State {
                last_sequence,
                messages,
                ..
            } = stream.cached_info().state;
            return Ok((name, last_sequence, messages));
        };
        let asked = stream.info_with_subjects(subject).await;
        let asked = asked.map_err(|error| failed(&error))?;
        let last = asked.info.state.last_sequence;
        let subjects: Vec<(String, usize)> = asked.try_collect().await.map_err(|error| failed(&error))?;
        // What is for a function that nobody has waits until somebody has it.
        let known = subjects.into_iter().filter(|(subject, _)| {
            let name = subject.rsplit('.').next().and_then(decode);
            name.is_some_and(|name| names.contains(&name))
        });
        let messages = known.map(|(_, messages)| messages as u64).sum();
        Ok((name, last, messages))
    }
}
