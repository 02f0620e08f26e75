//! Golden lines: what a person sees for each kind of event.

use super::*;
use crate::report::style::Zone;

fn renderer(verbosity: Verbosity) -> Renderer {
    let style = Style {
        color: false,
        verbosity,
        zone: Zone::Utc,
    };
    Renderer::new(style)
}

fn check_at(verbosity: Verbosity, events: &[Event], expect: &str) {
    let mut renderer = renderer(verbosity);
    let mut out = String::new();
    for event in events {
        let stamped = Stamped {
            time: "2026-01-31T12:00:01.250Z".to_owned(),
            event: event.clone(),
        };
        for line in renderer.render(&stamped) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    assert_eq!(out, expect, "got:\n{out}");
}

fn check(events: &[Event], expect: &str) {
    check_at(Verbosity::Normal, events, expect);
}

fn invocation() -> event::Invocation {
    event::Invocation {
        id: "5f0c".to_owned(),
        function: "api".to_owned(),
        version: 3,
        trigger: "http".to_owned(),
        summary: "GET /orders".to_owned(),
        outcome: "succeeded".to_owned(),
        status: Some(200),
        cold: false,
        instance: Some(1),
        duration_ms: 12.34,
        init_ms: 0.0,
        modelled_init_ms: 0.0,
        billed_ms: 13,
        memory_mb: 256,
        max_memory_mb: 18.2,
        cost: 0.0000004,
        attempt: 1,
        cause: None,
        first_attempt: None,
        message: None,
        error: None,
    }
}

fn failure(outcome: &str, message: &str, stack: &[&str]) -> event::Invocation {
    event::Invocation {
        outcome: outcome.to_owned(),
        error: Some(event::Error {
            kind: "error".to_owned(),
            message: message.to_owned(),
            stack: stack.iter().map(|s| (*s).to_owned()).collect(),
        }),
        ..invocation()
    }
}

#[test]
fn invocations_line_up() {
    let cold = event::Invocation {
        cold: true,
        modelled_init_ms: 145.0,
        init_ms: 0.2,
        billed_ms: 158,
        cost: 0.00000086,
        ..invocation()
    };
    let cron = event::Invocation {
        function: "scheduled-report".to_owned(),
        trigger: "cron".to_owned(),
        summary: "report at 08:00".to_owned(),
        status: None,
        duration_ms: 3016.78,
        billed_ms: 3017,
        cold: true,
        init_ms: 3.21,
        ..invocation()
    };
    let batch = event::Invocation {
        function: "billing".to_owned(),
        summary: "orders (3 messages)".to_owned(),
        status: None,
        attempt: 2,
        ..invocation()
    };
    check(
        &[Event::Invocation(cold), Event::Invocation(invocation()), Event::Invocation(cron), Event::Invocation(batch)],
        "\
12:00:01 api      GET /orders 200           12.3 ms  billed 158 ms    18/256 MB  $0.00000086  cold +145 ms modelled
12:00:01 api      GET /orders 200           12.3 ms  billed 13 ms     18/256 MB  $0.0000004
12:00:01 scheduled-report report at 08:00 ok         3.02 s  billed 3,017 ms    18/256 MB  $0.0000004   cold 3.21 ms measured
12:00:01 billing          orders (3 messages) ok    12.3 ms  billed 13 ms     18/256 MB  $0.0000004   attempt 2
",
    );
}

#[test]
fn failures_show_their_stack_indented() {
    let deep: Vec<String> = (1..=14)
        .map(|n| format!("    at f{n} (functions/api.ts:{n}:1)"))
        .collect();
    let deep: Vec<&str> = deep.iter().map(String::as_str).collect();
    let failed = event::Invocation {
        status: Some(502),
        ..failure(
            "failed",
            "TypeError: x is not a function\nwith more",
            &["at handler (functions/api.ts:12:9)"],
        )
    };
    let timeout = event::Invocation {
        status: Some(504),
        ..failure("timed_out", "no answer after 3s", &deep)
    };
    check(
        &[Event::Invocation(failed), Event::Invocation(timeout)],
        "\
12:00:01 api      GET /orders 502 failed    12.3 ms  billed 13 ms     18/256 MB  $0.0000004
                  TypeError: x is not a function
                  with more
                      at handler (functions/api.ts:12:9)
12:00:01 api      GET /orders 504 timed out  12.3 ms  billed 13 ms     18/256 MB  $0.0000004
                  no answer after 3s
                      at f1 (functions/api.ts:1:1)
                      at f2 (functions/api.ts:2:1)
                      at f3 (functions/api.ts:3:1)
                      at f4 (functions/api.ts:4:1)
                      at f5 (functions/api.ts:5:1)
                      at f6 (functions/api.ts:6:1)
                      at f7 (functions/api.ts:7:1)
                      at f8 (functions/api.ts:8:1)
                      at f9 (functions/api.ts:9:1)
                      at f10 (functions/api.ts:10:1)
                      at f11 (functions/api.ts:11:1)
                      at f12 (functions/api.ts:12:1)
                      ... 2 more
",
    );
}

#[test]
fn what_never_ran_has_no_figures() {
    let throttled = event::Invocation {
        status: Some(429),
        ..failure("throttled", "max_concurrency 2 reached", &[])
    };
    let expired = event::Invocation {
        status: None,
        summary: "orders (1 message)".to_owned(),
        ..failure("expired", "older than 6h", &[])
    };
    check(
        &[Event::Invocation(throttled), Event::Invocation(expired)],
        "\
12:00:01 api      GET /orders 429 throttled  max_concurrency 2 reached
12:00:01 api      orders (1 message) expired  older than 6h
",
    );
}

fn instance(state: &str, reason: Option<&str>) -> Event {
    Event::Instance(event::Instance {
        id: 3,
        function: "api".to_owned(),
        version: 1,
        state: state.to_owned(),
        reason: reason.map(str::to_owned),
    })
}

fn message(change: &str, detail: Option<&str>) -> Event {
    Event::Message(event::Message {
        id: "m-1".to_owned(),
        queue: Some("orders".to_owned()),
        topic: None,
        change: change.to_owned(),
        detail: detail.map(str::to_owned),
        ..event::Message::default()
    })
}

#[test]
fn the_platform_s_doings() {
    let events = [
        instance("starting", None),
        instance("gone", Some("idle for 10m")),
        message("sent", None),
        message("returned", Some("attempt 2 of 3")),
        message("dead_lettered", Some("to orders-dead")),
        Event::Throttle(event::Throttle {
            function: "api".to_owned(),
            invocation: Some("i".to_owned()),
            reason: "max_concurrency 2 reached".to_owned(),
        }),
        Event::Throttle(event::Throttle {
            function: "api".to_owned(),
            invocation: None,
            reason: "account concurrency 1000 reached".to_owned(),
        }),
        Event::Retry(event::Retry {
            function: "job".to_owned(),
            first_attempt: "5f0c".to_owned(),
            failed: "5f0c".to_owned(),
            attempt: 2,
            attempts_max: 3,
            at: "2026-11-23T12:01:01Z".to_owned(),
        }),
        Event::GaveUp(event::GaveUp {
            function: "job".to_owned(),
            first_attempt: "5f0c".to_owned(),
            last: "5f0e".to_owned(),
            attempts: 3,
            to: Some("queue dead".to_owned()),
        }),
        Event::Cron(event::Cron {
            name: "report#2".to_owned(),
            scheduled_at: "2026-01-31T08:00:00Z".to_owned(),
            outcome: "skipped".to_owned(),
            detail: "the last run still goes".to_owned(),
        }),
    ];
    check(
        &events,
        "\
12:00:01 api      instance 3 gone: idle for 10m
12:00:01 orders   message m-1 returned, attempt 2 of 3
12:00:01 orders   message m-1 dead lettered, to orders-dead
12:00:01 api      throttled: account concurrency 1000 reached
12:00:01 job      attempt 2 of 3 at Mon 23 Nov 12:01:01 UTC  event 5f0c
12:00:01 job      gave up after 3 attempts: its event went to queue dead  event 5f0c
12:00:01 report#2 cron of Sat 31 Jan 08:00 UTC skipped: the last run still goes
",
    );
    check_at(
        Verbosity::Verbose,
        &events[..3],
        "\
12:00:01 api      instance 3 starting
12:00:01 api      instance 3 gone: idle for 10m
12:00:01 orders   message m-1 sent
",
    );
    let gave_up = "12:00:01 job      gave up after 3 attempts: its event went to queue dead  event 5f0c\n";
    check_at(Verbosity::Quiet, &events, gave_up);
}

#[test]
fn reloads_tell_how_long_each_phase_took() {
    let reload = |outcome: &str, error: Option<&str>, serving: bool| {
        Event::Reload(event::Reload {
            function: "api".to_owned(),
            outcome: outcome.to_owned(),
            version: Some(4),
            files: ["a.ts", "b.ts", "c.ts", "d.ts"].map(str::to_owned).to_vec(),
            total_ms: 8.12,
            phases: vec![("watch".to_owned(), 2.0), ("read".to_owned(), 6.1)],
            error: error.map(str::to_owned),
            serving,
        })
    };
    check(
        &[
            reload("changed", None, true),
            reload("removed", None, false),
            reload("unchanged", None, true),
            reload("failed", Some("unexpected token\n  --> functions/api.ts:3:7"), true),
            reload("failed", Some("no such file"), false),
        ],
        "\
12:00:01 api      reloaded v4 in 8.12 ms  (watch 2.00 ms, read 6.10 ms)  a.ts, b.ts, c.ts and 1 more
12:00:01 api      removed  a.ts, b.ts, c.ts and 1 more
12:00:01 api      built, and came out the same in 8.12 ms  (watch 2.00 ms, read 6.10 ms)  a.ts, b.ts, c.ts and 1 more
12:00:01 api      does not build, the version before still serves  a.ts, b.ts, c.ts and 1 more
                  unexpected token
                    --> functions/api.ts:3:7
12:00:01 api      does not build  a.ts, b.ts, c.ts and 1 more
                  no such file
",
    );
}

#[test]
fn guests_cannot_reach_the_terminal() {
    let log = |stream: Stream, text: &str| {
        Event::Log(event::Log {
            function: "api".to_owned(),
            invocation: "i".to_owned(),
            stream,
            text: text.to_owned(),
        })
    };
    let path = event::Invocation {
        summary: "GET /\u{1b}]0;owned\u{7}\u{202e}x".to_owned(),
        ..invocation()
    };
    check(
        &[
            log(Stream::Stdout, "\u{1b}[31mred\u{1b}[0m and more"),
            log(Stream::Error, "two\nlines"),
            log(Stream::Stderr, ""),
            Event::Invocation(path),
        ],
        "\
12:00:01 api      | red and more
12:00:01 api      | two
12:00:01 api      | lines
12:00:01 api      !
12:00:01 api      GET /\\u{202e}x 200        12.3 ms  billed 13 ms     18/256 MB  $0.0000004
",
    );
}

#[test]
fn quiet_still_shows_problems() {
    let notice = |level: &str| {
        Event::Notice(event::Notice {
            level: level.to_owned(),
            message: "one\ntwo".to_owned(),
        })
    };
    check_at(
        Verbosity::Quiet,
        &[notice("info"), notice("error"), Event::Invocation(invocation())],
        "12:00:01 error: one\n         two\n",
    );
}

#[test]
fn colours_mark_what_matters() {
    let style = Style {
        zone: Zone::Utc,
        ..Style::new(true, Verbosity::Normal)
    };
    let mut renderer = Renderer::new(style);
    let stamped = Stamped {
        time: "2026-01-31T12:00:01.250Z".to_owned(),
        event: Event::Invocation(event::Invocation {
            status: Some(404),
            ..invocation()
        }),
    };
    let lines = renderer.render(&stamped);
    assert!(lines[0].contains("\u{1b}[33m404\u{1b}[0m"), "{:?}", lines[0]);
    assert!(
        lines[0].starts_with("\u{1b}[2m12:00:01\u{1b}[0m \u{1b}[1mapi     \u{1b}[0m "),
        "{:?}",
        lines[0]
    );
}
