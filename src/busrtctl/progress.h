/* SPDX-License-Identifier: Apache-2.0 */
/* How far a long run is: a line on a terminal's stderr, redrawn a few times a second, and what was
 * done in the end. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
        const char *label;     /* what is done, where it is no messages that are sent; or NULL */
        uint64_t start, drawn; /* microseconds, monotonic */
        uint64_t messages, bytes;
        uint64_t total; /* 0: not known */
        bool terminal, verbose, shown;
};

void progress_init(struct progress *progress, uint64_t total, bool verbose);
/* Draws, if it is time to. */
void progress_update(struct progress *progress);
/* Clears the line. */
void progress_clear(struct progress *progress);
/* The same; the summary follows where one was drawn, or verbose. */
void progress_done(struct progress *progress);
