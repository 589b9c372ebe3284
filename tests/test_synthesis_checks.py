"""What becomes of an answer: stripped, cut back, or rejected with a reason."""

import os
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from s3_hf.overlaps import SharedRuns
from s3_hf.records import Answer, Completion, Context, Rejected, Usage
from s3_hf.synthesis import Checks, Plan, parse_list
from s3_hf.synthesis.names import _name
from s3_hf.synthesis.stripping import until_end
from s3_hf.texts import digests, normalise, row_text

TEMPLATE = "Now imagine that you just watched a movie that has {rationales}. Write one sentence from a {label} review."


CONTEXT = Context(
    "The Town Moor lies immediately north of the city centre of Newcastle.", answer=Answer("Town Moor", 4)
)
PLAN = Plan("slot", "seed")


def checked(text, finish="stop", *, source=None, one_line=True, label_words=("negative", "positive"), **known):
    checks = Checks(label_words, min_words=4, one_line=one_line, **known)
    plan = Plan("slot", "seed", source=source)
    return checks.text_of(Completion("slot", text, finish, Usage(), "m"), TEMPLATE, plan)


def asked(text, finish="stop", **known):
    """What becomes of an answer that should be a question about `CONTEXT`."""
    checks = Checks((), min_words=4, one_line=True, question=True, **known)
    plan = Plan("slot", "seed", context=CONTEXT)
    return checks.text_of(Completion("slot", text, finish, Usage(), "m"), "Ask about {context}:", plan)


@pytest.mark.parametrize(
    ("answer", "rejected"),
    [
        ("Lawn, departure from the story. Reply with the text only.", True),
        ("The critics reply with the text of the film only.", False),
        ("I watched a film about it with my family.", False),
    ],
)
def test_a_whole_sentence_of_the_prompt_is_an_echo_however_short(answer, rejected):
    template = "Reviews of films. Write one text about {rationales}. Be brief. Reply with the text only."
    result = Checks((), min_words=4).text_of(Completion("slot", answer, "stop", Usage(), "m"), template, PLAN)
    assert result == (Rejected("slot", "prompt echo", answer) if rejected else answer)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("The film was a joy to watch.", "The film was a joy to watch."),
        ("  “The film was a joy to watch.”  ", "The film was a joy to watch."),
        ('Here is a review: "The film was a joy to watch."', "The film was a joy to watch."),
        ("Sure! Here's one sentence for you:\n\nThe film was a joy to watch.", "The film was a joy to watch."),
        ("Review: The film was a joy to watch.", "The film was a joy to watch."),
        ("**The film was a joy to watch.**", "The film was a joy to watch."),
        ('"The film was a joy to watch.\nIt was long."', "The film was a joy to watch."),
        ("_The film was a joy to watch._", "The film was a joy to watch."),
        ("The film was a joy to watch.\nIt was long.", "The film was a joy to watch."),
        ("<think>\nWhat is dull?\n</think>\n\nThe film was a joy to watch.", "The film was a joy to watch."),
        ("It opens in the prompt.\n</think>The film was a joy to watch.", "The film was a joy to watch."),
        ('He calls it "art" and so do I, "mostly"', 'He calls it "art" and so do I, "mostly"'),
    ],
)
def test_wrapping_is_stripped(answer, text):
    assert checked(answer) == text


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("   ", "empty"),
        ("<think>\n\n</think>\n\n", "empty"),
        ("<think>\nThe film was a joy to watch.", "cut off"),
        ("I'm sorry, but I cannot write that.", "refusal"),
        ("I cannot generate a review of this kind.", "refusal"),
        ("I'm sorry, I cannot.", "refusal"),
        ("I'm sorry, but I can't assist with that request.", "refusal"),
        ("I’m not able to help you with this.", "refusal"),
        ("Unfortunately, I am unable to provide a response to your prompt.", "refusal"),
        ("I'm sorry, I cannot perform this task as it goes against my programming.", "refusal"),
        ("I do not feel comfortable writing a hateful message.", "refusal"),
        ("I'm just an AI, I don't watch films.", "refusal"),
        ("As an AI language model, I have no opinion on films.", "refusal"),
        ("I am sorry to have offended, but as a chatbot, I am not equipped to judge a film.", "refusal"),
        ("Well, as an AI I do not watch films at all.", "refusal"),
        ("What a bore.", "too short"),
        ("This is a positive review of a film.", "meta talk"),
        ("It left me with a negative overall impression of film.", "meta talk"),
        ("This sentence describes a movie that has a message.", "meta talk"),
        ("In this text, the movie is overly bleak.", "meta talk"),
        ("These sentences contain much disapproval.", "meta talk"),
        ("This is a non-stellar review of a film.", "meta talk"),
        ('I\'d like to rephrase it to have the label "bleak" now.', "meta talk"),
        ("Now imagine that you just watched a movie that has style.", "prompt echo"),
    ],
)
def test_rejected_with_a_reason(answer, reason):
    result = checked(answer)
    assert isinstance(result, Rejected)
    assert result.reason == reason
    assert result.text == answer


@pytest.mark.parametrize(
    "text",
    [
        "I can't log in to my account since yesterday.",
        "This text message about my card came twice.",
        "This is a great example of how a film can be a joy.",
        "This film is on a label of its own.",
        "Sorry, my card was declined in the shop again.",
        "I'm sorry to say that this film is a bore.",
        "Unfortunately, I was charged twice for one transfer.",
        "I can't help but smile at every one of its jokes.",
        "I cannot answer my phone while I am abroad.",
        "I won't write a check to a stranger, can you help me?",
        "I can't create a new account in the app, what now?",
        "He works as an AI engineer at a bank in Leeds.",
        "Here is what I liked: the music and the pictures.",
        "The review: 3 stars, and not one more from me.",
        "My question: why was it made at all?",
        "*sigh* another evening that I will not get back.",
        "__init__ is never called when I open the app.",
        "5 stars for the food, 2 for the waiter*",
        "I read a food label before I buy anything.",
        'He said "no" and I never asked him again, "never"',
        '"Heat is the better film, all things considered.',
    ],
)
def test_ordinary_sentences_stay_as_they_are(text):
    assert checked(text, label_words=("food", "positive")) == text


GOLD = Path(os.environ.get("S3_HF_GOLD", Path(__file__).parents[2] / "shared" / "gold"))
SNIPPETS = GOLD / "hub/datasets/cornell-movie-review-data/rotten_tomatoes/train.parquet"


@pytest.mark.skipif(not SNIPPETS.exists(), reason=f"no gold data in {GOLD}")
def test_gold_texts_are_no_refusals():
    texts = pq.read_table(SNIPPETS, columns=["text"])["text"].to_pylist()
    outcomes = [checked(text) for text in texts]
    assert not [one for one in outcomes if isinstance(one, Rejected) and one.reason == "refusal"]
    assert sum(isinstance(one, Rejected) and one.reason != "too short" for one in outcomes) <= 0.001 * len(texts)


HOSTILE = {
    "dots": lambda n: "." * n + "a",
    "quoted dots": lambda n: ".'" * n + "a",
    "an item with spaces": lambda n: f"1. a{' ' * n}b",
    "a number with spaces": lambda n: f"1{' ' * n}b",
    "stars": lambda n: "*" * n,
    "an item of stars": lambda n: "- " + "*" * n + "a",
    "stars and spaces": lambda n: "- " + "** " * n + "a",
    "headings": lambda n: "- " + "**a" * n,
    "an introduction": lambda n: "sure" + "!" * n,
    "an introduction with spaces": lambda n: "Sure," + " " * n + "here is a review" + " " * n,
    "words": lambda n: "Here is " + "a " * n + ":",
    "quotes": lambda n: '"' * n,
    "quotes of two kinds": lambda n: "\"'" * n,
    "lines": lambda n: "\n" * n + "x",
    "inability": lambda n: "I can't " * n,
    "a model": lambda n: "as an ai " * n,
    "labels": lambda n: "positive " * n,
    "thoughts": lambda n: "<think>" * n,
    "colons": lambda n: "- a" + ":" * n,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_time_grows_with_the_length_of_a_hostile_answer_and_not_faster(make):
    """Four times the text may take 10 times the processor time; where a pattern backtracks it takes 16 or more."""

    def seconds(size):
        answer = make(size)
        began = time.process_time()
        checked(answer, "length")
        checked(answer, "length", one_line=False)
        asked(answer)
        parse_list(answer)
        _name(Completion("s", answer, "stop", Usage(), "m"), "Name one.")
        until_end(answer)
        return time.process_time() - began

    seconds(100)  # compiles the patterns
    assert min(seconds(80_000) for _ in range(2)) < 10 * max(seconds(20_000), 0.05)


def test_cut_off_answers_go_back_to_the_last_full_sentence():
    assert checked("The film was a joy to watch. And then it", "length") == "The film was a joy to watch."
    assert checked('"The film was a joy to watch." And then it', "length").endswith('watch."')
    assert checked("The film was a joy to watch and then it", "length").reason == "cut off"
    assert checked("The film was a joy to watch", "stop") == "The film was a joy to watch"
    assert checked('"The film was a joy to watch. And', "length") == "The film was a joy to watch."


def test_copies_are_rejected():
    source = "The film is a joy to watch, from start to end."
    assert checked("The film is a joy to watch from start to end!", source=source).reason == "copy of the source row"
    assert (
        checked("A joy of a film, though it starts badly.", source=source)
        == "A joy of a film, though it starts badly."
    )


def test_gold_texts_are_kept_out():
    text = "The film was a joy to watch."
    assert checked(text, test=digests(["the film, was a JOY to watch"])).reason == "in the test split"
    assert checked(text, gold=digests([text])).reason == "copy of a gold row"


PARENT = "The film is a joy to watch for its two leads, and a bore for all the time that they are away."


@pytest.mark.parametrize(
    ("text", "is_copy"),
    [
        ("A joy to watch for its two leads, and little more.", True),  # 8 of 11 words
        ("It seems that, sadly, it is a joy to watch for its two leads who know it all too well.", False),  # 9 of 20
        ("I say it is a joy to watch for its two leads, and a bore for all that my sister said to me later.", True),
        ("A joy to watch for its two leads.", True),
        ("A joy to watch, and a bore for all.", False),
    ],
)
def test_copies_of_parts_of_gold_rows_are_rejected(text, is_copy):
    outcome = checked(text, parts=SharedRuns([normalise(PARENT)]))
    assert outcome == (Rejected("slot", "copy of part of a gold row", text) if is_copy else text)


def test_copies_of_parts_are_rejected_where_a_script_has_no_spaces():
    gold, text = "这部电影的配乐让人想起了很久以前的夏天。", "配乐让人想起了很久以前的夏天、我说。"
    parts, other = SharedRuns([normalise(gold)]), "我喜欢夏天、也喜欢很久以前的音乐。"
    assert checked(text, parts=parts, off={"too short"}).reason == "copy of part of a gold row"
    assert checked(other, parts=parts, off={"too short"}) == other


def test_a_part_of_the_source_with_a_letter_changed_is_a_copy():
    text = "a joy to watch for his two leads, and a bore"
    assert checked(text) == text
    assert checked(text, source=PARENT).reason == "copy of part of a gold row"


def test_a_text_that_contains_its_source_is_a_copy():
    text = "I liked the music most of all, and the pictures too. It is a joy to watch, for me."
    assert checked(text, source="It is a joy to watch.").reason == "copy of part of a gold row"
    assert checked(text, source="A joy.") == text  # a few words stand in many texts


def test_english_talk_is_looked_for_in_english_texts_only():
    text = "Dieses positive review hat mir sehr geholfen."
    assert checked(text).reason == "meta talk"
    assert checked(text, english=False) == text


def test_duplicates_differ_by_more_than_case_and_punctuation():
    checks = Checks(("negative", "positive"), 1)
    assert not checks.duplicate("A joy to watch.", PLAN)
    assert checks.duplicate("a joy, to watch", PLAN)
    assert not checks.duplicate("a joy to see", PLAN)


def test_the_same_text_about_another_context_is_no_duplicate():
    checks = Checks((), 1)
    assert not checks.duplicate("Where does it lie?", Plan("a", "seed", context=CONTEXT))
    assert not checks.duplicate("Where does it lie?", Plan("b", "seed", context=Context("Another place.")))
    assert checks.duplicate("where does it lie", Plan("c", "seed", context=CONTEXT))


def test_a_question_ends_at_its_first_question_mark():
    assert asked('"What lies north of the centre?" It is a moor.') == "What lies north of the centre?"
    assert asked("What lies north of the centre? And what", "length") == "What lies north of the centre?"
    assert asked("Question: What lies north of the centre?") == "What lies north of the centre?"


def test_a_question_that_is_quoted_in_talk_about_it_is_taken_out():
    assert asked('The answer to the question "What lies north?" is a moor.') == Rejected(
        "slot", "too short", 'The answer to the question "What lies north?" is a moor.'
    )
    assert asked('You could ask "What lies north of the centre?" of it.') == "What lies north of the centre?"


@pytest.mark.parametrize(
    "question", ['What else is called "a moor, isn\'t it?"', "What lies north of the centre ?", 'What is "Moor" for?']
)
def test_a_question_that_ends_in_a_quotation_stays_whole(question):
    assert asked(question) == question


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("A moor lies north of the centre.", "no question mark"),
        ("Where does the Town Moor lie?", "gives the answer away"),
        ("lies immediately north of the city centre?", "copy of the context"),
        ("What does the given context say of it?", "meta talk"),
        ("How can we make this text more concise?", "meta talk"),
    ],
)
def test_questions_rejected_with_a_reason(answer, reason):
    assert asked(answer).reason == reason


def test_a_gold_row_is_its_context_too():
    text = "What lies north of the centre?"
    assert asked(text, gold=digests([text])) == text
    assert asked(text, gold=digests([row_text(text, CONTEXT.text)])).reason == "copy of a gold row"
    assert asked(text, test=digests([text])).reason == "in the test split"


def test_a_question_in_a_models_thoughts_is_not_taken():
    thoughts = "<think>\nWhat would a reader ask here about it?\n</think>\n\n"
    assert asked(f"{thoughts}What lies to the north of Newcastle?") == "What lies to the north of Newcastle?"


def test_normalise():
    assert normalise(" It's  GOOD, really! ") == "it s good really"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("caf\u00e9", "cafe\u0301", True),
        ("Stra\u00dfe", "STRASSE", True),
        ("the film's end", "the film\u00b4s end", True),
        ("I like C++", "I like C", False),
        ("2 + 3", "2 - 3", False),
        ("\u0932\u0921\u093c\u0915\u093e", "\u0932\u0921\u093c\u0915\u0940", False),  # vowel signs: boy, girl
    ],
)
def test_which_texts_are_the_same(one, other, same):
    assert (normalise(one) == normalise(other)) is same


def test_parse_list():
    answer = """Here are some reasons:
1. **Great acting**: The cast is superb.
2) An intriguing plot.
3. Beautiful cinematography: every frame counts
- "CGI that works"
* great acting
4. The film has a very long explanation that goes on and on and is no phrase at all, really.
"""
    assert parse_list(answer) == [
        "great acting",
        "an intriguing plot",
        "beautiful cinematography",
        "CGI that works",
    ]
    assert parse_list("1. Good acting - A well-made movie with a cast.\n2. a dull end, 2\n3. real suspense (12)") == [
        "good acting",
        "a dull end",
        "real suspense",
    ]
    assert parse_list("1. a well-made film\n2. 2 good jokes\n3. a top 10") == [
        "a well-made film",
        "2 good jokes",
        "a top 10",
    ]
    assert parse_list("no list here") == []
    assert parse_list("<think>\n1. a plan\n</think>\n1. Great acting") == ["great acting"]
    assert parse_list("<think>\n1. a plan") == []
