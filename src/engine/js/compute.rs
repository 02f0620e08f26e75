//! `compute` of the prelude: `crypto` as the engine runs it.
//!
//! Randomness comes from the invocation's own generator, so that a run with a seed is the same. What takes long charges
//! fuel for its work, waits for one of a few places, and runs off the workers that serve other functions.

use tokio::sync::Semaphore;
use wasmtime::StoreContextMut;
use wasmtime::component::Accessor;

use super::crypto::{Answer, Work, operation};
use super::script::with_guest;
use crate::engine::host::{Guest, give_way};

/// Work above this much fuel leaves the workers: about a millisecond.
const INLINE_FUEL_MAX: u64 = 1_000_000;
/// Operations that run off the workers at a time, of all functions: key derivation of one leaves room for the others.
static PLACES: Semaphore = Semaphore::const_new(4);

/// # Errors
/// `Name: message`, the name of a DOMException.
pub async fn compute(store: &Accessor<Guest>, op: String, params: &str, all: Vec<Vec<u8>>) -> Answer {
    let work = Work::read(&op, params, &all)?;
    let seed = with_guest(store, |guest| charge(guest, &work))?;
    // A guest that does nothing but this must still let others run, and its deadline come.
    tokio::task::yield_now().await;
    if work.fuel <= INLINE_FUEL_MAX {
        return work.run(&op, &all, seed);
    }
    off_the_workers(move || work.run(&op, &all, seed)).await
}

/// `compute-now` of the prelude: the guest waits, others do not.
///
/// # Errors
/// What ends the guest. The answer's are `Name: message`, also for work that takes long.
pub async fn compute_now(
    store: &mut StoreContextMut<'_, Guest>,
    op: String,
    params: &str,
    all: Vec<Vec<u8>>,
) -> wasmtime::Result<Answer> {
    let begun = Work::read(&op, params, &all).and_then(|work| Ok((charge(store.data_mut(), &work)?, work)));
    let (seed, work) = match begun {
        Ok(begun) => begun,
        Err(message) => return Ok(Err(message)),
    };
    give_way(store).await?;
    if work.fuel <= INLINE_FUEL_MAX {
        return Ok(work.run_now(&op, &all, seed));
    }
    let _hold = store.data().run.clock.hold();
    Ok(off_the_workers(move || work.run_now(&op, &all, seed)).await)
}

/// Does what takes long where it holds nobody up.
async fn off_the_workers(work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    let place = PLACES.acquire().await.map_err(|error| operation(&error.to_string()))?;
    let task = tokio::task::spawn_blocking(move || {
        let answer = work();
        drop(place);
        answer
    });
    task.await.map_err(|error| operation(&error.to_string()))?
}

/// The seed of an operation's randomness.
fn charge(guest: &mut Guest, work: &Work) -> Result<[u8; 32], String> {
    guest.charged += work.fuel;
    let drawn = guest.random.bytes(32).map_err(|error| operation(&error.to_string()))?;
    let mut seed = [0; 32];
    seed.copy_from_slice(&drawn);
    Ok(seed)
}
