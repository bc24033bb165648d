"""Idempotency keys: derived from where in a workflow a call stands, or made up."""

import hashlib
import uuid
from collections.abc import Sequence

_DOMAIN = b"patchbay.key.1"


def key_for(run_id: str, step_path: str, *, iteration: int | str | Sequence[int | str] = ()) -> str:
    """Returns the key of one step of one run: the same for the same place, never that of another place.

    Every part enters the hash with its type and its length in front, so `("a", "bc")` and `("ab", "c")`, or
    iteration `1` and `"1"`, cannot meet. The engine's attempt stays out: a retry is the same intended effect.

    Args:
        run_id: The engine's run. Not empty.
        step_path: The step within the run. Not empty.
        iteration: Index of the loop pass, or indexes from the outermost loop inwards. Empty: not in a loop.

    Returns:
        68 ASCII characters: `pb1-` and a SHA-256 in hexadecimal.

    Raises:
        ValueError: `run_id` or `step_path` is empty.
    """
    if not run_id or not step_path:
        raise ValueError("a key needs a run id and a step path")
    indexes = (iteration,) if isinstance(iteration, int | str) else tuple(iteration)
    digest = hashlib.sha256(_DOMAIN)
    for part in (run_id, step_path, *indexes):
        data = str(part).encode()
        kind = b"n" if isinstance(part, int) else b"s"
        digest.update(kind + len(data).to_bytes(8, "big") + data)
    return f"pb1-{digest.hexdigest()}"


def new_key() -> str:
    """Returns a key that was never used, for a call that no workflow stands behind."""
    return f"once-{uuid.uuid4()}"
