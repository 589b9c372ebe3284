"""Whether the labels of a run are judged: as set, or with `judge: auto` where that helps on held-out gold rows.

With `auto` the first rows are written without a judge. For each fold of the gold rows, a student learns these rows as
they are, and another one what the fold's judge, which has not seen the fold, makes of them, in as many steps. Both are
scored on the fold. Then the stage is done again from the journal, with the judge or without it.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from s3_hf.files import read_json, read_rows, write_json
from s3_hf.judging import (
    LEAST_AUC,
    LEAST_ROWS,
    LLM_JUDGES,
    GoldJudge,
    Reliability,
    Row,
    acts,
    agreement_by_origin,
    applied,
    as_asked,
    as_set,
    compared,
    fold_count,
    gain,
    gold_rows,
    row_scores,
    sample_by_label,
    too_few,
    too_few_left,
    too_weak,
)
from s3_hf.loop.context import RunContext
from s3_hf.loop.given import is_given
from s3_hf.loop.judging import (
    Judge,
    count_folds,
    fitted,
    fold_rows,
    loaded_judge,
    student_of,
    trained_judge,
    without_selection,
)
from s3_hf.loop.llm_judging import asked_judge, llm_judge
from s3_hf.loop.metric import row_metric
from s3_hf.loop.synthesis import write_trial
from s3_hf.loop.training import enough_steps, steps_of
from s3_hf.records import HUMAN, Judgement
from s3_hf.store import JudgingFacts, RoundDir, Stage

if TYPE_CHECKING:
    from datasets import Dataset, Features

TRIAL_ROWS = 1_000
"""Most rows that are learned with and without judging."""
FEWEST = 2
"""Fewest rows that a student can learn."""


def judge_of(context: RunContext, folder: RoundDir) -> Judge | None:
    """Return the judge of the rows of a round that are still to be made; None if they are not judged.

    All processes of a launch call it together; only the first one, which makes the rows, gets the judge.

    Raises:
        S3Error: the rows to decide on cannot be made, or a student not be trained.
    """
    if context.config.judge == "none" or folder.stage() is not Stage.SYNTHESIZE or folder.empty.exists():
        return None
    if not _makes_rows(context, folder.number):
        return None
    decided = context.run.judging.decided() or _decide(context, folder)
    if context.launch.first:  # what a process left that was killed after its decision, too
        for path in (context.run.judging.trial, *context.run.judging.path.glob("judged-*.json")):
            path.unlink(missing_ok=True)
    if decided is None or not decided.acts:
        return None
    if context.config.judge in LLM_JUDGES:
        asked = asked_judge(context, folder.number)
        return llm_judge(context, asked) if context.launch.first else None
    trained_judge(context, folder.number)
    return loaded_judge(context) if context.launch.first else None


def _makes_rows(context: RunContext, number: int) -> bool:
    """Return whether a round has rows other than the gold rows themselves."""
    return context.strategy.asks_llm or is_given(context.config, number)


def _decide(context: RunContext, folder: RoundDir) -> JudgingFacts | None:
    """Decide whether labels are judged, store that and tell it; return None if there are no rows to judge."""
    judging, gold = context.run.judging, gold_rows(context.task)
    facts: JudgingFacts | None
    folds = fold_count(gold, context.task.columns)
    if context.config.judge == "auto" and (len(gold) < LEAST_ROWS or folds < 2):
        facts = JudgingFacts(acts=False, sentence=too_few(len(gold), folds))
    elif context.config.judge in LLM_JUDGES:
        facts = _asked(context, folder.number)
    else:
        facts = _measured(context, folder, trained_judge(context, folder.number))
    if facts is not None:
        context.launch.alone(lambda: write_json(judging.decision, asdict(facts)), judging.decision)
    if facts is None:
        return None
    context.observer.judging(facts.sentence)
    return judging.decided()


def _asked(context: RunContext, number: int) -> JudgingFacts:
    """Return what is done with the LLM as a judge."""
    config, found = context.config, asked_judge(context, number)
    sentence = as_asked(config.judge, found.gold, found.logprobs, config.judge_action)
    return JudgingFacts(True, sentence, {"gold": asdict(found.gold)})


def _measured(context: RunContext, folder: RoundDir, judge: Reliability) -> JudgingFacts | None:
    """Return what is decided with students of this reliability."""
    figures: dict[str, Any] = {"gold": asdict(judge)}
    if context.config.judge == "gold":
        return JudgingFacts(True, as_set(judge, context.config.judge_action), figures)
    if judge.separates < LEAST_AUC:
        return JudgingFacts(acts=False, sentence=too_weak(judge), figures=figures)
    rows = _trial(context, folder)
    if not len(rows):
        context.launch.together(lambda: context.run.judging.trial.unlink(missing_ok=True))  # once all have read it
        return None
    places = sample_by_label(range(len(rows)), rows, context.task.columns.label, TRIAL_ROWS, context.config.seed)
    return _compare(context, folder.number, rows.select(places), judge)


def _trial(context: RunContext, folder: RoundDir) -> Dataset:
    """Return the rows to decide on, which are not judged: those of earlier rounds, or else those of this round."""
    from datasets import concatenate_datasets

    run = context.run
    earlier = [run.round(number).rows() for number in range(folder.number)]
    rows = concatenate_datasets(earlier) if earlier else None
    if rows and (written := [place for place, origin in enumerate(rows["s3_origin"][:]) if origin != HUMAN]):
        return rows.select(written)
    if not run.judging.trial.exists():
        context.observer.stage(folder.number, Stage.SYNTHESIZE)
        context.launch.alone(lambda: write_trial(context, folder, run.judging.trial), run.judging.trial)
    return read_rows(run.judging.trial)


def _compare(context: RunContext, number: int, rows: Dataset, judge: Reliability) -> JudgingFacts:
    """Return what is decided by a comparison of the rows with and without judging."""
    folds, written = read_json(context.run.judging.folds), rows.to_list()
    parts = [[row for row in written if folds.get(row["s3_parent"]) != fold] for fold in range(count_folds(folds))]
    if min(map(len, parts)) < FEWEST:
        return JudgingFacts(acts=False, sentence=too_few_left(), figures={"gold": asdict(judge)})
    before: list[float] = []
    after: list[float] = []
    for fold, kept in enumerate(parts):
        as_written, as_judged = _fold_scores(context, number, rows.features, kept, fold)
        before += as_written
        after += as_judged
    if not context.launch.first:  # the first process scores and decides
        return JudgingFacts(acts=False, sentence="")
    gained, action = gain(before, after), context.config.judge_action
    own = replace(loaded_judge(context), action="drop")
    agrees = [each.accepted for each in own.judge(written, rows["s3_parent"][:])]
    figures = {
        "gold": asdict(judge),
        "origins": agreement_by_origin(rows["s3_origin"][:], agrees, judge, len(context.task.label_names)),
        "gain": asdict(gained),
        "scores": {"as written": _mean(before), "judged": _mean(after)},
    }
    agreement = sum(agrees) / len(agrees)
    return JudgingFacts(acts(gained, agreement), compared(judge, agreement, gained, action), figures)


def _fold_scores(
    context: RunContext, number: int, features: Features, kept: list[Row], fold: int
) -> tuple[list[float], list[float]]:
    """Return the scores of the fold's gold rows by a student of the kept rows, and by one of these once judged."""
    from datasets import Dataset

    judging, columns, settings = context.run.judging, context.task.columns, context.config.training
    held_out = fold_rows(context, gold_rows(context.task), fold)
    judged, weights = applied(kept, _judged(context, kept, fold), columns.label, context.config.judge_action)
    usable = len(judged) >= FEWEST  # else the judge left nothing to learn, which is right on no row
    steps = enough_steps(steps_of(settings, len(kept), processes=1))
    scores: list[list[float]] = []
    for part, each in ((kept, None), (judged, weights))[: 1 + usable]:
        context.observer.stage(number, Stage.JUDGE)
        data = Dataset.from_list([dict(row) for row in part], features=features)
        model = fitted(context, without_selection(context, data, each, steps))
        if context.launch.first:
            scores.append(row_scores(held_out, student_of(model, columns), columns.label, row_metric(context.metric)))
    context.launch.alone(lambda: shutil.rmtree(judging.work, ignore_errors=True))
    if not scores:
        return [], []
    return scores[0], scores[1] if usable else [0.0] * len(held_out)


def _judged(context: RunContext, rows: list[Row], fold: int) -> list[Judgement]:
    """Return the judgements of rows by the student of a fold, which the first process of a launch asks for all."""
    path, columns = context.run.judging.judged(fold), context.task.columns

    def judge() -> None:
        own = GoldJudge(
            (student_of(context.run.judging.model(fold), columns),), {}, columns.label, context.config.judge_action
        )
        write_json(path, [asdict(each) for each in own.judge(rows, [None] * len(rows))])

    context.launch.alone(judge, path)
    return [Judgement(**each) for each in read_json(path)]


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 4)
