//! A host that is lost with its instances.

use std::collections::BTreeSet;

use super::Platform;
use super::effect::StopReason;
use super::ids::InstanceId;

impl Platform {
    pub(super) fn host_lost(&mut self, ids: &[InstanceId]) {
        let mut functions = BTreeSet::new();
        for id in ids {
            // One that has gone meanwhile is lost already.
            if let Some(slot) = self.instances.find(*id) {
                functions.insert(self.instances[slot].function);
                self.retire(slot, StopReason::HostLost);
            }
        }
        for function in functions {
            self.provision(function);
            self.capacity_freed(function);
        }
    }
}
