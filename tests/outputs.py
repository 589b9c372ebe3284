"""The schema of what each command prints with `--json`, and the page `docs/json.md` that shows them all."""

import inspect
import re

from pydantic import TypeAdapter

from s3_hf.cli.outputs import OUTPUTS

PAGE = """\
# JSON output

<!-- Written by `UPDATE_GOLDEN=1 pytest tests/test_json.py`; change s3_hf/cli/outputs.py. -->

With `--json` a command prints one JSON value on standard output and nothing else; progress, notes and errors go to
standard error. The exit code is 0; 2 for an error that one sentence on standard error explains; 130 after Ctrl-C. With
2 standard output is empty, except that `doctor` whose endpoint does not answer and `run` whose push failed print their
value. A command may add keys in a later version, so ignore those that you do not know.
Numbers that are not finite are null, paths are those of the machine that printed them, shares are from 0 to 1.

```sh
s3-hf status runs/tickets --json
```

`s3-hf report` has no JSON: `status` has its figures. JSON Schema of a command, from Python:

```python
from pydantic import TypeAdapter

from s3_hf.cli.outputs import OUTPUTS

print(TypeAdapter(OUTPUTS["status"]).json_schema())
```

| command | prints |
|---|---|
"""


def schema_of(command: str) -> dict:
    """The JSON Schema of a command's value, which allows no key that is not documented."""
    schema = TypeAdapter(OUTPUTS[command]).json_schema()
    for one in (schema, *schema.get("$defs", {}).values()):
        if "properties" in one:
            one["additionalProperties"] = False
    return schema


def json_page() -> str:
    kinds: dict[str, dict] = {}
    lines = []
    for command in OUTPUTS:
        schema = schema_of(command)
        kinds |= schema.get("$defs", {})
        if "properties" in schema:
            kinds[schema["title"]] = schema
            shown = _link(schema["title"])
        else:
            shown = _kind(schema)
        lines.append(f"| `s3-hf {command} --json` | {shown} |")
    for name in sorted(kinds):
        lines += ["", *_table(name, kinds[name])]
    return PAGE + "\n".join(lines) + "\n"


def _table(name: str, kind: dict) -> list[str]:
    text, _, attributes = inspect.cleandoc(kind.get("description", "")).partition("\nAttributes:\n")
    meanings = dict(re.findall(r"^    (\w+): (.+(?:\n     +.+)*)", attributes, re.M))
    lines = [f"## {name}", "", " ".join(text.split()), "", "| key | value | meaning |", "|---|---|---|"]
    for key, value in kind["properties"].items():
        absent = "" if key in kind.get("required", ()) or name != "PredictedText" else ", or absent"
        meaning = re.sub(r"\bNone\b", "null", " ".join(meanings.get(key, "").split()).replace("|", "\\|"))
        lines += [f"| `{key}` | {_kind(value)}{absent} | {meaning} |"]
    return lines


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _kind(value: dict) -> str:
    """A type in words."""
    if "$ref" in value:
        return _link(value["$ref"].rpartition("/")[2])
    if "anyOf" in value:
        return " or ".join(_kind(one) for one in value["anyOf"])
    if "enum" in value or "const" in value:
        return ", ".join(f"`{one}`" for one in value.get("enum", [value.get("const")]))
    inside = value.get("items") or value.get("additionalProperties")
    if value.get("type") == "array":
        return f"list of {_kind(inside)}" if inside else "list"
    if value.get("type") == "object":
        return f"object: name to {_kind(inside)}" if isinstance(inside, dict) and inside else "object"
    return value.get("type", "any value")
