//! File times of the scratch folder. Under the manual clock, and where runs are compared, they are the guest's own: what the machine has
//! written into a file since the folder was made is replaced, when the guest looks at it, by the guest's time of then. So a file that was
//! changed has another time than before, the same on every machine. Times that the guest has set itself stay.

use std::collections::BTreeSet;

use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, Linker, Resource};
use wasmtime_wasi::filesystem::WasiFilesystem;
use wasmtime_wasi::{p2, p3};

use super::clock::{Clock, synced};
use super::{Guest, sync};

/// Times that are remembered as given; the earliest go first.
const GIVEN_MAX: usize = 65_536;

/// What the times in a scratch folder mean.
#[derive(Default)]
pub(super) struct Times {
    /// The machine's, when the folder was made.
    made_ns: u64,
    /// Those that came from here or from the guest.
    given: BTreeSet<u64>,
}

/// Nanoseconds of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    access: Option<u64>,
    modification: Option<u64>,
    change: Option<u64>,
}

impl Times {
    pub fn new(made_ns: u64) -> Times {
        Times {
            made_ns,
            given: BTreeSet::new(),
        }
    }

    fn is_machines(&self, ns: u64) -> bool {
        ns >= self.made_ns && !self.given.contains(&ns)
    }

    fn give(&mut self, ns: u64) {
        self.given.insert(ns);
        if self.given.len() > GIVEN_MAX {
            self.given.pop_first();
        }
    }

    /// What the guest sees; whether the file is to have `now` for its modification.
    fn fix(&mut self, seen: Seen, now: u64) -> (Seen, bool) {
        let changed = seen.modification.is_some_and(|ns| self.is_machines(ns));
        if changed {
            self.give(now);
        }
        let modification = if changed { Some(now) } else { seen.modification };
        let access = match seen.access {
            Some(ns) if self.is_machines(ns) => modification,
            access => access,
        };
        // Nobody can set it.
        let change = seen.change.and(modification);
        let fixed = Seen {
            access,
            modification,
            change,
        };
        (fixed, changed)
    }
}

/// The guest's time, where file times follow it.
fn now_ns(clock: &Clock) -> Option<u64> {
    clock.is_virtual().then(|| clock.now_ns())
}

pub(super) use third::answered;

type Store<'a> = StoreContextMut<'a, Guest>;

/// In place of what wasmtime offers, which the linker must allow.
pub(super) fn add_to_linker(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
    second::add(l)?;
    third::add(l)
}

/// WASI 0.2.
mod second {
    use p2::bindings::clocks::wall_clock::Datetime;
    use p2::bindings::filesystem::types::{
        Descriptor, DescriptorStat, ErrorCode, Host as _, HostDescriptor as _, NewTimestamp, PathFlags,
    };
    use wasmtime_wasi::p2::FsError;

    use super::*;

    fn ns(at: Datetime) -> u64 {
        at.seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(at.nanoseconds.into())
    }

    fn at(ns: u64) -> Datetime {
        Datetime {
            seconds: ns / 1_000_000_000,
            nanoseconds: (ns % 1_000_000_000) as u32,
        }
    }

    impl Guest {
        /// What the guest gets, with the code of an error.
        pub(in crate::engine::host) fn answered<T>(
            &mut self,
            result: Result<T, FsError>,
        ) -> wasmtime::Result<Result<T, ErrorCode>> {
            match result {
                Ok(done) => Ok(Ok(done)),
                Err(error) => Ok(Err(self.filesystem().convert_error_code(error)?)),
            }
        }

        /// `path`: below it; `None`: of itself.
        async fn stat2(
            &mut self,
            of: &Resource<Descriptor>,
            path: Option<(PathFlags, String)>,
        ) -> Result<DescriptorStat, FsError> {
            let of = || Resource::new_borrow(of.rep());
            let mut view = self.filesystem();
            let mut stat = match path.clone() {
                None => view.stat(of()).await?,
                Some((flags, path)) => view.stat_at(of(), flags, path).await?,
            };
            let (Some(now), Some(times)) = (now_ns(&self.run.clock), self.times()) else {
                return Ok(stat);
            };
            let seen = Seen {
                access: stat.data_access_timestamp.map(ns),
                modification: stat.data_modification_timestamp.map(ns),
                change: stat.status_change_timestamp.map(ns),
            };
            let (fixed, stamp) = times.fix(seen, now);
            stat.data_access_timestamp = fixed.access.map(at);
            stat.data_modification_timestamp = fixed.modification.map(at);
            stat.status_change_timestamp = fixed.change.map(at);
            if stamp {
                let (keep, now) = (NewTimestamp::NoChange, NewTimestamp::Timestamp(at(now)));
                let mut view = self.filesystem();
                match path {
                    None => view.set_times(of(), keep, now).await?,
                    Some((flags, path)) => view.set_times_at(of(), flags, path, keep, now).await?,
                }
            }
            Ok(stat)
        }

        fn gives2(&mut self, set: [&NewTimestamp; 2]) {
            let Some(times) = self.times() else { return };
            for time in set {
                if let NewTimestamp::Timestamp(time) = time {
                    times.give(ns(*time));
                }
            }
        }
    }

    pub fn add(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
        let mut types = l.instance("wasi:filesystem/types@0.2.12")?;
        types.func_wrap_async(
            "[method]descriptor.stat",
            |mut store: Store<'_>, (fd,): (Resource<Descriptor>,)| {
                Box::new(async move {
                    sync(&store);
                    let guest = store.data_mut();
                    let stat = guest.stat2(&fd, None).await;
                    Ok((guest.answered(stat)?,))
                })
            },
        )?;
        types.func_wrap_async(
            "[method]descriptor.stat-at",
            |mut store: Store<'_>, (fd, flags, path): (Resource<Descriptor>, PathFlags, String)| {
                Box::new(async move {
                    sync(&store);
                    let guest = store.data_mut();
                    let stat = guest.stat2(&fd, Some((flags, path))).await;
                    Ok((guest.answered(stat)?,))
                })
            },
        )?;
        types.func_wrap_async(
            "[method]descriptor.set-times",
            |mut store: Store<'_>, (fd, access, modification): (Resource<Descriptor>, NewTimestamp, NewTimestamp)| {
                Box::new(async move {
                    let guest = store.data_mut();
                    guest.gives2([&access, &modification]);
                    let set = guest.filesystem().set_times(fd, access, modification).await;
                    Ok((guest.answered(set)?,))
                })
            },
        )?;
        type SetAt = (Resource<Descriptor>, PathFlags, String, NewTimestamp, NewTimestamp);
        types.func_wrap_async(
            "[method]descriptor.set-times-at",
            |mut store: Store<'_>, (fd, flags, path, access, modification): SetAt| {
                Box::new(async move {
                    let guest = store.data_mut();
                    guest.gives2([&access, &modification]);
                    let mut view = guest.filesystem();
                    let set = view.set_times_at(fd, flags, path, access, modification).await;
                    Ok((guest.answered(set)?,))
                })
            },
        )
    }
}

/// WASI 0.3.
mod third {
    use p3::bindings::clocks::system_clock::Instant;
    use p3::bindings::filesystem::types::{
        Descriptor, DescriptorStat, ErrorCode, HostDescriptorWithStore, NewTimestamp, PathFlags,
    };
    use wasmtime_wasi::p3::filesystem::FilesystemError;

    use super::*;

    /// Before 1970 is as long ago as can be.
    fn ns(at: Instant) -> u64 {
        let seconds = u64::try_from(at.seconds).unwrap_or(0);
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(at.nanoseconds.into())
    }

    fn at(ns: u64) -> Instant {
        Instant {
            seconds: (ns / 1_000_000_000).cast_signed(),
            nanoseconds: (ns % 1_000_000_000) as u32,
        }
    }

    type Files = Accessor<Guest, WasiFilesystem>;

    /// What the guest gets, with the code of an error.
    pub(in crate::engine::host) fn answered<T>(
        result: Result<T, FilesystemError>,
    ) -> wasmtime::Result<Result<T, ErrorCode>> {
        match result {
            Ok(done) => Ok(Ok(done)),
            Err(error) => Ok(Err(error.downcast()?)),
        }
    }

    async fn stat(
        store: &Accessor<Guest>,
        of: &Resource<Descriptor>,
        path: Option<(PathFlags, String)>,
    ) -> Result<DescriptorStat, FilesystemError> {
        let files: Files = store.with_getter::<WasiFilesystem>(Guest::filesystem);
        let of = || Resource::new_borrow(of.rep());
        let mut stat = match path.clone() {
            None => WasiFilesystem::stat(&files, of()).await?,
            Some((flags, path)) => WasiFilesystem::stat_at(&files, of(), flags, path).await?,
        };
        let Some(now) = now_ns(&synced(store)) else {
            return Ok(stat);
        };
        let seen = Seen {
            access: stat.data_access_timestamp.map(ns),
            modification: stat.data_modification_timestamp.map(ns),
            change: stat.status_change_timestamp.map(ns),
        };
        let fixed = store.with(|mut access| access.get().times().map(|times| times.fix(seen, now)));
        let Some((fixed, stamp)) = fixed else {
            return Ok(stat);
        };
        stat.data_access_timestamp = fixed.access.map(at);
        stat.data_modification_timestamp = fixed.modification.map(at);
        stat.status_change_timestamp = fixed.change.map(at);
        if stamp {
            let (keep, now) = (NewTimestamp::NoChange, NewTimestamp::Timestamp(at(now)));
            match path {
                None => WasiFilesystem::set_times(&files, of(), keep, now).await?,
                Some((flags, path)) => WasiFilesystem::set_times_at(&files, of(), flags, path, keep, now).await?,
            }
        }
        Ok(stat)
    }

    fn gives(store: &Accessor<Guest>, set: [&NewTimestamp; 2]) {
        store.with(|mut access| {
            let Some(times) = access.get().times() else { return };
            for time in set {
                if let NewTimestamp::Timestamp(time) = time {
                    times.give(ns(*time));
                }
            }
        });
    }

    pub fn add(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
        let mut types = l.instance("wasi:filesystem/types@0.3.0")?;
        types.func_wrap_concurrent(
            "[method]descriptor.stat",
            |store: &Accessor<Guest>, (fd,): (Resource<Descriptor>,)| {
                Box::pin(async move { Ok((answered(stat(store, &fd, None).await)?,)) })
            },
        )?;
        types.func_wrap_concurrent(
            "[method]descriptor.stat-at",
            |store: &Accessor<Guest>, (fd, flags, path): (Resource<Descriptor>, PathFlags, String)| {
                Box::pin(async move { Ok((answered(stat(store, &fd, Some((flags, path))).await)?,)) })
            },
        )?;
        types.func_wrap_concurrent(
            "[method]descriptor.set-times",
            |store: &Accessor<Guest>,
             (fd, access, modification): (Resource<Descriptor>, NewTimestamp, NewTimestamp)| {
                Box::pin(async move {
                    gives(store, [&access, &modification]);
                    let files: Files = store.with_getter::<WasiFilesystem>(Guest::filesystem);
                    let set = WasiFilesystem::set_times(&files, fd, access, modification).await;
                    Ok((answered(set)?,))
                })
            },
        )?;
        type SetAt = (Resource<Descriptor>, PathFlags, String, NewTimestamp, NewTimestamp);
        types.func_wrap_concurrent(
            "[method]descriptor.set-times-at",
            |store: &Accessor<Guest>, (fd, flags, path, access, modification): SetAt| {
                Box::pin(async move {
                    gives(store, [&access, &modification]);
                    let files: Files = store.with_getter::<WasiFilesystem>(Guest::filesystem);
                    let set = WasiFilesystem::set_times_at(&files, fd, flags, path, access, modification).await;
                    Ok((answered(set)?,))
                })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of WASI 0.3 is replaced here and by the quota. Of 0.2 there are guests that use it.
    const THIRD: &str = r#"(component
      (import "wasi:clocks/system-clock@0.3.0" (instance $clock
        (type $at (record (field "seconds" s64) (field "nanoseconds" u32)))
        (export "instant" (type (eq $at)))))
      (alias export $clock "instant" (type $instant))
      (import "wasi:filesystem/types@0.3.0" (instance
        (export "descriptor" (type $descriptor (sub resource)))
        (export "instant" (type $at (eq $instant)))
        (type $dt (variant (case "block-device") (case "character-device") (case "directory") (case "fifo")
          (case "symbolic-link") (case "regular-file") (case "socket") (case "other" (option string))))
        (export "descriptor-type" (type $kind (eq $dt)))
        (type $ds (record (field "type" $kind) (field "link-count" u64) (field "size" u64)
          (field "data-access-timestamp" (option $at)) (field "data-modification-timestamp" (option $at))
          (field "status-change-timestamp" (option $at))))
        (export "descriptor-stat" (type $stat (eq $ds)))
        (type $ec (variant (case "access") (case "already") (case "bad-descriptor") (case "busy") (case "deadlock")
          (case "quota") (case "exist") (case "file-too-large") (case "illegal-byte-sequence") (case "in-progress")
          (case "interrupted") (case "invalid") (case "io") (case "is-directory") (case "loop") (case "too-many-links")
          (case "message-size") (case "name-too-long") (case "no-device") (case "no-entry") (case "no-lock")
          (case "insufficient-memory") (case "insufficient-space") (case "not-directory") (case "not-empty")
          (case "not-recoverable") (case "unsupported") (case "no-tty") (case "no-such-device") (case "overflow")
          (case "not-permitted") (case "pipe") (case "read-only") (case "invalid-seek") (case "text-file-busy")
          (case "cross-device") (case "other" (option string))))
        (export "error-code" (type $code (eq $ec)))
        (type $pf (flags "symlink-follow"))
        (export "path-flags" (type $flags (eq $pf)))
        (type $nt (variant (case "no-change") (case "now") (case "timestamp" $at)))
        (export "new-timestamp" (type $new (eq $nt)))
        (export "[method]descriptor.stat" (func async (param "self" (borrow $descriptor))
          (result (result $stat (error $code)))))
        (export "[method]descriptor.stat-at" (func async (param "self" (borrow $descriptor)) (param "path-flags" $flags)
          (param "path" string) (result (result $stat (error $code)))))
        (export "[method]descriptor.set-times" (func async (param "self" (borrow $descriptor))
          (param "data-access-timestamp" $new) (param "data-modification-timestamp" $new) (result (result (error $code)))))
        (export "[method]descriptor.set-times-at" (func async (param "self" (borrow $descriptor)) (param "path-flags" $flags)
          (param "path" string) (param "data-access-timestamp" $new) (param "data-modification-timestamp" $new)
          (result (result (error $code)))))
        (type $data (stream u8))
        (type $done (result (error $code)))
        (type $written (future $done))
        (export "[method]descriptor.write-via-stream" (func (param "self" (borrow $descriptor)) (param "data" $data)
          (param "offset" u64) (result $written)))
        (export "[method]descriptor.append-via-stream" (func (param "self" (borrow $descriptor)) (param "data" $data)
          (result $written)))
        (export "[method]descriptor.set-size" (func async (param "self" (borrow $descriptor)) (param "size" u64)
          (result (result (error $code))))))))"#;

    #[test]
    fn functions_have_the_types_of_wasi() {
        let engine = crate::engine::Engine::new(crate::engine::EngineOptions::default()).expect("an engine");
        let component = wasmtime::component::Component::new(engine.wasmtime(), THIRD).expect("a component");
        let linked = engine.linker().instantiate_pre(&component);
        assert!(linked.is_ok(), "{:?}", linked.err());
    }

    #[test]
    fn what_the_machine_wrote_is_replaced_and_what_was_given_stays() {
        let mut times = Times::new(1_000);
        let seen = |ns| Seen {
            access: Some(ns),
            modification: Some(ns),
            change: Some(ns),
        };
        assert_eq!(times.fix(seen(1_500), 7), (seen(7), true));
        // As the file stands then, but for what nobody can set.
        let after = Seen {
            change: Some(1_600),
            access: Some(1_500),
            ..seen(7)
        };
        assert_eq!(times.fix(after, 9), (seen(7), false));
        assert_eq!(times.fix(seen(1_700), 9), (seen(9), true), "changed again");
        times.give(2_000);
        assert_eq!(times.fix(seen(2_000), 11), (seen(2_000), false), "set by the guest");
        // The guest's time may lie after the machine's.
        assert_eq!(times.fix(seen(1_800), 5_000), (seen(5_000), true));
        assert_eq!(times.fix(seen(5_000), 6_000), (seen(5_000), false));
    }
}
