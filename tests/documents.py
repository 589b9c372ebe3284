"""The code of the documents: which blocks there are, a script that runs them, and what can be checked without running.

A fenced `sh` or `python` block is run as it stands, unless a comment stands on the line before it:
`<!-- slow: REASON -->` leaves it to the slow tests, `<!-- not run: REASON -->` to nobody.
The lines of a `text` block must stand in the output of the block before it.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import typer
from typer.core import TyperGroup

from hf_localhub.cli import app as hub_app
from s3_hf.cli import app, options
from s3_hf.config import RunConfig, parse_config
from s3_hf.errors import StorageError

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("localhub/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob("skills/**/*.md"),
    ]
)
_FENCE = re.compile(
    r"(?:^<!-- (?P<how>slow|not run): [^\n]+ -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.M | re.S
)
_PROGRAMS = {"s3-hf": app, "hf-localhub": hub_app}
_SEPARATORS = {"&&", "||", "|", ";", "&"}
BAR = r"\|"
"""A `|` in a cell of a table, which would end the cell."""
SETTINGS = """\
# Settings

<!-- Written by `UPDATE_GOLDEN=1 pytest tests/test_docs.py`; change the docstrings in s3_hf/config/. -->

Every setting of a run. In Python, the first table names the keywords of `s3_hf.run` and the fields of `RunConfig`.
On the command line:

```sh
s3-hf run imdb --print-config > settings.yaml     # all settings with their meaning, to edit
s3-hf run imdb --config settings.yaml             # or the run.yaml of another run
s3-hf run imdb --set training.epochs=6 --set llm_model=null
```

`s3-hf run --help` lists the settings that have a flag. Flags win over the file, and `--set` wins over both.

A run directory belongs to its settings: `s3-hf run` refuses to continue it with others. Only {operational} may change,
since they do not decide what is written."""


@dataclass(frozen=True)
class Block:
    """A fenced block: `how` is "", "slow" or "not run"; `line` is that of its fence."""

    line: int
    language: str
    how: str
    code: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(text[: found.start("language")].count("\n") + 1, found["language"], found["how"] or "", found["code"])
        for found in _FENCE.finditer(text)
    ]


def script(run: list[Block], folder: Path) -> str:
    """One bash script of all blocks; the output of each goes to `folder`/LINE."""
    lines = ["set -euo pipefail"]
    for block in run:
        lines += [f"exec >{shlex.quote(str(folder / str(block.line)))} 2>&1"]
        if block.language == "python":
            lines += [f"cat >block{block.line}.py <<'END'", block.code + "END", f"python block{block.line}.py"]
        else:
            lines += [block.code]
    return "\n".join(lines)


def commands(code: str) -> list[list[str]]:
    """The words of each command of a shell block, without assignments before it, comments and ellipses."""
    found: list[list[str]] = []
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if words[-1:] == [">"]:
                words.pop()
            elif word in _SEPARATORS:
                found += [words] if words else []
                words = []
            elif word not in ("…", "...") and (words or not re.match(r"\w+=", word)):
                words.append(word)
    return found


def check_command(words: list[str]) -> None:
    """Check the names, flags, values and settings of a command of this repository; others are not looked at.

    Raises:
        Exception: there is no such command, flag or setting, or a value has the wrong type.
    """
    if "s3_hf" in words:  # python -m s3_hf, under a launcher or not
        words = ["s3-hf", *words[words.index("s3_hf") + 1 :]]
    if words[0] not in _PROGRAMS:
        return
    command, context, rest = typer.main.get_command(_PROGRAMS[words[0]]), None, words[1:]
    while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
        context = command.make_context(command.name, rest, parent=context)
        _, command, rest = command.resolve_command(context, rest)
    if rest in (["-h"], ["--help"], ["--version"]):
        return
    with contextlib.suppress(StorageError):  # a folder of the example that cannot be made here
        assignments = command.make_context(command.name, rest, parent=context).params.get("assignments")
        parse_config({"task": "any"} | options.overrides({}, assignments), "a document")


def settings_page() -> str:
    """The page of all settings, from the fields of `RunConfig` and their docstrings."""
    schema = RunConfig.model_json_schema()
    operational = ", ".join(f"`{name}`" for name in sorted(RunConfig.OPERATIONAL))
    return "\n".join([SETTINGS.format(operational=operational), *_table("Run", "", schema, schema)]) + "\n"


def _table(title: str, prefix: str, group: dict, schema: dict) -> list[str]:
    lines = ["", f"## {title}", "", *([" ".join(group["description"].split()), ""] if prefix else [])]
    lines += ["| setting | default | values | meaning |", "|---|---|---|---|"]
    inner: list[str] = []
    for name, field in group["properties"].items():
        if "$ref" in field:
            inside = schema["$defs"][field["$ref"].rpartition("/")[2]]
            inner += _table(f"`{prefix}{name}`", f"{prefix}{name}.", inside, schema)
            continue
        default = "required" if name in group.get("required", ()) else f"`{_yaml(field.get('default', {}))}`"
        meaning = re.sub(r"\bNone\b", "`null`", " ".join(field.get("description", "").split()))
        cells = (f"`{prefix}{name}`", default, _values(field), meaning)
        lines += [f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"]
    return lines + inner


def _yaml(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _values(field: dict) -> str:
    """What a field of the JSON schema may hold, in words."""
    if "anyOf" in field:
        return " or ".join(_values(one) for one in field["anyOf"] if one.get("type") != "null")
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    names = {
        "string": "text",
        "integer": "integer",
        "number": "number",
        "boolean": "`true`, `false`",
        "object": "mapping",
    }
    if field.get("type") == "array":
        return f"list of {_values(field['items'])}"
    bounds = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    limits = ", ".join(
        f"{sign} {f'{field[key]:,}' if isinstance(field[key], int) else f'{field[key]:g}'}"
        for key, sign in bounds.items()
        if key in field
    )
    return f"{names.get(field.get('type', ''), 'text')}{f' {limits}' if limits else ''}"
