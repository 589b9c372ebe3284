"""Movie snippets: sentiment of single sentences from film reviews (Hutto & Gilbert, ICWSM 2014), MIT licence.

Source: `hutto_ICWSM_2014.tar.gz` in the PyPI sdist `vaderSentiment==3.3.2`: 10,605 sentences, each with the mean of
20 human ratings from -4 to 4. The label is the sign of the mean; sentences with a mean nearer to 0 than 0.5 are
dropped, and so are duplicates (ignoring case and spacing). After a shuffle with seed 2014, the first 600 rows are the
gold validation data, the next 2,000 the test split, and the rest (`train`) is unused gold data.
Prompts: those of the paper for IMDb (Table 1), changed to ask for one sentence; `extrapolate` names reasons too. An
LLM of 135M parameters follows examples only, so `rationales` has six examples for each label and `names` has three.
It does not complete the prompts of ZeroGen's code, so `zerogen` is an instruction. Metric: accuracy.
"""

import random
from collections.abc import Iterator
from typing import Any

from s3_hf.local.assets import snippets_file
from s3_hf.task import Prompts, TaskBuilder, TaskConfig

VALIDATION, TEST, SEED, LEAST_RATING = 600, 2_000, 2014, 0.5


class MovieSnippets(TaskBuilder):
    """Human-rated review sentences, small enough for the quickstart."""

    BUILDER_CONFIGS = [
        TaskConfig(
            name="movie_snippets",
            description="Sentences from film reviews, rated by 20 people each (Hutto & Gilbert, 2014).",
            splits={"validation": "validation", "test": "test", "train": "train"},
            labels={"negative": "negative", "positive": "positive"},
            prompts=Prompts(
                rationales="Reasons for a positive impression of a movie:\n1. great acting\n2. a moving story\n"
                "3. beautiful pictures\n4. witty dialogue\n5. a surprising ending\n6. real suspense\n\n"
                "Reasons for a negative impression of a movie:\n1. wooden acting\n2. a boring story\n"
                "3. cheap effects\n4. silly dialogue\n5. a predictable ending\n6. slow pacing\n\nWrite {count} "
                "more reasons for a {label} impression of a movie, each of two to four words, as a numbered list.",
                seed="Now imagine that you just watched a movie that has {rationales}. Write one sentence from a "
                "{label} review about this movie.",
                seed_plain="Write one sentence from a {label} movie review.",
                extrapolate="Now imagine that you just watched a movie that has {rationales}. Write one sentence "
                "from a {label} movie review similar to: \n{text}",
                extrapolate_plain="Write one sentence from a {label} movie review similar to: \n{text}",
                zerogen='Write one sentence from a {label} review of the movie "{name}".',
                names='Movie: "Jaws"\nMovie: "The Piano"\nMovie: "Toy Story"\nMovie: "',
                shown='One sentence from a review of the movie "{name}": "{text}"',
            ),
            max_tokens=40,
            stop=("\n\n",),
            min_words=4,
            max_length=64,
            one_line=True,
            pretty_name="Movie review snippets",
            license="mit",
            homepage="https://github.com/cjhutto/vaderSentiment",
            task_ids=("sentiment-classification",),
            citation="Hutto & Gilbert. VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media "
            "Text. ICWSM 2014.",
        )
    ]

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        unique: dict[str, tuple[str, float]] = {}
        for line in snippets_file().read_text(encoding="utf-8").splitlines():
            _, mean, sentence = line.split("\t")
            text = " ".join(sentence.split())
            unique.setdefault(text.lower(), (text, float(mean)))
        kept = [(text, mean) for text, mean in unique.values() if abs(mean) >= LEAST_RATING]
        random.Random(SEED).shuffle(kept)
        bounds = {
            "validation": slice(VALIDATION),
            "test": slice(VALIDATION, VALIDATION + TEST),
            "train": slice(VALIDATION + TEST, None),
        }
        for number, (text, mean) in enumerate(kept[bounds[split]]):
            yield number, {"text": text, "label": "positive" if mean > 0 else "negative"}
