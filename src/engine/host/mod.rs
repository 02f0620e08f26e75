//! What guests may call, and the data that stands behind a guest's store.
//!
//! [`linker`] offers WASI 0.2 and 0.3, `wasi:http`, `wasi:config` and `wasi:keyvalue`; every kind of guest starts from it.

use std::any::Any;
use std::sync::Arc;

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime::{AsContext, Store, StoreContextMut, Trap};
use wasmtime_wasi::cli::{WasiCli, WasiCliCtxView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemCtxView};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsCtxView};
use wasmtime_wasi::{WasiCtx, p2, p3};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::config;
use super::limits::MemoryLimit;
use super::output::{Log, Output};
use super::{Host, Invocation, Settings, Stream};

mod allow;
pub mod clock;
mod configuration;
mod files;
mod http;
pub mod internal;
mod keyvalue;
mod network;
pub mod outbound;
mod quota;
mod random;
mod scratch;

pub(super) use http::to_wasi;

use clock::Clock;
use random::Random;
use scratch::Scratch;

/// What one run brings along, shared by everything that works for it.
pub struct Run {
    pub id: String,
    pub settings: Arc<Settings>,
    pub host: Arc<dyn Host>,
    pub log: Arc<Log>,
    pub clock: Clock,
    pub(super) calls: outbound::Calls,
}

impl Run {
    pub fn new(invocation: &Invocation) -> Arc<Self> {
        let settings = invocation.settings.clone();
        let clock = match invocation.host.is_time_still() {
            true => Clock::still(invocation.now),
            false => Clock::new(invocation.now, invocation.pace.clone()),
        };
        Arc::new(Self {
            id: invocation.id.clone(),
            host: invocation.host.clone(),
            log: Arc::new(Log::new(invocation.log.clone(), settings.log_bytes_max)),
            clock,
            calls: outbound::Calls::default(),
            settings,
        })
    }
}

/// The data of a guest's store. Lives as long as the sandbox; [`Guest::arm`] gives it the next run.
pub struct Guest {
    pub run: Arc<Run>,
    pub table: ResourceTable,
    pub memory: MemoryLimit,
    pub random: Random,
    pub stdout: Output,
    pub stderr: Output,
    /// Fuel for work that the host did for this run. Added to what the guest burned itself, and not taken from the store:
    /// that would begin the yield interval anew, and a guest that does nothing else would never let others run.
    pub charged: u64,
    /// Of it, what was counted when the guest last let others run for it.
    gave_way: u64,
    /// What the store was given for this run.
    fuel: u64,
    /// Whatever a kind of guest needs beyond WASI, e.g. the module map of a script.
    pub extension: Option<Box<dyn Any + Send>>,
    http: WasiHttpCtx,
    hooks: http::Hooks,
    stdin: bytes::Bytes,
    /// Made when first asked for: most guests never do.
    cli: Option<Box<WasiCtx>>,
    files: Option<(WasiCtx, Option<Scratch>)>,
}

impl Guest {
    pub fn new(run: Arc<Run>, seed: u64) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(config::RESOURCES_MAX);
        let mut guest = Self {
            table,
            memory: MemoryLimit::default(),
            random: Random::new(seed),
            stdout: Output::default(),
            stderr: Output::default(),
            charged: 0,
            gave_way: 0,
            fuel: FUEL,
            extension: None,
            http: WasiHttpCtx::new(),
            hooks: http::Hooks { run: run.clone() },
            stdin: bytes::Bytes::new(),
            cli: None,
            files: None,
            run,
        };
        guest.http.set_field_size_limit(FIELD_BYTES_MAX);
        guest.arm_limits();
        guest
    }

    /// Gives a kept guest its next run.
    pub fn arm(&mut self, run: Arc<Run>, seed: u64) {
        self.hooks.run = run.clone();
        self.run = run;
        self.random = Random::new(seed);
        self.charged = 0;
        self.gave_way = 0;
        self.arm_limits();
    }

    fn arm_limits(&mut self) {
        self.memory.arm(self.run.settings.memory_bytes);
        self.stdout.arm(Stream::Stdout, self.run.log.clone());
        self.stderr.arm(Stream::Stderr, self.run.log.clone());
    }

    /// What the guest reads from its standard input; before it first asks for it.
    pub fn stdin(&mut self, bytes: bytes::Bytes) {
        self.stdin = bytes;
    }

    fn cli(&mut self) -> WasiCliCtxView<'_> {
        let Self {
            run,
            stdin,
            stdout,
            stderr,
            table,
            cli,
            ..
        } = self;
        let ctx = cli.get_or_insert_with(|| {
            let settings = &run.settings;
            let mut builder = WasiCtx::builder();
            builder
                .arg(&*settings.function)
                .args(&settings.args)
                .envs(&settings.env)
                .stdin(MemoryInputPipe::new(std::mem::take(stdin)))
                .stdout(stdout.clone())
                .stderr(stderr.clone());
            Box::new(builder.build())
        });
        WasiCliCtxView { ctx: ctx.cli(), table }
    }

    /// The file system as the guest sees it: one scratch folder, made now if it is not there yet.
    fn filesystem(&mut self) -> WasiFilesystemCtxView<'_> {
        let Self { run, table, files, .. } = self;
        let (ctx, _) = files.get_or_insert_with(|| scratch::file_system(&run.log));
        WasiFilesystemCtxView {
            ctx: ctx.filesystem(),
            table,
        }
    }

    /// What the file times in its scratch folder mean, once there is one.
    fn times(&mut self) -> Option<&mut files::Times> {
        let (_, scratch) = self.files.as_mut()?;
        scratch.as_mut().map(Scratch::times)
    }

    /// The room in its scratch folder, once there is one.
    fn quota(&self) -> Option<Arc<quota::Quota>> {
        let (_, scratch) = self.files.as_ref()?;
        scratch.as_ref().map(Scratch::quota)
    }

    /// Sockets as wasmtime denies them when nothing is allowed.
    fn sockets(&mut self) -> WasiSocketsCtxView<'_> {
        let Self { run, table, files, .. } = self;
        let (ctx, _) = files.get_or_insert_with(|| scratch::file_system(&run.log));
        WasiSocketsCtxView {
            ctx: ctx.sockets(),
            table,
        }
    }
}

/// Header names and values of one `fields` resource, roughly as they lie in memory.
const FIELD_BYTES_MAX: usize = 128 << 10;

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// A store with every limit set, for one sandbox.
///
/// # Errors
/// When wasmtime cannot arm the fuel, which is a bug of emu.
pub fn store(engine: &wasmtime::Engine, guest: Guest) -> wasmtime::Result<Store<Guest>> {
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| &mut guest.memory);
    store.fuel_async_yield_interval(Some(config::FUEL_YIELD_INTERVAL))?;
    store.set_hostcall_fuel(config::HOST_CALL_BYTES_MAX);
    store.set_max_component_handles(config::HANDLES_MAX);
    refuel(&mut store)?;
    Ok(store)
}

/// Fuel for another run: the meter, always, and the limit in virtual time only, where a guest that never waits ends by it.
pub fn refuel(store: &mut Store<Guest>) -> wasmtime::Result<()> {
    let guest = store.data_mut();
    guest.fuel = match guest.run.clock.pace() {
        Some(pace) => pace
            .fuel_in(guest.run.settings.timeout)
            .saturating_add(config::FUEL_YIELD_INTERVAL)
            .min(FUEL),
        None => FUEL,
    };
    let fuel = guest.fuel;
    store.set_fuel(fuel)
}

/// Fuel spent since [`refuel`], by the guest and for it.
pub fn fuel_spent(store: impl AsContext<Data = Guest>) -> u64 {
    let store = store.as_context();
    let given = store.data().fuel;
    let burned = given.saturating_sub(store.get_fuel().unwrap_or(given));
    burned.saturating_add(store.data().charged)
}

/// Tells virtual time what the guest has computed by now.
pub fn sync(store: impl AsContext<Data = Guest>) {
    let store = store.as_context();
    if let Some(pace) = store.data().run.clock.pace() {
        pace.sync(fuel_spent(store));
    }
}

/// After work that was charged while the guest stands still: lets others run, and its deadline come, as often as what the guest burns
/// itself does.
///
/// # Errors
/// In virtual time, when that was more than there is time for.
pub async fn give_way(store: &mut StoreContextMut<'_, Guest>) -> wasmtime::Result<()> {
    let guest = store.data_mut();
    if guest.charged.saturating_sub(guest.gave_way) < config::FUEL_YIELD_INTERVAL {
        return Ok(());
    }
    guest.gave_way = guest.charged;
    let given = guest.fuel;
    sync(&*store);
    if fuel_spent(&*store) > given {
        return Err(Trap::OutOfFuel.into());
    }
    tokio::task::yield_now().await;
    Ok(())
}

const FUEL: u64 = u64::MAX / 2;

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

fn table(guest: &mut Guest) -> &mut ResourceTable {
    &mut guest.table
}

/// Everything a guest may import, but for what a kind of guest adds itself. Clone it rather than making another.
///
/// # Errors
/// When two interfaces collide, which is a bug of emu.
pub fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    add_p2(l)?;
    add_p3(l)?;
    // In place of what wasmtime offers, which comes first.
    l.allow_shadowing(true);
    files::add_to_linker(l)?;
    quota::add_to_linker(l)?;
    l.allow_shadowing(false);
    clock::add_to_linker(l)?;
    random::add_to_linker(l)?;
    configuration::add_to_linker(l)?;
    keyvalue::add_to_linker(l)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(l)?;
    wasmtime_wasi_http::p3::add_to_linker(l)?;
    Ok(linker)
}

fn add_p2(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use p2::bindings::{cli, filesystem, io, sockets};
    io::error::add_to_linker::<_, HasTable>(l, table)?;
    io::poll::add_to_linker::<_, HasTable>(l, table)?;
    io::streams::add_to_linker::<_, HasTable>(l, table)?;
    cli::environment::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, Guest::filesystem)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(l, Guest::filesystem)?;
    sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(l, Guest::sockets)?;
    sockets::tcp::add_to_linker::<_, WasiSockets>(l, Guest::sockets)?;
    sockets::udp_create_socket::add_to_linker::<_, WasiSockets>(l, Guest::sockets)?;
    sockets::udp::add_to_linker::<_, WasiSockets>(l, Guest::sockets)?;
    sockets::instance_network::add_to_linker::<_, WasiSockets>(l, Guest::sockets)?;
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<_, WasiSockets>(l, &options, Guest::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<_, WasiSockets>(l, Guest::sockets)
}

fn add_p3(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use p3::bindings::{cli, filesystem, sockets};
    cli::environment::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(l, Guest::filesystem)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, Guest::filesystem)?;
    sockets::ip_name_lookup::add_to_linker::<_, WasiSockets>(l, Guest::sockets)?;
    sockets::types::add_to_linker::<_, WasiSockets>(l, Guest::sockets)
}
