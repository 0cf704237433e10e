# SPDX-License-Identifier: Apache-2.0
"""What the sync and the async client program share: orders in, events out, payloads.

Payloads travel as hex when small and as length and SHA-1 when large. What the libraries log is
made part of the output, so that a warning about an unexpected frame fails a test."""

import hashlib
import json
import logging
import os
import sys
import threading

HEX_MAX = 65536
KINDS = {0x01: 'publish', 0x12: 'message', 0x13: 'broadcast'}
OPERATIONS = {'publish': 0x01, 'subscribe': 0x02, 'unsubscribe': 0x03, 'send': 0x12,
              'broadcast': 0x13}
TIMEOUT = 10  # of the clients: only a ceiling, so that a busy machine fails nothing

_out = threading.Lock()


def say(value):
    with _out:
        sys.stdout.write(json.dumps(value) + '\n')
        sys.stdout.flush()


class LogForwarder(logging.Handler):

    def emit(self, record):
        say({'ev': 'log', 'text': record.getMessage()})


def forward_log():
    logger = logging.getLogger('busrt')
    logger.addHandler(LogForwarder())
    logger.propagate = False


def payload_of(order):
    """Either the bytes themselves, or a size and a seed of the pattern that all programs know."""
    p = order['payload']
    if 'hex' in p:
        return bytes.fromhex(p['hex'])
    block = bytes((p['seed'] + 31 * i) & 0xff for i in range(251))
    return (block * (p['size'] // 251 + 1))[:p['size']]


def describe(payload):
    payload = bytes(payload)
    if len(payload) > HEX_MAX:
        return {'len': len(payload), 'sha1': hashlib.sha1(payload).hexdigest()}
    return {'len': len(payload), 'hex': payload.hex()}


def bus_frame(frame_class, order):
    """The library's frame for an order, and the target that belongs to it."""
    frame = frame_class(tp=OPERATIONS[order['do'].removesuffix('-bulk')], qos=order['qos'])
    if 'topics' in order:
        frame.topic = order['topics'] if order['do'].endswith('-bulk') else order['topics'][0]
        return None, frame
    frame.payload = payload_of(order)
    return order.get('topic') or order.get('target') or order.get('mask'), frame


def show_frame(handle, frame):
    say({'ev': 'frame', 'h': handle, 'kind': KINDS.get(frame.type, 'other'),
         'sender': frame.sender, 'primary': frame.primary_sender, 'topic': frame.topic,
         'payload': describe(frame.payload)})


def show_notification(handle, event):
    say({'ev': 'notification', 'h': handle, 'sender': event.frame.sender,
         'primary': event.frame.primary_sender, 'payload': describe(event.get_payload())})


def serve_call(handle, event, error_class):
    """The RPC server of every client program, see the Rust one for its methods."""
    method = bytes(event.method).decode()
    payload = bytes(event.get_payload())
    say({'ev': 'call', 'h': handle, 'sender': event.frame.sender,
         'primary': event.frame.primary_sender, 'method': method, 'reply': event.call_id != 0,
         'payload': describe(payload)})
    if method == 'echo':
        return payload
    if method == 'none':
        return None
    if method == 'fail':
        raise error_class('refused by the server', -777)
    raise error_class('', -32601)


def sockets():
    """This process's sockets: how a program knows that a connection has really ended."""
    found = set()
    for fd in os.listdir('/proc/self/fd'):
        try:
            link = os.readlink('/proc/self/fd/' + fd)
        except FileNotFoundError:
            continue
        if link.startswith('socket:'):
            found.add(link)
    return found


def failure(error):
    """Bus errors of a handshake come as text with the code in hex, RPC errors with a code."""
    code = getattr(error, 'rpc_error_code', None)
    if code is not None:
        data = error.rpc_error_payload
        text = data if isinstance(data, str) else bytes(data).decode(errors='replace')
        return {'error': {'code': code, 'text': text}}
    text = str(error)
    if text.startswith('Server response: '):
        return {'error': {'code': int(text.rsplit(' ', 1)[1], 16), 'text': text}}
    return {'error': {'code': 0, 'text': f'{type(error).__name__}: {text}'}}
