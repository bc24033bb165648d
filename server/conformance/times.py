"""How long the cases of each module took, told at the end of a run with `-rA` or `--durations`.

The suite brings this along. Where pytest-xdist spreads the cases over processes, the one that tells runs none of them:
name `server.conformance.times` in `pytest_plugins` of the first conftest then.
"""

from collections import Counter
from itertools import chain
from typing import Final

import pytest

PROPERTY: Final = "conformance"
"""The property of a case's reports that names its module."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Writes a line for each module: its cases, with what they set up and tore down, summed over processes."""
    if "A" not in config.getoption("reportchars") and config.getoption("durations") is None:
        return
    seconds: Counter[str] = Counter()
    for report in chain.from_iterable(terminalreporter.stats.values()):
        if provider := dict(getattr(report, "user_properties", ())).get(PROPERTY):
            seconds[str(provider)] += report.duration
    if seconds:
        terminalreporter.section("conformance")
    for provider, taken in sorted(seconds.items()):
        terminalreporter.write_line(f"{provider}: {taken:.1f} s")
