"""The queue before a pool's workers: whose turn it is, and what cancelling and closing leave behind."""

from concurrent.futures import CancelledError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.sandbox.fair_queue import FairQueue, Lane, Task


def served(queue, seconds_of):
    """(lane's name, item) in the order in which one worker serves them."""
    order = []
    queue.close()
    while task := queue.take():
        assert task.lane.enter(task, lambda: None)
        task.lane.leave(task)
        queue.charge(task.lane, seconds_of(task))
        order.append(task.items[0])
    return order


def test_who_has_used_least_is_next_and_within_a_lane_the_first_comes_first():
    queue, slow, quick = FairQueue(), Lane(), Lane()
    for number in range(3):
        queue.put(Task("slow", [f"slow {number}"], slow))
    for number in range(3):
        queue.put(Task("quick", [f"quick {number}"], quick))
    order = served(queue, lambda task: 5.0 if task.kind == "slow" else 0.001)
    assert order == ["slow 0", "quick 0", "quick 1", "quick 2", "slow 1", "slow 2"]


def turn(queue, seconds=1.0):
    task = queue.take()
    assert task.lane.enter(task, lambda: None)
    task.lane.leave(task)
    queue.charge(task.lane, seconds)
    return task.kind


def test_a_lane_that_comes_late_has_no_claim_on_the_time_before():
    queue, old, late = FairQueue(), Lane(), Lane()
    for number in range(6):
        queue.put(Task("old", [number], old))
    assert [turn(queue) for _ in range(3)] == ["old"] * 3
    for number in range(3):
        queue.put(Task("late", [number], late))
    assert sorted(turn(queue) for _ in range(4)) == ["late", "late", "old", "old"]


def test_a_stream_of_new_lanes_does_not_keep_an_old_one_waiting():
    queue, old = FairQueue(), Lane()
    for number in range(100):
        queue.put(Task("old", [number], old))
    served = []
    for _ in range(60):  # a new caller for each turn
        queue.put(Task("new", [0], Lane()))
        served.append(turn(queue))
    assert served.count("old") >= 5  # its share among the callers that wait, who become more


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 9)), max_size=30))
def test_every_task_is_served_once_and_in_the_order_of_its_lane(tasks):
    queue, lanes = FairQueue(), [Lane() for _ in range(5)]
    for number, (lane, seconds) in enumerate(tasks):
        queue.put(Task("t", [(lane, number, seconds)], lanes[lane]))
    order = served(queue, lambda task: task.items[0][2])
    assert sorted(order, key=lambda item: item[1]) == [(lane, n, s) for n, (lane, s) in enumerate(tasks)]
    for lane in range(5):
        numbers = [n for owner, n, _ in order if owner == lane]
        assert numbers == sorted(numbers)


def test_a_cancelled_lane_interrupts_what_runs_once_and_starts_nothing_more():
    lane, interrupted = Lane(), []
    running, next_one = Task("t", [1], lane), Task("t", [2], lane)
    assert lane.enter(running, lambda: interrupted.append(1))
    lane.cancel()
    lane.cancel()
    assert interrupted == [1] and not lane.enter(next_one, lambda: interrupted.append(2))


def test_what_is_dropped_or_comes_too_late_ends_in_a_cancelled_future():
    queue, lane = FairQueue(), Lane()
    waiting, other, late = Task("t", [1], lane), Task("t", [2], Lane()), Task("t", [3], lane)
    queue.put(waiting)
    queue.put(other)
    queue.remove(lane)
    queue.close(drop=True)
    queue.put(late)
    assert queue.take() is None
    for task in (waiting, other, late):
        with pytest.raises(CancelledError):
            task.future.result(0)
