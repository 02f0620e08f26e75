//! Every example runs as its README says.

use serde_json::json;

use crate::harness::{Emu, Project};

#[test]
fn chatbot_answers_from_the_conversation_it_is_given() {
    let emu = Emu::example("chatbot");

    let page = emu.get("/");
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text().contains("<title>Emu</title>"), "{}", page.text());

    let first = emu.post(
        "/chat",
        &json!({"messages": [{"role": "user", "content": "My name is Ada."}]}),
    );
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.json()["reply"], "Nice to meet you, Ada.");

    let mut messages = first.json()["messages"].as_array().expect("a conversation").clone();
    messages.push(json!({"role": "user", "content": "What is my name?"}));
    let second = emu.post("/chat", &json!({"messages": messages}));
    assert_eq!(second.json()["reply"], "Your name is Ada: you said so earlier.");

    // Without the conversation the name is gone: nothing is kept between invocations.
    let alone = emu.post(
        "/chat",
        &json!({"messages": [{"role": "user", "content": "What is my name?"}]}),
    );
    assert_eq!(alone.json()["reply"], "You have not told me yet.");
    let sum = emu.post("/chat", &json!({"messages": [{"role": "user", "content": "6 * 7"}]}));
    assert_eq!(sum.json()["reply"], "42");

    assert_eq!(emu.post("/chat", &json!({"messages": []})).status, 400);
    assert_eq!(emu.get("/nowhere").status, 404);
}

#[test]
fn scheduled_report_by_http_and_by_cron() {
    let emu = Emu::example("scheduled-report");

    let report = emu.get("/report/2026-01-30");
    assert_eq!(report.status, 200, "{}", report.text());
    assert!(
        report.text().starts_with("Sales of 2026-01-30 in BRL\n  coffee "),
        "{}",
        report.text()
    );
    assert_eq!(
        report.body,
        emu.get("/report/2026-01-30").body,
        "the same day reports the same figures"
    );
    let wrong = emu.get("/report/tomorrow");
    assert_eq!(wrong.status, 400);
    assert_eq!(
        wrong.json()["error"],
        "\"tomorrow\" is no day; write it like 2026-01-31"
    );

    let mark = emu.mark();
    let fired = emu.control_post("/_emu/crons/report/fire", &json!({}));
    assert!(fired.status.is_success(), "{}", fired.text());
    let run = emu.wait_from(mark, "invocation", |e| {
        e["function"] == "report" && e["trigger"] == "cron"
    });
    assert_eq!(run["outcome"], "succeeded", "{run}");
    emu.wait_from(mark, "log", |e| {
        e["function"] == "report" && e["text"].as_str().is_some_and(|t| t.starts_with("Sales of "))
    });
    emu.wait_from(mark, "invocation", |e| {
        e["function"] == "sales" && e["outcome"] == "succeeded"
    });
}

#[test]
fn orders_are_charged_counted_and_reported() {
    let project = Project::example("orders");
    project.edit("emu.toml", "FAILURE_RATE = \"0.15\"", "FAILURE_RATE = \"0\"");
    let emu = project.start();

    assert_eq!(emu.get("/products/mug").json()["price_cents"], 1200);
    assert_eq!(emu.get("/products/sofa").status, 404);
    assert_eq!(emu.post("/orders", &json!({"card": "4242", "items": []})).status, 400);

    let order = emu.post(
        "/orders",
        &json!({"card": "4242", "items": [{"product": "mug", "quantity": 2}]}),
    );
    assert_eq!(order.status, 202, "{}", order.text());
    assert_eq!(order.json()["total_cents"], 2400);
    let charged = format!(
        "order {}: charged 24.00 to card 4242",
        order.json()["order"].as_str().expect("an id")
    );
    emu.wait("log", |e| e["function"] == "billing" && e["text"] == charged.as_str());
    emu.wait("log", |e| {
        e["function"] == "stock" && e["text"].as_str().is_some_and(|t| t.ends_with("took 2 mug, 38 left"))
    });
    assert_eq!(emu.get("/stock").json()["mug"], 38);

    let fired = emu.command(["fire", "report"]);
    assert!(fired.status.success(), "{fired:?}");
    emu.wait("log", |e| {
        e["function"] == "report" && e["text"] == "Mug       38 of 40"
    });
}

#[test]
fn a_declined_card_is_tried_three_times_then_dead_and_charged_after_a_redrive() {
    let project = Project::example("orders");
    project.edit("emu.toml", "FAILURE_RATE = \"0.15\"", "FAILURE_RATE = \"0\"");
    project.edit("emu.toml", "visibility_timeout = \"2s\"", "visibility_timeout = \"1s\"");
    let emu = project.start_with(&["--clock", "x20"]);

    let order = emu.post(
        "/orders",
        &json!({"card": "0002", "items": [{"product": "teapot", "quantity": 1}]}),
    );
    assert_eq!(order.status, 202, "{}", order.text());
    let dead = emu.wait("message", |e| e["queue"] == "orders" && e["change"] == "dead_lettered");
    let receives = emu.events("message", |e| e["id"] == dead["id"] && e["change"] == "received");
    assert_eq!(receives.len(), 3, "{}", emu.transcript());
    let queue = emu.control("/_emu/queues/orders");
    assert_eq!(
        (&queue["visible"], &queue["in_flight"], &queue["dead"]),
        (&json!(0), &json!(0), &json!(1)),
        "{queue}"
    );
    let peeked = emu.control("/_emu/queues/orders-dead/messages");
    assert_eq!(peeked[0]["source"], "orders", "{peeked}");
    assert!(emu.command(["snapshot", "save", "declined"]).status.success());

    let mark = emu.mark();
    emu.project.write(".env.local", "DECLINED_CARD=none\n");
    emu.wait_from(mark, "reload", |e| {
        e["function"] == "billing" && e["outcome"] == "changed"
    });
    let id = order.json()["order"].as_str().expect("an id").to_owned();
    let charged = format!("order {id}: charged 49.00 to card 0002");
    for step in ["redrive", "load and redrive"] {
        if step == "load and redrive" {
            assert!(emu.command(["snapshot", "load", "declined"]).status.success());
            assert_eq!(emu.control("/_emu/queues/orders")["dead"], 1);
        }
        let mark = emu.mark();
        let redriven = emu.command(["queue", "redrive", "orders-dead"]);
        assert!(redriven.status.success(), "{redriven:?}");
        emu.wait_from(mark, "message", |e| {
            e["queue"] == "orders-dead" && e["change"] == "redriven"
        });
        emu.wait_from(mark, "log", |e| {
            e["function"] == "billing" && e["text"] == charged.as_str()
        });
        emu.wait_from(mark, "message", |e| e["queue"] == "orders" && e["change"] == "deleted");
        let queue = emu.control("/_emu/queues/orders");
        assert_eq!(
            (&queue["visible"], &queue["in_flight"], &queue["dead"]),
            (&json!(0), &json!(0), &json!(0)),
            "{step}: {queue}"
        );
    }
}

#[test]
fn scale_to_zero_starts_cold_goes_when_idle_and_starts_cold_again() {
    let emu = Emu::example("scale-to-zero");

    let first = emu.get("/");
    assert_eq!((first.text().as_str(), first.header("x-emu-start")), ("done\n", "cold"));
    assert_eq!(emu.get("/").header("x-emu-start"), "warm");
    let runs = emu.events("invocation", |e| e["function"] == "slow");
    assert!(
        runs[0]["modelled_init_ms"].as_f64().is_some_and(|ms| ms > 0.0),
        "{}",
        runs[0]
    );
    assert!(
        runs[0]["duration_ms"].as_f64().is_some_and(|ms| ms >= 300.0),
        "the clock speeds up waiting, never execution: {}",
        runs[0]
    );

    // Five minutes of the clock, five seconds of ours.
    let gone = emu.wait("instance", |e| e["function"] == "slow" && e["state"] == "gone");
    assert!(
        gone["reason"].as_str().is_some_and(|reason| reason.contains("idle")),
        "{gone}"
    );
    assert_eq!(emu.get("/").header("x-emu-start"), "cold");
}

#[test]
fn hello_component_greets_and_gives_bodies_back() {
    let emu = Emu::example("hello-component");
    assert_eq!(emu.get("/").text(), "Hello, world!\n");
    assert_eq!(emu.get("/anywhere?name=Ada").text(), "Hello, Ada!\n");
    // Longer than any buffer between here and there.
    let long = "tea and ".repeat(100_000);
    assert_eq!(emu.request(http::Method::POST, "/", &[], &long).text(), long);
    let run = emu.wait("invocation", |e| e["function"] == "hello");
    assert!(
        run["cold"] == true && run["max_memory_mb"].as_f64().is_some_and(|mb| mb > 0.0),
        "{run}"
    );
}
