"""The one place where transport errors and HTTP statuses become failures.

Everything turns on one question: may the vendor have seen the request? Before a connection was handed over the answer
is no, for writes too. After that a write without a definite answer is an unknown outcome, a read has no effect.
"""

import socket
import ssl

import aiohttp
import httpx

from server.sdk.failures import ActionFailure, OutcomeUnknown, as_vendor_message
from server.sdk.http.call import Call
from server.sdk.http.flight import Flight
from server.sdk.http.guard import AddressRefused
from server.sdk.http.response import HttpResponse, TooLargeError, UnreadableError
from server.sdk.http.retry import Setback
from server.sdk.http.target import refused_class
from server.sdk.http.words import vendor_text
from server.sdk.masking import Masker

TROUBLE = (
    httpx.HTTPError,
    httpx.InvalidURL,
    aiohttp.ClientError,
    OSError,
    RuntimeError,
    ValueError,
    TooLargeError,
    UnreadableError,
)
"""What transports raise. RuntimeError: uvloop's for a transport that was just closed."""

PASSING_STATUSES = frozenset({408, 429, 502, 503, 504})


class AnswerLost(ActionFailure):
    """A sign-in may have arrived and has no definite answer. Nothing of the action has happened."""

    @classmethod
    def told(cls, unknown: OutcomeUnknown) -> "AnswerLost":
        """Returns what a sign-in of unknown outcome means for the action that needed it."""
        inner = unknown.failure
        reason = _meaning(inner.vendor_status)[0] if inner.vendor_status >= 300 else "VENDOR_UNAVAILABLE"
        return cls(reason, inner.message, vendor_status=inner.vendor_status, vendor_message=inner.vendor_message)


_CLIENT_ERRORS = {
    401: ("CREDENTIALS_REFUSED", "did not accept the credentials"),
    403: ("VENDOR_PERMISSION_DENIED", "does not permit this to the account of the connection"),
    404: ("NOT_FOUND", "does not know the object"),
    409: ("CONFLICT", "answered that the object's state does not allow it"),
    410: ("NOT_FOUND", "answered that the object is gone"),
    429: ("RATE_LIMITED", "answered that too many requests were made"),
}
_REJECTED = ("VENDOR_REJECTED_INPUT", "did not accept the request")
_READ_TROUBLE = {
    408: ("VENDOR_UNAVAILABLE", "gave up waiting for the request"),
    502: ("VENDOR_UNAVAILABLE", "cannot be reached behind its gateway"),
    503: ("VENDOR_UNAVAILABLE", "cannot work now"),
    504: ("VENDOR_UNAVAILABLE", "did not answer its gateway in time"),
}
_VENDOR_ERROR = ("VENDOR_ERROR", "answered with an error of its own")
_ODD = ("VENDOR_ANSWER_INVALID", "answered with a status that is not expected here")
_MOVED = ("VENDOR_ANSWER_INVALID", "answered that the address is another one")
_MOVED_REMEDY = "Enter the address exactly as the vendor's API is served, without a redirect."


def of_answer(response: HttpResponse, call: Call, masker: Masker) -> Setback:
    """Returns what an answer means whose status the module did not ask for. The module's own reading comes first, also
    about how long to wait."""
    advice = response.retry_after
    failure = _own_reading(response, call, masker) or _by_status(response, call, masker, advice)
    if failure.failure.reason == "NOT_FOUND":
        failure.failure.field = failure.failure.field or call.about
    harmless, own = response.status in call.no_effect, failure.failure.retry_after
    passing = harmless or response.status in PASSING_STATUSES
    wait = own.ToMilliseconds() / 1000 if failure.failure.HasField("retry_after") else advice
    return Setback(failure, departed=True, passing=passing, wait=wait, harmless=harmless)


def _own_reading(response: HttpResponse, call: Call, masker: Masker) -> ActionFailure | None:
    if call.read_error is None:
        return None
    try:
        failure = call.read_error(response)
    except ActionFailure:
        # It looked for JSON where a proxy had answered; the status still says what happened.
        return None
    if failure is not None:
        inner = failure.failure
        inner.vendor_status = inner.vendor_status or response.status
        inner.message = masker(inner.message)
        inner.vendor_message = as_vendor_message(masker(inner.vendor_message) or vendor_text(response, masker))
        failure.args = (f"{inner.reason}: {inner.message}",)
    return failure


def _by_status(response: HttpResponse, call: Call, masker: Masker, advice: float | None) -> ActionFailure:
    status, said = response.status, vendor_text(response, masker)
    reason, what = _meaning(status)
    message = f"The vendor {what} ({status})."
    definite = status in call.no_effect or (300 <= status < 500 and status != 408)
    if call.writes and not definite:
        return OutcomeUnknown(message, vendor_status=status, vendor_message=said)
    return ActionFailure(
        reason,
        message,
        retry_after=advice,
        vendor_status=status,
        vendor_message=said,
        remedy=_MOVED_REMEDY if 300 <= status < 400 else None,
    )


def _meaning(status: int) -> tuple[str, str]:
    if status in _READ_TROUBLE:
        return _READ_TROUBLE[status]
    if 400 <= status < 500:
        return _CLIENT_ERRORS.get(status, _REJECTED)
    if 300 <= status < 400:
        return _MOVED
    return _VENDOR_ERROR if 500 <= status < 600 else _ODD


def of_trouble(error: Exception, flight: Flight, call: Call, status: int) -> Setback:
    """Returns what an exception of the transport means. `status` is the answer's when it had begun, else 0."""
    if not flight.departed:
        return _before_departure(_cause(error), call)
    message, reason = _after_departure(error)
    failure = (
        OutcomeUnknown(message, vendor_status=status)
        if call.writes
        else ActionFailure(reason, message, vendor_status=status)
    )
    return Setback(failure, departed=True, passing=reason == "VENDOR_UNAVAILABLE")


def too_late() -> Setback:
    """Returns what it means that no time was left to begin."""
    return Setback(ActionFailure("TIMED_OUT", "Time ran out before the request was made."), departed=False)


def of_deadline(flight: Flight, call: Call) -> Setback:
    """Returns what it means that time ran out."""
    if not flight.departed:
        message = f"No connection to {call.host} was made in time."
        return Setback(ActionFailure("VENDOR_UNAVAILABLE", message), departed=False)
    message = "The vendor did not answer in time."
    if call.writes:
        return Setback(OutcomeUnknown(message), departed=True)
    return Setback(ActionFailure("TIMED_OUT", message), departed=True)


def _cause(error: Exception) -> BaseException:
    """Returns what lies under the wrappers of httpx and aiohttp."""
    cause: BaseException = error
    for _ in range(4):
        inner = getattr(cause, "os_error", None) or getattr(cause, "certificate_error", None)
        if inner is None and isinstance(cause, httpx.HTTPError):
            inner = cause.__cause__
        if not isinstance(inner, BaseException):
            break
        cause = inner
    return cause


def _before_departure(cause: BaseException, call: Call) -> Setback:
    if isinstance(cause, AddressRefused):
        return Setback(refused_class(cause.kind), departed=False)
    if isinstance(cause, ssl.SSLCertVerificationError):
        message = f"The certificate of {call.host} is not valid: {cause.verify_message}."
        return Setback(ActionFailure("TLS_FAILED", message), departed=False)
    if isinstance(cause, ssl.SSLError):
        message = f"{call.host} could not agree on a secure connection."
        return Setback(ActionFailure("TLS_FAILED", message), departed=False)
    if isinstance(cause, httpx.InvalidURL | ValueError):
        message = "The input holds something that an address cannot carry."
        return Setback(ActionFailure("VENDOR_REJECTED_INPUT", message), departed=False)
    message = f"{call.host} {_unreachable(cause)}; nothing was sent."
    return Setback(ActionFailure("VENDOR_UNAVAILABLE", message), departed=False, passing=True)


def _unreachable(cause: BaseException) -> str:
    if isinstance(cause, ConnectionRefusedError):
        return "refused the connection"
    if isinstance(cause, socket.gaierror):
        return "is a name that cannot be resolved"
    if isinstance(cause, TimeoutError):
        return "did not accept a connection in time"
    return "cannot be reached"


def _after_departure(error: Exception) -> tuple[str, str]:
    if isinstance(error, TooLargeError):
        return "The vendor's answer is larger than is accepted.", "VENDOR_ANSWER_TOO_LARGE"
    if isinstance(error, UnreadableError):
        return "The vendor's answer is packed in a way that cannot be read.", "VENDOR_ANSWER_INVALID"
    if isinstance(error, aiohttp.ClientResponseError | ValueError):
        return "The vendor did not answer with HTTP.", "VENDOR_ANSWER_INVALID"
    return "The vendor closed the connection before its answer was complete.", "VENDOR_UNAVAILABLE"
