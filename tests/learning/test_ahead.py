"""Taking ahead: order, bounds, errors, and a wait that ends."""

import math
import threading

import pytest

from siim_kernel.learning.ahead import Ahead


def test_items_come_in_order_in_lists_of_the_size_asked_for():
    with Ahead(iter(range(7)), 4) as ahead:
        assert [ahead.take(3, math.inf) for _ in range(4)] == [[0, 1, 2], [3, 4, 5], [6], []]


def test_no_more_than_the_size_is_taken_ahead():
    made, full = [], threading.Event()

    def items():
        for number in range(100):
            made.append(number)
            if number == 3:
                full.set()
            yield number

    with Ahead(items(), 3) as ahead:
        assert full.wait(10)  # three in the queue and one in hand, without anybody asking
        assert ahead.take(2, math.inf) == [0, 1]
    assert len(made) <= 3 + 1 + 2 + 2


def test_what_the_items_raise_comes_after_the_items_before():
    def items():
        yield 1
        raise ValueError("broken")

    with Ahead(items(), 4) as ahead:
        assert ahead.take(5, math.inf) == [1]
        with pytest.raises(ValueError, match="broken"):
            ahead.take(5, math.inf)
        assert ahead.take(5, math.inf) == []


def test_an_item_that_hangs_does_not_hold_up_the_consumer():
    released, closed = threading.Event(), threading.Event()

    def items():
        try:
            yield 1
            released.wait(60)
            yield 2
        finally:
            closed.set()

    with Ahead(items(), 4) as ahead:
        assert ahead.take(2, 0.2) == [1]
        assert ahead.take(2, 0.0) == []
        assert ahead.take(2, -5.0) == []
        released.set()
        assert ahead.take(2, math.inf) == [2]
    assert closed.wait(10)


def test_leaving_early_closes_the_items_even_when_the_queue_is_full():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with Ahead(items(), 1) as ahead:
        assert ahead.take(1, math.inf) == [0]
    assert closed.wait(10)
