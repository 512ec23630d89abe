"""What Portcullis is to reach beside others, and whether it did."""
from dataclasses import dataclass
from typing import NamedTuple

from . import table

# In place of a contender: the best of the peers in this run.
BEST = "the best"

HOLDS, BROKEN, UNJUDGED = "holds", "BROKEN", "not judged"


class Judged(NamedTuple):
    goal: str
    # What was reached, in the goal's terms.
    reached: str
    verdict: str


@dataclass(frozen=True)
class Goal:
    """A figure, or its ratio to that of another contender; ratios are medians of those within the rounds."""

    bound: float
    # The contender that it is compared with, or BEST; without, it is the figure itself.
    of: str | None = None
    # Whose figure.
    by: str = "portcullis"
    # More is better.
    at_least: bool = False

    def judge(self, figures, peers, unit, doubts):
        """
        * `figures`: of each contender, one for each round.
        * `peers`: the names of those of which BEST is one.
        * `doubts`: why no figure of this work means anything.
        """
        of = best(figures, peers, self.at_least) if self.of == BEST else self.of
        if self.of and of not in figures:
            return Judged(self.told(unit), "nothing to compare with", UNJUDGED)
        if self.of:
            got = table.ratio(figures[self.by], figures[of])
            reached = f"{got:.2f} × {of}"
        else:
            got, _ = table.median_and_spread(figures[self.by])
            reached = f"{got:.1f} {unit}"
        if doubts:
            return Judged(self.told(unit), reached, UNJUDGED)
        holds = got >= self.bound if self.at_least else got <= self.bound
        return Judged(self.told(unit), reached, HOLDS if holds else BROKEN)

    def told(self, unit):
        relation = "at least" if self.at_least else "at most"
        return f"{relation} {self.bound:g} " + (f"× {self.of}" if self.of else unit)


def best(figures, peers, most=False):
    """The peer with the best median, or None."""
    medians = {name: table.median_and_spread(figures[name])[0] for name in peers if name in figures}
    choose = max if most else min
    return choose(medians, key=medians.get) if medians else None


def order_doubts(figures, names):
    """Says so where the order of these contenders was not the same in all rounds."""
    rounds = zip(*(figures[name] for name in names))
    orders = {tuple(sorted(names, key=dict(zip(names, values)).get)) for values in rounds}
    return ["the servers' order changed between rounds"] if len(orders) > 1 else []
