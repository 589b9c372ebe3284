"""QNLI: does a sentence answer a question? (Wang et al., 2018, after SQuAD, Rajpurkar et al., 2016).

Source: `nyu-mll/glue`, configuration `qnli`: 104,743 train and 5,463 validation pairs with two labels in equal
parts; the labels of its test split are hidden. Licence: GLUE states none of its own, SQuAD is CC BY-SA 4.0. As in
the paper (section 3.2.2), the train split is the gold validation data and the validation split is the test. The
sentence is the context, and the LLM writes the question for it (section 2.4). Prompts: Table 1, verbatim with its
label words in and not in, but without the stray words "in/ not in" in the second prompt; `chat` holds the same prompts
as instructions for a chat model, and `zerogen` is the prompt of ZeroGen's code. Metric: accuracy.
"""

from datasets import ClassLabel, Value

from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class Qnli(TaskBuilder):
    """Gold QNLI pairs and the paper's prompts for them."""

    BUILDER_CONFIGS = [
        TaskConfig(
            name="qnli",
            description="Questions and sentences from Wikipedia: does the sentence answer the question?",
            source="nyu-mll/glue",
            source_config="qnli",
            splits={"validation": "train", "test": "validation"},
            context="sentence",
            text="question",
            labels={"entailment": "in", "not_entailment": "not in"},
            features={
                "question": Value("string"),
                "sentence": Value("string"),
                "label": ClassLabel(names=["entailment", "not_entailment"]),
                "idx": Value("int32"),
            },
            prompts=Prompts(
                seed="Given an information paragraph: {context} \n Please ask a question that has answers {label} the "
                "information paragraph",
                extrapolate="Given a premise: {context} \n And here is a question: {text} that the answer of question "
                "is {label} the premise.\nPlease write another question similar to the given question and have "
                "answers {label} the premise.",
                zerogen='Information: "{context}"\nQuestion (answer {label} above information): "',
            ),
            other_prompts={
                "chat": Prompts(
                    seed="Here is a sentence from an encyclopedia:\n{context}\n\nWrite one question about its topic "
                    "whose answer is {label} this sentence. Reply with the question only.",
                    extrapolate="Here is a sentence from an encyclopedia:\n{context}\n\nThe answer to the question "
                    '"{text}" is {label} this sentence. Write another question like it, about the same topic, whose '
                    "answer is {label} this sentence too. Reply with the question only.",
                )
            },
            max_tokens=64,
            min_words=4,
            max_length=256,
            one_line=True,
            question=True,
            pretty_name="QNLI",
            homepage="https://gluebenchmark.com",
            task_ids=("natural-language-inference",),
            citation="Wang et al. GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language "
            "Understanding. 2018. Rajpurkar et al. SQuAD. EMNLP 2016.",
        )
    ]
