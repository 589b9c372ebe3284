"""IMDb: sentiment of film reviews (Maas et al., ACL 2011).

Source: `stanfordnlp/imdb`, 25,000 train and 25,000 test reviews with two labels in equal parts; its card states no
licence. As in the paper (section 3.2.2), the train split is the gold validation data and the test split is the test.
Prompts: Table 1, verbatim, with the label words positive and negative; `seed_plain`, for runs without rationales, is
`seed` without its first sentence; `zerogen`, `names` and `shown` are the prompts of ZeroGen's and ProGen's code.
Metric: accuracy.
"""

from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class Imdb(TaskBuilder):
    """Gold IMDb reviews and the paper's prompts for them."""

    BUILDER_CONFIGS = [
        TaskConfig(
            name="imdb",
            description="Film reviews from IMDb, each positive or negative (Maas et al., 2011).",
            source="stanfordnlp/imdb",
            splits={"validation": "train", "test": "test"},
            labels={"neg": "negative", "pos": "positive"},
            prompts=Prompts(
                rationales="Imagine you are watching a movie; consider {count} reasons that may lead to {label} "
                "impression of the movie.",
                seed="Now imagine that you just watched a movie that has {rationales}. Now you should write a "
                "{label} review about this movie.",
                seed_plain="Now you should write a {label} review about a movie.",
                extrapolate="Write a {label} movie similar to: \n {text}",
                zerogen='The movie review in {label} sentiment for movie "{name}" is: "',
                names='Movie: "',
                shown='The movie review for movie "{name}" is: "{text}"',
            ),
            max_tokens=512,
            min_words=10,
            max_length=512,
            pretty_name="IMDb",
            homepage="https://ai.stanford.edu/~amaas/data/sentiment/",
            task_ids=("sentiment-classification",),
            citation="Maas et al. Learning Word Vectors for Sentiment Analysis. ACL 2011.",
        )
    ]
