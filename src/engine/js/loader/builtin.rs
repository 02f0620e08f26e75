//! Modules that emu brings itself: those of Node that packages need, and helpers of the loader. They are read by the guest
//! when something imports them, and cost nothing otherwise.

/// Stands for what a package leaves out in browsers.
pub const EMPTY: &str = "emu:empty";
/// Where CommonJS modules meet.
pub const COMMON_JS: &str = "emu:commonjs";
/// Keeps the values of `AsyncLocalStorage` across `await`.
pub const ASYNC_HOOKS: &str = "node:async_hooks";
pub const BUFFER: &str = "node:buffer";
/// Under it, what generated code calls: `emu:lower/helpers/decorate`.
pub const LOWERED: &str = "emu:lower";

/// A module's name and source. Modules of Node have their `node:` names.
const ALL: [(&str, &str); 36] = [
    (COMMON_JS, include_str!("../node/commonjs.js")),
    ("emu:equal", include_str!("../node/equal.js")),
    (EMPTY, "export default {};"),
    ("cloudflare:workers", include_str!("../node/cloudflare_workers.js")),
    ("emu:lower/helpers/decorate", include_str!("../node/lower_decorate.js")),
    (
        "emu:lower/helpers/decorateMetadata",
        include_str!("../node/lower_metadata.js"),
    ),
    (
        "emu:lower/helpers/decorateParam",
        include_str!("../node/lower_param.js"),
    ),
    ("emu:lower/helpers/usingCtx", include_str!("../node/lower_using.js")),
    ("node:assert", include_str!("../node/assert.js")),
    ("node:assert/strict", include_str!("../node/assert_strict.js")),
    ("node:async_hooks", include_str!("../node/async_hooks.js")),
    ("node:buffer", include_str!("../node/buffer.js")),
    ("node:console", include_str!("../node/console.js")),
    ("node:crypto", include_str!("../node/crypto.js")),
    (
        "node:diagnostics_channel",
        include_str!("../node/diagnostics_channel.js"),
    ),
    ("node:events", include_str!("../node/events.js")),
    ("node:module", include_str!("../node/module.js")),
    ("node:os", include_str!("../node/os.js")),
    ("node:path", include_str!("../node/path.js")),
    ("node:path/posix", include_str!("../node/path.js")),
    ("node:perf_hooks", include_str!("../node/perf_hooks.js")),
    ("node:process", include_str!("../node/process.js")),
    ("node:punycode", include_str!("../node/punycode.js")),
    ("node:querystring", include_str!("../node/querystring.js")),
    ("node:stream", include_str!("../node/stream.js")),
    ("node:stream/consumers", include_str!("../node/stream_consumers.js")),
    ("node:stream/promises", include_str!("../node/stream_promises.js")),
    ("node:stream/web", include_str!("../node/stream_web.js")),
    ("node:string_decoder", include_str!("../node/string_decoder.js")),
    ("node:sys", include_str!("../node/util.js")),
    ("node:timers", include_str!("../node/timers.js")),
    ("node:timers/promises", include_str!("../node/timers_promises.js")),
    ("node:tty", include_str!("../node/tty.js")),
    ("node:url", include_str!("../node/url.js")),
    ("node:util", include_str!("../node/util.js")),
    ("node:util/types", include_str!("../node/util_types.js")),
];

/// A module by its full name.
pub fn find(specifier: &str) -> Option<&'static str> {
    let found = ALL.iter().find(|(name, _)| *name == specifier);
    found.map(|(name, _)| *name)
}

/// A module of Node by the name that it has without `node:`.
pub fn find_bare(specifier: &str) -> Option<&'static str> {
    let found = ALL
        .iter()
        .find(|(name, _)| name.strip_prefix("node:") == Some(specifier));
    found.map(|(name, _)| *name)
}

pub fn source(name: &str) -> Option<&'static str> {
    let found = ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, source)| *source)
}

/// All of them, by name.
pub fn sources() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALL.iter().copied()
}

#[cfg(test)]
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}
