//! This emulator as a member of several on one keeper: what comes to its core from there, and what is asked of the others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::api::Member;
use super::clock::rfc3339;
use super::control::views;
use super::driver::{Core, Driver, Own, lock};
use super::events::What;
use super::keeper::{Busy, Commit, Seen};
use super::listen::{network_url, url};
use super::messages::{Content, Payload};
use super::store::StoreError;
use crate::platform::effect::{MessageChange, Note, Stored, StoredEvent};
use crate::platform::ids::{FunctionId, InvocationId, MessageId, QueueId, TopicId, TriggerId};
use crate::platform::input::Input;
use crate::platform::time::Time;
use crate::platform::view::QueueView;
use crate::project::Queue;

/// How long somebody who asks waits for the group.
const LASTS_MAX: Duration = Duration::from_secs(10);

/// What an event carries.
pub enum Carried {
    Payload(Payload),
    /// Of a topic's message.
    Content(Arc<Content>),
}

/// How others of a group reach this emulator.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// The machine's name.
    pub host: String,
    pub functions: String,
    pub control: String,
    /// Whether the control port has a page.
    pub has_page: bool,
}

impl Reached {
    /// Of functions and control API address and port.
    pub fn new(at: [(IpAddr, u16); 2], has_page: bool) -> Reached {
        let [functions, control] = at.map(|(host, port)| network_url(host, port).unwrap_or_else(|| url(host, port)));
        Reached {
            host: machine(),
            functions,
            control,
            has_page,
        }
    }
}

/// What members must agree on of a queue.
fn in_short(queue: &Queue) -> (String, String) {
    let order = if queue.fifo { "FIFO" } else { "standard" };
    let (visibility, retention) = (queue.visibility_timeout, queue.retention);
    let said = format!("{order}, visibility_timeout {visibility}, retention {retention}");
    (queue.name.clone(), said)
}

/// The machine's name, as far as it says one.
fn machine() -> String {
    let named = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok())
        .or_else(|| {
            ["COMPUTERNAME", "HOSTNAME"]
                .iter()
                .find_map(|name| std::env::var(name).ok())
        });
    named.map(|name| name.trim().to_owned()).unwrap_or_default()
}

impl Driver {
    /// Messages that are this member's now; `false`: it has no such queue, and took none.
    pub fn hand_messages(&self, queue: QueueId, messages: Vec<(Stored, Arc<Content>)>) -> bool {
        let mut core = lock(&self.0.core);
        if core.platform.queue(queue).is_none() {
            return false;
        }
        let mut stored = Vec::with_capacity(messages.len());
        for (one, content) in messages {
            core.messages.put(one.message, content);
            stored.push(one);
        }
        // The core walks them in the order of their ids.
        stored.sort_by_key(|one| one.message);
        let input = Input::Restore {
            queue,
            messages: stored,
            keys: Vec::new(),
        };
        self.step_locked(&mut core, input, &mut Own::default());
        true
    }

    /// Another member hands this FIFO queue out from now on.
    pub fn resign(&self, queue: QueueId) {
        self.step(Input::Resign { queue }, &mut Own::default());
    }

    /// An asynchronous invocation or a topic's delivery that is this member's now; `false`: it cannot run it, and took it not.
    pub fn hand_event(&self, event: StoredEvent, carried: Carried) -> bool {
        let mut core = lock(&self.0.core);
        if !core.platform.can_run(event.function) {
            return false;
        }
        match (carried, event.topic) {
            (Carried::Payload(payload), _) => core.messages.put_event(event.first, payload),
            (Carried::Content(content), Some((_, message))) => core.messages.put(message, content),
            (Carried::Content(_), None) => {}
        }
        self.step_locked(&mut core, Input::RestoreEvent(event), &mut Own::default());
        // It is due already.
        self.step_locked(&mut core, Input::Tick, &mut Own::default());
        true
    }

    /// A topic's message that is this member's to hand on.
    pub fn hand_publication(
        &self,
        topic: TopicId,
        message: MessageId,
        content: Arc<Content>,
        cause: Option<InvocationId>,
    ) {
        self.fan_out(topic, message, content, cause);
    }

    /// What other members show of this one.
    pub fn described(&self) -> Member {
        let instances = views::instances(self);
        let busy = instances.iter().filter(|instance| instance.state == "busy").count();
        let mut running = BTreeMap::new();
        for instance in instances.iter().filter(|instance| instance.in_flight > 0) {
            *running.entry(instance.function.clone()).or_default() += u64::from(instance.in_flight);
        }
        // Only before the first configuration there is none.
        let bill = views::bill(self, None).ok();
        let reached = self.0.reached.get().cloned().unwrap_or_default();
        Member {
            name: "own".to_owned(),
            host: reached.host,
            pid: std::process::id(),
            functions_url: reached.functions,
            dashboard_url: reached.has_page.then(|| reached.control.clone()),
            control_url: reached.control,
            started_at: rfc3339(self.0.clock.started_at()),
            silent_ms: 0.0,
            instances: instances.len() as u64,
            busy: busy as u64,
            running,
            invocations: views::functions(self).iter().map(|function| function.invocations).sum(),
            holds: 0,
            queues: self.table().project.queues.values().map(in_short).collect(),
            cost_before_free: bill.map_or(0.0, |bill| bill.total.cost_before_free),
        }
    }

    /// What this emulator does, for those that share the work.
    pub fn busy(&self) -> Busy {
        let table = self.table();
        let functions = table.by_name.values().map(|entry| &entry.function);
        let consumed = functions.filter_map(|function| Some(function.queue.as_ref()?.from.clone()));
        let steps = self.0.barrier.steps();
        let pending = lock(&self.0.core).platform.pending(Time::NEVER, None);
        Busy {
            steps,
            running: pending.running,
            taken: pending.taken,
            queues: consumed.collect(),
            functions: table
                .by_name
                .values()
                .map(|entry| entry.function.name.clone())
                .collect(),
            topics: table.project.topics.keys().cloned().collect(),
        }
    }

    /// The emulators that share the work, this one first.
    ///
    /// # Errors
    /// When the group cannot be reached.
    pub async fn members(&self) -> Result<Vec<Member>, StoreError> {
        match self.0.store.group() {
            Some(group) => group.members().await,
            None => Ok(vec![self.described()]),
        }
    }

    /// How many more messages of a queue this member's function could take.
    pub fn appetite(&self, queue: QueueId) -> u64 {
        lock(&self.0.core).platform.appetite(queue)
    }

    /// Whether a function of this member reads a queue.
    pub fn consumes(&self, queue: QueueId) -> bool {
        lock(&self.0.core).platform.consumes(queue)
    }

    pub fn can_run(&self, function: FunctionId) -> bool {
        lock(&self.0.core).platform.can_run(function)
    }

    /// What watchers see of messages that were sent to whoever has room for them; the public form of their ids.
    pub(super) fn sent_on(
        &self,
        queue: QueueId,
        messages: impl Iterator<Item = MessageId>,
        kept: &[u64],
        cause: Option<InvocationId>,
    ) -> Vec<String> {
        let now = self.now();
        let kept = kept.iter().copied().map(MessageId);
        let told = messages.zip(kept).map(|(message, kept)| {
            let change = match kept == message {
                true => MessageChange::Sent { cause, of: None },
                false => MessageChange::Deduplicated { original: kept },
            };
            let note = Note::Message {
                queue: Some(queue),
                topic: None,
                message,
                change,
            };
            self.0.hub.push(now, What::Note(note));
            self.0.ids.message(kept)
        });
        told.collect()
    }

    /// Asks the group whether this member fires for an instant.
    pub(super) fn ask_cron(&self, trigger: TriggerId, scheduled_at: Time) {
        let (driver, name) = (self.clone(), self.names().trigger(trigger));
        self.0.running.spawn(async move {
            let Some(group) = driver.0.store.group() else { return };
            match group.is_first(&name, scheduled_at).await {
                Ok(false) => {}
                Ok(true) => driver.step(Input::Won { trigger, scheduled_at }, &mut Own::default()),
                Err(error) => driver.notice(
                    "error",
                    format!("cron {name} was left out: whether another member fires it cannot be known: {error}"),
                ),
            }
        });
    }

    /// Brings messages of a queue here, if others may have them.
    ///
    /// # Errors
    /// When the group cannot be reached, or another member holds all of the queue.
    pub async fn draw(&self, queue: QueueId, max: u32) -> Result<(), StoreError> {
        match self.0.store.group() {
            Some(group) => group.draw(queue, max).await,
            None => Ok(()),
        }
    }

    /// A queue in the group: what this member's core knows does not tell.
    pub fn queue_view(&self, queue: QueueId, own: Option<QueueView>) -> Option<QueueView> {
        let Some(group) = self.0.store.group() else { return own };
        let depth = group.depth(queue);
        Some(QueueView {
            visible: depth.messages.saturating_sub(depth.pending),
            in_flight: depth.pending,
            delayed: 0,
            oldest_sent_at: own.and_then(|own| own.oldest_sent_at),
            batches: own.map_or(0, |own| own.batches),
        })
    }

    /// The oldest messages of a queue, when they are not all here.
    ///
    /// # Errors
    /// When the group cannot be reached.
    pub async fn look(&self, queue: QueueId, max: usize) -> Result<Option<Vec<Seen>>, StoreError> {
        match self.0.store.group() {
            Some(group) => group.peek(queue, max).await.map(Some),
            None => Ok(None),
        }
    }

    /// Moves messages of a dead-letter queue back to where they came from.
    ///
    /// # Errors
    /// When the group cannot be reached.
    pub async fn redrive(&self, queue: &str) -> Result<(), StoreError> {
        let Some(id) = self.names().find_queue(queue) else {
            return Ok(());
        };
        match self.0.store.group() {
            Some(group) => group.redrive(id).await.map(drop),
            None => {
                self.step(Input::Redrive { queue: id }, &mut Own::default());
                Ok(())
            }
        }
    }

    /// Drops every message of a queue.
    ///
    /// # Errors
    /// When the group cannot be reached.
    pub async fn purge(&self, queue: &str) -> Result<(), StoreError> {
        let Some(queue) = self.names().find_queue(queue) else {
            return Ok(());
        };
        let commit = {
            let mut core = lock(&self.0.core);
            self.step_kept(&mut core, Input::Purge { queue }, &mut Own::default())
        };
        match self.0.store.group() {
            Some(_) => self.lasts(commit).await,
            None => Ok(()),
        }
    }

    /// As [`Driver::step_locked`]; what to wait for until it lasts, if it led to anything that is kept.
    pub(super) fn step_kept(&self, core: &mut Core, input: Input, own: &mut Own) -> Option<Commit> {
        let before = core.followed;
        self.step_locked(core, input, own);
        core.commit().filter(|_| core.followed != before)
    }

    /// Waits for somebody who has asked for it; in a group not longer than they would.
    ///
    /// # Errors
    /// It does not last, or not yet.
    pub(super) async fn lasts(&self, commit: Option<Commit>) -> Result<(), StoreError> {
        let Some(commit) = commit else { return Ok(()) };
        if self.0.store.group().is_none() {
            return commit.wait().await;
        }
        let waited = tokio::time::timeout(LASTS_MAX, commit.wait()).await;
        waited.unwrap_or_else(|_| {
            let waited = LASTS_MAX.as_secs();
            let message = format!("the bus has not taken it within {waited} s: it is done when the bus takes it");
            Err(StoreError::Away(message))
        })
    }
}
