/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors inside, for those that make them, serve their calls and end them (cursor.c,
 * cursor-call.c, cursor-end.c). The client's lock guards all of it.
 *
 * A cursor is listed, to be found by its id, until it expires or is closed. What the program has in
 * it is released when the items have ended, earlier: its id is then remembered for the rest of its
 * time, so that calls which were on their way hear of the end again.
 *
 * Its references: one while it is listed, one until it is released, one of its event where that is
 * queued, and the program's.
 */
#pragma once

#include <busrt/cursor.h>

#include "basic/table.h"
#include "client/internal.h"
#include "wire/cursor.h"

/* A client that opened cursors, under its primary name. */
struct cursor_owner {
        struct table_node node;
        LIST_HEAD(, busrt_cursor) cursors;
        size_t n_open;
        char name[];
};

STAILQ_HEAD(request_queue, busrt_request);

struct busrt_cursor {
        struct event event;
        bool queued;
        struct table_node node;
        LIST_ENTRY(busrt_cursor) of_owner, unreleased;
        RB_ENTRY(busrt_cursor) by_deadline;
        TAILQ_ENTRY(busrt_cursor) by_end;
        atomic_uint refs;
        busrt_client *client;
        struct cursor_owner *owner; /* NULL: it is not listed any more */
        bool ended;                 /* all items were given out */
        bool released;              /* the program's part */
        bool timed;                 /* in the tree of deadlines: nobody calls it now */
        uint64_t ttl, deadline;
        busrt_cursor_next_handler next;
        busrt_cursor_free_handler free_userdata;
        void *userdata;

        struct request_queue calls; /* the first is served */
        unsigned n_calls;
        bool asking;   /* from next's call until its answer is taken */
        bool answered; /* by busrt_cursor_continue(), and not taken yet */
        int answer;
        size_t n_put, n_put_before; /* items of the first call; as next was called last */
        struct output items;

        uint8_t id[CURSOR_ID_SIZE];
        char opener[]; /* its full name */
};

RB_HEAD(cursor_tree, busrt_cursor);
int cursor_compare(const busrt_cursor *a, const busrt_cursor *b);
RB_PROTOTYPE(cursor_tree, busrt_cursor, by_deadline, cursor_compare)
LIST_HEAD(cursor_list, busrt_cursor);
TAILQ_HEAD(cursor_queue, busrt_cursor);

struct cursors {
        struct table by_id, owners;
        struct cursor_tree deadlines;
        struct cursor_list unreleased;
        struct cursor_queue ended; /* the oldest first */
        size_t n_ended, n_open;
        size_t max_of_each, max_of_all, max_bulk;
        bool bound;
};

/* The client is locked in all of these, unless said otherwise. */

/* -ENOMEM. */
int cursors_make(busrt_client *c);
/* By its name or that of a secondary of it; or NULL. */
struct cursor_owner *owner_find(const struct cursors *cursors, const char *name);
/* -ENOENT, -EACCES. */
int cursor_find(busrt_client *c, const uint8_t id[CURSOR_ID_SIZE], const char *sender,
                busrt_cursor **ret);
/* Nobody calls it now: its time runs; or somebody does. */
void cursor_start_time(busrt_cursor *cursor);
void cursor_stop_time(busrt_cursor *cursor);
/* All was given out: from now on it only says so. */
void cursor_end(busrt_cursor *cursor);
/* It is found no more, and its calls are answered so, and put into done. Somebody is to release it,
 * unless next is asked still. */
void cursor_unlist(busrt_cursor *cursor, struct request_queue *done);
/* The same, and whoever processes the client releases it. */
void cursor_close(busrt_cursor *cursor, struct request_queue *done);
void cursor_queue_event(busrt_cursor *cursor);
/* Its program's part, if it has not been: without the lock. */
void cursor_release(busrt_cursor *cursor);
/* The first call has been answered. */
void cursor_call_over(busrt_cursor *cursor, struct request_queue *done);
/* Gives the references up, without the lock. */
void requests_unref(struct request_queue *requests);
