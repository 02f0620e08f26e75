//! Packages as npm installs them: both kinds of modules, the fields of package.json, TypeScript's settings.

use super::harness::*;

async fn load(files: &[(&str, &str)]) -> String {
    let project = Project::new(files);
    match project.load(files[0].0).await {
        Ok(version) => show(project.invoke(&version, get("/")).await).await,
        Err(error) => load_error(&error),
    }
}

/// The body of a handler that answers with an expression; `imports` stand before it.
async fn answer(imports: &str, expression: &str, files: &[(&str, &str)]) -> String {
    let entry =
        format!("{imports}\nexport default {{ async fetch() {{ return Response.json({expression} ?? null); }} }};");
    let mut all = vec![("f.js", entry.as_str())];
    all.extend_from_slice(files);
    let shown = load(&all).await;
    match shown.split_once('\n') {
        Some((head, body)) if head.starts_with("200") => body.to_owned(),
        _ => shown,
    }
}

#[tokio::test]
async fn common_js_runs_in_order_and_once() {
    let files = [
        ("node_modules/a/package.json", r#"{"main": "./lib"}"#),
        (
            "node_modules/a/lib/index.js",
            "'use strict'; log.push('a'); exports.b = require('./b'); exports.again = require('./b.js'); exports.lazy = () => require('./late'); \
             exports.data = require('../data.json'); exports.where = [__filename, __dirname]; exports.self = this === module.exports;",
        ),
        (
            "node_modules/a/lib/b.js",
            "log.push('b'); const a = require('./index'); module.exports = function b() { return typeof a.lazy; };",
        ),
        (
            "node_modules/a/lib/late.js",
            "log.push('late'); module.exports = 'late';",
        ),
        ("node_modules/a/data.json", "{\"n\": 1}"),
        ("log.js", "globalThis.log = [];"),
    ];
    let expression = "[a.b(), a.b === a.again, [...log], a.lazy(), log.length, a.data.n, a.where, a.self]";
    assert_eq!(
        answer("import './log.js'; import a from 'a';", expression, &files).await,
        r#"["function",true,["a","b"],"late",3,1,["/node_modules/a/lib/index.js","/node_modules/a/lib"],true]"#
    );
}

#[tokio::test]
async fn exports_of_common_js_can_be_imported_by_name() {
    let files = [
        ("node_modules/plain/index.js", "module.exports = { a: 1, 'b-c': 2 };"),
        (
            "node_modules/marked/index.js",
            "Object.defineProperty(exports, '__esModule', { value: true }); exports.default = 'default'; exports.x = 1; \
             __exportStar(require('./more'), exports); function __exportStar(m, e) { for (const k in m) e[k] = m[k]; }",
        ),
        ("node_modules/marked/more.js", "exports.more = 2;"),
        (
            "node_modules/umd/index.js",
            "(function (root, factory) { if (typeof exports === 'object') factory(exports); else root.umd = {}; })(this, function (exports) { exports.u = 3; });",
        ),
        (
            "node_modules/dynamic/index.js",
            "for (const name of ['p', 'q']) exports[name] = name;",
        ),
        (
            "node_modules/fn/index.js",
            "module.exports = fn; function fn() { return 'fn'; } fn.member = 4;",
        ),
        (
            "again.js",
            "export * from 'marked'; export { a as renamed } from 'plain';",
        ),
        ("node.mjs", "import d from 'marked'; export default d;"),
    ];
    let imports = "import plain, { a, 'b-c' as bc } from 'plain'; import d, { x, more } from 'marked'; import { u } from 'umd';\n\
        import { p } from 'dynamic'; import * as dynamic from 'dynamic'; import fn, { member } from 'fn'; import * as again from './again.js';\n\
        import likeNode from './node.mjs';";
    let expression = "[plain.a, a, bc, d, x, more, u, p, dynamic.q, fn(), member, again.x, again.more, again.renamed, likeNode.default, (await import('marked')).default]";
    assert_eq!(
        answer(imports, expression, &files).await,
        r#"[1,1,2,"default",1,2,3,"p","q","fn",4,1,2,1,"default","default"]"#
    );
}

#[tokio::test]
async fn require_reaches_modules_of_the_newer_kind() {
    let files = [
        (
            "node_modules/old/index.js",
            "const esm = require('esm'); exports.got = [esm.default, esm.named, esm.__esModule]; exports.deep = require('deep').x;",
        ),
        (
            "node_modules/esm/package.json",
            r#"{"type": "module", "exports": "./m.js"}"#,
        ),
        ("node_modules/esm/m.js", "export default 'd'; export const named = 'n';"),
        (
            "node_modules/deep/package.json",
            r#"{"exports": {"require": "./r.cjs", "import": "./i.mjs"}}"#,
        ),
        ("node_modules/deep/r.cjs", "exports.x = 'required';"),
        ("node_modules/deep/i.mjs", "export const x = 'imported';"),
    ];
    let imports = "import old from 'old'; import { x } from 'deep'; const other = require('deep');";
    assert_eq!(
        answer(imports, "[old.got, old.deep, x, other.x]", &files).await,
        r#"[["d","n",true],"required","imported","required"]"#
    );
}

#[tokio::test]
async fn what_may_be_missing_is_missed_when_it_is_asked_for() {
    let files = [(
        "node_modules/maybe/index.js",
        "let fs; try { fs = require('fs'); } catch (error) { exports.why = error.message; exports.code = error.code; }\n\
         exports.lazy = () => require('not-there');\n\
         if (process.env.NODE_ENV !== 'production') require('./development-only');\n\
         exports.env = process.env.NODE_ENV;",
    )];
    let expression = "[m.why.includes('node:fs') && m.why.includes('imported from node_modules/maybe/index.js'), m.code, m.env, (() => { try { m.lazy(); } catch (e) { return e.message; } })()]";
    let shown = answer("import m from 'maybe';", expression, &files).await;
    assert!(
        shown.starts_with(r#"[true,"MODULE_NOT_FOUND","production","cannot find package \"not-there\""#),
        "{shown}"
    );
    let shown = answer(
        "import m from 'must';",
        "1",
        &[("node_modules/must/index.js", "\nconst fs = require('fs');")],
    )
    .await;
    assert!(
        shown.starts_with("error: cannot import \"node:fs\": functions run without Node; a function has no files")
            && shown.contains(" at node_modules/must/index.js:2:20\n2 | const fs = require('fs');"),
        "{shown}"
    );
}

#[tokio::test]
async fn old_code_runs_as_it_was_meant() {
    let files = [
        (
            "node_modules/sloppy/index.js",
            "implicit = 5; exports.octal = 010; exports.self = (function () { return this === globalThis; })(); exports.implicit = implicit;",
        ),
        (
            "node_modules/hashbang/index.js",
            "#!/usr/bin/env node\nmodule.exports = 'hash' // the end",
        ),
    ];
    assert_eq!(
        answer("import s from 'sloppy'; import h from 'hashbang';", "[s, h]", &files).await,
        r#"[{"octal":8,"self":true,"implicit":5},"hash"]"#
    );
}

#[tokio::test]
async fn a_package_says_what_stands_for_what() {
    let files = [
        (
            "node_modules/pkg/package.json",
            r##"{"name": "pkg", "browser": {"./node.js": "./browser.js", "fs": false, "other": "./instead.js"}, "main": "main.js"}"##,
        ),
        (
            "node_modules/pkg/main.js",
            "exports.all = [require('./node'), Object.keys(require('fs')).length, require('other')];",
        ),
        ("node_modules/pkg/node.js", "module.exports = 'node';"),
        ("node_modules/pkg/browser.js", "module.exports = 'browser';"),
        ("node_modules/pkg/instead.js", "module.exports = 'instead';"),
        (
            "node_modules/self/package.json",
            r##"{"name": "self", "type": "module", "exports": {".": "./a.js", "./b": "./b.js"}, "imports": {"#c": {"browser": "./c.js"}}}"##,
        ),
        (
            "node_modules/self/a.js",
            "export { b } from 'self/b'; export { default as c } from '#c';",
        ),
        ("node_modules/self/b.js", "export const b = 'b';"),
        ("node_modules/self/c.js", "export default 'c';"),
    ];
    assert_eq!(
        answer(
            "import pkg from 'pkg'; import { b, c } from 'self';",
            "[pkg.all, b, c]",
            &files
        )
        .await,
        r#"[["browser",0,"instead"],"b","c"]"#
    );
    let shown = answer("import x from 'self/hidden';", "1", &files).await;
    assert!(
        shown.contains("its package does not export \"./hidden\" at f.js:1:15"),
        "{shown}"
    );
}

#[tokio::test]
#[cfg(unix)]
async fn linked_packages_find_their_own() {
    let project = Project::new(&[
        (
            "f.js",
            "import a from 'a'; import w from '@me/w'; export default { fetch() { return new Response(a + w); } };",
        ),
        (
            "node_modules/.pnpm/a@1/node_modules/a/index.js",
            "module.exports = require('b') + 1;",
        ),
        (
            "node_modules/.pnpm/b@1/node_modules/b/index.js",
            "module.exports = 'b';",
        ),
        (
            "packages/w/package.json",
            r#"{"name": "@me/w", "main": "src/index.ts"}"#,
        ),
        ("packages/w/src/index.ts", "const w: string = 'w'; export default w;"),
        ("node_modules/@me/.keep", ""),
    ]);
    let root = project.root();
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(root.join(to), root.join(at)).unwrap();
    link("node_modules/.pnpm/a@1/node_modules/a", "node_modules/a");
    link(
        "node_modules/.pnpm/b@1/node_modules/b",
        "node_modules/.pnpm/a@1/node_modules/b",
    );
    link("packages/w", "node_modules/@me/w");
    let version = project.loaded("f.js").await;
    let shown = show(project.invoke(&version, get("/")).await).await;
    assert!(shown.ends_with("\nb1w"), "{shown}");
}

#[tokio::test]
async fn a_handler_may_be_of_the_older_kind() {
    let code = "const lib = require('./lib');\nexports.handler = async () => ({ statusCode: 201, body: lib.text });\n";
    let shown = load(&[
        ("functions/f.js", code),
        ("functions/lib.js", "module.exports.text = 'old';"),
    ])
    .await;
    assert!(shown.starts_with("201") && shown.ends_with("\nold"), "{shown}");
    let shown = load(&[("f.cjs", "module.exports = { fetch: () => new Response('workers') };")]).await;
    assert!(shown.ends_with("\nworkers"), "{shown}");
    let shown = load(&[("f.js", "exports.helper = 1;")]).await;
    assert!(
        shown.contains("f.js exports `default`, `helper`, but no handler"),
        "{shown}"
    );
}

#[tokio::test]
async fn stacks_point_into_wrapped_files() {
    let files = [(
        "node_modules/thrower/index.js",
        "exports.a = 1; exports.deep = function deep() { null.x; };\nfunction later() { throw new Error('late'); }\nexports.later = later;",
    )];
    let shown = answer("import { deep } from 'thrower';", "deep()", &files).await;
    assert!(
        shown.contains("at deep (node_modules/thrower/index.js:1:48)"),
        "{shown}"
    );
    let shown = answer("import { later } from 'thrower';", "later()", &files).await;
    assert!(
        shown.contains("Error: late\n  at later (node_modules/thrower/index.js:2:") && !shown.contains("?import"),
        "{shown}"
    );
}

#[tokio::test]
async fn json_and_texts_are_imported() {
    let files = [
        ("a.json", "{\"n\": 1, \"__proto__\": 2, \"default\": 3}"),
        ("page.html", "<p>\u{2028}</p>"),
        ("code.js", "export const x = 1;"),
        ("query.custom", "select 1"),
    ];
    let imports = "import a from './a.json' with { type: 'json' }; import { n } from './a.json'; import page from './page.html';\n\
        import code from './code.js?raw'; import { x } from './code.js'; import query from './query.custom' with { type: \"text\" };";
    let expression = "[a.n, n, Object.keys(a).length, page, code, x, query, (await import('./a.json', { with: { type: 'json' } })).default.n]";
    assert_eq!(
        answer(imports, expression, &files).await,
        "[1,1,3,\"<p>\u{2028}</p>\",\"export const x = 1;\",1,\"select 1\",1]"
    );
    let shown = answer("import w from './m.wasm';", "1", &[("m.wasm", "\0asm")]).await;
    assert!(
        shown.starts_with("error: m.wasm cannot be imported: ") && shown.contains(" at f.js:1:15"),
        "{shown}"
    );
}

#[tokio::test]
async fn typescript_follows_its_settings() {
    let files = [
        (
            "functions/f.tsx",
            "import { h, Fragment } from '@lib/h';\nimport old = require('./old');\n\
             function log(_: unknown, key: string, d: PropertyDescriptor) { const f = d.value; d.value = (...a: unknown[]) => `${key}:${f(...a)}`; return d; }\n\
             class A { constructor(public readonly n: number) {} @log twice(x: number) { return x * 2; } }\n\
             abstract class B<T> { declare t: T; abstract go(): void }\n\
             const enum E { One = 1 }\nnamespace N { export const v = 1; export namespace M { export const w = 2; } }\n\
             const el = <h1 id=\"x\">{E.One}<></></h1>;\n\
             export default { fetch: (): Response => Response.json([el, new A(3).n, new A(1).twice(4), N.M.w, old.x, typeof B]) } satisfies object;",
        ),
        ("functions/old.cts", "export = { x: 'old' };"),
        (
            "src/lib/h.ts",
            "export const h = (tag: any, props: object | null, ...children: unknown[]) => [tag, props, children]; export const Fragment = 'F';",
        ),
        (
            "tsconfig.json",
            "{ // settings\n \"extends\": \"./config/base\", \"compilerOptions\": { \"paths\": { \"@lib/*\": [\"./src/lib/*\"], }, }, }",
        ),
        (
            "config/base.json",
            r#"{"compilerOptions": {"jsx": "react", "jsxFactory": "h", "jsxFragmentFactory": "Fragment", "experimentalDecorators": true}}"#,
        ),
    ];
    let project = Project::new(&files);
    let version = project.loaded(files[0].0).await;
    let shown = show(project.invoke(&version, get("/")).await).await;
    assert!(
        shown.ends_with(r#"[["h1",{"id":"x"},[1,["F",null,[]]]],3,"twice:8",2,"old","function"]"#),
        "{shown}"
    );
    let error = Project::new(&[("f.ts", "class A { @x a() {} }")])
        .load("f.ts")
        .await
        .unwrap_err();
    assert!(
        load_error(&error).contains("experimentalDecorators"),
        "{}",
        load_error(&error)
    );
}

#[tokio::test]
async fn jsx_is_imported_from_the_source_named() {
    let files = [
        (
            "f.jsx",
            "const el = <b>x</b>;\nexport default { fetch: () => Response.json(el) };",
        ),
        (
            "tsconfig.json",
            r#"{"compilerOptions": {"jsx": "react-jsx", "jsxImportSource": "mini"}}"#,
        ),
        (
            "node_modules/mini/package.json",
            r#"{"exports": {"./jsx-runtime": "./runtime.js"}}"#,
        ),
        (
            "node_modules/mini/runtime.js",
            "export const jsx = (tag, props) => ({ tag, props });",
        ),
    ];
    let shown = load(&files).await;
    assert!(shown.ends_with(r#"{"tag":"b","props":{"children":"x"}}"#), "{shown}");
}

#[tokio::test]
async fn what_is_used_is_given_back() {
    let code = "const log = [];\nconst take = (name) => ({ [Symbol.dispose]() { log.push(name); }, async [Symbol.asyncDispose]() { log.push('async ' + name); } });\n\
        async function work() { using a = take('a'); await using b = take('b'); log.push('work'); }\n\
        export default { async fetch() { await work(); return new Response(log.join()); } };";
    let shown = load(&[("f.ts", code)]).await;
    assert!(shown.ends_with("\nwork,async b,a"), "{shown}");
}

#[tokio::test]
async fn a_save_parses_one_file_again() {
    let files = [
        (
            "f.js",
            "import a from 'a'; import './b.js'; export default { fetch: () => new Response(a) };",
        ),
        ("b.js", "export {};"),
        ("node_modules/a/index.js", "module.exports = require('./c');"),
        ("node_modules/a/c.js", "module.exports = 'c';"),
        ("tsconfig.json", "{}"),
    ];
    let project = Project::new(&files);
    let cache = crate::engine::js::Cache::default();
    let source = project.source("f.js");
    let load = || super::super::loader::Graph::load(&source, &cache).unwrap();
    let graph = load();
    assert_eq!(cache.parsed(), 4);
    for watched in ["tsconfig.json", "node_modules/a/c.js", "package.json"] {
        assert!(
            graph.watch.contains(&project.root().join(watched)),
            "{watched}: {:?}",
            graph.watch
        );
    }
    project.write("b.js", "export const b = 2;");
    load();
    assert_eq!(cache.parsed(), 5);
    load();
    assert_eq!(cache.parsed(), 5);
}

#[tokio::test]
async fn what_may_never_run_may_be_wrong() {
    let files = [
        (
            "node_modules/logger/index.js",
            "exports.hi = () => 'hi'; Object.defineProperty(exports, 'http', { get() { return require('./http'); } });\n\
             exports.torn = () => require('./torn'); exports.newer = () => require('newer'); exports.wrong = () => require('./wrong.mjs');",
        ),
        (
            "node_modules/logger/http.js",
            "const http = require('http'); exports.send = () => http;",
        ),
        ("node_modules/logger/torn.js", "const = ;"),
        (
            "node_modules/logger/wrong.mjs",
            "import { nope } from './fine.mjs'; export default nope;",
        ),
        ("node_modules/logger/fine.mjs", "export const fine = 1;"),
        (
            "node_modules/newer/package.json",
            r#"{"type": "module", "exports": "./m.js"}"#,
        ),
        ("node_modules/newer/m.js", "import './deep.js'; export default 1;"),
        (
            "node_modules/newer/deep.js",
            "import net from 'node:net'; export default net;",
        ),
    ];
    let tried = "(f) => { try { return f(); } catch (error) { return error.message; } }";
    let expression = format!(
        "[l.hi(), ...[() => l.http, l.torn, l.newer, l.wrong].map({tried}), await import('newer').catch((e) => e.message)]"
    );
    let shown = answer("import l from 'logger';", &expression, &files).await;
    let list: Vec<String> = serde_json::from_str(&shown).unwrap_or_else(|_| panic!("{shown}"));
    for (at, says) in [
        "hi",
        "cannot import \"node:http\": functions run without Node; use `fetch`",
        "node_modules/logger/torn.js:1:7: SyntaxError",
        "cannot import \"node:net\"",
        "has no export `nope`",
        "cannot import \"node:net\"",
    ]
    .iter()
    .enumerate()
    {
        assert!(list[at].contains(says), "{says}: {}", list[at]);
    }
}

#[tokio::test]
async fn a_buffer_is_made_with_and_without_new() {
    let expression = "[Buffer('hi').toString(), new Buffer([65]).toString(), Buffer(3).length, Buffer.name, new (class Own extends Buffer {})(2) instanceof Buffer, Buffer.from('abc').map((x) => x + 1).toString(), Buffer.from('a').constructor === Buffer]";
    assert_eq!(
        answer("", expression, &[]).await,
        r#"["hi","A",3,"Buffer",true,"bcd",true]"#
    );
}
