"""Requests: prompt templates filled in, with the run's sampling settings and a seed for each slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from s3_hf.records import Request
from s3_hf.synthesis.plan import Plan, Planner, Rationales, ShownRow

RATIONALE_TOKENS = 200
"""Longest answer to a request for rationales, in tokens."""
TALK_TOKENS = 60
"""Longest answer to a request for talk about the task, in tokens."""
NAME_TOKENS = 16
"""Longest answer to a request for a name, in tokens: ZeroGen's 10, and 6 for an LLM that repeats the prompt's last
line first."""


@dataclass(frozen=True, slots=True)
class Composer:
    """Composes the requests of one round; the same slot of the same run always gives the same request."""

    planner: Planner

    def example(self, plan: Plan, template: str, slot: str, rationales: Rationales) -> tuple[Request, tuple[str, ...]]:
        """Return the request for one attempt at a slot, and the rationales or the name that its prompt holds.

        Args:
            plan: what the slot is filled with.
            template: prompt template.
            slot: the plan's slot, with the number of the attempt if it is not the first.
            rationales: those to draw from; k of the label's are drawn without repetition (Algorithm 1, line 6), none
                where the template has no field for them.
        """
        drawn = (plan.name,) if plan.name else self._drawn(plan, slot, template, rationales)
        content = template.format(**plan.fields(self.planner.task.label_words, drawn))
        if plan.shown:
            content = "\n\n".join([*map(self._shown, plan.shown), content])
        settings, config = self.planner.settings, self.planner.task.config
        turns = [turn for shot in plan.shots for turn in self._turns(shot)]
        return self._request(slot, content, settings.max_tokens or config.max_tokens, config.stop, turns), drawn

    def rationales(self, label: int, number: int, template: str) -> Request:
        """Return the request for list `number` of a label's rationales (Algorithm 1, line 1)."""
        task = self.planner.task
        content = template.format(count=self.planner.settings.rationales_per_label, label=task.label_words[label])
        return self._request(f"rationales/{task.label_names[label]}/{number}", content, RATIONALE_TOKENS, ())

    def name(self, number: int, prompt: str) -> Request:
        """Return the request for name `number` (ZeroGen)."""
        return self._request(f"r{self.planner.round}/name/{number:05d}", prompt, NAME_TOKENS, ())

    def _drawn(self, plan: Plan, slot: str, template: str, rationales: Rationales) -> tuple[str, ...]:
        if plan.label is None or "{rationales}" not in template:
            return ()
        pool = rationales.get(self.planner.task.label_names[plan.label], ())
        count = min(self.planner.settings.rationales_per_example, len(pool))
        return tuple(self.planner.random(slot).sample(pool, count))

    def talk(self, plan: Plan, question: str) -> Request:
        """Return the request for talk about the prompt of a plan; `question` has the field `{request}`."""
        prompt = self._plain(plan)
        return self._request(plan.slot, question.format(request=prompt), TALK_TOKENS, ())

    def _turns(self, shot: Plan) -> Iterator[Mapping[str, str]]:
        """Yield the turns of the chat that show a gold row: the prompt without rationales, and the text of the row."""
        yield {"role": "user", "content": self._plain(shot)}
        yield {"role": "assistant", "content": shot.source or ""}

    def _plain(self, plan: Plan) -> str:
        """Return the seed prompt of a plan without rationales."""
        prompts = self.planner.task.prompts
        return (prompts.seed_plain or prompts.seed).format(**plan.fields(self.planner.task.label_words, ()))

    def _shown(self, row: ShownRow) -> str:
        """Return the row as it stands before a prompt: in the recipe's template, or bare if that lacks a value."""
        template = self.planner.task.prompts.shown
        bare = not template or ("{name}" in template and not row.name)
        return row.text if bare else template.format(text=row.text, name=row.name)

    def _request(
        self,
        slot: str,
        content: str,
        max_tokens: int,
        stop: tuple[str, ...],
        turns: Sequence[Mapping[str, str]] = (),
    ) -> Request:
        settings, system = self.planner.settings, self.planner.task.prompts.system
        messages = ({"role": "system", "content": system},) if system else ()
        return Request(
            slot=slot,
            messages=(*messages, *turns, {"role": "user", "content": content}),
            max_tokens=max_tokens + settings.thinking_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            stop=stop,
            seed=int.from_bytes(sha256(f"{self.planner.seed}/{slot}".encode()).digest()[:4], "big") >> 1,
        )


def prompt_id(template: str) -> str:
    """Return what rows carry as `s3_prompt`: the first 12 hexadecimal digits of the template's SHA-256."""
    return sha256(template.encode()).hexdigest()[:12]
