"""A vendor that refuses, fails, babbles or goes away in the middle of it."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from server.conformance.cases import Cases
from server.conformance.judging import (
    FAILED,
    NONE,
    SUCCEEDED,
    UNKNOWN,
    check_doubtful,
    check_manners,
    check_refused,
    is_keyless,
    is_read,
    told,
)
from server.conformance.scene import Scene, Trace
from server.contract.definitions import ActionDefinition, EffectClass
from server.core.registry import RegisteredAction
from server.gen.patchbay.v1 import executor_pb2

KEY = "run-1/step-1"
RETRY_AFTER = 3600
_READ_SECONDS = 8.0  # a module that would wait longer for its vendor gives up at once
_OBJECT = frozenset({"NOT_FOUND", "CONFLICT", "VENDOR_REJECTED_INPUT"})


@dataclass(frozen=True)
class Trouble:
    """What a vendor does to a request.

    Attributes:
        kind: The kind of the fault.
        facts: Its facts.
        reasons: Common reasons that tell it to the caller. Empty: the caller is left in doubt.
        may_succeed: An action may take it for an answer: that nothing is there, or that it is done already.
    """

    kind: str
    facts: dict[str, Any] = field(default_factory=dict)
    reasons: frozenset[str] = frozenset()
    may_succeed: bool = False


def _status(status: int, *reasons: str, **facts: Any) -> Trouble:
    facts = {"status": status, "body": {"detail": "no"}, **facts}
    return Trouble("status", facts, frozenset(reasons), may_succeed=status in (404, 409, 422))


_REFUSALS = {
    "401": _status(401, "CREDENTIALS_REFUSED", "CREDENTIALS_EXPIRED"),
    "403": _status(403, "VENDOR_PERMISSION_DENIED", "CREDENTIALS_REFUSED"),
    "404": _status(404, *_OBJECT, "VENDOR_ANSWER_INVALID"),
    "409": _status(409, *_OBJECT),
    "422": _status(422, *_OBJECT),
    "429": _status(429, "RATE_LIMITED"),
    "429-retry-after": _status(429, "RATE_LIMITED", headers={"Retry-After": str(RETRY_AFTER)}),
}
_DOUBTS = {
    "500": _status(500),
    "502": _status(502),
    "reset-before": Trouble("reset_before"),
    "reset-after": Trouble("reset_after"),
    "garbage": Trouble("garbage", {"body": "<<< not JSON"}),
    "huge": Trouble("huge_body"),
    "cut": Trouble("truncate"),
}
_PASSING = {"502": _DOUBTS["502"], "reset-before": _DOUBTS["reset-before"], "reset-after": _DOUBTS["reset-after"]}


def _each(troubles: dict[str, Trouble]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("trouble", troubles.values(), ids=troubles)


class FaultCases(Cases):
    """Whatever the vendor does, the caller is told the truth, and nothing happens twice."""

    @_each(_REFUSALS)
    def test_a_refused_write(self, trouble: Trouble, write: RegisteredAction, undisturbed: Trace, scene: Scene) -> None:
        """A write that the vendor refuses is FAILED without effect; the key answers so again, or works later."""
        action = write.definition
        _suffer(scene, trouble, undisturbed, times=0)
        execution = scene.execute(action, KEY)
        check_manners(action, execution)
        assert scene.world.suffered(trouble.kind), "the fault has met no request"
        assert scene.world.effects() == 0
        if trouble.may_succeed and not is_keyless(action) and execution.state == SUCCEEDED:
            return
        check_refused(action, execution, trouble.reasons)
        _check_advice(trouble, execution)
        _check_key(scene, action, undisturbed, execution)

    @_each(_DOUBTS)
    def test_a_write_in_doubt(
        self, trouble: Trouble, write: RegisteredAction, undisturbed: Trace, scene: Scene
    ) -> None:
        """Without a definite answer nothing false is claimed; what is not repeatable is sent once, whatever comes."""
        action, world = write.definition, scene.world
        _suffer(scene, trouble, undisturbed, times=0)
        execution = scene.execute(action, KEY)
        check_manners(action, execution)
        assert world.suffered(trouble.kind), "the fault has met no request"
        check_doubtful(action, execution, effects=world.effects(), usual=undisturbed.effects)
        if execution.state != SUCCEEDED:
            _check_key(scene, action, undisturbed, execution)
        if is_keyless(action):
            assert world.effects() <= undisturbed.effects
            assert undisturbed.sent(world.requests()) <= undisturbed.sent(list(undisturbed.requests))
        elif action.effect == EffectClass.EFFECT_CLASS_VENDOR_KEYED:
            assert world.effects() == undisturbed.effects

    @_each(_PASSING)
    def test_a_passing_trouble(
        self, trouble: Trouble, repeatable: RegisteredAction, undisturbed: Trace, scene: Scene
    ) -> None:
        """What may be repeated is repeated: one lost answer does not fail it."""
        action = repeatable.definition
        _suffer(scene, trouble, undisturbed, times=1)
        execution = scene.execute(action, "" if is_read(action) else KEY)
        check_manners(action, execution)
        assert scene.world.suffered(trouble.kind) or not undisturbed.requests, "the fault has met no request"
        assert execution.state == SUCCEEDED, told(execution)

    @_each(_REFUSALS | _DOUBTS)
    def test_a_read_in_trouble(
        self, trouble: Trouble, read: RegisteredAction, undisturbed: Trace, scene: Scene
    ) -> None:
        """A READ action fails without effect, with a reason that fits; one that asks no vendor is not harmed."""
        action = read.definition
        scene.world.control.add_fault(trouble.kind, times=0, **trouble.facts)
        execution = scene.execute(action, seconds=_READ_SECONDS)
        check_manners(action, execution)
        if not undisturbed.requests or (trouble.may_succeed and execution.state == SUCCEEDED):
            assert execution.state == SUCCEEDED, told(execution)
            return
        assert (execution.state, execution.failure.effect) == (FAILED, NONE), told(execution)
        if trouble.reasons:
            check_refused(action, execution, trouble.reasons)
            _check_advice(trouble, execution)


def _suffer(scene: Scene, trouble: Trouble, undisturbed: Trace, *, times: int) -> None:
    scene.world.control.add_fault(trouble.kind, times=times, **undisturbed.match, **trouble.facts)


def _check_advice(trouble: Trouble, execution: executor_pb2.Execution) -> None:
    if "RATE_LIMITED" not in trouble.reasons:
        return
    assert execution.failure.retryable, told(execution)
    if "headers" in trouble.facts:
        assert execution.failure.retry_after.seconds == RETRY_AFTER, told(execution)


def _check_key(scene: Scene, action: ActionDefinition, undisturbed: Trace, before: executor_pb2.Execution) -> None:
    """The key of a failure that can be repeated works once the vendor does; any other is answered from the record."""
    happened = scene.world.effects()
    scene.world.control.clear_faults()
    again = scene.execute(action, KEY)
    assert again.id == before.id, told(again)
    if before.state == FAILED and before.failure.retryable:
        assert (again.state, again.attempt) == (SUCCEEDED, before.attempt + 1), told(again)
        assert scene.world.effects() >= undisturbed.effects
    else:
        assert again.replayed, told(again)
        # A probe may have settled an unknown outcome meanwhile.
        assert before.state in (again.state, UNKNOWN), told(again)
        assert scene.world.effects() == happened
