# SPDX-License-Identifier: Apache-2.0
"""The published async Python client as a program: it reads orders from stdin, one JSON object a
line, answers each, and writes what arrives from the bus as events."""

import asyncio
import json
import sys

from busrt_async.client import Client, Frame
from busrt_async.rpc import Notification, Request, Rpc, RpcException

import client_program as p


class Program:

    def __init__(self):
        self.clients = {}
        self.rpcs = {}
        self.watchers = set()

    async def do_connect(self, o):
        handle = o['h']
        client = Client(o['path'], o['name'])
        client.timeout = p.TIMEOUT
        client.ping_interval = o.get('ping_interval', 1)

        async def on_frame(frame):
            p.show_frame(handle, frame)

        async def on_notification(event):
            p.show_notification(handle, event)

        async def on_call(event):
            return p.serve_call(handle, event, RpcException)

        client.on_frame = on_frame
        if o.get('rpc'):
            rpc = Rpc(client)
            rpc.on_call = on_call
            rpc.on_notification = on_notification
            rpc.on_frame = on_frame
            self.rpcs[handle] = rpc
        await client.connect()
        self.clients[handle] = client
        return {}

    async def do_close(self, o):
        self.rpcs.pop(o['h'], None)
        client = self.clients.pop(o['h'], None)
        if client:
            await client.disconnect()
        return {}

    async def do_reconnect(self, o):
        """Gives a name up and takes it again as soon as the connection has ended, many times."""
        for _ in range(o['rounds']):
            before = p.sockets()
            client = Client(o['path'], o['name'])
            client.timeout = p.TIMEOUT
            await client.connect()
            ours = p.sockets() - before
            await client.disconnect()
            while ours & p.sockets():
                await asyncio.sleep(0)
        return await self.do_connect(o)

    async def do_connected(self, o):
        return {'connected': self.clients[o['h']].is_connected()}

    async def do_watch(self, o):
        """Says when the library has seen that its connection is gone."""
        client = self.clients[o['h']]

        async def wait():
            while client.is_connected():
                await asyncio.sleep(0.02)
            p.say({'ev': 'gone', 'h': o['h']})

        self.watchers.add(asyncio.ensure_future(wait()))
        return {}

    async def confirmed(self, order, result):
        code = await result.wait_completed(timeout=p.TIMEOUT)
        return {'ack': code if order['qos'] & 1 else None}

    async def do_bus(self, o):
        target, frame = p.bus_frame(Frame, o)
        return await self.confirmed(o, await self.clients[o['h']].send(target, frame))

    async def do_burst(self, o):
        """Sends numbered messages without waiting in between, then for all confirmations."""
        client = self.clients[o['h']]
        results = [await client.send(o['target'], Frame(i.to_bytes(4, 'little'), qos=o['qos']))
                   for i in range(o['count'])]
        return [await self.confirmed(o, r) for r in results][-1]

    async def do_notify(self, o):
        n = Notification(p.payload_of(o))
        n.qos = o['qos']
        return await self.confirmed(o, await self.rpcs[o['h']].notify(o['target'], n))

    def request(self, o):
        r = Request(o['method'], p.payload_of(o))
        r.qos = o['qos']
        return r

    async def do_call0(self, o):
        result = await self.rpcs[o['h']].call0(o['target'], self.request(o))
        return await self.confirmed(o, result)

    async def do_call(self, o):
        event = await self.rpcs[o['h']].call(o['target'], self.request(o))
        result = await asyncio.wait_for(event.wait_completed(), timeout=p.TIMEOUT)
        return {'result': p.describe(result.get_payload())}

    async def handle(self, order):
        method = getattr(self, 'do_' + order['do'].replace('-', '_'), self.do_bus)
        try:
            answer = await method(order)
        except Exception as e:
            answer = p.failure(e)
        p.say({**answer, 'id': order['id']})


async def main():
    p.forward_log()
    program = Program()
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        await program.handle(json.loads(line))


asyncio.run(main())
