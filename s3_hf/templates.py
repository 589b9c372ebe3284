"""The Jinja templates that lie in a package: of cards, and of recipes."""

from __future__ import annotations

import importlib.resources

import jinja2


def template_environment(package: str) -> jinja2.Environment:
    """An environment that reads templates from the package and refuses names that are not given.

    Nothing is escaped: what is rendered is Markdown or Python, so filters must make what comes from data harmless.
    """
    folder = importlib.resources.files(package)
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
