# SPDX-License-Identifier: Apache-2.0
"""What the service says in the journal, and how the journal explains it."""
import os

from clients import PORT, SOCKET, SERVICE, ask_for, check, is_in_state, offend, peer, records, stopped_afterwards
from little_system import wait_until

ID_NAME_REFUSED = "b9293922472746a48d0bed9f3f00cd77"
DROP_IN = "/etc/busrt/busrtd.conf.d/50-test.conf"


def journal_at_start(system):
    """The journal has a line for each listener and one with the limits, under our name and with a MESSAGE_ID."""
    with stopped_afterwards(system):
        with peer(system.connect_unix(SOCKET), b"reader"):
            pid = system.show(SERVICE, "MainPID")
            found = wait_until(lambda: records(system, f"_PID={pid}"), "a record of the service")
    lines = [record["MESSAGE"] for record in found]
    for wanted in (SOCKET, f"127.0.0.1:{PORT}", "8192"):
        check(any(wanted in line for line in lines), f"no record has {wanted}: {lines}")
    for record in found:
        check(record["SYSLOG_IDENTIFIER"] == "busrtd", f"a record of {record['SYSLOG_IDENTIFIER']}")
        check(len(record.get("MESSAGE_ID", "")) == 32, f"no MESSAGE_ID: {record['MESSAGE']}")


def offender_in_journal(system):
    """A client that breaks the protocol costs one record, with its name, uid and the reason as fields."""
    with stopped_afterwards(system):
        offend(system.connect_unix(SOCKET), b"rude.client")
        record = wait_until(lambda: records(system, "BUSRT_CLIENT=rude.client"), "the record of the offence")[0]
        check(record["BUSRT_UID"] == "0", f"the uid is {record['BUSRT_UID']}")
        check(record["BUSRT_REASON"], "no reason is given")


def explained(system):
    """`journalctl -x` explains a record by our catalog, which installing the packages has made known."""
    with stopped_afterwards(system):
        offend(system.connect_unix(SOCKET), b"plc.1")
        wait_until(lambda: records(system, "BUSRT_CLIENT=plc.1"), "the record of the offence")
        text = system.run("journalctl", "--no-pager", "-x", "-u", SERVICE, "BUSRT_CLIENT=plc.1").stdout
    for wanted in ('client "plc.1"', "Subject: A client broke the protocol", "Defined-By: busrtd", "MaxFrameSize="):
        check(wanted in text, f"{wanted!r} is not in {text}")
    listed = system.run("journalctl", "--list-catalog").stdout
    check(listed.count(" busrtd: ") >= 40, f"the catalog has {listed.count(' busrtd: ')} entries of ours")


def forged_fields(system):
    """A name with newlines in it is one field's value: it makes up no other field and no other record."""
    name = b".x\nMESSAGE_ID=" + b"0" * 32 + b"\nPRIORITY=0\nBUSRT_UID=0\n_UID=0\n\nMESSAGE=forged"
    with stopped_afterwards(system):
        ask_for(system.connect_tcp(PORT), name)
        record, = wait_until(lambda: records(system, f"MESSAGE_ID={ID_NAME_REFUSED}"), "the record of the refusal")
        check(record["BUSRT_CLIENT"] == name.decode(), f"the client is {record['BUSRT_CLIENT']!r}")
        check("BUSRT_UID" not in record and record["PRIORITY"] == "4", f"fields were forged: {record}")
        check(record["_UID"] != "0", f"the record is of user {record['_UID']}")
        check("\n" not in record["MESSAGE"], f"the message is {record['MESSAGE']!r}")
        for field in "MESSAGE=forged", "MESSAGE_ID=" + "0" * 32:
            check(not records(system, field), f"there is a record with {field}")


def configure(system, text):
    os.makedirs(os.path.dirname(system.path(DROP_IN)), exist_ok=True)
    with open(system.path(DROP_IN), "w", encoding="utf-8") as file:
        file.write(text)


def configuration(system):
    """An unknown key is a record with file and line; so is a bad value, with which the service does not start, nor try again."""
    with stopped_afterwards(system):
        try:
            configure(system, "[Bus]\nNonsense=1\n")
            with peer(system.connect_unix(SOCKET), b"a"):
                record = wait_until(lambda: records(system, f"BUSRT_FILE={DROP_IN}"), "a record of the unknown key")[0]
            check((record["BUSRT_LINE"], record["PRIORITY"]) == ("2", "4"), f"the record is {record}")
            system.run("systemctl", "stop", SERVICE)
            configure(system, "[Bus]\n\nQueueFrames=0\n")
            check(system.run("systemctl", "start", SERVICE, check=False).returncode != 0, "it started with a bad value")
            record, = wait_until(lambda: records(system, f"BUSRT_FILE={DROP_IN}", "BUSRT_LINE=3"),
                                 "a record of the bad value")
            check(record["PRIORITY"] == "3" and "QueueFrames=" in record["MESSAGE"], f"the record is {record}")
            check(is_in_state(system, "failed"), "systemd tries again")
            check(system.show(SERVICE, "ExecMainStatus") == "2", "the exit status is not 2")
        finally:
            os.unlink(system.path(DROP_IN))
            os.rmdir(os.path.dirname(system.path(DROP_IN)))
            os.rmdir(os.path.dirname(os.path.dirname(system.path(DROP_IN))))


CASES = (journal_at_start, offender_in_journal, explained, forged_fields, configuration)
