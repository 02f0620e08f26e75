//! Where two runs differ, apart from what is drawn by lot or by the time.

use std::collections::{BTreeMap, BTreeSet};

use super::seen::Seen;

/// A difference: where, and what stood on both sides; nothing where that place is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub name: String,
    pub left: Option<String>,
    pub right: Option<String>,
}

/// What differs between fresh runs with another time and another seed: not worth a word between others.
#[derive(Debug, Default)]
pub struct Lots {
    /// By place: which tokens of the text.
    facts: BTreeMap<String, Tokens>,
    /// By number of line.
    lines: BTreeMap<usize, Tokens>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tokens {
    All,
    Some(BTreeSet<usize>),
}

impl Lots {
    pub fn of(first: &Seen, second: &Seen) -> Lots {
        let mut lots = Lots::default();
        for (place, text) in &first.facts {
            match second.fact(place) {
                Some(other) if other == text => {}
                Some(other) => drop(lots.facts.insert(place.clone(), drawn(text, other))),
                None => drop(lots.facts.insert(place.clone(), Tokens::All)),
            }
        }
        for (place, _) in &second.facts {
            if first.fact(place).is_none() {
                lots.facts.insert(place.clone(), Tokens::All);
            }
        }
        for (at, (line, other)) in first.lines.iter().zip(&second.lines).enumerate() {
            if line != other {
                lots.lines.insert(at, drawn(line, other));
            }
        }
        lots
    }
}

/// Which tokens of two texts differ; all of them when they cannot be told apart.
fn drawn(text: &str, other: &str) -> Tokens {
    let (tokens, others) = (tokens(text), tokens(other));
    if tokens.len() != others.len() {
        return Tokens::All;
    }
    let differ = tokens.iter().zip(&others).enumerate().filter(|(_, (a, b))| a != b);
    Tokens::Some(differ.map(|(at, _)| at).collect())
}

/// Words and numbers, and what lies between them.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut kind = None;
    for (at, char) in text.char_indices() {
        let now = char.is_alphanumeric();
        if kind.is_some_and(|kind| kind != now) {
            tokens.push(&text[start..at]);
            start = at;
        }
        kind = Some(now);
    }
    if start < text.len() {
        tokens.push(&text[start..]);
    }
    tokens
}

/// Equal but for what is drawn.
fn same(text: &str, other: &str, lots: Option<&Tokens>) -> bool {
    if text == other {
        return true;
    }
    match lots {
        None => false,
        Some(Tokens::All) => true,
        Some(Tokens::Some(drawn)) => {
            let (a, b) = (tokens(text), tokens(other));
            a.len() == b.len()
                && a.iter()
                    .zip(&b)
                    .enumerate()
                    .all(|(at, (a, b))| a == b || drawn.contains(&at))
        }
    }
}

/// Where a warm run gave something else than the fresh one of the same event, time and seed.
pub fn differences(fresh: &Seen, warm: &Seen, lots: &Lots) -> Vec<Place> {
    let mut places = Vec::new();
    for (place, text) in &fresh.facts {
        let found = warm.fact(place);
        let drawn = lots.facts.get(place);
        let is_same = match found {
            Some(found) => same(text, found, drawn),
            None => drawn == Some(&Tokens::All),
        };
        if !is_same {
            places.push(difference(place, Some(text), found));
        }
    }
    for (place, text) in &warm.facts {
        if fresh.fact(place).is_none() && !lots.facts.contains_key(place) {
            places.push(difference(place, None, Some(text)));
        }
    }
    places.extend(lines(fresh, warm, lots));
    places
}

fn difference(name: &str, left: Option<&str>, right: Option<&str>) -> Place {
    Place {
        name: name.to_owned(),
        left: left.map(str::to_owned),
        right: right.map(str::to_owned),
    }
}

/// The first line that is another one. A module speaks once in its sandbox, so lines at the beginning of a fresh run may
/// be missing from a warm one.
fn lines(fresh: &Seen, warm: &Seen, lots: &Lots) -> Option<Place> {
    let skipped = fresh.lines.len().saturating_sub(warm.lines.len());
    // Where both stand side by side from the beginning, nothing was said at the import.
    let fits = |skipped: usize| {
        let pairs = fresh.lines.iter().enumerate().skip(skipped).zip(&warm.lines);
        let mut other = pairs.filter(|((at, line), warm)| !same(line, warm, lots.lines.get(at)));
        other
            .next()
            .map(|((at, line), warm)| difference(&format!("log line {}", at + 1), Some(line), Some(warm)))
    };
    if let Some(place) = fits(skipped) {
        return Some(place);
    }
    let extra = warm.lines.get(fresh.lines.len())?;
    Some(difference(
        &format!("log line {}", fresh.lines.len() + 1),
        None,
        Some(extra),
    ))
}

/// What fresh runs draw anew each time, and two warm ones with another time and seed have in common: a value drawn once,
/// when the module was imported or first used.
pub fn stale(fresh: [&Seen; 2], warm: [&Seen; 2]) -> Vec<Place> {
    let mut places = Vec::new();
    for (place, text) in &fresh[0].facts {
        let (Some(other), Some(early), Some(late)) = (fresh[1].fact(place), warm[0].fact(place), warm[1].fact(place))
        else {
            continue;
        };
        let kept = match drawn(text, other) {
            Tokens::All => early == late,
            Tokens::Some(drawn) => {
                let (early, late) = (tokens(early), tokens(late));
                early.len() == late.len() && drawn.iter().any(|at| early.get(*at) == late.get(*at))
            }
        };
        if text != other && kept {
            places.push(difference(place, Some(other), Some(late)));
        }
    }
    places
}

/// What a second delivery of the same message did once more. Messages that a queue drops as duplicates do no harm.
pub fn repeated(first: &Seen, second: &Seen, lots: &Lots) -> Vec<Place> {
    let mut places = Vec::new();
    if first.is_success() && !second.is_success() {
        places.push(difference("outcome", Some("done"), Some(&second.outcome())));
    }
    for (key, value) in &second.kept {
        match first.kept.get(key) {
            Some(before) if before == value => {}
            Some(before) => places.extend(changed(key, before, value, lots)),
            None => places.push(difference(&format!("kv {key}"), None, Some(value))),
        }
    }
    for key in first.kept.keys().filter(|key| !second.kept.contains_key(*key)) {
        places.push(difference(
            &format!("kv {key}"),
            first.kept.get(key).map(String::as_str),
            None,
        ));
    }
    let dropped = |id: &Option<String>| id.is_some() && first.sent.iter().any(|sent| sent.message.deduplication == *id);
    for sent in second.sent.iter().filter(|sent| !dropped(&sent.message.deduplication)) {
        let body = String::from_utf8_lossy(&sent.message.body).into_owned();
        let before = first.sent.iter().find(|before| before.to == sent.to);
        let before = before.map(|before| String::from_utf8_lossy(&before.message.body).into_owned());
        places.push(difference(
            &format!("message to {}", sent.to),
            before.as_deref(),
            Some(&body),
        ));
    }
    places
}

/// A value that is another one now, unless only what is drawn in it is.
fn changed(key: &str, before: &str, value: &str, lots: &Lots) -> Option<Place> {
    let place = format!("kv {key}");
    let both = [before, value].map(|text| {
        let seen = Seen::of_text(&place, text);
        seen.facts
    });
    let [before_facts, facts] = &both;
    let find = |facts: &[(String, String)], name: &str| {
        facts
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, text)| text.clone())
    };
    for (name, text) in before_facts {
        let now = find(facts, name);
        let is_same = now.as_deref().is_some_and(|now| same(text, now, lots.facts.get(name)));
        if !is_same {
            return Some(difference(name, Some(text), now.as_deref()));
        }
    }
    let new = facts.iter().find(|(name, _)| find(before_facts, name).is_none());
    new.map(|(name, text)| difference(name, None, Some(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(facts: &[(&str, &str)], lines: &[&str]) -> Seen {
        Seen {
            facts: facts
                .iter()
                .map(|(place, text)| ((*place).to_owned(), (*text).to_owned()))
                .collect(),
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            ..Seen::default()
        }
    }

    #[test]
    fn what_is_drawn_counts_for_nothing_and_the_rest_of_its_text_does() {
        let first = seen(&[("body", "visit 1 at 10:00, id ab12")], &["run ab12"]);
        let second = seen(&[("body", "visit 1 at 11:30, id ff00")], &["run ff00"]);
        let lots = Lots::of(&first, &second);
        let drawn_anew = seen(&[("body", "visit 1 at 10:00, id 77aa")], &["run 77aa"]);
        assert_eq!(differences(&first, &drawn_anew, &lots), []);
        let counted = seen(&[("body", "visit 2 at 10:00, id 77aa")], &["run 77aa"]);
        let found = differences(&first, &counted, &lots);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].right.as_deref(), Some("visit 2 at 10:00, id 77aa"));
    }

    #[test]
    fn what_a_module_says_once_may_be_missing_later() {
        let fresh = seen(&[], &["loading", "handled"]);
        assert_eq!(differences(&fresh, &seen(&[], &["handled"]), &Lots::default()), []);
        let found = differences(&fresh, &seen(&[], &["cached"]), &Lots::default());
        assert_eq!(found, [difference("log line 2", Some("handled"), Some("cached"))]);
        let found = differences(&fresh, &seen(&[], &["loading", "handled", "again"]), &Lots::default());
        assert_eq!(found, [difference("log line 3", None, Some("again"))]);
    }

    #[test]
    fn a_value_that_was_drawn_once_is_stale() {
        let fresh = [&seen(&[("id", "aa")], &[]), &seen(&[("id", "bb")], &[])];
        let once = [&seen(&[("id", "aa")], &[]), &seen(&[("id", "aa")], &[])];
        let found = stale(fresh, once);
        assert_eq!(found, [difference("id", Some("bb"), Some("aa"))]);
        let pooled = [&seen(&[("id", "cc")], &[]), &seen(&[("id", "dd")], &[])];
        assert_eq!(stale(fresh, pooled), []);
        let same = [&seen(&[("id", "aa")], &[]), &seen(&[("id", "aa")], &[])];
        assert_eq!(stale(same, same), [], "it never differs");
    }

    #[test]
    fn a_second_delivery_may_write_the_same_again() {
        let kept = |text: &str| Seen {
            kept: BTreeMap::from([("done 7".to_owned(), text.to_owned())]),
            ..seen(&[("kv done 7.at", text)], &[])
        };
        let lots = Lots::of(
            &seen(&[("kv done 7.at", "1")], &[]),
            &seen(&[("kv done 7.at", "2")], &[]),
        );
        let first = kept(r#"{"at":"1","sum":5}"#);
        assert_eq!(repeated(&first, &kept(r#"{"at":"9","sum":5}"#), &lots), []);
        let found = repeated(&first, &kept(r#"{"at":"9","sum":10}"#), &lots);
        assert_eq!(found, [difference("kv done 7.sum", Some("5"), Some("10"))]);
    }
}
