"""How the rows of a dataset were made: its steps, the LLM, what was rejected, what it cost."""

from __future__ import annotations

from s3_hf.cards.facts import DatasetFacts, RunFacts
from s3_hf.cards.markup import code, codes, count, counted, duration, linked, percent, table
from s3_hf.cards.shared import gold_source

_ENDPOINTS = {
    "local": "llama.cpp on the machine of the run",
    "url": "a chat completions endpoint",
    "inference-providers": "Hugging Face Inference Providers",
}
"""How an LLM was reached, in words."""


def gold_data(facts: DatasetFacts) -> str:
    """Return what the gold data are, where they come from, and how many rows of them were used for what."""
    run, task = facts.run, facts.run.task
    home = f" ([home page]({task['homepage']}))" if task["homepage"] else ""
    splits, held_out = task["splits"], task["held_out"]
    text = f"{task['description']} Gold data: {gold_source(run)}{home}, {count(splits['validation'])} validation and "
    text += f"{count(splits['test'])} test rows"
    if held_out:
        text += f"; {count(held_out)} more validation rows chose the training epoch, and no errors were found on them"
    if not run.columns["context"]:
        return f"{text}."
    shared = task["shared_contexts"]
    left_out = "; their rows were left out" if shared and run.settings["exclude_test_contexts"] else ""
    column = code(run.columns["context"])
    return (
        f"{text}. {count(shared)} distinct {column} texts of the validation rows are in the test split too{left_out}."
    )


def steps(facts: DatasetFacts) -> str:
    """Return the numbered steps by which the rows were made, or how gold rows were chosen."""
    run = facts.run
    if run.human:
        sample = "a stratified sample of " if run.settings["gold_size"] else ""
        return f"The rows are {sample}the gold validation split as it is, with its human labels."
    found = _seed(facts)
    if 1 in run.existing:
        found.append(f"**Round 1.** Rows of {codes(run.existing[1])}, taken over as they were.")
    if run.grown_rounds:
        grow = {"s3": _errors, "progen": _feedback, "goldgen": _gold_rows}.get(run.strategy)
        found += grow(run) if grow else []
    return "\n".join(f"1. {step}" for step in found)


def llm(facts: DatasetFacts) -> str:
    """Return which LLM was asked and how, with seed and version."""
    run, synthesis = facts.run, facts.run.settings["synthesis"]
    text = "No LLM was asked."
    if run.synthetic_rows:
        through = f", asked through {_ENDPOINTS[run.endpoint]}" if run.endpoint in _ENDPOINTS else ""
        longest = f", at most {synthesis['max_tokens']} tokens" if synthesis["max_tokens"] else ""
        text = (
            f"The LLM was {linked(run.llm)}{through}, with nucleus sampling: temperature {synthesis['temperature']}, "
            f"top-p {synthesis['top_p']}{longest}."
        )
    return (
        f"{text} Seed {run.settings['seed']}; made with s3-hf {run.versions['s3-hf']}. All settings are in "
        "[`s3/run.json`](s3/run.json)."
    )


def prompt_title(facts: DatasetFacts, sha: str, prompt: str) -> str:
    """Return the name of a prompt template and its hash in `s3_prompt`."""
    names = "".join(f" {code(name)}," for name, text in facts.run.task["prompts"].items() if text == prompt)
    return f"Template{names} hash {code(sha)}"


def rejections(facts: DatasetFacts) -> str:
    """Return how many answers did not become a row, by reason."""
    if not facts.rejected:
        return (
            "None: every answer passed the checks (empty, refusal, prompt echo, copy of its source, duplicate, too "
            "short, found in the test split)."
        )
    attempts, given_up = facts.run.settings["synthesis"]["attempts"], facts.given_up
    places = f"{counted(given_up, 'place')} {'was' if given_up == 1 else 'were'} given up"
    lines = sorted(facts.rejected.items(), key=lambda item: item[1], reverse=True)
    reasons = table([("reason", "l"), ("answers", "r")], [(reason, count(n)) for reason, n in lines])
    return f"Answers that did not become a row were asked again, up to {attempts} times in all; {places}.\n\n{reasons}"


def cost(facts: DatasetFacts) -> str:
    """Return requests, tokens, time and money."""
    usage = facts.usage
    money = f", cost {usage.cost:.2f} at the prices given in the settings" if usage.cost else ""
    return (
        f"{count(usage.requests)} requests, {count(usage.prompt_tokens)} prompt tokens, "
        f"{count(usage.completion_tokens)} generated tokens, {duration(facts.seconds)}{money}."
    )


def _seed(facts: DatasetFacts) -> list[str]:
    """Return the steps of round 0."""
    run, synthesis = facts.run, facts.run.settings["synthesis"]
    balanced = synthesis["labels"] == "balanced"
    same = "; each label gets the same number of rows" if balanced else ""
    if 0 in run.existing:
        return [f"**Seed.** Rows of {codes(run.existing[0])}, taken over as they were."]
    if facts.rationales:
        most = max(map(len, facts.rationales.values()))
        return [
            (
                "**Rationales.** For each label the LLM was asked for reasons that lead to it; up to "
                f"{most} of them were kept."
            ),
            (
                f"**Seed.** Each row answers a prompt that names its label and {synthesis['rationales_per_example']} of "
                f"those rationales, drawn at random{same or '; the label is drawn at random too'}."
            ),
        ]
    if not run.columns["context"]:
        return [f"**Seed.** Each row answers the same zero-shot prompt, which names its label{same}."]
    contexts = run.settings["contexts"]
    context = f"a text of {code(contexts)}" if contexts else f"the {code(run.columns['context'])} of a gold row"
    phrase = synthesis["answers"] == "phrases" or contexts
    answer = "a phrase of it as the answer" if phrase else "its gold answer"
    learned = f"a label{same}" if run.columns["label"] else answer
    return [
        (
            f"**Seed.** Each row answers a prompt with {context}, drawn at random, and {learned}. The LLM writes the "
            f"{code(run.columns['text'])}."
        )
    ]


def _errors(run: RunFacts) -> list[str]:
    """Return the steps of a round of S3."""
    synthesis, size = run.settings["synthesis"], run.settings["round_size"]
    context, copies, learned = run.columns["context"], synthesis["per_error"], _learned(run)
    if context:
        new = f"{'a new' if copies == 1 else f'{copies} new'} {code(run.columns['text'])} about the same context"
    else:
        new = "a new example like it" if copies == 1 else f"{copies} new examples like it"
    most = f", for at most {_sizes(run)} rows a round" if size and not synthesis["top_up"] else ""
    others = " that did not choose the epoch" if run.task["held_out"] else ""
    return [
        (
            f"**Small model.** {code(run.student)} is trained on all rows so far, each round from its published weights, "
            f"and predicts the gold validation rows{others}."
        ),
        (
            f"**Error extrapolation.** For each row that it gets wrong the LLM is shown the row and its human {learned}, "
            f"and asked for {new} with that {learned}{most}.{_topped_up(run)}"
        ),
        _repeat(run),
    ]


def _feedback(run: RunFacts) -> list[str]:
    """Return the steps of a round of ProGen."""
    progen = run.settings["synthesis"]["progen"]
    least = progen["influence_from"]
    whose = f"Above {count(least)} rows, the ones shown are chosen: its" if least else "Its"
    return [
        f"**Small model.** {code(run.student)} is trained on all rows so far, each round from its published weights.",
        (
            f"**Feedback.** {whose} influence function tells which of its rows lower the reverse cross-entropy on a "
            f"sample of the synthetic rows most; up to {progen['pool']} of each label are kept. "
            f"{percent(progen['feedback_ratio'])} of the new prompts show {progen['examples']} of those of their label "
            "first."
        ),
        _repeat(run),
    ]


def _gold_rows(run: RunFacts) -> list[str]:
    """Return the step of a round of GoldGen."""
    size, mined, learned = run.settings["round_size"], run.task["splits"]["validation"], _learned(run)
    smallest = min(size) if isinstance(size, list | tuple) else size
    each = not smallest or run.settings["synthesis"]["top_up"] or smallest >= mined
    rows = f"{'each' if each else _sizes(run)} of the {count(mined)} gold validation rows"
    return [
        (
            f"**Gold extrapolation.** For {rows} the LLM is "
            f" shown the row and its human {learned}, and asked for a new example like it with that {learned}."
            f"{_topped_up(run)}"
        )
    ]


def _learned(run: RunFacts) -> str:
    return "label" if run.columns["label"] else "answer"


def _sizes(run: RunFacts) -> str:
    """Return the wanted rows of each round."""
    size = run.settings["round_size"]
    return ", ".join(map(str, size)) if isinstance(size, list | tuple) else count(size)


def _topped_up(run: RunFacts) -> str:
    if not (run.settings["round_size"] and run.settings["synthesis"]["top_up"]):
        return ""
    return (
        f" Rounds of {_sizes(run)} rows were wanted: where there were more of these rows a sample was shown, where "
        "there were fewer they were shown again."
    )


def _repeat(run: RunFacts) -> str:
    return f"**Repeat** from the small model; {counted(run.grown_rounds, 'round')} so far."
