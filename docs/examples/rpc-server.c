/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offers methods to the other clients of the bus.
 *
 *      rpc-server NAME
 *
 *      add {a, b}      {sum: a + b}
 *      wait            answered when somebody calls wake: a reply may come later
 *      wake            {woken: whether somebody waited}
 *      test, info      as all services have them
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <busrt/msgpack.h>
#include <busrt/rpc.h>
#include <busrt/topics.h>

#define WAIT_AT_MOST (60 * 1000000ull)

struct server {
        busrt_request *waiting;
};

static int reply(busrt_request *request, busrt_params *result)
{
        const struct iovec *iov;
        int n = busrt_params_get(result, &iov);

        return n < 0 ? n : busrt_request_reply(request, iov, (size_t)n);
}

/* --- Methods. What they return instead of a reply is an error reply, too. --- */

static int add(busrt_request *request, const msgpack_object *params)
{
        static const char wrong[] = "a and b: two integers";
        busrt_params result = BUSRT_PARAMS_INIT;
        int64_t a, b, sum;
        int r;

        if (busrt_map_get_int(params, "a", &a) < 0 || busrt_map_get_int(params, "b", &b) < 0 ||
            __builtin_add_overflow(a, b, &sum))
                return busrt_request_reply_error(request, BUSRT_RPC_INVALID_PARAMS, wrong,
                                                 strlen(wrong));
        busrt_params_add_int(&result, "sum", sum);
        r = reply(request, &result);
        busrt_params_done(&result);
        return r;
}

static int method_add(busrt_client *client, busrt_request *request, void *userdata)
{
        msgpack_unpacked params;
        size_t len;
        const void *data = busrt_request_get_params(request, &len);
        int r;

        r = busrt_unpack(data, len, &params);
        if (r < 0)
                return r; /* -EBADMSG: the caller gets BUSRT_RPC_PARSE */
        r = add(request, &params.data);
        msgpack_unpacked_destroy(&params);
        return r;
}

/* Nobody waits any more: its time was up, or the caller has gone. */
static void on_wait_ended(busrt_client *client, busrt_request *request, int result, void *userdata)
{
        struct server *server = userdata;

        fprintf(stderr, "%s waits no more: %s\n", busrt_request_get_sender(request),
                busrt_strerror(result));
        if (server->waiting == request)
                server->waiting = busrt_request_unref(request);
}

static int method_wait(busrt_client *client, busrt_request *request, void *userdata)
{
        struct server *server = userdata;
        int r;

        if (server->waiting)
                return -EBUSY;
        r = busrt_request_set_end_handler(request, on_wait_ended, server);
        if (r >= 0)
                server->waiting = busrt_request_ref(request);
        return r;
}

static int method_wake(busrt_client *client, busrt_request *request, void *userdata)
{
        struct server *server = userdata;
        busrt_params result = BUSRT_PARAMS_INIT;
        int r = server->waiting ? busrt_request_reply(server->waiting, NULL, 0) : -ENOENT;

        busrt_params_add_bool(&result, "woken", r >= 0);
        if (r >= 0)
                server->waiting = busrt_request_unref(server->waiting);
        r = reply(request, &result);
        busrt_params_done(&result);
        return r;
}

/* --- Callers that have gone: the broker announces {s: "unreg", d: name} --- */

static void on_info(busrt_client *client, busrt_frame *frame, const char *mask, void *userdata)
{
        msgpack_unpacked news;
        const msgpack_object *what, *who;
        char name[1025];

        if (busrt_frame_unpack(frame, &news) < 0)
                return;
        what = busrt_map_get(&news.data, "s");
        who = busrt_map_get(&news.data, "d");
        if (what && busrt_object_is(what, "unreg") && who && who->type == MSGPACK_OBJECT_STR &&
            who->via.str.size > 0 && who->via.str.size < sizeof(name)) {
                memcpy(name, who->via.str.ptr, who->via.str.size);
                name[who->via.str.size] = '\0';
                busrt_client_cancel_requests(client, name, 0);
        }
        msgpack_unpacked_destroy(&news);
}

static int serve(busrt_client *client)
{
        struct server server = {0};
        const busrt_method methods[] = {
                {"add", method_add, &server, 0},
                {"wait", method_wait, &server, WAIT_AT_MOST},
                {"wake", method_wake, &server, 0},
        };
        int r;

        /* Before connecting: the first request may come at once. */
        r = busrt_client_add_methods(client, methods, sizeof(methods) / sizeof(methods[0]));
        if (r >= 0)
                r = busrt_client_add_info(client, "busrt", "adds, and waits", BUSRT_VERSION_STRING);
        if (r >= 0)
                r = busrt_client_connect(client, NULL);
        if (r >= 0)
                r = busrt_client_subscribe_handler(client, ".broker/info", on_info, NULL,
                                                   BUSRT_QOS_PROCESSED, NULL);
        if (r >= 0) {
                fprintf(stderr, "%s serves\n", busrt_client_get_name(client));
                r = busrt_client_run(client);
        }
        busrt_request_unref(server.waiting);
        return r;
}

int main(int argc, char **argv)
{
        busrt_client *client;
        int r;

        if (argc != 2) {
                fprintf(stderr, "usage: %s NAME\n", argv[0]);
                return 2;
        }
        r = busrt_client_new(argv[1], &client);
        if (r >= 0) {
                r = serve(client);
                busrt_client_free(client);
        }
        fprintf(stderr, "%s: %s\n", argv[1], busrt_strerror(r));
        return EXIT_FAILURE;
}
