"""How the rows of a dataset were made: its steps, the LLM, what was rejected, what it cost."""

from __future__ import annotations

from s3_hf.cards.facts import DatasetFacts, RunFacts
from s3_hf.cards.markup import address, code, codes, count, counted, duration, linked, percent, plain, table
from s3_hf.cards.shared import gold_source

_ENDPOINTS = {
    "local": "llama.cpp on the machine of the run",
    "url": "a chat completions endpoint",
    "inference-providers": "Hugging Face Inference Providers",
}
"""How an LLM was reached, in words."""


def gold_data(facts: DatasetFacts) -> str:
    """Return what the gold data are, where they come from, and how many of their rows had which role."""
    run, task = facts.run, facts.run.task
    home = f" ({address('home page', task['homepage'])})" if task["homepage"] else ""
    mined, test = (count(task["splits"][name]) for name in ("validation", "test"))
    parts = f"{mined} validation and {test} test rows"
    if task["held_out"]:
        selection = f"{count(task['held_out'])} others that only chose the training epoch (the *selection* rows)"
        parts = f"{mined} validation rows to find errors on, {selection}, and {test} test rows"
    text = f"{plain(task['description'])} Gold data: {gold_source(run)}{home}, {parts}"
    if not run.columns["context"]:
        return f"{text}."
    shared = task["shared_contexts"]
    left_out = "; validation rows with them were left out" if shared and run.settings["exclude_test_contexts"] else ""
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
    if shots := run.settings["synthesis"].get("shots"):
        found.append(
            f"**Examples.** Up to {counted(shots, 'gold row')} of the label, drawn at random, stood before each prompt"
            " as earlier turns of the chat; answers that read like the LLM's talk about the task were rejected."
        )
    if 1 in run.existing:
        found.append(f"**Round 1.** Rows taken unchanged from {codes(run.existing[1])}.")
    if run.grown_rounds:
        grow = {"s3": _errors, "progen": _feedback, "goldgen": _gold_rows}.get(run.strategy)
        found += grow(run) if grow else []
    return "\n".join(f"1. {step}" for step in found)


def llm(facts: DatasetFacts) -> str:
    """Return which LLM wrote rows and how it was called, with seed and version."""
    run, synthesis = facts.run, facts.run.settings["synthesis"]
    text = "No LLM was called."
    if run.synthetic_rows:
        through = f", called through {_ENDPOINTS[run.endpoint]}" if run.endpoint in _ENDPOINTS else ""
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
    changed = "; ".join(f"{plain(name)} ({percent(share)})" for name, share in facts.checks_off.items())
    off = f"\n\nChecks that reject too many gold rows were changed for this task: {changed}." if changed else ""
    if not facts.rejected:
        return (
            "None: every answer passed the checks (empty, refusal, prompt echo, copy of its source, duplicate, too "
            f"short, found in the test split).{off}"
        )
    attempts, given_up = facts.run.settings["synthesis"]["attempts"], facts.given_up
    places = f"{counted(given_up, 'row')} {'was' if given_up == 1 else 'were'} given up"
    lines = sorted(facts.rejected.items(), key=lambda item: item[1], reverse=True)
    reasons = table([("reason", "l"), ("answers", "r")], [(plain(reason), count(n)) for reason, n in lines])
    several = facts.run.settings["synthesis"]["candidates"]
    best = f"Each row is the best of up to {several} answers. " if several > 1 else ""
    again = f"A prompt whose answer was rejected was sent again, up to {attempts} times in all; {places}."
    return f"{best}{again}{off}\n\n{reasons}"


def judging(facts: DatasetFacts) -> str:
    """Return whether labels were judged, by whom, how reliable the judge is, and how many rows were rejected."""
    wrong = facts.rejected.get("label judged wrong", 0)
    if not wrong:
        return plain(facts.run.judging)
    rejected = f"{counted(wrong, 'text')} with a label judged wrong {'was' if wrong == 1 else 'were'} rejected"
    return f"{plain(facts.run.judging)} {rejected}."


def cost(facts: DatasetFacts) -> str:
    """Return requests, tokens, time and money."""
    usage = facts.usage
    money = f", cost {usage.cost:.2f} at the prices in the settings" if usage.cost else ""
    return (
        f"{count(usage.requests)} requests, {count(usage.prompt_tokens)} prompt tokens, "
        f"{count(usage.completion_tokens)} generated tokens, {duration(facts.seconds)}{money}."
    )


_EQUAL = "; each label gets the same number of rows"
_LABELS = {
    "balanced": _EQUAL,
    "missing": _EQUAL,
    "gold": "; labels have the proportions of the gold rows",
    "uniform": "",
}
"""What `synthesis.labels` does to the rows of the seed."""


def _seed(facts: DatasetFacts) -> list[str]:
    """Return the steps of round 0."""
    run, synthesis = facts.run, facts.run.settings["synthesis"]
    same = _LABELS[synthesis["labels"]]
    if 0 in run.existing:
        return [f"**Seed.** Rows taken unchanged from {codes(run.existing[0])}."]
    if facts.rationales:
        most, drawn = max(map(len, facts.rationales.values())), same or "; the label is drawn at random too"
        shown = f"{synthesis['rationales_per_example']} of its rationales, drawn at random{drawn}"
        return [
            f"**Rationales.** For each label, the LLM named reasons why a text has it; up to {most} were kept.",
            f"**Seed.** The LLM wrote each row from a prompt with a label and {shown}.",
        ]
    if not run.columns["context"]:
        return [f"**Seed.** The LLM wrote each row from the same zero-shot prompt with its label{same}."]
    contexts = run.settings["contexts"]
    context = f"a text of {code(contexts)}" if contexts else f"the {code(run.columns['context'])} of a gold row"
    learned = "its gold answer"
    if run.columns["label"]:
        learned = f"a label{same}"
    elif synthesis["answers"] == "phrases" or contexts:
        learned = "a phrase of it as the answer"
    column = code(run.columns["text"])
    return [f"**Seed.** The LLM wrote each {column} from a prompt with {context}, drawn at random, and {learned}."]


def _errors(run: RunFacts) -> list[str]:
    """Return the steps of a round of S3."""
    synthesis, size = run.settings["synthesis"], run.settings["round_size"]
    copies, learned = synthesis["per_error"], _learned(run)
    new = "a new example" if copies == 1 else f"{copies} new examples"
    like = f"{new} like it with that {learned}"
    if run.columns["context"]:
        new = "a new" if copies == 1 else f"{copies} new"
        like = f"{new} {code(run.columns['text'])} about the same context with that {learned}"
    by_need = run.columns["label"] and synthesis["labels"] == "missing"
    need = ", more often the larger the share of a label's gold rows that it predicts wrongly" if by_need else ""
    most = f", for at most {_sizes(run)} rows a round" if size and not synthesis["top_up"] else ""
    others = " that did not choose the epoch" if run.task["held_out"] else ""
    return [
        f"{_small_model(run)}, and predicts the gold validation rows{others}.",
        (
            f"**Error extrapolation.** For each row that it predicts wrongly, the LLM is shown the row with its human "
            f"{learned} and asked for {like}{need}{most}.{_topped_up(run)}"
        ),
        _repeat(run),
    ]


def _feedback(run: RunFacts) -> list[str]:
    """Return the steps of a round of ProGen."""
    progen = run.settings["synthesis"]["progen"]
    least, share = progen["influence_from"], percent(progen["feedback_ratio"])
    when = f"Above {count(least)} rows, an" if least else "An"
    return [
        f"{_small_model(run)}.",
        (
            f"**Feedback.** {when} influence function selects the rows that lower the reverse cross-entropy on "
            f"a sample of the synthetic rows most, up to {progen['pool']} per label. {share} of the new prompts begin "
            f"with {progen['examples']} of the selected rows of their label."
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
            f"**Gold extrapolation.** For {rows}, the LLM is shown the row with its human {learned} and asked for a "
            f"new example like it with that {learned}.{_topped_up(run)}"
        )
    ]


def _small_model(run: RunFacts) -> str:
    return f"**Small model.** {code(run.student)} is trained on all rows so far, each round from its published weights"


def _learned(run: RunFacts) -> str:
    return "label" if run.columns["label"] else "answer"


def _sizes(run: RunFacts) -> str:
    """Return the wanted rows of each round."""
    size = run.settings["round_size"]
    return " and then ".join(map(count, size)) if isinstance(size, list | tuple) else count(size)


def _topped_up(run: RunFacts) -> str:
    if not (run.settings["round_size"] and run.settings["synthesis"]["top_up"]):
        return ""
    return (
        f" A round has {_sizes(run)} rows: if there are more of these gold rows, a sample of them is shown; if there "
        "are fewer, they are shown more than once."
    )


def _repeat(run: RunFacts) -> str:
    return f"**Repeat** from the small model; {counted(run.grown_rounds, 'round')} so far."
