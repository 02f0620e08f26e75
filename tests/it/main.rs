//! The one integration-test program: a second would link wasmtime a second time.

mod examples;
mod harness;
