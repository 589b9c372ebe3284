"""Windows and spans: what is encoded comes back, whatever the text, the tokenizer and the lengths."""

import unicodedata

import datasets
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer, BertJapaneseTokenizer, PreTrainedTokenizerFast

from s3_hf.errors import ConfigError, StudentError
from s3_hf.local.assets import minilm_dir
from s3_hf.records import Columns, Prediction
from s3_hf.training.labels import LabelHead
from s3_hf.training.spans import LONGEST_ANSWER, N_BEST, SpanHead

COLUMNS = Columns("question", context="context", answers="answers")
WORDS = [
    "film",
    "Über",
    "unaffable",
    "cafe\u0301",
    "ﬁne",
    "İstanbul",
    "人工知能",
    "각하",
    "naïve\u0308",
    "❤️",
    "👍🏽",
    "don't",
]
WORDS += [
    "U.S.A.",
    "a👨\u200d👩\u200d👧b",
    "שָׁלוֹם",
    "हिन्दी",
    "1,000.5",
    "x\u200by",
    "(what?)",
    "ﷺ",
    "\u1e9b\u0323",
    "…",
]
SPACES = [" ", "  ", "\n", "\n\n", "\t", " \r\n ", "\u00a0", "\u3000"]


def byte_tokenizer():
    """One token for each byte, space included: many tokens of one character, as RoBERTa's kind has them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {name: number for number, name in enumerate(["<pad>", "<s>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 1), trim_offsets=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", cls_token="<s>", sep_token="</s>")


@pytest.fixture(scope="module", params=["wordpiece", "words", "bytes"])
def tokenizer(request):
    if request.param == "bytes":
        return byte_tokenizer()
    folder = minilm_dir() if request.param == "wordpiece" else request.getfixturevalue("tiny_student")
    return AutoTokenizer.from_pretrained(str(folder))


def encoded(tokenizer, question, context, answer, *, room, stride):
    """The windows of one row whose inputs have room for so many tokens of its texts."""
    start, end = answer
    tokenizer.model_max_length = room + tokenizer.num_special_tokens_to_add(pair=True)
    row = {
        "question": question,
        "context": context,
        "answers": {"text": [context[start:end]], "answer_start": [start]},
    }
    return SpanHead(COLUMNS, tokenizer, stride).encode(datasets.Dataset.from_list([row]), targets=True)


def perfect(inputs):
    """Logits of a model that knows: 1 at the first and the last token of the answer, 0 elsewhere; padded at random."""
    longest = max(inputs["length"])
    logits = np.zeros((2, len(inputs), longest + 3), dtype=np.float32)
    for number, (start, end, length) in enumerate(
        zip(inputs["start_positions"], inputs["end_positions"], inputs["length"], strict=True)
    ):
        logits[0, number, start] = logits[1, number, end] = 1
        logits[:, number, length:] = 7  # what Trainer pads with, or a model says of padding, is not looked at
    return tuple(logits)


def tokens_around(tokenizer, context, start, end):
    """First and last of the context's tokens that have a character of the answer, and the characters of both."""
    offsets = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    touched = [number for number, (a, b) in enumerate(offsets) if a < end and b > start and b > a]
    return (touched[0], touched[-1], offsets) if touched else None


def some_window_holds(inputs, tokens, *, length, stride):
    """Windows counted without the encoder: each begins `stride` tokens before the end of the one before."""
    first, last, offsets = tokens
    room = length - (inputs.inputs["length"][0] - inputs.windows[0].count)
    begins = range(0, max(len(offsets) - stride, 1), room - stride)
    return any(begin <= first and last < begin + room for begin in begins)


texts = st.lists(
    st.tuples(st.sampled_from(WORDS) | st.text(min_size=1, max_size=6), st.sampled_from(SPACES)), max_size=40
)
lengths = {"room": st.integers(3, 60), "stride": st.integers(0, 80)}
relaxed = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@relaxed
@given(pieces=texts, question=st.text(max_size=30), place=st.tuples(st.floats(0, 1), st.floats(0, 1)), **lengths)
@example(pieces=[("cafe\u0301", " "), ("noir", " ")], question="?", place=(0, 0.4), room=3, stride=2)
@example(pieces=[("👍🏽", "\n")] * 9, question="👍🏽?" * 9, place=(0.5, 0.6), room=6, stride=80)
def test_any_span_comes_back_as_the_tokens_around_it(tokenizer, pieces, question, place, room, stride):
    context = "".join(word + space for word, space in pieces)
    start, end = sorted(int(share * len(context)) for share in place)
    inputs = encoded(tokenizer, question, context, (start, end), room=room, stride=stride)
    assert max(inputs.inputs["length"]) <= tokenizer.model_max_length
    tokens = tokens_around(tokenizer, context, start, end)
    if tokens is None:
        assert set(inputs.inputs["start_positions"]) == {0}  # nothing can be learned: no token is in it
        return
    shared = min(stride, room // 3)
    fits = some_window_holds(inputs, tokens, length=tokenizer.model_max_length, stride=shared)
    assert (max(inputs.inputs["end_positions"]) > 0) is fits
    first, last, offsets = tokens
    assert fits or last - first > shared
    assume(fits and last - first < LONGEST_ANSWER)
    (said,) = inputs.decode(perfect(inputs.inputs))
    around = context[offsets[first][0] : offsets[last][1]].strip()
    assert said.value.startswith(around)
    assert all(unicodedata.category(mark).startswith("M") for mark in said.value[len(around) :])
    assert said.scores[0] > 1 / 20


@relaxed
@given(
    words=st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(SPACES)), min_size=1, max_size=40),
    question=st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
    place=st.tuples(st.integers(0, 39), st.integers(0, 39)),
    **lengths,
)
def test_an_answer_of_whole_words_comes_back_exactly(tokenizer, words, question, place, room, stride):
    first, last = sorted(number % len(words) for number in place)
    pieces = [word + space for word, space in words]
    start, length = len("".join(pieces[:first])), len("".join(pieces[first : last + 1])) - len(words[last][1])
    context = "".join(pieces)
    inputs = encoded(tokenizer, question, context, (start, start + length), room=room, stride=stride)
    tokens = tokens_around(tokenizer, context, start, start + length)
    assume(max(inputs.inputs["end_positions"]) > 0 and tokens[1] - tokens[0] < LONGEST_ANSWER)
    assert inputs.decode(perfect(inputs.inputs))[0].value == context[start : start + length]


@pytest.mark.parametrize("seed", range(5))
def test_the_answer_is_the_best_of_all_spans_of_all_windows(tokenizer, seed):
    """Against every span of every window, one by one."""
    context = " ".join(str(number) for number in range(10, 60))
    inputs = encoded(tokenizer, "which", context, (0, 2), room=37, stride=9)
    logits = np.random.default_rng(seed).normal(scale=3, size=(2, len(inputs.windows), 41)).astype(np.float32)
    scores = {}
    for window, start, end in zip(inputs.windows, *logits, strict=True):
        for first in range(window.count):
            for last in range(first, min(first + LONGEST_ANSWER, window.count)):
                span = window.first + first, window.first + last
                score = float(start[window.before + first] + end[window.before + last])
                scores[span] = max(score, scores.get(span, -np.inf))
    best = sorted(scores.items(), key=lambda item: -item[1])[:N_BEST]
    (first, last), _ = best[0]
    at = inputs.offsets[0]
    (said,) = inputs.decode(tuple(logits))
    assert said.value == context[at[first][0] : at[last][1]].strip()
    assert said.scores == (pytest.approx(1 / sum(np.exp(score - best[0][1]) for _, score in best)),)


@pytest.mark.parametrize("learned", [False, True])
def test_rows_encoded_in_pieces_are_as_at_once(tokenizer, monkeypatch, learned):
    """Texts of different lengths, some of several windows, and labels beside them."""
    tokenizer.model_max_length = 20
    contexts = [" ".join(WORDS[: 2 + number]) for number in range(8)]
    answers = [{"text": [context[:2]], "answer_start": [0]} for context in contexts]
    columns = {"question": ["which one?"] * 8, "context": contexts, "answers": answers, "label": [0, 1] * 4}
    rows = datasets.Dataset.from_dict(columns)
    heads = [SpanHead(COLUMNS, tokenizer, 4), LabelHead(Columns("context", label="label"), tokenizer)]
    whole = [head.encode(rows, targets=learned) for head in heads]
    monkeypatch.setattr("s3_hf.training.heads.PIECE", 3)
    spans, labels = (head.encode(rows, targets=learned) for head in heads)
    assert [one.inputs[:] for one in whole] == [spans.inputs[:], labels.inputs[:]]
    assert spans.windows == whole[0].windows
    assert heads[0].count(rows) == len(spans.windows)
    assert [each.tolist() for each in spans.offsets] == [each.tolist() for each in whole[0].offsets]


def test_a_context_without_tokens_has_no_answer(tokenizer):
    inputs = encoded(tokenizer, "what", " \n", (0, 1), room=17, stride=4)
    if inputs.windows[0].count == 0:
        assert inputs.decode(perfect(inputs.inputs)) == [Prediction("0", "", (0.0,))]


def test_a_window_must_have_room(tokenizer):
    with pytest.raises(ConfigError, match=r"at least \d tokens, found \d; raise it"):
        encoded(tokenizer, "what", "a film", (0, 1), room=2, stride=4)


def test_a_tokenizer_that_cannot_tell_places(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nfilm\n")
    with pytest.raises(StudentError, match="found 'BertJapaneseTokenizer'; choose another student"):
        SpanHead(COLUMNS, BertJapaneseTokenizer(str(tmp_path / "vocab.txt"), word_tokenizer_type="basic"), 8)
