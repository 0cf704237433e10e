/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed parameters become the bytes that the reference makes of them. What a value is read as was
 * taken from what its FIFO sent for each of these texts.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "broker-rpc/kv.h"

#define BYTES(text) text, sizeof(text) - 1

static void expect(const char *text, const char *bytes, size_t len)
{
        uint8_t *got = NULL;
        size_t got_len = 0;

        assert_int_equal(kv_encode(text, strlen(text), &got, &got_len), 0);
        if (got_len != len || memcmp(got, bytes, len) != 0)
                print_error("\"%s\" became %zu bytes\n", text, got_len);
        assert_int_equal(got_len, len);
        assert_memory_equal(got, bytes, len);
        free(got);
}

/* The bytes of the value alone, which follow 81 a1 'k'. */
static void expect_as(const char *value, const char *bytes, size_t len)
{
        char text[600], whole[600] = "\x81\xa1k";

        (void)snprintf(text, sizeof(text), "k=%s", value);
        memcpy(whole + 3, bytes, len);
        expect(text, whole, len + 3);
}

static void expect_double(const char *value, double number)
{
        uint64_t bits;
        char bytes[9] = "\xcb";

        memcpy(&bits, &number, 8);
        bits = __builtin_bswap64(bits);
        memcpy(bytes + 1, &bits, 8);
        expect_as(value, bytes, 9);
}

static void test_no_words_are_an_empty_map(void **state)
{
        expect("", BYTES("\x80"));
        expect("    ", BYTES("\x80"));
}

static void test_words_become_pairs(void **state)
{
        expect("a=1 b=x", BYTES("\x82\xa1"
                                "a\x01\xa1"
                                "b\xa1x"));
        expect("  a=1   b=x ", BYTES("\x82\xa1"
                                     "a\x01\xa1"
                                     "b\xa1x"));
        expect("=1", BYTES("\x81\xa0\x01"));
        expect("k=", BYTES("\x81\xa1k\xa0"));
        expect("x=1=2", BYTES("\x81\xa1x\x01"));
        expect("x==", BYTES("\x81\xa1x\xa0"));
}

static void test_the_last_of_a_repeated_key_wins(void **state)
{
        expect("a=1 b=2 a=3", BYTES("\x82\xa1"
                                    "a\x03\xa1"
                                    "b\x02"));
        expect("=1 =2", BYTES("\x81\xa0\x02"));
        expect("a=1 aa=2", BYTES("\x82\xa1"
                                 "a\x01\xa2"
                                 "aa\x02"));
}

static void test_a_word_without_an_equals_sign_drops_all(void **state)
{
        static const char *const lines[] = {"a", "a=1 b", "b a=1", "a=1 \t b=2"};
        uint8_t *got = NULL;
        size_t len;

        for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
                assert_int_equal(kv_encode(lines[i], strlen(lines[i]), &got, &len), -EINVAL);
        assert_null(got);
}

static void test_integers_take_the_shortest_form(void **state)
{
        expect_as("0", BYTES("\x00"));
        expect_as("127", BYTES("\x7f"));
        expect_as("128", BYTES("\xcc\x80"));
        expect_as("256", BYTES("\xcd\x01\x00"));
        expect_as("65536", BYTES("\xce\x00\x01\x00\x00"));
        expect_as("4294967296", BYTES("\xcf\x00\x00\x00\x01\x00\x00\x00\x00"));
        expect_as("9223372036854775807", BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"));
        expect_as("-32", BYTES("\xe0"));
        expect_as("-33", BYTES("\xd0\xdf"));
        expect_as("-129", BYTES("\xd1\xff\x7f"));
        expect_as("-32769", BYTES("\xd2\xff\xff\x7f\xff"));
        expect_as("-9223372036854775808", BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"));
        expect_as("+5", BYTES("\x05"));
        expect_as("-0", BYTES("\x00"));
        expect_as("007", BYTES("\x07"));
}

static void test_booleans_are_small_words(void **state)
{
        expect_as("true", BYTES("\xc3"));
        expect_as("false", BYTES("\xc2"));
        expect_as("True", BYTES("\xa4True"));
        expect_as("FALSE", BYTES("\xa5"
                                 "FALSE"));
}

static void test_numbers_are_read_as_rust_does(void **state)
{
        expect_double("1.5", 1.5);
        expect_double(".5", 0.5);
        expect_double("5.", 5.0);
        expect_double("+.5", 0.5);
        expect_double("-.5", -0.5);
        expect_double("1e3", 1000);
        expect_double("1E+3", 1000);
        expect_double("1e-3", 0.001);
        expect_double("-0.0", -0.0);
        expect_double("9223372036854775808", 9223372036854775808.0);
        expect_double("-9223372036854775809", -9223372036854775809.0);
        expect_double("1e400", (double)INFINITY);
        expect_double("-1e400", -(double)INFINITY);
        expect_double("1e-400", 0.0);
        expect_double("0.30000000000000004", 0.1 + 0.2);
        expect_double("4.9e-324", 4.9e-324);
        expect_double("inf", (double)INFINITY);
        expect_double("-Infinity", -(double)INFINITY);
        expect_double("+INF", (double)INFINITY);
        expect_as("nan", BYTES("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"));
        expect_as("-NaN", BYTES("\xcb\xff\xf8\x00\x00\x00\x00\x00\x00"));
}

static void test_what_is_no_number_is_text(void **state)
{
        static const char *const texts[] = {
                "0x1", "1_0", "1,5",   ".",      "+",       "-",    "e3",  "1e",  "1e+",  "--5",
                "5-",  "1f",  "1.5.5", "nan(1)", "infinit", "null", "0b1", "+-5", "0x1p3"};

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                char bytes[32];
                size_t len = strlen(texts[i]);

                bytes[0] = (char)(0xa0 | len);
                memcpy(bytes + 1, texts[i], len);
                expect_as(texts[i], bytes, len + 1);
        }
}

static void test_text_has_every_length(void **state)
{
        char value[301], bytes[310];

        for (size_t len = 1; len < sizeof(value); len++) {
                size_t head = len < 32 ? 1 : len < 256 ? 2 : 3;

                memset(value, 'x', len);
                value[len] = '\0';
                bytes[0] = (char)(len < 32 ? 0xa0 | len : len < 256 ? 0xd9 : 0xda);
                bytes[head - 1] = head == 1 ? bytes[0] : (char)len;
                if (head == 3)
                        bytes[1] = (char)(len >> 8);
                memcpy(bytes + head, value, len);
                expect_as(value, bytes, head + len);
        }
}

/* A line of 64 KiB made of the shortest words must not take long: this would, if each key were
 * looked for in a row. */
static void test_many_keys(void **state)
{
        enum { N = 13000 };
        static char text[N * 6];
        uint8_t *got;
        size_t len = 0, got_len;

        for (unsigned i = 0; i < N; i++)
                len += (size_t)sprintf(text + len, "%x= ", i);
        assert_int_equal(kv_encode(text, len, &got, &got_len), 0);
        assert_memory_equal(got,
                            "\xde\x32\xc8\xa1"
                            "0\xa0\xa1"
                            "1\xa0",
                            9);
        free(got);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_words_are_an_empty_map),
                cmocka_unit_test(test_words_become_pairs),
                cmocka_unit_test(test_the_last_of_a_repeated_key_wins),
                cmocka_unit_test(test_a_word_without_an_equals_sign_drops_all),
                cmocka_unit_test(test_integers_take_the_shortest_form),
                cmocka_unit_test(test_booleans_are_small_words),
                cmocka_unit_test(test_numbers_are_read_as_rust_does),
                cmocka_unit_test(test_what_is_no_number_is_text),
                cmocka_unit_test(test_text_has_every_length),
                cmocka_unit_test(test_many_keys),
        };

        return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
