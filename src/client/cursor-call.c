/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors, the side that gives out: their calls. Those of one cursor are served one after the
 * other; who processes the client asks the program's next until a call has what it wants. Where
 * next answers later, the cursor's event brings the answer to whoever processes the client.
 */
#include "client/cursor.h"
#include "wire/rpc.h"

#define CALLS_MAX 65 /* of one cursor: the one that is served, and those that wait */

/* --- Serving. The client is locked. --- */

static int send_items(busrt_cursor *cursor, busrt_request *request)
{
        uint8_t head[CURSOR_ARRAY_HEAD_MAX];
        struct iovec iov[2];
        size_t n = 0;

        if (request->bulk)
                iov[n++] = (struct iovec){head,
                                          cursor_array_head_encode(head, (uint32_t)cursor->n_put)};
        if (cursor->n_put > 0)
                iov[n++] = (struct iovec){cursor->items.data + cursor->items.start,
                                          output_unsent(&cursor->items)};
        return request_reply(request, iov, n);
}

/* What next said, where it was asked: 0, or why the cursor has failed. Items that nobody waits for
 * any more are lost, and a cursor with a gap is worse than none. */
static int check_answer(const busrt_cursor *cursor, int answer)
{
        const busrt_request *request = STAILQ_FIRST(&cursor->calls);

        if (answer < 0)
                return answer;
        if (request && request->ended != 0)
                return -ECANCELED;
        if (answer == BUSRT_CURSOR_MORE && cursor->n_put > cursor->n_put_before)
                return 0;
        return answer == BUSRT_CURSOR_END ? 0 : BUSRT_RPC_INTERNAL;
}

/* The first call has its items, or the cursor no more of them: 0, or why they are lost. */
static int answer_call(busrt_cursor *cursor, busrt_request *request)
{
        int r = request->ended == 0 ? send_items(cursor, request) : 0;

        if (r < 0)
                request_fail_as(request, r);
        return r;
}

/* Goes as far as it can without asking next. True: it is to be asked, for so many. */
static bool settle(busrt_cursor *cursor, bool asked, int answer, struct request_queue *done,
                   size_t *ret_wanted)
{
        busrt_request *request;
        int error = asked ? check_answer(cursor, answer) : 0;

        if (error == 0 && asked && answer == BUSRT_CURSOR_END)
                cursor_end(cursor);
        while ((request = STAILQ_FIRST(&cursor->calls))) {
                if (error == 0 && !cursor->ended && request->ended == 0 &&
                    cursor->n_put < request->wanted) {
                        *ret_wanted = request->wanted - cursor->n_put;
                        return true;
                }
                if (error == 0)
                        error = answer_call(cursor, request);
                else if (request->ended == 0)
                        request_fail_as(request, error);
                cursor_call_over(cursor, done);
                if (error < 0)
                        break;
        }
        if (error < 0)
                cursor_unlist(cursor, done);
        else if (cursor->owner)
                cursor_start_time(cursor);
        return false;
}

/* The client is not locked, and this is whoever processes it. answer: what next has said, where it
 * was asked. */
static void serve(busrt_cursor *cursor, int answer)
{
        busrt_client *c = cursor->client;
        struct request_queue done = STAILQ_HEAD_INITIALIZER(done);
        bool asked, ask, over;
        size_t wanted;

        busrt_cursor_ref(cursor);
        do {
                pthread_mutex_lock(&c->lock);
                asked = cursor->asking;
                cursor->asking = cursor->answered = false;
                ask = settle(cursor, asked, answer, &done, &wanted);
                cursor->asking = ask;
                cursor->n_put_before = cursor->n_put;
                over = !ask && (!cursor->owner || cursor->ended);
                (void)client_unlock(c, 0);
                requests_unref(&done);
                if (ask)
                        answer = cursor->next(cursor, wanted, cursor->userdata);
        } while (ask && answer != BUSRT_CURSOR_LATER);
        if (over)
                cursor_release(cursor);
        busrt_cursor_unref(cursor);
}

void cursor_run(struct event *event)
{
        busrt_cursor *cursor = container_of(event, busrt_cursor, event);
        bool answered, over;
        int answer;

        pthread_mutex_lock(&cursor->client->lock);
        cursor->queued = false;
        answered = cursor->answered;
        answer = cursor->answer;
        over = !cursor->owner && !cursor->asking;
        (void)client_unlock(cursor->client, 0);
        if (answered)
                serve(cursor, answer);
        else if (over)
                cursor_release(cursor);
        busrt_cursor_unref(cursor);
}

void cursor_drop_event(struct event *event)
{
        busrt_cursor_unref(container_of(event, busrt_cursor, event));
}

/* --- Methods --- */

/* Puts the request behind the cursor's other calls. */
static int add_call(busrt_cursor *cursor, busrt_request *request, size_t wanted, bool bulk)
{
        if (cursor->n_calls >= CALLS_MAX)
                return -EBUSY;
        request->wanted = wanted;
        request->bulk = bulk;
        cursor->n_calls++;
        busrt_request_ref(request);
        STAILQ_INSERT_TAIL(&cursor->calls, request, of_cursor);
        cursor_stop_time(cursor);
        return 0;
}

static int find(busrt_client *c, busrt_request *request, struct cursor_payload *ret_params,
                busrt_cursor **ret)
{
        int r = cursor_payload_decode(request->params, request->len, ret_params);

        if (r < 0)
                return r;
        r = cursor_find(c, ret_params->id, request->frame->sender, ret);
        return r == -ENOENT ? BUSRT_RPC_NOT_FOUND : r;
}

static int take_call(busrt_client *c, busrt_request *request, bool bulk)
{
        struct cursor_payload params;
        busrt_cursor *cursor;
        bool first = false;
        int r;

        if (!busrt_request_wants_reply(request))
                return BUSRT_RPC_INVALID_REQUEST; /* the items would be lost */
        pthread_mutex_lock(&c->lock);
        r = find(c, request, &params, &cursor);
        if (r == 0 && bulk && params.count > c->cursors->max_bulk)
                r = BUSRT_RPC_INVALID_PARAMS;
        if (r == 0)
                r = add_call(cursor, request, bulk ? params.count : 1, bulk);
        if (r == 0 && cursor->n_calls == 1) {
                first = true;
                busrt_cursor_ref(cursor);
        }
        (void)client_unlock(c, 0);
        if (first) {
                serve(cursor, BUSRT_CURSOR_MORE);
                busrt_cursor_unref(cursor);
        }
        return r;
}

static int method_next(busrt_client *c, busrt_request *request, void *userdata)
{
        return take_call(c, request, false);
}

static int method_next_bulk(busrt_client *c, busrt_request *request, void *userdata)
{
        return take_call(c, request, true);
}

static int method_cancel(busrt_client *c, busrt_request *request, void *userdata)
{
        struct request_queue done = STAILQ_HEAD_INITIALIZER(done);
        struct cursor_payload params;
        busrt_cursor *cursor;
        int r;

        pthread_mutex_lock(&c->lock);
        r = find(c, request, &params, &cursor);
        if (r == 0)
                cursor_close(cursor, &done);
        (void)client_unlock(c, 0);
        requests_unref(&done);
        return r < 0 ? r : busrt_request_reply(request, NULL, 0);
}

PUBLIC int busrt_client_add_cursor_methods(busrt_client *client,
                                           const busrt_cursor_methods *methods)
{
        busrt_method list[3];
        size_t n = 0;

        if (client && client_forked(client))
                return -ECHILD;
        if (!client || !methods)
                return -EINVAL;
        if (methods->next)
                list[n++] = (busrt_method){methods->next, method_next, NULL, 0};
        if (methods->next_bulk)
                list[n++] = (busrt_method){methods->next_bulk, method_next_bulk, NULL, 0};
        if (methods->cancel)
                list[n++] = (busrt_method){methods->cancel, method_cancel, NULL, 0};
        return busrt_client_add_methods(client, list, n);
}

/* --- The program's part. --- */

/* May something be put? What became of who asked. */
static int check_asking(const busrt_cursor *cursor)
{
        const busrt_request *request = STAILQ_FIRST(&cursor->calls);

        if (!cursor->asking || cursor->answered)
                return -EALREADY;
        if (cursor->client->gone)
                return -ECONNRESET;
        if (!cursor->owner || !request)
                return -ECANCELED;
        if (request->ended != 0)
                return request->ended == -EALREADY ? -ECANCELED : request->ended;
        return cursor->n_put < request->wanted ? 0 : -ENOSPC;
}

static int put(busrt_cursor *cursor, const struct iovec *iov, size_t n_iov)
{
        struct output *items = &cursor->items;
        size_t len = 0, before = output_unsent(items), room;
        int r = check_asking(cursor);

        if (r < 0)
                return r;
        room = cursor->client->max_frame - MIN(cursor->client->max_frame, before);
        for (size_t i = 0; i < n_iov; i++) {
                if (iov[i].iov_len > 0 && !iov[i].iov_base)
                        return -EINVAL;
                if (iov[i].iov_len > room - len)
                        return -EMSGSIZE;
                len += iov[i].iov_len;
        }
        if (len == 0)
                return -EINVAL; /* which would be the end */
        r = output_append(items, iov, n_iov, len);
        if (r < 0)
                return r;
        if (STAILQ_FIRST(&cursor->calls)->bulk &&
            !cursor_is_value(items->data + items->end - len, len)) {
                items->end -= len;
                return -EBADMSG;
        }
        cursor->n_put++;
        return 0;
}

PUBLIC int busrt_cursor_put(busrt_cursor *cursor, const struct iovec *iov, size_t n_iov)
{
        int r = client_lock(cursor ? cursor->client : NULL);

        if (r < 0)
                return r;
        r = iov && n_iov > 0 ? put(cursor, iov, n_iov) : -EINVAL;
        return client_unlock(cursor->client, r);
}

PUBLIC int busrt_cursor_continue(busrt_cursor *cursor, int answer)
{
        busrt_client *c = cursor ? cursor->client : NULL;
        int r = client_lock(c);

        if (r < 0)
                return r;
        if (answer == BUSRT_CURSOR_LATER || answer > BUSRT_CURSOR_MORE)
                return client_unlock(c, -EINVAL);
        if (!cursor->asking || cursor->answered)
                return client_unlock(c, -EALREADY);
        if (c->gone) {
                cursor->asking = false;
                (void)client_unlock(c, 0);
                cursor_release(cursor);
                return -ECONNRESET;
        }
        cursor->answered = true;
        cursor->answer = answer;
        cursor_queue_event(cursor);
        return client_unlock(c, 0);
}
