//! Starting anew: everything as it was when emu started.

use crate::platform::ids::FunctionId;
use crate::platform::input::Input;

use super::driver::{Driver, Own, lock};
use super::store::StoreError;

impl Driver {
    /// Drops messages, waiting events, key-value stores and the bill. Under the manual clock all else begins anew as well: the
    /// clock, ids, randomness, instances, and what runs is dropped.
    ///
    /// # Errors
    /// When the database cannot be emptied.
    pub async fn reset(&self) -> Result<(), StoreError> {
        self.0.sequence.begin_again();
        if self.0.clock.manual().is_some() {
            return self.begin_anew().await;
        }
        {
            let _gate = self.0.gate.write().await;
            {
                let mut core = lock(&self.0.core);
                self.step_locked(&mut core, Input::Reset, &mut Own::default());
                core.restoring.nothing_left();
                core.platform.begin_again(self.0.seed);
            }
            self.0.store.clear().await?;
        }
        self.notice(
            "info",
            "messages, waiting events, key-value stores and the bill were reset".to_owned(),
        );
        Ok(())
    }

    /// Under the manual clock: as right after the start, so that the same requests lead to the same again.
    ///
    /// # Errors
    /// When the database cannot be emptied or read.
    pub async fn begin_anew(&self) -> Result<(), StoreError> {
        if let Some(manual) = self.0.clock.manual() {
            manual.reset().await;
        }
        let _gate = self.0.gate.write().await;
        self.0.store.clear().await?;
        self.0.chaos.reset();
        let old = lock(&self.0.core).anew(self.0.seed, self.0.ids_from);
        // Requests that waited hear of it by this.
        drop(old);
        self.configure(self.table().project.clone());
        self.restore().await?;
        {
            let mut core = lock(&self.0.core);
            let mut builds: Vec<(FunctionId, Input)> = Vec::new();
            for (function, build) in &core.builds {
                if let Some((version, _)) = &build.version {
                    let deploy = Input::Deploy {
                        function: *function,
                        version: *version,
                        package_bytes: build.package_bytes,
                    };
                    builds.push((*function, deploy));
                }
            }
            builds.sort_by_key(|(function, _)| *function);
            for (_, deploy) in builds {
                self.step_locked(&mut core, deploy, &mut Own::default());
            }
        }
        if let Some(past) = self.0.hub.forget() {
            let emptied = past
                .ask(|history| history.execute_batch("DELETE FROM event; DELETE FROM folded; DELETE FROM exchange;"))
                .await;
            if let Some(Err(error)) = emptied {
                self.notice("warning", format!("the history cannot be emptied: {error}"));
            }
        }
        Ok(())
    }
}
