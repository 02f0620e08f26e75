//! `emu test`: the examples' own files, and what a user sees when something is not as expected.

use std::fs;

use crate::harness::{Project, emu};

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
        ("expect.kv = { sene = { last = 'x' } }", "sene"),
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
