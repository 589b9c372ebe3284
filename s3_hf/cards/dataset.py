"""Sentences and tables of the dataset card that depend on facts; `method` has those on how the rows were made."""

from __future__ import annotations

from itertools import accumulate

from s3_hf.cards.facts import DatasetFacts, RoundFacts, RunFacts, Sample
from s3_hf.cards.markup import NONE, code, codes, count, counted, percent, plain, table
from s3_hf.cards.shared import PROGEN_PAPER, S3_PAPER, ZEROGEN_PAPER, gold_in_prompts, metric_title
from s3_hf.records import HUMAN, Scores

ORIGINS = {
    "seed": "from the seed",
    "error": "extrapolated from an error",
    "gold": "extrapolated from a gold row",
    "given": "from an existing dataset",
    "feedback": "from a round whose prompts show helpful rows",
    HUMAN: "a human-labelled row",
}
"""Values of `s3_origin` in words."""


def summary(facts: DatasetFacts) -> str:
    """Return how many rows of which kind the dataset has, and who wrote them."""
    run, name = facts.run, plain(facts.run.task["pretty_name"])
    if run.human:
        return (
            f"The {count(run.rows)} **human-labelled** gold validation rows of {name}, kept as the reference that "
            "synthetic training sets are compared with.\nNo row in this dataset was written by an LLM."
        )
    kind, existing = "" if run.sources else "**synthetic** ", codes(run.sources)
    rows = f"{count(run.rows)} {kind}training examples for {name} ({_content(run)})"
    if not run.synthetic_rows:
        return f"{rows}, all taken unchanged from {existing}."
    written = f"written by the LLM {code(run.llm)} with {run.method}{_strategy(run)}."
    if run.sources:
        synthetic = f"{count(run.synthetic_rows)} **synthetic** ones"
        return f"{rows}: {count(run.existing_rows)} taken unchanged from {existing}, and {synthetic}, {written}"
    return f"{rows}, {written}"


def outcome(facts: DatasetFacts) -> str:
    """Return the test scores of the student trained on these rows; without a student, what the rows are for."""
    run, scores = facts.run, facts.run.last.test
    if run.human:
        return ""
    if scores is None:
        return "They have the columns of the gold dataset, so they can take the place of its training split."
    reached = " and ".join(f"**{percent(scores.metrics[name])}** {metric_title(name)}" for name in run.headline)
    published = f" (published as {code(facts.model)})" if facts.model else ""
    return (
        f"{code(run.student)} fine-tuned on them, and on nothing else, reaches {reached} on {count(scores.n)} "
        f"human-labelled test rows{published}."
    )


def rounds(facts: DatasetFacts) -> str:
    """Return which rounds the rows are from, and on which gold rows the scores of the table were measured."""
    run = facts.run
    text = "This strategy has a single round."
    if run.last.number:
        text = f"Each round adds rows; this dataset has those of rounds 0 to {run.last.number}."
    elif run.strategy in ("s3", "goldgen", "progen") or run.settings["add_data"]:
        text = "Round 0 is the seed, which later rounds add to."
    return f"{text}\n{_measured(run)}" if run.last.test else text


def round_table(facts: DatasetFacts) -> str:
    """Return a line for each round: its rows and labels, and the scores of the student trained on them."""
    run = facts.run
    columns = [("round", "r"), ("rows added", "r"), ("rows in total", "r")]
    if run.columns["label"]:
        columns.insert(2, ("labels of these", "l"))
    if run.last.test:
        parts = [(part, name) for name in run.headline for part in (run.selection, "test")]
        columns += [*((f"{part} {metric_title(name)}", "r") for part, name in parts), ("mistakes", "r")]
    totals = accumulate(each.added for each in run.rounds)
    return table(columns, [_round_line(run, *each) for each in zip(run.rounds, totals, strict=True)])


def configuration(name: str) -> str:
    """Return what a configuration beside the rows holds."""
    return {
        "rejected": (
            "some of the LLM's answers that became no row, with the reason; they are unchecked, and those that "
            "hold gold text are left out"
        ),
        "rationales": "the reasons that the LLM named for each label",
        "predictions": ("what the student of each round predicted for each gold row: ids and scores, no gold text"),
    }[name]


def sample_title(sample: Sample) -> str:
    """Return where a sample comes from."""
    origin = ORIGINS.get(sample.origin, sample.origin).capitalize()
    return origin if sample.origin == HUMAN else f"{origin}, round {sample.round}"


def text_meaning(facts: DatasetFacts) -> str:
    """Return what the column with the text holds."""
    run = facts.run
    meaning = "the question" if run.columns["answers"] else "the text"
    if not (run.columns["context"] and run.synthetic_rows):
        return meaning
    return f"{meaning}, which the LLM wrote{' unless the row is of an existing dataset' if run.sources else ''}"


def label_meaning(facts: DatasetFacts) -> str:
    """Return what the column with the label or the answers holds."""
    run = facts.run
    if run.columns["answers"]:
        return "the answer as it stands in the context, and where it starts, in characters"
    names = ", ".join(f"{number} = {code(name)}" for number, name in enumerate(run.task["labels"]))
    if run.human:
        return f"the label, given by people: {names}"
    ways = {"as the LLM was asked for it": run.synthetic_rows, "as in the existing dataset": run.sources}
    return f"the label, {' or '.join(way for way, rows in ways.items() if rows)}: {names}"


def origins(facts: DatasetFacts) -> str:
    """Return how many rows each value of `s3_origin` has, and what it means."""
    named = ((counted(n, "row"), n, name) for name, n in facts.origins.items())
    return ", ".join(
        f"{rows} {'is' if n == 1 else 'are'} {code(name)} ({ORIGINS.get(name, name)})" for rows, n, name in named
    )


def parent_meaning(facts: DatasetFacts) -> str:
    """Return what `s3_parent` holds in a row that is not a gold row itself."""
    context = " or that gave its context" if facts.run.columns["context"] else ""
    return f"id of the gold row that it was extrapolated from{context}; the text of the gold row is not included"


def rationales_meaning(facts: DatasetFacts) -> str:
    """Return what `s3_rationales` holds."""
    run = facts.run
    if run.task["prompts"].get("names") and run.strategy in ("zerogen", "progen"):
        return "the name that its prompt asked for a text about"
    return "rationales named in its prompt"


def label_p_meaning(facts: DatasetFacts) -> str:
    """Return what `s3_label_p` holds."""
    if facts.run.columns["answers"]:
        return "F1 score of the answers that students of the gold rows find; null where it was not judged"
    judges = {"llm": "by the LLM", "both": "by students of the gold rows and the LLM"}
    judge = judges.get(facts.run.settings.get("judge", ""), "by students of the gold rows")
    return f"probability of its label {judge}; null where it was not judged"


def label_noise(facts: DatasetFacts) -> str:
    """Return why some labels or answers are wrong."""
    if facts.run.columns["label"]:
        return "A label is what the LLM was asked for, and its text may not fit it: expect wrong labels."
    return (
        "An answer is what the LLM was asked to write a question for, and its question may not fit it: expect wrong "
        "answers."
    )


def nearness(facts: DatasetFacts) -> str:
    """Return how near the rows may be to gold rows, and which scores that makes optimistic."""
    run = facts.run
    if run.extrapolates:
        scores = ", and read the validation scores above as optimistic"
        if run.task["held_out"]:
            scores = "; the selection scores above are of other validation rows, which only chose the epoch"
        return (
            "Extrapolated rows are close to gold validation rows by design."
            f"{gold_in_prompts(run)}{_shared(facts)} Do not evaluate a model trained on this dataset on that split"
            f"{scores}. The test split was kept apart: rows with the text of a test row were rejected."
        )
    both = run.sources and run.columns["context"]
    rows = "that are in the gold test split" if both else "with the text of a gold test row"
    return (
        f"Rows {rows} were rejected; near copies may remain, above all if the LLM was trained on the gold data."
        f"{gold_in_prompts(run)}{_shared(facts)}"
    )


def _shared(facts: DatasetFacts) -> str:
    """Return how many rows hold text of gold rows, as a sentence after another one; empty where it is not known."""
    if facts.quality is None:
        return ""
    copies, parts = facts.quality.copies, facts.quality.parts
    copied = f"{counted(copies, 'row')} {'copies' if copies == 1 else 'copy'}" if copies else "No row copies"
    shared = f"{count(parts)} of the rows" if parts else "none"
    return (
        f" {copied} a gold validation text; at least 8 consecutive words of one, or nearly all of the gold row that "
        f"was extrapolated, are in {shared}."
    )


def _content(run: RunFacts) -> str:
    """Return what a row holds: its labels, or a question with its answer."""
    if run.columns["answers"]:
        return "questions with their answers in a text"
    return ("pairs of texts: " if run.columns["context"] else "") + codes(run.task["labels"], ", ")


def _strategy(run: RunFacts) -> str:
    """Return how the strategy makes rows, as the end of a sentence."""
    grown = f", then {counted(run.grown_rounds, 'round')}" if run.grown_rounds else ""
    if run.strategy == "zerogen":
        return f" ({ZEROGEN_PAPER}): zero-shot prompts, without rationales and without feedback from a small model"
    if run.strategy == "progen":
        later = f"{grown} whose prompts show the rows that helped a small model most" if grown else ""
        return f" ({PROGEN_PAPER}): zero-shot prompts{later}"
    if run.strategy == "goldgen":
        return (
            f", a baseline of {S3_PAPER}: a seed dataset, then data extrapolated from human-labelled rows, whether a "
            "small model gets them right or wrong"
        )
    if run.strategy != "s3":
        return ""
    guided = run.settings["synthesis"]["rationales"] and not run.columns["context"]
    seed = "an existing" if 0 in run.existing else "a rationale-guided" if guided else "a"
    added = ", then rows of existing datasets" if 1 in run.existing else ""
    later = "" if run.last.number else ", the start for the rounds that extrapolate a small model's errors"
    if grown:
        later = f"{grown} of data extrapolated from the errors that a small model makes on human-labelled rows"
    return f" ({S3_PAPER}): {seed} seed dataset{added}{later}"


def _measured(run: RunFacts) -> str:
    """Return whose scores the table has, and on how many gold rows of which part they were measured."""
    last, mined = run.last, count(run.task["splits"]["validation"])
    assert last.test is not None
    on = f"{count(last.test.n)} test rows"
    if last.selection:
        on = f"{count(last.selection.n)} {run.selection} and {on}"
    here = ", on which it was trained here" if run.human else ""
    wrong = f"the validation rows that it predicts wrongly{here}"
    if run.task["held_out"]:
        wrong = (
            f"its wrong predictions on {mined} other validation rows{here}; the *selection* rows only chose the epoch"
        )
    return (
        f"Scores are those of {code(run.student)}, trained from its published weights on all rows up to the round and "
        f"measured on {on}, all human-labelled. *Mistakes* counts {wrong}."
    )


def _round_line(run: RunFacts, each: RoundFacts, total: int) -> list[str]:
    """Return the cells of one round in `round_table`."""
    line = [str(each.number), count(each.added), count(total)]
    if run.columns["label"]:
        line.insert(2, ", ".join(f"{count(n)}&nbsp;{code(name)}" for name, n in each.labels.items()))
    if run.last.test:
        line += [_score(part, name) for name in run.headline for part in (each.selection, each.test)]
        line.append(NONE if each.mistakes is None else count(each.mistakes))
    return line


def _score(scores: Scores | None, metric: str) -> str:
    return percent(scores.metrics[metric]) if scores else NONE
