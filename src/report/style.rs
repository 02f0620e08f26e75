//! How much is shown, in which zone, and whether with colours.

use chrono::{DateTime, Local, Utc};
use colored::{ColoredString, Colorize as _};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Problems only.
    Quiet,
    #[default]
    Normal,
    /// Also what instances and messages go through.
    Verbose,
}

/// Whose wall clock the lines show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zone {
    Utc,
    #[default]
    Local,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Also needs `colored`'s own switch, which [`Style::new`] sets.
    pub color: bool,
    pub verbosity: Verbosity,
    pub zone: Zone,
}

/// What a piece of a line means; the colours follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Dim,
    Strong,
    Good,
    Info,
    Warn,
    Bad,
}

impl Style {
    /// Sets the process-wide switch of `colored` as well: emu's lines go to stderr, and `colored` looks at stdout.
    pub fn new(color: bool, verbosity: Verbosity) -> Style {
        colored::control::set_override(color);
        Style {
            color,
            verbosity,
            zone: Zone::Local,
        }
    }

    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let painted: ColoredString = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Dim => text.dimmed(),
            Tone::Strong => text.bold(),
            Tone::Good => text.green(),
            Tone::Info => text.cyan(),
            Tone::Warn => text.yellow(),
            Tone::Bad => text.red(),
        };
        painted.to_string()
    }

    /// `12:00:01` of an RFC 3339 time; what cannot be read comes back as it is.
    pub fn clock(&self, time: &str) -> String {
        let Ok(at) = DateTime::parse_from_rfc3339(time) else {
            return super::sanitize::line(time).into_owned();
        };
        match self.zone {
            Zone::Utc => at.with_timezone(&Utc).format("%H:%M:%S").to_string(),
            Zone::Local => at.with_timezone(&Local).format("%H:%M:%S").to_string(),
        }
    }
}

/// Whether a stream gets colours: `NO_COLOR` (any value) and `CI` say no, `CLICOLOR_FORCE` says yes, else a terminal
/// that is not `TERM=dumb` gets them.
pub fn wants_color(is_terminal: bool, env: &dyn Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| env(name).is_some_and(|v| !v.is_empty());
    if set("NO_COLOR") {
        return false;
    }
    if env("CLICOLOR_FORCE").is_some_and(|v| !v.is_empty() && v != "0") {
        return true;
    }
    is_terminal && !set("CI") && env("TERM").is_none_or(|t| t != "dumb")
}

/// `Mon 23 Nov 08:00 -03:00` of an RFC 3339 time, in the zone it is written in.
pub fn day_and_time(time: &str) -> String {
    use chrono::{Offset as _, Timelike as _};
    let Ok(at) = DateTime::parse_from_rfc3339(time) else {
        return super::sanitize::line(time).into_owned();
    };
    let seconds = if at.second() == 0 { "" } else { ":%S" };
    let zone = if at.offset().fix().local_minus_utc() == 0 {
        "UTC"
    } else {
        "%:z"
    };
    at.format(&format!("%a %d %b %H:%M{seconds} {zone}")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_environment() {
        let check = |terminal: bool, vars: &[(&str, &str)], expect: bool| {
            let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(wants_color(terminal, &env), expect, "{terminal} {vars:?}");
        };
        check(true, &[], true);
        check(false, &[], false);
        check(true, &[("NO_COLOR", "1")], false);
        check(true, &[("NO_COLOR", "")], true);
        check(true, &[("CI", "true")], false);
        check(true, &[("TERM", "dumb")], false);
        check(false, &[("CLICOLOR_FORCE", "1")], true);
        check(true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false);
    }

    #[test]
    fn times_are_short() {
        let style = Style {
            zone: Zone::Utc,
            ..Style::default()
        };
        assert_eq!(style.clock("2026-01-31T12:00:01.250Z"), "12:00:01");
        assert_eq!(style.clock("soon\u{1b}[2J"), "soon");
        assert_eq!(day_and_time("2026-11-23T08:00:00-03:00"), "Mon 23 Nov 08:00 -03:00");
        assert_eq!(day_and_time("2026-11-23T08:00:30Z"), "Mon 23 Nov 08:00:30 UTC");
    }
}
