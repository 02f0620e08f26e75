//! Hostile and broken guests: the limits hold, and the other functions keep answering.

use std::thread;

use serde_json::json;

use crate::harness::{Emu, Project};

const HOSTILE: &str = r"
const kept = [];
let visits = 0;
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    switch (pathname.split('/').at(-1)) {
      case 'loop': console.log('looping'); for (;;) {}
      case 'memory': for (;;) kept.push(new Uint8Array(1 << 20).fill(1));
      case 'output': for (let i = 0; i < 200_000; i++) console.log('x'.repeat(100)); return new Response('said it');
      case 'recursion': { const down = (n) => 1 + down(n + 1); return new Response(String(down(0))); }
      case 'calls': {
        let bad = 0;
        for (let i = 0; i < 100; i++) {
          const all = Array.from({ length: 50 }, () => env.CALM.fetch('http://calm/').then((r) => r.text()).catch(() => bad++));
          await Promise.all(all);
        }
        return new Response(`refused ${bad}`);
      }
      case 'outside': {
        try { await fetch('http://example.com/'); } catch (error) { return new Response(String(error)); }
        return new Response('reached it');
      }
      case 'inside': {
        try { await fetch(request.headers.get('x-url')); } catch (error) { return new Response(String(error)); }
        return new Response('reached it');
      }
      case 'escape': console.log('\x1b[2Jred\u202e'); return new Response('ok');
      case 'env': return Response.json({ visits: ++visits, random: Math.random(), env, process: globalThis.process?.env ?? null });
    }
    return new Response('calm');
  },
};
";

fn hostile() -> Emu {
    Project::new(&[
        (
            "emu.toml",
            r#"
[functions.hostile]
source = "functions/hostile.js"
memory = "128MB"
timeout = "2s"
env = { GREETING = "hello" }
bind = { CALM = "function:calm" }
[functions.calm]
source = "functions/calm.js"
"#,
        ),
        ("functions/hostile.js", HOSTILE),
        (
            "functions/calm.js",
            "export default { fetch: () => new Response('calm') };",
        ),
    ])
    .start()
}

#[test]
fn an_endless_loop_ends_at_its_deadline_and_the_others_answer_meanwhile() {
    let emu = hostile();
    thread::scope(|scope| {
        // More than there are cores.
        let looping: Vec<_> = (0..4).map(|_| scope.spawn(|| emu.get("/hostile/loop"))).collect();
        emu.wait("log", |e| e["text"] == "looping");
        for _ in 0..10 {
            assert_eq!(emu.get("/calm").text(), "calm");
        }
        assert!(
            emu.events("invocation", |e| e["function"] == "hostile").is_empty(),
            "answered while the loops ran"
        );
        for request in looping {
            assert_eq!(request.join().expect("the loop's answer").status, 504);
        }
    });
}

#[test]
fn a_memory_bomb_is_out_of_memory() {
    let emu = hostile();
    let answer = emu.get("/hostile/memory");
    assert_eq!(answer.status, 502, "{}", answer.text());
    let run = emu.wait("invocation", |e| e["outcome"] == "out_of_memory");
    assert!(run["max_memory_mb"].as_f64().is_some_and(|mb| mb <= 128.5), "{run}");
    assert_eq!(emu.get("/calm").text(), "calm");
}

#[test]
fn endless_output_is_cut_and_counted() {
    let emu = hostile();
    let answer = emu.get("/hostile/output");
    let id = answer.header("x-emu-invocation").to_owned();
    emu.wait("invocation", |e| e["id"] == *id);
    let detail = emu.control(&format!("/_emu/invocations/{id}"));
    assert!(
        detail["log_dropped"].as_u64().is_some_and(|n| n > 0),
        "{}",
        detail["log_dropped"]
    );
    assert_eq!(emu.get("/calm").text(), "calm");
}

#[test]
fn endless_recursion_is_a_range_error() {
    let emu = hostile();
    let answer = emu.get("/hostile/recursion");
    assert_eq!(answer.status, 502);
    assert!(
        answer.text().contains("Maximum call stack size exceeded"),
        "{}",
        answer.text()
    );
    assert_eq!(emu.get("/calm").text(), "calm");
}

#[test]
fn thousands_of_calls_end_and_the_others_answer() {
    let emu = hostile();
    thread::scope(|scope| {
        let calls = scope.spawn(|| emu.get("/hostile/calls"));
        emu.wait("invocation", |e| e["function"] == "calm");
        assert_eq!(emu.get("/calm").text(), "calm");
        let answer = calls.join().expect("the answer");
        assert!(answer.status == 200 || answer.status == 504, "{}", answer.text());
    });
    assert_eq!(emu.get("/calm").text(), "calm");
}

#[test]
fn outbound_calls_need_allow_hosts() {
    let emu = hostile();
    let answer = emu.get("/hostile/outside");
    assert!(
        answer.text().contains("allow_hosts") && answer.text().contains("example.com"),
        "{}",
        answer.text()
    );
    // Nor emu's own ports, not even by loopback.
    let url = format!("{}/_emu/health", emu.control_url());
    let answer = emu.request(http::Method::GET, "/hostile/inside", &[("x-url", &url)], "");
    assert!(answer.text().contains("allow_hosts"), "{}", answer.text());
}

#[test]
fn nothing_leaks_from_one_invocation_to_the_next() {
    let emu = hostile();
    let (first, second) = (emu.get("/hostile/env").json(), emu.get("/hostile/env").json());
    assert_eq!(
        (&first["visits"], &second["visits"]),
        (&json!(1), &json!(1)),
        "globals are new each time"
    );
    assert_ne!(first["random"], second["random"]);
    assert_eq!(first["env"]["GREETING"], "hello");
    let shown = first.to_string();
    assert!(
        !shown.contains("PATH") && !shown.contains("EMU_CACHE_DIR"),
        "the host's environment stays outside: {shown}"
    );
}

#[test]
fn escapes_in_guest_output_do_not_reach_the_terminal() {
    let emu = hostile();
    assert_eq!(emu.get("/hostile/escape").text(), "ok");
    emu.wait("invocation", |e| e["function"] == "hostile");
    let shown = emu.command(["logs", "hostile"]);
    let text = String::from_utf8_lossy(&shown.stdout) + String::from_utf8_lossy(&shown.stderr);
    assert!(
        text.contains("red") && !text.contains('\u{1b}') && !text.contains('\u{202e}'),
        "{text:?}"
    );
}

/// Makes a file longer than the scratch folder has room, then nearly as long, then writes a little; tells the error numbers.
const DISK: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $resize (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 100) "f")
  (func (export "_start")
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 1)
      (i64.const 4194368) (i64.const 4194368) (i32.const 0) (i32.const 16)))
    (i32.store8 (i32.const 120) (i32.add (i32.const 48) (call $resize (i32.load (i32.const 16)) (i64.const 629145600))))
    (i32.store8 (i32.const 121) (i32.add (i32.const 48) (call $resize (i32.load (i32.const 16)) (i64.const 536869912))))
    (i32.store (i32.const 0) (i32.const 65536))
    (i32.store (i32.const 4) (i32.const 65536))
    (i32.store8 (i32.const 122)
      (i32.add (i32.const 48) (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8))))
    (i32.store (i32.const 4) (i32.const 1000))
    (i32.store8 (i32.const 123)
      (i32.add (i32.const 48) (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8))))
    (i32.store (i32.const 0) (i32.const 120))
    (i32.store (i32.const 4) (i32.const 4))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

#[test]
fn the_scratch_folder_has_its_room_and_no_more() {
    let emu = Project::new(&[("functions/disk.wat", DISK)]).start();
    // 51 is `nospc`: "c" by way of 48.
    assert_eq!(emu.get("/disk").text(), "c0c0");
}
