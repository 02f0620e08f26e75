//! Requests in an order that the client gives: `x-emu-sequence` 1, 2, 3 and so on, each taken when the one before has been
//! answered, however they come in. So clients that send at once get the same run every time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How long one that came too early waits for those before it, in the machine's time.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Sequence {
    next: Mutex<u64>,
    changed: Notify,
}

impl Default for Sequence {
    fn default() -> Sequence {
        Sequence {
            next: Mutex::new(1),
            changed: Notify::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disorder {
    #[error("x-emu-sequence {0} has been answered before; {1} is next, and a reset begins again with 1")]
    Again(u64, u64),
    #[error("x-emu-sequence {0} waited for {1}, which did not come")]
    Gap(u64, u64),
}

/// It is this request's turn until it is dropped.
pub struct Place<'a>(&'a Sequence);

impl Sequence {
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for all requests with lower numbers.
    ///
    /// # Errors
    /// When the number was there before, or one below it does not come.
    pub async fn place(&self, number: u64) -> Result<Place<'_>, Disorder> {
        let turn = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                // Before the look, so that nothing is missed in between.
                changed.as_mut().enable();
                let next = *self.lock();
                match next.cmp(&number) {
                    std::cmp::Ordering::Equal => return Ok(Place(self)),
                    std::cmp::Ordering::Greater => return Err(Disorder::Again(number, next)),
                    std::cmp::Ordering::Less => changed.await,
                }
            }
        };
        match tokio::time::timeout(PATIENCE, turn).await {
            Ok(placed) => placed,
            Err(_) => Err(Disorder::Gap(number, *self.lock())),
        }
    }

    /// Begins again with 1.
    pub fn begin_again(&self) {
        *self.lock() = 1;
        self.changed.notify_waiters();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_are_taken_in_the_order_of_their_numbers() {
        let sequence = Sequence::default();
        let order = Mutex::new(Vec::new());
        let take = async |number| {
            let _place = sequence.place(number).await.expect("its turn comes");
            order.lock().expect("no panic").push(number);
        };
        tokio::join!(take(3), take(1), take(2));
        assert_eq!(*order.lock().expect("no panic"), [1, 2, 3]);
        assert_eq!(sequence.place(2).await.err(), Some(Disorder::Again(2, 4)));
        sequence.begin_again();
        assert!(sequence.place(1).await.is_ok());
    }
}
