# SPDX-License-Identifier: Apache-2.0
"""What the service says in the journal."""
from clients import PORT, SOCKET, SERVICE, check, offend, peer, records, stopped_afterwards
from little_system import wait_until


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


CASES = (journal_at_start, offender_in_journal)
