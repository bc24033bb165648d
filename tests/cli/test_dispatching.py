"""`patchbay dispatch`, before a server that a test plays."""

from server.gen.patchbay.v1 import dispatch_pb2, failure_pb2

ID = "5f7d3c1e-8a54-4b0f-9f0e-2c8a4a8f1d11"


def test_dispatch(peer, patchbay) -> None:
    """Where events stand, those that were given up with the reason, and another try for one."""
    failure = failure_pb2.Failure(reason="NOT_FOUND", message="It is gone.")
    dead = dispatch_pb2.EventDelivery(event_id="e1", sequence=1, consumer="webhook", state="dead", last_failure=failure)
    shown = dispatch_pb2.CalendarEvent(user_id="u1", provider="microsoft", external_event_id="AAMk", sequence=1)
    peer.tell("GetSync", dispatch_pb2.GetSyncResponse(sequence=2, deliveries=[dead], calendar_events=[shown]))
    peer.tell("ListDeadLetters", dispatch_pb2.ListDeadLettersResponse(dead_letters=[dead]))
    again = dispatch_pb2.EventDelivery(event_id="e1", consumer="webhook", state="pending")
    peer.tell("RetryDeadLetter", dispatch_pb2.RetryDeadLetterResponse(delivery=again))
    told = patchbay("dispatch", "sync", ID).out
    assert "2 events" in told
    assert "AAMk" in told
    assert "NOT_FOUND" in patchbay("dispatch", "dead-letters", "--limit", "5").out
    assert patchbay("dispatch", "dead-letters", "--json").json[0]["state"] == "dead"
    assert patchbay("dispatch", "retry", "e1", "webhook").out == "event e1 for webhook: pending\n"
    assert [one.limit for one in peer.asked("ListDeadLetters")] == [5, 100]
    [request] = peer.asked("RetryDeadLetter")
    assert (request.event_id, request.consumer) == ("e1", "webhook")
