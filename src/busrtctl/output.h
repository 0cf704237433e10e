/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard output for verbs that must not stand still when its reader does (a pager, a terminal
 * that is held): what it does not take waits here, and the connection is looked after meanwhile.
 */
#pragma once

#include "busrtctl/busrtctl.h"
#include "busrtctl/text.h"

struct output {
        int fd;
        bool whole; /* fd does not block: any size may be written */
        struct text text;
        size_t start; /* written already */
};

/* From here on a broken pipe is -EPIPE, no signal. */
void output_open(struct output *output);
void output_done(struct output *output);
/* Bytes that wait. */
size_t output_waiting(const struct output *output);
/* Writes what is taken without waiting; with wait, all. 0 or -errno: -EPIPE, nobody reads; -ENOMEM
 * where text was lost.
 */
int output_write(struct output *output, bool wait);
/* Until there is something to process or to write, the time (microseconds, monotonic; UINT64_MAX:
 * never) has come, or interrupted(). 0; -EPIPE: nobody reads standard output any more. */
int output_wait(const struct output *output, busrt_client *client, uint64_t end);

/* For verbs that print once: all of it, or a message on stderr. Returns the exit status. */
int print_text(const struct text *text);
