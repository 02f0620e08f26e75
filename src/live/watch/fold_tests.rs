//! Scripts of events, and the batches they fold into.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::*;

/// Each line of `script` is `TIME_MS TOUCH PATH`, where TOUCH is `create`, `write`, `close`, `gone` or `meta`, or `lost`
/// without a path; `+path` is a new file. The fold is polled after each event's instant and at each deadline, as the
/// watching task does it. Gives `TIME_MS paths` for each batch, with `(since TIME_MS)` when it waited.
fn batches(script: &str, tuning: Tuning) -> String {
    let zero = Instant::now();
    let at = |ms: u64| zero + Duration::from_millis(ms);
    let mut fold = Fold::new(tuning);
    let mut out = String::new();
    let mut drain = |fold: &mut Fold, until: Option<Instant>| {
        while let Some(due) = fold.deadline().filter(|&due| until.is_none_or(|until| due < until)) {
            let before = fold.first();
            let batch = fold
                .poll(due.max(before.unwrap_or(due)))
                .expect("a deadline brings a batch");
            let now_ms = (due - zero).as_millis();
            let paths: Vec<_> = batch.paths.iter().map(|path| path.to_string_lossy()).collect();
            let _ = write!(
                out,
                "{now_ms} {}{}",
                if batch.rescan { "all " } else { "" },
                paths.join(" ")
            );
            let since_ms = (batch.since - zero).as_millis();
            let _ = if since_ms == now_ms {
                writeln!(out)
            } else {
                writeln!(out, " (since {since_ms})")
            };
        }
    };
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let ms = words.next().and_then(|word| word.parse().ok()).expect("a time");
        drain(&mut fold, Some(at(ms)));
        let touch = match words.next().expect("a touch") {
            "create" => Touch::Created,
            "write" => Touch::Writing,
            "close" => Touch::Settled,
            "gone" => Touch::Gone,
            "meta" => Touch::Meta,
            "lost" => {
                fold.lost(at(ms));
                continue;
            }
            other => panic!("no such touch: {other}"),
        };
        let path = words.next().expect("a path");
        match path.strip_prefix('+') {
            Some(path) => fold.event(at(ms), Path::new(path), touch, Weight::New),
            None => fold.event(at(ms), Path::new(path), touch, Weight::Known),
        }
    }
    drain(&mut fold, None);
    out
}

fn check(script: &str, expect: &str) {
    let lines = |text: &str| {
        text.lines()
            .map(|line| line.trim().to_owned())
            .filter(|l| !l.is_empty())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&batches(script, Tuning::new(true))),
        lines(expect),
        "script:\n{script}"
    );
}

#[test]
fn a_lone_save_is_due_at_once() {
    check("0 write api.ts\n 0 close api.ts", "0 api.ts");
    check("5 write api.ts\n 6 write api.ts\n 7 close api.ts", "7 api.ts (since 5)");
}

#[test]
fn two_saves_apart_are_each_due_at_once() {
    check("0 close api.ts\n 100 close api.ts", "0 api.ts\n 100 api.ts");
}

#[test]
fn the_second_save_right_after_a_batch_waits_for_quiet() {
    check("0 close api.ts\n 4 close api.ts", "0 api.ts\n 16 api.ts (since 4)");
}

#[test]
fn a_rename_into_place_counts_and_its_temporary_file_does_not() {
    check(
        "0 create +api.ts.1234\n 0 write +api.ts.1234\n 0 close +api.ts.1234\n 1 gone +api.ts.1234\n 1 close api.ts",
        "1 api.ts",
    );
}

#[test]
fn moved_away_and_written_anew() {
    // Vim with a backup: the file is renamed to `api.ts~`, written under its name, closed, its mode set.
    check(
        "0 gone api.ts\n 1 create api.ts\n 2 write api.ts\n 3 close api.ts\n 3 meta api.ts",
        "3 api.ts (since 0)",
    );
}

#[test]
fn a_removal_waits_for_the_file_to_come_back() {
    check("0 gone api.ts", "40 api.ts (since 0)");
    check("0 gone api.ts\n 30 close api.ts", "30 api.ts (since 0)");
}

#[test]
fn a_write_without_a_close_waits() {
    check("0 write api.ts\n 30 write api.ts", "80 api.ts (since 0)");
}

#[test]
fn without_close_events_a_write_waits_shortly() {
    assert_eq!(
        batches("0 write api.ts\n 2 write api.ts", Tuning::new(false)),
        "10 api.ts (since 0)\n"
    );
}

#[test]
fn an_endless_writer_is_looked_at_all_the_same() {
    let script: String = (0..60).map(|n| format!("{} write log.js\n", n * 10)).collect();
    check(&script, "400 log.js (since 0)\n 640 log.js (since 410)");
}

#[test]
fn a_burst_is_one_batch() {
    // Ten files within 20 ms of which the first was not yet taken: nothing polls between events of one instant.
    check(
        "0 close a.js\n 0 close b.js\n 3 close c.js\n 9 close a.js\n 15 close d.js",
        "27 a.js b.js c.js d.js (since 0)",
    );
}

#[test]
fn a_burst_that_trickles_gives_a_first_file_and_one_batch() {
    // The first event looks like a lone save; all the others go out together.
    check(
        "0 close a.js\n 1 close b.js\n 6 close c.js\n 11 close d.js",
        "0 a.js\n 23 b.js c.js d.js (since 1)",
    );
}

#[test]
fn a_long_burst_is_cut() {
    let script: String = (0..100).map(|n| format!("{} close f{}.js\n", n * 10, n % 2)).collect();
    check(
        &script,
        "0 f0.js\n 410 f0.js f1.js (since 10)\n 820 f0.js f1.js (since 420)\n 1002 f0.js f1.js (since 830)",
    );
}

#[test]
fn new_files_wait_a_little_and_do_not_hold_up_a_save() {
    check(
        "0 create +b.ts\n 0 close +b.ts\n 1 close api.ts",
        "1 api.ts\n 20 b.ts (since 0)",
    );
}

#[test]
fn a_new_folder_with_its_files_is_one_batch() {
    check(
        "0 create +lib\n 2 create +lib/a.js\n 4 close +lib/a.js\n 6 close +lib/b.js",
        "50 lib lib/a.js lib/b.js (since 0)",
    );
}

#[test]
fn a_folder_removed_and_made_again_within_the_wait_is_one_batch() {
    check(
        "0 gone api.ts\n 1 gone lib.ts\n 20 close api.ts\n 25 close lib.ts",
        "37 api.ts lib.ts (since 0)",
    );
}

#[test]
fn lost_events_make_everything_due() {
    check("0 close api.ts\n 0 lost\n 5 close b.ts", "17 all b.ts (since 0)");
}

#[test]
fn too_many_paths_make_everything_due() {
    let script: String = (0..=PENDING_MAX).map(|n| format!("0 close f{n}.js\n")).collect();
    check(&script, "12 all  (since 0)");
}

#[test]
fn a_held_folder_waits_but_not_for_ever() {
    let zero = Instant::now();
    let mut fold = Fold::new(Tuning::new(true));
    fold.event(zero, Path::new("api.ts"), Touch::Settled, Weight::Known);
    let mut now = zero;
    let mut asked = 0;
    while fold.hold(now) {
        assert_eq!(fold.poll(now), None);
        now = fold.deadline().expect("still pending");
        asked += 1;
    }
    assert_eq!(now - zero, Duration::from_millis(2000));
    assert_eq!(asked, 400);
    assert!(fold.poll(now).is_some_and(|batch| batch.since == zero));
}

#[test]
fn what_was_not_settled_comes_again_at_its_time() {
    let zero = Instant::now();
    let ms = Duration::from_millis;
    let mut fold = Fold::new(Tuning::new(true));
    fold.again(PathBuf::from("a.wasm"), zero, zero + ms(10));
    // A save meanwhile is still a lone one.
    fold.event(zero + ms(5), Path::new("api.ts"), Touch::Settled, Weight::Known);
    assert_eq!(
        fold.poll(zero + ms(5)).map(|batch| batch.paths),
        Some([PathBuf::from("api.ts")].into())
    );
    assert_eq!(fold.poll(zero + ms(9)), None);
    let batch = fold.poll(zero + ms(10)).expect("due");
    assert_eq!((batch.paths, batch.since), ([PathBuf::from("a.wasm")].into(), zero));
}
