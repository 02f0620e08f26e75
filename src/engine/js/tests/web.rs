//! The web APIs of the prelude, one assertion an expression.

use serde_json::{Value, json};

use super::harness::*;

/// Evaluates many expressions in one invocation.
async fn check(cases: &[(&str, Value)]) {
    let list = cases.iter().map(|(code, _)| {
        format!(
            "await (async () => {{ try {{ return {code}; }} catch (e) {{ return `${{e.name}}: ${{e.message}}`; }} }})()"
        )
    });
    let all = evaluate(&format!("[{}]", list.collect::<Vec<_>>().join(",\n"))).await;
    for (index, (code, expected)) in cases.iter().enumerate() {
        assert_eq!(&all[index], expected, "{code}");
    }
}

#[tokio::test]
async fn urls() {
    check(&[
        ("new URL('http://u:p@h:81/a?b=c#d').host", json!("h:81")),
        ("(() => { const u = new URL('http://h/a?b=1'); u.searchParams.append('c d', 'é&'); return u.href; })()", json!("http://h/a?b=1&c+d=%C3%A9%26")),
        ("(() => { const u = new URL('http://h/a?b=1'); u.search = '?x=2'; return [u.searchParams.get('x'), u.searchParams.has('b')]; })()", json!(["2", false])),
        ("(() => { const u = new URL('http://h/'); u.pathname = '/x y'; u.hash = 'z'; u.port = '8080'; return String(u); })()", json!("http://h:8080/x%20y#z")),
        ("new URL('nonsense')", json!("TypeError: Invalid URL: \"nonsense\"")),
        ("URL.canParse('nonsense')", json!(false)),
        ("[...new URLSearchParams('?a=1&b=2&a=3').entries()]", json!([["a", "1"], ["b", "2"], ["a", "3"]])),
        ("(() => { const p = new URLSearchParams({ z: 1, a: '2' }); p.sort(); p.set('z', 'x y~'); p.delete('a'); return [p.toString(), p.size]; })()", json!(["z=x+y%7E", 1])),
        ("new URLSearchParams('a=%zz&b=%ff+1').get('b')", json!("\u{fffd} 1")),
        ("JSON.stringify({ u: new URL('/x', 'http://h') })", json!("{\"u\":\"http://h/x\"}")),
    ])
    .await;
}

#[tokio::test]
async fn headers() {
    check(&[
        ("(() => { const h = new Headers({ B: '2', a: ' 1 ' }); h.append('b', '3'); h.append('Set-Cookie', 'x'); h.append('set-cookie', 'y'); return [...h]; })()",
            json!([["a", "1"], ["b", "2, 3"], ["set-cookie", "x"], ["set-cookie", "y"]])),
        ("new Headers([['a', '1']]).get('A')", json!("1")),
        ("new Headers().get('x')", json!(null)),
        ("new Headers({ 'a b': '1' })", json!("TypeError: invalid header name: \"a b\"")),
        ("new Headers({ a: 'x\\ny' })", json!("TypeError: invalid value of header \"a\"")),
        ("(() => { const h = new Headers({ a: '1' }); h.set('a', '2'); h.delete('A'); return h.has('a'); })()", json!(false)),
        ("(() => { const h = new Headers(); h.append('set-cookie', 'a'); h.append('set-cookie', 'b'); return h.getSetCookie(); })()", json!(["a", "b"])),
    ])
    .await;
}

#[tokio::test]
async fn requests_and_responses() {
    check(&[
        ("await new Response('é').bytes().then((b) => [...b])", json!([195, 169])),
        ("await new Response(new Uint8Array([104, 105])).text()", json!("hi")),
        ("await new Response(new Uint8Array([1, 2, 3]).subarray(1)).arrayBuffer().then((b) => b.byteLength)", json!(2)),
        ("await new Response('{\"a\":1}').json()", json!({"a": 1})),
        ("await new Response('x').json()", json!("SyntaxError: unexpected token: 'x'")),
        ("new Response(new URLSearchParams({ a: 'b c' })).headers.get('content-type')", json!("application/x-www-form-urlencoded;charset=UTF-8")),
        ("(() => { const r = Response.redirect('http://h/x', 301); return [r.status, r.headers.get('location')]; })()", json!([301, "http://h/x"])),
        ("(() => { const r = Response.json([1], { status: 404 }); return [r.status, r.ok, r.headers.get('content-type')]; })()", json!([404, false, "application/json"])),
        ("await (async () => { const r = new Response('twice'); const c = r.clone(); return [await r.text(), await c.text(), r.bodyUsed]; })()", json!(["twice", "twice", true])),
        ("await (async () => { const r = new Response('once'); await r.text(); return r.text(); })()", json!("TypeError: the body has been read already; clone() the message before the first read")),
        ("new Response('x', { status: 204 })", json!("TypeError: a Response of status 204 cannot have a body")),
        ("new Response('', { status: 99 })", json!("RangeError: the status of a Response must be 200 to 599, got 99")),
        ("(() => { const r = new Request('http://h/a', { method: 'post', body: 'x', headers: { q: '1' } }); return [r.method, r.url, r.headers.get('q'), r.headers.get('content-type')]; })()",
            json!(["POST", "http://h/a", "1", "text/plain;charset=UTF-8"])),
        ("new Request('http://h/', { body: 'x' })", json!("TypeError: a GET request cannot have a body")),
        ("await (async () => { const r = new Request(new Request('http://h/', { method: 'PUT', body: 'b' }), { headers: { a: '1' } }); return [r.method, await r.text(), r.headers.get('a')]; })()",
            json!(["PUT", "b", "1"])),
        ("await (async () => { let s = ''; for await (const c of new Response('abc').body) s += new TextDecoder().decode(c); return s; })()", json!("abc")),
        ("new Response(null).body", json!(null)),
    ])
    .await;
}

#[tokio::test]
async fn streams() {
    check(&[
        ("await (async () => { const out = []; for await (const x of ReadableStream.from([1, 2, 3])) out.push(x); return out; })()", json!([1, 2, 3])),
        ("await (async () => { const [a, b] = ReadableStream.from(['x', 'y']).tee(); const read = async (s) => { const o = []; for await (const c of s) o.push(c); return o.join(''); }; return Promise.all([read(a), read(b)]); })()",
            json!(["xy", "xy"])),
        ("await (async () => { const out = []; await ReadableStream.from([1, 2]).pipeTo(new WritableStream({ write(c) { out.push(c * 2); }, close() { out.push('end'); } })); return out; })()",
            json!([2, 4, "end"])),
        ("await (async () => { const t = new TransformStream({ transform(c, k) { k.enqueue(c + 1); }, flush(k) { k.enqueue(99); } }); const w = t.writable.getWriter(); w.write(1); w.write(2); w.close(); const o = []; for await (const c of t.readable) o.push(c); return o; })()",
            json!([2, 3, 99])),
        ("await (async () => { const s = new ReadableStream({ start(c) { c.error(new Error('bad')); } }); return s.getReader().read(); })()", json!("Error: bad")),
        ("(() => { const s = new ReadableStream(); s.getReader(); s.getReader(); })()", json!("TypeError: the stream is locked to a reader")),
        ("await (async () => { let reason; const s = new ReadableStream({ cancel(r) { reason = r; } }); await s.cancel('why'); return reason; })()", json!("why")),
        ("await (async () => { let pulled = 0; const s = new ReadableStream({ pull(c) { pulled++; c.enqueue(pulled); } }, { highWaterMark: 2 }); const r = s.getReader(); await r.read(); await new Promise(r => setTimeout(r, 1)); return pulled; })()", json!(3)),
        ("await (async () => { const s = ReadableStream.from(['é', 'x']).pipeThrough(new TextEncoderStream()).pipeThrough(new TextDecoderStream()); let o = ''; for await (const c of s) o += c; return o; })()", json!("éx")),
    ])
    .await;
}

#[tokio::test]
async fn text_and_base64() {
    check(&[
        ("[...new TextEncoder().encode('aé€😀')]", json!([97, 195, 169, 226, 130, 172, 240, 159, 152, 128])),
        ("new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 104, 105]))", json!("hi")),
        ("new TextDecoder('utf-16le').decode(new Uint8Array([104, 0, 105, 0]))", json!("hi")),
        ("new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255]))", json!("TypeError: the data is not valid utf-8")),
        ("new TextDecoder('klingon')", json!("RangeError: there is no encoding \"klingon\"")),
        ("(() => { const d = new TextDecoder(); const b = new TextEncoder().encode('€x'); return d.decode(b.subarray(0, 1), { stream: true }) + d.decode(b.subarray(1), { stream: true }) + d.decode(); })()", json!("€x")),
        ("new TextEncoder().encodeInto('a€b', new Uint8Array(4))", json!({"read": 2, "written": 4})),
        ("btoa('hello')", json!("aGVsbG8=")),
        ("atob(' aGVs bG8 ')", json!("hello")),
        ("btoa('€')", json!("InvalidCharacterError: btoa takes characters up to U+00FF only")),
        ("atob('a')", json!("InvalidCharacterError: the text is not base64: its length is wrong")),
        ("new TextEncoder().encode('\\ud800').length", json!(3)),
    ])
    .await;
}

#[tokio::test]
async fn timers_and_signals() {
    check(&[
        ("await (async () => { const o = []; setTimeout(() => o.push(2), 60); setTimeout((x) => o.push(x), 30, 1); setTimeout(() => o.push(0)); const c = setTimeout(() => o.push(9), 1); clearTimeout(c); await new Promise(r => setTimeout(r, 90)); return o; })()", json!([0, 1, 2])),
        ("await new Promise((r) => { let n = 0; const i = setInterval(() => { if (++n === 3) { clearInterval(i); r(n); } }, 1); })", json!(3)),
        ("await (async () => { const o = []; setTimeout(() => o.push('timer')); queueMicrotask(() => o.push('micro')); o.push('now'); await new Promise(r => setTimeout(r, 1)); return o; })()", json!(["now", "micro", "timer"])),
        ("await (async () => { const c = new AbortController(); setTimeout(() => c.abort(), 1); return new Promise((_, no) => c.signal.addEventListener('abort', () => no(c.signal.reason))); })()", json!("AbortError: This operation was aborted")),
        ("await (async () => { const s = AbortSignal.timeout(1); await new Promise(r => s.onabort = r); return s.reason.name; })()", json!("TimeoutError")),
        ("AbortSignal.any([AbortSignal.abort('x')]).reason", json!("x")),
        ("(() => { const t = new EventTarget(); let n = 0; t.addEventListener('a', () => n++, { once: true }); t.dispatchEvent(new Event('a')); t.dispatchEvent(new Event('a')); return n; })()", json!(1)),
        ("(() => { const t = new EventTarget(); t.addEventListener('a', (e) => e.preventDefault()); return t.dispatchEvent(new CustomEvent('a', { cancelable: true, detail: 1 })); })()", json!(false)),
        (
            "await (async () => { const o = []; await Promise.all([60, 20, 40].map((ms) => new Promise((r) => setTimeout(r, ms)).then(() => o.push(ms)))); return o; })()",
            json!([20, 40, 60]),
        ),
        ("typeof Date.now() === 'number' && Date.now() >= 1700000000123 && Date.now() < 1700000060000", json!(true)),
    ])
    .await;
}

#[tokio::test]
async fn clones_and_crypto() {
    check(&[
        ("structuredClone({ a: [1, new Date(5)], m: new Map([[1, new Set([2])]]), r: /x/g }).a[1].getTime()", json!(5)),
        ("(() => { const o = { n: 1 }; o.self = o; const c = structuredClone(o); return c.self === c && c !== o; })()", json!(true)),
        ("structuredClone(() => 1)", json!("DataCloneError: a function could not be cloned")),
        ("structuredClone(new RangeError('x')) instanceof RangeError", json!(true)),
        ("[...structuredClone(new Uint8Array([1, 2]))]", json!([1, 2])),
        ("/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID())", json!(true)),
        ("new Set(crypto.getRandomValues(new Uint8Array(64))).size > 20", json!(true)),
        ("crypto.getRandomValues(new Float32Array(1))", json!("TypeMismatchError: getRandomValues fills typed arrays of integers only")),
        ("(() => { const all = Array.from({ length: 1000 }, Math.random); return all.every((x) => x >= 0 && x < 1) && new Set(all).size === 1000; })()", json!(true)),
        ("navigator.userAgent", json!("emu")),
        ("Object.keys(globalThis).filter((name) => name !== 'wit' && !name.startsWith('__'))", json!([])),
    ])
    .await;
}

#[tokio::test]
async fn console_prints_as_people_expect() {
    let project = Project::new(&[(
        "f.js",
        r#"export default { fetch() {
            console.log('plain', 1, true, null, undefined, 2n, Symbol('s'));
            console.log({ a: 1, 'b-c': 'x', d: [1, 2], e: { f: { g: { h: 1 } } } });
            console.log([1, 'two', [3]], new Map([['k', { v: 1 }]]), new Set([1]));
            console.log('%s is %d years and %i, %j %o %%', 'Bob', 42, 42.9, { a: 1 }, [1]);
            const loop = { name: 'loop' }; loop.self = loop; console.log(loop);
            console.log(class A {}, function f() {}, () => 1, new (class Point { x = 1 })());
            console.warn('careful'); console.debug('detail'); console.error('bad');
            console.group('G'); console.info('in\nside'); console.groupEnd(); console.info('out');
            console.log(new Date(0), /x/g, new Uint8Array([1, 2]), 'it\'s', ['it\'s']);
            console.table([{ a: 1, b: 'x' }, { a: 2 }]);
            console.count(); console.count('n'); console.assert(1 === 2, 'math');
            console.log(new Headers({ a: '1' }), new URL('http://h/').searchParams);
            console.log(Object.create(null), -0, [undefined, , null]);
            return new Response();
        } };"#,
    )]);
    let version = project.load("f.js").await.unwrap();
    let (outcome, _) = project.invoke(&version, get("/")).await;
    assert!(outcome.result.is_ok(), "{outcome:?}");
    let expected = "Info plain 1 true null undefined 2n Symbol(s)
Info { a: 1, 'b-c': 'x', d: [ 1, 2 ], e: { f: { g: [Object] } } }
Info [ 1, 'two', [ 3 ] ] Map(1) { 'k' => { v: 1 } } Set(1) { 1 }
Info Bob is 42 years and 42, {\"a\":1} [ 1 ] %
Info <ref *1> { name: 'loop', self: [Circular *1] }
Info [class A] [Function: f] [Function (anonymous)] Point { x: 1 }
Warn careful
Debug detail
Error bad
Info G
Info   in
Info   side
Info out
Info 1970-01-01T00:00:00.000Z /x/g Uint8Array(2) [ 1, 2 ] it's [ \"it's\" ]
Info ┌─────────┬───┬─────┐
Info │ (index) │ a │ b   │
Info ├─────────┼───┼─────┤
Info │ 0       │ 1 │ 'x' │
Info │ 1       │ 2 │     │
Info └─────────┴───┴─────┘
Info default: 1
Info n: 1
Error Assertion failed: math
Info Headers { 'a' => '1' } URLSearchParams {}
Info [Object: null prototype] {} -0 [ undefined, <empty>, null ]";
    assert_eq!(project.lines().join("\n"), expected);
}

#[tokio::test]
async fn console_knows_the_rest_too() {
    let project = Project::new(&[(
        "f.js",
        r#"export default { fetch() {
            class A {} class B extends A {}
            console.log(B, new B(), [new A()], Symbol.iterator);
            console.log(new Map(Array.from({ length: 102 }, (_, at) => [at, 0])).size, new Set([[1], { a: 1 }]));
            console.log(new WeakMap(), new DataView(new ArrayBuffer(2), 1), [1.5, -0, 10n], Object(1));
            console.log(new File(['x'], 'a.txt', { type: 'a/b', lastModified: 1 }), new Blob(['y']));
            const form = new FormData(); form.append('a', '1'); form.append('f', new File(['z'], 'n', { lastModified: 2 }));
            console.log(form.get('a'), form);
            const error = Object.assign(new TypeError('bad'), { code: 'E_BAD' });
            error.stack = ''; console.log(error);
            console.log(Object.assign(new Error('outer', { cause: 'inner' }), { stack: '' }));
            console.log(Object.assign(new AggregateError([1], 'many'), { stack: '' }));
            console.log({ get a() { return 1; }, set b(v) {}, [Symbol('s')]: 2, 'x y': 3, f() {} });
            console.log('%c styled %s %d %i %f %% %x', 'css', { a: { b: 1 } }, '7', 7.9, '1.5', 'rest', { z: 1 });
            console.log('%s', null, undefined, 5n, Symbol('q'));
            console.group('one'); console.group(); console.log('deep'); console.groupEnd(); console.groupEnd(); console.groupEnd(); console.log('out');
            console.count('c'); console.countReset('c'); console.count('c'); console.countReset('none');
            console.time('t'); console.time('t'); console.timeEnd('none'); console.timeLog('none');
            console.assert(true, 'no'); console.assert(false); console.assert(false, '%s!', 'yes');
            console.table([[1, 2], [3, 4]]); console.table(new Map([['k', 1]])); console.table([{ a: 1, b: 2 }], ['b']); console.table('text');
            console.dir({ a: { b: { c: { d: 1 } } } }, { depth: 0 });
            console.timeStamp(); console.profile(); console.profileEnd();
            console.log(Object.prototype.toString.call(console), [undefined, null], [[[[1]]]], 'a\nb', ['a\nb']);
            return new Response();
        } };"#,
    )]);
    let version = project.load("f.js").await.unwrap();
    let (outcome, _) = project.invoke(&version, get("/")).await;
    assert!(outcome.result.is_ok(), "{outcome:?}");
    let expected = include_str!("console.txt");
    assert_eq!(project.lines().join("\n"), expected.trim_end());
}
