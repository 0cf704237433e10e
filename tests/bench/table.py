# SPDX-License-Identifier: Apache-2.0
"""Medians, spreads, ratios and goals: from the values of a case to lines for people."""

import statistics


class Side:
    """What one broker did in a case: the metrics of each run that came to its end, and the failures."""

    def __init__(self):
        self.runs, self.failures = [], []

    def values(self, metric):
        return [run[metric] for run in self.runs if metric in run]

    def median(self, metric):
        values = self.values(metric)
        return statistics.median(values) if values else None


def number(value):
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    if value >= 10000:
        return f"{value / 1e3:.1f}k"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread(side, row):
    if row.goal == "all":
        return f"{len(side.runs)} of {len(side.runs) + len(side.failures)}"
    if row.goal == "apart":
        apart = difference(side, row)
        return "-" if apart is None else f"{apart:.1f}"
    values = side.values(row.metric)
    if not values:
        return "failed" if side.failures else "-"
    return f"{number(statistics.median(values))} ({number(min(values))}..{number(max(values))})"


def difference(side, row):
    """By how many percent the larger of two medians is above the smaller."""
    a, b = side.median(row.metric), side.median(row.other)
    return (max(a, b) / min(a, b) - 1) * 100 if a and b else None


def ratio(ours, reference, row):
    if row.goal in ("all", "apart"):
        return None
    a, b = ours.median(row.metric), reference.median(row.metric)
    return a / b if a is not None and b else None


def factor(value):
    if value is None or value <= 0:
        return ""
    return f"x {value:.2f}" if value >= 1 else f"1/{1 / value:.2f}"


def goal(row):
    return {
        None: lambda: "",
        "all": lambda: "every run",
        "at-least": lambda: f">= x {row.number:g}",
        "at-most": lambda: f"<= 1/{1 / row.number:g}",
        "below": lambda: f"<= {row.number:g}",
        "apart": lambda: f"< {row.number:g} %",
    }[row.goal]()


def is_met(ours, reference, row):
    """True, False, or None where there is no goal or nothing to compare with."""
    if row.goal is None:
        return None
    if row.goal == "all":
        return bool(ours.runs) and not ours.failures
    if row.goal == "apart":
        apart = difference(ours, row)
        return None if apart is None else apart < row.number
    if row.goal == "below":
        median = ours.median(row.metric)
        return None if median is None else median <= row.number
    found = ratio(ours, reference, row)
    if found is None:
        return None
    return found >= row.number if row.goal == "at-least" else found <= row.number


MET = {True: "yes", False: "**no**", None: ""}


def case_lines(case, ours, reference):
    """A case as a Markdown table. Medians, with the least and the greatest value."""
    lines = [f"### {case.name}", "", case.text[0].upper() + case.text[1:] + ".", "",
             "| | unit | ours | reference | ours / reference | goal | met |",
             "|---|---|---|---|---|---|---|"]
    for row in case.rows:
        cells = (row.label, row.unit, spread(ours, row), spread(reference, row),
                 factor(ratio(ours, reference, row)), goal(row), MET[is_met(ours, reference, row)])
        lines.append("| " + " | ".join(cells) + " |")
    for label, side in (("ours", ours), ("reference", reference)):
        if side.failures:
            lines += ["", f"{label}: {len(side.failures)} failed: {side.failures[0]}"]
    return lines + [""]
