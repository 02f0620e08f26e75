//! The watching task: waits for events, deadlines and sweeps, and has the file system looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::fold::{Batch, Fold, Touch, Tuning, Weight};
use super::ignore::ignored;
use super::ledger::{How, Ledger, Verdict};
use super::look::{Look, Looked, Seen};
use super::native::{CLOSES, Events, Insufficient, Native, Raw};
use super::print::{Depth, Print};
use super::scan::{Walk, git_lock, is_locked, remote_file_system};
use super::{Found, Interest, Update};

/// Between two sweeps behind notifications.
const SWEEP: Duration = Duration::from_secs(3);
/// Between two sweeps without notifications.
const POLL: Duration = Duration::from_millis(250);
/// Between two looks for a folder that vanished.
const ROOT_POLL: Duration = Duration::from_millis(100);
/// A sweep takes at most one part in this many of the time.
const SWEEP_SHARE: u32 = 20;
/// Paths whose last event is remembered.
const RECENT_MAX: usize = 4096;
/// File systems stamp with a clock that ticks this seldom, at worst.
const TICK: Duration = Duration::from_millis(10);

pub struct Task {
    root: PathBuf,
    updates: mpsc::UnboundedReceiver<Update>,
    out: mpsc::Sender<Found>,
    calm: watch::Sender<Option<Instant>>,
    native: Option<Arc<Mutex<Native>>>,
    events: Option<Events>,
    polling: bool,
    fold: Fold,
    ledger: Ledger,
    interest: Arc<Interest>,
    /// The files that watched links lead to -> the links.
    aliases: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// The last event of each path.
    recent: BTreeMap<PathBuf, Instant>,
    /// Found by a sweep, without an event so far.
    suspects: BTreeSet<PathBuf>,
    git_lock: Option<PathBuf>,
    root_gone: bool,
    told_too_many: bool,
    next_sweep: Instant,
    fills: (mpsc::UnboundedSender<Vec<Seen>>, mpsc::UnboundedReceiver<Vec<Seen>>),
}

/// Runs `job` on a blocking thread; its panic becomes ours.
async fn blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(job).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is shutting down and polls nobody again.
            Err(_) => std::future::pending().await,
        },
    }
}

impl Task {
    pub fn new(
        root: PathBuf,
        poll: bool,
        updates: mpsc::UnboundedReceiver<Update>,
        out: mpsc::Sender<Found>,
        calm: watch::Sender<Option<Instant>>,
    ) -> Task {
        Task {
            root,
            updates,
            out,
            calm,
            native: None,
            events: None,
            polling: poll,
            fold: Fold::new(Tuning::new(CLOSES)),
            ledger: Ledger::default(),
            interest: Arc::default(),
            aliases: BTreeMap::new(),
            recent: BTreeMap::new(),
            suspects: BTreeSet::new(),
            git_lock: None,
            root_gone: false,
            told_too_many: false,
            next_sweep: Instant::now() + SWEEP,
            fills: mpsc::unbounded_channel(),
        }
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let stopped = stop.clone();
        tokio::select! {
            () = stopped.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        self.begin().await;
        loop {
            let wake = self
                .fold
                .deadline()
                .map_or(self.next_sweep, |due| due.min(self.next_sweep));
            let raw = async {
                match &mut self.events {
                    Some(events) => events.raw.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                update = self.updates.recv() => match update {
                    Some(update) => self.take_up(update).await,
                    None => return,
                },
                event = raw => match event {
                    Some(event) => self.events(event),
                    None => {
                        self.events = None;
                        self.poll_because("the system's notifications ended".to_owned()).await;
                    }
                },
                fill = self.fills.1.recv() => {
                    for seen in fill.into_iter().flatten() {
                        self.ledger.fill(&seen.path, &seen.print);
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            self.flush().await;
            if self.out.is_closed() {
                return;
            }
        }
    }

    async fn begin(&mut self) {
        let root = self.root.clone();
        let wanted = !self.polling;
        let begin = move || (wanted.then(Native::start), git_lock(&root), remote_file_system(&root));
        let (native, git_lock, remote) = blocking(begin).await;
        self.git_lock = git_lock;
        match native {
            Some(Ok((native, events))) => {
                self.native = Some(Arc::new(Mutex::new(native)));
                self.events = Some(events);
            }
            Some(Err(Insufficient(why))) => self.poll_because(why).await,
            None => {}
        }
        if let Some(name) = remote {
            self.poll_because(format!(
                "the project lies on {name}, which does not tell of all changes"
            ))
            .await;
        }
        if self.polling {
            self.next_sweep = Instant::now() + POLL;
        }
    }

    async fn poll_because(&mut self, why: String) {
        if !std::mem::replace(&mut self.polling, true) {
            self.next_sweep = self.next_sweep.min(Instant::now() + POLL);
            self.tell(Found::Polling { why }).await;
        }
    }

    async fn tell(&self, found: Found) {
        tracing::debug!(?found);
        // A closed channel ends the task at its next turn.
        let _ = self.out.send(found).await;
    }

    /// An event and all that wait behind it, so that what came together is folded together.
    fn events(&mut self, first: Raw) {
        self.event(first);
        self.waiting_events();
    }

    fn waiting_events(&mut self) {
        while let Some(event) = self.events.as_mut().and_then(|events| events.raw.try_recv().ok()) {
            self.event(event);
        }
        if self
            .events
            .as_ref()
            .is_some_and(|events| events.lost.swap(false, Ordering::AcqRel))
        {
            self.fold.lost(Instant::now());
        }
        self.calm.send_replace(self.fold.calm_at());
    }

    fn event(&mut self, event: Raw) {
        tracing::trace!(?event);
        let Raw { at, path, touch } = event;
        if path.as_os_str().is_empty() {
            return;
        }
        let links = self.aliases.get(&path).cloned().unwrap_or_default();
        let matters = !links.is_empty();
        for link in links {
            self.fold.event(at, &link, touch, Weight::Known);
            self.recent.insert(link, at);
        }
        let known = path == self.root || self.ledger.beneath(&path).next().is_some();
        if known {
            self.fold.event(at, &path, touch, Weight::Known);
        } else if self.counts_in_a_tree(&path) {
            self.fold.event(at, &path, touch, Weight::New);
        } else if !matters && path.strip_prefix(&self.root).is_ok_and(ignored) {
            return;
        }
        if self.recent.len() >= RECENT_MAX {
            let mut times: Vec<Instant> = self.recent.values().copied().collect();
            let (_, median, _) = times.select_nth_unstable(RECENT_MAX / 2);
            let median = *median;
            self.recent.retain(|_, at| *at > median);
        }
        self.recent.insert(path, at);
    }

    fn counts_in_a_tree(&self, path: &Path) -> bool {
        self.interest
            .trees
            .iter()
            .any(|tree| path.strip_prefix(tree).is_ok_and(|relative| !ignored(relative)))
    }

    async fn flush(&mut self) {
        let now = Instant::now();
        if self.fold.deadline().is_some_and(|due| due <= now) {
            let lock = self.git_lock.clone();
            let held = match lock {
                Some(lock) => blocking(move || is_locked(&lock)).await,
                None => false,
            };
            if !(held && self.fold.hold(now))
                && let Some(batch) = self.fold.poll(now)
            {
                self.look_at(batch).await;
            }
        }
        if Instant::now() >= self.next_sweep {
            self.sweep().await;
        }
    }

    fn look(&self, paths: BTreeSet<PathBuf>, depth: Depth) -> Look {
        let known = self.ledger.iter().map(|(path, _)| path.to_owned());
        Look {
            root: self.root.clone(),
            interest: self.interest.clone(),
            native: self.native.clone(),
            touched: BTreeSet::new(),
            paths,
            known: known.chain(self.aliases.keys().cloned()).collect(),
            skip: BTreeSet::new(),
            everything: false,
            depth,
        }
    }

    async fn look_at(&mut self, batch: Batch) {
        let mut paths = BTreeSet::new();
        for path in &batch.paths {
            paths.extend(self.ledger.beneath(path).map(Path::to_owned));
            paths.insert(path.clone());
        }
        if batch.rescan {
            paths.extend(self.ledger.iter().map(|(path, _)| path.to_owned()));
        }
        tracing::debug!(?batch, "look");
        let mut look = self.look(paths, Depth::Content);
        look.everything = batch.rescan || batch.paths.contains(&self.root);
        look.touched = batch.paths;
        let looked = blocking(move || look.run()).await;
        self.compare(looked, batch.since).await;
    }

    /// Tells what differs from what was known.
    async fn compare(&mut self, looked: Looked, since: Instant) {
        if !looked.root_there {
            return self.root_is_gone().await;
        }
        self.root_is_there().await;
        self.after_watching(looked.insufficient, looked.truncated).await;
        let now = Instant::now();
        let mut files = BTreeMap::new();
        let mut missed = None;
        for Seen { path, real, print } in looked.seen {
            let wanted = self.interest.files.contains(&path);
            let watched = self.ledger.contains(&path) || self.counts_in_a_tree(&path);
            if !watched || (print == Print::Folder && !wanted) {
                continue;
            }
            let forget = !wanted && !print.is_there();
            match self.ledger.observe(&path, print, now) {
                Verdict::Same => {}
                Verdict::Unsettled(when) => {
                    self.fold.again(path, since, when);
                    continue;
                }
                Verdict::Changed(how) => {
                    self.alias(&path, real);
                    if self.suspects.contains(&path) && !self.was_notified(&path) {
                        missed = Some(path.clone());
                    }
                    files.insert(path.clone(), how);
                }
            }
            if forget {
                self.ledger.remove(&path);
            }
        }
        self.suspects.retain(|path| !files.contains_key(path));
        if !files.is_empty() {
            self.tell(Found::Changed { files, since }).await;
        }
        if let Some(path) = missed {
            let name = path.strip_prefix(&self.root).unwrap_or(&path).display().to_string();
            self.poll_because(format!("{name} changed without a notification by the system"))
                .await;
        }
    }

    /// An event of the path or of a folder above it has come lately.
    fn was_notified(&self, path: &Path) -> bool {
        let oldest = Instant::now().checked_sub(SWEEP * 2);
        path.ancestors().any(|path| {
            self.recent
                .get(path)
                .is_some_and(|&at| oldest.is_none_or(|oldest| at > oldest))
        })
    }

    fn alias(&mut self, path: &Path, real: Option<PathBuf>) {
        self.aliases.retain(|_, links| {
            links.remove(path);
            !links.is_empty()
        });
        if let Some(real) = real {
            self.aliases.entry(real).or_default().insert(path.to_owned());
        }
    }

    async fn after_watching(&mut self, insufficient: Option<Insufficient>, truncated: bool) {
        if let Some(Insufficient(why)) = insufficient {
            self.poll_because(why).await;
        }
        if truncated && !std::mem::replace(&mut self.told_too_many, true) {
            self.tell(Found::TooMany).await;
        }
    }

    async fn root_is_gone(&mut self) {
        if !std::mem::replace(&mut self.root_gone, true) {
            self.tell(Found::RootGone).await;
        }
        self.next_sweep = Instant::now() + ROOT_POLL;
    }

    async fn root_is_there(&mut self) {
        if std::mem::replace(&mut self.root_gone, false) {
            self.tell(Found::RootBack).await;
            self.fold.lost(Instant::now());
        }
    }

    /// Takes in what is new of an interest: watches it, looks at it, and remembers that as its state.
    async fn take_up(&mut self, update: Update) {
        let Update {
            mut interest,
            mut read_since,
            mut rescan,
            done,
        } = update;
        let mut done: Vec<_> = done.into_iter().collect();
        // Many functions that finish together make one look.
        while let Ok(newer) = self.updates.try_recv() {
            interest = newer.interest;
            read_since = [read_since, newer.read_since].into_iter().flatten().min();
            rescan |= newer.rescan;
            done.extend(newer.done);
        }
        let first = self.ledger.is_empty();
        tracing::debug!(?interest, "watch");
        let fresh: BTreeSet<PathBuf> = interest
            .files
            .iter()
            .filter(|path| !self.ledger.contains(path))
            .cloned()
            .collect();
        let same = fresh.is_empty() && interest.trees == self.interest.trees;
        self.interest = interest;
        let (files, trees) = (&self.interest.files, &self.interest.trees);
        let in_a_tree = |path: &Path| {
            let mut trees = trees.iter();
            trees.any(|tree| path.strip_prefix(tree).is_ok_and(|rest| !ignored(rest)))
        };
        let dropped = self.ledger.retain(|path| files.contains(path) || in_a_tree(path));
        if !same || dropped {
            // The first look is in the way of the first load: contents are read behind it.
            let depth = if first { Depth::Recent } else { Depth::Content };
            let mut look = self.look(fresh, depth);
            look.everything = true;
            look.skip = self.ledger.iter().map(|(path, _)| path.to_owned()).collect();
            look.known.extend(self.interest.files.iter().cloned());
            let looked = blocking(move || look.run()).await;
            self.remember(looked, read_since).await;
            if first {
                self.fill_later();
            }
        }
        if rescan {
            self.fold.lost(Instant::now());
        }
        for done in done {
            // Nobody waits any more: then nobody needs to know.
            let _ = done.send(());
        }
    }

    async fn remember(&mut self, looked: Looked, read_since: Option<Instant>) {
        if !looked.root_there {
            return self.root_is_gone().await;
        }
        self.after_watching(looked.insufficient, looked.truncated).await;
        // What has happened until the look: its outcome is in what was seen, and would pass as known.
        self.waiting_events();
        let mut files = BTreeMap::new();
        for Seen { path, real, print } in looked.seen {
            if self.ledger.contains(&path) || (print == Print::Folder && !self.interest.files.contains(&path)) {
                continue;
            }
            if read_since
                .is_some_and(|since| self.changed_since(&path, &print, since, looked.unwatched.contains(&path)))
            {
                files.insert(path.clone(), How::Modified);
            }
            self.alias(&path, real);
            self.ledger.set(path, print);
        }
        if let Some(since) = read_since.filter(|_| !files.is_empty()) {
            self.tell(Found::Changed { files, since }).await;
        }
    }

    /// Whether a file that was not watched yet may have changed after it was read: by its events, which may still be on their
    /// way, or by its time. If its folder was not watched either, a time that is not exact has to do.
    fn changed_since(&self, path: &Path, print: &Print, since: Instant, by_time: bool) -> bool {
        if self.recent.get(path).is_some_and(|&at| at >= since) {
            return true;
        }
        let modified = print.stamp().and_then(|stamp| stamp.modified);
        let age = modified.map(|modified| modified.elapsed().unwrap_or_default());
        let slack = if by_time { TICK } else { Duration::ZERO };
        age.is_some_and(|age| age < since.elapsed() + slack)
    }

    /// Reads the contents of all files that are known by their stamps alone, behind everything else.
    fn fill_later(&self) {
        let blank = |print: &Print| matches!(print, Print::File { hash: None, .. });
        let paths: Vec<PathBuf> = self
            .ledger
            .iter()
            .filter(|(_, print)| blank(print))
            .map(|(path, _)| path.to_owned())
            .collect();
        let sender = self.fills.0.clone();
        tokio::task::spawn_blocking(move || {
            let seen = paths.into_iter().map(|path| Seen::take(path, Depth::Content)).collect();
            // The task may have ended meanwhile.
            let _ = sender.send(seen);
        });
    }

    /// Compares times and sizes of everything with what is known; what differs is treated as an event.
    async fn sweep(&mut self) {
        let began = Instant::now();
        let paths = self.ledger.iter().map(|(path, _)| path.to_owned()).collect();
        let mut look = self.look(paths, Depth::Stamp);
        let back = self.root_gone;
        let (looked, replaced) = blocking(move || {
            let replaced = match &look.native {
                Some(native) => native.lock().unwrap_or_else(PoisonError::into_inner).replaced(),
                None => Vec::new(),
            };
            look.everything = back || !replaced.is_empty();
            let walk = (!look.everything).then(|| Walk::all(&look.interest));
            look.paths.extend(walk.into_iter().flat_map(|walk| walk.files));
            (look.run(), replaced)
        })
        .await;
        if !looked.root_there {
            return self.root_is_gone().await;
        }
        self.after_watching(looked.insufficient, looked.truncated).await;
        let interval = if self.polling { POLL } else { SWEEP };
        self.next_sweep = Instant::now() + interval.max(began.elapsed() * SWEEP_SHARE);
        self.root_is_there().await;
        for Seen { path, print, .. } in looked.seen {
            let known = self.ledger.get(&path);
            let differs = match known {
                Some(known) => known.stamp() != print.stamp() || known.is_there() != print.is_there(),
                None => print.is_there() && print != Print::Folder && self.counts_in_a_tree(&path),
            };
            if differs {
                let touch = if print.is_there() { Touch::Writing } else { Touch::Gone };
                let weight = if known.is_some() { Weight::Known } else { Weight::New };
                self.fold.event(began, &path, touch, weight);
                if replaced.is_empty() && !self.polling {
                    self.suspects.insert(path);
                }
            }
        }
        self.calm.send_replace(self.fold.calm_at());
    }
}

#[cfg(test)]
mod tests {
    use super::super::print::Stamp;
    use super::*;

    #[test]
    fn what_changed_after_it_was_read_is_a_change_whether_its_event_has_come_or_not() {
        let (_sender, updates) = mpsc::unbounded_channel();
        let task = Task::new(
            PathBuf::from("/project"),
            true,
            updates,
            mpsc::channel(1).0,
            watch::channel(None).0,
        );
        let read = Instant::now();
        let modified = |modified: std::time::SystemTime| Print::File {
            stamp: Stamp {
                bytes: 1,
                modified: Some(modified),
                identity: 1,
            },
            hash: None,
        };
        let file = tempfile::NamedTempFile::new().expect("a file");
        let now = file
            .as_file()
            .metadata()
            .and_then(|file| file.modified())
            .expect("a time");
        let path = Path::new("/project/tsconfig.json");
        for by_time in [false, true] {
            assert!(task.changed_since(path, &modified(now + Duration::from_secs(60)), read, by_time));
            assert!(!task.changed_since(path, &modified(now - Duration::from_secs(60)), read, by_time));
        }
    }
}
