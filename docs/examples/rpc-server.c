/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offers methods to the other clients of the bus.
 *
 *      rpc-server NAME
 *
 *      add {a, b}      {sum: a + b}
 *      wait            answered when somebody calls wake: a reply may come later
 *      wake            {woken: whether somebody waited}
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <busrt/msgpack.h>
#include <busrt/rpc.h>

struct server {
        busrt_request *waiting;
};

static int reply_error(busrt_request *request, int code, const char *text)
{
        return busrt_request_reply_error(request, code, text, strlen(text));
}

static int reply(busrt_request *request, busrt_params *result)
{
        const struct iovec *iov;
        int n = busrt_params_get(result, &iov);

        return n < 0 ? n : busrt_request_reply(request, iov, (size_t)n);
}

static int method_add(struct server *server, busrt_request *request, const msgpack_object *params)
{
        busrt_params result = BUSRT_PARAMS_INIT;
        int64_t a, b, sum;
        int r;

        if (busrt_map_get_int(params, "a", &a) < 0 || busrt_map_get_int(params, "b", &b) < 0 ||
            __builtin_add_overflow(a, b, &sum))
                return reply_error(request, BUSRT_RPC_INVALID_PARAMS, "a and b: two integers");
        busrt_params_add_int(&result, "sum", sum);
        r = reply(request, &result);
        busrt_params_done(&result);
        return r;
}

static int method_wait(struct server *server, busrt_request *request, const msgpack_object *params)
{
        if (server->waiting)
                return reply_error(request, BUSRT_RPC_INTERNAL, "somebody else waits");
        server->waiting = busrt_request_ref(request);
        return 0;
}

static int method_wake(struct server *server, busrt_request *request, const msgpack_object *params)
{
        busrt_params result = BUSRT_PARAMS_INIT;
        int r;

        busrt_params_add_bool(&result, "woken", server->waiting != NULL);
        /* Who waited may be gone by now, which is no matter of who wakes. */
        if (server->waiting)
                busrt_request_reply(server->waiting, NULL, 0);
        server->waiting = busrt_request_unref(server->waiting);
        r = reply(request, &result);
        busrt_params_done(&result);
        return r;
}

static const struct {
        const char *name;
        int (*run)(struct server *server, busrt_request *request, const msgpack_object *params);
} methods[] = {
        {"add", method_add},
        {"wait", method_wait},
        {"wake", method_wake},
};

static int run_method(struct server *server, busrt_request *request, const msgpack_object *params)
{
        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
                if (strcmp(busrt_request_get_method(request), methods[i].name) == 0)
                        return methods[i].run(server, request, params);
        return reply_error(request, BUSRT_RPC_METHOD_NOT_FOUND, "no such method");
}

static void on_request(busrt_client *client, busrt_request *request, void *userdata)
{
        msgpack_unpacked params;
        size_t len;
        const void *data = busrt_request_get_params(request, &len);
        int r;

        r = busrt_unpack(data, len, &params);
        if (r < 0) {
                r = reply_error(request, BUSRT_RPC_PARSE, busrt_strerror(r));
        } else {
                r = run_method(userdata, request, &params.data);
                msgpack_unpacked_destroy(&params);
        }
        if (r < 0)
                fprintf(stderr, "%s: %s: %s\n", busrt_request_get_sender(request),
                        busrt_request_get_method(request), busrt_strerror(r));
}

static int serve(busrt_client *client)
{
        struct server server = {0};
        int r;

        /* Before connecting: the first request may come at once. */
        r = busrt_client_set_request_handler(client, on_request, &server);
        if (r >= 0)
                r = busrt_client_connect(client, NULL);
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
