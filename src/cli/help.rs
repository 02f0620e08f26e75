//! `emu --help`: commands in groups, examples, exit codes.

use clap::Command;

pub const ABOUT: &str = "A cloud provider for functions, on your laptop, in one binary";

pub const AFTER: &str = "\
Examples:
  emu new shop && emu dev shop           a first project, served with hot reload
  emu dev --clock x60                    waiting passes sixty times faster
  emu send orders '{\"id\": 7}'            a message for a queue
  emu exec -- npm test                   a fresh emulator around a command, for CI
  emu clock advance 1d                   a day under --clock manual, in no time
  emu load api --pattern spike           traffic, and what it does to cold starts and the bill
  emu simulate --sweep keep_alive=1m,10m a simulation file, with two of its values

Exit codes:
  0    it worked
  1    it did not
  2    wrong command line, or a project with errors
  125  `emu exec`: emu itself failed; any other code is the command's own
  130  forced by the second Ctrl-C

Environment: EMU_CONTROL_URL and EMU_CONTROL_TOKEN name a running emulator, EMU_CACHE_DIR
the folder for compiled code. NO_COLOR and CI turn colours off.

emu collects no data and needs no network.";

/// The groups of `emu --help`, in this order. A test holds that every command is in one.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "Run",
        &["dev", "serve", "exec", "test", "invoke", "probe", "record", "replay"],
    ),
    (
        "Make things happen",
        &["send", "publish", "fire", "load", "clock", "wait", "reset", "snapshot"],
    ),
    (
        "Look",
        &[
            "status",
            "functions",
            "ps",
            "queue",
            "kv",
            "crons",
            "logs",
            "why",
            "bill",
        ],
    ),
    ("Foresee", &["simulate", "trace", "lesson"]),
    (
        "Project",
        &["new", "bundle", "package", "export", "validate", "types", "schema"],
    ),
    ("This program", &["cache", "completions"]),
];

/// Gives the root command a help page that lists the commands by group.
pub fn grouped(root: Command) -> Command {
    let mut text = String::new();
    for (title, names) in GROUPS {
        let mut lines = String::new();
        for name in *names {
            if let Some(command) = root.find_subcommand(name) {
                let about = command.get_about().map(ToString::to_string).unwrap_or_default();
                lines.push_str(&format!("  {name:<12} {about}\n"));
            }
        }
        if !lines.is_empty() {
            text.push_str(&format!("{title}:\n{lines}\n"));
        }
    }
    let template = format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{}Everywhere:\n{{options}}\n\nOptions and examples of one \
         command: emu COMMAND --help{{after-help}}",
        text.replace('{', "{{")
    );
    root.help_template(template)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        grouped(super::super::Cli::command()).debug_assert();
    }

    #[test]
    fn every_command_is_in_one_group() {
        let root = super::super::Cli::command();
        for command in root.get_subcommands().filter(|c| !c.is_hide_set()) {
            let name = command.get_name();
            let groups = GROUPS.iter().filter(|(_, names)| names.contains(&name)).count();
            assert_eq!(groups, 1, "{name}");
        }
        for name in GROUPS.iter().flat_map(|(_, names)| names.iter()) {
            assert!(root.find_subcommand(name).is_some(), "no command {name}");
        }
    }

    #[test]
    fn every_command_says_what_it_does() {
        for command in super::super::Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
