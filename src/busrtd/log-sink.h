/* SPDX-License-Identifier: Apache-2.0 */
/* Where records end: on stderr as lines, in the journal with fields, in syslog. All of them may
 * block. */
#pragma once

#include "busrtd/log.h"

struct log_sink {
        enum log_target target;
        bool priorities; /* stderr goes to something that reads "<N>" at the start of a line */
        bool colours;
};

void log_sink_init(struct log_sink *sink, enum log_target target);
/* False: the journal is not there. What is written elsewhere always counts as written. */
bool log_sink_write(const struct log_sink *sink, const struct log_record *record);
