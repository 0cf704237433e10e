# SPDX-License-Identifier: Apache-2.0
"""What is promised of a measured value. Each goal says itself in a few words, finds the number that it is about in
the medians of the sides ({label: table.Side}), and judges it."""


def factor(value):
    if value is None or value <= 0:
        return ""
    return f"x {value:.2f}" if value >= 1 else f"1/{1 / value:.2f}"


def short_factor(value):
    return f"1/{1 / value:g}" if value < 0.6 else f"x {value:g}"


class Goal:
    def shown(self, sides, metric):
        """What was found, for people."""
        return factor(self.found(sides, metric))

    def is_met(self, sides, metric):
        """True, False, or None where there is nothing to judge."""
        found = self.found(sides, metric)
        return None if found is None else self.judge(found)


class Ratio(Goal):
    """Ours in relation to another side, or to another metric of ours."""

    def __init__(self, number, least, label="reference", other=None, name=None):
        self.number, self.least, self.label, self.other, self.name = number, least, label, other, name

    def text(self):
        name = self.name or (self.label if self.label == "floor" else "")
        return f"{'>=' if self.least else '<='} {short_factor(self.number)}" + (f" {name}" if name else "")

    def found(self, sides, metric):
        a, b = sides["ours"].median(metric), sides[self.label].median(self.other or metric)
        return a / b if a is not None and b else None

    def judge(self, found):
        return found >= self.number if self.least else found <= self.number


def at_least(number):
    return Ratio(number, True)


def at_most(number):
    return Ratio(number, False)


def floor_at_least(number):
    return Ratio(number, True, "floor")


def floor_at_most(number):
    return Ratio(number, False, "floor")


def own_at_least(number, other, name):
    return Ratio(number, True, "ours", other, name)


def own_at_most(number, other, name):
    return Ratio(number, False, "ours", other, name)


class Below(Goal):
    """Ours alone."""

    def __init__(self, number):
        self.number = number

    def text(self):
        return f"<= {self.number:g}"

    def found(self, sides, metric):
        return sides["ours"].median(metric)

    def shown(self, sides, metric):
        found = self.found(sides, metric)
        return "" if found is None else f"{found:.3g}"

    def judge(self, found):
        return found <= self.number


class Apart(Goal):
    """By how many percent the larger of two medians of ours may be above the smaller."""

    def __init__(self, number, other):
        self.number, self.other = number, other

    def text(self):
        return f"< {self.number:g} % apart"

    def found(self, sides, metric):
        a, b = sides["ours"].median(metric), sides["ours"].median(self.other)
        return (max(a, b) / min(a, b) - 1) * 100 if a and b else None

    def shown(self, sides, metric):
        found = self.found(sides, metric)
        return "" if found is None else f"{found:.1f} %"

    def judge(self, found):
        return found < self.number


class Complete(Goal):
    """Every run of ours came to its end."""

    def text(self):
        return "every run"

    def found(self, sides, metric):
        return sides["ours"]

    def shown(self, sides, metric):
        return sides["ours"].complete()

    def judge(self, found):
        return bool(found.runs) and not found.failures
