"""Facts about vendors that stay outside the project: `PATCHBAY_SHARED`, or the folder `shared` beside the checkout."""

import os
from pathlib import Path


def shared(*parts: str) -> Path:
    """Where a shared file is, if anywhere."""
    named = os.environ.get("PATCHBAY_SHARED")
    root = Path(named) if named else Path(__file__).resolve().parents[3] / "shared"
    return root.joinpath(*parts)
