//! Runs in virtual time: which may go on, which wait for the clock, and which for something real.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use futures::channel::oneshot;
use futures::future::BoxFuture;

use super::Manual;
use super::agenda::Act;
use super::agenda::Key;
use crate::engine::pace::{Hold, Keeper, Turn};
use crate::platform::ids::InvocationId;
use crate::platform::time::Time;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

/// A task as the one who conducts holds it.
pub struct Task {
    pub future: BoxFuture<'static, ()>,
    pub waker: Waker,
    pub invocation: InvocationId,
}

#[derive(Default)]
struct Info {
    /// Things of virtual time that it waits for.
    waits: u32,
    queued: bool,
}

#[derive(Default)]
pub struct Tasks {
    named: u64,
    infos: BTreeMap<TaskId, Info>,
    ready: VecDeque<TaskId>,
    /// Not yet with the one who conducts.
    pub new: Vec<(TaskId, InvocationId, BoxFuture<'static, ()>)>,
    /// Tasks that wait for nothing of virtual time: they run, or something real is under way.
    awake: usize,
}

impl Tasks {
    pub fn name(&mut self) -> TaskId {
        self.named += 1;
        let id = TaskId(self.named);
        self.infos.insert(id, Info::default());
        self.awake += 1;
        id
    }

    pub fn add(&mut self, id: TaskId, invocation: InvocationId, future: BoxFuture<'static, ()>) {
        self.new.push((id, invocation, future));
        self.wake(id);
    }

    pub fn gone(&mut self, id: TaskId) {
        if self.infos.remove(&id).is_some_and(|info| info.waits == 0) {
            self.awake -= 1;
        }
    }

    /// To be polled; whether that is news.
    fn wake(&mut self, id: TaskId) -> bool {
        let Some(info) = self.infos.get_mut(&id).filter(|info| !info.queued) else {
            return false;
        };
        info.queued = true;
        self.ready.push_back(id);
        true
    }

    pub fn next_ready(&mut self) -> Option<TaskId> {
        let id = self.ready.pop_front()?;
        if let Some(info) = self.infos.get_mut(&id) {
            info.queued = false;
        }
        Some(id)
    }

    fn waits(&mut self, id: TaskId) {
        if let Some(info) = self.infos.get_mut(&id) {
            info.waits += 1;
            if info.waits == 1 {
                self.awake -= 1;
            }
        }
    }

    pub fn waits_no_more(&mut self, id: TaskId) {
        if let Some(info) = self.infos.get_mut(&id) {
            info.waits -= 1;
            if info.waits == 0 {
                self.awake += 1;
            }
        }
    }

    /// All that there is waits for the clock.
    pub fn rest(&self) -> bool {
        self.ready.is_empty() && self.awake == 0
    }

    /// All that the one who conducts has not taken yet, to be dropped where nothing is locked.
    pub fn take_new(&mut self) -> Vec<(TaskId, InvocationId, BoxFuture<'static, ()>)> {
        std::mem::take(&mut self.new)
    }
}

/// Puts its task into the line of those that may go on.
struct Waking {
    manual: Manual,
    task: TaskId,
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.manual.lock().tasks.wake(self.task) {
            self.manual.changed();
        }
    }
}

pub fn waker(manual: &Manual, task: TaskId) -> Waker {
    Waker::from(Arc::new(Waking {
        manual: manual.clone(),
        task,
    }))
}

/// Virtual time as one run sees it.
#[derive(Clone)]
pub struct RunTime {
    manual: Manual,
    task: TaskId,
}

impl RunTime {
    pub fn new(manual: Manual, task: TaskId) -> RunTime {
        RunTime { manual, task }
    }

    pub fn manual(&self) -> &Manual {
        &self.manual
    }

    fn wait(&self, at: Time, counts: bool) -> Turn {
        let mut state = self.manual.lock();
        let task = counts.then_some(self.task);
        let (key, granted) = state.agenda.wake(at, task);
        if counts {
            state.tasks.waits(self.task);
        }
        drop(state);
        Box::pin(Waiting {
            manual: self.manual.clone(),
            task,
            key,
            granted,
        })
    }
}

impl Keeper for RunTime {
    fn now(&self) -> Time {
        self.manual.now()
    }

    fn turn(&self, at: Time) -> Turn {
        self.wait(at, true)
    }

    fn bound(&self, at: Time) -> Turn {
        self.wait(at, false)
    }

    fn hold(&self) -> Hold {
        self.manual.lock().holds += 1;
        let manual = self.manual.clone();
        held(move || {
            manual.lock().holds -= 1;
            manual.changed();
        })
    }

    fn elsewhere(&self) -> Hold {
        self.manual.lock().tasks.waits(self.task);
        let (manual, task) = (self.manual.clone(), self.task);
        held(move || {
            manual.lock().tasks.waits_no_more(task);
            manual.changed();
        })
    }

    fn at(&self, at: Time, act: Act) {
        self.manual.at(at, act);
    }
}

/// Does something when it is dropped.
struct Held(Option<Box<dyn FnOnce() + Send + Sync>>);

fn held(end: impl FnOnce() + Send + Sync + 'static) -> Hold {
    let held: Box<dyn Any + Send + Sync> = Box::new(Held(Some(Box::new(end))));
    held
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

/// A wait for the clock.
struct Waiting {
    manual: Manual,
    task: Option<TaskId>,
    key: Key,
    granted: oneshot::Receiver<()>,
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match Pin::new(&mut self.granted).poll(context) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            // Everything has been dropped, and soon this will be.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.manual.lock();
        let item = state.agenda.remove(self.key);
        if item.is_some()
            && let Some(task) = self.task
        {
            state.tasks.waits_no_more(task);
        }
        drop(state);
        drop(item);
    }
}
