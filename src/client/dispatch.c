/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busrt_client_process(): one turn of input, output and time, and then the handlers of a batch of
 * what had come, without the lock.
 */
#include "client/internal.h"

/* --- Handlers --- */

/* Those of frames, as they were when the batch, or the last change, began. */
struct handlers {
        unsigned version;
        busrt_frame_handler on_frame;
        void *on_frame_data;
        busrt_notification_handler on_notification;
        void *on_notification_data;
        busrt_request_handler on_request;
        void *on_request_data;
        bool has_topics;
};

static void get_handlers(busrt_client *c, struct handlers *ret)
{
        *ret = (struct handlers){
                atomic_load(&c->handlers_version),
                c->on_frame,
                c->on_frame_data,
                c->on_notification,
                c->on_notification_data,
                c->on_request,
                c->on_request_data,
                topic_handlers_any(c),
        };
}

/* What is done with the events of a batch that ran. */
struct batch {
        struct handlers handlers;
        struct event_queue todo;
        struct event_queue done;   /* frames, to be recycled */
        struct event_queue unread; /* frames for the inbox */
        size_t released;           /* bytes of frames that are no longer queued */
};

/* False: there is none for it. */
static bool call_handler(busrt_client *c, const struct handlers *h, busrt_frame *f)
{
        if (f->event.kind == EVENT_NOTIFICATION && h->on_notification) {
                h->on_notification(c, f->sender, f->payload + 1, f->len - 1,
                                   h->on_notification_data);
                return true;
        }
        if (h->has_topics && f->kind == BUSRT_KIND_PUBLICATION && topic_handlers_run(c, f))
                return true;
        if (h->on_frame)
                h->on_frame(c, f, h->on_frame_data);
        return h->on_frame != NULL;
}

static void run_frame(busrt_client *c, struct batch *b, struct event *event)
{
        busrt_frame *f = container_of(event, busrt_frame, event);

        if (!call_handler(c, &b->handlers, f)) {
                event->kind = EVENT_FRAME;
                STAILQ_INSERT_TAIL(&b->unread, event, link);
                return;
        }
        b->released += f->charge;
        STAILQ_INSERT_TAIL(&b->done, event, link);
}

static void run_request(struct batch *b, struct event *event)
{
        busrt_request *request = container_of(event, busrt_request, event);

        b->released += request->frame->charge;
        request_run(request, b->handlers.on_request, b->handlers.on_request_data);
        busrt_request_unref(request);
}

static void run_op(busrt_client *c, struct event *event)
{
        busrt_op *op = container_of(event, busrt_op, event);
        busrt_op_handler handler;
        void *data;
        int result;

        pthread_mutex_lock(&c->lock);
        handler = op->handler;
        data = op->userdata;
        result = op->result;
        op->queued = false;
        op->handled = handler != NULL;
        pthread_mutex_unlock(&c->lock);
        if (handler)
                handler(op, result, data);
        busrt_op_unref(op);
}

static void run_call(busrt_client *c, struct event *event)
{
        busrt_call *call = container_of(event, busrt_call, event);
        bool wanted;

        pthread_mutex_lock(&c->lock);
        wanted = call->state == CALL_ENDED;
        if (wanted)
                call->state = CALL_HANDLED;
        pthread_mutex_unlock(&c->lock);
        if (wanted)
                call->handler(c, call->result, call->result == -EREMOTEIO ? &call->error : NULL,
                              call->reply, call->userdata);
        busrt_call_unref(call);
}

static void tell(busrt_client *c, enum busrt_state state, int error)
{
        busrt_state_handler handler;
        void *data;

        pthread_mutex_lock(&c->lock);
        handler = c->on_state;
        data = c->on_state_data;
        (void)client_unlock(c, 0);
        if (handler)
                handler(c, state, error, data);
}

static void run_connected(busrt_client *c)
{
        bool wanted;

        pthread_mutex_lock(&c->lock);
        wanted = c->tell_connected;
        c->connected_queued = false;
        pthread_mutex_unlock(&c->lock);
        if (wanted)
                tell(c, BUSRT_STATE_CONNECTED, 0);
}

static void run_lost(busrt_client *c)
{
        bool back;
        int reason;

        pthread_mutex_lock(&c->lock);
        back = c->tell_back;
        reason = c->reconnect.lost_by;
        c->lost_queued = false;
        pthread_mutex_unlock(&c->lock);
        tell(c, BUSRT_STATE_RECONNECTING, reason);
        if (back && !c->freed)
                tell(c, BUSRT_STATE_CONNECTED, 0);
}

static void run_event(busrt_client *c, struct batch *b, struct event *event)
{
        switch (event->kind) {
        case EVENT_FRAME:
        case EVENT_NOTIFICATION:
                run_frame(c, b, event);
                break;
        case EVENT_REQUEST:
                run_request(b, event);
                break;
        case EVENT_REQUEST_END:
                request_tell_end(container_of(event, busrt_request, event));
                break;
        case EVENT_OP:
                run_op(c, event);
                break;
        case EVENT_CALL:
                run_call(c, event);
                break;
        case EVENT_CURSOR:
                cursor_run(event);
                break;
        case EVENT_CONNECTED:
                run_connected(c);
                break;
        case EVENT_LOST:
                run_lost(c);
                break;
        }
}

/* --- A batch --- */

static void take_batch(busrt_client *c, struct batch *ret)
{
        get_handlers(c, &ret->handlers);
        STAILQ_INIT(&ret->todo);
        STAILQ_INIT(&ret->done);
        STAILQ_INIT(&ret->unread);
        ret->released = 0;
        for (unsigned i = 0; i < DISPATCH_BATCH && !STAILQ_EMPTY(&c->events); i++) {
                struct event *event = STAILQ_FIRST(&c->events);

                STAILQ_REMOVE_HEAD(&c->events, link);
                STAILQ_INSERT_TAIL(&ret->todo, event, link);
        }
}

static void run_batch(busrt_client *c, struct batch *b)
{
        struct event *event;

        while (!c->freed && (event = STAILQ_FIRST(&b->todo))) {
                STAILQ_REMOVE_HEAD(&b->todo, link);
                c->more_follows = !STAILQ_EMPTY(&b->todo);
                if (unlikely(atomic_load_explicit(&c->handlers_version, memory_order_acquire) !=
                             b->handlers.version)) {
                        pthread_mutex_lock(&c->lock);
                        get_handlers(c, &b->handlers);
                        pthread_mutex_unlock(&c->lock);
                }
                run_event(c, b, event);
        }
}

static void end_batch(busrt_client *c, struct batch *b)
{
        struct event *event;

        while ((event = STAILQ_FIRST(&b->done))) {
                STAILQ_REMOVE_HEAD(&b->done, link);
                frame_recycle(c, container_of(event, busrt_frame, event));
        }
        /* They came before all that is there by now. */
        STAILQ_CONCAT(&b->unread, &c->inbox);
        STAILQ_CONCAT(&c->inbox, &b->unread);
        c->queued -= MIN(c->queued, b->released);
        /* Those that no handler ran for, because one freed the client. */
        STAILQ_CONCAT(&b->todo, &c->events);
        STAILQ_CONCAT(&c->events, &b->todo);
}

/* The last that there is to tell. */
static bool tell_closed(busrt_client *c)
{
        int error = c->error;

        if (c->state != BUSRT_STATE_CLOSED || c->told_closed || !STAILQ_EMPTY(&c->events))
                return false;
        c->told_closed = true;
        pthread_mutex_unlock(&c->lock);
        tell(c, BUSRT_STATE_CLOSED, error);
        pthread_mutex_lock(&c->lock);
        return true;
}

/* True: handlers ran. */
static bool dispatch(busrt_client *c)
{
        struct batch batch;
        bool ran = false;

        if (c->dispatching || !events_wait(c))
                return false;
        c->dispatching = true;
        c->dispatcher = pthread_self();
        take_batch(c, &batch);
        if (!STAILQ_EMPTY(&batch.todo)) {
                (void)client_unlock(c, 0);
                run_batch(c, &batch);
                pthread_mutex_lock(&c->lock);
                ran = true;
        }
        c->more_follows = false;
        end_batch(c, &batch);
        if (!c->freed)
                ran |= tell_closed(c);
        c->dispatching = false;
        if (output_is_due(c))
                (void)output_write(c);
        return ran;
}

/* --- Processing --- */

/* What was read last is handled first, while it is warm, unless somebody else waits for what comes.
 */
static bool may_read(const busrt_client *c)
{
        if (events_wait(c) && !c->dispatching && c->callers == 0)
                return false;
        return c->fd >= 0 && !c->connecting.pending && c->queued < c->receive_buffer;
}

static int turn(busrt_client *c)
{
        bool did = false;
        int r = 0;

        client_loop_awake(c);
        if (c->connecting.pending && reader_enter(c)) {
                connect_continue(c);
                reader_leave(c);
        }
        did |= client_keep_time(c);
        if (output_is_due(c))
                did |= output_write(c);
        if (may_read(c) && reader_enter(c)) {
                r = input_read(c);
                reader_leave(c);
        }
        did |= r > 0;
        did |= dispatch(c);
        client_update_interest(c);
        if (r < 0)
                return r;
        if (did || (events_wait(c) && !c->dispatching))
                return 1;
        return c->state == BUSRT_STATE_CLOSED ? c->error : 0;
}

/* A handler freed the client, and has returned. */
static void free_now(busrt_client *c)
{
        c->freed = false;
        (void)client_unlock(c, 0);
        busrt_client_free(c);
}

PUBLIC int busrt_client_process(busrt_client *client)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        if (client_in_handler(client) || client->state == BUSRT_STATE_NEW)
                return client_unlock(client, client_in_handler(client) ? -EDEADLK : -ENOTCONN);
        client_ref(client);
        r = turn(client);
        if (client->freed) {
                r = client->error;
                free_now(client);
        } else {
                if (events_wait(client) && !client->dispatching)
                        client_wake_loop(client);
                (void)client_unlock(client, 0);
        }
        client_unref(client);
        return r;
}
