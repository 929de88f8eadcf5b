"""The comparison of two columns: game by game, and over all games."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from embodied.core.errors import UserError
from scores import budgets, games, stats
from scores.grid import Cell, Grid, number
from scores.protocol import Column
from scores.significance import TESTS, Difference, difference, holm, smallest_p
from scores.stats import Estimate
from scores.table import TITLES

ALPHA = 0.05
RESAMPLES = 20_000  # steadies the last printed digit of P(improvement), which moves in steps


@dataclasses.dataclass(frozen=True)
class GameRow:
    """One game: means of both, their difference b - a, p after Holm, verdict."""

    game: str
    a: float
    b: float
    difference: Difference
    corrected: float
    verdict: str
    seeds: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Column b against column a.

    Attributes:
      a, b: names.
      rows: games that both have scores for.
      improvement: probability that a run of b beats one of a on the same game.
      aggregates: b - a for each normalised aggregate, over the games of both that have references;
        empty without such games.
      verdict: 'better', 'worse' or 'undecided': whether `improvement` is off 1/2.
      notes: what a reader must know.
    """

    a: str
    b: str
    rows: Sequence[GameRow]
    improvement: Estimate
    aggregates: Mapping[str, Estimate]
    verdict: str
    notes: Sequence[str]

    @property
    def worse(self) -> bool:
        """Whether b is worse overall or on any single game."""
        return "worse" in [self.verdict, *(row.verdict for row in self.rows)]


def compare(
    a: Column,
    b: Column,
    test: str = "welch",
    resamples: int = RESAMPLES,
    references: Mapping[str, tuple[float, float]] | None = None,
) -> Comparison:
    """Compares column b with column a, the baseline.

    Args:
      a, b: what `protocol.columns` returned for both at once, so that they share their budgets.
      test: of `significance.TESTS`.
      resamples: bootstrap resamples behind the intervals over all games.
      references: random and reference score of each game, for aggregates of other games than
        those of Atari 100K.

    Raises:
      UserError: they have no game in common.
    """
    common = [game for game in a.games if len(a.of(game)) and len(b.of(game))]
    if not common:
        raise UserError(
            f"{a.name} and {b.name} have no game in common that both have a score for"
            + "".join(f"\n  {column.name}: {note}" for column in (a, b) for note in column.notes)
        )
    pairs = [(a.of(game), b.of(game)) for game in common]
    differences = [difference(x, y, test) for x, y in pairs]
    corrected = holm(np.array([change.p for change in differences]))
    rows = []
    for game, (x, y), change, p in zip(common, pairs, differences, corrected):
        means, verdict = (float(x.mean()), float(y.mean())), _verdict(change.value, p < ALPHA)
        rows.append(GameRow(game, *means, change, float(p), verdict, (len(x), len(y))))
    published = a.published or b.published
    better = Estimate(np.nan)
    if not published:
        better = stats.improvement(a.select(common), b.select(common), resamples)
    several = all(max(row.seeds[side] for row in rows) > 1 for side in (0, 1))
    sure = several and (better.low > 0.5 or better.high < 0.5)
    changes = {}
    rated = [game for game in common if game in (references or games.atari100k())]
    if rated:
        x, y = (games.normalised(rated, column.select(rated), references) for column in (a, b))
        changes = stats.aggregate_differences(x, y, resamples)
        if published:  # Made of single runs, which a published mean does not tell.
            changes |= {"iqm": Estimate(np.nan), "optimality_gap": Estimate(np.nan)}
    verdict = _verdict(better.value - 0.5, sure)
    notes = _notes(a, b, rows, test)
    if references:
        scales = [(game, *references[game]) for game in rated]
        scale = "; ".join(f"{game} {low:g}, {high:g}" for game, low, high in scales)
        notes.append(f"Aggregates: 0 = random, 1 = reference ({scale or 'no game has any'}).")
    return Comparison(a.name, b.name, rows, better, changes, verdict, notes)


def _verdict(change: float, sure: bool | np.bool_) -> str:
    return ("better" if change > 0 else "worse") if sure else "undecided"


def _notes(a: Column, b: Column, rows: Sequence[GameRow], test: str) -> list[str]:
    tests = [row for row in rows if np.isfinite(row.corrected)]
    lines = []
    head = budgets.title([row.game for row in rows], a.budgets)
    if head not in ("Atari 100K", "Scores"):
        lines.append(f"{head}.")
    if tests:
        lines += [
            f"Verdicts are {b.name}'s, at 95%. A game: p of a {TESTS[test]}, corrected by Holm "
            f"over {len(tests)} games, below {ALPHA}. Overall: the interval of P(improvement) "
            "does not hold 0.5.",
            "[ ] of a game: 95% Welch interval of the difference, not corrected.",
        ]
    elif not (a.published or b.published):
        lines.append("Nothing is tested: that takes two seeds of a game on each side.")
    if a.protocol != b.protocol:
        lines.append(
            f"MIXED PROTOCOLS: {a.name} is {a.protocol}, {b.name} is {b.protocol}; part of the "
            "difference is the way of scoring."
        )
    if a.published or b.published:
        lines.append("Published means have no seeds: nothing is tested against them.")
    missing = sorted({*a.games, *b.games} - {row.game for row in rows})
    if missing:
        lines.append(f"Not compared, no score in one of them: {', '.join(missing)}.")
    for column in (a, b):
        doubtful = [games.title(row.game) for row in rows if column.flags(row.game)]
        if doubtful:
            lines.append(
                f"{column.name} has few episodes, few seeds or is biased on: {', '.join(doubtful)}."
            )
        lines += [f"{column.name}: {note}." for note in column.notes]
    if test == "permutation" and tests:
        least = min(smallest_p(*row.seeds) for row in tests)
        if least * len(tests) >= ALPHA:
            lines.append(
                f"With so few seeds a permutation test gives no p below {least:.2g}, after Holm "
                f"over {len(tests)} games {min(1.0, least * len(tests)):.2g}: it may decide no "
                "single game. Use --test welch, more seeds or fewer --games."
            )
    return lines


def grid(comparison: Comparison) -> Grid:
    """Lays the comparison out for printing."""
    body = []
    for row in comparison.rows:
        means = [Cell(number(value), value=value) for value in (row.a, row.b)]
        chances = [Cell(_p(value), value=value) for value in (row.difference.p, row.corrected)]
        change = _change(row.difference, _digits(row))
        body.append([Cell(games.title(row.game)), *means, change, *chances, _bold(row.verdict)])
    blank = Cell("")
    foot = [
        [Cell(TITLES[name]), blank, blank, _change(estimate, 3), blank, blank, blank]
        for name, estimate in comparison.aggregates.items()
    ]
    better = comparison.improvement
    value, _, span = str(better).partition(" ")
    won = Cell(f"{better.value:.2f}" if span else value, span)
    foot.append(
        [Cell("P(improvement)"), blank, blank, won, blank, blank, _bold(comparison.verdict)]
    )
    counts = ", ".join(
        f"{sum(row.verdict == name for row in comparison.rows)} {name}"
        for name in ("better", "worse", "undecided")
    )
    header = ["Game", comparison.a, comparison.b, "Difference", "p", "p (Holm)", "Verdict"]
    title = f"{comparison.b} against {comparison.a}: overall {comparison.verdict}; games: {counts}"
    return Grid(title, header, [body, foot], comparison.notes)


def _digits(row: GameRow) -> int:
    largest = max(abs(row.a), abs(row.b))
    return 0 if largest >= 100 else 2 if 0 < abs(row.difference.value) < 0.995 else 1


def _change(estimate: Estimate | Difference, digits: int) -> Cell:
    text = f"{estimate.value:+.{digits}f}" if np.isfinite(estimate.value) else "–"
    low, high = f"{estimate.low:+.{digits}f}", f"{estimate.high:+.{digits}f}"
    span = f"[{low}, {high}]" if np.isfinite(estimate.low) else ""
    return Cell(text, span, value=estimate.value)


def _bold(verdict: str) -> Cell:
    return Cell(verdict, bold=verdict != "undecided")


def _p(value: float) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def records(comparison: Comparison) -> list[dict]:
    """Returns games, aggregates and P(improvement) as flat records, for CSV and JSON."""

    keys = ("a", "b", "p", "p_holm", "verdict", "seeds_a", "seeds_b")

    def record(row: str, kind: str, change: Estimate | Difference, *values: object) -> dict:
        numbers = {"difference": change.value, "low": change.low, "high": change.high}
        return {"row": row, "kind": kind} | numbers | dict(zip(keys, values or [None] * 7))

    rows = []
    for row in comparison.rows:
        change = row.difference
        values = row.a, row.b, change.p, row.corrected, row.verdict, *row.seeds
        rows.append(record(row.game, "game", change, *values))
    rows += [record(name, "aggregate", change) for name, change in comparison.aggregates.items()]
    overall = record("probability_of_improvement", "overall", comparison.improvement)
    return [*rows, overall | {"verdict": comparison.verdict}]
