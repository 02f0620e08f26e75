//! `emu test`: the examples' own files, and what a user sees when something is not as expected.

use std::fs;

use serde_json::json;

use crate::harness::{Emu, Project, emu};

const API: &str = "
export default {
  async fetch(request, env) {
    const path = new URL(request.url).pathname;
    if (path === '/api/fail') throw new Error('on purpose');
    if (path === '/api/text') return new Response('two\\nlines\\n');
    await env.JOBS.send({ path });
    console.log('asked for ' + path);
    return Response.json({ path, id: crypto.randomUUID(), items: [1, 2], greeting: env.GREETING });
  },
  async queue(batch, env) { for (const { body } of batch.messages) await env.SEEN.put('last', body.path); },
};";

const MANIFEST: &str = "
[functions.api]
http = '/api/*'
queue = 'jobs'
bind = { JOBS = 'queue:jobs', SEEN = 'kv:seen' }
env = { GREETING = 'hello' }
[queues.jobs]
delay = '1m'
[kv.seen]
";

/// A project with this test file, and what `emu test` with these arguments says about it: its code, stdout and stderr.
fn run(file: &str, args: &[&str]) -> (Project, i32, String, String) {
    let project = Project::new(&[
        ("emu.toml", MANIFEST),
        ("functions/api.js", API),
        ("tests/t.emu.toml", file),
    ]);
    let (code, out, err) = again(&project, args, &[]);
    (project, code, out, err)
}

fn again(project: &Project, args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = emu(project.path());
    command.env_remove("GITHUB_ACTIONS").arg("test").args(args);
    let run = command.envs(env.iter().copied()).output().expect("run emu");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (run.status.code().expect("a code"), text(&run.stdout), text(&run.stderr))
}

#[test]
fn the_examples_pass() {
    let mut seen = 0;
    for example in [
        "orders",
        "chatbot",
        "scheduled-report",
        "scale-to-zero",
        "hello-component",
    ] {
        let project = Project::example(example);
        let (code, _, said) = again(&project, &[], &[]);
        assert_eq!(code, 0, "{example}\n{said}");
        seen += said.matches("   pass ").count();
    }
    assert_eq!(seen, 6);
}

#[test]
fn what_is_as_expected_passes_and_the_clock_costs_nothing() {
    let file = "
        start = '2026-03-01T00:00:00Z'
        env = { GREETING = 'salve' }
        [[step]]
        request = 'GET /api/a'
        expect.json = { path = '/api/a', greeting = 'salve', items = [1, 2] }
        expect.queues = { jobs = { delayed = 1 } }
        expect.kv = { seen = { last = false } }
        save = { id = 'id' }
        [[step]]
        advance = '1h'
        expect.queues = { jobs = { delayed = 0, visible = 0, in_flight = 0 } }
        expect.kv = { seen = { last = '/api/a' } }
        [[step]]
        invoke = 'api'
        json = { id = '${id}' }
        [[step]]
        request = 'GET /api/fail'
        expect.status = 502
        [[step]]
        send = 'jobs'
        json = { path = 'sent' }
        delay = '5m'
        [[step]]
        advance_to = '2026-03-02T00:00:00Z'
        expect.kv = { seen = { last = 'sent' } }
        [expect]
        invocations = { api = { total = '>= 4', failed = 1 } }
        logs = { api = ['asked for /api/a'] }
        events = [{ event = 'invocation', outcome = 'failed', summary = 'GET /api/fail' }]
        max_cold_starts = 2
        max_duration = '1m'
        max_cost = 1
        [always]
        queues = { jobs = { visible = '<= 1' } }
        ";
    let (_, code, _, said) = run(file, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("1 file: 1 passed"), "{said}");
}

#[test]
fn a_difference_is_shown_at_its_place() {
    let file = "[[step]]\nrequest = 'GET /api/a'\nexpect.json = { path = '/api/b', items = [1] }\n";
    let (project, code, out, said) = run(file, &["--junit", "report.xml"]);
    assert_eq!((code, out.as_str()), (1, ""), "{said}");
    for part in [
        "FAIL",
        "error: step 1, GET /api/a: the body differs",
        "tests/t.emu.toml:3:15",
        "    -   \"path\": \"/api/b\"",
        "    +   \"path\": \"/api/a\"",
        "api: asked for /api/a",
        "again: emu test tests/t.emu.toml --seed 1",
        "1 file: 0 passed, 1 failed",
    ] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    let junit = project.read("report.xml");
    assert!(
        junit.contains("failures=\"1\"") && junit.contains("the body differs"),
        "{junit}"
    );
    let (code, out, _) = again(&project, &["--filter", "t.emu"], &[("GITHUB_ACTIONS", "true")]);
    assert_eq!(code, 1);
    assert!(
        out.starts_with("::error file=tests/t.emu.toml,line=3,col=15,title=emu test::"),
        "{out}"
    );
}

#[test]
fn every_kind_of_expectation_can_fail() {
    for (expect, part) in [
        ("expect.status = 201", "the status is 200, expected 201"),
        (
            "expect.headers = { x-emu-start = 'warm' }",
            "the header x-emu-start is \"cold\"",
        ),
        ("expect.headers = { x-none = 'a' }", "no header x-none"),
        ("expect.body = 'x'", "the body differs"),
        ("expect.contains = 'nothing of this'", "does not contain"),
        (
            "expect.queues = { jobs = { delayed = 0 } }",
            "queue jobs has 1 delayed, expected 0",
        ),
        ("expect.queues = { jbos = { delayed = 0 } }", "no queue jbos"),
        (
            "expect.invocations = { api = { total = '>= 2' } }",
            "1 invocations that ended, expected >= 2",
        ),
        ("expect.invocations = { apy = { total = 1 } }", "no function apy"),
        ("expect.kv = { seen = { last = 'x' } }", "has no key \"last\""),
        (
            "expect.kv = { sene = { last = 'x' } }",
            "/api/a: no key-value store named sene",
        ),
        ("expect.logs = { api = ['never said'] }", "has not written this line"),
        ("expect.events = [{ event = 'gave_up' }]", "this event did not come"),
        ("expect.max_cost = 0", "the invocations cost $0.0"),
        ("expect.max_cold_starts = 0", "1 invocations started cold"),
        ("expect.max_duration = '1us'", "the longest invocation took"),
        ("save = { a = 'no.such' }", "the answer has no \"no.such\""),
    ] {
        let (_, code, _, said) = run(&format!("[[step]]\nrequest = 'GET /api/a'\n{expect}\n"), &[]);
        assert_eq!(code, 1, "{expect}\n{said}");
        assert!(said.contains(part), "{expect}: no {part:?} in\n{said}");
    }
    let (_, code, _, said) = run("[[step]]\nrequest = 'GET /api/fail'\n", &[]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("none was expected above 399") && said.contains("on purpose"),
        "{said}"
    );
    let (_, code, _, said) = run("[[step]]\nfire = 'nightly'\n", &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("step 1, fire nightly: no cron named nightly"), "{said}");
}

#[test]
fn an_update_writes_what_came_and_leaves_the_rest() {
    let file = "# Kept.\n[[step]]\nrequest = 'GET /api/a'   # kept\nexpect.status = 404\nexpect.json = { id = '[..]', path = 'x', items = [1] }\n\n\
                [[step]]\nrequest = 'GET /api/text'\n\n\
                [expect]\nqueues = { jobs = { delayed = 7 } } # kept, too\n";
    let (project, code, _, said) = run(file, &["--update"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("updated"), "{said}");
    let written = project.read("tests/t.emu.toml");
    assert_eq!(
        written,
        "# Kept.\n[[step]]\nrequest = 'GET /api/a'   # kept\nexpect.status = 200\n\
         expect.json = { id = \"[..]\", items = [1, 2], path = \"/api/a\" }\n\n\
         [[step]]\nrequest = 'GET /api/text'\nexpect.status = 200\nexpect.body = \"two\\nlines\\n\"\n\n\
         [expect]\nqueues = { jobs = { delayed = 1 } } # kept, too\n"
    );
    let (code, _, said) = again(&project, &[], &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(project.read("tests/t.emu.toml"), written);
}

#[test]
fn a_file_that_cannot_be_read_ends_with_two() {
    let (project, code, _, said) = run("[[step]]\nrequset = 'GET /'\n", &[]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("tests/t.emu.toml:2:1") && said.contains("did you mean `request`?"),
        "{said}"
    );
    assert_eq!(again(&project, &["none.emu.toml"], &[]).0, 2);
    let (code, _, said) = again(&project, &["--filter", "none"], &[]);
    assert!(
        code == 1 && said.contains("no test files whose path contains \"none\""),
        "{said}"
    );
    fs::write(project.path().join("tests/t.emu.toml"), "[[step]]\nidle = true\n").expect("written");
    fs::write(project.path().join("functions/api.js"), "export default {").expect("written");
    let (code, _, said) = again(&project, &[], &[]);
    assert!(code == 1 && said.contains("api does not build"), "{said}");
}

const BILLING: &str = "
export default {
  async fetch(request, env) { await env.JOBS.send({ n: 1 }); return new Response('taken'); },
  async queue(batch, env) {
    for (const { body } of batch.messages) {
      const seen = Number((await env.SEEN.get('count')) ?? 0) + 1;
      await env.SEEN.put('count', String(seen));
    }
  },
};";

const SHOP: &str = "
[functions.billing]
http = '/pay'
queue = 'jobs'
bind = { JOBS = 'queue:jobs', SEEN = 'kv:seen' }
[queues.jobs]
max_receives = 5
dead_letter = 'dead'
[queues.dead]
[kv.seen]
";

fn shop(file: &str, args: &[&str]) -> (i32, String) {
    let project = Project::new(&[
        ("emu.toml", SHOP),
        ("functions/billing.js", BILLING),
        ("t.emu.toml", file),
    ]);
    let (code, _, said) = again(&project, args, &[]);
    (code, said)
}

#[test]
fn faults_happen_and_are_told() {
    let pay = "[[step]]\nrequest = 'GET /pay'\n";
    for (faults, step, expect) in [
        (
            "fail = 1",
            "status = 502",
            "events = [{ event = 'fault', kind = 'fail', function = 'billing' }]",
        ),
        (
            "kill = { probability = 1, function = 'billing' }",
            "status = 502",
            "queues = { dead = { visible = 1 } }",
        ),
        (
            "delay = { probability = 1, by = '1h' }",
            "status = 504",
            "events = [{ event = 'fault', kind = 'delay' }]",
        ),
        (
            "delay = { probability = 1, by = '500ms' }",
            "status = 200",
            "kv = { seen = { count = 1 } }",
        ),
        ("duplicate = 1", "status = 200", "kv = { seen = { count = 5 } }"),
        ("late_ack = 1", "status = 200", "kv = { seen = { count = 5 } }"),
        (
            "reorder = { probability = 1, by = '1h' }",
            "queues = { jobs = { delayed = 1 } }",
            "kv = { seen = { count = 1 } }",
        ),
        (
            "cold_starts = 1",
            "status = 200",
            "invocations = { billing = { cold = '>= 2' } }",
        ),
        (
            "fail = { probability = 1, function = 'other' }",
            "status = 200",
            "invocations = { billing = { failed = 0 } }",
        ),
    ] {
        let file = format!("{pay}expect.{step}\n[[step]]\nidle = true\n[faults]\n{faults}\n[expect]\n{expect}\n");
        let (code, said) = shop(&file, &[]);
        assert_eq!(code, 0, "{faults}\n{said}");
    }
}

#[test]
fn a_swarm_finds_the_seed_under_which_a_message_counts_twice() {
    let file = "[[step]]\nrequest = 'GET /pay'\n[[step]]\nidle = true\n[always]\ninvocations = { billing = { total = '<= 2' } }\n";
    let (code, said) = shop(file, &["--swarm", "50"]);
    assert_eq!(code, 1, "{said}");
    let again = said
        .lines()
        .find_map(|line| line.strip_prefix("again: emu test t.emu.toml "));
    let args: Vec<&str> = again.expect("the command").split(' ').collect();
    let (code, same) = shop(file, &args);
    assert_eq!(code, 1, "{same}");
    assert!(same.contains("function billing has"), "{same}");
    // What holds whatever fails.
    let file =
        "[[step]]\nrequest = 'GET /pay'\n[[step]]\nidle = true\n[always]\nqueues = { dead = { visible = '<= 1' } }\n";
    let (code, said) = shop(file, &["--swarm", "20", "--seed", "100"]);
    assert_eq!(code, 0, "{said}");
}

const ASKS: &str = "
export default {
  async fetch(request) {
    const answer = await fetch(new URL(request.url).searchParams.get('url'), { method: request.method });
    return new Response('said ' + answer.status + ' ' + await answer.text());
  },
};";

fn asking(allow: &str, file: &str) -> Project {
    let manifest = format!("[functions.api]\nhttp = '/*'\nallow_hosts = ['{allow}']\n");
    Project::new(&[
        ("emu.toml", &manifest),
        ("functions/api.js", ASKS),
        ("t.emu.toml", file),
    ])
}

#[test]
fn the_outside_is_answered_by_the_file_or_not_at_all() {
    let file = "
        [[outbound]]
        url = 'GET https://rates.example/[..]'
        json = { brl = 5 }
        [[outbound]]
        url = 'POST https://rates.example/pay'
        status = 402
        body = 'first'
        [[outbound]]
        url = 'POST https://rates.example/pay'
        body = 'then'
        [[step]]
        request = 'GET /?url=https://rates.example/a'
        expect.body = 'said 200 {\"brl\":5}'
        [[step]]
        request = 'POST /?url=https://rates.example/pay'
        expect.body = 'said 402 first'
        [[step]]
        request = 'POST /?url=https://rates.example/pay'
        expect.body = 'said 200 then'
        [[step]]
        request = 'POST /?url=https://rates.example/other'
        expect.status = 502
        expect.contains = 'nothing answers POST https://rates.example/other in this test'
        [[step]]
        request = 'GET /?url=https://elsewhere.example/'
        expect.status = 502
        expect.contains = 'allow_hosts'
        ";
    let project = asking("rates.example", file);
    let (code, _, said) = again(&project, &[], &[]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn the_outside_is_recorded_once_and_replayed() {
    let other = Project::new(&[(
        "functions/rates.js",
        "export default { fetch: () => Response.json({ brl: 5 }) };",
    )])
    .start();
    let address = Emu::address(&other.functions_url());
    let file =
        format!("[[step]]\nrequest = 'GET /?url=http://{address}/rates'\nexpect.body = 'said 200 {{\"brl\":5}}'\n");
    let project = asking(&address, &file);
    let (code, _, said) = again(&project, &["--record"], &[]);
    assert_eq!(code, 0, "{said}");
    let written = project.read("t.emu.toml");
    assert!(written.starts_with(&file), "{written}");
    assert!(
        written.contains(&format!(
            "[[outbound]]\nurl = \"GET http://{address}/rates\"\nstatus = 200\n"
        )),
        "{written}"
    );
    drop(other);
    let (code, _, said) = again(&project, &[], &[]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_mock_stands_for_its_host() {
    let other = Project::new(&[(
        "functions/rates.js",
        "export default { fetch: (request) => new Response('mock of ' + request.headers.get('host')) };",
    )])
    .start();
    let mock = format!("rates.example={}", other.functions_url());
    let emu = asking("rates.example", "").start_with(&["--outbound", &mock]);
    assert_eq!(
        emu.get("/?url=https://rates.example/rates").text(),
        "said 200 mock of rates.example"
    );
    let refused = emu.get("/?url=https://elsewhere.example/");
    assert_eq!(refused.status, 502);
}

#[test]
fn faults_of_a_running_emulator_are_set_by_flag_and_control_api() {
    let project = Project::new(&[(
        "functions/api.js",
        "export default { fetch: () => new Response('well') };",
    )]);
    let emu = project.start_with(&["--faults", "api.fail=1"]);
    assert_eq!(emu.get("/api").status, 502);
    let fault = emu.wait("fault", |_| true);
    assert_eq!(
        (&fault["kind"], &fault["function"]),
        (&json!("fail"), &json!("api")),
        "{fault}"
    );
    assert_eq!(
        emu.control("/_emu/faults"),
        json!({"fail": [{"probability": 1.0, "function": "api"}]})
    );
    assert_eq!(emu.control_post("/_emu/faults", &json!({})).status, 200);
    assert_eq!(emu.get("/api").text(), "well");
    for (body, code) in [
        (json!({"fial": 1}), "bad-faults"),
        (
            json!({"fail": {"probability": 1, "function": "apy"}}),
            "function-not-found",
        ),
    ] {
        let answer = emu.control_post("/_emu/faults", &body);
        assert_eq!(answer.json()["error"]["code"], code, "{}", answer.text());
    }
}
