"""The licences of every crate that is in the program: from cargo's own metadata and the crates' sources. Each text stands once."""

import json
import pathlib
import subprocess
import sys

target = sys.argv[1]
# The interpreter of JavaScript and the parts of bundles are in the program too, as WebAssembly.
projects = [("Cargo.toml", target), ("scripts/js-runtime/Cargo.toml", "wasm32-wasip2"), ("scripts/bundle-shell/Cargo.toml", "wasm32-wasip2")]


QUICKJS = """The MIT License (MIT)

Copyright (c) 2017-2024 Fabrice Bellard
Copyright (c) 2017-2024 Charlie Gordon
Copyright (c) 2023-2025 Ben Noordhuis
Copyright (c) 2023-2025 Saúl Ibarra Corretgé

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR
THE USE OR OTHER DEALINGS IN THE SOFTWARE."""


def linked(manifest, target):
    """Packages of what is linked: not what builds or tests need, and not the project's own."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    command += ["--manifest-path", manifest]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    own = set(metadata["workspace_members"])
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, todo = set(), list(own)
    while todo:
        one = todo.pop()
        if one in found:
            continue
        found.add(one)
        for dependency in nodes[one]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    return {package["id"]: package for package in metadata["packages"] if package["id"] in found - own}


packages = {}
for manifest, platform in projects:
    packages |= linked(manifest, platform)

texts, missing = {}, []
print("emu contains these crates, under the licences that they name. The texts follow.\n")
for package in sorted(packages.values(), key=lambda package: (package["name"], package["version"])):
    label = f"{package['name']} {package['version']}"
    folder = pathlib.Path(package["manifest_path"]).parent
    print(f"{label}: {package['license'] or package['license_file']}")
    names = ("licen", "copying", "notice", "unlicense", "copyright")
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name.lower().startswith(names)]
    if package["license_file"]:
        files.append(folder / package["license_file"])
    if not files:
        missing.append(label)
    for path in files:
        text = path.read_text(errors="replace").strip()
        texts.setdefault(text, []).append(label)

# Compiled into what componentize-qjs ships, which does not carry its text.
print("QuickJS, in the interpreter of JavaScript: MIT")
texts.setdefault(QUICKJS, []).append("QuickJS")
if not packages:
    sys.exit("licences.py: no crates found")
for label in missing:
    package = next(p for p in packages.values() if f"{p['name']} {p['version']}" == label)
    if not package["license"]:
        sys.exit(f"licences.py: {label} names no licence and has no text of one")
if missing:
    print("\nWithout a text of their own in their sources: " + ", ".join(missing) + ".")
for text, labels in sorted(texts.items(), key=lambda item: item[1]):
    print("\n" + "=" * 80 + "\n" + ", ".join(sorted(set(labels))) + "\n" + "-" * 80 + "\n" + text)
