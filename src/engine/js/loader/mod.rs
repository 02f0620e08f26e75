//! From files to the modules that QuickJS evaluates, as bundlers and Node do it, without writing anything.
//!
//! In reading order: `manifest` what a package.json says; `tsconfig` what a tsconfig.json says; `refused` what is known
//! elsewhere and absent here; `builtin` modules that emu itself brings; `resolve` from a specifier to a file; `lower`
//! TypeScript and JSX into JavaScript; `facts` and `scan` what a file imports, exports and uses; `parsed` one file with all of
//! that; `cache` files parsed before; `exports` whether imports ask for what is there; `emit` the code that is evaluated;
//! `graph` one version; `positions` from that code back into the files.

mod builtin;
mod cache;
mod emit;
mod exports;
mod facts;
mod graph;
mod lower;
mod manifest;
mod parsed;
mod positions;
mod refused;
mod resolve;
mod scan;
mod tsconfig;

pub use cache::Cache;
pub use emit::FACADE;
pub use graph::{Graph, Linked};
pub use parsed::{Format, Parsed};

/// The modules that emu brings, by name.
pub fn builtin_sources() -> impl Iterator<Item = (&'static str, &'static str)> {
    builtin::sources()
}

/// One of them.
pub fn builtin_source(name: &str) -> Option<&'static str> {
    builtin::source(name)
}

/// Names of the modules that emu brings.
#[cfg(test)]
pub fn builtins() -> impl Iterator<Item = &'static str> {
    builtin::names()
}
