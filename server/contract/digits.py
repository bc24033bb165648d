"""Regular expressions for decimal numbers within bounds, in canonical spelling: no leading zeros, no `-0`."""

from server.contract.intervals import Interval

NANO = 10**9
_ANY_FRACTION = r"(?:\.[0-9]{1,9})?"
_ZERO_FRACTION = r"(?:\.0{1,9})?"
_NONZERO_FRACTION = r"\.(?:" + "|".join(f"{'0' * k}[1-9][0-9]{{0,{8 - k}}}" for k in range(9)) + ")"

_DIGIT_RUNS = {0: "", 1: "[0-9]"}


def integers(low: int, high: int) -> str:
    """Returns an expression for the whole numbers from `low` to `high`, without anchors."""
    parts: list[str] = []
    if low < 0:
        parts += [f"-{part}" for part in _naturals(max(1, -high), -low)]
    if high >= 0:
        parts += _naturals(max(0, low), high)
    return f"(?:{'|'.join(parts)})"


def _naturals(low: int, high: int) -> list[str]:
    parts: list[str] = []
    while low <= high:
        top = min(high, 10 ** len(str(low)) - 1)
        parts += _same_length(str(low), str(top))
        low = top + 1
    return parts


def _same_length(low: str, high: str) -> list[str]:
    if low == high:
        return [low]
    if low[0] == high[0]:
        return [low[0] + rest for rest in _same_length(low[1:], high[1:])]
    rest = len(low) - 1
    first, last = int(low[0]), int(high[0])
    parts: list[str] = []
    if low[1:] != "0" * rest:
        parts += [low[0] + tail for tail in _same_length(low[1:], "9" * rest)]
        first += 1
    tails: list[str] = []
    if high[1:] != "9" * rest:
        tails = [high[0] + tail for tail in _same_length("0" * rest, high[1:])]
        last -= 1
    if first <= last:
        digit = str(first) if first == last else f"[{first}-{last}]"
        parts.append(digit + _DIGIT_RUNS.get(rest, f"[0-9]{{{rest}}}"))
    return parts + tails


def duration(interval: Interval) -> str | None:
    """Returns an expression for the durations in an interval of nanoseconds, without anchors.

    None: the interval ends within a second, which is not expressed; single durations always are.
    """
    if interval.low == interval.high:
        return _exactly(interval.low)
    parts: list[str | None] = []
    if interval.low < 0:
        negative = _magnitudes(max(1, -interval.high), -interval.low)
        parts.append(negative and f"-{negative}")
    if interval.high >= 0:
        parts.append(_magnitudes(max(0, interval.low), interval.high))
    known = [part for part in parts if part is not None]
    return f"(?:{'|'.join(known)})s" if len(known) == len(parts) else None


def _exactly(nanos: int) -> str:
    seconds, fraction = divmod(abs(nanos), NANO)
    sign = "-" if nanos < 0 else ""
    if not fraction:
        return f"{sign}{seconds}{_ZERO_FRACTION}s"
    digits = f"{fraction:09d}".rstrip("0")
    return f"{sign}{seconds}\\.{digits}0{{0,{9 - len(digits)}}}s"


def _magnitudes(low: int, high: int) -> str | None:
    low_second, low_rest = divmod(low, NANO)
    high_second, high_rest = divmod(high, NANO)
    if low_rest not in (0, 1) or high_rest not in (0, NANO - 1):
        return None
    parts: list[str] = []
    first = low_second + (1 if low_rest else 0)
    last = high_second - (0 if high_rest else 1)
    if low_rest and low_second <= last:
        parts.append(f"{low_second}{_NONZERO_FRACTION}")
    if first <= last:
        parts.append(f"{integers(first, last)}{_ANY_FRACTION}")
    if not high_rest:
        parts.append(f"{high_second}{_ZERO_FRACTION}")
    return f"(?:{'|'.join(parts)})"
