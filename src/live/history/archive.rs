//! The history of a folder that no emulator serves, or that one does: read only.

use std::path::Path;

use anyhow::Context as _;
use rusqlite::Connection;

use super::read::{self, Query};
use super::recorded::Wanted;
use super::schema;
use super::why::NoWhy;
use crate::live::api::{InvocationDetail, Recording, Why};
use crate::live::clock::{Clock, since};
use crate::project::ClockSetting;
use crate::report::event::Stamped;

pub struct Archive(Connection);

/// One invocation that ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    pub function: String,
    /// Microseconds since the Unix epoch.
    pub began_us: i64,
    pub duration_us: u64,
}

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

    /// The newest invocations that ran to an end, at most so many, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn ran(&self, limit: u32) -> anyhow::Result<Vec<Ran>> {
        let sql = "SELECT time, function, data ->> 'duration_ms', data ->> 'outcome' FROM event
            WHERE kind = 'invocation' AND data ->> 'instance' IS NOT NULL ORDER BY seq DESC LIMIT ?1";
        let mut statement = self.0.prepare(sql).context("the history cannot be read")?;
        let rows = statement.query_map([limit], |row| {
            let (ended, function, duration_ms): (String, String, f64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let ended = chrono::DateTime::parse_from_rfc3339(&ended).map_or(0, |time| time.timestamp_micros());
            Ok(Ran {
                function,
                began_us: ended - (duration_ms * 1e3) as i64,
                duration_us: (duration_ms * 1e3).max(0.0) as u64,
            })
        });
        let rows = rows.context("the history cannot be read")?;
        let mut ran: Vec<Ran> = rows.collect::<Result<_, _>>().context("the history cannot be read")?;
        ran.reverse();
        Ok(ran)
    }

    /// As GET `/_emu/invocations/{id}`, by any end of the id that no other has. `None`: no invocation of this id has ended.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn invocation(&self, id: &str) -> anyhow::Result<Result<Option<InvocationDetail>, NoWhy>> {
        // A message may end so too, which is none.
        let ends = "SELECT DISTINCT id FROM event WHERE kind = 'invocation' AND substr(id, -length(?1)) = ?1 LIMIT 2";
        let one = || -> rusqlite::Result<Option<String>> {
            let mut find = self.0.prepare(ends)?;
            let found: Vec<String> = find.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(found.first().filter(|_| found.len() == 1).cloned())
        };
        let whole = |connection| match one()? {
            Some(id) => Ok(Ok(id)),
            None => super::why::whole_id(connection, id),
        };
        let read = || match whole(&self.0)? {
            Ok(id) => Ok(Ok(read::invocation(&self.0, &id)?)),
            Err(unclear) => Ok(Err(unclear)),
        };
        let found: rusqlite::Result<_> = read();
        found.context("the history cannot be read")
    }

    /// What came from outside: the newest, oldest first. `reads`: the queues and topics of that function.
    ///
    /// # Errors
    /// When `since_text` is neither a span nor an instant, or the database cannot be read.
    pub fn recording(
        &self,
        function: Option<&str>,
        reads: Vec<String>,
        since_text: Option<&str>,
        last: usize,
    ) -> anyhow::Result<Recording> {
        let now = Clock::start(ClockSetting::Real).now();
        let since = since_text.map(|text| since(text, now)).transpose();
        let wanted = Wanted {
            since: since.map_err(|error| anyhow::anyhow!("--since: {error}"))?,
            function: function.map(str::to_owned),
            reads,
            last,
            ..Wanted::default()
        };
        super::recorded::recorded(&self.0, &wanted).context("the history cannot be read")
    }

    /// As GET `/_emu/why/{id}`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn why(&self, id: &str) -> anyhow::Result<Result<Why, NoWhy>> {
        super::why::why(&self.0, id).context("the history cannot be read")
    }
}
