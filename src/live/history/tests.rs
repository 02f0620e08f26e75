//! The history on its own: what is found again, what is folded, what goes first, and how a chain is told.

use std::sync::Mutex;

use super::write::Writer;
use super::*;
use crate::live::api::{Hop, Then};
use crate::live::clock::rfc3339;
use crate::live::events::{Done, Hub, Raw, Summary, What};
use crate::live::exchange::Exchanges;
use crate::platform::effect::{End, Record, TriggerKind};
use crate::platform::ids::{FunctionId, InvocationId};
use crate::platform::input::Outcome;
use crate::report::event::{Event, GaveUp, Invocation, Log, Message, Retry};

const WEEK: Span = Span::from_secs(7 * 24 * 3600);

fn bounds() -> Bounds {
    Bounds {
        age_max: WEEK,
        bytes_max: 64 << 20,
        bodies_bytes_max: 1 << 20,
    }
}

fn row(secs: u64, event: Event) -> Row {
    let time = rfc3339(Time::from_secs(secs));
    Row::Event(Arc::new(Stamped { time, event }))
}

fn log(id: &str, text: &str) -> Event {
    Event::Log(Log {
        function: "api".to_owned(),
        invocation: id.to_owned(),
        stream: crate::engine::Stream::Info,
        text: text.to_owned(),
    })
}

/// By function, id, trigger; what is left out stands in the second argument.
fn invocation(function: &str, id: &str, trigger: &str) -> Invocation {
    let text = serde_json::json!({
        "id": id, "function": function, "version": 1, "trigger": trigger, "summary": trigger, "outcome": "succeeded",
        "cold": false, "instance": 1, "duration_ms": 1.0, "init_ms": 0.0, "modelled_init_ms": 0.0, "billed_ms": 1,
        "memory_mb": 128, "max_memory_mb": 3.0, "cost": 0.0, "attempt": 1
    });
    serde_json::from_value(text).expect("all fields that are no options")
}

fn message(id: &str, queue: &str, change: &str) -> Message {
    Message {
        id: id.to_owned(),
        queue: Some(queue.to_owned()),
        change: change.to_owned(),
        ..Message::default()
    }
}

fn writer(rows: Vec<Row>) -> Writer {
    let mut writer = Writer::new(schema::open(None, &quiet).expect("memory opens"), bounds());
    writer.write(Time::from_secs(100), &rows).expect("rows are written");
    writer
}

#[test]
fn what_was_kept_is_found_again_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let query = Query {
        limit: 10,
        ..Query::default()
    };
    for at in 1..=2u64 {
        let mut writer = Writer::new(schema::open(Some(folder.path()), &quiet).expect("it opens"), bounds());
        let id = format!("i{at}");
        let rows = [
            row(at, log(&id, "hello")),
            row(at, Event::Invocation(invocation("api", &id, "http"))),
        ];
        writer.write(Time::from_secs(at), &rows).expect("rows are written");
    }
    let connection = schema::look(folder.path()).expect("it can be read");
    let told = logs(&connection, &query).expect("logs");
    let told: Vec<String> = told
        .iter()
        .map(|stamped| match &stamped.event {
            Event::Log(log) => format!("{} {}", log.invocation, log.text),
            Event::Invocation(invocation) => format!("{} {}", invocation.id, invocation.outcome),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["i1 hello", "i1 succeeded", "i2 hello", "i2 succeeded"]);
    let since = Query {
        since: Some(rfc3339(Time::from_secs(2))),
        function: Some("api".to_owned()),
        ..query
    };
    assert_eq!(invocations(&connection, &since).expect("invocations").len(), 1);
    let one = invocation_of(&connection, "i1");
    assert_eq!((one.invocation.id.as_str(), one.log.len()), ("i1", 1));
    // The views are for whoever opens the file.
    let view = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .expect("a view")
    };
    assert_eq!(
        view("SELECT count(*) FROM invocations WHERE outcome = 'succeeded' AND billed_ms = 1"),
        2
    );
    assert_eq!(
        view("SELECT count(*) FROM logs WHERE text = 'hello' AND stream = 'info'"),
        2
    );
    assert_eq!(view("SELECT count(*) FROM messages"), 0);
}

fn invocation_of(connection: &Connection, id: &str) -> crate::live::api::InvocationDetail {
    super::invocation(connection, id)
        .expect("it can be read")
        .expect("it is there")
}

#[test]
fn a_history_that_cannot_be_read_is_put_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    std::fs::write(&path, vec![b'x'; 8_192]).expect("written");
    let told = Mutex::new(Vec::new());
    let tell = |text| told.lock().expect("whole").push(text);
    let mut writer = Writer::new(schema::open(Some(folder.path()), &tell).expect("a new one"), bounds());
    let told = told.lock().expect("whole").join("\n");
    assert!(told.contains("history.db.old"), "{told}");
    let rows = [row(1, Event::Invocation(invocation("api", "i1", "http")))];
    writer.write(Time::from_secs(1), &rows).expect("rows are written");
    assert!(folder.path().join("history.db.old").exists());
}

#[test]
fn the_oldest_goes_by_age_and_by_size() {
    let count = |writer: &Writer| {
        let sql = "SELECT count(*), ifnull(min(seq), 0) FROM event";
        writer
            .connection()
            .query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .expect("a count")
    };
    let many = |from: u64| -> Vec<Row> {
        let one = |n: u64| row(n / 100, Event::Invocation(invocation("api", &format!("i{n}"), "http")));
        (from..from + 2_000).map(one).collect()
    };
    let small = Bounds {
        bytes_max: 3 << 20,
        ..bounds()
    };
    let mut writer = Writer::new(schema::open(None, &quiet).expect("memory opens"), small);
    for at in 0..10 {
        writer
            .write(Time::from_secs(at * 20), &many(at * 2_000))
            .expect("written");
    }
    let (left, first) = count(&writer);
    assert!(first > 1 && left > 2_000 && left < 15_000, "{left} rows from {first}");
    // A week and a second after the last of them.
    let late = Time::from_secs(200) + WEEK + Span::from_secs(1);
    let new: Vec<Row> = (0..2_000)
        .map(|n| row(late.as_secs(), log(&format!("n{n}"), "x")))
        .collect();
    writer.write(late, &new).expect("written");
    assert_eq!(count(&writer).0, 2_000);
}

fn done(n: u64, at: Time, failed: bool) -> Raw {
    let outcome = if failed { Outcome::Failed } else { Outcome::Succeeded };
    let record = Record {
        invocation: InvocationId(n),
        function: FunctionId(0),
        version: None,
        instance: None,
        trigger: TriggerKind::Http,
        end: End::Ran(outcome),
        cold: false,
        arrived_at: at,
        started_at: None,
        ended_at: at,
        duration: Span::from_secs(1),
        init: Span::ZERO,
        modelled_init: Span::ZERO,
        memory_bytes_max: 0,
        metered: None,
        attempt: 1,
        cause: None,
        event: None,
        message: None,
    };
    let what = What::Invocation(Box::new(Done {
        record,
        summary: Summary::Event,
        status: None,
        failure: None,
        sandbox_init: Span::ZERO,
        log_bytes_dropped: 0,
        exchange: None,
    }));
    Raw { at, what }
}

#[test]
fn a_flood_is_folded_into_sums_and_hides_no_failure() {
    let mut budget = Budget::default();
    let at = Time::from_secs(7);
    let mut kept = (0, 0);
    assert!(budget.sums(at).is_empty());
    for n in 0..10_000 {
        let failed = n % 100 == 0;
        if budget.take(&done(n, at, failed), |_| "api".into()) {
            kept.0 += 1;
            kept.1 += u64::from(failed);
        }
    }
    assert_eq!(
        kept,
        (600, 100),
        "500 of one second that went well, and all that failed"
    );
    let sums = budget.sums(Time::from_secs(8));
    let [Row::Folded(sums)] = sums.as_slice() else {
        panic!("{sums:?}");
    };
    assert_eq!((sums.count, sums.failed, &*sums.function), (9_400, 0, "api"));
    assert_eq!((sums.at, sums.duration_ms), (at, 9_400_000.0));
    assert!(budget.take(&done(1, Time::from_secs(8), false), |_| "api".into()));
}

#[test]
fn the_thread_answers_after_what_was_kept_and_tells_of_trouble() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = told.clone();
    let tell: Tell = Box::new(move |text| heard.lock().expect("no panic").push(text));
    let past = Past::start(None, bounds(), tell).expect("a thread");
    past.keep(
        Time::from_secs(1),
        vec![row(1, Event::Invocation(invocation("api", "i1", "http")))],
    );
    let count = |connection: &Connection| connection.query_row("SELECT count(*) FROM event", [], |row| row.get(0));
    let found: Option<rusqlite::Result<i64>> = runtime.block_on(past.ask(count));
    assert_eq!(found, Some(Ok(1)));
    let broken = |connection: &Connection| connection.execute_batch("DROP TABLE event");
    assert_eq!(runtime.block_on(past.ask(broken)), Some(Ok(())));
    for _ in 0..2 {
        past.keep(Time::from_secs(2), vec![row(2, log("i1", "x"))]);
        runtime.block_on(past.ask(|_| Ok(())));
    }
    runtime.block_on(past.close());
    let told = told.lock().expect("no panic");
    assert!(
        matches!(told.as_slice(), [text] if text.contains("cannot be written")),
        "{told:?}"
    );
}

#[test]
fn what_trouble_has_cost_is_counted_to_the_last_row() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let past = Past::start(None, bounds(), Box::new(|_| {})).expect("a thread");
    let run = |sql: &'static str| runtime.block_on(past.ask(move |connection| connection.execute_batch(sql)));
    assert_eq!(run("ALTER TABLE event RENAME TO away"), Some(Ok(())));
    for _ in 0..3 {
        past.keep(Time::from_secs(2), vec![row(2, log("i1", "x"))]);
        assert_eq!(run("SELECT 1"), Some(Ok(())));
    }
    assert_eq!(run("ALTER TABLE away RENAME TO event"), Some(Ok(())));
    assert_eq!(run("SELECT 1"), Some(Ok(())));
    let lost = |connection: &Connection| {
        let sql = "SELECT count, time FROM folded WHERE what = 'any'";
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
    };
    let found: Option<rusqlite::Result<(i64, String)>> = runtime.block_on(past.ask(lost));
    assert_eq!(found, Some(Ok((3, rfc3339(Time::from_secs(2))))));
    runtime.block_on(past.close());
}

/// The tree as indented lines.
fn shown(hop: &Hop, depth: usize, out: &mut String) {
    let mark = if hop.asked { " <-" } else { "" };
    let how = hop.how.as_deref().unwrap_or("-");
    let more = if hop.more > 0 {
        format!(" +{}", hop.more)
    } else {
        String::new()
    };
    out.push_str(&format!(
        "{}{} {how}: {}{more}{mark}\n",
        "  ".repeat(depth),
        hop.id,
        hop.what
    ));
    for then in &hop.then {
        match then {
            Then::Step(step) => out.push_str(&format!("{}. {}\n", "  ".repeat(depth + 1), step.what)),
            Then::Hop(hop) => shown(hop, depth + 1, out),
        }
    }
}

fn quiet(_: String) {}

fn told(writer: &Writer, id: &str) -> String {
    let why = why(writer.connection(), id)
        .expect("it can be read")
        .expect("it is known");
    let mut out = String::new();
    shown(&why.root, 0, &mut out);
    out
}

#[test]
fn a_message_is_told_from_the_request_that_sent_it_to_its_dead_letter() {
    let sent = |id: &str| Message {
        cause: Some("i1".to_owned()),
        ..message(id, "orders", "sent")
    };
    let received = |n: u32, by: &str| Message {
        by: Some(by.to_owned()),
        receive_count: Some(n),
        ..message("m1", "orders", "received")
    };
    let failed = |id: &str| {
        Event::Invocation(Invocation {
            outcome: "failed".to_owned(),
            ..invocation("billing", id, "queue")
        })
    };
    let dead = message("m1", "orders", "dead_lettered").to("dead".to_owned());
    let writer = writer(vec![
        row(1, Event::Message(sent("m1"))),
        row(1, Event::Message(sent("m2"))),
        row(1, Event::Invocation(invocation("api", "i1", "http"))),
        row(2, Event::Message(received(1, "b1"))),
        row(2, failed("b1")),
        row(2, Event::Message(message("m1", "orders", "returned"))),
        row(3, Event::Message(received(2, "b2"))),
        row(3, failed("b2")),
        row(4, Event::Message(dead)),
    ]);
    let want = "\
i1 -: api http +1
  m1 sent to queue orders: queue orders <-
    b1 receive 1: billing queue
    . returned
    b2 receive 2: billing queue
    . moved to queue dead
";
    assert_eq!(told(&writer, "m1"), want.replace(". returned", ". "));
    let of_batch = told(&writer, "b2");
    assert!(
        of_batch.contains("m1 sent to queue orders: queue orders +1\n"),
        "{of_batch}"
    );
    assert!(of_batch.contains("b2 receive 2: billing queue <-\n"), "{of_batch}");
}

#[test]
fn an_event_is_told_with_all_its_attempts_and_where_it_went() {
    let attempt = |id: &str, n: u32, cause: Option<&str>| {
        Event::Invocation(Invocation {
            attempt: n,
            first_attempt: Some("a1".to_owned()),
            cause: cause.map(str::to_owned),
            ..invocation("job", id, "async")
        })
    };
    let writer = writer(vec![
        row(1, Event::Invocation(invocation("api", "i1", "http"))),
        row(2, attempt("a1", 1, Some("i1"))),
        row(
            2,
            Event::Retry(Retry {
                function: "job".to_owned(),
                first_attempt: "a1".to_owned(),
                failed: "a1".to_owned(),
                attempt: 2,
                attempts_max: 2,
                at: "soon".to_owned(),
            }),
        ),
        row(3, attempt("a2", 2, Some("a1"))),
        row(
            3,
            Event::Message(Message {
                cause: Some("a2".to_owned()),
                ..message("m9", "dead", "sent")
            }),
        ),
        row(
            3,
            Event::GaveUp(GaveUp {
                function: "job".to_owned(),
                first_attempt: "a1".to_owned(),
                last: "a2".to_owned(),
                attempts: 2,
                to: Some("queue dead".to_owned()),
            }),
        ),
    ]);
    let want = "\
i1 -: api http
  a1 invoked asynchronously: job async
    . attempt 2 of 2 at soon
    a2 attempt 2: job async
      m9 sent to queue dead: queue dead <-
    . gave up after 2 attempts, its event went to queue dead
";
    assert_eq!(told(&writer, "m9"), want);
    assert!(told(&writer, "a2").contains("a2 attempt 2: job async <-\n"));
    assert_eq!(
        why(writer.connection(), "zzz").expect("it can be read").err(),
        Some(NoWhy::Unknown)
    );
}

#[test]
fn a_topics_message_is_told_with_its_copies_and_deliveries() {
    let copy = |queue: &str, id: &str, cause: &str| Message {
        of: Some("t1".to_owned()),
        cause: Some(cause.to_owned()),
        ..message(id, queue, "sent")
    };
    let delivered = Invocation {
        message: Some("t1".to_owned()),
        first_attempt: Some("d1".to_owned()),
        cause: Some("i1".to_owned()),
        ..invocation("welcome", "d1", "topic")
    };
    let published = Message {
        queue: None,
        topic: Some("signup".to_owned()),
        cause: Some("i1".to_owned()),
        ..message("t1", "", "fanned_out")
    };
    let writer = writer(vec![
        row(1, Event::Message(published)),
        row(1, Event::Message(copy("audit", "c1", "i1"))),
        row(2, Event::Invocation(invocation("api", "i1", "http"))),
        row(3, Event::Message(copy("dead", "c2", "d1"))),
        row(3, Event::Invocation(delivered)),
    ]);
    let want = "\
i1 -: api http
  t1 published to topic signup: topic signup
    . handed 
    c1 copied to queue audit: queue audit
    d1 delivered to its subscription: welcome topic
      c2 copied to queue dead: queue dead <-
";
    let got = told(&writer, "c2");
    // What else came of the topic's message is counted, not shown.
    let want = want.replace("    c1 copied to queue audit: queue audit\n", "");
    assert_eq!(
        got,
        want.replace(
            "t1 published to topic signup: topic signup\n",
            "t1 published to topic signup: topic signup +1\n"
        )
    );
    assert!(told(&writer, "c1").contains("c1 copied to queue audit: queue audit <-\n"));
}

#[test]
fn an_end_that_several_ids_have_names_them() {
    let rows = [
        row(1, Event::Invocation(invocation("api", "88a4-0003", "http"))),
        row(2, Event::Message(message("98a4-0003", "orders", "sent"))),
    ];
    let mut writer = Writer::new(schema::open(None, &quiet).expect("memory opens"), bounds());
    writer.write(Time::from_secs(1), &rows).expect("rows are written");
    let asked = |id| why(writer.connection(), id).expect("it can be read");
    let several = asked("0003").expect_err("two end so");
    let expected = ["98a4-0003 (a message)", "88a4-0003 (an invocation)"];
    assert_eq!(several, NoWhy::Several(expected.map(str::to_owned).to_vec()));
    assert!(several.explain("0003").1.contains("98a4-0003"));
    assert_eq!(asked("98a4-0003").expect("whole").asked, "98a4-0003");
    assert_eq!(asked("98a4-000").err(), Some(NoWhy::Unknown));
    assert_eq!(asked("3").err(), Some(NoWhy::Unknown));
}

/// A body of so many bytes that has passed.
fn exchanges() -> (Exchanges, Hub) {
    struct Nobody;
    impl crate::live::Sink for Nobody {
        fn event(&mut self, _: &Stamped) {}
        fn folded(&mut self, _: u64, _: u64) {}
    }
    let ids = crate::live::names::PublicIds::new(1);
    let hub = Hub::start(Arc::default(), ids, Box::new(Nobody)).expect("a thread");
    (Exchanges::new(hub.clone(), ids, true), hub)
}

#[test]
fn the_oldest_requests_go_when_there_are_too_many_bytes_of_them() {
    let (exchanges, hub) = exchanges();
    let mut writer = writer(Vec::new());
    let mut ids = Vec::new();
    for n in 0..40 {
        let event = crate::engine::Event::Json("x".repeat(60_000).into());
        let (_, hold) = exchanges.begin(Time::from_secs(n), InvocationId(n), false, event);
        let exchange = hold.expect("there is room").exchange().clone();
        ids.push(exchange.id.clone());
        let row = Row::Exchange(exchange, hub.secrets().clone());
        writer.write(Time::from_secs(n), &[row]).expect("a row is written");
    }
    let bytes = "SELECT sum(bytes) FROM exchange";
    let bytes: i64 = writer
        .connection()
        .query_row(bytes, [], |row| row.get(0))
        .expect("a sum");
    let max = bounds().bodies_bytes_max as i64;
    assert!(bytes <= max + max / 8 + 61_000, "{bytes} of {max}");
    let kept = |id: &str| exchange(writer.connection(), id).expect("a read");
    assert!(kept(&ids[0]).is_none(), "the oldest has gone");
    let newest = kept(&ids[39]).expect("the newest is there");
    assert_eq!(
        (newest.request.content.bytes, newest.request.content.truncated),
        (60_002, false)
    );
    hub.close();
}

#[test]
fn so_many_requests_of_a_second_are_kept_and_no_more_bytes_than_there_is_room_for() {
    let (exchanges, hub) = exchanges();
    let begin = |n: u64, at: u64| {
        let event = crate::engine::Event::Json(serde_json::Value::Null);
        exchanges
            .begin(Time::from_secs(at), InvocationId(n), false, event)
            .1
            .is_some()
    };
    assert_eq!((0..3_000).filter(|n| begin(*n, 7)).count(), 1_000);
    assert!(begin(3_000, 8), "a new second");
    hub.close();
}
