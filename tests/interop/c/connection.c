/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <bsd/sys/queue.h>
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <busrt/rpc.h>

#include "basic/macro.h"
#include "cursors.h"

#define SECOND 1000000
#define TIMEOUT (10 * SECOND) /* only a ceiling, so that a busy machine fails nothing */

struct connection {
        LIST_ENTRY(connection) link;
        char *handle;
        busrt_client *client;
        pthread_t thread;
};

static LIST_HEAD(, connection) connections = LIST_HEAD_INITIALIZER(connections);

static struct connection *find(const char *handle)
{
        struct connection *c;

        LIST_FOREACH (c, &connections, link)
                if (strcmp(c->handle, handle) == 0)
                        return c;
        return NULL;
}

busrt_client *connection_client(json_object *order, const char *key)
{
        struct connection *c = find(order_text(order, key));

        if (!c)
                errx(EXIT_FAILURE, "no connection %s", order_text(order, key));
        return c->client;
}

/* --- What arrives --- */

static json_object *event_new(const char *event, const char *handle)
{
        json_object *o = json_object_new_object();

        json_object_object_add(o, "ev", json_object_new_string(event));
        json_object_object_add(o, "h", json_object_new_string(handle));
        return o;
}

static json_object *delivery_new(const char *event, const char *handle, const char *sender,
                                 const void *payload, size_t len)
{
        json_object *o = event_new(event, handle);

        json_object_object_add(o, "sender", json_object_new_string(sender));
        json_object_object_add(o, "payload", payload_describe(payload, len));
        return o;
}

static const char *kind_text(enum busrt_kind kind)
{
        switch (kind) {
        case BUSRT_KIND_MESSAGE:
                return "message";
        case BUSRT_KIND_BROADCAST:
                return "broadcast";
        case BUSRT_KIND_PUBLICATION:
                return "publish";
        default:
                return "other";
        }
}

static void on_frame(busrt_client *client, busrt_frame *frame, void *handle)
{
        size_t len;
        const void *payload = busrt_frame_get_payload(frame, &len);
        const char *topic = busrt_frame_get_topic(frame);
        json_object *o = delivery_new("frame", handle, busrt_frame_get_sender(frame), payload, len);

        json_object_object_add(o, "kind",
                               json_object_new_string(kind_text(busrt_frame_get_kind(frame))));
        json_object_object_add(o, "topic", topic ? json_object_new_string(topic) : NULL);
        json_object_object_add(o, "realtime",
                               json_object_new_boolean(busrt_frame_is_realtime(frame)));
        say(o);
}

static void on_notification(busrt_client *client, const char *sender, const void *payload,
                            size_t len, void *handle)
{
        say(delivery_new("notification", handle, sender, payload, len));
}

/* --- The RPC server of every client program: "echo" returns its parameters, "none" nothing, "fail"
 * an error; anything else is no method. Its calls are events. --- */

static void tell_call(busrt_request *request, const char *handle)
{
        size_t len;
        const void *params = busrt_request_get_params(request, &len);
        json_object *o =
                delivery_new("call", handle, busrt_request_get_sender(request), params, len);

        json_object_object_add(o, "method",
                               json_object_new_string(busrt_request_get_method(request)));
        json_object_object_add(o, "reply",
                               json_object_new_boolean(busrt_request_wants_reply(request)));
        say(o);
}

static int method_echo(busrt_client *client, busrt_request *request, void *handle)
{
        size_t len;
        const void *params = busrt_request_get_params(request, &len);

        tell_call(request, handle);
        return busrt_request_reply(request, &(struct iovec){(void *)params, len}, 1);
}

static int method_none(busrt_client *client, busrt_request *request, void *handle)
{
        tell_call(request, handle);
        return busrt_request_reply(request, NULL, 0);
}

static int method_fail(busrt_client *client, busrt_request *request, void *handle)
{
        static const char refusal[] = "refused by the server";

        tell_call(request, handle);
        return busrt_request_reply_error(request, -777, refusal, strlen(refusal));
}

static void on_other_request(busrt_client *client, busrt_request *request, void *handle)
{
        tell_call(request, handle);
        (void)busrt_request_reply_error(request, BUSRT_RPC_METHOD_NOT_FOUND, NULL, 0);
}

/* --- What libbusrt answers by itself: an -errno, a deadline; "test" and "info" besides --- */

static int method_errno(busrt_client *client, busrt_request *request, void *handle)
{
        return -EACCES;
}

static void drop(busrt_client *client, busrt_request *request, int result, void *handle)
{
        busrt_request_unref(request);
}

static int method_late(busrt_client *client, busrt_request *request, void *handle)
{
        int r = busrt_request_set_end_handler(request, drop, handle);

        if (r >= 0)
                busrt_request_ref(request);
        return r;
}

static int add_methods(struct connection *c)
{
        const busrt_method methods[] = {
                {"echo", method_echo, c->handle, 0},        {"none", method_none, c->handle, 0},
                {"fail", method_fail, c->handle, 0},        {"errno", method_errno, NULL, 0},
                {"late", method_late, NULL, SECOND / 1000},
        };
        int r = busrt_client_add_methods(c->client, methods, ARRAY_SIZE(methods));

        if (r >= 0)
                r = cursors_serve(c->client);
        return r < 0 ? r : busrt_client_add_info(c->client, "busrt", "interop", "1");
}

static void on_log(busrt_client *client, enum busrt_log_level level, const char *text, void *handle)
{
        json_object *o;

        if (level > BUSRT_LOG_WARNING)
                return;
        o = event_new("log", handle);
        json_object_object_add(o, "text", json_object_new_string(text));
        say(o);
}

/* --- Coming and going --- */

static void *run(void *userdata)
{
        struct connection *c = userdata;

        (void)busrt_client_run(c->client);
        say(event_new("gone", c->handle));
        return NULL;
}

static struct connection *connection_free(struct connection *c)
{
        if (!c)
                return NULL;
        busrt_client_free(c->client);
        free(c->handle);
        free(c);
        return NULL;
}

static void connection_freep(struct connection **c)
{
        connection_free(*c);
}

static int set_handlers(struct connection *c, bool rpc)
{
        int r;

        r = busrt_client_set_log_handler(c->client, on_log, c->handle);
        if (r >= 0)
                r = busrt_client_set_frame_handler(c->client, on_frame, c->handle);
        if (r >= 0 && rpc)
                r = busrt_client_set_notification_handler(c->client, on_notification, c->handle);
        if (r >= 0 && rpc)
                r = busrt_client_set_request_handler(c->client, on_other_request, c->handle);
        if (r >= 0 && rpc)
                r = add_methods(c);
        return r;
}

/* Takes the client. */
static int start(const char *handle, busrt_client *client, const char *path, bool rpc)
{
        _cleanup_(connection_freep) struct connection *c = calloc(1, sizeof(*c));
        int r;

        if (!c || !(c->handle = strdup(handle)))
                err(EXIT_FAILURE, NULL);
        c->client = client;
        r = set_handlers(c, rpc);
        if (r >= 0)
                r = busrt_client_connect(c->client, path);
        if (r < 0)
                return r;
        r = pthread_create(&c->thread, NULL, run, c);
        if (r != 0)
                return -r;
        LIST_INSERT_HEAD(&connections, c, link);
        c = NULL;
        return 0;
}

static void stop(struct connection *c)
{
        (void)busrt_client_disconnect(c->client);
        (void)pthread_join(c->thread, NULL);
        LIST_REMOVE(c, link);
        connection_free(c);
}

/* A client that is not connected, with the settings of an order. */
static int make_client(json_object *order, busrt_client **ret)
{
        double ping = order_seconds(order, "ping_interval");
        busrt_client *c;
        int r;

        r = busrt_client_new(order_text(order, "name"), &c);
        if (r < 0)
                return r;
        r = busrt_client_set_timeout(c, TIMEOUT);
        if (r >= 0 && ping >= 0)
                r = busrt_client_set_ping_interval(c, (uint64_t)(ping * SECOND));
        if (r < 0) {
                busrt_client_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

json_object *connection_open(json_object *order)
{
        busrt_client *client;
        int r;

        r = make_client(order, &client);
        if (r >= 0)
                r = start(order_text(order, "h"), client, order_text(order, "path"),
                          order_flag(order, "rpc"));
        return r < 0 ? answer_failure(r) : json_object_new_object();
}

json_object *connection_open_secondary(json_object *order)
{
        busrt_client *primary = connection_client(order, "of"), *client;
        json_object *o;
        int r;

        r = busrt_client_new_secondary(primary, NULL, &client);
        if (r >= 0)
                r = start(order_text(order, "h"), client, busrt_client_get_address(primary), false);
        if (r < 0)
                return answer_failure(r);
        o = json_object_new_object();
        json_object_object_add(o, "name", json_object_new_string(busrt_client_get_name(client)));
        return o;
}

/* Gives a name up and takes it again at once, many times. */
json_object *connection_reopen(json_object *order)
{
        for (unsigned i = 0; i < order_number(order, "rounds"); i++) {
                busrt_client *client;
                int r;

                r = make_client(order, &client);
                if (r >= 0) {
                        r = busrt_client_connect(client, order_text(order, "path"));
                        busrt_client_free(client);
                }
                if (r < 0)
                        return answer_failure(r);
        }
        return connection_open(order);
}

json_object *connection_close(json_object *order)
{
        struct connection *c = find(order_text(order, "h"));

        if (c)
                stop(c);
        return json_object_new_object();
}

void connections_close(void)
{
        while (!LIST_EMPTY(&connections))
                stop(LIST_FIRST(&connections));
}
