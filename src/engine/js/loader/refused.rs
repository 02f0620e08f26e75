//! Modules that are known elsewhere and absent here, each with what to use instead.

/// Modules of Node that emu does not bring, and the nearest it has.
const NODE: [(&str, &str); 26] = [
    ("child_process", PROCESSES),
    ("cluster", PROCESSES),
    ("constants", FILES),
    ("dgram", SOCKETS),
    ("dns", SOCKETS),
    ("dns/promises", SOCKETS),
    ("domain", "use try and catch"),
    ("fs", FILES),
    ("fs/promises", FILES),
    ("http", REQUESTS),
    ("http2", REQUESTS),
    ("https", REQUESTS),
    ("inspector", "use `console`, and the stacks in the terminal"),
    ("net", SOCKETS),
    ("readline", "a function has no terminal; its input is the event"),
    (
        "readline/promises",
        "a function has no terminal; its input is the event",
    ),
    ("repl", "a function has no terminal; its input is the event"),
    ("sqlite", "use a key-value store (`[kv.NAME]` in emu.toml)"),
    ("test", "run tests outside: `emu exec -- npm test`"),
    ("tls", SOCKETS),
    ("trace_events", "use `console`"),
    ("v8", "use `structuredClone` to copy values"),
    ("vm", "import the code instead"),
    ("wasi", "write the function itself as WebAssembly: emu runs .wasm files"),
    ("worker_threads", PROCESSES),
    ("zlib", "use `CompressionStream` and `DecompressionStream`"),
];

const FILES: &str = "a function has no files; import what it needs (JSON and text files can be imported), or keep data in a \
                     key-value store (`[kv.NAME]` in emu.toml)";
const SOCKETS: &str = "a function opens no sockets; use `fetch` with the host in `allow_hosts`";
const REQUESTS: &str = "use `fetch` with the host in `allow_hosts`; the function's own requests come to its handler";
const PROCESSES: &str = "a function starts no processes or threads; call another function (`bind`) or send to a queue";

/// Modules of other providers and runtimes.
const OTHERS: [(&str, &str); 9] = [
    ("cloudflare:sockets", SOCKETS),
    ("cloudflare:email", "call a mail service with `fetch`"),
    ("cloudflare:workflows", "chain functions with queues"),
    ("cloudflare:", "emu has `cloudflare:workers` alone"),
    ("bun:", "choose a package that runs outside of Bun"),
    ("deno:", "choose a package that runs outside of Deno"),
    ("npm:", "install the package with npm and import it by its name"),
    (
        "jsr:",
        "install the package with `npx jsr add` and import it by its name",
    ),
    ("workerd:", "choose a package that runs outside of workerd"),
];

/// What to say of a module that Node has. `name` comes without `node:`; none when Node has no such module.
pub fn node(name: &str) -> Option<String> {
    let (_, instead) = NODE.iter().find(|(known, _)| *known == name)?;
    Some(format!(
        "cannot import \"node:{name}\": functions run without Node; {instead}"
    ))
}

/// What to say of a specifier that has a scheme.
pub fn scheme(specifier: &str) -> String {
    if let Some(name) = specifier.strip_prefix("node:") {
        return node(name).unwrap_or_else(|| format!("cannot import {specifier:?}: Node has no such module"));
    }
    if specifier.contains("://") || specifier.starts_with("data:") {
        return format!("cannot import {specifier:?}: modules come from files; download it or install its package");
    }
    match OTHERS.iter().find(|(known, _)| specifier.starts_with(known)) {
        Some((_, instead)) => format!("cannot import {specifier:?}: emu has no such module; {instead}"),
        None => format!("cannot import {specifier:?}: emu has no such module"),
    }
}

/// What to say of a file whose kind cannot be imported.
pub fn file(name: &str) -> String {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("wasm") => format!(
            "{name} cannot be imported: a JavaScript function runs inside WebAssembly and starts none of its own; make it a \
             function (emu runs .wasm files) and call it through `bind`"
        ),
        Some("node") => format!(
            "{name} cannot be imported: it is machine code for Node; choose a package that is written in JavaScript alone"
        ),
        Some("vue" | "svelte" | "astro") => {
            format!("{name} cannot be imported: it needs its own compiler; use `build`")
        }
        _ => format!("{name} cannot be imported: no loader for such files; write `{name}?raw` to get its text"),
    }
}
