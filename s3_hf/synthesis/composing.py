"""What is asked: prompts filled in, with the run's sampling settings and a seed for each slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from s3_hf.records import Request
from s3_hf.synthesis.plan import Plan, Planner, Shown

RATIONALE_TOKENS = 200
NAME_TOKENS = 16
"""ZeroGen's 10 and some for an LLM that begins its answer with the prompt's last line."""


@dataclass(frozen=True, slots=True)
class Composer:
    """Makes the requests of one round; the same slot of the same run gives the same one."""

    planner: Planner

    def example(
        self, plan: Plan, template: str, slot: str, rationales: Mapping[str, tuple[str, ...]]
    ) -> tuple[Request, tuple[str, ...]]:
        """The request for one attempt at a slot, and what was drawn into it of each label's rationales."""
        drawn = (plan.name,) if plan.name else self._drawn(plan, slot, template, rationales)
        content = template.format(**plan.fields(self.planner.task.label_words, drawn))
        if plan.shown:
            content = "\n\n".join([*map(self._shown, plan.shown), content])
        settings, config = self.planner.settings, self.planner.task.config
        return self._request(slot, content, settings.max_tokens or config.max_tokens, config.stop), drawn

    def rationales(self, slot: str, content: str) -> Request:
        """The request for a list of rationales."""
        return self._request(slot, content, RATIONALE_TOKENS, ())

    def name(self, number: int) -> Request:
        """The request for the name of that number."""
        slot = f"r{self.planner.round}/name/{number:05d}"
        return self._request(slot, self.planner.task.prompts.names, NAME_TOKENS, ())

    def _drawn(
        self, plan: Plan, slot: str, template: str, rationales: Mapping[str, tuple[str, ...]]
    ) -> tuple[str, ...]:
        if plan.label is None or "{rationales}" not in template:
            return ()
        pool = rationales.get(self.planner.task.label_names[plan.label], ())
        wanted = self.planner.settings.rationales_per_example
        return tuple(self.planner.random(slot).sample(pool, min(wanted, len(pool))))

    def _shown(self, row: Shown) -> str:
        """The row as it is shown before a prompt: by the recipe's template, or bare if it cannot be filled."""
        template = self.planner.task.prompts.shown
        bare = not template or ("{name}" in template and not row.name)
        return row.text if bare else template.format(text=row.text, name=row.name)

    def _request(self, slot: str, content: str, max_tokens: int, stop: tuple[str, ...]) -> Request:
        settings, system = self.planner.settings, self.planner.task.prompts.system
        messages = ({"role": "system", "content": system},) if system else ()
        return Request(
            slot=slot,
            messages=(*messages, {"role": "user", "content": content}),
            max_tokens=max_tokens + settings.thinking_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            stop=stop,
            seed=int.from_bytes(sha256(f"{self.planner.seed}/{slot}".encode()).digest()[:4], "big") >> 1,
        )
