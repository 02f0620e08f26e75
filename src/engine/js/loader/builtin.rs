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
const ALL: [(&str, &str); 6] = [
    (COMMON_JS, include_str!("../node/commonjs.js")),
    (EMPTY, "export default {};"),
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
