"""Streams of items that several threads work on."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from threading import Lock

import pytest

from abaw_ray.inference.ahead import NUM_AHEAD, ahead, in_order


def test_results_come_in_the_items_order() -> None:
    def slow(number: int) -> int:
        time.sleep(random.Random(number).random() * 0.01)
        return number**2

    assert list(in_order(slow, range(50), 4)) == [n**2 for n in range(50)]


def test_few_items_are_made_before_they_are_asked_for() -> None:
    num_made, lock = 0, Lock()

    def items() -> Iterator[int]:
        nonlocal num_made
        for number in range(1000):
            with lock:
                num_made += 1
            yield number

    results = in_order(lambda n: n, items(), 2)
    for number in range(20):
        assert next(results) == number
        with lock:
            assert num_made - number <= 2 * NUM_AHEAD + 2 + 3
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [ValueError("made"), ValueError("worked")])
def test_an_error_comes_in_its_turn(error: ValueError) -> None:
    def items() -> Iterator[int]:
        for number in range(10):
            if number == 5 and str(error) == "made":
                raise error
            yield number

    def work(number: int) -> int:
        if number == 5:
            raise error
        return number

    results = in_order(work, items(), 3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=str(error)):
        next(results)


def test_what_is_not_asked_for_any_more_is_not_made() -> None:
    ended = []

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            ended.append(True)

    source = ahead(items())
    assert next(source) == 0
    source.close()
    assert not ended or ended == [True]
