/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: every option can be set and read, within its range, and holds for clients that are there
 * already. */
#include <limits.h>

#include "embed-bed.h"

static const struct row {
        enum busrt_broker_option option;
        const char *name;
        uint64_t standard; /* 0: the machine's */
        uint64_t min, max;
        bool at_start;
} rows[] = {
#define ROW(name, ...)                                                                             \
        {                                                                                          \
                BUSRT_BROKER_##name, #name, __VA_ARGS__                                            \
        }
        ROW(WORKERS, 1, 1, 256, true),
        ROW(TIMEOUT, 5 * SECOND, 10000, UINT32_MAX *UINT64_C(1000), false),
        ROW(BUSY_POLL, 0, 0, SECOND, false),
        ROW(QUEUE_FRAMES, 8192, 1, UINT32_MAX, false),
        ROW(QUEUE_BYTES, 16 << 20, 4096, UINT64_C(1) << 40, false),
        ROW(MEMORY, 0, 1 << 20, UINT64_C(1) << 50, false),
        ROW(MEMORY_PER_USER, 0, 0, UINT64_C(1) << 50, false),
        ROW(MAX_FRAME, 64 << 20, 1024, UINT32_MAX, false),
        ROW(MAX_TOPIC_PARTS, 128, 1, 65536, false),
        ROW(MAX_TOPIC_LENGTH, 4096, 1, 1 << 20, false),
        ROW(SLOW_PACE, 100 * MSEC, 0, SECOND / 2, false),
        ROW(SLOW_POLICY, BUSRT_SLOW_DISCONNECT, 0, BUSRT_SLOW_DROP_OLDEST, false),
        ROW(FORCE_REGISTER, BUSRT_FORCE_REGISTER_NO, 0, BUSRT_FORCE_REGISTER_ANY, false),
        ROW(MAX_CONNECTIONS, 16000, 1, 10000000, false),
        ROW(MAX_HANDSHAKES, 8192, 1, 10000000, false),
        ROW(MAX_NAMES, 16000, 1, 10000000, false),
        ROW(MAX_SUBSCRIPTIONS, 100000, 1, 10000000, false),
        ROW(CONNECTION_RATE, 2000, 0, 10000000, false),
        ROW(CONNECTION_BURST, 16000, 1, 10000000, false),
};

static uint64_t value_of(busrt_broker *b, const struct row *row)
{
        uint64_t value;

        assert_int_equal(busrt_broker_get(b, row->option, &value), 0);
        return value;
}

static void try_value(busrt_broker *b, const struct row *row, uint64_t value, int want)
{
        uint64_t before = value_of(b, row);
        int r = busrt_broker_set(b, row->option, value);

        if (r != want || value_of(b, row) != (r == 0 ? value : before))
                fail_msg("%s: %llu gives %d", row->name, (unsigned long long)value, r);
}

static void the_defaults_are_those_of_busrtd(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].option != BUSRT_BROKER_MEMORY &&
                    value_of(b, &rows[i]) != rows[i].standard)
                        fail_msg("%s is %llu", rows[i].name,
                                 (unsigned long long)value_of(b, &rows[i]));
        assert_true(value_of(b, &rows[BUSRT_BROKER_MEMORY]) > 1 << 20);
}

/* There is a row for each, in their order. */
static void each_has_a_range(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        uint64_t value = 7;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct row *row = &rows[i];

                assert_int_equal(row->option, i);
                try_value(b, row, row->min, 0);
                if (row->min > 0)
                        try_value(b, row, row->min - 1, -EINVAL);
                try_value(b, row, row->max, 0);
                if (row->max < UINT64_MAX)
                        try_value(b, row, row->max + 1, -EINVAL);
                try_value(b, row, row->min, 0);
        }
        for (int option = ARRAY_SIZE(rows); option < 1000; option++)
                assert_int_equal(busrt_broker_get(b, option, &value), -EINVAL);
        assert_int_equal(busrt_broker_get(b, (enum busrt_broker_option)INT_MIN, &value), -EINVAL);
        assert_int_equal(busrt_broker_set(b, (enum busrt_broker_option)INT_MAX, 1), -EINVAL);
        assert_int_equal(value, 7);
}

static void set_all(busrt_broker *b)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint64_t value = value_of(b, &rows[i]);

                try_value(b, &rows[i], value, rows[i].at_start ? -EBUSY : 0);
        }
}

static void some_only_at_the_start(void **state)
{
        _cleanup_broker_ busrt_broker *started = started_broker(), *served = new_broker(),
                                      *connected = new_broker();
        _cleanup_client_ busrt_client *c = joined(connected, "c");

        assert_int_equal(busrt_broker_process(served), 0);
        set_all(started);
        set_all(served);
        set_all(connected);
}

/* Listening and looking in does not begin anything. */
static void all_after_listening(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        size_t n_threads = count_threads();

        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        (void)stats_of(b);
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_WORKERS, 2), 0);
        assert_int_equal(busrt_broker_set_event_handler(b, NULL, NULL), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        assert_int_equal(count_threads(), n_threads + 1 + 2);
}

static size_t fill(busrt_client *from, const char *to)
{
        size_t n = 0;
        int r;

        while ((r = busrt_client_send(from, to, IOV("x"), ACKED, NULL)) == 0)
                assert_true(++n < 10000);
        assert_int_equal(r, -ENOBUFS);
        return n;
}

/* In force when the call returns. */
static void a_limit_holds_for_who_is_there(void **state)
{
        static char long_text[1024]; /* and the name before it */
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *a = joined(b, "a"), *r = joined(b, "r"), *c = NULL;

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_SLOW_PACE, 0), 0);
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_QUEUE_FRAMES, 10), 0);
        assert_int_equal(fill(a, "r"), 10);
        expect_closed(r, -ECONNRESET);
        assert_int_equal(busrt_broker_start(b), 0);
        c = joined(b, "c");
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_QUEUE_FRAMES, 20), 0);
        assert_int_equal(fill(a, "c"), 20);
        expect_closed(c, -ECONNRESET);
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_MAX_FRAME, sizeof(long_text)), 0);
        assert_int_equal(busrt_client_send(a, "a", IOV("x"), ACKED, NULL), 0);
        assert_int_equal(busrt_client_send(a, "a", &(struct iovec){long_text, sizeof(long_text)}, 1,
                                           ACKED, NULL),
                         -EBADMSG);
}

static void names_are_taken_over_where_that_is_set(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *first = joined(b, "a"), *second = new_client("a"),
                                      *third = new_client("a");

        assert_int_equal(busrt_broker_connect(b, second), -EBUSY);
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_FORCE_REGISTER, BUSRT_FORCE_REGISTER_ANY),
                         0);
        assert_int_equal(busrt_broker_connect(b, third), 0);
        expect_closed(first, -ECONNRESET);
}

/* None of them is a limit for the process's own user, only for others. */
static void our_own_user_has_no_limits(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        busrt_client *c[20];

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].option >= BUSRT_BROKER_MAX_CONNECTIONS)
                        try_value(b, &rows[i], 1, 0);
        for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
                const char *topics[] = {"a", "b"};
                char name[8];

                snprintf(name, sizeof(name), "c%zu", i);
                c[i] = joined(b, name);
                assert_int_equal(busrt_client_subscribe(c[i], topics, 2, ACKED, NULL), 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(c); i++)
                busrt_client_free(c[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_defaults_are_those_of_busrtd),
                cmocka_unit_test(each_has_a_range),
                cmocka_unit_test(some_only_at_the_start),
                cmocka_unit_test(all_after_listening),
                cmocka_unit_test(a_limit_holds_for_who_is_there),
                cmocka_unit_test(names_are_taken_over_where_that_is_set),
                cmocka_unit_test(our_own_user_has_no_limits),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
