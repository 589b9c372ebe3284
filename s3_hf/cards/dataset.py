"""Sentences and tables of the dataset card that depend on facts; `method` has those on how the rows were made."""

from __future__ import annotations

from itertools import accumulate

from s3_hf.cards.facts import DatasetFacts, RoundFacts, RunFacts, Sample
from s3_hf.cards.markup import code, codes, count, percent, sentence_case, table
from s3_hf.cards.shared import metric_title
from s3_hf.records import HUMAN, Scores

S3_PAPER = "[Wang et al., 2023](https://arxiv.org/abs/2310.13671)"
ZEROGEN_PAPER = "[Ye et al., 2022](https://arxiv.org/abs/2202.07922)"
PROGEN_PAPER = "[Ye et al., 2022](https://arxiv.org/abs/2210.12329)"

ORIGINS = {
    "seed": "from the seed",
    "error": "extrapolated from an error",
    "gold": "extrapolated from a gold row",
    "given": "of an existing dataset",
    "feedback": "of a round that showed helpful rows in its prompts",
    HUMAN: "a human-labelled row",
}
"""Values of `s3_origin` in words."""
NONE = "–"


def summary(facts: DatasetFacts) -> str:
    """Return how many rows of which kind the dataset has, and who wrote them."""
    run = facts.run
    name = run.task["pretty_name"]
    if run.human:
        return (
            f"The {count(run.rows)} **human-labelled** gold validation rows of {name}, kept as the reference that "
            "synthetic training sets are compared with.\nNothing in this dataset was written by an LLM."
        )
    kind = "" if run.sources else "**synthetic** "
    rows = f"{count(run.rows)} {kind}training examples for {name} ({_content(run)})"
    by = f"written by the LLM {code(run.llm)} with {run.method}"
    if not run.synthetic_rows:
        return f"{rows}, all taken over from {codes(run.sources)} as they were."
    if run.sources:
        parts = f"{count(run.existing_rows)} taken over from {codes(run.sources)}"
        return f"{rows}: {parts}, and {count(run.synthetic_rows)} **synthetic** ones, {by}{_strategy(run)}."
    return f"{rows}, {by}{_strategy(run)}."


def outcome(facts: DatasetFacts) -> str:
    """Return the test scores of the student trained on these rows; without one, what the rows are for."""
    run, scores = facts.run, facts.run.last.test
    if run.human:
        return ""
    if scores is None:
        return "They keep the gold dataset's own columns, so they drop in where the gold training data would be."
    reached = " and ".join(f"**{percent(scores.metrics[name])}** {metric_title(name)}" for name in run.headline)
    published = f" (published as {code(facts.model)})" if facts.model else ""
    return (
        f"{code(run.student)} fine-tuned on them, and on nothing else, reaches {reached} on {count(scores.n)} "
        f"human-labelled test rows{published}."
    )


def rounds(facts: DatasetFacts) -> str:
    """Return what a round is, and on which rows the figures of the table were measured."""
    run = facts.run
    if run.last.number:
        text = f"Each round adds rows; this dataset is the union of rounds 0 to {run.last.number}."
    elif run.strategy in ("s3", "goldgen", "progen") or run.settings["add_data"]:
        text = "Round 0 is the seed, which later rounds add to."
    else:
        text = "This way of making data has one round."
    return f"{text}\n{_measured(run)}" if run.last.test else text


def round_table(facts: DatasetFacts) -> str:
    """Return a line for each round: its rows and labels, and the scores of the student trained on them."""
    run = facts.run
    columns = [("round", "r"), ("rows added", "r"), ("rows in total", "r")]
    if run.columns["label"]:
        columns.insert(2, ("labels of these", "l"))
    if run.last.test:
        for name in run.headline:
            columns += [(f"{part} {metric_title(name)}", "r") for part in (run.selection, "test")]
        columns.append(("mistakes", "r"))
    totals = accumulate(each.added for each in run.rounds)
    return table(columns, [_round_line(run, *each) for each in zip(run.rounds, totals, strict=True)])


def sample_title(sample: Sample) -> str:
    """Return where a sample comes from."""
    origin = ORIGINS.get(sample.origin, sample.origin).capitalize()
    return origin if sample.origin == HUMAN else f"{origin}, round {sample.round}"


def quality(facts: DatasetFacts) -> str:
    """Return the table that compares the rows with the gold validation rows."""
    found = facts.quality
    assert found is not None
    unit = "rows" if facts.run.columns["context"] else "texts"
    columns = [("figure", "l"), ("these rows", "r"), ("gold validation", "r")]
    lines = [
        ("words per text, mean", f"{found.words:.1f}", f"{found.gold_words:.1f}"),
        (
            f"distinct word pairs among {count(found.compared)} texts of each",
            percent(found.distinct),
            percent(found.gold_distinct),
        ),
        ("texts that repeat an earlier row", count(found.duplicates), NONE),
        ("copies of a gold validation text, near ones included", count(found.copies), NONE),
        ("exact copies among these", count(found.exact), NONE),
        (f"{unit} of the gold test split", "0", NONE),
    ]
    return table(columns, lines)


def column_table(facts: DatasetFacts) -> str:
    """Return a line for each column of the dataset with its meaning."""
    run = facts.run
    context, text, answers, label = (run.columns[name] for name in ("context", "text", "answers", "label"))
    lines = [(code(context), "the context, from the gold data")] if context else []
    lines.append((code(text), _text_meaning(run)))
    if answers:
        lines.append((code(answers), "the answer as it stands in the context, and where it starts, in characters"))
    else:
        names = ", ".join(f"{number} = {code(name)}" for number, name in enumerate(run.task["labels"]))
        lines.append((code(label), f"the label, {_label_meaning(run)}: {names}"))
    origins = ", ".join(
        f"{count(n)} rows are {code(origin)} ({ORIGINS.get(origin, origin)})" for origin, n in facts.origins.items()
    )
    lines += [
        ("`s3_id`", "id of the row"),
        ("`s3_round`", "round that added it"),
        ("`s3_origin`", f"where it comes from: {origins}"),
        *_provenance(run),
    ]
    return table([("column", "l"), ("meaning", "l")], lines)


def limits(facts: DatasetFacts) -> list[str]:
    """Return what a user of the rows must know, a sentence or two for each point."""
    run, sources = facts.run, facts.run.sources
    if run.human:
        chosen = "" if run.task["held_out"] else " and training epochs are chosen by"
        return [
            (
                f"These are the rows that errors are found on{chosen} in the other runs of this task: report results on "
                "the test split only."
            ),
            "Whatever bias, error or personal mention the gold data has is here too.",
        ]
    points: list[str] = []
    if sources:
        points.append(
            f"Rows of {codes(sources)} are as they were there: whoever wrote and labelled them, nothing but their "
            "form was checked."
        )
    if run.synthetic_rows:
        points += [
            f"**No human has checked the rows{' that the LLM wrote' if sources else ''}.** {_wrong_labels(run)}",
            "The text repeats the LLM's habits, biases and inventions: people, works and facts in it need not exist.",
        ]
    return [
        *points,
        _nearness(run),
        (
            "Made to train small models for this one task, in this language. It is no benchmark and no sample of what "
            "people write."
        ),
    ]


def _content(run: RunFacts) -> str:
    """Return what a row holds: its labels, or a question with its answer."""
    if run.columns["answers"]:
        return "questions with their answers in a text"
    return ("pairs of texts: " if run.columns["context"] else "") + codes(run.task["labels"], ", ")


def _strategy(run: RunFacts) -> str:
    """Return how the strategy makes rows, as the end of a sentence."""
    synthesis, grown = run.settings["synthesis"], run.grown_rounds
    rounds_of = f"then {grown} round{'s' if grown > 1 else ''}"
    if run.strategy == "zerogen":
        return f" ({ZEROGEN_PAPER}): zero-shot prompts, without rationales and without feedback from a small model"
    if run.strategy == "progen":
        later = f", {rounds_of} whose prompts show the rows that helped a small model most" if grown else ""
        return f" ({PROGEN_PAPER}): zero-shot prompts{later}"
    if run.strategy == "goldgen":
        return (
            f", a baseline of {S3_PAPER}: a seed dataset, then data extrapolated from human-labelled rows, whether a "
            "small model gets them right or wrong"
        )
    if run.strategy != "s3":
        return ""
    guided = synthesis["rationales"] and not run.columns["context"]
    seed = "an existing" if 0 in run.existing else "a rationale-guided" if guided else "a"
    added = ", then the rows taken over" if 1 in run.existing else ""
    later = (
        f", {rounds_of} of data extrapolated from the errors that a small model makes on human-labelled rows"
        if grown
        else ""
        if run.last.number
        else ", the start for the rounds that extrapolate a small model's errors"
    )
    return f" ({S3_PAPER}): {seed} seed dataset{added}{later}"


def _measured(run: RunFacts) -> str:
    """Return whose scores the table has, and on how many rows of which part they were measured."""
    names, last = " and ".join(map(metric_title, run.headline)), run.last
    splits = ""
    if last.selection and last.test:
        splits = f", on {count(last.selection.n)} validation and {count(last.test.n)} test rows, all human-labelled"
    mined = "the validation rows it got wrong"
    if run.task["held_out"]:
        mined = f"what it got wrong of the {count(run.task['splits']['validation'])} other validation rows"
    return (
        f"{sentence_case(names)} {'are' if len(run.headline) > 1 else 'is'} that of {code(run.student)}, trained from "
        f"its published weights on all rows up to the round{splits}; *mistakes* are {mined}"
        f"{', here after it was trained on them' if run.human else ''}."
    )


def _round_line(run: RunFacts, each: RoundFacts, total: int) -> list[str]:
    line = [str(each.number), count(each.added), count(total)]
    if run.columns["label"]:
        line.insert(2, ", ".join(f"{count(n)}&nbsp;{code(name)}" for name, n in each.labels.items()))
    if run.last.test:
        line += [_score(part, name) for name in run.headline for part in (each.selection, each.test)]
        line.append(NONE if each.mistakes is None else str(each.mistakes))
    return line


def _score(scores: Scores | None, metric: str) -> str:
    return percent(scores.metrics[metric]) if scores else NONE


def _text_meaning(run: RunFacts) -> str:
    meaning = "the question" if run.columns["answers"] else "the text"
    if not (run.columns["context"] and run.synthetic_rows):
        return meaning
    return f"{meaning}, which the LLM wrote{' where it was not taken over' if run.sources else ''}"


def _label_meaning(run: RunFacts) -> str:
    if run.human:
        return "given by people"
    ways = ["as the LLM was asked for it"] * bool(run.synthetic_rows) + ["as it was taken over"] * bool(run.sources)
    return " or ".join(ways)


def _provenance(run: RunFacts) -> list[tuple[str, str]]:
    """Return the lines of the provenance columns that depend on who wrote the rows."""
    if run.human:
        return [
            ("`s3_parent`", "id of the gold row that it is"),
            ("`s3_rationales`, `s3_model`, `s3_prompt`", "empty: no LLM was asked"),
        ]
    context = ", or that gave its context" if run.columns["context"] else ""
    named = run.task["prompts"].get("names") and run.strategy in ("zerogen", "progen")
    return [
        ("`s3_parent`", f"id of the gold row that it was extrapolated from{context}; never that row's text"),
        (
            "`s3_rationales`",
            f"{'name in its prompt that the text is about' if named else 'rationales named in its prompt'}",
        ),
        ("`s3_model`", f"LLM that wrote it{'; empty if it was taken over' if run.sources else ''}"),
        ("`s3_prompt`", "hash of its prompt template"),
    ]


def _wrong_labels(run: RunFacts) -> str:
    if run.columns["label"]:
        return "A label is what the LLM was asked for, not what its text turned out to say; expect wrong labels."
    return (
        "An answer is what the LLM was asked to write a question for, not what its question turned out to ask; expect "
        "wrong answers."
    )


def _nearness(run: RunFacts) -> str:
    """Return how near the rows may be to gold rows, and which figures that makes optimistic."""
    if run.extrapolates:
        held_out = run.task["held_out"]
        figures = (
            "note that the validation figures above are of other rows, which chose the epoch"
            if held_out
            else "read the validation figures above as optimistic"
        )
        return (
            "Extrapolated rows are close to gold validation rows by design. Do not judge a model trained on this "
            f"dataset by that split, and {figures}; the test split was kept apart, and rows with the text of a test "
            "row were rejected."
        )
    which = (
        "that are in the gold test split"
        if run.sources and run.columns["context"]
        else "with the text of a gold test row"
    )
    return (
        f"Rows {which} were rejected; near copies may remain, above all if the LLM saw the gold data in its own "
        "training."
    )
