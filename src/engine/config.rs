//! How wasmtime is set up: one configuration for every guest, every limit it offers set on purpose.

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

/// Native stack that guest code may use; beyond it the guest traps. QuickJS recurses on it.
const WASM_STACK_BYTES: usize = 1 << 20;
/// Stack of a guest's fiber: the guest's own plus what host calls need on top.
const FIBER_STACK_BYTES: usize = 2 << 20;
/// Fuel after which a running guest lets other tasks of its thread run: below a millisecond of straight code.
pub(super) const FUEL_YIELD_INTERVAL: u64 = 500_000;
/// Bytes that one host call may carry out of a guest.
pub(super) const HOST_CALL_BYTES_MAX: usize = 64 << 20;
/// Live component-model handles of one sandbox.
pub(super) const HANDLES_MAX: usize = 20_000;
/// Live host resources (streams, requests, bodies, pollables) of one sandbox.
pub(super) const RESOURCES_MAX: usize = 20_000;
/// Core instances, tables and memories that one sandbox may create.
pub(super) const INSTANCES_MAX: usize = 200;
pub(super) const TABLES_MAX: usize = 64;
pub(super) const MEMORIES_MAX: usize = 16;
pub(super) const TABLE_ELEMENTS_MAX: usize = 200_000;

/// Memory that stays mapped in a freed slot, cleared by copying instead of by the kernel. At least the memory of the
/// JavaScript snapshot: with 1 MiB its instantiation takes twice as long and gets slower on two threads than on one.
/// wasmtime 48 learns from a scan which pages were written, and the scan tells of 32 stretches of pages at most: what lies
/// behind them is unmapped and faults again at the next run, whatever stands here. So it counts in how many stretches of the
/// snapshot's memory an invocation writes, not only how much.
const KEEP_RESIDENT_BYTES: usize = 4 << 20;
/// Freed slots that keep another version's pages warm; wasmtime's default of 100 holds 200 MB.
const WARM_SLOTS_MAX: u32 = 16;

/// All that decides whether compiled code fits, without an allocator. The same module computes the same on every machine, down to the
/// bits of what is no number: what the compiling child needs.
pub(super) fn base() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .wasm_component_model_map(true)
        .wasm_gc(false)
        .shared_memory(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .memory_init_cow(true)
        .parallel_compilation(true);
    config
}

/// [`base`] with `slots` memories reserved for guests.
pub(super) fn pooled(slots: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(16))
        .total_memories(slots)
        .total_tables(slots.saturating_mul(TABLES_PER_SLOT))
        .total_stacks(slots.saturating_mul(2))
        .max_core_instances_per_component(INSTANCES_MAX as u32)
        .max_memories_per_component(MEMORIES_MAX as u32)
        .max_tables_per_component(TABLES_MAX as u32)
        .max_tables_per_module(TABLES_MAX as u32)
        .max_memories_per_module(MEMORIES_MAX as u32)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_unused_warm_slots(WARM_SLOTS_MAX)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = base();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Tables in the pool for each memory; a version that needs more counts as several slots.
pub(super) const TABLES_PER_SLOT: u32 = 8;

/// The pool to ask for, largest first: address space may be short (`ulimit -v`, small machines).
pub(super) const POOL_SLOTS: [u32; 3] = [1_000, 100, 16];
