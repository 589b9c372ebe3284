"""The settings of a run: frozen, read from YAML and flags, validated, with a fingerprint.

Settings that decide what is written in a round are part of the fingerprint. Those that do not
(`RunConfig.OPERATIONAL`) may differ when a run goes on.
"""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, field_validator

from s3_hf.config.groups import LLMConfig, Natural, Positive, Seed, SynthesisConfig, TrainingConfig
from s3_hf.errors import ConfigError
from s3_hf.keys import checked_url
from s3_hf.schema import Settings, first_fault, merge, read_mapping

LOCAL = "local"
"""Value of `llm` and `student` that selects the embedded default."""

EARLIER: Mapping[str, Any] = {
    "judge": "none",
    "gold_stage": "none",
    "verdict": False,
    "synthesis": {"zerogen_per_name": 32, "calibrate_checks": False},
    "training": {"min_steps": 0},
}
"""What earlier versions did, for settings that the `run.yaml` of such a version lacks."""

JOINT = "|"
"""What joins the paths of a source of several files (`rows.several`)."""
_URLS = ("http://", "https://")
_ADDRESS = re.compile(r"\w+://|[\w.-]+:\d+(/|$)")


class RunConfig(Settings):
    """All settings of a run: `RunConfig(task="imdb", llm="http://gpu-1:8000", student="FacebookAI/roberta-base")`.

    The embedded LLM and student run where `llm` and `student` are `local`.
    """

    OPERATIONAL: ClassVar[frozenset[str]] = frozenset({"endpoint", "rounds", "patience", "verdict"})
    PATHS: ClassVar[tuple[str, ...]] = ("task", "gold", "contexts", "seed_data", "add_data", "student")
    """Settings that may be paths."""

    task: str
    """Task to learn: a registered name, or the path of a recipe file."""
    gold: str | None = None
    """Hub id, folder or file of the gold data, with its configuration where there are several (`nyu-mll/glue:rte`);
    several files are a pattern (`parts/*.csv`) or joined by `|`. None reads the recipe's source."""
    gold_splits: Mapping[str, str] = Field(default_factory=dict)
    """Names of the splits of `gold` to use as `validation` and `test`, where they differ from the recipe's; several
    are joined by `+` (`train+validation`)."""
    gold_size: Positive | None = None
    """Use a seeded, stratified sample of this many gold validation rows; None uses all."""
    test_size: Positive | None = None
    """Score on a seeded, stratified sample of this many test rows; None uses all."""
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the gold validation rows that only choose the epoch and decide on convergence; mistakes are mined from
    the rest. 0 uses all rows for both, as in the paper."""
    exclude_test_contexts: bool = False
    """Leave out gold validation rows whose context also occurs in the test split."""
    contexts: str | None = None
    """Dataset (file, folder or Hub id) to draw the contexts of seed rows from; None draws them from the gold rows."""
    prompts: str | None = None
    """Name of an alternative set of prompts in the recipe, such as `chat`; None takes its default prompts."""
    strategy: str = "s3"
    """Method that writes the rows: `s3`, `zerogen`, `progen` or `goldgen`; `gold` trains on the gold rows alone."""
    llm: str | tuple[str, ...] = LOCAL
    """LLM that writes the rows: `local`, a model id on Inference Providers, a URL, or several URLs of one model."""
    llm_model: str | None = None
    """Model to request from a URL; None takes the model that it serves."""
    student: str = LOCAL
    """Encoder to fine-tune: `local`, a Hub id, or a folder."""
    seed_size: Positive = 400
    """Rows of the seed dataset (N_seed of Algorithm 1)."""
    seed_data: str | None = None
    """Dataset to use as the seed in place of a synthesized one: a file, folder or Hub id, or the folder of a run,
    whose seed is taken."""
    add_data: str | tuple[str, ...] | None = None
    """Datasets to add as round 1 in place of its extrapolation (Table 5): files, folders or Hub ids, or folders of
    runs, whose rows after the seed are taken."""
    rounds: Natural = 2
    """Rounds of error extrapolation after the seed (R of Algorithm 2)."""
    round_size: Positive | Annotated[tuple[Positive, ...], Field(min_length=1)] | None = None
    """Most rows that a round adds; several numbers give each round its own, the last one for further rounds. None
    extrapolates every mistake, as in Algorithm 2."""
    patience: Positive | None = None
    """Stop after this many rounds without a better score on the gold selection rows; None runs all rounds."""
    gold_stage: Literal["auto", "after", "mixed", "none"] = "auto"
    """Training on gold rows after the last round: `after` trains the best round's student on them, `mixed` trains a
    new student on all rows together, `none` ends as in the paper. `auto` chooses by cross-fitting on the gold rows
    among gold rows alone, synthetic rows alone, `after` and `mixed`."""
    verdict: bool = True
    """Compare the student with one trained on the gold rows alone for at least as many steps, which is one more
    training."""
    seed: Seed = 0
    """Seed of every random choice."""
    sample_seed: Seed | None = None
    """Seed of the samples of gold and test rows and of their division (`holdout`); None takes `seed`. With a number,
    runs of several seeds share their gold and test rows."""
    metric: str | None = None
    """Metric that chooses the epoch and decides on convergence. None takes accuracy, macro F1 where the most frequent
    label has at least 4 times the gold rows of the rarest, or F1 for tasks with answers."""
    mistake_f1: Annotated[float, Field(gt=0, le=1)] | None = None
    """F1 score below which an answer is a mistake; None takes every answer that is no exact match."""
    judge: Literal["none", "gold", "llm", "both", "auto"] = "auto"
    """Who judges the labels of synthetic rows: nobody (`none`, as in the paper), students cross-fitted on gold rows
    (`gold`), the LLM with one more request for each text (`llm`), both together (`both`), or the students only where
    that helps on held-out gold rows (`auto`)."""
    judge_action: Literal["drop", "relabel", "weight"] = "drop"
    """What is done about a label that is judged wrong: `drop` asks for another text, `relabel` takes the judge's one,
    `weight` weighs all rows in training by the probability of their labels."""
    synthesis: SynthesisConfig = SynthesisConfig()
    endpoint: LLMConfig = LLMConfig()
    training: TrainingConfig = TrainingConfig()

    @field_validator("llm", "add_data", "round_size", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("llm")
    @classmethod
    def _one_llm_or_urls(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = (value,) if isinstance(value, str) else value
        urls = [checked_url(name) for name in names if _ADDRESS.match(name)]
        if not names or (len(names) > 1 and len(urls) < len(names)):
            raise ValueError(f"it must be {LOCAL!r}, a model id or a URL, or several URLs")
        return value if len(names) > 1 else names[0]

    def size_of_round(self, number: int) -> int | None:
        """Return the most rows that round `number`, from 1, adds; None for no limit."""
        sizes = self.round_size
        return sizes[min(number, len(sizes)) - 1] if isinstance(sizes, tuple) else sizes

    @property
    def llm_urls(self) -> tuple[str, ...]:
        """URLs of the endpoints; empty for a model id or `local`."""
        names = (self.llm,) if isinstance(self.llm, str) else self.llm
        return tuple(name for name in names if name.startswith(_URLS))

    def located(self, folder: Path) -> RunConfig:
        """Return the settings with each path that leads somewhere from `folder` as an absolute one."""

        def locate(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(locate, value))
            if value in (None, LOCAL) or (folder / value).exists():
                return value if value in (None, LOCAL) else str((folder / value).resolve())
            if names_several(value):
                return JOINT.join(str(folder.resolve() / part) for part in value.split(JOINT))
            place, colon, configuration = value.rpartition(":")
            return f"{(folder / place).resolve()}:{configuration}" if colon and (folder / place).is_dir() else value

        paths = {name: locate(getattr(self, name)) for name in self.PATHS}
        return self.model_copy(update=paths if self.task.endswith(".py") else {**paths, "task": self.task})

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide the rows and the student, as plain JSON values."""
        plain = self.model_dump(mode="json", exclude=set(self.OPERATIONAL))
        if self.sample_seed is None:  # without a meaning of its own, a setting leaves the fingerprint as it was
            del plain["sample_seed"]
        if self.training.class_weights == "none":
            del plain["training"]["class_weights"]
        if self.strategy != "zerogen":
            del plain["synthesis"]["zerogen_per_name"]
        return plain | ({"llm": "url"} if self.llm_urls else {})  # the same model may move to another address

    def written_by(self) -> str:
        """Return the settings that name the LLM, as text; a run uses no completions of another one."""
        identity = self.identity()
        return f"llm={identity['llm']!r} and llm_model={identity['llm_model']!r}"

    def fingerprint(self) -> str:
        """Return 12 hex digits that change with every setting of `identity`."""
        text = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def names_several(source: str) -> bool:
    """Return whether a source that is no path itself names several files: by a pattern, or joined by `JOINT`."""
    return JOINT in source or glob.has_magic(source)


def parse_config(values: Mapping[str, Any], source: str = "settings") -> RunConfig:
    """Return the validated settings.

    Raises:
        ConfigError: a key is unknown or a value has the wrong type; the first fault is named.
    """
    try:
        return RunConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(first_fault(error, source, RunConfig)) from error


def load_config(path: Path, overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """Return the settings in a YAML file or in the `run.yaml` of a run; `overrides`, nested dicts, win over them.

    Raises:
        ConfigError: the file is missing, is not a YAML mapping, or holds a wrong setting.
    """
    values = read_mapping(path)
    recorded = values.get("config") if "fingerprint" in values else None  # `run.yaml` holds more than settings
    base = merge(EARLIER, recorded) if isinstance(recorded, dict) else values
    return parse_config(merge(base, overrides or {}), source=str(path))
