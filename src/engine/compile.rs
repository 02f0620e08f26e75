//! Turns components into machine code: in a low-priority child of this binary, or in process where there is none.
//!
//! Cranelift cannot be cancelled and leaves its memory behind. A child can be killed when a newer change arrives or a
//! bound is reached, and takes its memory with it; the parent only loads what the child has left in the [cache].

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use wasmtime::component::Component;

use super::cache::{self, Cache, Key};
use super::{config, mapped};

/// The hidden command: `emu __compile OUT`, the component on standard input after its length.
const CHILD_COMMAND: &str = "__compile";
/// Makes the child leave bare code, ready to be mapped, where nobody keeps it: `emu __compile OUT bare`.
const BARE: &str = "bare";
/// Longest compilation; the largest components known (Python, .NET) take a minute on one slow core.
const COMPILE_TIME_MAX: Duration = Duration::from_secs(300);
/// Address space of the child.
#[cfg(unix)]
const COMPILE_MEMORY_BYTES_MAX: u64 = 4 << 30;
/// A component above this is refused before it is compiled.
pub(super) const WASM_BYTES_MAX: u64 = 256 << 20;
/// How often a memory image is tried: some seconds in all.
const SEAL_ATTEMPTS_MAX: usize = 50;
/// Of the child's complaint.
const MESSAGE_BYTES_MAX: u64 = 64 << 10;

/// Set by [`child_main`]: this process's own executable answers [`CHILD_COMMAND`].
static CAN_BE_CHILD: AtomicBool = AtomicBool::new(false);

/// Where compilation happens.
#[derive(Clone, Debug)]
pub enum CompileIn {
    /// In a child: an executable whose `main` begins with [`child_main`].
    Child(PathBuf),
    /// On a thread of this process: not to be cancelled, for tests and embedders.
    Process,
}

impl Default for CompileIn {
    /// A child if this binary can be one, else this process.
    fn default() -> Self {
        match std::env::current_exe() {
            Ok(executable) if CAN_BE_CHILD.load(Ordering::Relaxed) => Self::Child(executable),
            _ => Self::Process,
        }
    }
}

/// Why there is no machine code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// What wasmtime says of the bytes.
    #[error("{0}")]
    Invalid(String),
    #[error("compiling takes more than {} s: the component is too large or made to be slow", COMPILE_TIME_MAX.as_secs())]
    TooSlow,
    #[error("the compiling process ended early ({0}); it may use 4 GiB of memory")]
    Died(String),
    #[error("compiled code cannot be kept: {0}")]
    Io(#[from] std::io::Error),
}

/// A component, ready to be linked.
pub struct Compiled {
    pub component: Component,
    /// It came from the cache.
    pub cached: bool,
    pub took: Duration,
}

/// Compiles and remembers. One compilation at a time: Cranelift uses all cores by itself.
pub struct Compiler {
    engine: wasmtime::Engine,
    place: CompileIn,
    cache: Option<Cache>,
    turn: Semaphore,
    /// Of compilations that nobody waits for.
    spare_turn: Semaphore,
    /// Kept code that was used, in this order.
    used: Mutex<Vec<PathBuf>>,
}

impl Compiler {
    /// `cache_dir`: see [`cache::dir`]; `None` keeps nothing between runs.
    pub(super) fn new(engine: wasmtime::Engine, place: CompileIn, cache_dir: Option<&Path>) -> Self {
        let cache = cache_dir.and_then(|dir| match Cache::open(dir) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!("{error}");
                None
            }
        });
        Self {
            engine,
            place,
            cache,
            turn: Semaphore::new(1),
            spare_turn: Semaphore::new(1),
            used: Mutex::default(),
        }
    }

    /// Files of kept code that were used so far, in this order.
    pub(super) fn used(&self) -> Vec<PathBuf> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note that a component's code was used, where it is kept.
    fn note(&self, key: &Key) {
        let path = self.cache.as_ref().map(|cache| cache.path(key));
        if let Some(path) = path.filter(|path| path.is_file()) {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.retain(|known| *known != path);
            used.push(path);
        }
    }

    /// Machine code for a binary component, from the cache or new. Dropping the future kills the child.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub async fn component(&self, wasm: Bytes) -> Result<Compiled, CompileError> {
        let started = Instant::now();
        let key = Key::new(&wasm, &self.engine);
        let (component, cached) = self.cached_or_new(wasm, &key).await?;
        self.note(&key);
        Ok(Compiled {
            component,
            cached,
            took: started.elapsed(),
        })
    }

    /// Whether it was kept already.
    async fn cached_or_new(&self, wasm: Bytes, key: &Key) -> Result<(Component, bool), CompileError> {
        if let Some(component) = self.cached(key).await? {
            return Ok((component, true));
        }
        let _turn = self.turn.acquire().await.map_err(std::io::Error::other)?;
        // Another task may have compiled the same meanwhile.
        if let Some(component) = self.cached(key).await? {
            return Ok((component, true));
        }
        let code = match &self.place {
            CompileIn::Child(executable) => self.in_child(executable, &wasm, key).await?,
            CompileIn::Process => self.in_process(wasm, key).await?,
        };
        Ok((self.deserialize(code).await?, false))
    }

    /// Machine code that nobody waits for, and that no other run of emu will find: what went in may hold secrets. Dropping
    /// the future kills the child.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub async fn unkept(&self, wasm: Bytes) -> Result<Unkept, CompileError> {
        let _turn = self.spare_turn.acquire().await.map_err(std::io::Error::other)?;
        let engine = self.engine.clone();
        let CompileIn::Child(executable) = &self.place else {
            return blocking(move || {
                let code = engine.precompile_component(&wasm);
                let code = code.map_err(|error| CompileError::Invalid(format!("{error:#}")))?;
                Unkept::of(deserialized(&engine, &code))
            })
            .await;
        };
        let folder = match &self.cache {
            Some(cache) => cache.scratch_folder()?,
            None => tempfile::tempdir()?,
        };
        let out = folder.path().join("code");
        compile_in_child(executable, &wasm, &out, &[BARE]).await?;
        blocking(move || {
            // SAFETY: this very executable has just written the file, as a child that ended well, into a folder that only this
            // user may enter and that is gone when this returns. wasmtime itself checks version and configuration.
            #[expect(unsafe_code, reason = "wasmtime cannot prove that a file is its own machine code")]
            let component = unsafe { Component::deserialize_file(&engine, &out) };
            let file = mapped::inode(&out);
            drop(folder);
            // Its memories may be mapped from the file itself.
            let mut unkept = Unkept::of(component)?;
            unkept.memories.extend(file);
            Ok(unkept)
        })
        .await
    }

    async fn cached(&self, key: &Key) -> Result<Option<Component>, CompileError> {
        let Some(cache) = self.cache.clone() else {
            return Ok(None);
        };
        let key = key.clone();
        let code = blocking(move || Ok(cache.load(&key))).await?;
        match code {
            Some(code) => Ok(Some(self.deserialize(code).await?)),
            None => Ok(None),
        }
    }

    async fn in_process(&self, wasm: Bytes, key: &Key) -> Result<Vec<u8>, CompileError> {
        let engine = self.engine.clone();
        let store = self.cache.clone().map(|cache| (cache.scratch(key), cache, key.clone()));
        blocking(move || {
            let code = engine
                .precompile_component(&wasm)
                .map_err(|error| CompileError::Invalid(format!("{error:#}")))?;
            if let Some((scratch, cache, key)) = store {
                // Without the cache the code is as good, the next start only slower.
                let kept = cache::write_entry(&scratch, &code).and_then(|()| cache.adopt(&scratch, &key));
                if let Err(error) = kept {
                    tracing::warn!("compiled code is not kept: {error}");
                }
            }
            Ok(code)
        })
        .await
    }

    async fn in_child(&self, executable: &Path, wasm: &Bytes, key: &Key) -> Result<Vec<u8>, CompileError> {
        let private;
        let out = match &self.cache {
            Some(cache) => Scratch(cache.scratch(key)),
            None => {
                private = tempfile::tempdir()?;
                Scratch(private.path().join("code"))
            }
        };
        compile_in_child(executable, wasm, &out.0, &[]).await?;
        let cache = self.cache.clone();
        let key = key.clone();
        blocking(move || {
            let Some(code) = cache::verified(std::fs::read(&out.0)?) else {
                return Err(CompileError::Died("its result is damaged".into()));
            };
            if let Some(cache) = cache
                && let Err(error) = cache.adopt(&out.0, &key)
            {
                tracing::warn!("compiled code is not kept: {error}");
            }
            Ok(code)
        })
        .await
    }

    async fn deserialize(&self, code: Vec<u8>) -> Result<Component, CompileError> {
        let engine = self.engine.clone();
        blocking(move || ready(deserialized(&engine, &code))).await
    }
}

fn deserialized(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are what `precompile_component` returned: made in this process, or by this very
    // executable in a child, and then read from a folder that only this user may write and checked against the
    // SHA-256 that was stored with them. wasmtime itself checks version and configuration.
    #[expect(unsafe_code, reason = "wasmtime cannot prove that bytes are its own machine code")]
    unsafe {
        Component::deserialize(engine, code)
    }
}

/// A component that is compiled for this process alone.
pub struct Unkept {
    pub component: Component,
    /// The files behind its memories, by their inodes, where the system has such.
    pub memories: BTreeSet<u64>,
}

impl Unkept {
    fn of(component: wasmtime::Result<Component>) -> Result<Unkept, CompileError> {
        let _alone = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
        let before = mapped::images().unwrap_or_default();
        let component = ready_alone(component)?;
        let after = mapped::images().unwrap_or_default();
        let memories = after.difference(&before).copied().collect();
        Ok(Unkept { component, memories })
    }
}

/// Memory images are made one after the other, so that one can tell which are whose.
static IMAGES: Mutex<()> = Mutex::new(());

/// A component whose memory images are made, so that no instantiation has to make them.
fn ready(component: wasmtime::Result<Component>) -> Result<Component, CompileError> {
    let _alone = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
    ready_alone(component)
}

fn ready_alone(component: wasmtime::Result<Component>) -> Result<Component, CompileError> {
    let made = component.and_then(|component| {
        while_busy(|| component.initialize_copy_on_write_image())?;
        Ok(component)
    });
    made.map_err(|error| CompileError::Invalid(format!("{error:#}")))
}

/// Tries again while the kernel says that it is busy. wasmtime seals the file behind an image, and Linux refuses a seal while anything
/// else, its own memory compaction on a machine short of memory for instance, holds one of the file's pages; it waits some 75 ms by itself.
fn while_busy(mut attempt: impl FnMut() -> wasmtime::Result<()>) -> wasmtime::Result<()> {
    let is_busy = |error: &wasmtime::Error| {
        let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
        causes.any(|error| error.kind() == ErrorKind::ResourceBusy)
    };
    for _ in 1..SEAL_ATTEMPTS_MAX {
        match attempt() {
            Err(error) if is_busy(&error) => tracing::debug!("a memory image is busy: {error:#}"),
            done => return done,
        }
    }
    attempt()
}

/// A file that is removed unless it has been moved away.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CompileError> + Send + 'static,
) -> Result<T, CompileError> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

async fn compile_in_child(executable: &Path, wasm: &Bytes, out: &Path, how: &[&str]) -> Result<(), CompileError> {
    let mut child = tokio::process::Command::new(executable)
        .arg(CHILD_COMMAND)
        .arg(out)
        .args(how)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take();
    let mut stderr = child.stderr.take();
    let feed = async {
        if let Some(stdin) = &mut stdin {
            // A child that gave up early says why on its standard error.
            let _ = stdin.write_all(&(wasm.len() as u64).to_le_bytes()).await;
            let _ = stdin.write_all(wasm).await;
            let _ = stdin.flush().await;
        }
    };
    let complaint = async {
        let mut text = Vec::new();
        if let Some(stderr) = &mut stderr {
            let _ = stderr.take(MESSAGE_BYTES_MAX).read_to_end(&mut text).await;
        }
        String::from_utf8_lossy(&text).trim().to_owned()
    };
    let ended = async { tokio::join!(feed, complaint, child.wait()) };
    let ended = tokio::time::timeout(COMPILE_TIME_MAX, ended).await;
    let ((), complaint, status) = ended.map_err(|_| CompileError::TooSlow)?;
    // Closed only now: its end tells the child that its parent is gone.
    drop(stdin);
    match status?.code() {
        Some(0) => Ok(()),
        Some(1) => Err(CompileError::Invalid(complaint)),
        code => Err(CompileError::Died(
            code.map_or_else(|| "killed".to_owned(), |code| format!("status {code}")),
        )),
    }
}

/// To be called first in `main`: compiles and gives an exit code if this process was started as the compiling child.
pub fn child_main() -> Option<ExitCode> {
    CAN_BE_CHILD.store(true, Ordering::Relaxed);
    let mut args = std::env::args_os().skip(1);
    if args.next()? != CHILD_COMMAND {
        return None;
    }
    let result = match args.next() {
        Some(out) => compile_as_child(Path::new(&out), args.next().is_some_and(|how| how == BARE)),
        None => Err("usage: the output file".to_owned()),
    };
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(1)
        }
    })
}

fn compile_as_child(out: &Path, bare: bool) -> Result<(), String> {
    restrain(!bare);
    let wasm = read_input().map_err(|error| error.to_string())?;
    // The parent keeps the pipe open while it lives.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(2);
    });
    let engine = wasmtime::Engine::new(&config::base()).map_err(|error| format!("{error:#}"))?;
    let code = engine
        .precompile_component(&wasm)
        .map_err(|error| format!("{error:#}"))?;
    let written = match bare {
        true => std::fs::write(out, &code),
        false => cache::write_entry(out, &code),
    };
    written.map_err(|error| error.to_string())
}

fn read_input() -> std::io::Result<Vec<u8>> {
    let mut stdin = std::io::stdin().lock();
    let mut length = [0; 8];
    stdin.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > WASM_BYTES_MAX {
        return Err(std::io::Error::other("the component is too large"));
    }
    let mut wasm = Vec::new();
    stdin.take(length).read_to_end(&mut wasm)?;
    Ok(wasm)
}

/// Lowers this process's priority and bounds its memory; failing to is no reason not to compile.
///
/// What is compiled for a version under load would hardly get a turn with a low priority while the load lasts, which is when
/// it is wanted.
#[cfg_attr(
    not(unix),
    expect(unused_variables, reason = "priorities are a matter of the system's own")
)]
fn restrain(low_priority: bool) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
        if low_priority {
            let _ = nice(10);
        }
        let maximum = getrlimit(Resource::As).maximum;
        let current = maximum.map_or(COMPILE_MEMORY_BYTES_MAX, |maximum| {
            maximum.min(COMPILE_MEMORY_BYTES_MAX)
        });
        let _ = setrlimit(
            Resource::As,
            Rlimit {
                current: Some(current),
                maximum,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> wasmtime::Error {
        wasmtime::Error::from(std::io::Error::from(ErrorKind::ResourceBusy)).context("cannot add seals")
    }

    #[test]
    fn a_busy_image_is_tried_again() {
        let mut attempts = 0;
        let done = while_busy(|| {
            attempts += 1;
            if attempts < 4 { Err(busy()) } else { Ok(()) }
        });
        assert!(done.is_ok());
        assert_eq!(attempts, 4);
    }

    #[test]
    fn what_stays_busy_or_fails_otherwise_is_an_error() {
        let mut attempts = 0;
        let stays = while_busy(|| {
            attempts += 1;
            Err(busy())
        });
        assert_eq!(format!("{:#}", stays.unwrap_err()), "cannot add seals: resource busy");
        assert_eq!(attempts, SEAL_ATTEMPTS_MAX);

        let mut attempts = 0;
        let fails = while_busy(|| {
            attempts += 1;
            Err(wasmtime::format_err!("no memory"))
        });
        assert_eq!(fails.unwrap_err().to_string(), "no memory");
        assert_eq!(attempts, 1);
    }
}
