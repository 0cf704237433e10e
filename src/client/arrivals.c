/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has arrived and waits: events for handlers, in their order, and the inbox, which is read.
 * Which of the two a frame goes to depends on the handlers that are set.
 */
#include "client/internal.h"
#include "wire/rpc.h"

/* --- The queues --- */

/* Keeps its number when it is sorted again. */
static void number(busrt_client *c, struct event *event)
{
        if (event->number == 0)
                event->number = ++c->n_arrived;
}

void event_add(busrt_client *c, struct event *event)
{
        number(c, event);
        STAILQ_INSERT_TAIL(&c->events, event, link);
        client_wake_loop(c);
}

bool events_wait(const busrt_client *c)
{
        return !STAILQ_EMPTY(&c->events) || (c->state == BUSRT_STATE_CLOSED && !c->told_closed);
}

void events_tell_connected(busrt_client *c)
{
        if (!c->connected_queued) {
                c->connected_queued = c->tell_connected = true;
                c->connected_event = (struct event){.kind = EVENT_CONNECTED};
                event_add(c, &c->connected_event);
        } else if (c->lost_queued && c->lost_event.number > c->connected_event.number)
                c->tell_back = true;
        else
                c->tell_connected = true;
}

void events_tell_lost(busrt_client *c)
{
        c->tell_back = false;
        if (!c->lost_queued) {
                c->lost_queued = true;
                c->lost_event = (struct event){.kind = EVENT_LOST};
                event_add(c, &c->lost_event);
        } else if (c->connected_queued && c->connected_event.number > c->lost_event.number)
                c->tell_connected = false; /* one absence, to who hears of it only now */
}

int frame_sort(busrt_client *c, busrt_frame *f)
{
        struct rpc_message m;

        f->event.kind = EVENT_FRAME;
        if (f->kind == BUSRT_KIND_MESSAGE && rpc_decode(f->payload, f->len, &m)) {
                if (m.kind == RPC_REQUEST && (c->on_request || methods_any(c)))
                        return request_receive(c, f, &m);
                if (m.kind == RPC_NOTIFICATION && c->on_notification)
                        f->event.kind = EVENT_NOTIFICATION;
        }
        c->queued += f->charge;
        if (f->event.kind == EVENT_FRAME && !c->on_frame && !topic_handlers_want(c, f)) {
                number(c, &f->event);
                STAILQ_INSERT_TAIL(&c->inbox, &f->event, link);
        } else
                event_add(c, &f->event);
        return 0;
}

/* Both are in the order of arrival, and so is what they become. */
static void merge(struct event_queue *into, struct event_queue *a, struct event_queue *b)
{
        while (!STAILQ_EMPTY(a) && !STAILQ_EMPTY(b)) {
                struct event *first_a = STAILQ_FIRST(a), *first_b = STAILQ_FIRST(b);
                struct event_queue *from = first_a->number < first_b->number ? a : b;
                struct event *first = STAILQ_FIRST(from);

                STAILQ_REMOVE_HEAD(from, link);
                STAILQ_INSERT_TAIL(into, first, link);
        }
        STAILQ_CONCAT(into, a);
        STAILQ_CONCAT(into, b);
}

int frames_sort_again(busrt_client *c)
{
        struct event_queue old = STAILQ_HEAD_INITIALIZER(old);
        struct event *event;
        int r = 0;

        merge(&old, &c->inbox, &c->events);
        while ((event = STAILQ_FIRST(&old))) {
                busrt_frame *f = container_of(event, busrt_frame, event);

                STAILQ_REMOVE_HEAD(&old, link);
                if (event->kind != EVENT_FRAME && event->kind != EVENT_NOTIFICATION) {
                        event_add(c, event);
                        continue;
                }
                c->queued -= MIN(c->queued, f->charge);
                if (frame_sort(c, f) < 0) {
                        r = -ENOMEM;
                        c->queued += f->charge;
                        STAILQ_INSERT_TAIL(&c->inbox, event, link);
                }
        }
        return r;
}

/* Nobody will handle it. */
static void event_drop(busrt_client *c, struct event *event)
{
        switch (event->kind) {
        case EVENT_FRAME:
        case EVENT_NOTIFICATION:
                busrt_frame_unref(container_of(event, busrt_frame, event));
                break;
        case EVENT_REQUEST:
        case EVENT_REQUEST_END:
                request_drop(container_of(event, busrt_request, event));
                break;
        case EVENT_OP:
                busrt_op_unref(container_of(event, busrt_op, event));
                break;
        case EVENT_CALL:
                busrt_call_unref(container_of(event, busrt_call, event));
                break;
        case EVENT_CURSOR:
                cursor_drop_event(event);
                break;
        case EVENT_CONNECTED:
                c->connected_queued = false;
                break;
        case EVENT_LOST:
                c->lost_queued = false;
                break;
        }
}

static void queue_drop(busrt_client *c, struct event_queue *queue)
{
        struct event *event;

        while ((event = STAILQ_FIRST(queue))) {
                STAILQ_REMOVE_HEAD(queue, link);
                event_drop(c, event);
        }
}

void events_drop(busrt_client *c)
{
        queue_drop(c, &c->events);
        queue_drop(c, &c->inbox);
        c->queued = 0;
}

/* --- Setting handlers --- */

PUBLIC int busrt_client_set_state_handler(busrt_client *client, busrt_state_handler handler,
                                          void *userdata)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        client->on_state = handler;
        client->on_state_data = userdata;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_frame_handler(busrt_client *client, busrt_frame_handler handler,
                                          void *userdata)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        client->on_frame = handler;
        client->on_frame_data = userdata;
        atomic_fetch_add(&client->handlers_version, 1);
        return client_unlock(client, frames_sort_again(client));
}

PUBLIC int busrt_client_set_notification_handler(busrt_client *client,
                                                 busrt_notification_handler handler, void *userdata)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        client->on_notification = handler;
        client->on_notification_data = userdata;
        atomic_fetch_add(&client->handlers_version, 1);
        return client_unlock(client, frames_sort_again(client));
}

PUBLIC int busrt_client_set_request_handler(busrt_client *client, busrt_request_handler handler,
                                            void *userdata)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        client->on_request = handler;
        client->on_request_data = userdata;
        atomic_fetch_add(&client->handlers_version, 1);
        return client_unlock(client, frames_sort_again(client));
}

/* --- Reading without handlers --- */

static bool inbox_has_one(const busrt_client *c, const void *arg)
{
        return !STAILQ_EMPTY(&c->inbox);
}

static int read_frame(busrt_client *c, uint64_t timeout, busrt_frame **ret)
{
        busrt_frame *frame;
        int r = 0;

        if (c->state == BUSRT_STATE_NEW || c->state == BUSRT_STATE_CONNECTING)
                return -ENOTCONN;
        if (!inbox_has_one(c, NULL))
                r = client_wait_for(c, inbox_has_one, NULL, client_deadline(c, timeout));
        if (r < 0)
                return r == -ETIMEDOUT && timeout == 0 ? -EAGAIN : r;
        frame = container_of(STAILQ_FIRST(&c->inbox), busrt_frame, event);
        STAILQ_REMOVE_HEAD(&c->inbox, link);
        c->queued -= MIN(c->queued, frame->charge);
        client_update_interest(c);
        *ret = frame;
        return 0;
}

PUBLIC int busrt_client_read(busrt_client *client, uint64_t timeout, busrt_frame **ret)
{
        int r;

        if (!ret)
                return client && client_forked(client) ? -ECHILD : -EINVAL;
        r = client_lock(client);
        return r < 0 ? r : client_unlock(client, read_frame(client, timeout, ret));
}
