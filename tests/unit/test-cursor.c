/* SPDX-License-Identifier: Apache-2.0 */
/* What calls of cursors carry: the shapes that are taken, byte by byte what is written, and what is
 * neither. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "wire/cursor.h"

#define BYTES(text) text, sizeof(text) - 1
#define ID "0123456789abcdef"
#define U "\xa1u"
#define N "\xa1n"
#define BIN "\xc4\x10" ID

/* In memory of its own, so that a sanitizer sees any byte too many. */
static int decode(const char *data, size_t len, struct cursor_payload *ret)
{
        uint8_t *copy = malloc(MAX(len, (size_t)1));
        int r;

        assert_non_null(copy);
        memcpy(copy, data, len);
        r = cursor_payload_decode(copy, len, ret);
        free(copy);
        return r;
}

static void expect_count(const char *data, size_t len, uint64_t count)
{
        struct cursor_payload p = {.count = 77};

        assert_int_equal(decode(data, len, &p), 0);
        assert_memory_equal(p.id, ID, sizeof(p.id));
        assert_int_equal(p.count, count);
        /* Every shorter one is refused, and leaves the result alone. */
        p.count = 77;
        for (size_t n = 0; n < len; n++)
                assert_int_equal(decode(data, n, &p), -EBADMSG);
        assert_int_equal(p.count, 77);
}

static void every_shape_of_params_is_taken(void **state)
{
        expect_count(BYTES("\x81" U BIN), 1);
        expect_count(BYTES("\x82" U BIN N "\x64"), 100);
        expect_count(BYTES("\x82" N "\xcd\x01\x00" U BIN), 256);
        expect_count(BYTES("\x82" U BIN N "\x00"), 0);
        expect_count(BYTES("\x82" U BIN N "\xc0"), 1);
        expect_count(BYTES("\x82" U BIN N "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), UINT64_MAX);
        expect_count(BYTES("\x82" U BIN N "\xd3\x00\x00\x00\x00\x00\x00\x00\x07"), 7);
        expect_count(BYTES("\x81\xc4\x01u\xb0" ID), 1); /* text and bytes changed places */
        expect_count(BYTES("\x81" U "\xc6\x00\x00\x00\x10" ID), 1); /* a longer head */
        expect_count(BYTES("\xde\x00\x01" U BIN), 1);
        expect_count(BYTES("\x91" BIN), 1);
        expect_count(BYTES("\x92" BIN "\x05"), 5);
        expect_count(BYTES("\x92" BIN "\xc0"), 1);
}

static void other_keys_mean_nothing(void **state)
{
        expect_count(BYTES("\x83\xa5total\x93\x01\x91\x02\x80" U BIN "\xa2un\xa1u"), 1);
        expect_count(BYTES("\x83\x00\xc0\x92\x01\x02\x03" U BIN), 1);
}

static void what_is_behind_it_is_not_looked_at(void **state)
{
        struct cursor_payload p;

        assert_int_equal(decode(BYTES("\x81" U BIN "\xc1"), &p), 0);
}

static void anything_else_is_refused(void **state)
{
        static const struct {
                const char *data;
                size_t len;
        } rows[] = {
                {BYTES("")},
                {BYTES("\xc0")},
                {BYTES(BIN)},
                {BYTES("\x80")},
                {BYTES("\x81" N "\x05")},
                {BYTES("\x81" U "\xc4\x0f" ID)},
                {BYTES("\x81" U "\xc4\x11" ID "x")},
                {BYTES("\x81" U "\xd8\x02" ID)}, /* an extension */
                {BYTES("\x81" U "\xc0")},
                {BYTES("\x82" U BIN U BIN)},
                {BYTES("\x83" U BIN N "\x01" N "\x01")},
                {BYTES("\x82" U BIN N "\xff")},
                {BYTES("\x82" U BIN N "\xca\x3f\x80\x00\x00")},
                {BYTES("\x82" U BIN N "\xa1"
                       "5")},
                {BYTES("\x90")},
                {BYTES("\x93" BIN "\x01\x02")},
                {BYTES("\x92" BIN "\xff")},
                {BYTES("\xdf\xff\xff\xff\xff" U BIN)}, /* pairs that are not there */
                {BYTES("\x82\x01\xc1" U BIN)},
        };
        struct cursor_payload p;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                assert_int_equal(decode(rows[i].data, rows[i].len, &p), -EBADMSG);
}

static void expect_written(const uint32_t *count, const char *data, size_t len)
{
        uint8_t out[CURSOR_PAYLOAD_MAX];

        assert_int_equal(cursor_payload_encode(out, (const uint8_t *)ID, count), len);
        assert_memory_equal(out, data, len);
        expect_count((const char *)out, len, count ? *count : 1);
}

/* As the reference's library writes it. */
static void params_are_written_in_their_shortest_form(void **state)
{
        expect_written(NULL, BYTES("\x81" U BIN));
        expect_written(&(uint32_t){0}, BYTES("\x82" U BIN N "\x00"));
        expect_written(&(uint32_t){127}, BYTES("\x82" U BIN N "\x7f"));
        expect_written(&(uint32_t){128}, BYTES("\x82" U BIN N "\xcc\x80"));
        expect_written(&(uint32_t){255}, BYTES("\x82" U BIN N "\xcc\xff"));
        expect_written(&(uint32_t){256}, BYTES("\x82" U BIN N "\xcd\x01\x00"));
        expect_written(&(uint32_t){65536}, BYTES("\x82" U BIN N "\xce\x00\x01\x00\x00"));
        expect_written(&(uint32_t){UINT32_MAX}, BYTES("\x82" U BIN N "\xce\xff\xff\xff\xff"));
}

/* --- Arrays --- */

static void expect_head(uint32_t count, const char *data, size_t len)
{
        uint8_t out[CURSOR_ARRAY_HEAD_MAX];

        assert_int_equal(cursor_array_head_encode(out, count), len);
        assert_memory_equal(out, data, len);
}

static void heads_of_arrays_have_three_forms(void **state)
{
        expect_head(0, BYTES("\x90"));
        expect_head(15, BYTES("\x9f"));
        expect_head(16, BYTES("\xdc\x00\x10"));
        expect_head(65535, BYTES("\xdc\xff\xff"));
        expect_head(65536, BYTES("\xdd\x00\x01\x00\x00"));
        expect_head(UINT32_MAX, BYTES("\xdd\xff\xff\xff\xff"));
}

static int decode_array(const char *data, size_t len, uint64_t *ret_count)
{
        uint8_t *copy = malloc(MAX(len, (size_t)1));
        struct item_reader values;
        int r;

        assert_non_null(copy);
        memcpy(copy, data, len);
        r = cursor_array_decode(copy, len, &values, ret_count);
        if (r == 0) {
                for (uint64_t i = 0; i < *ret_count; i++)
                        assert_int_equal(item_skip(&values), 0);
                assert_ptr_equal(values.p, copy + len);
        }
        free(copy);
        return r;
}

static void an_array_is_whole_or_none(void **state)
{
        static const char two[] = "\x92\xa1x\x82\x01\x92\x02\x03\xc0\x04";
        uint64_t count = 7;

        assert_int_equal(decode_array(BYTES("\x90"), &count), 0);
        assert_int_equal(count, 0);
        assert_int_equal(decode_array(two, sizeof(two) - 1, &count), 0);
        assert_int_equal(count, 2);
        for (size_t n = 0; n < sizeof(two) - 1; n++)
                assert_int_equal(decode_array(two, n, &count), -EBADMSG);
        assert_int_equal(decode_array(two, sizeof(two), &count), -EBADMSG); /* one too many */
        assert_int_equal(decode_array(BYTES("\x81\x01\x02"), &count), -EBADMSG);
        assert_int_equal(decode_array(BYTES("\xc0"), &count), -EBADMSG);
        assert_int_equal(decode_array(BYTES("\x91\xc1"), &count), -EBADMSG);
        assert_int_equal(decode_array(BYTES("\xdd\xff\xff\xff\xff\x01"), &count), -EBADMSG);
        assert_int_equal(count, 2);
}

static void a_value_is_one(void **state)
{
        assert_true(cursor_is_value((const uint8_t *)"\x91\x01", 2));
        assert_false(cursor_is_value((const uint8_t *)"\x91\x01\x02", 3));
        assert_false(cursor_is_value((const uint8_t *)"\x91", 1));
        assert_false(cursor_is_value((const uint8_t *)"", 0));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_shape_of_params_is_taken),
                cmocka_unit_test(other_keys_mean_nothing),
                cmocka_unit_test(what_is_behind_it_is_not_looked_at),
                cmocka_unit_test(anything_else_is_refused),
                cmocka_unit_test(params_are_written_in_their_shortest_form),
                cmocka_unit_test(heads_of_arrays_have_three_forms),
                cmocka_unit_test(an_array_is_whole_or_none),
                cmocka_unit_test(a_value_is_one),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
