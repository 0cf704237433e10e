/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What peers cause to be logged goes through here, so that none of them floods the log: ten records
 * of one client in 10 s, a hundred of one user or address, then one summary line when the time is
 * over.
 */
#pragma once

#include <systemd/sd-event.h>

#include "busrtd/log.h"
#include "engine/engine.h"

struct report;

int report_new(sd_event *loop, struct log *log, struct report **ret);
struct report *report_free(struct report *report);

/* Without a limit: what does not come from peers. */
void report_record(struct report *report, const struct log_record *record);
void report_engine_event(struct report *report, const struct engine_event *event);
/* key: whose share of the log it takes. */
void report_limited(struct report *report, const char *key, const struct log_record *record);
