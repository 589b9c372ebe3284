"""The groups of settings: how rows are written, how the endpoint is reached, how the student is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from s3_hf.keys import checked_body, checked_headers, checked_variable
from s3_hf.schema import Settings

Positive = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy takes
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
    labels: Literal["balanced", "uniform", "gold", "missing"] = "balanced"
    """Labels of the rows: `balanced` gives each label the same count, `uniform` draws them, as in Algorithm 1, `gold`
    has the proportions of the gold rows. `missing` has a balanced seed; later rounds of S3 write `round_size` rows, or
    `per_error` for each mistake without it, divided among the labels by the share of each one's gold rows that the
    student gets wrong."""
    per_error: Positive = 1
    """Examples written for each mistake; Algorithm 2 writes one."""
    candidates: Positive = 1
    """Texts asked for per row; the best is kept: high P(label) where labels are judged, and near to the extrapolated
    gold row or, without one, far from the earlier rows of the round."""
    attempts: Positive = 4
    """Most requests for one row before it is given up."""
    top_up: bool = False
    """After the mistakes, extrapolate further gold rows, then all again, until a round has its `round_size`, so that
    methods have equal data sizes; Algorithm 2 extrapolates each mistake once."""
    answers: Literal["gold", "phrases"] = "gold"
    """Answers that questions are written for: those of the gold rows, or phrases of their contexts, which need no gold
    answers."""
    zerogen_per_name: Positive | None = None
    """Rows of each label about one name in ZeroGen, one after another; its code has 32. None asks for at least 300
    names, or as many as the rows allow, and uses them in turn."""
    shots: Natural = 0
    """Gold texts of the label shown before each request, as earlier turns of the chat, which a weak LLM continues; its
    talk about the task is then rejected too. 0 shows none, as in the paper."""
    calibrate_checks: bool = True
    """Run the checks of wording on the gold rows first, and relax those that reject most of them until all together
    reject at most 1 %."""
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
    omit: tuple[Literal["max_tokens", "temperature", "top_p", "stop", "seed", "logprobs"], ...] = ()
    """Fields to leave out of every request; those that the endpoint refuses are renamed or left out without this."""
    concurrency: Positive = 16
    """Requests in flight at once, over all URLs together."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds after which a request without an answer is tried again."""
    retries: Natural = 8
    """Most times that a request is tried again after 408, 5xx, a timeout, a refused connection or an answer that is no
    chat completion; a server that asks to wait (429, or 503 with `Retry-After`) is waited for up to 10 minutes. 0
    tries nothing again."""
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
    min_steps: Natural = 36
    """Fewest optimisation steps of a training: where `epochs` give fewer, as with few rows, there are more epochs,
    each with its score on the gold selection rows. 0 keeps `epochs`, as in the paper."""
    batch_size: Positive = 32
    """Rows of one step, on each GPU of a launch."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weights of the labels in the loss: `balanced` weighs each row by one over the number of rows with its label, so
    that all labels weigh the same."""
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
    """Times that each dataset is trained on, with seeds 1,000 apart; the student with the best score on the gold
    selection rows is kept, and the mean and spread of all are reported."""
    average: bool = False
    """With several `seeds`, keep the average of their weights where it is better on the gold selection rows."""
    trials: Natural = 0
    """Trials of a search for batch size, learning rates, weight decay and epochs before the first training, scored on
    the gold selection rows (section 3.2.1); 0 uses these settings as they are."""
    watch: bool = False
    """Record the scores on the training rows and on test after each epoch (Figure 1); nothing is chosen by them."""
    args: Mapping[str, Any] = Field(default_factory=dict)
    """Other fields of `transformers.TrainingArguments`, by name."""

    def steps_per_epoch(self, inputs: int, processes: int) -> int:
        """Return the optimisation steps of one pass over the inputs; `gradient_accumulation_steps` batches are one."""
        rows = self.batch_size * int(self.args.get("gradient_accumulation_steps", 1)) * processes
        return math.ceil(inputs / rows)

    def epochs_for(self, inputs: int, processes: int) -> int:
        """Return `epochs`, or as many more as `min_steps` takes."""
        return max(self.epochs, math.ceil(self.min_steps / self.steps_per_epoch(inputs, processes)))
