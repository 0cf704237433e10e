/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors, the side that gives out: how they end. Of one whose items have all been given out only
 * the id is left; such ones do not count, and the oldest of too many are forgotten.
 */
#include "client/cursor.h"

#define ENDED_MAX 1024 /* remembered */

void cursor_queue_event(busrt_cursor *cursor)
{
        if (cursor->queued)
                return;
        cursor->queued = true;
        cursor->event.number = 0;
        event_add(cursor->client, &busrt_cursor_ref(cursor)->event);
}

void cursor_release(busrt_cursor *cursor)
{
        busrt_client *c = cursor->client;
        bool released;

        pthread_mutex_lock(&c->lock);
        released = cursor->released;
        if (!released)
                LIST_REMOVE(cursor, unreleased);
        cursor->released = true;
        (void)client_unlock(c, 0);
        if (released)
                return;
        if (cursor->free_userdata)
                cursor->free_userdata(cursor->userdata);
        busrt_cursor_unref(cursor);
}

static void owner_put(struct cursors *cursors, struct cursor_owner *owner)
{
        if (!LIST_EMPTY(&owner->cursors))
                return;
        table_remove(&cursors->owners, &owner->node);
        free(owner);
}

void cursor_call_over(busrt_cursor *cursor, struct request_queue *done)
{
        busrt_request *request = STAILQ_FIRST(&cursor->calls);

        STAILQ_REMOVE_HEAD(&cursor->calls, of_cursor);
        STAILQ_INSERT_TAIL(done, request, of_cursor);
        cursor->n_calls--;
        cursor->n_put = 0;
        output_done(&cursor->items);
}

void requests_unref(struct request_queue *requests)
{
        busrt_request *request;

        while ((request = STAILQ_FIRST(requests))) {
                STAILQ_REMOVE_HEAD(requests, of_cursor);
                busrt_request_unref(request);
        }
}

void cursor_end(busrt_cursor *cursor)
{
        struct cursors *cursors = cursor->client->cursors;
        struct request_queue none = STAILQ_HEAD_INITIALIZER(none);

        if (cursor->ended || !cursor->owner)
                return;
        cursor->ended = true;
        cursor->owner->n_open--;
        cursors->n_open--;
        TAILQ_INSERT_TAIL(&cursors->ended, cursor, by_end);
        if (++cursors->n_ended > ENDED_MAX)
                cursor_unlist(TAILQ_FIRST(&cursors->ended), &none);
}

void cursor_unlist(busrt_cursor *cursor, struct request_queue *done)
{
        struct cursors *cursors = cursor->client->cursors;
        struct cursor_owner *owner = TAKE_PTR(cursor->owner);
        busrt_request *request;

        if (!owner)
                return;
        cursor_stop_time(cursor);
        table_remove(&cursors->by_id, &cursor->node);
        LIST_REMOVE(cursor, of_owner);
        if (cursor->ended) {
                TAILQ_REMOVE(&cursors->ended, cursor, by_end);
                cursors->n_ended--;
        } else {
                owner->n_open--;
                cursors->n_open--;
        }
        owner_put(cursors, owner);
        while ((request = STAILQ_FIRST(&cursor->calls))) {
                (void)request_fail(request, BUSRT_RPC_NOT_FOUND, NULL);
                cursor_call_over(cursor, done);
        }
        busrt_cursor_unref(cursor);
}

void cursor_close(busrt_cursor *cursor, struct request_queue *done)
{
        /* The last reference may go with the other. */
        if (cursor->owner && !cursor->released)
                cursor_queue_event(cursor);
        cursor_unlist(cursor, done);
}

/* --- With its client --- */

/* One that next is not asked for now; the program's part of it is taken. */
static busrt_cursor *take_unreleased(busrt_client *c)
{
        busrt_cursor *cursor;

        LIST_FOREACH (cursor, &c->cursors->unreleased, unreleased)
                if (!cursor->asking || cursor->answered)
                        return cursor;
        return NULL;
}

void cursors_end(busrt_client *c)
{
        struct request_queue done = STAILQ_HEAD_INITIALIZER(done);
        struct table_node *node;
        busrt_cursor *cursor = NULL;

        pthread_mutex_lock(&c->lock);
        while (c->cursors && (node = table_walk(&c->cursors->by_id, NULL)))
                cursor_unlist(container_of(node, busrt_cursor, node), &done);
        (void)client_unlock(c, 0);
        requests_unref(&done);
        do {
                pthread_mutex_lock(&c->lock);
                cursor = c->cursors ? take_unreleased(c) : NULL;
                (void)client_unlock(c, 0);
                if (cursor)
                        cursor_release(cursor);
        } while (cursor);
}

void cursors_free(struct cursors *cursors)
{
        if (!cursors)
                return;
        table_done(&cursors->by_id);
        table_done(&cursors->owners);
        free(cursors);
}

/* --- References --- */

PUBLIC busrt_cursor *busrt_cursor_ref(busrt_cursor *cursor)
{
        if (cursor)
                atomic_fetch_add_explicit(&cursor->refs, 1, memory_order_relaxed);
        return cursor;
}

PUBLIC busrt_cursor *busrt_cursor_unref(busrt_cursor *cursor)
{
        if (cursor && atomic_fetch_sub_explicit(&cursor->refs, 1, memory_order_acq_rel) == 1) {
                output_done(&cursor->items);
                client_unref(cursor->client);
                free(cursor);
        }
        return NULL;
}

/* --- By the program --- */

PUBLIC int busrt_cursor_close(busrt_cursor *cursor)
{
        struct request_queue done = STAILQ_HEAD_INITIALIZER(done);
        int r = client_lock(cursor ? cursor->client : NULL);

        if (r < 0)
                return r;
        cursor_close(cursor, &done);
        (void)client_unlock(cursor->client, 0);
        requests_unref(&done);
        return 0;
}

static ssize_t close_of(busrt_client *c, struct cursor_owner *owner, const char *opener,
                        struct request_queue *done)
{
        busrt_cursor *cursor, *next;
        ssize_t n = 0;

        /* With the last one the owner goes, too. */
        for (cursor = LIST_FIRST(&owner->cursors); cursor; cursor = next) {
                next = LIST_NEXT(cursor, of_owner);
                if (opener && !name_is_of(cursor->opener, opener))
                        continue;
                n += !cursor->ended;
                cursor_close(cursor, done);
        }
        return n;
}

PUBLIC ssize_t busrt_client_close_cursors(busrt_client *client, const char *opener)
{
        struct request_queue done = STAILQ_HEAD_INITIALIZER(done);
        struct cursor_owner *owner;
        struct table_node *node;
        ssize_t n = 0;
        int r = client_lock(client);

        if (r < 0)
                return r;
        if (opener && !opener[0])
                return client_unlock(client, -EINVAL);
        if (opener && client->cursors && (owner = owner_find(client->cursors, opener)))
                n = close_of(client, owner, opener, &done);
        while (!opener && client->cursors && (node = table_walk(&client->cursors->owners, NULL)))
                n += close_of(client, container_of(node, struct cursor_owner, node), NULL, &done);
        (void)client_unlock(client, 0);
        requests_unref(&done);
        return n;
}
