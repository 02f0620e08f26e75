//! The one integration-test program: a second would link wasmtime a second time.

mod cli;
mod cloudevents;
mod control;
mod crash;
mod cron;
mod destinations;
mod durable;
mod engine;
mod env_files;
mod examples;
mod full_disk;
mod harness;
mod history;
mod hot_reload;
mod http;
mod kv;
mod lifecycle;
mod limits;
mod messages;
mod mistakes;
mod openapi;
mod readme;
mod reload;
mod snapshots;
mod templates;
mod tidy;
