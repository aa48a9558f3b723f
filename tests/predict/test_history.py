"""Templates learned from the stream."""

import numpy as np

from soonest.core import Message, Prompt
from soonest.predict import History
from soonest.predict.history import _beginnings, keys

SHORT, LONG = "Classify the sentiment of this review: ", "Write a long essay about the history of "


def stream(n, seed=0):
    chance = np.random.default_rng(seed)
    for i in range(n):
        long = bool(chance.integers(2))
        text = f"{LONG if long else SHORT}{chance.integers(10**9)} {'x' * int(chance.integers(50))}"
        yield Prompt.of(text, id=str(i)), int(chance.integers(500, 900) if long else chance.integers(1, 6))


def test_a_template_s_answers_are_told_from_another_s():
    history = History()
    for prompt, tokens in stream(200):
        history.update(prompt, tokens)
    short, long = history.predict([Prompt.of(SHORT + "never seen"), Prompt.of(LONG + "never seen")])
    assert short.expected < 60
    assert long.expected > 400


def test_what_recurs_at_the_end_or_in_the_system_message_is_a_template_too():
    history, chance = History(), np.random.default_rng(1)
    for i in range(100):
        brief = i % 2 == 0
        ending = (
            "Answer with one word, please, and nothing more."
            if brief
            else "Explain at length, step by step, with examples."
        )
        role = Message("system", "You are terse." if brief else "You are talkative.")
        text = f"{chance.integers(10**12)} {chance.integers(10**12)} {chance.integers(10**12)} {ending}"
        history.update(Prompt.of(text), 2 if brief else 700)
        history.update(Prompt((role, Message("user", f"{chance.integers(10**12)}?"))), 3 if brief else 800)
    assert (
        history.predict([Prompt.of("Something else. Answer with one word, please, and nothing more.")])[0].expected
        < 100
    )
    told = [
        history.predict([Prompt((Message("system", s), Message("user", "Why?")))])[0].expected
        for s in ("You are terse.", "You are talkative.")
    ]
    assert told[0] < 100
    assert told[1] > 500


def test_tenants_and_models_have_templates_of_their_own():
    history = History()
    for i in range(50):
        history.update(Prompt.of(f"Hello {i}", tenant="a"), 10)
        history.update(Prompt.of(f"Hello {i}", tenant="b"), 1000)
    low, high = history.predict([Prompt.of("Hello there", tenant="a"), Prompt.of("Hello there", tenant="b")])
    assert low.expected < 200 < high.expected


def test_an_unseen_prompt_gets_the_law_of_all():
    history = History().fit([p for p, _ in stream(300)], [t for _, t in stream(300)])
    made = history.predict([Prompt.of("???")])[0]
    assert made.known
    assert made.below(10) > 0.3
    assert made.below(400) < 0.7


def test_memory_is_bounded():
    history = History(templates=50)
    for prompt, tokens in stream(50):
        history.update(prompt, tokens)
    for i in range(3000):
        for _ in range(4):
            history.update(Prompt.of(f"{i} unlike any other {i}", tenant=str(i % 700)), 5)
    assert len(history.known_) <= 51
    assert len(history._candidates) <= 500
    assert len(history._made) <= 100
    assert history.predict([Prompt.of("anything")])[0].known


def test_it_goes_on_learning_however_much_it_has_learned():
    history = History(window=300)
    prompt = Prompt.of("The same question")
    for tokens in [100] * 20_000 + [1000] * 1500:
        history.update(prompt, tokens)
        if tokens == 100:
            continue
        history.predict([prompt])
    assert history.predict([prompt])[0].expected > 900


def test_long_names_of_tenants_hide_no_model():
    history = History()
    tenant = "7c9e6679-7425-40de-944b-e07fc1f90ae7-and-some-more-words"
    for _ in range(100):
        history.update(Prompt.of("Hi", tenant=tenant, model="small"), 10)
        history.update(Prompt.of("Hi", tenant=tenant, model="large"), 1000)
    small, large = history.predict([Prompt.of("Hi", tenant=tenant, model=model) for model in ("small", "large")])
    assert small.expected < 100
    assert large.expected > 800


def test_who_asks_first_decides_for_nobody_else():
    asked = [Prompt((Message("system", s), Message("user", "Go on"))) for s in ("Be brief.", "Be talkative.")]

    def taught():
        history = History()
        for _ in range(50):
            history.update(asked[0], 5)
            history.update(asked[1], 900)
        return history

    one, other = taught(), taught()
    forward = [one.predict([p])[0] for p in asked]
    backward = [other.predict([p])[0] for p in reversed(asked)][::-1]
    assert forward == backward


def test_a_longer_beginning_is_looked_for_where_the_shorter_is_a_template():
    history = History()
    common = "Translate the following sentence from English into German, keep names: "
    for i in range(40):
        history.update(Prompt.of(f"{common}{i}"), 8)
        history.update(Prompt.of(f"{i} {'Tell a story about the sea and the wind.'[i:]}"), 600)
    assert history.predict([Prompt.of(f"{common}Anna sleeps.")])[0].expected < 60
    asked = Prompt.of(f"{common}Anna sleeps.")
    known = [key for key in keys(asked) if key in history.known_]
    assert history._found(asked) == known


def test_a_family_of_prompts_is_forgotten_from_its_longest_beginning_on():
    """The shortest leads to the others: without it, none of them would be found any more."""
    history = History(templates=7)
    family = Prompt.of("Summarize this very long report for me, please, and keep it short: " + "x" * 400)
    for prompt in [family] * 4 + [Prompt.of("another")] * 4:
        history.update(prompt, 40)
    assert [key in history.known_ for key in _beginnings(family)] == [True, True, False, False]


def test_so_is_one_that_was_fitted():
    texts = [f"{chr(97 + i) * 30}{'x' * 200}" for i in range(6)]
    history = History(templates=12, least=2).fit([Prompt.of(t) for t in texts for _ in range(3)], [7] * 18)
    for text in texts:
        beginnings = [key in history.known_ for key in _beginnings(Prompt.of(text))]
        assert beginnings == sorted(beginnings, reverse=True)
