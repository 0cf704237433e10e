/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as MessagePack that busrtctl shows, and as JSON that it sends. What is shown is valid
 * JSON, harmless on a terminal, and not much longer than what came; what was taken from JSON can be
 * shown again.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "basic/macro.h"
#include "busrtctl/value.h"

/* A nil takes one byte and is "null,"; an escape of six bytes stands for one; a float takes up
 * to 24.
 */
#define GROWTH 8
#define GROWTH_PRETTY (GROWTH + 2 * VALUE_DEPTH_MAX + 2)

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_json(const struct text *json)
{
        json_tokener *tokener = json_tokener_new_ex(VALUE_DEPTH_MAX + 2);
        json_object *value;

        CHECK(tokener);
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        value = json_tokener_parse_ex(tokener, json->data, (int)json->len);
        CHECK(json_tokener_get_error(tokener) == json_tokener_success);
        json_object_put(value);
        json_tokener_free(tokener);
}

static void show(const uint8_t *data, size_t size, bool pretty)
{
        struct value_style style = {.pretty = pretty};
        struct text json = {0};

        if (value_to_json(&json, &style, data, size) >= 0) {
                CHECK(json.len <= 64 + size * (pretty ? GROWTH_PRETTY : GROWTH));
                for (size_t i = 0; i < json.len; i++)
                        CHECK((uint8_t)json.data[i] >= 0x20 || (pretty && json.data[i] == '\n'));
                text_add(&json, "", 1);
                check_json(&json);
        } else {
                CHECK(json.len == 0);
        }
        text_done(&json);
}

static void take(const uint8_t *data, size_t size)
{
        struct text packed = {0}, json = {0};
        char *error = NULL;

        if (value_from_json(&packed, (const char *)data, size, &error) >= 0) {
                CHECK(!error && packed.len > 0);
                /* One level more is read where it is empty. */
                if (value_to_json(&json, &(struct value_style){0}, packed.data, packed.len) < 0)
                        CHECK(size > VALUE_DEPTH_MAX);
        } else {
                CHECK(error && packed.len == 0);
        }
        free(error);
        text_done(&json);
        text_done(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        show(data, size, false);
        show(data, size, true);
        take(data, size);
        return 0;
}
