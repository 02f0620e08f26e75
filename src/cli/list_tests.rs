//! Golden tables of what a running emulator holds.

use super::*;

/// A function that has done nothing.
pub fn sample_function(name: &str) -> api::Function {
    api::Function {
        name: name.to_owned(),
        source: format!("functions/{name}.ts"),
        version: Some(1),
        error: None,
        urls: Vec::new(),
        routes: Vec::new(),
        crons: Vec::new(),
        queue: None,
        topic: None,
        memory_mb: 128,
        timeout_ms: 3_000.0,
        runtime: "nodejs22".to_owned(),
        isolation: "invocation".to_owned(),
        min_instances: 0,
        max_concurrency: None,
        concurrency: 1,
        keep_alive_ms: 600_000.0,
        instances: 0,
        invocations: 0,
        errors: 0,
        cold_starts: 0,
        throttles: 0,
    }
}

/// An empty queue.
pub fn sample_queue(name: &str) -> api::Queue {
    api::Queue {
        name: name.to_owned(),
        fifo: false,
        visible: 0,
        in_flight: 0,
        delayed: 0,
        dead: 0,
        dead_letter: None,
        consumer: None,
        oldest_ms: None,
        max_receives: None,
        visibility_timeout_ms: 30_000.0,
    }
}

fn instance(id: u64, state: &str, idle_ms: Option<f64>, expires_in_ms: Option<f64>) -> api::Instance {
    api::Instance {
        id,
        function: "api".to_owned(),
        version: 3,
        state: state.to_owned(),
        age_ms: 61_000.0,
        idle_ms,
        expires_in_ms,
        invocations: 1_204,
        in_flight: u32::from(state == "busy"),
    }
}

#[test]
fn functions_with_their_state() {
    let functions = [
        api::Function {
            routes: vec!["GET /products/{id}".to_owned(), "POST /orders".to_owned()],
            invocations: 12_004,
            errors: 3,
            cold_starts: 12,
            ..sample_function("api")
        },
        api::Function {
            version: None,
            error: Some("unexpected token\n  --> functions/bad.ts:1:7".to_owned()),
            queue: Some("orders".to_owned()),
            ..sample_function("bad")
        },
    ];
    let expect = "\
function  version         source            memory  invocations  errors  cold  reached by
api       v1              functions/api.ts  128 MB       12,004       3    12  GET /products/{id}
                                                                               POST /orders
bad       does not build  functions/bad.ts  128 MB            0       0     0  queue orders

bad does not build:
  unexpected token
    --> functions/bad.ts:1:7
";
    assert_eq!(functions_table(&functions), expect);
}

#[test]
fn instances_say_when_they_vanish() {
    let rows = [
        instance(1, "busy", None, None),
        instance(2, "idle", Some(30_000.0), Some(570_000.0)),
        instance(3, "idle", Some(5_000.0), None),
    ];
    let broken = api::Function {
        error: Some("x".to_owned()),
        ..sample_function("bad")
    };
    let expect = "\
id  function  version  state        age  idle  vanishes in  served  in flight
 1  api       v3       busy   1 min 1 s     -            -   1,204          1
 2  api       v3       idle   1 min 1 s  30 s   9 min 30 s   1,204          0
 3  api       v3       idle   1 min 1 s   5 s         kept   1,204          0
bad does not build, version 1 serves on: `emu functions` shows why
";
    assert_eq!(instances_table(&rows, &[broken]), expect);
    assert!(instances_table(&[], &[]).contains("scaled to zero"));
}

#[test]
fn queues_and_crons() {
    let queue = api::Queue {
        visible: 1_200,
        in_flight: 10,
        dead: 2,
        dead_letter: Some("orders-dead".to_owned()),
        consumer: Some("billing".to_owned()),
        max_receives: Some(3),
        oldest_ms: Some(65_000.0),
        ..sample_queue("orders")
    };
    let expect = "\
queue        visible  in flight  delayed  dead     oldest  consumer  dead letters to
orders         1,200         10        0     2  1 min 5 s  billing   orders-dead
orders-dead        0          0        0     -          -  -         -
";
    assert_eq!(queues_table(&[queue.clone(), sample_queue("orders-dead")]), expect);
    let expect = "\
visible             1,200 messages
in flight           10
delayed             0
visibility timeout  30 s
oldest              1 min 5 s
consumer            billing
dead letters        2 in orders-dead after 3 receives
";
    assert_eq!(queue_text(&queue), expect);

    let cron = api::CronState {
        name: "report".to_owned(),
        function: "report".to_owned(),
        schedule: "0 8 * * *".to_owned(),
        timezone: "UTC".to_owned(),
        overlap: "skip".to_owned(),
        next: vec!["2026-11-23T08:00:00Z".to_owned(), "2026-11-24T08:00:00Z".to_owned()],
        last: None,
    };
    let expect = "\
cron    function  schedule   zone  overlap  last  next
report  report    0 8 * * *  UTC   skip     -     Mon 23 Nov 08:00 UTC
                                                  Tue 24 Nov 08:00 UTC
";
    assert_eq!(crons_table(&[cron]), expect);
}

#[test]
fn a_status_at_a_glance() {
    let health = api::Health {
        status: "ready".to_owned(),
        version: "0.1.0".to_owned(),
        project: "shop".to_owned(),
        provider: "aws-lambda".to_owned(),
        functions_url: "http://127.0.0.1:3680".to_owned(),
        control_url: "http://127.0.0.1:3681".to_owned(),
        pid: 7,
        uptime_ms: 3_600_000.0,
        clock: "real".to_owned(),
        now: "2026-11-23T08:00:00.000Z".to_owned(),
        started_at: "2026-01-31T12:00:00.000Z".to_owned(),
        clock_factor: 1.0,
        network_url: None,
        bus: None,
        cold_starts: "report".to_owned(),
    };
    let function = api::Function {
        invocations: 1_000,
        errors: 1,
        cold_starts: 4,
        instances: 2,
        ..sample_function("api")
    };
    let expect = "\
project             shop
status              ready, 1 function
functions           http://127.0.0.1:3680
control             http://127.0.0.1:3681
provider            aws-lambda
clock               real, now 2026-11-23T08:00:00.000Z
cold starts         report
served              1,000 invocations, 1 error, 4 cold starts
instances           2
up                  1 h, pid 7, emu 0.1.0
";
    assert_eq!(status_text(&health, &[function]), expect);
}
