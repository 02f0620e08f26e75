//! Reading, resolving and importing: what is found at load.

use std::path::Path;

use super::harness::*;

async fn load(files: &[(&str, &str)]) -> String {
    let project = Project::new(files);
    match project.load(files[0].0).await {
        Ok(version) => show(project.invoke(&version, get("/")).await).await,
        Err(error) => load_error(&error),
    }
}

fn answer(expression: &str) -> String {
    format!("export default {{ fetch() {{ return new Response(String({expression})); }} }};")
}

fn body(shown: &str) -> &str {
    shown.split_once('\n').map_or(shown, |(_, body)| body)
}

#[tokio::test]
async fn specifiers_resolve_as_bundlers_have_it() {
    let files = [
        (
            "functions/f.js",
            &*("import a from './a'; import b from './b.js'; import c from './dir'; import d from '../shared/d.mjs'; \
                import e from './data.json'; import t from './note.txt'; import p from 'pkg'; import q from '@scope/q/sub'; import i from '#inner';"
                .to_owned()
                + &answer("[a, b, c, d, e.n, t, p, q, i].join()")),
        ),
        ("functions/a.ts", "const a: string = 'a'; export default a;"),
        ("functions/b.ts", "export default 'b' as string;"),
        ("functions/dir/index.js", "export default 'c';"),
        ("shared/d.mjs", "export default 'd';"),
        ("functions/data.json", "{\"n\": 5}"),
        ("functions/note.txt", "a \"note\"\n"),
        ("package.json", "{\"imports\": {\"#inner\": \"./shared/inner.js\"}}"),
        ("shared/inner.js", "export default 'i';"),
        ("node_modules/pkg/package.json", "{\"exports\": {\".\": {\"node\": \"./node.js\", \"worker\": \"./worker.js\", \"default\": \"./other.js\"}}}"),
        ("node_modules/pkg/worker.js", "import own from './own'; export default own;"),
        ("node_modules/pkg/own.js", "export default 'worker';"),
        ("node_modules/@scope/q/package.json", "{\"exports\": {\"./*\": \"./lib/*.js\"}}"),
        ("node_modules/@scope/q/lib/sub.js", "export default 'sub';"),
    ];
    assert_eq!(body(&load(&files).await), "a,b,c,d,5,a \"note\"\n,worker,sub,i");
}

#[tokio::test]
async fn typescript_loses_its_types() {
    let code = "import { type Shape, area } from './shapes';\n\
        import type { Nothing } from './types-only';\n\
        enum Color { Red = 'red', Blue = 'blue' }\n\
        namespace Inner { export const x = 3; }\n\
        class Box<T> { constructor(private readonly value: T) {} get(): T { return this.value; } }\n\
        const shape = { side: 2 } satisfies Shape;\n\
        export default { async fetch(request: Request): Promise<Response> {\n\
          return new Response([area(shape), Color.Blue, Inner.x, new Box<string>('b').get(), (request as any)!.method].join());\n\
        } };";
    let shapes = "export interface Shape { side: number }\nexport function area(s: Shape) { return s.side ** 2; }";
    assert_eq!(
        body(&load(&[("f.ts", code), ("shapes.ts", shapes)]).await),
        "4,blue,3,b,GET"
    );
}

#[tokio::test]
async fn syntax_errors_point_into_the_source() {
    let shown = load(&[(
        "f.js",
        "export default {\n  fetch() { return new Response('a' 'b'); }\n};\n",
    )])
    .await;
    assert!(shown.starts_with("error: SyntaxError: "), "{shown}");
    assert!(shown.contains(" at f.js:2:"), "{shown}");
    assert!(
        shown.contains("2 |   fetch() { return new Response('a' 'b'); }\n"),
        "{shown}"
    );
    assert!(
        shown
            .lines()
            .any(|line| line.trim_start_matches(['|', ' ']).starts_with('^')),
        "{shown}"
    );
    let shown = load(&[("f.ts", "let a = 1;\nlet a = 2;\n")]).await;
    assert!(shown.contains("SyntaxError") && shown.contains("f.ts:"), "{shown}");
    let shown = load(&[
        ("f.js", "import x from './x.json'; export default { fetch() {} };"),
        ("x.json", "{\n  \"a\": ,\n}"),
    ])
    .await;
    assert!(
        shown.contains("invalid JSON") && shown.contains("at x.json:2:"),
        "{shown}"
    );
}

#[tokio::test]
async fn missing_imports_name_the_importer() {
    let shown = load(&[("functions/f.js", "\n  import x from './missing';\n")]).await;
    assert_eq!(
        shown,
        "error: cannot find \"./missing\": there is no such file beside the importer at functions/f.js:2:17\n\
         2 |   import x from './missing';\n  |                 ^^^^^^^^^^^"
    );
    for (specifier, says) in [
        ("left-pad", "npm install left-pad"),
        ("node:fs", "functions run without Node"),
        ("fs/promises", "functions run without Node"),
        ("https://example.com/x.js", "modules come from files"),
        ("../../outside.js", "no such file"),
        ("cloudflare:sockets", "no such module"),
    ] {
        let shown = load(&[("f.js", &format!("import x from '{specifier}';"))]).await;
        assert!(shown.contains(says), "{specifier}: {shown}");
    }
    let shown = load(&[
        (
            "f.js",
            "import { nope } from './a.js'; export default { fetch() { return nope; } };",
        ),
        ("a.js", "export const yes = 1;"),
    ])
    .await;
    assert!(
        shown.starts_with("error: SyntaxError: ") && shown.contains("nope"),
        "{shown}"
    );
}

#[tokio::test]
async fn imports_do_not_leave_the_project() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.js"), "export default 1;").unwrap();
    let project = Project::new(&[("f.js", "import x from './link.js';")]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outside.path().join("secret.js"), project.root().join("link.js")).unwrap();
        let shown = load_error(&project.load("f.js").await.unwrap_err());
        assert!(shown.contains("outside of the project"), "{shown}");
    }
    let away = outside.path().join("secret.js");
    let up = "../".repeat(project.root().join("node_modules/sly").components().count());
    let manifest = format!(
        "{{\"main\": \"main.js\", \"browser\": {{\"./main.js\": \"{up}{}\"}}}}",
        away.display()
    );
    project.write("node_modules/sly/package.json", &manifest);
    project.write("node_modules/sly/main.js", "export default 1;");
    project.write("f.js", "import x from 'sly';");
    let shown = load_error(&project.load("f.js").await.unwrap_err());
    assert!(shown.contains("outside of the project"), "{shown}");
}

#[tokio::test]
async fn dynamic_imports_may_fail_and_may_be_computed() {
    let code = "export default { async fetch() {
        const found = await import('./lib.js');
        const name = 'lib'; const computed = await import('./' + name + '.js');
        const missing = await import('./missing.js').catch((error) => 'none: ' + error.message);
        return new Response([found.x, computed === found, missing].join());
    } };";
    let shown = load(&[("f.js", code), ("lib.js", "export const x = 9;")]).await;
    assert!(body(&shown).starts_with("9,true,none: "), "{shown}");
    assert!(shown.contains("./missing.js"), "{shown}");
}

#[tokio::test]
async fn what_fails_at_import_is_an_error_of_the_load() {
    let shown = load(&[(
        "f.ts",
        "const a: number = 1;\n\nthrow new Error('not today');\nexport default {};\n",
    )])
    .await;
    assert_eq!(shown, "error: Error: not today at f.ts:3:11\nat f.ts:3:11");
    let shown = load(&[("f.js", "while (true) {}")]).await;
    assert!(shown.contains("timed out"), "{shown}");
}

#[tokio::test]
async fn the_environment_is_there_at_import() {
    let shown = load(&[("f.js", "const greeting = process.env.GREETING.toUpperCase(); export default { fetch() { return new Response(greeting); } };")]).await;
    assert_eq!(body(&shown), "HELLO");
}

#[tokio::test]
async fn a_module_that_exports_nothing_is_told_so() {
    let shown = load(&[("f.js", "const a = 1;")]).await;
    assert!(shown.contains("f.js exports nothing; write either"), "{shown}");
}

#[tokio::test]
async fn without_a_handler_both_shapes_are_shown() {
    let shown = load(&[("f.js", "export const helper = 1;")]).await;
    assert!(
        shown.contains("f.js exports `helper`, but no handler that emu knows"),
        "{shown}"
    );
    assert!(
        shown.contains("export default { async fetch") && shown.contains("export const handler = async"),
        "{shown}"
    );
}

#[tokio::test]
async fn the_watch_list_holds_files_read_and_paths_missed() {
    let project = Project::new(&[("f.js", "import './a';"), ("a.js", "import './gone';")]);
    let error = project.load("f.js").await.unwrap_err();
    let root = project.root();
    let watched = |name: &str| error.watch.iter().any(|path| path == &root.join(Path::new(name)));
    assert!(watched("f.js") && watched("a.js"), "{:?}", error.watch);
    assert!(
        watched("a.ts") && watched("gone.ts") && watched("gone/index.js"),
        "{:?}",
        error.watch
    );
}

/// All that the examples ship can be loaded, and offers handlers.
#[tokio::test]
async fn the_examples_load() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut loaded = 0;
    for example in std::fs::read_dir(examples).unwrap() {
        let root = example.unwrap().path();
        // Those with packages are driven by scripts/test-packages, which installs them.
        if root.join("package.json").is_file() {
            continue;
        }
        let Ok(functions) = std::fs::read_dir(root.join("functions")) else {
            continue;
        };
        for file in functions {
            let entry = file.unwrap().path();
            let named = entry.file_name().and_then(|name| name.to_str()).unwrap_or("_");
            let is_script = entry
                .extension()
                .is_some_and(|extension| extension == "ts" || extension == "js");
            if !is_script || named.starts_with('_') || named.ends_with(".d.ts") {
                continue;
            }
            if let Err(error) = load_path(&root, &entry).await {
                panic!("{}: {}", entry.display(), load_error(&error));
            }
            loaded += 1;
        }
    }
    assert!(loaded > 0);
}

#[tokio::test]
async fn what_is_imported_must_be_exported() {
    let lib = (
        "lib.ts",
        "export const deep = 1;\nexport default 2;\nexport * from './more';",
    );
    let more = (
        "more.ts",
        "export interface Shape { a: number }\nexport const further = 3;",
    );
    let ask = async |imports: &str| {
        let code =
            format!("import './lib';\n{imports}\nexport default {{ fetch() {{ return new Response('ok'); }} }};");
        load(&[("f.ts", &code), lib, more]).await
    };
    let shown = ask("import { depe } from './lib'; console.log(depe);").await;
    assert_eq!(
        shown,
        "error: SyntaxError: \"./lib\" has no export `depe`; did you mean `deep`? at f.ts:2:22\n\
         2 | import { depe } from './lib'; console.log(depe);\n  |                      ^^^^^^^"
    );
    let shown = ask("import x from './more'; console.log(x);").await;
    assert!(
        shown.starts_with("error: SyntaxError: \"./more\" has no default export; it exports `further` at f.ts:2:15"),
        "{shown}"
    );
    for fine in [
        "import { further } from './lib'; console.log(further);",
        "export { Shape } from './lib';",
        "import { Shape } from './more'; let x: Shape;",
        "import * as all from './lib'; console.log(all.nothing);",
    ] {
        assert!(ask(fine).await.ends_with("\nok"), "{fine}: {}", ask(fine).await);
    }
}
