# SPDX-License-Identifier: Apache-2.0
"""What a person would see: a terminal that understands what ncurses sends to a vt220, and no more."""
import re
import unicodedata

SEQUENCE = re.compile(rb'\x1b\[([?!>]?[\d;]*)([A-Za-z@])|\x1b[()][AB0]|\x1b[=>78DEM]')


def width(character):
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in 'WF' else 1


class Screen:
    """lines: texts without the blanks at their ends. Wide characters take two cells, the second of which is ''."""

    def __init__(self, height, columns):
        self.height, self.columns = height, columns
        self.rest = b''
        self.y = self.x = 0
        self.first, self.last = 0, height - 1  # of the region that scrolls
        self.cells = [[' '] * columns for _ in range(height)]

    @property
    def lines(self):
        return [''.join(row).rstrip() for row in self.cells]

    def resize(self, height, columns):
        self.__init__(height, columns)

    def feed(self, data):
        data, at = self.rest + data, 0
        while at < len(data):
            sequence = SEQUENCE.match(data, at)
            if sequence:
                if sequence.group(2):
                    self.control(sequence.group(1).decode(), sequence.group(2).decode())
                elif sequence.group() == b'\x1bM':
                    self.up()
                elif sequence.group() in (b'\x1bD', b'\x1bE'):
                    self.down()
                    self.x = self.x if sequence.group() == b'\x1bD' else 0
                at = sequence.end()
            elif data[at] == 0x1b:
                if len(data) - at > 16:
                    raise AssertionError(f'unknown: {data[at:at + 16]!r}')
                break
            else:
                length = 1 if data[at] < 0x80 else 2 if data[at] < 0xe0 else 3 if data[at] < 0xf0 else 4
                if at + length > len(data):
                    break
                self.character(data[at:at + length].decode())
                at += length
        self.rest = data[at:]

    def control(self, parameters, final):
        numbers = [int(number or 0) for number in parameters.lstrip('?!>').split(';')]
        step = max(numbers[0], 1)
        if final == 'r':
            self.first = min(max(numbers[0], 1), self.height) - 1
            self.last = min((numbers + [0])[1] or self.height, self.height) - 1
            self.y = self.x = 0
        elif final == 'H':
            self.y, self.x = max(numbers[0], 1) - 1, max((numbers + [1])[1], 1) - 1
        elif final in 'ABCD':
            dy, dx = {'A': (-step, 0), 'B': (step, 0), 'C': (0, step), 'D': (0, -step)}[final]
            self.y, self.x = self.y + dy, self.x + dx
        elif final == 'J' and numbers[0] in (0, 2):
            self.erase(self.y, 0 if numbers[0] else self.x)
            for y in range(0 if numbers[0] else self.y + 1, self.height):
                self.erase(y, 0)
        elif final == 'K':
            self.erase(self.y, 0 if numbers[0] else self.x, self.x + 1 if numbers[0] == 1 else self.columns)
        elif final == 'X':
            self.erase(self.y, self.x, self.x + step)
        elif final == 'P':
            row = self.cells[self.y]
            row[self.x:] = row[self.x + step:] + [' '] * min(step, self.columns - self.x)
        elif final == '@':
            row = self.cells[self.y]
            row[self.x:] = ([' '] * step + row[self.x:])[:self.columns - self.x]
        elif final in 'LM':
            for _ in range(step):
                del self.cells[self.last if final == 'L' else self.y]
                self.cells.insert(self.y if final == 'L' else self.last, [' '] * self.columns)
        elif final not in 'mhlc':
            raise AssertionError(f'unknown: {parameters}{final}')
        # What was sent for a larger screen may still come.
        self.y, self.x = min(max(self.y, 0), self.height - 1), min(max(self.x, 0), self.columns - 1)

    def erase(self, y, start, end=None):
        self.cells[y][start:end] = [' '] * len(self.cells[y][start:end])

    def down(self):
        if self.y == self.last:
            del self.cells[self.first]
            self.cells.insert(self.last, [' '] * self.columns)
        else:
            self.y = min(self.y + 1, self.height - 1)

    def up(self):
        if self.y == self.first:
            del self.cells[self.last]
            self.cells.insert(self.first, [' '] * self.columns)
        else:
            self.y = max(self.y - 1, 0)

    def character(self, character):
        if character == '\r':
            self.x = 0
        elif character == '\n':
            self.down()
        elif character == '\b':
            self.x -= 1
        elif character >= ' ':
            cells = width(character)
            if cells == 0:
                self.cells[self.y][self.x - 1] += character
                return
            if self.x + cells > self.columns:
                self.x = 0
                self.down()
            self.cells[self.y][self.x:self.x + cells] = [character, ''][:cells]
            self.x += cells
