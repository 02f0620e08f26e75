//! Wakes the core for cron triggers in real time, by tokio-cron-scheduler's one-shot jobs.
//!
//! The core alone decides when a trigger is due. The scheduler polls every half second, truncates instants to whole
//! seconds, keeps fixed offsets and stops a repeated job once it is late; so each job here fires once, a little before the
//! instant, and sleeps the rest, exactly; the next is armed by the core after that, a reload or a jump of the clock. A wake
//! that comes late or never is covered by the driver's own timer a second later, and the pair (trigger, instant) makes a
//! double wake harmless.

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
        let (clock, due) = (clock.clone(), due.clone());
        let Some(wait) = early(clock.until(arm.wake_at)) else {
            tokio::spawn(wake(clock, arm, due));
            continue;
        };
        let job = Job::new_one_shot_async(wait, move |_, _| Box::pin(wake(clock.clone(), arm, due.clone())));
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

/// How long after a whole second the scheduler looks again, at the latest.
const POLL: Duration = Duration::from_millis(500);

/// What to tell the scheduler for an instant this far away, so that the job fires before it; `None` when the instant may come before the
/// scheduler looks. It counts whole seconds from the whole second before now, and so never fires later than a poll after the wait.
fn early(until: Duration) -> Option<Duration> {
    let spare = POLL * 2;
    (until > spare).then(|| until - spare)
}

/// Sleeps what is left until the instant, by emu's clock.
async fn wake(clock: Clock, arm: Arm, due: impl Fn(Arm)) {
    while clock.now() < arm.wake_at {
        tokio::time::sleep(clock.until(arm.wake_at)).await;
    }
    due(arm);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheduler_fires_before_each_instant() {
        // As the scheduler counts: whole seconds of now and of the wait, looked at twice a second.
        for now in (10_000_u64..11_000).step_by(7) {
            for due in (now + 1..now + 5_000).step_by(13) {
                let Some(wait) = early(Duration::from_millis(due - now)) else {
                    assert!(due - now <= 1_000, "{now} {due}");
                    continue;
                };
                let tick = (now / 1_000 + wait.as_secs()) * 1_000;
                let fired_at_latest = tick.max(now) + 500;
                assert!(fired_at_latest < due, "{now} {due}: {fired_at_latest}");
            }
        }
    }
}
