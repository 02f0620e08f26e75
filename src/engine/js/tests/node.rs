//! The modules of Node that emu brings, against what Node answers.

use serde_json::{Value, json};

use super::harness::*;

/// The JSON of an expression (which may await) after these imports.
async fn node(imports: &str, expression: &str) -> Value {
    let code = format!(
        "{imports}\nexport default {{ async fetch(request, env, ctx) {{ return Response.json({expression} ?? null); }} }};"
    );
    let shown = serve(&code).await;
    let body = shown.split_once('\n').map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or_else(|_| panic!("{expression}: {shown}"))
}

#[tokio::test]
async fn every_module_can_be_imported_and_required() {
    let names: Vec<&str> = crate::engine::js::loader::builtins().collect();
    assert!(names.len() > 25);
    for name in names.iter().filter_map(|name| name.strip_prefix("node:")) {
        let imports = format!("import * as all from 'node:{name}'; const required = require('{name}');");
        let expression = "[Object.keys(all).length > 0, required === all.default, typeof required]";
        let answer = node(&imports, expression).await;
        assert_eq!((&answer[0], &answer[1]), (&json!(true), &json!(true)), "{name}");
    }
}

#[tokio::test]
async fn buffers_are_those_of_node() {
    let expression = "[
        Buffer.from('héllo').toString('hex'), Buffer.from('aGk=', 'base64').toString(), Buffer.from('hi').toString('base64url'),
        Buffer.concat([Buffer.from('a'), Buffer.from('bc')]).toString(), Buffer.alloc(3, 'ab').toString(), Buffer.from([1, 2, 300]),
        Buffer.from('abc').slice(1).toString(), Buffer.isBuffer(Buffer.from('a').subarray(0)), Buffer.compare(Buffer.from('a'), Buffer.from('b')),
        Buffer.from('0102030405060708', 'hex').readBigUInt64BE().toString(), Buffer.from([255, 254]).readInt16BE(), Buffer.from([1, 2, 3]).readUIntLE(0, 3),
        (() => { const b = Buffer.alloc(10); b.writeDoubleBE(1.5, 1); b.writeUint8(7); return [b.readDoubleBE(1), b[0], b.write('xyz', 8)]; })(),
        Buffer.from('hello').indexOf('l'), Buffer.from('hello').lastIndexOf('l'), Buffer.byteLength('€'), Buffer.from('ÿ', 'latin1')[0],
        Buffer.from('hi', 'utf16le').toString('utf16le'), JSON.stringify(Buffer.from('a')), Buffer.from('abc').equals(new Uint8Array([97, 98, 99])),
        (() => { try { Buffer.alloc(1).readUInt32LE(0); } catch (e) { return e.code; } })(), new Buffer(2).length, Buffer.from(new Uint16Array([1, 258])).length,
        require('util').inspect(Buffer.from('ab')), Buffer.from('zz', 'hex').length, Buffer.from('abcd').swap16().toString(), globalThis.Buffer === Buffer,
    ]";
    assert_eq!(
        node("", expression).await,
        json!([
            "68c3a96c6c6f", "hi", "aGk", "abc", "aba", {"type": "Buffer", "data": [1, 2, 44]}, "bc", true, -1, "72623859790382856", -2, 197121,
            [1.5, 7, 2], 2, 3, 3, 255, "hi", "{\"type\":\"Buffer\",\"data\":[97]}", true, "ERR_BUFFER_OUT_OF_BOUNDS", 2, 2,
            "<Buffer 61 62>", 0, "badc", true
        ])
    );
    // What only looks whether there is one does not bring it in.
    assert_eq!(node("", "typeof Buffer").await, json!("undefined"));
}

#[tokio::test]
async fn emitters_emit() {
    let imports = "import EventEmitter, { once, on } from 'node:events'; import { inherits } from 'util';\n\
        function Old() { EventEmitter.call(this); } inherits(Old, EventEmitter); class New extends EventEmitter {}";
    let expression = "await (async () => {
        const seen = []; const e = new New(); const o = new Old();
        e.on('a', (x) => seen.push(x)); e.prependListener('a', (x) => seen.push(-x)); e.once('a', () => seen.push('once'));
        e.emit('a', 1); e.emit('a', 2); o.on('x', function () { seen.push(this === o); }); o.emit('x');
        const waiting = once(e, 'later'); e.emit('later', 5); seen.push(await waiting);
        try { e.emit('error', new Error('told')); } catch (error) { seen.push(error.message); }
        setTimeout(() => { e.emit('n', 1); e.emit('n', 2); }); let sum = 0;
        for await (const [n] of on(e, 'n')) { sum += n; if (n === 2) break; }
        return [...seen, sum, e.listenerCount('a'), e.eventNames(), e.off('a', () => {}) === e, EventEmitter.EventEmitter === EventEmitter];
    })()";
    assert_eq!(
        node(imports, expression).await,
        json!([-1, 1, "once", -2, 2, true, [5], "told", 3, 2, ["a"], true, true])
    );
}

#[tokio::test]
async fn paths_and_addresses() {
    let imports =
        "import path from 'node:path'; import url, { fileURLToPath } from 'url'; import qs from 'querystring';";
    let expression = "[path.join('/a', '..', 'b', './c.txt'), path.resolve('/x', 'y', '../z'), path.relative('/a/b/c', '/a/d'), path.dirname('/a/b/'),
        path.basename('/a/b.tar.gz', '.gz'), path.extname('.bashrc'), path.extname('a.b.c'), path.parse('/h/f.txt').name, path.format({ dir: '/a', base: 'b' }),
        path.normalize('a//b/../c/'), path.isAbsolute('a'), fileURLToPath('file:///a%20b'),
        url.parse('http://u:p@Host:80/p/a?x=1&y=2#h', true).query.y, url.parse('/p?q').pathname, url.parse('http://h').href, url.format({ protocol: 'https', hostname: 'h', pathname: 'x', query: { a: 1 } }),
        url.resolve('/one/two/three', 'four'), url.resolve('http://e.com/one', '/two'), qs.parse('a=1&b=2&a=3&c=%20+'), qs.stringify({ a: [1, 2], b: 'x y', c: true })]";
    assert_eq!(
        node(imports, expression).await,
        json!([
            "/b/c.txt", "/x/z", "../../d", "/a", "b.tar", "", ".c", "f", "/a/b", "a/c/", false, "/a b", "2", "/p", "http://h/",
            "https://h/x?a=1", "/one/two/four", "http://e.com/two", {"a": ["1", "3"], "b": "2", "c": "  "}, "a=1&a=2&b=x%20y&c=true"
        ])
    );
}

#[tokio::test]
async fn utilities_and_assertions() {
    let imports = "import util, { promisify, callbackify, isDeepStrictEqual, format, types } from 'node:util'; import assert from 'assert'; import { strict } from 'node:assert';";
    let expression = "[
        await promisify((x, done) => done(null, x + 1))(1), await promisify((done) => done(new Error('no')))().catch((e) => e.message),
        await new Promise((resolve) => callbackify(async (x) => x * 2)(4, (error, value) => resolve([error, value]))),
        isDeepStrictEqual({ a: [1, new Map([[{}, new Set([1])]])] }, { a: [1, new Map([[{}, new Set([1])]])] }), isDeepStrictEqual([1], ['1']),
        format('%s is %d', 'x', 5, { a: 1 }), util.inspect({ a: { b: { c: { d: 1 } } } }), types.isDate(new Date()), util.inherits.length,
        ['deepStrictEqual', 'strictEqual', 'throws'].map((name) => { try { name === 'throws' ? assert.throws(() => {}) : assert[name]({ a: 1 }, { a: 2 }); } catch (e) { return [e.name, e.code]; } }),
        (() => { assert.throws(() => { throw new TypeError('bad'); }, /bad/); assert.deepEqual([1], ['1']); strict.deepEqual(new Set([1]), new Set([1])); assert(true); return 'fine'; })(),
    ]";
    let failed = json!(["AssertionError", "ERR_ASSERTION"]);
    assert_eq!(
        node(imports, expression).await,
        json!([
            2,
            "no",
            [null, 8],
            true,
            false,
            "x is 5 { a: 1 }",
            "{ a: { b: { c: [Object] } } }",
            true,
            2,
            [failed, failed, failed],
            "fine"
        ])
    );
}

#[tokio::test]
async fn streams_flow() {
    let imports = "import stream, { Readable, Writable, Transform, PassThrough, pipeline, finished } from 'node:stream'; import { pipeline as piped } from 'stream/promises';\n\
        import { text } from 'node:stream/consumers'; import { StringDecoder } from 'string_decoder'; import { inherits } from 'util';\n\
        function Upper(options) { Transform.call(this, options); } inherits(Upper, Transform);\n\
        Upper.prototype._transform = function (chunk, encoding, done) { done(null, chunk.toString().toUpperCase()); };";
    let expression = "await (async () => {
        const out = []; const sink = () => new Writable({ write(chunk, encoding, done) { out.push(chunk.toString()); setTimeout(done); } });
        await piped(Readable.from(['a', 'b', 'c']), new Upper(), sink());
        await new Promise((resolve, reject) => pipeline(Readable.from(['x']), new PassThrough(), sink(), (error) => (error ? reject(error) : resolve())));
        const failure = await piped(Readable.from((async function* () { yield 'y'; throw new Error('broken'); })()), sink()).catch((error) => error.message);
        const chunks = []; for await (const chunk of Readable.from([1, 2, 3])) chunks.push(chunk);
        const objects = new Transform({ objectMode: true, transform(x, _, done) { this.push(x * 2); done(); }, flush(done) { this.push('end'); done(); } });
        objects.write(1); objects.end(2);
        const doubled = await objects.toArray();
        const slow = new Writable({ highWaterMark: 2, write(c, e, done) { setTimeout(done); } });
        const room = slow.write('abc'); await new Promise((resolve) => slow.once('drain', resolve));
        const read = new Readable({ read() {} }); read.push('he'); read.push('llo'); read.push(null); read.setEncoding('utf8');
        const web = await new Response(Readable.toWeb(Readable.from([Buffer.from('web')]))).text();
        const decoder = new StringDecoder('utf8'); const euro = Buffer.from('€');
        const whole = decoder.write(euro.subarray(0, 1)) + decoder.write(euro.subarray(1)) + decoder.end();
        const ended = new PassThrough(); const done = new Promise((resolve) => finished(ended, resolve)); ended.end('z'); ended.resume();
        return [out.join(''), failure, chunks, doubled, room, await text(read), web, whole, await done ?? 'fine', new Upper() instanceof stream, (await Readable.fromWeb(new Response('fw').body).toArray()).join('')];
    })()";
    assert_eq!(
        node(imports, expression).await,
        json!([
            "ABCxy",
            "broken",
            [1, 2, 3],
            [2, 4, "end"],
            false,
            "hello",
            "web",
            "€",
            "fine",
            true,
            "fw"
        ])
    );
}

#[tokio::test]
async fn digests_and_keys() {
    let imports = "import crypto, { createHash, createHmac, webcrypto } from 'node:crypto';";
    let expression = "[
        ...['md5', 'sha1', 'sha256', 'sha512'].map((name) => createHash(name).update('a').update('bc').digest('hex').slice(0, 16)),
        createHmac('sha256', 'key').update('data').digest('base64'), createHmac('md5', 'k').update('d').digest('hex').length, crypto.randomBytes(20).length,
        /^[0-9a-f-]{36}$/.test(crypto.randomUUID()), crypto.timingSafeEqual(Buffer.from('a'), Buffer.from('a')), crypto.randomInt(5) < 5,
        crypto.pbkdf2Sync('p', 's', 1000, 16, 'sha512').toString('hex'), Buffer.from(crypto.hkdfSync('sha256', 'k', 's', 'i', 4)).toString('hex'),
        (() => { const c = crypto.createCipheriv('aes-256-gcm', Buffer.alloc(32), Buffer.alloc(12)); const e = c.update('hi', 'utf8', 'hex') + c.final('hex');
          const d = crypto.createDecipheriv('aes-256-gcm', Buffer.alloc(32), Buffer.alloc(12)); d.setAuthTag(c.getAuthTag()); return d.update(e, 'hex', 'utf8') + d.final('utf8'); })(),
        webcrypto === globalThis.crypto, (() => { try { createHash('md4'); } catch (e) { return e.code; } })(), (() => { try { crypto.scryptSync(); } catch (e) { return e.message.includes('pbkdf2'); } })(),
    ]";
    assert_eq!(
        node(imports, expression).await,
        json!([
            "900150983cd24fb0",
            "a9993e364706816a",
            "ba7816bf8f01cfea",
            "ddaf35a193617aba",
            "UDH+PZicbRU3oBP6bnOdojRj/a7DtwE32Cjjas4iG9A=",
            32,
            20,
            true,
            true,
            true,
            "e3d368e7e1f1214acb9fa2029ace9e81",
            "02b0929a",
            "hi",
            true,
            "ERR_CRYPTO_INVALID_DIGEST",
            true
        ])
    );
}

#[tokio::test]
async fn signatures_of_pem_keys() {
    let imports = "import crypto from 'crypto'; const pem = (label, bytes) => `-----BEGIN ${label}-----\\n${Buffer.from(bytes).toString('base64')}\\n-----END ${label}-----\\n`;\n\
        async function keys(algorithm) { const pair = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);\n\
          return [pem('PRIVATE KEY', await crypto.subtle.exportKey('pkcs8', pair.privateKey)), pem('PUBLIC KEY', await crypto.subtle.exportKey('spki', pair.publicKey)), pair]; }";
    let expression = "await (async () => {
        const out = [];
        for (const [algorithm, hash] of [[{ name: 'ECDSA', namedCurve: 'P-256' }, 'sha256'], [{ name: 'Ed25519' }, null],
            [{ name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' }, 'sha256']]) {
          const [secret, open] = await keys(algorithm);
          const signature = crypto.sign(hash, Buffer.from('data'), secret);
          out.push([crypto.verify(hash, Buffer.from('data'), open, signature), crypto.verify(hash, Buffer.from('other'), open, signature),
            crypto.createPublicKey(secret).export().replace(/\\s/g, '') === open.replace(/\\s/g, ''), crypto.createPrivateKey(secret).asymmetricKeyType]);
          if (hash) out.push(crypto.createVerify('RSA-SHA256').update('da').update('ta').verify(open, crypto.createSign('sha256').update('data').sign(secret, 'base64'), 'base64'));
        }
        return out;
    })()";
    assert_eq!(
        node(imports, expression).await,
        json!([
            [true, false, true, "ec"],
            true,
            [true, false, true, "ed25519"],
            [true, false, true, "rsa"],
            true
        ])
    );
}

#[tokio::test]
async fn storage_follows_the_flow() {
    let imports = "import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'; import { setTimeout as wait } from 'timers/promises'; import lib from './lib.js';";
    let body = "
        const als = new AsyncLocalStorage(); const get = () => als.getStore();
        async function deep(n) { await null; await wait(n); try { await Promise.reject(new Error('x')); } catch { await wait(1); return get(); } finally { await null; if (get() !== n) throw new Error('finally'); } }
        async function* steps() { for (let i = 0; i < 2; i++) { await wait(1); yield get(); } }
        async function all(n) { const out = []; for await (const step of steps()) { await null; out.push(step, get()); } return out; }
        const parallel = await Promise.all([3, 1, 2].map((n) => als.run(n, () => deep(n))));
        const iterated = await Promise.all([5, 6].map((n) => als.run(n, () => all(n))));
        const timers = await als.run('t', () => new Promise((resolve) => setTimeout(() => queueMicrotask(() => process.nextTick(() => resolve(get())))))); 
        const chained = await als.run('c', () => Promise.resolve(1).then(() => get()).finally(() => {}));
        const inner = als.run('outer', () => [als.run('inner', get), get(), als.exit(get)]);
        const kept = als.run('kept', () => AsyncLocalStorage.snapshot()); const resource = als.run('r', () => new AsyncResource('x'));
        const far = await als.run('far', () => lib(als));
        labelled: for await (const x of [1, 2]) { if (x === 1) continue labelled; }
        return [parallel, iterated, timers, chained, inner, kept(get), resource.runInAsyncScope(get), far, get() ?? 'none'];";
    let code = format!(
        "{imports}\nexport default {{ async fetch() {{ const work = async () => {{ {body} }}; return Response.json(await work()); }} }};"
    );
    let lib = "module.exports = async (als) => { const before = als.getStore(); if (before) try { await null; } finally { await 1 } return before + als.getStore(); };";
    let project = Project::new(&[("f.js", &code), ("lib.js", lib)]);
    let version = project.loaded("f.js").await;
    let shown = show(project.invoke(&version, get("/")).await).await;
    assert!(
        shown.ends_with(r#"[[3,1,2],[[5,5,5,5],[6,6,6,6]],"t","c",["inner","outer",null],"kept","r","farfar","none"]"#),
        "{shown}"
    );
}

#[tokio::test]
async fn a_kept_sandbox_begins_without_stores() {
    let code = "import { AsyncLocalStorage } from 'async_hooks'; const als = new AsyncLocalStorage();\n\
        export const handler = async () => { const before = als.getStore(); als.enterWith('left'); await null; return [before ?? null, als.getStore()]; };";
    let project = Project::new(&[("f.js", code)]);
    let version = project.load("f.js").await.unwrap();
    let mut sandbox = project.sandbox(&version);
    for _ in 0..2 {
        let event = crate::engine::Event::Json(Value::Null);
        assert_eq!(
            show(project.invoke_in(&mut sandbox, event).await).await,
            r#"[null,"left"]"#
        );
    }
}

#[tokio::test]
async fn processes_timers_and_the_rest() {
    let imports = "import process, { env } from 'node:process'; import { setTimeout as wait, setInterval as every } from 'node:timers/promises'; import os from 'os';\n\
        import { channel } from 'node:diagnostics_channel'; import { performance } from 'perf_hooks'; import punycode from 'punycode'; import { createRequire } from 'node:module';\n\
        const require = createRequire(import.meta.url); const path = require('path');";
    let expression = "await (async () => {
        const order = []; process.nextTick(() => order.push('tick')); await null; let count = 0; for await (const v of every(1, 'v')) if (++count === 2) break;
        const heard = []; channel('c').subscribe((message) => heard.push(message)); channel('c').publish(1); process.stdout.write('a li'); process.stdout.write('ne\\n');
        let exit; try { process.exit(1); } catch (error) { exit = error.message; }
        return [order, await wait(1, 'done'), env.GREETING, process.platform, process.version.slice(0, 2), process.cwd(), Array.isArray(process.hrtime()), typeof process.hrtime.bigint(),
          os.EOL, heard, performance === globalThis.performance, punycode.toASCII('mañana.com'), punycode.toUnicode('xn--maana-pta.com'), exit.includes('return a response'), path.join('a', 'b'), import.meta.url];
    })()";
    assert_eq!(
        node(imports, expression).await,
        json!([
            ["tick"],
            "done",
            "hello",
            "linux",
            "v2",
            "/",
            true,
            "bigint",
            "\n",
            [1],
            true,
            "xn--maana-pta.com",
            "mañana.com",
            true,
            "a/b",
            "file:///f.js"
        ])
    );
}
