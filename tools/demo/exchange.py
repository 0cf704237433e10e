#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python half of the demonstration, on the published package `busrt`: tells what happens while this program and
the Rust one talk to each other through the broker. Exit status 0 only when everything that was sent has arrived.

    exchange.py SOCKET RUST_PROGRAM
"""
import queue
import subprocess
import sys

import busrt
from busrt.client import Client, Frame, OP_PUBLISH, RESPONSE_OK
from busrt.rpc import Request, Rpc

PATIENCE = 20  # seconds, for each single step


def say(text):
    print(text, flush=True)


class Talker:
    """A client whose received frames wait in a queue."""

    def __init__(self, path, name):
        self.received = queue.Queue()
        self.client = Client(path, name)
        self.client.on_frame = self.received.put
        self.client.connect()

    def acknowledged(self, operation):
        code = operation.wait_completed(timeout=PATIENCE)
        if code != RESPONSE_OK:
            raise RuntimeError(f"the broker refused with code {code:#x}")

    def subscribe(self, *topics):
        frame = Frame(tp=busrt.client.OP_SUBSCRIBE, qos=1)
        frame.topic = list(topics)
        self.acknowledged(self.client.send(None, frame))

    def send(self, target, text):
        self.acknowledged(self.client.send(target, Frame(text.encode(), qos=1)))

    def publish(self, topic, text):
        self.acknowledged(self.client.send(topic, Frame(text.encode(), tp=OP_PUBLISH, qos=1)))

    def receive(self, sender, topic, text=None):
        """The next frame, which must be from this sender and on this topic (None: a plain message)."""
        frame = self.received.get(timeout=PATIENCE)
        got = frame.payload.decode()
        if (frame.sender, frame.topic) != (sender, topic) or text not in (None, got):
            raise RuntimeError(f"unexpected frame from {frame.sender} on {frame.topic}: {got!r}")
        return got


def talk(path, rust_program):
    python = Talker(path, "demo.python")
    python.subscribe("demo/ready", "demo/heard")
    say("    python  joined as demo.python, subscribed to demo/ready and demo/heard")
    with subprocess.Popen([rust_program, path]) as rust:
        try:
            python.receive("demo.rust", "demo/ready", "rust")

            say("\n  A message, with acknowledgement:")
            say('    python  sends to demo.rust: "hello, Rust"')
            python.send("demo.rust", "hello, Rust")
            answer = python.receive("demo.rust", None)
            say(f'    python  got a message from demo.rust: "{answer}"')

            say("\n  A publication:")
            say('    python  publishes on demo/weather/berlin: "21 C, sunny"')
            python.publish("demo/weather/berlin", "21 C, sunny")
            python.receive("demo.rust", "demo/heard", "21 C, sunny")
            say("    python  heard on demo/heard that it arrived")

            say("\n  An RPC call:")
            caller = Client(path, "demo.caller")
            caller.connect()
            say('    python  calls demo.adder: sum("20 22")')
            reply = Rpc(caller).call("demo.adder", Request("sum", b"20 22")).wait_completed(timeout=PATIENCE)
            result = reply.get_payload().decode()
            if result != "42":
                raise RuntimeError(f"the reply is {result!r}")
            say(f"    python  got the reply {result}")

            python.send("demo.rust", "bye")
            if rust.wait(timeout=PATIENCE) != 0:
                raise RuntimeError("the Rust program failed")
        finally:
            rust.kill()


def main():
    try:
        talk(*sys.argv[1:3])
    except (OSError, RuntimeError, queue.Empty, TimeoutError, subprocess.TimeoutExpired) as error:
        say(f"\n  The exchange failed: {error or type(error).__name__}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
