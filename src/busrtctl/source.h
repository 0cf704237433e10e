/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where payloads come from: one payload, given or read whole, some number of times; or the lines of
 * a file or pipe, as they come.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source {
        int fd; /* -1: nothing more is to be read */
        bool owns_fd;
        bool lines;
        char delimiter;
        uint64_t left; /* not lines: how often the payload is still to be sent */
        char *data;
        size_t start, end, size; /* lines: what has been read and not been taken */
        size_t scanned;          /* lines: no delimiter before here */
};

/* Each begins with a zeroed source. The payload is taken, freed by source_done(). */
void source_init_payload(struct source *source, char *data, size_t len, uint64_t count);
/* All of fd, to its end. -EMSGSIZE above 4 GiB. */
int source_init_whole(struct source *source, int fd, uint64_t count);
/* The lines of fd, which is closed by source_done() unless it is standard input. */
int source_init_lines(struct source *source, int fd, char delimiter);
void source_done(struct source *source);

/* The next payload, which lives until source_fill(). 1; 0: none for now; -ENODATA: none any more.
 */
int source_next(struct source *source, const char **ret, size_t *ret_len);
/* Reads once, blocking, after source_next() gave 0. 0 or -errno. */
int source_fill(struct source *source);
