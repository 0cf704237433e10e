/* SPDX-License-Identifier: Apache-2.0 */
#include "cursors.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <busrt/cursor.h>

#include "basic/macro.h"
#include "connection.h"
#include "wire/le.h"

#define EXAMPLE_CUSTOMERS 250

static const busrt_cursor_methods methods = {"cursor.next", "cursor.bulk", "cursor.cancel"};

/* --- Giving out --- */

struct customers {
        uint32_t at, total;
};

static int put_customer(busrt_cursor *cursor, uint32_t id)
{
        char item[64] = "\x82\xa2id\xce....\xa4name";
        size_t head = 14;
        int len = snprintf(item + head + 1, sizeof(item) - head - 1, "customer %u", id);

        for (int i = 0; i < 4; i++)
                item[5 + i] = (char)(id >> (24 - 8 * i));
        item[head] = (char)(0xa0 | len);
        return busrt_cursor_put(cursor, &(struct iovec){item, head + 1 + (size_t)len}, 1);
}

static int next(busrt_cursor *cursor, size_t wanted, void *userdata)
{
        struct customers *c = userdata;
        int r = 0;

        for (size_t i = 0; i < wanted && c->at < c->total && r >= 0; i++)
                r = put_customer(cursor, c->at++);
        if (r < 0)
                return r;
        return c->at < c->total ? BUSRT_CURSOR_MORE : BUSRT_CURSOR_END;
}

static int open_customers(busrt_request *request, uint32_t total, uint64_t ttl)
{
        struct customers *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                err(EXIT_FAILURE, NULL);
        c->total = total;
        r = busrt_request_reply_cursor(request, next, free, c, ttl);
        if (r < 0)
                free(c);
        return r;
}

static int method_open(busrt_client *client, busrt_request *request, void *userdata)
{
        size_t len;
        const uint8_t *params = busrt_request_get_params(request, &len);

        if (len != 8)
                return BUSRT_RPC_INVALID_PARAMS;
        return open_customers(request, le32_get(params), le32_get(params + 4));
}

static int method_example(busrt_client *client, busrt_request *request, void *userdata)
{
        return open_customers(request, EXAMPLE_CUSTOMERS, BUSRT_TIMEOUT_DEFAULT);
}

int cursors_serve(busrt_client *client)
{
        static const busrt_method open[] = {{"cursor.open", method_open, NULL, 0},
                                            {"Ccustomers", method_example, NULL, 0}};
        static const busrt_cursor_methods example = {"N", "NB", NULL};
        int r = busrt_client_add_methods(client, open, ARRAY_SIZE(open));

        if (r >= 0)
                r = busrt_client_add_cursor_methods(client, &example);
        return r < 0 ? r : busrt_client_add_cursor_methods(client, &methods);
}

/* --- Taking --- */

static void add_item(json_object *items, const void *data, size_t len)
{
        json_object *described = payload_describe(data, len);

        json_object_array_add(items, json_object_get(json_object_object_get(described, "hex")));
        json_object_put(described);
}

static int take_one_by_one(busrt_fetch *fetch, busrt_rpc_error *error, json_object *items)
{
        busrt_frame *frame;
        int r;

        while ((r = busrt_fetch_next(fetch, BUSRT_TIMEOUT_DEFAULT, error, &frame)) == 1) {
                size_t len;
                const void *data = busrt_frame_get_payload(frame, &len);

                add_item(items, data, len);
                busrt_frame_unref(frame);
        }
        return r;
}

static int take_in_bulks(busrt_fetch *fetch, size_t bulk, busrt_rpc_error *error,
                         json_object *items)
{
        const void *data;
        size_t len;
        int r = busrt_fetch_set_bulk(fetch, bulk);

        while (r >= 0 &&
               (r = busrt_fetch_item(fetch, BUSRT_TIMEOUT_DEFAULT, error, &data, &len)) == 1)
                add_item(items, data, len);
        return r;
}

static int take(json_object *order, busrt_rpc_error *error, json_object *items)
{
        unsigned bulk = order_number(order, "bulk");
        busrt_fetch *fetch;
        struct iovec iov;
        _cleanup_free_ uint8_t *payload = order_payload(order, &iov.iov_len);
        int r;

        iov.iov_base = payload;
        r = busrt_fetch_open(connection_client(order, "h"), order_text(order, "target"),
                             "cursor.open", &iov, 1, &methods, BUSRT_TIMEOUT_DEFAULT, error,
                             &fetch);
        if (r < 0)
                return r;
        r = bulk > 0 ? take_in_bulks(fetch, bulk, error, items)
                     : take_one_by_one(fetch, error, items);
        busrt_fetch_free(fetch);
        return r;
}

json_object *cursor_take(json_object *order)
{
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        json_object *items = json_object_new_array(), *answer;
        int r = take(order, &error, items);

        if (r < 0) {
                json_object_put(items);
                answer = answer_error(error.code, busrt_strerror(r));
        } else {
                answer = json_object_new_object();
                json_object_object_add(answer, "items", items);
        }
        busrt_rpc_error_done(&error);
        return answer;
}
