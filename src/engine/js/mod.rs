//! JavaScript and TypeScript on QuickJS, which is itself a component: a snapshot of the interpreter with emu's prelude
//! evaluated (`runtime/`, built by `scripts/build-js-runtime` from `prelude/` and `wit/`). An instance of it imports the
//! user's module from the host's memory, so that a changed source needs no compilation.
//!
//! In reading order: [`artefact`] the runtime that ships with emu; `loader` from files to modules;
//! `wire`, `host`, `bodies`, `outbound`, `text`, `tools` (`pattern`, `zip`), `compute` (`crypto`), `intl` what the guest may call; `events`, `reply` an invocation's way in
//! and out; `stack` errors as the user wrote them; `sandbox` one store; `load` all of it for one source; `image` a version's own
//! memory, with its modules imported; `bundle` a component of its own; `plain` files for other runtimes.

pub mod artefact;

mod bodies;
mod bridges;
mod bundle;
mod compute;
mod crypto;
mod events;
mod host;
mod image;
mod intl;
mod keyvalue;
mod load;
mod loader;
mod outbound;
mod pages;
mod pattern;
mod plain;
mod reply;
mod runtime;
mod sandbox;
mod script;
mod stack;
mod text;
mod tools;
mod wire;
mod zip;

pub use bundle::Bundle;
pub(super) use bundle::bundle;
pub(super) use image::Shelf;
#[cfg(test)]
pub(super) use image::{bridges_made, make_image, spoil_image};
pub(super) use load::load;
pub(super) use loader::Cache;
pub use plain::Plain;
pub(super) use plain::files as plain_files;
pub(super) use runtime::Runtime;
pub(super) use sandbox::{Sandbox, Version};

/// How a module offers its handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Convention {
    /// `export default { fetch, scheduled, queue }`
    Workers,
    /// `export const handler`
    Lambda,
}

/// What the trial import found.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Offer {
    pub convention: Convention,
    /// `fetch`, `scheduled`, `queue`, or `handler`.
    pub handlers: Vec<String>,
    /// The import drew from `Math.random`.
    #[serde(default)]
    pub random: bool,
}

impl Offer {
    /// The handlers of a module in Workers' convention.
    pub(super) fn workers(&self) -> Option<&[String]> {
        (self.convention == Convention::Workers).then_some(self.handlers.as_slice())
    }
}

#[cfg(test)]
mod tests;
