"""Results as HTML, for notebooks: a table of the rounds and the verdict; every value is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import jinja2

from s3_hf.store.facts import TEST, RoundResult
from s3_hf.store.final import FinalResult, Verdict

_TABLE = """\
<div><b>{{ path }}</b>
<table><thead><tr><th>student</th><th>synthetic rows</th><th>mistakes</th>
{%- for name in metrics %}<th>test {{ name.replace("_", " ") }}</th>{% endfor %}</tr></thead><tbody>
{% for each in rounds %}
<tr><td>round {{ each.number }}</td><td>{{ "{:,}".format(each.rows) }}</td><td>{{ "{:,}".format(each.mistakes) }}</td>
{%- for name in metrics %}<td>{{ "{:.1%}".format(each.scores[test].metrics[name]) }}</td>{% endfor %}</tr>
{% endfor %}
{% if final %}
<tr><td>final ({{ final.choice.arm }})</td><td>{{ "{:,}".format(final.facts.rows) }}</td><td>–</td>
{%- for name in metrics %}<td>{{ "{:.1%}".format(final.scores[test].metrics[name]) }}</td>{% endfor %}</tr>
{% endif %}
</tbody></table>{% if verdict %}<p>{{ verdict.sentence }}</p>{% endif %}</div>
"""


def results_html(path: str, rounds: Sequence[RoundResult], final: FinalResult | None, verdict: Verdict | None) -> str:
    """Return a table of the finished rounds and of the final student, with the verdict below it."""
    metrics = list(rounds[-1].scores[TEST].metrics) if rounds else []
    return _template().render(path=path, rounds=rounds, final=final, verdict=verdict, metrics=metrics, test=TEST)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_TABLE)
