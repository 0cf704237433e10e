/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"

#include <err.h>
#include <errno.h>
#include <sha1.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <busrt/client.h>

#include "basic/macro.h"
#include "wire/frame.h"

#define HEX_MAX 65536
#define PATTERN 251 /* bytes after which a payload made from size and seed repeats */

static void *must(void *p)
{
        if (!p)
                errx(EXIT_FAILURE, "no memory");
        return p;
}

/* --- Orders --- */

static json_object *order_get(json_object *order, const char *key, json_type type)
{
        json_object *value = json_object_object_get(order, key);

        if (!json_object_is_type(value, type))
                errx(EXIT_FAILURE, "order without %s: %s", key, json_object_to_json_string(order));
        return value;
}

const char *order_text(json_object *order, const char *key)
{
        return json_object_get_string(order_get(order, key, json_type_string));
}

unsigned order_number(json_object *order, const char *key)
{
        return (unsigned)json_object_get_int64(order_get(order, key, json_type_int));
}

bool order_flag(json_object *order, const char *key)
{
        return json_object_get_boolean(json_object_object_get(order, key));
}

double order_seconds(json_object *order, const char *key)
{
        json_object *value = json_object_object_get(order, key);

        return value ? json_object_get_double(value) : -1;
}

const char **order_topics(json_object *order, size_t *ret_n)
{
        json_object *array = order_get(order, "topics", json_type_array);
        size_t n = json_object_array_length(array);
        const char **topics = must(calloc(n + 1, sizeof(*topics)));

        for (size_t i = 0; i < n; i++)
                topics[i] = json_object_get_string(json_object_array_get_idx(array, i));
        *ret_n = n;
        return topics;
}

static uint8_t *unhex(const char *hex, size_t *ret_len)
{
        size_t len = strlen(hex) / 2;
        uint8_t *data = must(malloc(len + 1));

        for (size_t i = 0; i < len; i++)
                data[i] = (uint8_t)strtoul((char[]){hex[2 * i], hex[2 * i + 1], '\0'}, NULL, 16);
        *ret_len = len;
        return data;
}

static uint8_t *make_pattern(size_t len, unsigned seed)
{
        uint8_t *data = must(malloc(len + 1));

        for (size_t i = 0; i < len; i++)
                data[i] = (uint8_t)(seed + 31 * (i % PATTERN));
        return data;
}

uint8_t *order_payload(json_object *order, size_t *ret_len)
{
        json_object *payload = order_get(order, "payload", json_type_object);

        if (json_object_object_get(payload, "hex"))
                return unhex(order_text(payload, "hex"), ret_len);
        *ret_len = order_number(payload, "size");
        return make_pattern(*ret_len, order_number(payload, "seed"));
}

/* --- Answers and events --- */

void say(json_object *value)
{
        const char *text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);

        if (printf("%s\n", text) < 0 || fflush(stdout) != 0)
                err(EXIT_FAILURE, "stdout");
        json_object_put(value);
}

static json_object *hex_of(const uint8_t *data, size_t len)
{
        static const char digits[] = "0123456789abcdef";
        _cleanup_free_ char *hex = must(malloc(2 * len + 1));

        for (size_t i = 0; i < len; i++) {
                hex[2 * i] = digits[data[i] >> 4];
                hex[2 * i + 1] = digits[data[i] & 15];
        }
        return json_object_new_string_len(hex, (int)(2 * len));
}

json_object *payload_describe(const void *data, size_t len)
{
        json_object *o = json_object_new_object();
        char digest[SHA1_DIGEST_STRING_LENGTH];

        json_object_object_add(o, "len", json_object_new_uint64(len));
        if (len > HEX_MAX)
                json_object_object_add(o, "sha1",
                                       json_object_new_string(SHA1Data(data, len, digest)));
        else
                json_object_object_add(o, "hex", hex_of(data, len));
        return o;
}

json_object *answer_error(int code, const char *text)
{
        json_object *error = json_object_new_object(), *o = json_object_new_object();

        json_object_object_add(error, "code", json_object_new_int(code));
        json_object_object_add(error, "text", json_object_new_string(text));
        json_object_object_add(o, "error", error);
        return o;
}

int wire_code(int result)
{
        static const struct {
                int error;
                int code;
        } codes[] = {
                {EHOSTUNREACH, WIRE_NOT_REGISTERED},
                {EBADMSG, WIRE_DATA},
                {EIO, WIRE_IO},
                {EREMOTE, WIRE_OTHER},
                {EOPNOTSUPP, WIRE_NOT_SUPPORTED},
                {EBUSY, WIRE_BUSY},
                {ENOBUFS, WIRE_NOT_DELIVERED},
                {ETIME, WIRE_TIMEOUT},
                {EACCES, WIRE_ACCESS},
        };

        for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
                if (codes[i].error == -result)
                        return codes[i].code;
        return 0;
}

json_object *answer_failure(int result)
{
        return answer_error(wire_code(result), busrt_strerror(result));
}

json_object *answer_ack(int result, unsigned qos)
{
        json_object *o;
        int code = result < 0 ? wire_code(result) : WIRE_OK;

        if (code == 0 || (result < 0 && !(qos & BUSRT_QOS_PROCESSED)))
                return answer_failure(result);
        o = json_object_new_object();
        json_object_object_add(o, "ack",
                               qos & BUSRT_QOS_PROCESSED ? json_object_new_int(code) : NULL);
        return o;
}
