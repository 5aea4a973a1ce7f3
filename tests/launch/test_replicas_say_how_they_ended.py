"""What pods say of a failure: the cause is told from its consequences, and losses are counted once."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seaway.launch.api import Object
from seaway.launch.losses import Losses
from seaway.launch.replicas import failures, in_words
from seaway.training.spec import EXIT_PEER


def end(code: int, second: int) -> Object:
    return {"terminated": {"exitCode": code, "reason": "Error", "finishedAt": f"2026-01-01T00:00:{second:02d}Z"}}


def pod(
    name: str, uid: str, *, state: Any = None, last: Any = None, restarts: int = 0, phase: str = "Running"
) -> Object:
    container = {"restartCount": restarts, "state": state or {}, "lastState": last or {}}
    return {"metadata": {"name": name, "uid": uid}, "status": {"phase": phase, "containerStatuses": [container]}}


ENDS = st.lists(st.tuples(st.sampled_from([1, 9, 65, 137, EXIT_PEER]), st.integers(0, 59)), min_size=1, max_size=6)


@given(ENDS)
def test_the_first_to_fail_is_named_unless_it_only_lost_a_peer(ends: list[tuple[int, int]]) -> None:
    pods = [pod(f"p{i}", str(i), state=end(*e), phase="Failed") for i, e in enumerate(ends)]
    first = failures(pods)[0]
    own = [e for e in ends if e[0] != EXIT_PEER]
    assert (first.exit_code == EXIT_PEER) == (not own)
    assert int(first.finished[17:19]) == min(second for _, second in own or ends)


@given(ENDS, st.integers(1, 3))
def test_looking_more_often_counts_nothing_twice(ends: list[tuple[int, int]], looks: int) -> None:
    losses = Losses()
    for i, (code, _) in enumerate(ends):
        dead, back = pod("w-0", str(i), state=end(code, i), phase="Failed"), pod("w-0", str(i + 1))
        for shown in (dead, back):
            for _ in range(looks):
                losses.look([shown])
    assert losses.returns == len(ends)
    assert losses.causes == sum(code != EXIT_PEER for code, _ in ends)


@given(st.lists(st.sampled_from([1, 9, 65, 137]), min_size=1, max_size=3), st.integers(0, 30))
def test_who_was_aborted_after_another_failed_is_named_last_but_before_who_says_that_a_peer_is_gone(
    causes: list[int], later: int
) -> None:
    ends = [(134, 10 + later), (EXIT_PEER, 9), *((code, 12) for code in causes)]
    found = failures(pod(f"p{i}", str(i), state=end(*e), phase="Failed") for i, e in enumerate(ends))
    assert [f.exit_code for f in found[-2:]] == [134, EXIT_PEER]


def test_who_was_aborted_long_before_any_other_failed_is_the_cause() -> None:
    ends = [(1, 40), (134, 1), (EXIT_PEER, 0)]
    found = failures(pod(f"p{i}", str(i), state=end(*e), phase="Failed") for i, e in enumerate(ends))
    assert [f.exit_code for f in found] == [134, 1, EXIT_PEER]


def test_an_aborted_peer_costs_no_second_restart() -> None:
    losses = Losses()
    for name, uid, code in (("w-0", "1", 137), ("w-1", "2", 134)):
        losses.look([pod(name, uid, last=end(code, 5), restarts=1)])
    assert (losses.causes, losses.returns) == (1, 2)
    assert losses.found[0].exit_code == 137


def test_the_pod_that_a_job_made_for_a_lost_one_is_the_same_replica_under_another_name() -> None:
    def of_job(uid: str, made: int, **options: Any) -> Object:
        found = pod(f"j-0-{uid}", uid, **options)
        found["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{made:02d}Z"
        found["metadata"]["labels"] = {
            "batch.kubernetes.io/job-name": "j", "batch.kubernetes.io/job-completion-index": "0",
        }  # fmt: skip
        return found

    losses = Losses()
    lost, back = of_job("a", 1, state=end(137, 3), phase="Failed"), of_job("b", 4)
    losses.look([lost])
    assert losses.causes == 0
    for _ in range(2):
        losses.look([back, lost])
    assert (losses.causes, losses.returns, losses.gone()) == (1, 1, [])
    losses.look([back])
    assert losses.gone() == [lost]


def test_a_failure_from_which_nobody_came_back_is_no_loss_yet() -> None:
    losses = Losses()
    losses.look([pod("w-0", "1", state=end(137, 1), phase="Failed")])
    assert (losses.causes, losses.returns, losses.found) == (0, 0, [])


def test_restarts_in_place_count_and_are_told_by_their_last_end() -> None:
    losses = Losses()
    losses.look([pod("m-0", "1")])
    losses.look([pod("m-0", "1", last=end(137, 1), restarts=1)])
    losses.look([pod("m-0", "1", last=end(EXIT_PEER, 2), restarts=2)])
    assert (losses.causes, losses.returns) == (1, 2)
    assert losses.found[0].exit_code == 137


def test_a_pod_that_was_deleted_while_it_ran_is_lost() -> None:
    losses = Losses()
    losses.look([pod("w-0", "1")])
    losses.look([pod("w-0", "2")])
    assert losses.causes == 1
    assert str(losses.found[0]) == "w-0 (Deleted, it is not known how)"


def test_where_each_replica_stands_is_said_in_words() -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}
    words = in_words([pod("w-0", "2"), pod("m-0", "1", state=waiting, phase="Pending")])
    assert words == "m-0 is ErrImagePull: manifest unknown, w-0 is Running"
    assert in_words([]) == "it has no replica"
