//! Scripts of wishes and results, and what the queue does about them.

use std::time::Duration;

use super::*;

/// Lines of the script: `MS want UNIT [FILE]`, `MS done TICKET RESULT [hold MS]`, `MS remove UNIT`, `MS tick [calm MS]`.
/// A unit is a function's name, or `build:NAME`. At most two loads and one build run. Effects are written one a line.
fn check(script: &str, expect: &str) {
    let zero = Instant::now();
    let at = |ms: &str| zero + Duration::from_millis(ms.parse().expect("a time"));
    let unit = |name: &str| match name.strip_prefix("build:") {
        Some(command) => Unit::Build(BuildKey {
            command: command.to_owned(),
            dir: PathBuf::new(),
        }),
        None => Unit::Load(name.to_owned()),
    };
    let name = |unit: &Unit| match unit {
        Unit::Build(key) => format!("build:{}", key.command),
        Unit::Load(name) => name.clone(),
    };
    let cause = |cause: &Cause| format!("[{}] since {}", cause.files.join(" "), (cause.since - zero).as_millis());
    let mut queue: Queue<String> = Queue::new(Limits { loads: 2, builds: 1 });
    let mut out = Vec::new();
    // Tickets are numbered anew, so that scripts can name them: t1, t2, ...
    let mut tickets: Vec<Ticket> = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let now = at(words[0]);
        match words[1..] {
            ["want", wanted, ref files @ ..] => {
                let files = files.iter().map(|&file| file.to_owned()).collect();
                queue.want(
                    now,
                    unit(wanted),
                    Cause {
                        reason: Reason::Change,
                        files,
                        since: now,
                    },
                );
            }
            ["done", ticket, result, ref hold @ ..] => {
                let index: usize = ticket.trim_start_matches('t').parse().expect("a ticket");
                queue.finished(
                    now,
                    tickets[index - 1],
                    result.to_owned(),
                    hold.get(1).map(|&ms| at(ms)),
                );
            }
            ["remove", gone] => queue.remove(now, &unit(gone)),
            ["tick", ref calm @ ..] => queue.tick(now, calm.get(1).map(|&ms| at(ms))),
            _ => panic!("bad line {line}"),
        }
        while let Some(effect) = queue.poll_effect() {
            let line = match effect {
                Effect::Start {
                    ticket,
                    unit,
                    cause: why,
                } => {
                    tickets.push(ticket);
                    format!("start t{} {} {}", tickets.len(), name(&unit), cause(&why))
                }
                Effect::Cancel { ticket } => {
                    let index = tickets
                        .iter()
                        .position(|&t| t == ticket)
                        .expect("a ticket that was given out");
                    format!("cancel t{}", index + 1)
                }
                Effect::Report {
                    unit,
                    cause: why,
                    started,
                    result,
                } => {
                    let started = (started - zero).as_millis();
                    format!("report {} {result} {} started {started}", name(&unit), cause(&why))
                }
                Effect::Settled => "settled".to_owned(),
            };
            out.push(format!("{} {line}", words[0]));
        }
    }
    let expect: Vec<_> = expect.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(out, expect, "script:\n{script}");
}

#[test]
fn one_change_one_load() {
    check(
        "0 want api a.js\n 5 done t1 ok",
        "0 start t1 api [a.js] since 0\n 5 report api ok [a.js] since 0 started 0\n 5 settled",
    );
}

#[test]
fn a_newer_change_ends_the_older_load() {
    check(
        "0 want api a.js\n 3 want api b.js\n 4 done t1 stale\n 9 done t2 ok",
        "0 start t1 api [a.js] since 0
         3 cancel t1
         3 start t2 api [a.js b.js] since 3
         9 report api ok [a.js b.js] since 3 started 3
         9 settled",
    );
}

#[test]
fn what_waits_melts_into_one_and_counts_from_the_first() {
    check(
        "0 want a\n 0 want b\n 1 want c x.js\n 2 want c y.js\n 3 want c x.js\n 5 done t1 ok\n 6 done t3 ok\n 7 done t2 ok",
        "0 start t1 a [] since 0
         0 start t2 b [] since 0
         5 report a ok [] since 0 started 0
         5 start t3 c [x.js y.js] since 1
         6 report c ok [x.js y.js] since 1 started 5
         7 report b ok [] since 0 started 0
         7 settled",
    );
}

#[test]
fn waiting_units_start_in_the_order_of_their_wishes() {
    check(
        "0 want a\n 0 want b\n 1 want d\n 2 want c\n 3 done t1 ok\n 4 done t2 ok",
        "0 start t1 a [] since 0
         0 start t2 b [] since 0
         3 report a ok [] since 0 started 0
         3 start t3 d [] since 1
         4 report b ok [] since 0 started 0
         4 start t4 c [] since 2",
    );
}

#[test]
fn builds_and_loads_have_limits_of_their_own() {
    check(
        "0 want build:cargo\n 0 want build:npm\n 0 want api\n 5 done t1 ok",
        "0 start t1 build:cargo [] since 0
         0 start t2 api [] since 0
         5 report build:cargo ok [] since 0 started 0
         5 start t3 build:npm [] since 0",
    );
}

#[test]
fn a_build_wanted_again_starts_over() {
    check(
        "0 want build:cargo a.rs\n 0 want build:cargo a.rs\n 9 done t2 ok",
        "0 start t1 build:cargo [a.rs] since 0
         0 cancel t1
         0 start t2 build:cargo [a.rs] since 0
         9 report build:cargo ok [a.rs] since 0 started 0
         9 settled",
    );
}

#[test]
fn a_failure_in_a_burst_is_held_and_forgotten_when_files_arrive() {
    check(
        "0 want api a.js\n 2 done t1 failed hold 40\n 20 want api b.js\n 25 done t2 ok\n 40 tick",
        "0 start t1 api [a.js] since 0
         20 start t2 api [a.js b.js] since 20
         25 report api ok [a.js b.js] since 20 started 20
         25 settled",
    );
}

#[test]
fn a_held_failure_is_reported_once_the_folder_is_quiet() {
    check(
        "0 want api a.js\n 2 done t1 failed hold 40\n 30 tick\n 40 tick calm 70\n 70 tick calm 70",
        "0 start t1 api [a.js] since 0
         70 report api failed [a.js] since 0 started 0
         70 settled",
    );
}

#[test]
fn a_failure_in_a_quiet_folder_is_reported_at_once() {
    check(
        "0 want api a.js\n 50 done t1 failed hold 40",
        "0 start t1 api [a.js] since 0\n 50 report api failed [a.js] since 0 started 0\n 50 settled",
    );
}

#[test]
fn a_removed_unit_ends_and_makes_room() {
    check(
        "0 want a\n 0 want b\n 0 want c\n 1 remove a\n 2 done t1 stale\n 3 done t2 ok\n 4 done t3 ok",
        "0 start t1 a [] since 0
         0 start t2 b [] since 0
         1 cancel t1
         1 start t3 c [] since 0
         3 report b ok [] since 0 started 0
         4 report c ok [] since 0 started 1
         4 settled",
    );
}

#[test]
fn removing_the_last_unit_settles() {
    check(
        "0 want a\n 1 remove a\n 2 remove a",
        "0 start t1 a [] since 0\n 1 cancel t1\n 1 settled",
    );
}
