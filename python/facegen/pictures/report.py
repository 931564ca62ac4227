"""What became of every picture: counts that add up, and a report for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["done", "failed", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """What became of one picture.

    Attributes
    ----------
    source, outputs
        As in `Item`, and results that were named by their content; no outputs where it failed.
    error
        Why it failed, on one line.
    facts
        What the command found ("areas", "classes", ...), as JSON has values.
    """

    source: str
    status: Status
    outputs: tuple[str, ...] = ()
    error: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        outcome: dict[str, Any] = {"source": self.source, "status": self.status}
        if self.status != "failed":
            outcome["outputs"] = list(self.outputs)
        if self.error is not None:
            outcome["error"] = self.error
        return {**outcome, **self.facts}


@dataclass(frozen=True)
class Report:
    """Outcomes in the order of the items, and the seconds that the run took.

    `passed_over` are files where pictures were looked for that are not read.
    """

    outcomes: tuple[Outcome, ...]
    seconds: float
    passed_over: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        return sum(outcome.status == status for outcome in self.outcomes)

    @property
    def exit_code(self) -> int:
        """1 where a picture failed, else 0."""
        return 1 if self.count("failed") else 0

    def as_json(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """The whole report; `about` says what ran (docs/pictures.md has the keys)."""
        return {
            **about,
            "counts": {
                "in": len(self.outcomes),
                "done": self.count("done"),
                "failed": self.count("failed"),
                "skipped": self.count("skipped"),
                "passed_over": len(self.passed_over),
            },
            "seconds": round(self.seconds, 6),
            "items": [outcome.as_json() for outcome in self.outcomes],
            "passed_over": list(self.passed_over),
        }
