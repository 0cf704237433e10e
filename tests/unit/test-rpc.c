/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remote calls in bytes (docs/protocol.md, 5): every kind, cut at every byte, by enumeration of
 * short payloads and there and back again. Payloads lie in blocks of just their size, so that a
 * sanitizer sees a read beyond the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "wire/rpc.h"

#define BYTES(text) text, sizeof(text) - 1

/* What was decoded, with offsets in place of pointers. */
struct decoded {
        bool ok;
        enum rpc_kind kind;
        uint32_t id;
        int16_t code;
        size_t method, method_len;
        size_t data, data_len;
};

static struct decoded decode(const void *payload, size_t len)
{
        struct rpc_message m = {.id = 0xdeadbeef};
        uint8_t *copy = malloc(len);
        struct decoded d = {0};

        assert_non_null(copy);
        memcpy(copy, payload, len);
        d.ok = rpc_decode(copy, len, &m);
        if (!d.ok) {
                assert_int_equal(m.id, 0xdeadbeef); /* untouched */
        } else {
                d = (struct decoded){true, m.kind, m.id, m.code, 0, m.method_len, 0, m.data_len};
                if (m.method)
                        d.method = (size_t)((const uint8_t *)m.method - copy);
                d.data = (size_t)(m.data - copy);
                assert_int_equal(d.data + d.data_len, len);
        }
        free(copy);
        return d;
}

static void test_a_notification_is_all_payload(void **state)
{
        struct decoded d = decode(BYTES("\0abc"));

        assert_true(d.ok);
        assert_int_equal(d.kind, RPC_NOTIFICATION);
        assert_int_equal(d.id, 0);
        assert_int_equal(d.data, 1);
        assert_int_equal(d.data_len, 3);
        d = decode(BYTES("\0"));
        assert_true(d.ok);
        assert_int_equal(d.data_len, 0);
}

static void test_a_request_has_id_method_and_params(void **state)
{
        struct decoded d = decode(BYTES("\1\x04\3\2\xf1me.thod\0pa\0rams"));

        assert_true(d.ok);
        assert_int_equal(d.kind, RPC_REQUEST);
        assert_int_equal(d.id, 0xf1020304);
        assert_int_equal(d.method, 5);
        assert_int_equal(d.method_len, 7);
        assert_int_equal(d.data, 13);
        assert_int_equal(d.data_len, 7);
}

static void test_a_method_and_params_may_be_empty(void **state)
{
        struct decoded d = decode(BYTES("\1\1\0\0\0\0"));

        assert_true(d.ok);
        assert_int_equal(d.method_len, 0);
        assert_int_equal(d.data_len, 0);
        d = decode(BYTES("\1\0\0\0\0\0\0"));
        assert_true(d.ok);
        assert_int_equal(d.id, 0);
        assert_int_equal(d.method_len, 0);
        assert_int_equal(d.data_len, 1);
}

static void test_a_method_is_bytes_here(void **state)
{
        struct decoded d = decode(BYTES("\1\1\0\0\0\xff\x80\0"));

        assert_true(d.ok);
        assert_int_equal(d.method_len, 2);
}

static void test_replies_have_id_and_result(void **state)
{
        struct decoded d = decode(BYTES("\x11\1\2\3\4\0ab"));

        assert_true(d.ok);
        assert_int_equal(d.kind, RPC_REPLY);
        assert_int_equal(d.id, 0x04030201);
        assert_int_equal(d.data, 5);
        assert_int_equal(d.data_len, 3);
}

static void test_error_replies_have_a_signed_code(void **state)
{
        struct decoded d = decode(BYTES("\x12\1\2\3\4\xa7\x80text"));

        assert_true(d.ok);
        assert_int_equal(d.kind, RPC_ERROR);
        assert_int_equal(d.id, 0x04030201);
        assert_int_equal(d.code, RPC_CODE_METHOD_NOT_FOUND);
        assert_int_equal(d.data, 7);
        assert_int_equal(d.data_len, 4);
        assert_int_equal(decode(BYTES("\x12\0\0\0\0\1\0")).code, 1);
}

/* The shortest that is whole, per kind. */
static void test_what_is_cut_short_is_none(void **state)
{
        static const struct {
                const char *payload;
                size_t len, shortest;
        } cases[] = {
                {BYTES("\0abc"), 1},
                {BYTES("\1\1\2\3\4method\0params"), 12},
                {BYTES("\x11\1\2\3\4result"), 5},
                {BYTES("\x12\1\2\3\4\1\1text"), 7},
        };

        assert_false(decode("", 0).ok);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                for (size_t n = 0; n <= cases[i].len; n++)
                        assert_int_equal(decode(cases[i].payload, n).ok, n >= cases[i].shortest);
}

static void test_other_kinds_are_none(void **state)
{
        for (unsigned kind = 0; kind < 256; kind++) {
                uint8_t payload[16] = {(uint8_t)kind};
                bool known = kind == 0x00 || kind == 0x01 || kind == 0x11 || kind == 0x12;

                assert_int_equal(decode(payload, sizeof(payload)).ok, known);
        }
}

/* Every request of up to five bytes after its id, over an alphabet of three: the method ends at the
 * first 00. */
static void test_the_first_00_ends_the_method(void **state)
{
        static const uint8_t alphabet[] = {0, 1, 0xff};

        for (unsigned i = 0; i < 3 * 3 * 3 * 3 * 3; i++)
                for (size_t n = 0; n <= 5; n++) {
                        uint8_t payload[10] = {1, 9};
                        const uint8_t *zero;
                        struct decoded d;

                        for (unsigned k = 0, rest = i; k < 5; k++, rest /= 3)
                                payload[5 + k] = alphabet[rest % 3];
                        zero = memchr(payload + 5, 0, n);
                        d = decode(payload, 5 + n);
                        assert_int_equal(d.ok, zero != NULL);
                        if (zero) {
                                assert_int_equal(d.method_len, zero - (payload + 5));
                                assert_int_equal(d.data, zero + 1 - payload);
                        }
                }
}

static void test_what_is_encoded_is_decoded(void **state)
{
        static const uint32_t ids[] = {0, 1, 0x80, 0x04030201, INT32_MAX, UINT32_MAX};
        static const int16_t codes[] = {
                0, 1, -1, INT16_MIN, INT16_MAX, RPC_CODE_PARSE, RPC_CODE_METHOD_NOT_UTF8};
        uint8_t out[32];

        for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
                struct decoded d;

                assert_int_equal(rpc_request_encode(out, ids[i], "m.x", 3), 9);
                d = decode(out, 9);
                assert_true(d.ok && d.kind == RPC_REQUEST && d.id == ids[i] && d.method == 5 &&
                            d.method_len == 3);
                assert_memory_equal(out + 5, "m.x", 4);
                rpc_reply_encode(out, ids[i]);
                d = decode(out, RPC_REPLY_HEADER_SIZE);
                assert_true(d.ok && d.kind == RPC_REPLY && d.id == ids[i] && d.data_len == 0);
                for (size_t k = 0; k < ARRAY_SIZE(codes); k++) {
                        rpc_error_encode(out, ids[i], codes[k]);
                        d = decode(out, RPC_ERROR_HEADER_SIZE);
                        assert_true(d.ok && d.kind == RPC_ERROR && d.id == ids[i] &&
                                    d.code == codes[k]);
                }
        }
}

static void test_encoders_write_no_more_than_they_say(void **state)
{
        uint8_t out[16];

        memset(out, 0xee, sizeof(out));
        rpc_reply_encode(out, 0x04030201);
        assert_memory_equal(out, "\x11\1\2\3\4\xee", 6);
        rpc_error_encode(out, 0x04030201, -32601);
        assert_memory_equal(out, "\x12\1\2\3\4\xa7\x80\xee", 8);
        memset(out, 0xee, sizeof(out));
        assert_int_equal(rpc_request_encode(out, 0x04030201, "", 0), 6);
        assert_memory_equal(out, "\1\1\2\3\4\0\xee", 7);
}

static void test_bus_results_have_codes(void **state)
{
        assert_int_equal(RPC_CODE_BUS(0x71), -32113);
        assert_int_equal(RPC_CODE_BUS(0x72), RPC_CODE_METHOD_NOT_UTF8);
        assert_int_equal(RPC_CODE_BUS(0x79), -32121);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_notification_is_all_payload),
                cmocka_unit_test(test_a_request_has_id_method_and_params),
                cmocka_unit_test(test_a_method_and_params_may_be_empty),
                cmocka_unit_test(test_a_method_is_bytes_here),
                cmocka_unit_test(test_replies_have_id_and_result),
                cmocka_unit_test(test_error_replies_have_a_signed_code),
                cmocka_unit_test(test_what_is_cut_short_is_none),
                cmocka_unit_test(test_other_kinds_are_none),
                cmocka_unit_test(test_the_first_00_ends_the_method),
                cmocka_unit_test(test_what_is_encoded_is_decoded),
                cmocka_unit_test(test_encoders_write_no_more_than_they_say),
                cmocka_unit_test(test_bus_results_have_codes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
