"""The pieces of several answers, and who is let go when nobody reads on."""

import asyncio
from contextlib import asynccontextmanager

from tests.engines.asking import prompt

from soonest.engines.embedded import Job, Text
from soonest.engines.server.answers import Choice, together


def choices(model, count, tokens=400):
    ids = prompt(model, "tell me")
    tokenizer = model.tokenizer._tokenizer
    return [Choice(i, Job(str(i), ids, tokens), Text(tokenizer, ids)) for i in range(count)]


def left_after_the_first_piece(engine, asked):
    """Jobs that the engine still has as soon as nobody reads on."""

    async def run():
        pieces = together(asked, engine)
        await anext(pieces)
        await pieces.aclose()
        return list(engine._tickets)

    return asyncio.run(run())


def test_an_answer_that_is_left_frees_its_place_before_the_next_line_runs(engine, model):
    assert left_after_the_first_piece(engine(), choices(model, 1)) == []


def test_so_do_several(engine, model):
    assert left_after_the_first_piece(engine(), choices(model, 3)) == []


def test_all_pieces_of_all_answers_come(engine, model):
    asked = choices(model, 3, tokens=9)

    async def run():
        return [piece async for piece in together(asked, engine())]

    pieces = asyncio.run(run())
    assert [sum(p.tokens for p in pieces if p.index == i) for i in range(3)] == [9, 9, 9]
    assert sorted(p.index for p in pieces if p.finish == "length") == [0, 1, 2]


class Silent:
    """An engine whose answers end without a word."""

    @asynccontextmanager
    async def submit(self, _job):
        async def nothing():
            for token in ():
                yield [token]

        yield nothing()


def test_answers_that_end_without_a_reason_are_not_waited_for(model):
    async def run():
        return [piece async for piece in together(choices(model, 2), Silent())]

    assert asyncio.run(asyncio.wait_for(run(), 5)) == []
