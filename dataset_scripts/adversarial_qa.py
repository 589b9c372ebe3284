"""AdversarialQA: finding the answer to a question in a paragraph (Bartolo et al., TACL 2020).

Source: `UCLNLP/adversarial_qa`, configuration `adversarialQA`: 30,000 train and 3,000 validation questions about
Wikipedia paragraphs, written so that a model fails on them; the answers of its test split are hidden. Licence:
CC BY-SA 4.0. As in the paper (section 3.2.2), the train split is the gold validation data and the validation split
is the test. The LLM writes a question for a paragraph and an answer in it (section 2.4). Prompts: Table 1, verbatim,
for a model that completes text; `chat` holds the same prompts as instructions for a chat model, and `zerogen` is the
prompt of ZeroGen's code. Metrics: exact match and F1, as in SQuAD.
"""

from datasets import List, Value

from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class AdversarialQA(TaskBuilder):
    """Gold AdversarialQA questions and the paper's prompts for them."""

    BUILDER_CONFIGS = [
        TaskConfig(
            name="adversarial_qa",
            description="Paragraphs from Wikipedia with questions about them, each answered by a span.",
            source="UCLNLP/adversarial_qa",
            source_config="adversarialQA",
            splits={"validation": "train", "test": "validation"},
            context="context",
            text="question",
            label=None,
            answers="answers",
            id="id",
            carried=("title",),
            features={
                "id": Value("string"),
                "title": Value("string"),
                "context": Value("string"),
                "question": Value("string"),
                "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
                "metadata": {"split": Value("string"), "model_in_the_loop": Value("string")},
            },
            prompts=Prompts(
                seed="Given a context: {context} \n{answer} is the answer to the following question:",
                extrapolate="Given a context: {context} \n{answer} is the answer to: {text}.\nA question that has the "
                "same answer in the context is:",
                zerogen='The context is: "{context}"\n"{answer}" is the answer of the following question: "',
            ),
            other_prompts={
                "chat": Prompts(
                    seed='{context}\n\nWrite one question about this text to which the answer is "{answer}", without '
                    "naming the answer in it. Reply with the question only.",
                    extrapolate='{context}\n\nIn this text, the answer to the question "{text}" is "{answer}". Write '
                    "another question to which the answer is the same, without naming it. Reply with the question "
                    "only.",
                )
            },
            max_tokens=64,
            min_words=4,
            max_length=384,
            stride=128,
            one_line=True,
            question=True,
            pretty_name="AdversarialQA",
            license="cc-by-sa-4.0",
            homepage="https://adversarialqa.github.io",
            task_ids=("extractive-qa",),
            citation="Bartolo et al. Beat the AI: Investigating Adversarial Human Annotation for Reading "
            "Comprehension. TACL 2020.",
        )
    ]
