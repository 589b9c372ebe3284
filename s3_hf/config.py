"""The settings of a run: frozen, read from YAML and flags, validated, with a fingerprint.

Settings that change the rows or the student are part of the fingerprint. Settings that only change speed, price
or limits (`RunConfig.OPERATIONAL`) are not, and may differ when a run resumes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from s3_hf.errors import ConfigError
from s3_hf.keys import checked_body, checked_headers, checked_url, checked_variable
from s3_hf.schema import Settings, first_fault, merge, read_mapping

LOCAL = "local"
"""Value of `llm` and `student` that selects the embedded default."""

EARLIER = {"judge": "none", "gold_stage": "none", "verdict": False}
"""What earlier versions did, for settings that the `run.yaml` of such a version lacks."""

_URLS = ("http://", "https://")
_ADDRESS = re.compile(r"\w+://|[\w.-]+:\d+(/|$)")

Positive = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
Money = Annotated[float, Field(ge=0)]


class ProGenConfig(Settings):
    """How ProGen shows rows of earlier rounds in its prompts; other strategies ignore these settings."""

    influence: Literal["last_layer", "full"] = "last_layer"
    """Parameters of the student that rows are scored by: its classifier alone, or all of them, which takes minutes."""
    influence_from: Natural = 0
    """Score rows only where there are more than this many; else draw from all of them. ProGen's code has 10,000."""
    scored: Positive = 10_000
    """Most rows that are scored; of more rows, a random subset of this size."""
    pool: Positive = 50
    """Rows of each label that may be shown: those that help the student most."""
    examples: Positive = 8
    """Rows shown in one prompt."""
    feedback_ratio: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the prompts that show rows, from 0 to 1."""


class SynthesisConfig(Settings):
    """How the LLM is sampled and prompted (paper section 3.2.1: temperature 0.9, nucleus sampling)."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.9
    """Sampling temperature, from 0 to 2."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Probability mass of the tokens that are sampled from."""
    max_tokens: Positive | None = None
    """Most tokens of an answer; None takes the recipe's limit."""
    thinking_tokens: Natural = 0
    """Tokens added to the limit of every answer, for a model that thinks first; its `<think>` part is removed."""
    rationales: bool = True
    """Put rationales into the prompts; `false` leaves them out of extrapolations too (Table 4)."""
    rationales_per_label: Positive = 12
    """Rationales kept for each label (K of Algorithm 1)."""
    rationales_per_example: Positive = 3
    """Distinct rationales in the prompt of one example (k of Algorithm 1)."""
    labels: Literal["balanced", "uniform"] = "balanced"
    """Labels of the rows: `balanced` gives each label the same count, `uniform` draws them, as in Algorithm 1."""
    per_error: Positive = 1
    """Examples written for each mistake; Algorithm 2 writes one."""
    candidates: Positive = 1
    """Texts asked for in each row's place, of which the best is kept: likely to have its label, and close to the gold
    row that it extrapolates or else unlike the rows before."""
    attempts: Positive = 4
    """Most requests for one row before it is given up."""
    top_up: bool = False
    """After the mistakes, extrapolate further gold rows, then all again, until a round has its `round_size`."""
    answers: Literal["gold", "phrases"] = "gold"
    """Answers that questions are written for: those of the gold rows, or phrases of their contexts."""
    progen: ProGenConfig = ProGenConfig()


class LLMConfig(Settings):
    """How the endpoint is reached and what it may cost; these settings do not change the prompts."""

    provider: str = "auto"
    """Inference Provider of a model id; ignored for a URL."""
    bill_to: str | None = None
    """Organization on the Hub that is billed for a model id; None bills the owner of the token."""
    api_key_env: Annotated[str | None, BeforeValidator(checked_variable)] = None
    """Environment variable that holds the key of a URL; without it no key is sent. The Hub token never is."""
    headers: Annotated[Mapping[str, str], BeforeValidator(checked_headers)] = Field(default_factory=dict)
    """Further HTTP headers by name; `${NAME}` stands for the value of an environment variable, where keys belong."""
    extra_body: Annotated[Mapping[str, Any], BeforeValidator(checked_body)] = Field(default_factory=dict)
    """Further fields of every request, such as `reasoning_effort: low`."""
    omit: tuple[Literal["max_tokens", "temperature", "top_p", "stop", "seed"], ...] = ()
    """Fields to leave out of every request; those that the endpoint refuses are renamed or left out without this."""
    concurrency: Positive = 16
    """Requests in flight at once, over all URLs together."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds after which a request without an answer is tried again."""
    retries: Natural = 8
    """Most times that one request is tried again after 429, 5xx, a timeout or a refused connection."""
    max_requests: Positive | None = None
    """Send no more requests than this, repeated ones and earlier starts of the run included, and keep all rows."""
    max_tokens: Positive | None = None
    """Stop after this many tokens of prompts and completions, counted like `max_requests`."""
    max_cost: Money | None = None
    """Stop at this cost, computed from the two prices and in their currency."""
    price_prompt: Money = 0.0
    """Price of one million prompt tokens."""
    price_completion: Money = 0.0
    """Price of one million completion tokens."""


class TrainingConfig(Settings):
    """How the student is fine-tuned; the defaults worked best for MiniLM on short texts."""

    epochs: Positive = 3
    """Passes over the rows; the epoch with the best score on the gold selection rows is kept."""
    min_steps: Natural = 0
    """Fewest optimisation steps of a training: where `epochs` give fewer, there are more epochs. 0 keeps `epochs`."""
    batch_size: Positive = 32
    """Rows of one step, on each GPU of a launch."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Peak learning rate of the encoder."""
    head_learning_rate: Annotated[float, Field(gt=0)] | None = 1e-3
    """Peak learning rate of the newly initialised head; None uses `learning_rate`."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Weight decay; biases and layer norms have none."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps in which the learning rate rises to its peak."""
    max_length: Positive | None = None
    """Most tokens of an input; longer texts are cut. None takes the recipe's limit."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Number format of training; `auto` uses bf16 where the GPU or the processor computes it natively, else fp32."""
    early_stopping: Positive | None = None
    """Stop after this many epochs without a better score on the gold selection rows; None trains all epochs."""
    seeds: Positive = 1
    """Trainings of each dataset, with seeds 1,000 apart; the best on the gold selection rows is kept."""
    average: bool = False
    """With several `seeds`, keep the average of their weights where it is better on the gold selection rows."""
    trials: Natural = 0
    """Trials of a search for batch size, learning rates, weight decay and epochs before the first training, scored on
    the gold selection rows (section 3.2.1); 0 uses these settings as they are."""
    watch: bool = False
    """Record the scores on the training rows and on test after each epoch (Figure 1); nothing is chosen by them."""
    args: Mapping[str, Any] = Field(default_factory=dict)
    """Other fields of `transformers.TrainingArguments`, by name."""


class RunConfig(Settings):
    """All settings of a run: `RunConfig(task="imdb", llm="http://gpu-1:8000", student="FacebookAI/roberta-base")`."""

    OPERATIONAL: ClassVar[frozenset[str]] = frozenset({"endpoint", "rounds", "patience", "verdict"})
    PATHS: ClassVar[tuple[str, ...]] = ("task", "gold", "contexts", "seed_data", "add_data", "student")
    """Settings that may be paths."""

    task: str
    """Task to learn: a registered name, or the path of a recipe file."""
    gold: str | None = None
    """Hub id, folder or file of the gold data; None reads the recipe's source."""
    gold_splits: Mapping[str, str] = Field(default_factory=dict)
    """Names of the splits of `gold` to use as `validation` and `test`, where they differ from the recipe's."""
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
    """Gold rows at the end: `after` the synthetic rows, `mixed` with them, `none` as in the paper, or what `auto`
    chooses by cross-fitting on them."""
    verdict: bool = True
    """Compare the student with one trained on the gold rows alone for as many steps, which is one more training."""
    seed: Natural = 0
    """Seed of every random choice."""
    metric: str | None = None
    """Metric that chooses the epoch and decides on convergence; None takes accuracy, or F1 for tasks with answers."""
    mistake_f1: Annotated[float, Field(gt=0, le=1)] | None = None
    """F1 score below which an answer is a mistake; None takes every answer that is no exact match."""
    judge: Literal["none", "gold", "auto"] = "auto"
    """Who judges the labels of synthetic rows: nobody (`none`, as in the paper), students cross-fitted on gold rows
    (`gold`), or these students only where that helps on held-out gold rows (`auto`)."""
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
            there = value not in (None, LOCAL) and (folder / value).exists()
            return str((folder / value).resolve()) if there else value

        paths = {name: locate(getattr(self, name)) for name in self.PATHS}
        return self.model_copy(update=paths if self.task.endswith(".py") else {**paths, "task": self.task})

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide the rows and the student, as plain JSON values."""
        plain = self.model_dump(mode="json", exclude=set(self.OPERATIONAL))
        return plain | ({"llm": "url"} if self.llm_urls else {})  # the same model may move to another address

    def written_by(self) -> str:
        """Return the settings that name the LLM, as text; a run uses no completions of another one."""
        identity = self.identity()
        return f"llm={identity['llm']!r} and llm_model={identity['llm_model']!r}"

    def fingerprint(self) -> str:
        """Return 12 hex digits that change with every setting of `identity`."""
        text = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


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
    base = {**EARLIER, **recorded} if isinstance(recorded, dict) else values
    return parse_config(merge(base, overrides or {}), source=str(path))
