/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager's watchdog (WatchdogSec=). It is fed only while the worker does its passes,
 * not because the main thread still runs: a worker that stands still is a bus that stands still,
 * and is told in the log before the service is restarted for it.
 */
#pragma once

#include <systemd/sd-event.h>

#include "busrtd/report.h"
#include "busrtd/status-line.h"

struct watchdog;

/* Where no watchdog is expected *ret is NULL. */
int watchdog_new(sd_event *loop, struct engine *engine, struct report *report,
                 struct notify *notify, struct status_line *status_line, struct watchdog **ret);
struct watchdog *watchdog_free(struct watchdog *watchdog);
