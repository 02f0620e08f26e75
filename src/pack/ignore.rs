//! `.emuignore`: lines as git's ignore files have them, relative to the project.

/// Patterns in the order of their lines; the last that fits decides.
#[derive(Clone, Debug, Default)]
pub struct Ignore(Vec<Pattern>);

#[derive(Clone, Debug)]
struct Pattern {
    /// `!pattern`: what it fits goes in after all.
    keeps: bool,
    folders_only: bool,
    /// Segments between slashes. A pattern without a slash fits at any depth, which is a `**` before it.
    segments: Vec<String>,
}

impl Ignore {
    pub fn parse(text: &str) -> Ignore {
        Ignore(text.lines().filter_map(Pattern::parse).collect())
    }

    /// Whether this path, relative to the project with `/`, stays out. Ask for folders before what is in them: below a folder
    /// that stays out nothing is asked for.
    pub fn leaves_out(&self, path: &str, is_folder: bool) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        let fits = |pattern: &&Pattern| (is_folder || !pattern.folders_only) && fits(&pattern.segments, &path);
        self.0.iter().rev().find(fits).is_some_and(|pattern| !pattern.keeps)
    }
}

impl Pattern {
    fn parse(line: &str) -> Option<Pattern> {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (keeps, line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line.strip_prefix('\\').unwrap_or(line)),
        };
        let (folders_only, line) = match line.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let mut segments: Vec<String> = Vec::new();
        if !line.contains('/') {
            segments.push("**".to_owned());
        }
        segments.extend(line.trim_start_matches('/').split('/').map(str::to_owned));
        Some(Pattern {
            keeps,
            folders_only,
            segments,
        })
    }
}

fn fits(pattern: &[String], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            // At the end it stands for what is below, not for the folder itself.
            (!rest.is_empty() && fits(rest, path))
                || path
                    .split_first()
                    .is_some_and(|(_, below)| (rest.is_empty() && below.is_empty()) || fits(pattern, below))
        }
        (Some((first, rest)), Some((name, below))) => {
            let (first, name): (Vec<char>, Vec<char>) = (first.chars().collect(), name.chars().collect());
            is_name(&first, &name) && fits(rest, below)
        }
        _ => false,
    }
}

/// `*`, `?` and `[a-z]` within a name.
fn is_name(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|skipped| is_name(rest, &name[skipped..])),
        Some(('?', rest)) => !name.is_empty() && is_name(rest, &name[1..]),
        Some(('[', rest)) => match (rest.iter().skip(1).position(|c| *c == ']'), name.split_first()) {
            (Some(end), Some((c, others))) => is_in(&rest[..=end], *c) && is_name(&rest[end + 2..], others),
            _ => false,
        },
        Some((c, rest)) => name.first() == Some(c) && is_name(rest, &name[1..]),
    }
}

/// `a-z0`, `!a`.
fn is_in(class: &[char], c: char) -> bool {
    let (class, wanted) = match class.split_first() {
        Some(('!' | '^', rest)) => (rest, false),
        _ => (class, true),
    };
    let mut at = 0;
    let mut found = false;
    while at < class.len() {
        let is_range = class.get(at + 1) == Some(&'-') && at + 2 < class.len();
        let last = if is_range { class[at + 2] } else { class[at] };
        found |= (class[at]..=last).contains(&c);
        at += if is_range { 3 } else { 1 };
    }
    found == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_mean_what_they_mean_to_git() {
        let check = |lines: &str, path: &str, is_folder: bool, expect: bool| {
            assert_eq!(
                Ignore::parse(lines).leaves_out(path, is_folder),
                expect,
                "{lines:?} {path}"
            );
        };
        check("*.log", "a/b/x.log", false, true);
        check("*.log\n!keep.log", "a/keep.log", false, false);
        check("/notes", "notes", true, true);
        check("/notes", "a/notes", true, false);
        check("docs/", "docs", true, true);
        check("docs/", "docs", false, false);
        check("a/*.ts", "a/x.ts", false, true);
        check("a/*.ts", "a/b/x.ts", false, false);
        check("a/**/x.ts", "a/b/c/x.ts", false, true);
        check("a/**/x.ts", "a/x.ts", false, true);
        check("a/**", "a/b/c", false, true);
        check("a/**", "a", true, false);
        check("# no\n\nfile?.tx[st]", "file1.txt", false, true);
        check("x[!0-9]", "x5", false, false);
        check("x[!0-9]", "xa", false, true);
        check("[", "[", false, false);
        check("\\!odd", "!odd", false, true);
    }
}
