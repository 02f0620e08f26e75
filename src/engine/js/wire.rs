//! The types of `wit/world.wit`, as values cross the boundary.

use std::sync::Arc;

use wasmtime::component::{ComponentType, Lift, Lower};

/// `context`: what an invocation brings beside its event.
#[derive(ComponentType, Lower)]
#[component(record)]
pub struct Context {
    pub entry: Arc<str>,
    pub settings: Arc<str>,
    pub id: String,
    #[component(name = "seed-low")]
    pub seed_low: u32,
    #[component(name = "seed-high")]
    pub seed_high: u32,
    #[component(name = "remaining-ms")]
    pub remaining_ms: f64,
}

/// `body`: content in a call, or by handle.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Body {
    #[component(name = "none")]
    None,
    #[component(name = "text")]
    Text(String),
    #[component(name = "bytes")]
    Bytes(Vec<u8>),
    #[component(name = "base64")]
    Base64(String),
    #[component(name = "handle")]
    Handle(u32),
}

/// `event`: what the guest is to handle.
#[derive(ComponentType, Lower)]
#[component(variant)]
pub enum Event {
    #[component(name = "http")]
    Http((String, Body)),
    #[component(name = "gateway")]
    Gateway(String),
    #[component(name = "scheduled")]
    Scheduled(String),
    #[component(name = "queue")]
    Queue(String),
    #[component(name = "plain")]
    Plain(String),
}

/// `reply`: what the guest answers.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub enum Reply {
    #[component(name = "http")]
    Http((String, Body)),
    #[component(name = "json")]
    Json(String),
    #[component(name = "failed")]
    Failed(String),
}

/// `wasi:clocks/wall-clock` `datetime`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub struct Datetime {
    pub seconds: u64,
    pub nanoseconds: u32,
}
