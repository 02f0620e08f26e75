//! How a command fails: what went wrong, what to do about it, and the exit code.

use std::process::ExitCode;

use crate::live::api::ApiError;
use crate::project::Diagnostics;
use crate::report::sanitize;
use crate::report::style::{Style, Tone};

/// It did not work.
pub const FAILURE: u8 = 1;
/// The command line or the project is wrong.
pub const USAGE: u8 = 2;
/// `emu exec`: emu itself failed, not the command it ran.
pub const EXEC: u8 = 125;
/// Ended by the second Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// What a command's `run` comes to.
pub type Outcome = Result<ExitCode, Failure>;

/// Why a command ends early.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    /// A lowercase fragment and its remedy.
    Message { message: String, remedy: Option<String> },
    /// Everything that is wrong with the project.
    Project(Diagnostics),
    /// Said already, only the code is left.
    Told,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Failure {
        Failure {
            code: FAILURE,
            what: What::Message {
                message: message.into(),
                remedy: None,
            },
        }
    }

    /// The command line is wrong in a way that its parser cannot see.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure {
            code: USAGE,
            ..Failure::new(message)
        }
    }

    pub fn told(code: u8) -> Failure {
        Failure { code, what: What::Told }
    }

    pub fn remedy(mut self, text: impl Into<String>) -> Failure {
        if let What::Message { remedy, .. } = &mut self.what {
            *remedy = Some(text.into());
        }
        self
    }

    pub fn code(mut self, code: u8) -> Failure {
        self.code = code;
        self
    }

    /// Lines for stderr, each ended.
    pub fn render(&self, style: &Style) -> String {
        match &self.what {
            What::Told => String::new(),
            What::Project(diagnostics) => {
                let mut text = diagnostics.render(style.color);
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                text
            }
            What::Message { message, remedy } => {
                let mut out = String::new();
                for (at, line) in message.lines().enumerate() {
                    let label = if at == 0 {
                        style.paint(Tone::Bad, "error: ")
                    } else {
                        "       ".to_owned()
                    };
                    out.push_str(&format!("{label}{}\n", sanitize::line(line)));
                }
                for (at, line) in remedy.iter().flat_map(|r| r.lines()).enumerate() {
                    let label = if at == 0 {
                        style.paint(Tone::Info, "help: ")
                    } else {
                        "      ".to_owned()
                    };
                    out.push_str(&format!("{label}{}\n", sanitize::line(line)));
                }
                out
            }
        }
    }

    /// Its lines without colour and without the first label: part of a report that says itself that something failed.
    pub fn said(&self) -> String {
        let text = self.render(&Style::default());
        text.trim().trim_start_matches("error: ").to_owned()
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Failure {
        Failure {
            code: USAGE,
            what: What::Project(diagnostics),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::new(format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::new(error.to_string())
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        let failure = Failure::new(error.message);
        match error.remedy {
            Some(remedy) => failure.remedy(remedy),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_and_what_to_do() {
        let failure = Failure::new("no emulator runs here\nreally\u{1b}[2J").remedy("start one with `emu dev`");
        assert_eq!(
            failure.render(&Style::default()),
            "error: no emulator runs here\n       really\nhelp: start one with `emu dev`\n"
        );
        assert_eq!(
            failure.said(),
            "no emulator runs here\n       really\nhelp: start one with `emu dev`"
        );
        assert_eq!(failure.code, 1);
        assert_eq!(Failure::usage("x").code, 2);
        assert_eq!(Failure::told(130).render(&Style::default()), "");
    }

    #[test]
    fn an_error_of_the_control_api_keeps_its_remedy() {
        let error = ApiError {
            code: "queue-not-found".to_owned(),
            message: "no queue ordres".to_owned(),
            remedy: Some("did you mean orders?".to_owned()),
        };
        assert_eq!(
            Failure::from(error).render(&Style::default()),
            "error: no queue ordres\nhelp: did you mean orders?\n"
        );
    }
}
