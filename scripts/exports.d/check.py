"""Reads the descriptors as their platforms do, and holds them against what these demand."""

import pathlib
import re
import sys
import tomllib

import yaml
from compose_spec import PyCompose

work = pathlib.Path(sys.argv[1])
dns = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


def documents(name):
    found = sorted(work.glob(f"*/{name}"))
    assert len(found) == 3, (name, found)
    for path in found:
        for document in yaml.safe_load_all(path.read_text()):
            if document is not None:
                yield path, document


services = 0
for path, service in documents("knative.yaml"):
    assert service["apiVersion"] == "serving.knative.dev/v1" and service["kind"] == "Service", path
    assert dns.match(service["metadata"]["name"]), path
    template = service["spec"]["template"]
    for key, value in template["metadata"]["annotations"].items():
        assert key.startswith("autoscaling.knative.dev/") and isinstance(value, str), (path, key, value)
    (container,) = template["spec"]["containers"]
    assert container["image"] and container["ports"] == [{"containerPort": 8080}], path
    assert re.fullmatch(r"\d+Mi", container["resources"]["limits"]["memory"]), path
    assert all(isinstance(pair.get("value", ""), str) for pair in container["env"]), path
    assert 1 <= template["spec"]["timeoutSeconds"] <= 901, path
    services += 1
assert services >= 3, services

for path, compose in documents("compose.yaml"):
    # Names and values that the specification does not have are errors.
    PyCompose.from_yaml(path.read_text()).validate_volumes()
    ((name, service),) = compose["services"].items()
    assert compose["name"] == name and dns.match(name), path
    assert service["ports"] == ["8080:8080"] and service["deploy"]["replicas"] == 1, path
    assert service["volumes"] == ["state:/app/.emu"] and "state" in compose["volumes"], path
    assert all(value is None or isinstance(value, str) for value in service["environment"].values()), path

for path, application in documents("wadm.yaml"):
    assert application["apiVersion"] == "core.oam.dev/v1beta1" and application["kind"] == "Application", path
    components = application["spec"]["components"] or []
    known = {component["name"] for component in components}
    for component in components:
        assert component["type"] in ("component", "capability") and component["properties"]["image"], path
        for trait in component["traits"]:
            assert trait["type"] in ("spreadscaler", "link"), (path, trait)
            if trait["type"] == "link":
                assert trait["properties"]["target"]["name"] in known, (path, trait)

for path in sorted(work.glob("*/spin.toml")):
    spin = tomllib.loads(path.read_text())
    assert spin["spin_manifest_version"] == 2 and dns.match(spin["application"]["name"]), path
    for trigger in spin.get("trigger", {}).get("http", []):
        assert trigger["component"] in spin["component"] and trigger["route"].startswith("/"), (path, trigger)
    for component in spin.get("component", {}).values():
        assert component["source"].endswith((".wasm", ".wat")), (path, component)
print("descriptors: SAM by cfn-lint, Compose by its specification, Knative, wasmCloud and Spin by their readers: passed")
