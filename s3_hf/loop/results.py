"""What a run returns, and how far an existing run is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s3_hf.errors import S3Error
from s3_hf.journal import read_usage
from s3_hf.records import Usage
from s3_hf.store import (
    JOURNAL,
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
    rounds = run.results()
    synthesized = tuple(each.synthesis() for each in run.rounds())
    unfinished = run.round(len(rounds))
    more = len(rounds) <= run.config.rounds and unfinished.path.exists() and not unfinished.empty.exists()
    spent = read_usage(run.journal) if run.journal.exists() else sum((each.usage for each in synthesized), Usage())
    folder, wants = run.final, run.config.gold_stage != "none"
    final, verdict = folder.result(), folder.outcome()
    done = (final is not None or not wants) and (verdict is not None or not run.config.verdict)
    return RunStatus(
        rounds,
        synthesized,
        unfinished if more else None,
        spent,
        (run.path / JOURNAL).is_symlink(),
        judging=run.judging.decided(),
        finishing=folder.path.exists() and not done and not more,
        final=final,
        verdict=verdict,
    )
