"""`signal.signal` for programs: handlers see no frame, and everything else is the interpreter's."""

import signal
import types

from evoltune.sandbox.same_process import signals


def test_a_handler_is_called_without_a_frame_and_what_is_no_handler_is_passed_on():
    handlers = {}

    def real(number, handler):
        before = handlers.get(number, signal.SIG_DFL)
        handlers[number] = handler
        return before

    state = types.SimpleNamespace(busy=False, later=[])
    register = signals._with_constants(signals._register, real, state)
    registered = signals._with_constants(signals._registered, handlers.get, state)
    seen = []

    def mine(number, frame):
        seen.append((number, frame))

    assert register(10, mine) is signal.SIG_DFL and registered(10) is mine
    handlers[10](10, object())
    assert seen == [(10, None)]
    state.busy = True
    handlers[10](10, object())
    assert seen == [(10, None)] and state.later == [(mine, 10)]
    assert register(10, signal.SIG_IGN) is mine and handlers[10] is signal.SIG_IGN is registered(10)
    assert register(10, mine) is signal.SIG_IGN
