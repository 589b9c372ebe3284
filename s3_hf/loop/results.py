"""What a run returns, how far an existing run is, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s3_hf.config import RunConfig
from s3_hf.errors import S3Error
from s3_hf.journal import read_usage
from s3_hf.loop.final import has_gold_stage
from s3_hf.loop.verdict import has_verdict, is_about
from s3_hf.records import Usage
from s3_hf.store import (
    JOURNAL,
    SELECTION,
    FinalResult,
    JudgingFacts,
    RoundDir,
    RoundResult,
    RunDir,
    SynthesisFacts,
    Verdict,
    best_round,
    open_run,
    results_html,
)
from s3_hf.strategies import strategy_named

if TYPE_CHECKING:
    from s3_hf.hub import Published


@dataclass(frozen=True, slots=True)
class RunResult:
    """The finished rounds of a run, in order.

    Attributes:
        path: folder of the run.
        rounds: everything measured in each round.
        push_error: why the last push of `push_to` failed; None if it did not.
        final: the student that the gold stage trained; None without one.
        verdict: what the synthetic rows add to the gold rows; None with `verdict: false`.
    """

    path: Path
    rounds: tuple[RoundResult, ...]
    push_error: S3Error | None = None
    final: FinalResult | None = None
    verdict: Verdict | None = None

    @property
    def best(self) -> RoundResult:
        """The round with the best score on the selection rows, the earlier one of equals."""
        return best_round(self.rounds)

    def _repr_html_(self) -> str:
        return results_html(str(self.path), self.rounds, self.final, self.verdict)

    def push(
        self,
        namespace: str | None = None,
        *,
        private: bool = False,
        name: str | None = None,
        replace: bool = False,
    ) -> list[Published]:
        """Publish the dataset and the model of every round to the Hub, and return them.

        Args:
            namespace: user or organization; None takes the token's owner.
            private: create private repositories.
            name: beginning of the repositories' names; None for STRATEGY-TASK.
            replace: write over repositories of another run.

        Raises:
            HubError: see `s3_hf.hub.push_run`.
        """
        from s3_hf.hub import PushOptions, push_run
        from s3_hf.report import card_figures

        options = PushOptions(private=private, name=name, replace=replace, figures=card_figures)
        return push_run(open_run(self.path), namespace, options)


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How far a run is.

    Attributes:
        rounds: everything measured in the finished rounds.
        synthesized: how the rows of each round were made, also of the one that is not finished.
        next: the round to continue with; None if there is none.
        usage: requests, tokens and cost that were paid for.
        shared: True if `usage` is that of several runs that share a journal.
        judging: whether labels are judged, and why; None where that is not decided, or nobody is to judge.
        finishing: True if the rounds are done, and the final student or the verdict is not.
        final: the student that the gold stage trained; None without one.
        verdict: what the synthetic rows add to the gold rows; None without one.
    """

    rounds: tuple[RoundResult, ...]
    synthesized: tuple[SynthesisFacts, ...]
    next: RoundDir | None
    usage: Usage
    shared: bool
    judging: JudgingFacts | None = None
    finishing: bool = False
    final: FinalResult | None = None
    verdict: Verdict | None = None


def status_of(run: RunDir) -> RunStatus:
    """Return how far the run is.

    Raises:
        RunDirError: a file of the run directory is missing or damaged.
    """
    rounds, config = run.results(), run.config
    synthesized = tuple(each.synthesis() for each in run.rounds())
    unfinished = run.round(len(rounds))
    goes_on = unfinished.path.exists() or (len(rounds) <= config.rounds and not is_over(config, rounds))
    more = goes_on and not unfinished.empty.exists()
    spent = read_usage(run.journal) if run.journal.exists() else sum((each.usage for each in synthesized), Usage())
    final, verdict = run.final.result(), run.final.outcome()
    finishing = False
    if rounds and not more:
        trained = final is not None and final.choice.round == best_round(rounds).number
        told = verdict is not None and is_about(verdict, rounds)
        finishing = (has_gold_stage(config) and not trained) or (has_verdict(config) and not told)
    return RunStatus(
        rounds,
        synthesized,
        unfinished if more else None,
        spent,
        (run.path / JOURNAL).is_symlink(),
        judging=run.judging.decided(),
        finishing=finishing,
        final=final,
        verdict=verdict,
    )


def is_over(config: RunConfig, results: Sequence[RoundResult]) -> bool:
    """Return whether the run ends after these rounds.

    It does if the strategy has no further round, the last student made no mistakes, or `patience` rounds had no gain.
    """
    strategy = strategy_named(config.strategy)
    if not results or (len(results) == 1 and config.add_data):
        return False
    if strategy.grow is None or (strategy.from_mistakes and not results[-1].mistakes):
        return True
    return has_converged(results, results[0].training.metric, config.patience)


def has_converged(results: Sequence[RoundResult], metric: str, patience: int | None) -> bool:
    """Return whether the last `patience` rounds brought no gain on the selection rows; None never converges."""
    if patience is None or len(results) <= patience:
        return False
    scores = [result.scores[SELECTION].metrics[metric] for result in results]
    return max(scores[-patience:]) <= max(scores[:-patience])
