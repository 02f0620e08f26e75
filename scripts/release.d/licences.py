"""The licences of every crate that is in the program: from cargo's own metadata and the crates' sources. Each text stands once."""

import json
import pathlib
import subprocess
import sys

target = sys.argv[1]
command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}

# What is linked: not what builds or tests need.
root = metadata["resolve"]["root"]
linked, todo = set(), [root]
while todo:
    one = todo.pop()
    if one in linked:
        continue
    linked.add(one)
    for dependency in nodes[one]["deps"]:
        if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
            todo.append(dependency["pkg"])
linked.discard(root)

texts, missing = {}, []
print("emu contains these crates, under the licences that they name. The texts follow.\n")
for package in sorted((packages[one] for one in linked), key=lambda package: (package["name"], package["version"])):
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

if not linked:
    sys.exit("licences.py: no crates found")
for label in missing:
    package = next(p for p in packages.values() if f"{p['name']} {p['version']}" == label)
    if not package["license"]:
        sys.exit(f"licences.py: {label} names no licence and has no text of one")
if missing:
    print("\nWithout a text of their own in their sources: " + ", ".join(missing) + ".")
for text, labels in sorted(texts.items(), key=lambda item: item[1]):
    print("\n" + "=" * 80 + "\n" + ", ".join(sorted(set(labels))) + "\n" + "-" * 80 + "\n" + text)
