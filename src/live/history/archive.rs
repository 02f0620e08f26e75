//! The history of a folder that no emulator serves, or that one does: read only.

use std::path::Path;

use anyhow::Context as _;
use rusqlite::Connection;

use super::read::{self, Query};
use super::schema;
use super::why::NoWhy;
use crate::live::api::Why;
use crate::live::clock::{Clock, since};
use crate::project::ClockSetting;
use crate::report::event::Stamped;

pub struct Archive(Connection);

impl Archive {
    /// The nearest history from `folder` upward. `None`: there is none.
    pub fn find(folder: &Path) -> Option<Archive> {
        let folder = folder.canonicalize().ok()?;
        let mut found = folder.ancestors();
        found.find_map(|folder| schema::look(&folder.join(crate::live::FOLDER)).map(Archive))
    }

    /// As GET `/_emu/logs`.
    ///
    /// # Errors
    /// When `since_text` is neither a span nor an instant, or the database cannot be read.
    pub fn logs(&self, function: Option<&str>, since_text: Option<&str>, limit: u32) -> anyhow::Result<Vec<Stamped>> {
        let now = Clock::start(ClockSetting::Real).now();
        let since = since_text.map(|text| since(text, now)).transpose();
        let query = Query {
            function: function.map(str::to_owned),
            since: since.map_err(|error| anyhow::anyhow!("--since: {error}"))?,
            limit,
            ..Query::default()
        };
        read::logs(&self.0, &query).context("the history cannot be read")
    }

    /// As GET `/_emu/why/{id}`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn why(&self, id: &str) -> anyhow::Result<Result<Why, NoWhy>> {
        super::why::why(&self.0, id).context("the history cannot be read")
    }
}
