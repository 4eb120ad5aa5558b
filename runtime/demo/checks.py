"""What the demo claims, and whether it held."""

from collections.abc import Callable
from dataclasses import dataclass

from .screen import Screen, Style


@dataclass(frozen=True)
class Check:
    """One claim."""

    text: str
    holds: bool
    reason: str = ""


class Checks:
    """Collects claims, and shows them in the end."""

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def that(self, text: str, holds: bool) -> None:
        """Note a claim."""
        self._checks.append(Check(text, holds))

    def passes(self, text: str, assertion: Callable[[], None]) -> None:
        """Note the claim of a function that raises AssertionError if it does not hold."""
        try:
            assertion()
        except AssertionError as error:
            self._checks.append(Check(text, False, str(error)))
        else:
            self._checks.append(Check(text, True))

    @property
    def all_hold(self) -> bool:
        """Whether there are claims, and none is wrong."""
        return bool(self._checks) and all(check.holds for check in self._checks)

    def show(self, screen: Screen) -> None:
        """A line for each, and how many hold."""
        for check in self._checks:
            symbol, style = (
                (screen.symbols.good, Style.Good) if check.holds else (screen.symbols.bad, Style.Bad)
            )
            screen.labelled(symbol, check.text + (f": {check.reason}" if check.reason else ""), style)
        held = sum(check.holds for check in self._checks)
        screen.line(
            f"\n  {held} of {len(self._checks)} checks hold", Style.Good if self.all_hold else Style.Bad
        )
