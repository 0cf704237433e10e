/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls methods, with params and results in MessagePack.
 *
 *      rpc-client clients [REGEX]      who is on the bus: the broker's own method client.list
 *      rpc-client add TARGET A B       the method add of rpc-server.c
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <busrt/msgpack.h>
#include <busrt/rpc.h>

/* The result is *ret, whose texts lie in *ret_reply: both are the caller's. */
static int call(busrt_client *client, const char *target, const char *method, busrt_params *params,
                busrt_frame **ret_reply, msgpack_unpacked *ret)
{
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        const struct iovec *iov;
        busrt_frame *reply;
        int n, r;

        n = busrt_params_get(params, &iov);
        if (n < 0)
                return n;
        r = busrt_client_call(client, target, method, iov, (size_t)n, 0, BUSRT_TIMEOUT_DEFAULT,
                              &error, &reply);
        if (r == -EREMOTEIO)
                fprintf(stderr, "%s says: error %d %s\n", target, error.code,
                        error.data ? error.data : "");
        busrt_rpc_error_done(&error);
        if (r < 0)
                return r;
        r = busrt_frame_unpack(reply, ret);
        if (r < 0)
                busrt_frame_unref(reply);
        else
                *ret_reply = reply;
        return r;
}

static void print_client(const msgpack_object *client)
{
        const char *name, *kind;
        size_t name_len, kind_len;
        uint64_t queue = 0;

        if (busrt_map_get_string(client, "name", &name, &name_len) < 0 ||
            busrt_map_get_string(client, "kind", &kind, &kind_len) < 0)
                return;
        busrt_map_get_uint(client, "queue", &queue);
        printf("%.*s %.*s %" PRIu64 "\n", (int)name_len, name, (int)kind_len, kind, queue);
}

static int list_clients(busrt_client *client, const char *filter)
{
        busrt_params params = BUSRT_PARAMS_INIT;
        const msgpack_object *clients;
        msgpack_unpacked result;
        busrt_frame *reply;
        int r;

        busrt_params_add_string(&params, "filter", filter); /* NULL: nil, all of them */
        r = call(client, ".broker", "client.list", &params, &reply, &result);
        busrt_params_done(&params);
        if (r < 0)
                return r;
        clients = busrt_map_get(&result.data, "clients");
        if (clients && clients->type == MSGPACK_OBJECT_ARRAY)
                for (uint32_t i = 0; i < clients->via.array.size; i++)
                        print_client(&clients->via.array.ptr[i]);
        else
                r = -EBADMSG;
        msgpack_unpacked_destroy(&result);
        busrt_frame_unref(reply);
        return r;
}

static int add(busrt_client *client, const char *target, int64_t a, int64_t b)
{
        busrt_params params = BUSRT_PARAMS_INIT;
        msgpack_unpacked result;
        busrt_frame *reply;
        int64_t sum;
        int r;

        busrt_params_add_int(&params, "a", a);
        busrt_params_add_int(&params, "b", b);
        r = call(client, target, "add", &params, &reply, &result);
        busrt_params_done(&params);
        if (r < 0)
                return r;
        r = busrt_map_get_int(&result.data, "sum", &sum);
        if (r >= 0)
                printf("%" PRId64 "\n", sum);
        msgpack_unpacked_destroy(&result);
        busrt_frame_unref(reply);
        return r;
}

int main(int argc, char **argv)
{
        char name[64];
        busrt_client *client;
        int lists = argc >= 2 && argc <= 3 && strcmp(argv[1], "clients") == 0, r;

        if (!lists && (argc != 5 || strcmp(argv[1], "add") != 0)) {
                fprintf(stderr, "usage: %s clients [REGEX] | add TARGET A B\n", argv[0]);
                return 2;
        }
        snprintf(name, sizeof(name), "rpc-client.%ld", (long)getpid());
        r = busrt_client_new(name, &client);
        if (r >= 0) {
                r = busrt_client_connect(client, NULL);
                if (r >= 0 && lists)
                        r = list_clients(client, argc == 3 ? argv[2] : NULL);
                else if (r >= 0)
                        r = add(client, argv[2], strtoll(argv[3], NULL, 10),
                                strtoll(argv[4], NULL, 10));
                busrt_client_free(client);
        }
        if (r < 0)
                fprintf(stderr, "%s: %s\n", name, busrt_strerror(r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
