# SPDX-License-Identifier: Apache-2.0
"""smoke_client.py BUSRTD CLIENT-SPEED STAGE: the stage runs, and does something."""
import subprocess
import sys

from brokers import Broker, Side

with Broker(Side('ours', sys.argv[1])) as broker:
    out = subprocess.run([sys.argv[2], broker.socket, sys.argv[3], '0.01'], check=True, timeout=60,
                         stdout=subprocess.PIPE, text=True).stdout
assert int(out.split()[0]) > 0, out
