"""Names in paths are those of the project most of the time: else all answers would be 404."""

import schemathesis

KNOWN = {
    "queues": ["jobs", "dead", "line"],
    "topics": ["news"],
    "functions": ["api", "worker"],
    "crons": ["api"],
    "kv": ["cache"],
    "snapshots": ["one", "two"],
}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    names = KNOWN.get(context.operation.path.split("/")[2])
    for key in path_parameters or {}:
        chosen = sum(map(ord, str(path_parameters[key])))
        if names and chosen % 4:
            path_parameters[key] = names[chosen % len(names)]
    return path_parameters


@schemathesis.check
def refusals_have_a_body(context, response, case):
    """Whatever is refused says why, as the document's schema of errors has it."""
    if response.status_code >= 400 and case.method != "HEAD":
        error = response.json()["error"]
        assert error["code"] and error["message"], response.text
