//! Tells when the files that a configuration is made of have changed: notify is the bell, the content's
//! hash is the truth.
//!
//! The control thread awaits [`Watch::changed`], loads, and says with [`Watch::follow`] what it has seen,
//! also when the load failed: the same content is never reported twice. A rename, a write in place and
//! the swap of a link somewhere on the way (as Kubernetes swaps `..data`) all ring the bell. A file that
//! somebody is writing to is waited for until it is closed, and nothing is reported until two looks,
//! `limits::SETTLE` apart, see the same.
//! Bounds: `limits::WRITER_SILENCE` for a writer that never closes; `limits::POLL_FILES_EVERY` where the
//! bell is silent (no inotify watches left, network file systems, bind mounts);
//! `limits::FILE_EVENTS_MAX` events wait.
use super::files::Inputs;
use crate::limits;
use arc_swap::ArcSwap;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Watches the files of the last load.
#[derive(Debug)]
pub struct Watch {
    /// What the last load saw.
    seen: Inputs,
    /// The bell may have rung since the files were compared with `seen`.
    rung: bool,
    bell: mpsc::Receiver<Ring>,
    /// None where the kernel gives no watches; then files are only polled.
    watcher: Option<RecommendedWatcher>,
    /// Watched directories: device and inode, because a name can come to mean another directory.
    watched: BTreeMap<PathBuf, (u64, u64)>,
    /// The paths that ring; shared with notify's thread.
    paths: Arc<ArcSwap<BTreeSet<PathBuf>>>,
    /// Files that were written to and not closed yet, and when they were last written to.
    writers: BTreeMap<PathBuf, Instant>,
    stamps: Vec<Option<Stamp>>,
    writer_silence: Duration,
}

/// What the bell says.
#[derive(Debug)]
enum Ring {
    /// Somebody writes to this file.
    Written(PathBuf),
    /// Somebody who wrote has closed it.
    Closed(PathBuf),
    /// The name stands for something else now, or for nothing.
    Moved(PathBuf),
    /// Something happened.
    Other,
}

impl Watch {
    /// Watches what a load looked at.
    pub fn new(inputs: &Inputs) -> Self {
        let (ring, bell) = mpsc::channel(limits::FILE_EVENTS_MAX);
        let paths = Arc::new(ArcSwap::from_pointee(BTreeSet::new()));
        let watcher = match notify::recommended_watcher(ringer(ring, Arc::clone(&paths))) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                let every = limits::POLL_FILES_EVERY;
                tracing::warn!(%error, "files are polled every {every:?}: the kernel tells nothing");
                None
            }
        };
        let mut watch = Self {
            seen: Inputs::default(),
            rung: true,
            bell,
            watcher,
            watched: BTreeMap::new(),
            paths,
            writers: BTreeMap::new(),
            stamps: Vec::new(),
            writer_silence: limits::WRITER_SILENCE,
        };
        watch.follow(inputs);
        watch
    }

    /// From now on a change is one from what this load has seen.
    pub fn follow(&mut self, inputs: &Inputs) {
        self.seen = inputs.clone();
        // Whatever changed since the load read it is found by the next look.
        self.rung = true;
        self.arm();
    }

    /// Waits until the files hold something else than the last load has seen, and nobody is writing to
    /// them. May be dropped and called again at any time.
    pub async fn changed(&mut self) {
        loop {
            if !self.rung {
                self.wait().await;
            }
            if self.settled().await {
                return;
            }
        }
    }

    /// Waits for the bell, or for a poll that finds something touched.
    async fn wait(&mut self) {
        self.rings_within(limits::POLL_FILES_EVERY).await;
        self.arm();
        self.rung |= self.stamps != stamps(&self.seen);
    }

    /// Whether the files have changed, once they hold still.
    async fn settled(&mut self) -> bool {
        loop {
            while let Ok(ring) = self.bell.try_recv() {
                self.take(ring);
            }
            self.arm();
            if let Some(patience) = self.patience() {
                self.rings_within(patience).await;
                continue;
            }
            self.stamps = stamps(&self.seen);
            let before = look(&self.seen).await;
            if before == self.seen {
                self.rung = false;
                return false;
            }
            if self.rings_within(limits::SETTLE).await {
                continue;
            }
            if look(&self.seen).await == before && self.bell.is_empty() {
                self.seen = before;
                self.rung = false;
                return true;
            }
        }
    }

    /// Waits for the bell, and answers whether it rang. Without one it is the wait that is left.
    async fn rings_within(&mut self, time: Duration) -> bool {
        match timeout(time, self.bell.recv()).await {
            Ok(Some(ring)) => {
                self.take(ring);
                return true;
            }
            Ok(None) => sleep(time).await,
            Err(_) => {}
        }
        false
    }

    /// How much longer a writer is waited for, if there is one.
    fn patience(&mut self) -> Option<Duration> {
        let silence = self.writer_silence;
        self.writers.retain(|_, written| written.elapsed() < silence);
        self.writers.values().map(|written| silence.saturating_sub(written.elapsed())).max()
    }

    fn take(&mut self, ring: Ring) {
        self.rung = true;
        match ring {
            Ring::Written(path) => drop(self.writers.insert(path, Instant::now())),
            Ring::Closed(path) => drop(self.writers.remove(&path)),
            Ring::Moved(path) => {
                self.writers.remove(&path);
                self.unwatch(&path);
            }
            Ring::Other => {}
        }
    }

    /// Watches every directory in which the way to one of the files can change.
    fn arm(&mut self) {
        let mut ways = Ways::default();
        for path in self.seen.0.keys() {
            ways.follow(path);
        }
        let stale: Vec<_> =
            self.watched.keys().filter(|path| !ways.directories.contains(*path)).cloned().collect();
        for path in stale {
            self.unwatch(&path);
        }
        for path in &ways.directories {
            let Ok(metadata) = path.metadata() else { continue };
            let identity = (metadata.dev(), metadata.ino());
            if self.watched.get(path) == Some(&identity) {
                continue;
            }
            self.unwatch(path);
            let Some(watcher) = &mut self.watcher else { continue };
            match watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(path.clone(), identity)),
                Err(error) => {
                    tracing::debug!(%error, path = %path.display(), "polled, not watched");
                }
            }
        }
        ways.paths.extend(ways.directories);
        self.paths.store(Arc::new(ways.paths));
    }

    fn unwatch(&mut self, path: &Path) {
        if self.watched.remove(path).is_some()
            && let Some(watcher) = &mut self.watcher
        {
            // The kernel may have dropped it already, with the directory.
            let _ = watcher.unwatch(path);
        }
    }
}

/// Runs on notify's thread: passes on what concerns our paths. Reading them rings nothing.
fn ringer(
    ring: mpsc::Sender<Ring>,
    paths: Arc<ArcSwap<BTreeSet<PathBuf>>>,
) -> impl FnMut(notify::Result<Event>) {
    let mut last_write: Option<(PathBuf, Instant)> = None;
    move |event| {
        // When the channel is full the bell has been rung often enough.
        let Ok(event) = event else {
            let _ = ring.try_send(Ring::Other);
            return;
        };
        if event.need_rescan() {
            let _ = ring.try_send(Ring::Other);
        }
        let paths = paths.load();
        for path in event.paths.into_iter().filter(|path| paths.contains(path)) {
            let rung = match event.kind {
                EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                    last_write = None;
                    Ring::Closed(path)
                }
                EventKind::Access(_) => continue,
                EventKind::Modify(ModifyKind::Data(_)) => {
                    // One big file is written in thousands of steps.
                    let again = |(last, at): &(PathBuf, Instant)| {
                        *last == path && at.elapsed() < WRITES_JOINED
                    };
                    if last_write.as_ref().is_some_and(again) {
                        continue;
                    }
                    last_write = Some((path.clone(), Instant::now()));
                    Ring::Written(path)
                }
                EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => Ring::Moved(path),
                EventKind::Modify(_) | EventKind::Create(_) | EventKind::Any | EventKind::Other => {
                    Ring::Other
                }
            };
            let _ = ring.try_send(rung);
        }
    }
}

/// Reads the files away from the control thread's loop.
async fn look(seen: &Inputs) -> Inputs {
    let files = seen.clone();
    // A reader that panicked has seen nothing; the next poll looks again.
    tokio::task::spawn_blocking(move || files.now()).await.unwrap_or_else(|_| seen.clone())
}

/// What changes whenever a file does, and costs no reading: enough for a poll to know when to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

fn stamps(inputs: &Inputs) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| {
        let metadata = path.metadata().ok()?;
        Some(Stamp {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    };
    inputs.0.keys().map(stamp).collect()
}

/// The ways to files through links: which names matter, and in which directories they stand.
#[derive(Debug, Default)]
struct Ways {
    paths: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
}

impl Ways {
    /// Goes to `path` step by step, noting each link on the way and the end of it: the file, or the
    /// first name that does not exist.
    fn follow(&mut self, path: &Path) {
        let mut ahead = steps(path);
        let mut here = PathBuf::from("/");
        let mut links = 0;
        while let Some(step) = ahead.pop() {
            match step {
                Step::Root => here = PathBuf::from("/"),
                Step::Up => drop(here.pop()),
                Step::Down(name) => {
                    let next = here.join(name);
                    let metadata = next.symlink_metadata();
                    let link = metadata.as_ref().is_ok_and(|metadata| metadata.is_symlink());
                    if link || metadata.is_err() || ahead.is_empty() {
                        self.directories.insert(here.clone());
                        self.paths.insert(next.clone());
                    }
                    if metadata.is_err() {
                        return;
                    }
                    match link.then(|| std::fs::read_link(&next)) {
                        Some(Ok(target)) if links < LINKS_MAX => {
                            links += 1;
                            ahead.extend(steps(&target));
                        }
                        Some(_) => return,
                        None => here = next,
                    }
                }
            }
        }
    }
}

/// One step of a path.
#[derive(Debug)]
enum Step {
    Root,
    Up,
    Down(OsString),
}

/// The steps of a path, last one first.
fn steps(path: &Path) -> Vec<Step> {
    let step = |component: Component<'_>| match component {
        Component::Prefix(_) | Component::CurDir => None,
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
    };
    path.components().rev().filter_map(step).collect()
}

/// As many as Linux follows (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// Writes to one file within this time ring once.
const WRITES_JOINED: Duration = Duration::from_millis(100);

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
