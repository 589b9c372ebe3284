"""The settings of a run: frozen, read from YAML and flags, validated, with a fingerprint.

Settings that change what is made are part of the fingerprint; settings that only change how fast, how
dearly or with which limits it is made (`RunConfig.OPERATIONAL`) are not, so they may differ on resume.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import Field, ValidationError, field_validator

from s3_hf.errors import ConfigError
from s3_hf.settings import SEE, Settings, first_fault

LOCAL = "local"
"""The value of `llm` and `student` that stands for the embedded defaults."""

_URLS = ("http://", "https://")

_ADDRESS = re.compile(r"\w+://|[\w.-]+:\d+(/|$)")

Positive = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
Money = Annotated[float, Field(ge=0)]


class ProGenConfig(Settings):
    """How ProGen shows rows of earlier rounds in its prompts; nothing of it is used by other strategies."""

    influence: Literal["last_layer", "full"] = "last_layer"
    """Score rows by the student's classifier alone, or by all its parameters, which takes minutes."""
    influence_from: Natural = 0
    """With so many rows or fewer, the rows shown are drawn from all of them, as in ProGen's code below 10,000."""
    scored: Positive = 10_000
    """Rows that are scored; of more, a random subset."""
    pool: Positive = 50
    """Rows of each label to draw from: those that help the student most."""
    examples: Positive = 8
    """Rows shown before one prompt."""
    feedback_ratio: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the prompts that show rows."""


class SynthesisConfig(Settings):
    """How text is drawn from the LLM and checked (paper section 3.2.1: temperature 0.9, nucleus sampling)."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.9
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    max_tokens: Positive | None = None
    """Longest answer in tokens; None takes the recipe's."""
    thinking_tokens: Natural = 0
    """Tokens that every answer may be longer, for a model that thinks first; its `<think>` part is left out."""
    rationales: bool = True
    """Rationales in the prompts; `false` leaves them out of extrapolations too (Table 4)."""
    rationales_per_label: Positive = 12
    """K of Algorithm 1: rationales kept for each label."""
    rationales_per_example: Positive = 3
    """k of Algorithm 1: how many rationales each example draws, without repetition."""
    labels: Literal["balanced", "uniform"] = "balanced"
    """`balanced` gives each label the same count; `uniform` draws it, as in Algorithm 1."""
    per_error: Positive = 1
    """Examples asked for each mistake; Algorithm 2 asks one."""
    attempts: Positive = 4
    """How often one slot is asked before it is given up."""
    top_up: bool = False
    """Extrapolate further gold rows, and then rows again, until a round has its `round_size`, so that data sizes of
    methods are equal; Algorithm 2 asks once for each mistake."""
    answers: Literal["gold", "phrases"] = "gold"
    """Answers that questions are written for: those of the gold rows, or phrases of their contexts, which needs
    no gold answers."""
    progen: ProGenConfig = ProGenConfig()


class LLMConfig(Settings):
    """How the endpoint is spoken to; nothing here changes which text is asked for."""

    provider: str = "auto"
    """Inference Provider for a model id; ignored for a URL."""
    bill_to: str | None = None
    """Organization on the Hub that pays for a model id."""
    api_key_env: str | None = None
    """Environment variable with the key for a URL endpoint; the Hub token is never sent there."""
    concurrency: Positive = 16
    """Requests under way at once, at all URLs together."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds until one request is given up and tried again."""
    retries: Natural = 8
    """How often one request is tried again after 429, 5xx, a timeout or a refused connection."""
    max_requests: Positive | None = None
    """Stop after so many requests, those of earlier starts included, and keep what is made."""
    max_tokens: Positive | None = None
    """Stop after so many tokens of prompts and completions."""
    max_cost: Money | None = None
    """Stop at this cost, by the two prices."""
    price_prompt: Money = 0.0
    """Price of a million prompt tokens."""
    price_completion: Money = 0.0
    """Price of a million completion tokens."""


class TrainingConfig(Settings):
    """How the student is fine-tuned; defaults are what worked for MiniLM on short texts."""

    epochs: Positive = 3
    """Passes over the rows; the student is the one of the epoch that is best on gold validation."""
    batch_size: Positive = 32
    """Rows of a step, on each GPU of a launch."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Highest learning rate of the encoder."""
    head_learning_rate: Annotated[float, Field(gt=0)] | None = 1e-3
    """Learning rate of the freshly initialised head; None uses `learning_rate`."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    max_length: Positive | None = None
    """Longest input in tokens; longer texts are cut. None takes the recipe's."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`auto` uses bf16 where the GPU or the processor computes it natively."""
    early_stopping: Positive | None = None
    """Stop after so many epochs without gain on gold validation."""
    trials: Natural = 0
    """Trials of a search for batch size, learning rates, weight decay and epochs on gold validation before the first
    training (section 3.2.1); 0 takes them as they are set."""
    watch: bool = False
    """Score the training rows and the test split after each epoch too (Figure 1); nothing is chosen by it."""
    args: Mapping[str, Any] = Field(default_factory=dict)
    """Any other field of `transformers.TrainingArguments`."""


class RunConfig(Settings):
    """Everything that a run is: `RunConfig(task="imdb", llm="http://gpu-1:8000", student="FacebookAI/roberta-base")`.

    The embedded LLM and student run where `llm` and `student` are `local`.
    """

    OPERATIONAL: ClassVar[frozenset[str]] = frozenset({"endpoint", "rounds", "patience"})

    task: str
    """Recipe: a registered name or a path to a recipe file."""
    gold: str | None = None
    """Hub id, folder or file to read gold data from in place of the recipe's own source."""
    gold_splits: Mapping[str, str] = Field(default_factory=dict)
    """Splits of that source that are `validation` and `test`, where they differ from the recipe's."""
    gold_size: Positive | None = None
    """Use a seeded, stratified sample of so many gold validation rows."""
    test_size: Positive | None = None
    """Score on a seeded, stratified sample of so many test rows."""
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the gold validation rows that chooses the epoch and tells convergence, and that no errors are found
    on; 0 uses all of them for both, as in the paper."""
    exclude_test_contexts: bool = False
    """Leave out gold validation rows whose context is in the test split too."""
    contexts: str | None = None
    """Draw the contexts of seed rows from this dataset (file, folder or Hub id), in place of the gold rows."""
    prompts: str | None = None
    """Name of one of the recipe's other prompts, such as `chat`; None takes its own."""
    strategy: str = "s3"
    """`s3`, `zerogen`, `progen`, `goldgen` or `gold`."""
    llm: str | tuple[str, ...] = LOCAL
    """`local`, a model id, a URL or several URLs."""
    llm_model: str | None = None
    """Model that the URL is asked for; None takes the one that it serves."""
    student: str = LOCAL
    """`local`, a Hub id or a folder of an encoder."""
    seed_size: Positive = 400
    """N_seed of Algorithm 1, in rows."""
    seed_data: str | None = None
    """Start from this dataset (file, folder or Hub id, as for `gold`), or from the seed of another run's folder, and
    synthesize no seed."""
    add_data: str | tuple[str, ...] | None = None
    """Add these datasets, or what the runs of these folders added to their seeds, after the seed, as round 1, in place
    of its first extrapolation (Table 5)."""
    rounds: Natural = 2
    """R of Algorithm 2: rounds of error extrapolation after the seed."""
    round_size: Positive | Annotated[tuple[Positive, ...], Field(min_length=1)] | None = None
    """Most rows added in a round, or in each one (the last size holds for further ones); None extrapolates every
    mistake, as in Algorithm 2."""
    patience: Positive | None = None
    """Stop after so many rounds without gain on gold validation."""
    seed: Natural = 0
    """Seed of every random choice."""
    metric: str | None = None
    """Metric that chooses the best epoch and decides on convergence; None takes accuracy, or F1 for answers."""
    mistake_f1: Annotated[float, Field(gt=0, le=1)] | None = None
    """An answer is a mistake if its F1 score is lower; None counts each that is no exact match."""
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
        given = (value,) if isinstance(value, str) else value
        urls = [checked_url(one) for one in given if _ADDRESS.match(one)]
        if not given or (len(given) > 1 and len(urls) < len(given)):
            raise ValueError(f"it must be {LOCAL!r}, a model id or a URL, or several URLs")
        return value if len(given) > 1 else given[0]

    def size_of_round(self, number: int) -> int | None:
        """Most rows that round `number` (1 and up) adds."""
        sizes = self.round_size
        return sizes[min(number, len(sizes)) - 1] if isinstance(sizes, tuple) else sizes

    @property
    def llm_urls(self) -> tuple[str, ...]:
        """The endpoint URLs, empty for a model id or `local`."""
        given = (self.llm,) if isinstance(self.llm, str) else self.llm
        return tuple(url for url in given if url.startswith(_URLS))

    def identity(self) -> dict[str, Any]:
        """The settings that decide what is made, as plain JSON values."""
        plain = self.model_dump(mode="json", exclude=set(self.OPERATIONAL))
        return plain | ({"llm": "url"} if self.llm_urls else {})  # the same model may move to another address

    def written_by(self) -> str:
        """The settings that decide which LLM is asked, as text; completions of another one are not used."""
        identity = self.identity()
        return f"llm={identity['llm']!r} and llm_model={identity['llm_model']!r}"

    def fingerprint(self) -> str:
        """12 hex digits that change with any setting that decides what is made."""
        text = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def checked_url(url: str) -> str:
    """Return the URL if it is one over HTTP.

    Raises:
        ValueError: it is none, for which reason.
    """
    if not url.startswith(_URLS):
        raise ValueError("an address must begin with http:// or https://")
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0:
        raise ValueError("a URL must name a host, and a port other than 0")
    return url


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
    """Read a YAML file, or the `run.yaml` of a run directory; `overrides` (nested dicts, from flags) win over it.

    Raises:
        ConfigError: the file is missing, is not a YAML mapping, or holds a wrong setting.
    """
    values = read_mapping(path)
    made = values.get("config") if "fingerprint" in values else None  # the record of a run, which holds more
    return parse_config(merge(made if isinstance(made, dict) else values, overrides or {}), source=str(path))


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        ConfigError: the file is missing or is not a YAML mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the config file {str(path)!r}: {error.strerror}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        detail = " ".join(str(error).split())
        raise ConfigError(f"{str(path)!r} is not valid YAML ({detail}); fix the file") from error
    if not isinstance(values, dict):
        what = "nothing" if values is None else type(values).__name__
        raise ConfigError(f"{str(path)!r} must hold a mapping of settings, found {what}; {SEE} for one")
    return values


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over` put in, group by group."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
