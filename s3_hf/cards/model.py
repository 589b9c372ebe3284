"""Sentences and tables of the model card that depend on facts."""

from __future__ import annotations

from itertools import accumulate
from statistics import fmean, stdev
from typing import Any

from s3_hf.cards import final
from s3_hf.cards.facts import ModelFacts
from s3_hf.cards.markup import NONE, code, codes, count, counted, cut, is_hub_id, linked, percent, plain, table
from s3_hf.cards.shared import S3_PAPER, gold_in_prompts, gold_source, interval_text, metric_title


def title(facts: ModelFacts) -> str:
    """Return task, student, strategy and round."""
    run = facts.run
    data = run.method if run.human else f"{run.method} data"
    data = final.data(facts.final, run.method) if facts.final else f"{data}, round {run.last.number}"
    return plain(f"{run.task['pretty_name']}: {cut(run.student.split('/')[-1])} on {data}")


def summary(facts: ModelFacts) -> str:
    """Return what the model does, what it was trained on, and its test score."""
    run, sources, scores = facts.run, facts.run.sources, facts.test
    duty = f"label {'a pair of texts' if run.columns['context'] else 'a text'} as {codes(run.task['labels'], ' or ')}"
    if run.columns["answers"]:
        duty = "find the answer to a question in a text"
    kind = "human-labelled " if run.human else "" if sources else "synthetic "
    origin = ""
    if sources:
        parts = (
            f"{count(run.synthetic_rows)} synthetic and {count(run.existing_rows)}" if run.synthetic_rows else "all"
        )
        origin = f", {parts} taken unchanged from {codes(sources)}"
    rows = f"{count(run.rows)} {kind}examples{origin} ({code(facts.dataset)})"
    if facts.final:
        rows = final.learned(facts, named=True)
    text = f"{linked(run.student)} fine-tuned to {duty}, on {rows}."
    if scores is None:
        return text
    metric = run.headline[0]
    exactly, shown = "exactly " if run.columns["answers"] else "", "" if facts.gold_alone else gold_in_prompts(run)
    return (
        f"{text}\nIt is {exactly}right on **{percent(scores.metrics[metric])}** of {count(scores.n)} "
        f"human-labelled test rows (95% confidence interval {interval_text(scores, metric)}).{shown}"
    )


def intended_use(facts: ModelFacts) -> str:
    """Return for which texts the model is, and how much of one it reads."""
    run, length = facts.run, facts.training["max_length"]
    about = plain(run.task["description"])
    for_texts = f"Intended for texts like those of the gold data: {about}\n" if about else ""
    if run.columns["answers"]:
        return (
            f"{for_texts}It reads {length} tokens of question and context at once; `s3-hf predict` reads a longer "
            f"context in windows that overlap by {facts.training['stride']} tokens, as in training."
        )
    unit = "pair" if run.columns["context"] else "text"
    return f"{for_texts}It reads the first {length} tokens of a {unit}, as it did in training."


def score_table(facts: ModelFacts) -> str:
    """Return the scores on the test rows and on those that chose the epoch, with intervals."""
    run, (first, *others) = facts.run, facts.run.metrics
    columns = [("split", "l"), ("rows", "r"), (metric_title(first), "r"), ("95% confidence interval", "c")]
    columns += [(metric_title(name), "r") for name in others]
    parts = {"test": run.last.test, run.selection: run.last.selection}
    if facts.final:
        parts = dict(facts.final.scores)
    lines = [
        [
            part,
            count(scores.n),
            percent(scores.metrics[first]),
            interval_text(scores, first),
            *(percent(scores.metrics[name]) for name in others),
        ]
        for part, scores in parts.items()
        if scores
    ]
    return table(columns, lines)


def splits(facts: ModelFacts) -> str:
    """Return what the gold rows behind the scores were used for."""
    run, held_out = facts.run, facts.run.task["held_out"]
    link = f" ({gold_source(run)})" if is_hub_id(run.task["source"]) else ""
    if facts.final:
        return (
            f"All of these rows are human-labelled{link}: only the test scores estimate how the model does on new "
            f"texts. Intervals are Wilson's.{final.cross_fitted(facts)}"
        )
    chose = f"The {run.selection} rows chose the training epoch"
    if run.human:
        use = f"{f'{chose}; other' if held_out else 'The'} validation rows are the training data"
    elif run.extrapolates:
        use = f"{chose}, and later rounds were extrapolated from {'other validation rows' if held_out else 'them'}"
    else:
        use = chose
    return (
        f"All of these rows are human-labelled{link}. {use}: only the test scores estimate how the model does on new "
        "texts. Intervals are Wilson's."
    )


def round_table(facts: ModelFacts) -> str:
    """Return the test scores of each round's model."""
    run = facts.run
    columns = [("round", "r"), ("training rows", "r"), *((f"test {metric_title(name)}", "r") for name in run.headline)]
    totals = accumulate(each.added for each in run.rounds)
    lines = [
        [
            str(each.number),
            count(total),
            *(percent(each.test.metrics[name]) if each.test else NONE for name in run.headline),
        ]
        for each, total in zip(run.rounds, totals, strict=True)
    ]
    return table(columns, lines)


def training_data(facts: ModelFacts) -> str:
    """Return which rows the model was trained on and who wrote them."""
    if facts.gold_alone:
        return f"{final.learned(facts, named=True)}."
    run, sources = facts.run, codes(facts.run.sources)
    commit = f" at commit `{facts.revision}`" if facts.revision else ""
    if run.human:
        others = " that did not choose the epoch" if run.task["held_out"] else ""
        origin = f"they are the gold validation rows{others}"
    elif not run.synthetic_rows:
        origin = f"all taken unchanged from {sources}"
    elif run.strategy == "s3" and run.grown_rounds:
        origin = (
            f"a seed{', existing rows' if 1 in run.existing else ''} and {counted(run.grown_rounds, 'round')} of "
            f"examples extrapolated from the errors of the previous round's model (S3, {S3_PAPER}), written by "
            f"{code(run.llm)}"
        )
    else:
        origin = f"written by {code(run.llm)} with {run.method}"
    if run.synthetic_rows and sources:
        origin += f"; {count(run.existing_rows)} of the rows are taken unchanged from {sources}"
    gold = f" The model learned {final.learned(facts)}." if facts.final else ""
    return f"{code(facts.dataset)}{commit}, {count(run.rows)} rows; {origin}.{gold}"


def training_settings(facts: ModelFacts) -> str:
    """Return the hyperparameters of the training."""
    training, settings = facts.training, facts.training["settings"]
    head = f" ({settings['head_learning_rate']} for the head)" if settings["head_learning_rate"] else ""
    trials = ""
    if settings["trials"]:
        trials = (
            f"; epochs, batch size, learning rates and weight decay are the best of {settings['trials']} trials on "
            "the validation rows"
        )
    lines = training["epochs"]
    epochs = counted(lines[-1]["epoch"] if lines else settings["epochs"], "epoch")
    return (
        f"{epochs}, batch size {settings['batch_size']}, learning rate "
        f"{settings['learning_rate']}{head}, weight decay {settings['weight_decay']}, warm-up over "
        f"{100 * settings['warmup']:g}% of the steps, at most {training['max_length']} tokens, "
        f"{training['precision']}, seed {facts.run.settings['seed']}{trials}{_seeds(facts)}."
    )


def epoch_table(facts: ModelFacts) -> str:
    """Return the loss of each epoch, and its scores on the rows that chose the epoch."""
    run = facts.run
    columns = [("epoch", "r"), ("training loss", "r")]
    shown = [name for name in run.headline if all(name in epoch for epoch in facts.training["epochs"])]
    columns += [(f"{run.selection} {metric_title(name)}", "r") for name in shown]
    lines = [
        [str(epoch["epoch"]), _loss(epoch), *(percent(epoch[name]) for name in shown)]
        for epoch in facts.training["epochs"]
    ]
    return table(columns, lines)


def forced_choice(facts: ModelFacts) -> str:
    """Return what the model answers where no answer is right."""
    if facts.run.columns["answers"]:
        return "it finds an answer in any text, even where there is none"
    return f"it gives one of {len(facts.run.task['labels'])} labels to any input, even where none fits"


def reliability(facts: ModelFacts) -> str:
    """Return what the training rows may have taught the model, and what its scores are not."""
    run = facts.run
    if run.human:
        return "It was trained on few rows, and its scores are not calibrated probabilities."
    text = final.calibration(facts)
    if not run.synthetic_rows or (facts.final and not facts.final.facts.rows):
        return text
    rows, kind = "questions" if run.columns["answers"] else "texts and labels", "synthetic " if facts.final else ""
    others = f", except those from {codes(run.sources)}" if run.sources else ""
    return (
        f"An LLM wrote its {kind}training {rows}{others}, and no human checked them: it may have learned the LLM's "
        f"habits and biases. {text}"
    )


def _seeds(facts: ModelFacts) -> str:
    """Return how the student was chosen among those of several seeds, and their test scores."""
    scores = [each["test"] for each in facts.training.get("seeds", ()) if each["seed"] is not None]
    if len(scores) < 2:
        return ""
    kept = facts.training["kept"]
    what = "the average of the weights" if kept is None else f"seed {kept}"
    return (
        f"; {what} of {len(scores)} trainings is kept, the best on the {facts.run.selection} rows, and their test "
        f"{metric_title(facts.training['metric'])} is {percent(fmean(scores))} ± {100 * stdev(scores):.1f}"
    )


def _loss(epoch: dict[str, Any]) -> str:
    return f"{epoch['train_loss']:.3f}" if "train_loss" in epoch else NONE
