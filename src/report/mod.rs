//! Events become terminal lines, NDJSON and tables. The only room that prints besides `cli`.

pub mod access;
pub mod bill;
pub mod event;
pub mod fold;
pub mod html;
pub mod line;
pub mod ndjson;
pub mod number;
pub mod probe;
pub mod rules;
pub mod sanitize;
pub mod simulation;
pub mod style;
pub mod table;
pub mod terminal;
