/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of the FIFO (docs/protocol.md, 7): what each asks for, which are refused, and the payload
 * that is sent. Lines are parsed in buffers of just their size, so that a sanitizer sees a read
 * beyond the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "busrtd/fifo-line.h"

struct expected {
        const char *line;
        enum engine_send_kind kind;
        const char *target;
        const char *payload;
        size_t payload_len;
};

#define BYTES(text) text, sizeof(text) - 1

static char *copy_of(const char *line, size_t len)
{
        char *copy = malloc(len ? len : 1);

        assert_non_null(copy);
        memcpy(copy, line, len);
        return copy;
}

static void expect(const struct expected *e)
{
        size_t len = strlen(e->line), payload_len;
        char *copy = copy_of(e->line, len);
        struct fifo_line line;
        uint8_t *payload;

        assert_null(fifo_line_parse(copy, len, &line));
        assert_int_equal(line.kind, e->kind);
        assert_int_equal(line.target_len, strlen(e->target));
        assert_memory_equal(line.target, e->target, line.target_len);
        assert_null(fifo_line_encode(&line, &payload, &payload_len));
        if (payload_len != e->payload_len)
                print_error("%s\n", e->line);
        assert_int_equal(payload_len, e->payload_len);
        assert_memory_equal(payload, e->payload, payload_len);
        free(payload);
        free(copy);
}

static void expect_all(const struct expected *table, size_t n)
{
        for (size_t i = 0; i < n; i++)
                expect(&table[i]);
}

/* Refused when it is parsed or when its payload is made, with a reason; "" is a line that asks for
 * nothing. */
static const char *refused(const char *line, size_t len)
{
        char *copy = copy_of(line, len);
        struct fifo_line l;
        const char *why = fifo_line_parse(copy, len, &l);
        uint8_t *payload;
        size_t payload_len;

        if (!why)
                why = fifo_line_encode(&l, &payload, &payload_len);
        free(copy);
        assert_non_null(why);
        return why;
}

static void test_messages(void **state)
{
        static const struct expected table[] = {
                {"a hello", ENGINE_SEND_MESSAGE, "a", BYTES("hello")},
                {"a hello big world ", ENGINE_SEND_MESSAGE, "a", BYTES("hello big world ")},
                {"a.b%%1 x", ENGINE_SEND_MESSAGE, "a.b%%1", BYTES("x")},
                {"a ", ENGINE_SEND_MESSAGE, "a", BYTES("")},
                {"a  two", ENGINE_SEND_MESSAGE, "a", BYTES(" two")},
                {"a  .x", ENGINE_SEND_MESSAGE, "a", BYTES(" .x")},
                {"a =t x", ENGINE_SEND_MESSAGE, "a", BYTES("=t x")},
                {"\ta x", ENGINE_SEND_MESSAGE, "\ta", BYTES("x")},
                {"\303\274 \303\266", ENGINE_SEND_MESSAGE, "\303\274", BYTES("\303\266")},
        };

        expect_all(table, ARRAY_SIZE(table));
}

static void test_a_mask_broadcasts_plain_messages_only(void **state)
{
        static const struct expected table[] = {
                {"* hello", ENGINE_SEND_BROADCAST, "*", BYTES("hello")},
                {"a.? hello you", ENGINE_SEND_BROADCAST, "a.?", BYTES("hello you")},
                {"x*y z", ENGINE_SEND_BROADCAST, "x*y", BYTES("z")},
                {"* .note", ENGINE_SEND_MESSAGE, "*", BYTES("\0note")},
                {"? :m", ENGINE_SEND_MESSAGE, "?", BYTES("\1\0\0\0\0m\0\x80")},
        };

        expect_all(table, ARRAY_SIZE(table));
}

static void test_publications(void **state)
{
        static const struct expected table[] = {
                {"=t hello", ENGINE_SEND_PUBLICATION, "t", BYTES("hello")},
                {"  =t/u hello world \t", ENGINE_SEND_PUBLICATION, "t/u", BYTES("hello world")},
                {"= x", ENGINE_SEND_PUBLICATION, "", BYTES("x")},
                {"=+/# x", ENGINE_SEND_PUBLICATION, "+/#", BYTES("x")},
                {"=t .x", ENGINE_SEND_PUBLICATION, "t", BYTES(".x")},
                {"=t :m a=1", ENGINE_SEND_PUBLICATION, "t", BYTES(":m a=1")},
        };

        expect_all(table, ARRAY_SIZE(table));
}

static void test_notifications(void **state)
{
        static const struct expected table[] = {
                {"a .", ENGINE_SEND_MESSAGE, "a", BYTES("\0")},
                {"a .hello you", ENGINE_SEND_MESSAGE, "a", BYTES("\0hello you")},
                {"a ..", ENGINE_SEND_MESSAGE, "a", BYTES("\0.")},
        };

        expect_all(table, ARRAY_SIZE(table));
}

static void test_calls(void **state)
{
        static const struct expected table[] = {
                {"a :m", ENGINE_SEND_MESSAGE, "a", BYTES("\1\0\0\0\0m\0\x80")},
                {"a :", ENGINE_SEND_MESSAGE, "a", BYTES("\1\0\0\0\0\0\x80")},
                {"a :m.n k=1", ENGINE_SEND_MESSAGE, "a", BYTES("\1\0\0\0\0m.n\0\x81\xa1k\1")},
                {"a :m  k=v ", ENGINE_SEND_MESSAGE, "a", BYTES("\1\0\0\0\0m\0\x81\xa1k\xa1v")},
        };

        expect_all(table, ARRAY_SIZE(table));
}

static void test_lines_that_ask_for_nothing(void **state)
{
        assert_string_equal(refused(BYTES("")), "");
        assert_string_equal(refused(BYTES("  ")), "");
        assert_string_equal(refused(BYTES(" \t\r")), "");
}

static void test_bad_lines_are_refused_with_a_reason(void **state)
{
        assert_string_equal(refused(BYTES("a")), "no message after the target");
        assert_string_equal(refused(BYTES("a\tb")), "no message after the target");
        assert_string_equal(refused(BYTES("=t")), "no message after the topic");
        assert_string_equal(refused(BYTES("=t ")), "no message after the topic");
        assert_string_equal(refused(BYTES("=")), "no message after the topic");
        assert_string_equal(refused(BYTES(" a b")), "no target before the message");
        assert_string_equal(refused(BYTES("a :m k")), "a parameter without '='");
        assert_string_equal(refused(BYTES("a :m k=v x")), "a parameter without '='");
        assert_string_equal(refused(BYTES("a \xff")), "it is not UTF-8");
        assert_string_equal(refused(BYTES("\xc3")), "it is not UTF-8");
        assert_string_equal(refused(BYTES("a\0b x")), "a NUL in a name");
        assert_string_equal(refused(BYTES("=a\0b x")), "a NUL in a name");
        assert_string_equal(refused(BYTES("a :m\0 k=1")), "a NUL in a name");
}

static void test_a_message_may_hold_any_byte_of_utf8(void **state)
{
        static const char line[] = "a x\0y\n\r";
        struct fifo_line l;
        uint8_t *payload;
        size_t len;

        assert_null(fifo_line_parse(line, sizeof(line) - 1, &l));
        assert_null(fifo_line_encode(&l, &payload, &len));
        assert_int_equal(len, 5);
        assert_memory_equal(payload, "x\0y\n\r", 5);
        free(payload);
}

/* Every line of up to six of the bytes that mean something: none may read beyond its end or fall
 * between the cases. */
static void test_every_short_line(void **state)
{
        static const char alphabet[] = " =.:a*\0\n";
        enum { BASE = sizeof(alphabet) - 1, LEN = 6 };
        size_t n_lines = 1;

        for (size_t len = 0; len <= LEN; len++, n_lines *= BASE)
                for (size_t i = 0; i < n_lines; i++) {
                        char *line = malloc(len ? len : 1);
                        struct fifo_line l;
                        uint8_t *payload;
                        size_t payload_len, rest = i;

                        assert_non_null(line);
                        for (size_t k = 0; k < len; k++, rest /= BASE)
                                line[k] = alphabet[rest % BASE];
                        if (!fifo_line_parse(line, len, &l) &&
                            !fifo_line_encode(&l, &payload, &payload_len)) {
                                assert_true(l.target >= line &&
                                            l.target + l.target_len < line + len);
                                free(payload);
                        }
                        free(line);
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_messages),
                cmocka_unit_test(test_a_mask_broadcasts_plain_messages_only),
                cmocka_unit_test(test_publications),
                cmocka_unit_test(test_notifications),
                cmocka_unit_test(test_calls),
                cmocka_unit_test(test_lines_that_ask_for_nothing),
                cmocka_unit_test(test_bad_lines_are_refused_with_a_reason),
                cmocka_unit_test(test_a_message_may_hold_any_byte_of_utf8),
                cmocka_unit_test(test_every_short_line),
        };

        return cmocka_run_group_tests_name("fifo", tests, NULL, NULL);
}
