/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where clients come in: sockets and FIFOs that systemd passed, addresses of the command line, or
 * the default socket. Each that is opened is told in the log; one that cannot be opened ends the
 * start with one line.
 */
#pragma once

#include "busrtd/fifo.h"
#include "busrtd/listener.h"

#define SOCKETS_ERROR_MAX 512

/* What systemd passed: fds from 3 on, and their names. Taken before a fork, since it is meant for
 * one process id. */
struct passed_sockets {
        size_t n;
        char **names;
};

int passed_sockets_take(struct passed_sockets *ret);
void passed_sockets_done(struct passed_sockets *passed);

/* What was opened, as the log shows it. */
struct sockets_entry {
        enum transport_kind kind;
        bool inherited; /* from systemd */
        char *name;
};

struct sockets {
        struct listener_context listener_context;
        struct fifo_context fifo_context;
        struct listener_list listeners;
        struct fifo_list fifos;
        struct engine_config limits; /* for FIFOs, too */
        struct sockets_entry *entries;
        size_t n;
};

void sockets_init(struct sockets *s, sd_event *loop, struct engine *engine, struct report *report,
                  const struct engine_config *limits, rlim_t max_files);
/* New ones, which hold from now on. */
void sockets_set_limits(struct sockets *s, const struct engine_config *limits);
/* Each listener, until fn returns non-zero, which is returned. */
int sockets_foreach(const struct sockets *s,
                    int (*fn)(enum transport_kind kind, const char *name, bool inherited,
                              void *userdata),
                    void *userdata);
/* Closes all and removes the files that were made here. */
void sockets_done(struct sockets *s);

/* On failure error holds the line that says why. */
int sockets_add_passed(struct sockets *s, const struct passed_sockets *passed,
                       char error[SOCKETS_ERROR_MAX]);
int sockets_add_address(struct sockets *s, const char *text, char error[SOCKETS_ERROR_MAX]);
/* $XDG_RUNTIME_DIR/busrt/bus.sock, or /run/busrt/bus.sock for root without that variable. */
int sockets_add_default(struct sockets *s, char error[SOCKETS_ERROR_MAX]);
