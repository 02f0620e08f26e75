//! Wakes the core for cron triggers in real time, by tokio-cron-scheduler's one-shot jobs.
//!
//! The core alone decides when a trigger is due. The scheduler polls every half second, truncates instants to whole
//! seconds, keeps fixed offsets and stops a repeated job once it is late; so each job here fires once, after a
//! duration that lands on or after the due second, and the next is armed by the core after that fire, a reload or a
//! jump of the clock. A wake that comes late or never is covered by the driver's own timer a second later, and the
//! pair (trigger, instant) makes a double wake harmless.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler};

use crate::platform::ids::TriggerId;
use crate::platform::time::Time;

use super::clock::Clock;

/// "Wake the platform at this instant for this trigger."
#[derive(Clone, Copy, Debug)]
pub struct Arm {
    pub trigger: TriggerId,
    pub at: Time,
    pub wake_at: Time,
}

/// Serves arm requests until the sender is gone. `due` is called on the scheduler's task.
///
/// # Errors
/// When the scheduler cannot start; the driver's timer then does its work alone.
pub async fn run(
    clock: Clock,
    mut arms: mpsc::UnboundedReceiver<Arm>,
    due: impl Fn(Arm) + Clone + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let mut scheduler = JobScheduler::new().await?;
    scheduler.start().await?;
    // Trigger -> instant and job.
    let mut armed = BTreeMap::new();
    while let Some(arm) = arms.recv().await {
        if let Some((at, job)) = armed.remove(&arm.trigger) {
            if at == arm.wake_at && at > clock.now() {
                armed.insert(arm.trigger, (at, job));
                continue;
            }
            if let Err(error) = scheduler.remove(&job).await {
                tracing::debug!("a cron job that already fired could not be removed: {error}");
            }
        }
        // The scheduler drops the fraction of the second of the instant it computes from this. An instant on a full
        // second is met all the same; any other needs a second more, so as never to fire before it.
        let whole = arm.wake_at.0.is_multiple_of(1_000_000_000);
        let wait = clock.until(arm.wake_at) + Duration::from_millis(if whole { 1 } else { 1_000 });
        let due = due.clone();
        let job = Job::new_one_shot(wait, move |_, _| due(arm));
        match job {
            Ok(job) => match scheduler.add(job).await {
                Ok(id) => {
                    armed.insert(arm.trigger, (arm.wake_at, id));
                }
                Err(error) => tracing::warn!("cron wake-up not armed, the timer takes over: {error}"),
            },
            Err(error) => tracing::warn!("cron wake-up not armed, the timer takes over: {error}"),
        }
    }
    scheduler.shutdown().await?;
    Ok(())
}
