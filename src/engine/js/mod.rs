//! JavaScript and TypeScript on QuickJS, which is itself a component: a snapshot of the interpreter with emu's prelude
//! evaluated (`runtime/`, built by `scripts/build-js-runtime` from `prelude/` and `wit/`). An instance of it imports the
//! user's module from the host's memory, so that a changed source needs no compilation.

pub mod artefact;
