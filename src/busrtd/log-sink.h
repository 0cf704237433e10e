/* SPDX-License-Identifier: Apache-2.0 */
/* Where records end: on stderr as lines, in the journal with fields, in syslog. All of them may
 * block. */
#pragma once

#include "busrtd/log.h"

struct log_sink {
        enum log_target target;
        bool priorities; /* stderr goes to something that reads "<N>" at the start of a line */
        bool colours;
        uint64_t journal_at; /* when the journal was given the last record; 0: never */
};

void log_sink_init(struct log_sink *sink, enum log_target target);
/* False: the journal is not there. What is written elsewhere always counts as written. */
bool log_sink_write(struct log_sink *sink, const struct log_record *record);
/* Before the process ends: journald asks the kernel who sent a record when it reads it, and has no
 * unit for who is gone by then. So it is given a moment. */
void log_sink_linger(const struct log_sink *sink);
