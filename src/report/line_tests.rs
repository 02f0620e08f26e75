//! Golden lines: what a person sees for each kind of event.

use super::*;
use crate::report::style::Zone;

fn renderer(verbosity: Verbosity) -> Renderer {
    let style = Style {
        color: false,
        verbosity,
        zone: Zone::Utc,
    };
    Renderer::new(style, Redactor::new(["hunter22".to_owned()]))
}

fn check_at(verbosity: Verbosity, events: &[Event], expect: &str) {
    let mut renderer = renderer(verbosity);
    let mut out = String::new();
    for event in events {
        let stamped = Stamped {
            time: "2026-01-31T12:00:01.250Z".to_owned(),
            event: event.clone(),
        };
        for line in renderer.render(&stamped).map(|(_, lines)| lines).unwrap_or_default() {
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
12:00:01 api      GET /orders 200           12.3 ms  billed 158 ms  18/256 MB    $0.00000086  cold +145 ms modelled
12:00:01 api      GET /orders 200           12.3 ms  billed 13 ms   18/256 MB    $0.0000004
12:00:01 scheduled-report report at 08:00 ok        3.02 s  billed 3,017 ms   18/256 MB    $0.0000004  cold 3.21 ms measured
12:00:01 billing          orders (3 messages) ok   12.3 ms  billed 13 ms   18/256 MB    $0.0000004  attempt 2
",
    );
}
