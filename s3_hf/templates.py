"""Jinja templates of a package: cards and recipes."""

from __future__ import annotations

import importlib.resources

import jinja2


def template_environment(package: str) -> jinja2.Environment:
    """Return a Jinja environment that reads templates from the package and raises for undefined names.

    It escapes nothing, since it renders Markdown and Python: filters must make text from data harmless.
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
