/* SPDX-License-Identifier: Apache-2.0 */
/* One item of MessagePack at a time: what each first byte begins, and what is cut short. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "wire/item.h"

#define BYTES(text) text, sizeof(text) - 1

/* Reads one, which must leave nothing. It lies in memory of its own, so that a sanitizer sees any
 * byte too many; each shorter one is cut short. */
static struct item read_one(const char *data, size_t len)
{
        struct item item = {0}, ignored;

        for (size_t n = 0; n <= len; n++) {
                uint8_t *copy = malloc(MAX(n, (size_t)1));
                struct item_reader r = {copy, copy + n};

                assert_non_null(copy);
                memcpy(copy, data, n);
                if (n < len) {
                        assert_int_equal(item_read(&r, &ignored), -ENODATA);
                } else {
                        assert_int_equal(item_read(&r, &item), 0);
                        assert_ptr_equal(r.p, r.end);
                        if (item.kind >= ITEM_STR && item.kind <= ITEM_EXT)
                                assert_ptr_equal(item.data + item.value, r.end);
                }
                free(copy);
        }
        return item;
}

static void expect_number(const char *data, size_t len, enum item_kind kind, int64_t value)
{
        struct item item = read_one(data, len);

        assert_int_equal(item.kind, kind);
        assert_int_equal(item.value, value);
        assert_int_equal(item_count_inside(&item), 0);
}

static void expect_bytes(const char *data, size_t len, enum item_kind kind, size_t n, int type)
{
        struct item item = read_one(data, len);

        assert_int_equal(item.kind, kind);
        assert_int_equal(item.value, n);
        if (kind == ITEM_EXT)
                assert_int_equal(item.type, type);
        assert_int_equal(item_count_inside(&item), 0);
}

static void expect_items(const char *data, size_t len, enum item_kind kind, uint64_t inside)
{
        struct item item = read_one(data, len);

        assert_int_equal(item.kind, kind);
        assert_int_equal(item_count_inside(&item), inside);
}

static void test_plain_values(void **state)
{
        assert_int_equal(read_one(BYTES("\xc0")).kind, ITEM_NIL);
        assert_int_equal(read_one(BYTES("\xc2")).kind, ITEM_FALSE);
        assert_int_equal(read_one(BYTES("\xc3")).kind, ITEM_TRUE);
}

static void test_integers_of_every_size(void **state)
{
        expect_number(BYTES("\x7f"), ITEM_UNSIGNED, 127);
        expect_number(BYTES("\xe0"), ITEM_SIGNED, -32);
        expect_number(BYTES("\xcc\x80"), ITEM_UNSIGNED, 128);
        expect_number(BYTES("\xcd\x01\x02"), ITEM_UNSIGNED, 0x102);
        expect_number(BYTES("\xce\xff\x00\x00\x01"), ITEM_UNSIGNED, 0xff000001);
        expect_number(BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), ITEM_UNSIGNED, -1);
        expect_number(BYTES("\xd0\x80"), ITEM_SIGNED, -128);
        expect_number(BYTES("\xd1\xff\xfe"), ITEM_SIGNED, -2);
        expect_number(BYTES("\xd2\x7f\xff\xff\xff"), ITEM_SIGNED, INT32_MAX);
        expect_number(BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), ITEM_SIGNED, INT64_MIN);
}

static void test_floats_of_both_sizes(void **state)
{
        struct item single = read_one(BYTES("\xca\x3f\xc0\x00\x00"));
        struct item whole = read_one(BYTES("\xcb\xbf\xf8\x00\x00\x00\x00\x00\x00"));

        assert_true(single.kind == ITEM_FLOAT && single.value == 4 && single.number == 1.5);
        assert_true(whole.kind == ITEM_FLOAT && whole.value == 8 && whole.number == -1.5);
}

static void test_bytes_lie_where_they_were(void **state)
{
        expect_bytes(BYTES("\xa0"), ITEM_STR, 0, 0);
        expect_bytes(BYTES("\xa2hi"), ITEM_STR, 2, 0);
        expect_bytes(BYTES("\xd9\x02hi"), ITEM_STR, 2, 0);
        expect_bytes(BYTES("\xda\x00\x02hi"), ITEM_STR, 2, 0);
        expect_bytes(BYTES("\xdb\x00\x00\x00\x02hi"), ITEM_STR, 2, 0);
        expect_bytes(BYTES("\xc4\x02hi"), ITEM_BIN, 2, 0);
        expect_bytes(BYTES("\xc5\x00\x02hi"), ITEM_BIN, 2, 0);
        expect_bytes(BYTES("\xc6\x00\x00\x00\x02hi"), ITEM_BIN, 2, 0);
        expect_bytes(BYTES("\xc7\x00\xff"), ITEM_EXT, 0, -1);
        expect_bytes(BYTES("\xc8\x00\x02\x05hi"), ITEM_EXT, 2, 5);
        expect_bytes(BYTES("\xc9\x00\x00\x00\x02\x05hi"), ITEM_EXT, 2, 5);
        expect_bytes(BYTES("\xd4\x80x"), ITEM_EXT, 1, -128);
        expect_bytes(BYTES("\xd5\x01xx"), ITEM_EXT, 2, 1);
        expect_bytes(BYTES("\xd6\x01xxxx"), ITEM_EXT, 4, 1);
        expect_bytes(BYTES("\xd7\x01xxxxxxxx"), ITEM_EXT, 8, 1);
        expect_bytes(BYTES("\xd8\x01xxxxxxxxxxxxxxxx"), ITEM_EXT, 16, 1);
}

static void test_only_headers_of_arrays_and_maps_are_read(void **state)
{
        expect_items(BYTES("\x90"), ITEM_ARRAY, 0);
        expect_items(BYTES("\x9f"), ITEM_ARRAY, 15);
        expect_items(BYTES("\x8f"), ITEM_MAP, 30);
        expect_items(BYTES("\xdc\x01\x00"), ITEM_ARRAY, 256);
        expect_items(BYTES("\xdd\xff\xff\xff\xff"), ITEM_ARRAY, UINT32_MAX);
        expect_items(BYTES("\xde\x01\x00"), ITEM_MAP, 512);
        expect_items(BYTES("\xdf\xff\xff\xff\xff"), ITEM_MAP, UINT64_C(2) * UINT32_MAX);
}

static void test_what_begins_nothing_is_refused(void **state)
{
        static const uint8_t never[] = {0xc1, 0, 0};
        struct item_reader r = {never, never + sizeof(never)};
        struct item item;

        assert_int_equal(item_read(&r, &item), -EBADMSG);
}

static void test_claims_beyond_the_end_are_cut_short(void **state)
{
        static const char *const claims[] = {"\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff",
                                             "\xc9\xff\xff\xff\xff"};

        for (size_t i = 0; i < ARRAY_SIZE(claims); i++) {
                const uint8_t *start = (const uint8_t *)claims[i];
                struct item_reader r = {start, start + 5};
                struct item item;

                assert_int_equal(item_read(&r, &item), -ENODATA);
        }
}

/* What item_skip() says of a copy; *ret_left: bytes behind the value. */
static int skip_one(const void *data, size_t len, size_t *ret_left)
{
        uint8_t *copy = malloc(MAX(len, (size_t)1));
        struct item_reader r = {copy, copy + len};
        int error;

        assert_non_null(copy);
        memcpy(copy, data, len);
        error = item_skip(&r);
        *ret_left = (size_t)(r.end - r.p);
        free(copy);
        return error;
}

static void test_a_value_is_skipped_with_all_that_is_inside(void **state)
{
        static const struct {
                const char *data;
                size_t len;
        } values[] = {
                {BYTES("\xc0")},
                {BYTES("\xa2hi")},
                {BYTES("\x90")},
                {BYTES("\x82\xa1"
                       "a\x93\x01\x91\xc0\x80\x02\x81\x03\x04")},
        };
        char data[64];
        size_t left;

        for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
                memcpy(data, values[i].data, values[i].len);
                memcpy(data + values[i].len, "\xc1\xc1", 2); /* not looked at */
                assert_int_equal(skip_one(data, values[i].len + 2, &left), 0);
                assert_int_equal(left, 2);
                for (size_t n = 0; n < values[i].len; n++)
                        assert_int_equal(skip_one(data, n, &left), -ENODATA);
        }
        assert_int_equal(skip_one(BYTES("\x92\x01\xc1"), &left), -EBADMSG);
}

static void test_depth_and_claims_cost_no_more_than_the_bytes(void **state)
{
        enum { DEEP = 1000000 };
        uint8_t *deep = malloc(DEEP);
        size_t left;

        assert_non_null(deep);
        memset(deep, 0x91, DEEP);
        assert_int_equal(skip_one(deep, DEEP, &left), -ENODATA);
        deep[DEEP - 1] = 0xc0;
        assert_int_equal(skip_one(deep, DEEP, &left), 0);
        assert_int_equal(left, 0);
        /* Arrays of 2^32 - 1, each the first of the one around it. */
        for (size_t i = 0; i < DEEP / 5; i++)
                memcpy(deep + 5 * i, "\xdd\xff\xff\xff\xff", 5);
        assert_int_equal(skip_one(deep, DEEP / 5 * 5, &left), -ENODATA);
        assert_true(left > DEEP / 2);
        free(deep);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_plain_values),
                cmocka_unit_test(test_integers_of_every_size),
                cmocka_unit_test(test_floats_of_both_sizes),
                cmocka_unit_test(test_bytes_lie_where_they_were),
                cmocka_unit_test(test_only_headers_of_arrays_and_maps_are_read),
                cmocka_unit_test(test_what_begins_nothing_is_refused),
                cmocka_unit_test(test_claims_beyond_the_end_are_cut_short),
                cmocka_unit_test(test_a_value_is_skipped_with_all_that_is_inside),
                cmocka_unit_test(test_depth_and_claims_cost_no_more_than_the_bytes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
