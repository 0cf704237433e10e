# SPDX-License-Identifier: Apache-2.0
"""Goals are judged by medians, against the side that they name, and shown as they were judged."""
import os
import tempfile
import unittest

import compare
import page
import table
from cases import Case, Floor, Row
from goals import Apart, Below, Complete, at_least, at_most, floor_at_least, floor_at_most, own_at_least, own_at_most


def side(*values, failures=(), **more):
    made = table.Side()
    made.runs = [{'m': value, **more} for value in values]
    made.failures = list(failures)
    return made


def sides(ours, reference=None, floor=None):
    return {'ours': ours, 'reference': reference or side(), 'floor': floor or side()}


class Goals(unittest.TestCase):
    def judge(self, goal, ours, reference=None, floor=None):
        return goal.is_met(sides(ours, reference, floor), 'm')

    def test_the_median_counts(self):
        self.assertTrue(self.judge(at_least(3), side(1, 30, 31), side(10, 1, 1000)))
        self.assertFalse(self.judge(at_least(3), side(29, 29, 300), side(10, 1, 1000)))

    def test_costs_may_be_a_part_of_the_reference(self):
        self.assertTrue(self.judge(at_most(1 / 8), side(1), side(8)))
        self.assertFalse(self.judge(at_most(1 / 8), side(1), side(7.9)))

    def test_the_floor_is_another_side(self):
        self.assertTrue(self.judge(floor_at_least(0.85), side(85), side(1000), side(100)))
        self.assertFalse(self.judge(floor_at_least(0.85), side(84), side(1), side(100)))
        self.assertTrue(self.judge(floor_at_most(1.5), side(15), side(1), side(10)))
        self.assertFalse(self.judge(floor_at_most(1.5), side(16), side(1), side(10)))

    def test_one_metric_of_ours_beside_another(self):
        self.assertTrue(self.judge(own_at_least(0.95, 'n', 'without'), side(95, n=100)))
        self.assertFalse(self.judge(own_at_least(0.95, 'n', 'without'), side(94, n=100)))
        self.assertTrue(self.judge(own_at_most(1.3, 'n', 'plain'), side(130, n=100)))
        self.assertFalse(self.judge(own_at_most(1.3, 'n', 'plain'), side(131, n=100)))
        for n in 80, 125:
            self.assertTrue(self.judge(Apart(26, 'n'), side(100, n=n)))
            self.assertFalse(self.judge(Apart(25, 'n'), side(100, n=n)))

    def test_ours_alone(self):
        self.assertTrue(self.judge(Below(4), side(4)))
        self.assertFalse(self.judge(Below(4), side(4.1)))
        self.assertTrue(self.judge(Complete(), side(1, 1)))
        self.assertFalse(self.judge(Complete(), side(1, failures=['lost'])))
        self.assertFalse(self.judge(Complete(), side()))

    def test_without_the_other_side_there_is_no_verdict(self):
        for goal in at_least(3), at_most(3), floor_at_least(1), Below(3), Apart(3, 'n'):
            self.assertIsNone(self.judge(goal, side()))
        self.assertIsNone(self.judge(at_least(3), side(1)))

    def test_goals_say_themselves(self):
        self.assertEqual([goal.text() for goal in (at_least(8), at_most(1 / 12), at_most(1 / 1.8), at_most(0.9),
                                                   floor_at_least(0.85), own_at_most(1.3, 'n', 'one topic each'),
                                                   Below(4), Apart(25, 'n'), Complete())],
                         ['>= x 8', '<= 1/12', '<= 1/1.8', '<= x 0.9', '>= x 0.85 floor', '<= x 1.3 one topic each',
                          '<= 4', '< 25 % apart', 'every run'])


class Tables(unittest.TestCase):
    def setUp(self):
        self.case = Case('ring', 'clients in a ring', [Row('m', 'rate', '1/s', at_least(2), floor_at_least(0.85))], None,
                         floor=Floor('ack'))
        self.sides = sides(side(9, 10, 30), side(4), side(20))

    def test_a_case_shows_all_sides_and_each_goal(self):
        self.assertEqual(table.case_lines(self.case, self.sides)[4:7], [
            '|  | unit | ours | reference | floor | ours / reference | ours / floor | goal | met |',
            '|---|---|---|---|---|---|---|---|---|',
            '| rate | 1/s | 10 (9..30) | 4 (4..4) | 20 (20..20) | x 2.50 | 1/2.00 | >= x 2; >= x 0.85 floor | yes; **no** |'])

    def test_all_goals_are_in_one_table(self):
        lines = table.goal_lines([(self.case, self.sides), (self.case, sides(side(3), side(1)))])
        self.assertTrue(lines[2].startswith('2 of 3 are met.'))
        self.assertEqual(lines[6:9], ['| ring | rate | >= x 2 | x 2.50 | yes |',
                                      '| ring | rate | >= x 0.85 floor | 1/2.00 | **no** |',
                                      '| ring | rate | >= x 2 | x 3.00 | yes |'])

    def test_failures_are_told(self):
        lines = table.case_lines(self.case, sides(side(1, failures=['frame 3 was lost', 'another']), side(4)))
        self.assertIn('ours: 2 failed: frame 3 was lost', lines)

    def test_only_what_stands_between_the_markers_is_written(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'page.md')
            begin, end = page.markers('bench')
            with open(path, 'w', encoding='utf-8') as f:
                f.write(f'before\n{begin}\nold\n{end}\nafter\n')
            page.write(path, 'bench', ['new', ''])
            with open(path, encoding='utf-8') as f:
                self.assertEqual(f.read(), f'before\n{begin}\nnew\n{end}\nafter\n')
            self.assertRaises(SystemExit, page.read, path, 'another')

    def test_the_side_that_begins_alternates(self):
        setup = compare.Setup.__new__(compare.Setup)
        setup.ours, setup.reference, setup.floor = 'ours', 'reference', 'floor'
        self.assertEqual({tuple(setup.sides(self.case, turn)) for turn in range(6)},
                         {('ours', 'reference', 'floor'), ('reference', 'floor', 'ours'), ('floor', 'ours', 'reference')})
        self.case.floor = None
        self.assertEqual([setup.sides(self.case, turn)[0] for turn in range(4)], ['ours', 'reference'] * 2)


if __name__ == '__main__':
    unittest.main()
