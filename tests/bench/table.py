# SPDX-License-Identifier: Apache-2.0
"""Medians, spreads, ratios and goals: from the values of a case to lines for people."""

import statistics

from goals import Complete, Ratio, factor


class Side:
    """What one broker did in a case: the metrics of each run that came to its end, and the failures."""

    def __init__(self):
        self.runs, self.failures = [], []

    def values(self, metric):
        return [run[metric] for run in self.runs if metric in run]

    def median(self, metric):
        values = self.values(metric)
        return statistics.median(values) if values else None

    def complete(self):
        return f"{len(self.runs)} of {len(self.runs) + len(self.failures)}"


def number(value):
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    if value >= 10000:
        return f"{value / 1e3:.1f}k"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def counts(row):
    return any(isinstance(goal, Complete) for goal in row.goals)


def spread(side, row):
    if counts(row):
        return side.complete()
    values = side.values(row.metric)
    if not values:
        return "failed" if side.failures else "-"
    return f"{number(statistics.median(values))} ({number(min(values))}..{number(max(values))})"


MET = {True: "yes", False: "**no**", None: ""}


def met(goal, sides, metric):
    """Yes or no; with what was found where no column of the table has it."""
    found = MET[goal.is_met(sides, metric)]
    if found and isinstance(goal, (Complete, Ratio)) and getattr(goal, "other", None) is None:
        return found
    return found and f"{found} ({goal.shown(sides, metric)})"


def row_cells(row, sides, others):
    cells = [row.label, row.unit, spread(sides["ours"], row)]
    cells += [spread(sides[label], row) for label in others]
    cells += ["" if counts(row) else factor(Ratio(1, True, label).found(sides, row.metric)) for label in others]
    cells += ["; ".join(goal.text() for goal in row.goals),
              "; ".join(filter(None, (met(goal, sides, row.metric) for goal in row.goals)))]
    return cells


def markdown(heads, rows):
    return ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)] + ["| " + " | ".join(row) + " |" for row in rows]


def case_lines(case, sides):
    """A case as a Markdown table. Medians, with the least and the greatest value."""
    others = ["reference"] + (["floor"] if case.floor else [])
    heads = ["", "unit", "ours", *others, *[f"ours / {label}" for label in others], "goal", "met"]
    lines = [f"### {case.name}", "", case.text[0].upper() + case.text[1:] + ".", ""]
    lines += markdown(heads, [row_cells(row, sides, others) for row in case.rows])
    for label, side in sides.items():
        if side.failures:
            lines += ["", f"{label}: {len(side.failures)} failed: {side.failures[0]}"]
    return lines + [""]


def judged(case, sides):
    """[(row, goal, met)] of the goals for which there is something to judge."""
    all_goals = [(row, goal, goal.is_met(sides, row.metric)) for row in case.rows for goal in row.goals]
    return [(row, goal, is_met) for row, goal, is_met in all_goals if is_met is not None]


def goal_lines(measured):
    """All goals in one table. measured: [(case, sides)]"""
    rows = [[case.name, row.label, goal.text(), goal.shown(sides, row.metric), MET[is_met]]
            for case, sides in measured for row, goal, is_met in judged(case, sides)]
    n = sum(row[-1] == "yes" for row in rows)
    return ["### All goals", "", f"{n} of {len(rows)} are met. \"floor\" is a program that does next to nothing in place "
            "of a broker, measured in turn with both; without a word the other side is the reference.", "",
            *markdown(["case", "", "goal", "found", "met"], rows), ""]
