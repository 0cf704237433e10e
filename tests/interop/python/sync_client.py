# SPDX-License-Identifier: Apache-2.0
"""The published sync Python client as a program: it reads orders from stdin, one JSON object a
line, answers each, and writes what arrives from the bus as events."""

import contextlib
import json
import socket
import sys
import threading

from busrt.client import Client, Frame
from busrt.rpc import Notification, Request, Rpc, RpcException

import client_program as p


class Program:

    def __init__(self):
        self.clients = {}
        self.rpcs = {}

    def do_connect(self, o):
        handle = o['h']
        client = Client(o['path'], o['name'])
        client.timeout = p.TIMEOUT
        client.ping_interval = o.get('ping_interval', 1)
        client.on_frame = lambda frame: p.show_frame(handle, frame)
        if o.get('rpc'):
            rpc = Rpc(client)
            rpc.on_call = lambda event: p.serve_call(handle, event, RpcException)
            rpc.on_notification = lambda event: p.show_notification(handle, event)
            rpc.on_frame = lambda frame: p.show_frame(handle, frame)
            self.rpcs[handle] = rpc
        self.open(client)
        self.clients[handle] = client
        return {}

    def open(self, client):
        """Connects, and notes which thread of the library reads from the socket."""
        before = set(threading.enumerate())
        client.connect()
        client.readers = [t for t in threading.enumerate()
                          if t not in before and '_t_reader' in t.name]

    def close(self, client):
        """What disconnect does, but the connection ends before this returns, and no send is cut short.
        The library closes the socket below a thread that sits in recv: the connection stays until
        that thread wakes, and the thread may then read from whatever got the same number. And it
        does so while another thread may be in send, which writes a frame in two parts: where the
        second is empty, the frame is complete, acknowledged and done when send fails and forgets
        it, and the reader then calls the acknowledgement orphaned."""
        client.connected = False
        with client.socket_lock:
            sock = client.socket
            client.socket = None
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        for thread in client.readers:
            thread.join(p.TIMEOUT)
        sock.close()

    def do_close(self, o):
        self.rpcs.pop(o['h'], None)
        client = self.clients.pop(o['h'], None)
        if client:
            self.close(client)
        return {}

    def do_reconnect(self, o):
        """Gives a name up and takes it again at once, many times."""
        for _ in range(o['rounds']):
            client = Client(o['path'], o['name'])
            client.timeout = p.TIMEOUT
            self.open(client)
            self.close(client)
        return self.do_connect(o)

    def do_connected(self, o):
        return {'connected': self.clients[o['h']].is_connected()}

    def do_watch(self, o):
        """Says when the library has seen that its connection is gone."""
        client = self.clients[o['h']]

        def wait():
            tick = threading.Event()
            while client.is_connected():
                tick.wait(0.02)
            p.say({'ev': 'gone', 'h': o['h']})

        threading.Thread(target=wait, daemon=True).start()
        return {}

    def confirmed(self, order, result):
        code = result.wait_completed(timeout=p.TIMEOUT)
        return {'ack': code if order['qos'] & 1 else None}

    def do_bus(self, o):
        target, frame = p.bus_frame(Frame, o)
        return self.confirmed(o, self.clients[o['h']].send(target, frame))

    def do_burst(self, o):
        """Sends numbered messages without waiting in between, then for all confirmations."""
        client = self.clients[o['h']]
        results = [client.send(o['target'], Frame(i.to_bytes(4, 'little'), qos=o['qos']))
                   for i in range(o['count'])]
        return [self.confirmed(o, r) for r in results][-1]

    def do_notify(self, o):
        n = Notification(p.payload_of(o))
        n.qos = o['qos']
        return self.confirmed(o, self.rpcs[o['h']].notify(o['target'], n))

    def request(self, o):
        r = Request(o['method'], p.payload_of(o))
        r.qos = o['qos']
        return r

    def do_call0(self, o):
        return self.confirmed(o, self.rpcs[o['h']].call0(o['target'], self.request(o)))

    def do_call(self, o):
        event = self.rpcs[o['h']].call(o['target'], self.request(o))
        result = event.wait_completed(timeout=p.TIMEOUT)
        return {'result': p.describe(result.get_payload())}

    def handle(self, order):
        method = getattr(self, 'do_' + order['do'].replace('-', '_'), self.do_bus)
        try:
            answer = method(order)
        except Exception as e:
            answer = p.failure(e)
        p.say({**answer, 'id': order['id']})


def main():
    p.forward_log()
    program = Program()
    for line in sys.stdin:
        program.handle(json.loads(line))


main()
