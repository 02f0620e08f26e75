//! Room for guests: so many at once. What a sandbox keeps for its next run takes room too, and gives it up when others need it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::runtime::Engine;
use super::{Failure, FailureKind};

/// Places for guests, and who holds some without running.
pub(crate) struct Pool {
    slots: Arc<Semaphore>,
    slots_max: u32,
    /// Runs that wait for room.
    waiting: AtomicUsize,
    /// Numbers what is kept, in the order in which it came to be idle.
    last: AtomicU64,
    idle: Mutex<BTreeMap<u64, Weak<dyn Idle>>>,
}

/// Something that holds room and can be dropped.
trait Idle: Send + Sync {
    /// Drops what has been kept under this number; false: it is in use again, or gone.
    fn give_up(&self, number: u64) -> bool;
}

impl Pool {
    pub fn new(slots_max: u32) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots_max as usize)),
            slots_max,
            waiting: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            idle: Mutex::default(),
        }
    }

    /// Room that is free now, or that the longest idle give up.
    pub fn room_now(&self, slots: u32) -> Option<OwnedSemaphorePermit> {
        loop {
            let free = Arc::clone(&self.slots).try_acquire_many_owned(slots.min(self.slots_max));
            match free {
                Ok(room) => return Some(room),
                Err(_) if self.give_up_idlest() => {}
                Err(_) => return None,
            }
        }
    }

    /// The same, once somebody has come to an end where there is none now.
    pub async fn room(&self, slots: u32) -> Result<OwnedSemaphorePermit, Failure> {
        // Before another look: who is kept from now on sees that somebody waits.
        let _waiting = Waiting::new(&self.waiting);
        if let Some(room) = self.room_now(slots) {
            return Ok(room);
        }
        let room = Arc::clone(&self.slots).acquire_many_owned(slots.min(self.slots_max));
        room.await.map_err(|_| Failure::internal("the engine has been closed"))
    }

    /// Of a run that has waited in vain.
    pub fn full(&self, timeout: Duration) -> Failure {
        let message = format!(
            "timed out after {} s without beginning: {} guests run at once already, and there is room for no more (lower max_concurrency, \
             or raise the timeout)",
            timeout.as_secs_f64(),
            self.slots_max
        );
        Failure::new(FailureKind::Timeout, message)
    }

    /// Whether somebody had something to give up.
    fn give_up_idlest(&self) -> bool {
        loop {
            let Some((number, idle)) = self.idle().pop_first() else {
                return false;
            };
            if idle.upgrade().is_some_and(|idle| idle.give_up(number)) {
                return true;
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Weak<dyn Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves room for so many only.
    #[cfg(test)]
    pub fn narrow(&self, slots: u32) {
        let taken = Arc::clone(&self.slots).try_acquire_many_owned(self.slots_max - slots);
        taken.expect("nobody runs").forget();
    }
}

/// Counts one that waits, as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a sandbox keeps from one run to the next, unless others need the room meanwhile: the next run then starts afresh.
pub(super) struct Kept<T: Send + 'static> {
    engine: Engine,
    place: Arc<Place<T>>,
}

/// What is kept, under its number.
struct Place<T>(Mutex<Option<(u64, T)>>);

impl<T> Place<T> {
    fn take_if(&self, wanted: impl FnOnce(u64) -> bool) -> Option<(u64, T)> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.take_if(|(number, _)| wanted(*number))
    }
}

impl<T: Send> Idle for Place<T> {
    fn give_up(&self, number: u64) -> bool {
        self.take_if(|kept| kept == number).is_some()
    }
}

impl<T: Send + 'static> Kept<T> {
    pub fn nothing(engine: Engine) -> Self {
        Self {
            engine,
            place: Arc::new(Place(Mutex::new(None))),
        }
    }

    pub fn keep(&self, value: T) {
        let pool = self.engine.pool();
        let number = pool.last.fetch_add(1, Ordering::Relaxed);
        let before = self
            .place
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace((number, value));
        drop(before);
        let place: Weak<Place<T>> = Arc::downgrade(&self.place);
        pool.idle().insert(number, place);
        if pool.waiting.load(Ordering::SeqCst) > 0 {
            pool.give_up_idlest();
        }
    }

    pub fn take(&self) -> Option<T> {
        let (number, value) = self.place.take_if(|_| true)?;
        self.engine.pool().idle().remove(&number);
        Some(value)
    }
}

impl<T: Send + 'static> Drop for Kept<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}
