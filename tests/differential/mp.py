# SPDX-License-Identifier: Apache-2.0
"""As much MessagePack as the broker's methods need, so that the suite needs the standard library alone."""
import struct


def pack(value):
    """Encodes None, bool, int, str, bytes, list, and dict; a list of pairs in a Map keeps order and repeats."""
    if value is None:
        return b'\xc0'
    if isinstance(value, bool):
        return b'\xc3' if value else b'\xc2'
    if isinstance(value, int):
        return struct.pack('B', value) if 0 <= value < 128 else b'\xd3' + struct.pack('>q', value)
    if isinstance(value, str):
        text = value.encode()
        return (bytes([0xA0 | len(text)]) if len(text) < 32 else b'\xda' + struct.pack('>H', len(text))) + text
    if isinstance(value, bytes):
        return b'\xc5' + struct.pack('>H', len(value)) + value
    if isinstance(value, Map):
        return bytes([0x80 | len(value.pairs)]) + b''.join(pack(k) + pack(v) for k, v in value.pairs)
    if isinstance(value, dict):
        return pack(Map(*value.items()))
    return bytes([0x90 | len(value)]) + b''.join(pack(v) for v in value)


class Map:
    def __init__(self, *pairs):
        self.pairs = pairs


FIXED = {0xCA: '>f', 0xCB: '>d', 0xCC: '>B', 0xCD: '>H', 0xCE: '>I', 0xCF: '>Q', 0xD0: '>b', 0xD1: '>h', 0xD2: '>i',
         0xD3: '>q'}
SIZED = {0xC4: ('>B', bytes), 0xC5: ('>H', bytes), 0xC6: ('>I', bytes), 0xD9: ('>B', str), 0xDA: ('>H', str),
         0xDB: ('>I', str), 0xDC: ('>H', list), 0xDD: ('>I', list), 0xDE: ('>H', dict), 0xDF: ('>I', dict)}
CONSTANT = {0xC0: None, 0xC2: False, 0xC3: True}


def unpack(data):
    """The one value that data holds; dictionaries keep their order. Trailing bytes are an error."""
    value, at = _value(data, 0)
    if at != len(data):
        raise ValueError(f'{len(data) - at} bytes after the value')
    return value


def _value(data, at):
    first = data[at]
    at += 1
    if first < 0x80:
        return first, at
    if first >= 0xE0:
        return first - 256, at
    if first in CONSTANT:
        return CONSTANT[first], at
    if first in FIXED:
        return struct.unpack_from(FIXED[first], data, at)[0], at + struct.calcsize(FIXED[first])
    if first < 0x90:
        return _many(data, at, first & 15, dict)
    if first < 0xA0:
        return _many(data, at, first & 15, list)
    if first < 0xC0:
        return _many(data, at, first & 31, str)
    form, kind = SIZED[first]
    return _many(data, at + struct.calcsize(form), struct.unpack_from(form, data, at)[0], kind)


def _many(data, at, count, kind):
    if kind in (str, bytes):
        part = data[at:at + count]
        if len(part) != count:
            raise ValueError('text is cut off')
        return (part.decode() if kind is str else part), at + count
    out = kind()
    for _ in range(count):
        value, at = _value(data, at)
        if kind is dict:
            out[value], at = _value(data, at)
        else:
            out.append(value)
    return out, at
