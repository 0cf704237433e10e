/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as params of a cursor's call, as the array of a bulk, and as a value. What is read of
 * params is written and read again; an array's values are where they are said to be.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "basic/macro.h"
#include "wire/cursor.h"

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_params(const uint8_t *data, size_t size)
{
        struct cursor_payload p, again;
        uint8_t out[CURSOR_PAYLOAD_MAX];
        uint32_t count;
        size_t len;

        if (cursor_payload_decode(data, size, &p) < 0)
                return;
        CHECK(memmem(data, size, p.id, sizeof(p.id)));
        count = (uint32_t)p.count;
        len = cursor_payload_encode(out, p.id, p.count <= UINT32_MAX ? &count : NULL);
        CHECK(len <= sizeof(out) && cursor_is_value(out, len));
        CHECK(cursor_payload_decode(out, len, &again) == 0);
        CHECK(memcmp(again.id, p.id, sizeof(p.id)) == 0);
        CHECK(again.count == (p.count <= UINT32_MAX ? p.count : 1));
}

static void check_array(const uint8_t *data, size_t size)
{
        struct item_reader values;
        uint64_t count;

        if (cursor_array_decode(data, size, &values, &count) < 0)
                return;
        CHECK(cursor_is_value(data, size) && count < size);
        for (uint64_t i = 0; i < count; i++) {
                const uint8_t *begin = values.p;

                CHECK(item_skip(&values) == 0);
                CHECK(cursor_is_value(begin, (size_t)(values.p - begin)));
        }
        CHECK(values.p == data + size && values.end == data + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        check_params(data, size);
        check_array(data, size);
        return 0;
}
