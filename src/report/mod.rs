//! Events become terminal lines, NDJSON and tables. The only room that prints besides `cli`.

pub mod bill;
pub mod event;
pub mod number;
pub mod redact;
pub mod sanitize;
pub mod table;
