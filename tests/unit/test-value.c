/* SPDX-License-Identifier: Apache-2.0 */
/* MessagePack becomes JSON that says the same, JSON and words become MessagePack, and neither is
 * led astray by what strangers write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "busrtctl/value.h"

#define BYTES(text) text, sizeof(text) - 1

static const struct value_style compact = {0};

/* --- To JSON --- */

static void expect_styled(const struct value_style *style, const char *data, size_t len,
                          const char *json)
{
        struct text out = {0};

        text_adds(&out, "before ");
        assert_int_equal(value_to_json(&out, style, data, len), 0);
        assert_true(value_is_whole(data, len));
        text_add(&out, "", 1);
        assert_string_equal(out.data + strlen("before "), json);
        text_done(&out);
}

static void expect_json(const char *data, size_t len, const char *json)
{
        expect_styled(&compact, data, len, json);
}

static void expect_none(const char *data, size_t len)
{
        struct text out = {0};

        text_adds(&out, "before");
        assert_int_equal(value_to_json(&out, &compact, data, len), -EBADMSG);
        assert_int_equal(out.len, strlen("before"));
        text_done(&out);
}

static void expect_broken(const char *data, size_t len)
{
        expect_none(data, len);
        assert_false(value_is_whole(data, len));
}

static void test_numbers_are_whole(void **state)
{
        expect_json(BYTES("\x00"), "0");
        expect_json(BYTES("\x7f"), "127");
        expect_json(BYTES("\xe0"), "-32");
        expect_json(BYTES("\xcc\xff"), "255");
        expect_json(BYTES("\xd0\x80"), "-128");
        expect_json(BYTES("\xd1\x80\x00"), "-32768");
        expect_json(BYTES("\xd2\x80\x00\x00\x00"), "-2147483648");
        expect_json(BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), "-9223372036854775808");
        expect_json(BYTES("\xd3\x00\x00\x00\x00\x00\x00\x00\x07"), "7");
        expect_json(BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615");
}

static void test_floats_read_back_and_stay_floats(void **state)
{
        expect_json(BYTES("\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"), "1.0");
        expect_json(BYTES("\xcb\x80\x00\x00\x00\x00\x00\x00\x00"), "-0.0");
        expect_json(BYTES("\xcb\x3f\xd3\x33\x33\x33\x33\x33\x34"), "0.30000000000000004");
        expect_json(BYTES("\xcb\x7f\xef\xff\xff\xff\xff\xff\xff"), "1.7976931348623157e+308");
        expect_json(BYTES("\xca\x3d\xcc\xcc\xcd"), "0.1");
        expect_json(BYTES("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"), "\"inf\"");
        expect_json(BYTES("\xca\xff\x80\x00\x00"), "\"-inf\"");
        expect_json(BYTES("\xca\x7f\xc0\x00\x00"), "\"nan\"");
}

static void test_texts_are_escaped(void **state)
{
        expect_json(BYTES("\xa3"
                          "a\"\\"),
                    "\"a\\\"\\\\\"");
        expect_json(BYTES("\xa4\x1b[2J"), "\"\\u001b[2J\"");
        expect_json(BYTES("\xa2\xff"
                          "a"),
                    "\"\xef\xbf\xbd"
                    "a\"");
        expect_json(BYTES("\xd9\x03\xe2\x80\xae"), "\"\\u202e\"");
}

static void test_bytes_are_base64(void **state)
{
        expect_json(BYTES("\xc4\x00"), "{\"$base64\":\"\"}");
        expect_json(BYTES("\xc4\x04\x00\xff\x10\x80"), "{\"$base64\":\"AP8QgA==\"}");
        expect_json(BYTES("\xd4\xff\x01"), "{\"$ext\":-1,\"$base64\":\"AQ==\"}");
        expect_json(BYTES("\xc7\x03\x05"
                          "abc"),
                    "{\"$ext\":5,\"$base64\":\"YWJj\"}");
}

static void test_arrays_and_maps(void **state)
{
        expect_json(BYTES("\x90"), "[]");
        expect_json(BYTES("\x80"), "{}");
        expect_json(BYTES("\x93\xc0\xc2\xc3"), "[null,false,true]");
        expect_json(BYTES("\xdc\x00\x01\x91\x01"), "[[1]]");
        expect_json(BYTES("\x82\xa1"
                          "a\x01\xa1"
                          "a\x02"),
                    "{\"a\":1,\"a\":2}");
}

static void test_any_key_becomes_a_text(void **state)
{
        expect_json(BYTES("\x81\x01\x02"), "{\"1\":2}");
        expect_json(BYTES("\x81\xc0\x02"), "{\"null\":2}");
        expect_json(BYTES("\x81\xca\xff\x80\x00\x00\x02"), "{\"-inf\":2}");
        expect_json(BYTES("\x81\xc4\x01\x00\x02"), "{\"$msgpack:xAEA\":2}");
        expect_json(BYTES("\x81\x91\x01\x02"), "{\"$msgpack:kQE=\":2}");
}

static void test_for_people_it_is_indented_and_coloured(void **state)
{
        expect_styled(&(struct value_style){.pretty = true},
                      BYTES("\x82\xa1"
                            "a\x92\x01\x02\xa1"
                            "b\x80"),
                      "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}");
        expect_styled(&(struct value_style){.color = true},
                      BYTES("\x81\xa1"
                            "a\xa1"
                            "b"),
                      "{\033[34m\"a\"\033[0m:\033[32m\"b\"\033[0m}");
}

static void test_what_is_not_one_value_is_refused(void **state)
{
        expect_broken(BYTES(""));
        expect_broken(BYTES("\xc1"));
        expect_broken(BYTES("\x01\x02"));
        expect_broken(BYTES("\x91"));
        expect_broken(BYTES("\x81\x01"));
        expect_broken(BYTES("\xa5"
                            "abc"));
        expect_broken(BYTES("\xdb\xff\xff\xff\xff"));
        expect_broken(BYTES("\xdd\xff\xff\xff\xff\xc0"));
        expect_broken(BYTES("\xdf\xff\xff\xff\xff\xc0"));
        expect_broken(BYTES("\x81\xdd\xff\xff\xff\xff\xc0"));
        expect_broken(BYTES("\xd9"));
        expect_broken(BYTES("\xc7\x01"));
}

static void test_every_start_of_a_value_is_refused(void **state)
{
        static const char whole[] = "\x83\xa1"
                                    "a\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\xcd\x01\x02\xc4\x02xy"
                                    "\x92\x01\x02\xd6\x01"
                                    "abcd";

        expect_json(BYTES(whole), "{\"a\":1.0,\"258\":{\"$base64\":\"eHk=\"},\"$msgpack:kgEC\":"
                                  "{\"$ext\":1,\"$base64\":\"YWJjZA==\"}}");
        for (size_t n = 0; n < sizeof(whole) - 1; n++)
                expect_broken(whole, n);
}

static void test_nesting_is_bounded(void **state)
{
        static const char opening[] = {(char)0x91, (char)0x81};
        char data[100000];
        struct text json = {0};

        for (size_t kind = 0; kind < 2; kind++) {
                memset(data, opening[kind], sizeof(data));
                expect_none(data, sizeof(data));
        }
        memset(data, 0x91, VALUE_DEPTH_MAX);
        data[VALUE_DEPTH_MAX] = 0x01;
        assert_int_equal(value_to_json(&json, &compact, data, VALUE_DEPTH_MAX + 1), 0);
        assert_int_equal(json.len, VALUE_DEPTH_MAX * 2 + 1);
        data[VALUE_DEPTH_MAX] = (char)0x91;
        data[VALUE_DEPTH_MAX + 1] = 0x01;
        expect_none(data, VALUE_DEPTH_MAX + 2);
        text_done(&json);
}

static void test_keys_inside_keys_do_not_explode(void **state)
{
        char data[20001];
        struct text json = {0};

        memset(data, 0x81, 10000);
        memset(data + 10000, 0x01, 10001);
        assert_int_equal(value_to_json(&json, &compact, data, sizeof(data)), 0);
        assert_true(json.len < 2 * sizeof(data));
        text_done(&json);
}

static void test_what_is_long_is_not_indented(void **state)
{
        size_t len = 1000000;
        char *data = calloc(1, len + 5);
        struct text json = {0};

        assert_non_null(data);
        memcpy(data, "\xdd\x00\x0f\x42\x40", 5);
        assert_int_equal(value_to_json(&json, &(struct value_style){.pretty = true}, data, len + 5),
                         0);
        assert_int_equal(json.len, len * 2 + 1);
        text_done(&json);
        free(data);
}

/* --- From JSON --- */

static void expect_packed(const char *json, const char *data, size_t len)
{
        struct text out = {0};
        char *error = NULL;

        if (value_from_json(&out, json, strlen(json), &error) < 0)
                fail_msg("%s: %s", json, error);
        assert_int_equal(out.len, len);
        assert_memory_equal(out.data, data, len);
        text_done(&out);
}

static void expect_refused(const char *json, size_t len, const char *says)
{
        struct text out = {0};
        char *error = NULL;

        text_adds(&out, "before");
        assert_int_equal(value_from_json(&out, json, len, &error), -EBADMSG);
        assert_int_equal(out.len, strlen("before"));
        assert_non_null(error);
        if (!strstr(error, says))
                fail_msg("\"%s\" instead of \"%s\"", error, says);
        free(error);
        text_done(&out);
}

static void test_json_becomes_messagepack(void **state)
{
        expect_packed("null", BYTES("\xc0"));
        expect_packed(" [true, false] ", BYTES("\x92\xc3\xc2"));
        expect_packed("7", BYTES("\x07"));
        expect_packed("-9223372036854775808", BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"));
        expect_packed("9223372036854775807", BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"));
        expect_packed("18446744073709551615", BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"));
        expect_packed("18446744073709551616.0", BYTES("\xcb\x43\xf0\x00\x00\x00\x00\x00\x00"));
        expect_packed("1.0", BYTES("\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"));
        expect_packed("\"a\\u0000b\\u00fc\"", BYTES("\xa5"
                                                    "a\x00"
                                                    "b\xc3\xbc"));
        expect_packed("{\"a\":{\"b\":[]}}", BYTES("\x81\xa1"
                                                  "a\x81\xa1"
                                                  "b\x90"));
}

static void test_bytes_in_json(void **state)
{
        expect_packed("{\"$base64\":\"AP8QgA==\"}", BYTES("\xc4\x04\x00\xff\x10\x80"));
        expect_packed("{\"$base64\":\"\"}", BYTES("\xc4\x00"));
        expect_packed("{\"$ext\":-1,\"$base64\":\"AQ==\"}", BYTES("\xd4\xff\x01"));
        expect_packed("{\"$base64\":1}", BYTES("\x81\xa7$base64\x01"));
        expect_refused(BYTES("{\"$base64\":\"?\"}"), "not base64");
        expect_refused(BYTES("{\"$base64\":\"=AAA\"}"), "not base64");
        expect_refused(BYTES("{\"$base64\":\"AA=A\"}"), "not base64");
        expect_refused(BYTES("[{\"$ext\":128,\"$base64\":\"\"}]"), "-128 to 127");
}

static void test_broken_json_is_refused(void **state)
{
        expect_refused(BYTES(""), "too early");
        expect_refused(BYTES("{\"a\":"), "too early");
        expect_refused(BYTES("[1] x"), "at byte");
        expect_refused(BYTES("{a:1}"), "at byte 2");
        expect_refused(BYTES("\"\xff\""), "at byte");
        expect_refused(BYTES("1\0"), "NUL");
        expect_refused(BYTES("[1, 18446744073709551616]"), "64 bits");
        expect_refused(BYTES("{\"a\":-9223372036854775809}"), "64 bits");
        expect_refused(BYTES("{\"a\\u0000b\" : 1}"), "a key holds a NUL");
}

static void test_nesting_in_json_is_bounded(void **state)
{
        char json[2 * VALUE_DEPTH_MAX + 1], packed[VALUE_DEPTH_MAX];

        memset(json, '[', VALUE_DEPTH_MAX);
        memset(json + VALUE_DEPTH_MAX, ']', VALUE_DEPTH_MAX);
        json[2 * VALUE_DEPTH_MAX] = '\0';
        memset(packed, 0x91, sizeof(packed));
        packed[VALUE_DEPTH_MAX - 1] = (char)0x90;
        expect_packed(json, packed, sizeof(packed));
        memset(json, '[', VALUE_DEPTH_MAX + 2);
        expect_refused(json, sizeof(json) - 1, "nested deeper than 128");
}

static void test_a_nul_is_told_from_what_looks_like_one(void **state)
{
        expect_packed("[\"\\u0000\", \":\"]", BYTES("\x92\xa1\x00\xa1:"));
        expect_packed("{\"\\\\u0000\":1}", BYTES("\x81\xa6\\u0000\x01"));
        expect_packed("{\"k\":\"\\u0000\",\"l\":1}", BYTES("\x82\xa1k\xa1\x00\xa1l\x01"));
}

static void test_json_comes_back_as_it_was(void **state)
{
        static const char json[] = "{\"a\":[1,-1,1.5,\"x\",null,true,{\"$base64\":\"AAE=\"}],\"b\":"
                                   "{\"$ext\":3,\"$base64\":\"AAEC\"},\"c\":18446744073709551615}";
        struct text packed = {0};
        char *error = NULL;

        assert_int_equal(value_from_json(&packed, BYTES(json), &error), 0);
        expect_json(packed.data, packed.len, json);
        text_done(&packed);
}

/* --- From words --- */

static void test_words_become_a_map(void **state)
{
        static char a[] = "a=5", b[] = "b=x y=z", a_again[] = "a=.5", c[] = "c=true", plain[] = "d",
                    broken[] = "e=\xff";
        char *words[] = {a, b, a_again, c}, *wrong[] = {a, plain}, *not_text[] = {broken};
        struct text out = {0};
        char *error = NULL;

        assert_int_equal(value_from_words(&out, words, 4, &error), 0);
        expect_json(out.data, out.len, "{\"a\":0.5,\"b\":\"x y=z\",\"c\":true}");
        text_done(&out);
        assert_int_equal(value_from_words(&out, wrong, 2, &error), -EBADMSG);
        assert_string_equal(error, "\"d\" is not KEY=VALUE");
        assert_int_equal(value_from_words(&out, not_text, 1, &error), -EBADMSG);
        assert_non_null(strstr(error, "is not UTF-8"));
        free(error);
        text_done(&out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers_are_whole),
                cmocka_unit_test(test_floats_read_back_and_stay_floats),
                cmocka_unit_test(test_texts_are_escaped),
                cmocka_unit_test(test_bytes_are_base64),
                cmocka_unit_test(test_arrays_and_maps),
                cmocka_unit_test(test_any_key_becomes_a_text),
                cmocka_unit_test(test_for_people_it_is_indented_and_coloured),
                cmocka_unit_test(test_what_is_not_one_value_is_refused),
                cmocka_unit_test(test_every_start_of_a_value_is_refused),
                cmocka_unit_test(test_nesting_is_bounded),
                cmocka_unit_test(test_keys_inside_keys_do_not_explode),
                cmocka_unit_test(test_what_is_long_is_not_indented),
                cmocka_unit_test(test_json_becomes_messagepack),
                cmocka_unit_test(test_bytes_in_json),
                cmocka_unit_test(test_broken_json_is_refused),
                cmocka_unit_test(test_nesting_in_json_is_bounded),
                cmocka_unit_test(test_a_nul_is_told_from_what_looks_like_one),
                cmocka_unit_test(test_json_comes_back_as_it_was),
                cmocka_unit_test(test_words_become_a_map),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
