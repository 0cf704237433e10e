/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes what cursor-server.c gives out, so many lines with each call.
 *
 *      cursor-client TARGET BULK [LINES]       all lines, or so many
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <busrt/cursor.h>
#include <busrt/msgpack.h>

static const busrt_cursor_methods names = {"N", "NB", "cancel"};

static int print_line(const void *data, size_t len)
{
        msgpack_unpacked item;
        const char *text;
        uint64_t number;
        size_t text_len;
        int r = busrt_unpack(data, len, &item);

        if (r < 0)
                return r;
        r = busrt_map_get_uint(&item.data, "n", &number);
        if (r >= 0)
                r = busrt_map_get_string(&item.data, "text", &text, &text_len);
        if (r >= 0)
                printf("%" PRIu64 ": %.*s\n", number, (int)text_len, text);
        msgpack_unpacked_destroy(&item);
        return r;
}

static int print_lines(busrt_fetch *fetch, unsigned long limit, busrt_rpc_error *error)
{
        const void *data;
        size_t len;
        int r = 1;

        for (unsigned long i = 0; i < limit && r > 0; i++) {
                r = busrt_fetch_item(fetch, BUSRT_TIMEOUT_DEFAULT, error, &data, &len);
                if (r == 1 && print_line(data, len) < 0)
                        return -EBADMSG;
        }
        /* More than was wanted: the server need not keep it. */
        if (r == 1)
                r = busrt_fetch_cancel(fetch);
        return r;
}

static int fetch_lines(busrt_client *client, const char *target, size_t bulk, unsigned long limit)
{
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        busrt_fetch *fetch;
        int r;

        r = busrt_fetch_open(client, target, "lines", NULL, 0, &names, BUSRT_TIMEOUT_DEFAULT,
                             &error, &fetch);
        if (r >= 0) {
                r = busrt_fetch_set_bulk(fetch, bulk);
                if (r >= 0)
                        r = print_lines(fetch, limit, &error);
                busrt_fetch_free(fetch);
        }
        if (r == -EREMOTEIO)
                fprintf(stderr, "%s says: error %d %s\n", target, error.code,
                        error.data ? error.data : "");
        busrt_rpc_error_done(&error);
        return r;
}

int main(int argc, char **argv)
{
        char name[64];
        busrt_client *client;
        int r;

        if (argc != 3 && argc != 4) {
                fprintf(stderr, "usage: %s TARGET BULK [LINES]\n", argv[0]);
                return 2;
        }
        snprintf(name, sizeof(name), "cursor-client.%ld", (long)getpid());
        r = busrt_client_new(name, &client);
        if (r >= 0) {
                r = busrt_client_connect(client, NULL);
                if (r >= 0)
                        r = fetch_lines(client, argv[1], strtoul(argv[2], NULL, 10),
                                        argc == 4 ? strtoul(argv[3], NULL, 10) : -1ul);
                if (r >= 0) /* a cancellation waits for no answer */
                        r = busrt_client_flush(client, BUSRT_TIMEOUT_DEFAULT);
                busrt_client_free(client);
        }
        if (r < 0)
                fprintf(stderr, "%s: %s\n", name, busrt_strerror(r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
