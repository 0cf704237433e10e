/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the worker cannot do itself, on its way to the host's thread: calls to be answered there,
 * and what is to be told in the log. A list behind a lock, bounded, and an eventfd that is readable
 * while there is something on it. Only the worker adds, so the room that it saw stays.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ERRAND_NAME_MAX 128
#define ERRAND_LEVEL_MAX 16
/* Calls that wait for their answer, of all and of one session. */
#define ERRAND_CALLS_MAX 64
#define ERRAND_CALLS_MAX_ONE 8
/* Records that wait to be told, of each kind: those who are refused take no room of those who may.
 */
#define ERRAND_DENIED_MAX 256
#define ERRAND_GRANTED_MAX 64

enum errand_kind {
        /* calls */
        ERRAND_RELOAD,
        ERRAND_SETTINGS,
        ERRAND_STATUS,
        ERRAND_LOG_LEVEL,
        /* records */
        ERRAND_DENIED,
        ERRAND_GRANTED,
};

struct errand {
        STAILQ_ENTRY(errand) link;
        enum errand_kind kind;

        uint64_t session; /* who called */
        uint32_t id;      /* of the call; 0: no answer is wanted */
        bool realtime;

        const char *action;              /* polkit's name of it, static */
        char what[ERRAND_NAME_MAX + 64]; /* `disconnect client "a"` */
        char client[ERRAND_NAME_MAX];    /* whom it is about; "" */
        char sender[ERRAND_NAME_MAX];    /* the caller's name */
        char source[64];                 /* and address, on TCP */
        bool has_uid;
        uid_t uid;
        pid_t pid;

        char level[ERRAND_LEVEL_MAX]; /* LOG_LEVEL: "" asks, all else sets */
};

/* To be told in the log; else a call to be answered. */
bool errand_is_record(enum errand_kind kind);

struct errands {
        pthread_mutex_t lock;
        STAILQ_HEAD(, errand) list;
        size_t n_calls, n_denied, n_granted;
        bool missed; /* a record found no room */
        int fd;
};

int errands_init(struct errands *e);
void errands_done(struct errands *e);

/* On the worker. */
bool errands_have_room(struct errands *e, enum errand_kind kind, uint64_t session);
/* Takes it over. Where there is no room a record is freed, and that is noted. */
void errands_post(struct errands *e, struct errand *errand);

/* On the host's thread. The oldest, or NULL. *ret_missed: records were lost before it. */
struct errand *errands_take(struct errands *e, bool *ret_missed);
