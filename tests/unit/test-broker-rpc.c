/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to `.broker` (docs/protocol.md, 5 and 6). The engine is a stand-in: a table of clients,
 * numbers, and the replies that were queued. Results are compared byte by byte with what is written
 * here by hand or by a small encoder of the tests' own.
 */
#include "fake-engine.h"
#include "packed.h"

static void put_client(struct bytes *b, const struct engine_client_info *c)
{
        static const char *const kinds[] = {"internal", "local_ipc", "tcp"};

        put(b, 0x8a);
        put_text(b, "name");
        put_text(b, c->name);
        put_text(b, "kind");
        put_text(b, kinds[c->kind]);
        put_text(b, "source");
        put_text_or_nil(b, c->source);
        put_text(b, "port");
        put_text_or_nil(b, c->listener);
        put_text(b, "r_frames");
        put_number(b, c->r_frames);
        put_text(b, "r_bytes");
        put_number(b, c->r_bytes);
        put_text(b, "w_frames");
        put_number(b, c->w_frames);
        put_text(b, "w_bytes");
        put_number(b, c->w_bytes);
        put_text(b, "queue");
        put_number(b, c->queue_frames);
        put_text(b, "instances");
        put_number(b, c->instances);
}

/* --- What is answered, and what is not --- */

static void test_test_says_ok(void **state)
{
        call("test", "", 0);
        expect_result(BYTES("\x81\xa2ok\xc3"));
}

static void test_info_tells_author_and_version(void **state)
{
        struct bytes b = {.n = 0};

        put(&b, 0x82);
        put_text(&b, "author");
        put_text(&b, "the busrt authors");
        put_text(&b, "version");
        put_text(&b, BUSRT_VERSION);
        call("info", "", 0);
        expect_result(b.data, b.n);
}

static void test_stats_are_as_small_as_they_can_be(void **state)
{
        static const uint64_t edges[] = {0,
                                         1,
                                         127,
                                         128,
                                         255,
                                         256,
                                         65535,
                                         65536,
                                         UINT32_MAX,
                                         UINT64_C(1) << 32,
                                         UINT64_MAX - 1,
                                         UINT64_MAX};

        for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
                struct bytes b = {.n = 0};
                uint64_t next = edges[(i + 1) % ARRAY_SIZE(edges)];

                bus.counters = (struct engine_counters){.r_frames = edges[i],
                                                        .r_bytes = next,
                                                        .w_frames = next,
                                                        .w_bytes = edges[i]};
                bus.uptime = (1000 + i) * NSEC_PER_SEC + NSEC_PER_SEC - 1;
                put(&b, 0x85);
                put_text(&b, "uptime");
                put_number(&b, 1000 + i);
                put_text(&b, "r_frames");
                put_number(&b, edges[i]);
                put_text(&b, "r_bytes");
                put_number(&b, next);
                put_text(&b, "w_frames");
                put_number(&b, next);
                put_text(&b, "w_bytes");
                put_number(&b, edges[i]);
                call("stats", "", 0);
                expect_result(b.data, b.n);
        }
}

static void test_uptime_is_in_whole_seconds(void **state)
{
        bus.uptime = NSEC_PER_SEC - 1;
        call("stats", "", 0);
        assert_memory_equal(bus.reply + RPC_REPLY_HEADER_SIZE, "\x85\xa6uptime\0", 9);
}

static void test_methods_without_params_refuse_any(void **state)
{
        static const char *const methods[] = {"test", "info", "stats"};

        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                call(methods[i], "\x80", 1);
                expect_error(RPC_CODE_INVALID_PARAMS, false);
                call(methods[i], "\xc0", 1);
                expect_error(RPC_CODE_INVALID_PARAMS, false);
                call(methods[i], "\0\0", 2);
                expect_error(RPC_CODE_INVALID_PARAMS, false);
        }
}

static void test_unknown_methods_are_named_so(void **state)
{
        static const char *const methods[] = {"",       "tes",          "testt",     "TEST",
                                              "client", "client.list.", "benchmark", "é"};

        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                call(methods[i], "\xc1", i % 2);
                expect_error(RPC_CODE_METHOD_NOT_FOUND, false);
        }
}

static void test_a_method_that_is_not_utf8_has_a_code_of_its_own(void **state)
{
        call("\xff", "", 0);
        expect_error(RPC_CODE_METHOD_NOT_UTF8, false);
        call("test\xc3", "x", 1);
        expect_error(RPC_CODE_METHOD_NOT_UTF8, false);
}

static void test_benchmark_answers_the_same_bytes_without_a_copy(void **state)
{
        static const char payload[] = "\1\1\2\3\4benchmark.test\0\0\xc1\xff any";
        size_t head = 5 + sizeof("benchmark.test"), len = sizeof(payload) - 1;

        memory_count();
        bus.service.message(&bus, &bus.caller, (const uint8_t *)payload, len, false,
                            bus.service.userdata);
        expect_result(payload + head, len - head);
        assert_ptr_equal(bus.body, payload + head);
        assert_int_equal(memory.n_calls, 0);
        call("benchmark.test", "", 0);
        expect_result("", 0);
}

static void test_a_reply_is_realtime_where_its_request_was(void **state)
{
        deliver(BYTES("\1\1\2\3\4test\0"), true);
        assert_true(bus.realtime);
        deliver(BYTES("\1\1\2\3\4none\0"), true);
        assert_true(bus.realtime);
        deliver(BYTES("\1\1\2\3\4test\0"), false);
        assert_false(bus.realtime);
}

static void test_nothing_else_is_answered(void **state)
{
        static const struct {
                const char *payload;
                size_t len;
        } cases[] = {
                {BYTES("")},
                {BYTES("\0test")}, /* a notification */
                {BYTES("\0\1\0\0\0test\0")},
                {BYTES("\x11\1\0\0\0\x81\xa2ok\xc3")}, /* replies */
                {BYTES("\x12\1\0\0\0\1\1text")},
                {BYTES("\2\1\0\0\0test\0")}, /* no such kind */
                {BYTES("\xff")},
                {BYTES("\1\1\0\0\0")},       /* no method */
                {BYTES("\1\1\0\0\0test")},   /* no 00 */
                {BYTES("\1\0\0\0\0test\0")}, /* no reply wanted */
                {BYTES("\1\0\0\0\0none\0")},
                {BYTES("\1\0\0\0\0benchmark.test\0abc")},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                deliver(cases[i].payload, cases[i].len, false);
        for (size_t n = 0; n < 10; n++)
                deliver("\1\1\0\0\0test", n, false);
        assert_int_equal(bus.n_replies, 0);
}

/* --- client.list --- */

static const struct engine_client_info some_clients[] = {
        {.name = "plc.1",
         .kind = TRANSPORT_UNIX,
         .listener = "/run/busrt/bus.sock",
         .primary = true,
         .instances = 3,
         .r_frames = 1,
         .r_bytes = 200,
         .w_frames = 70000,
         .w_bytes = UINT64_C(1) << 40,
         .queue_frames = 300,
         .queue_bytes = 5,
         .dropped = 6},
        {.name = "plc.1%%0",
         .kind = TRANSPORT_UNIX,
         .listener = "/run/busrt/bus.sock",
         .instances = 1},
        {.name = "é",
         .kind = TRANSPORT_TCP,
         .source = "[::1]:4096",
         .listener = "[::]:7777",
         .primary = true,
         .instances = 1,
         .r_frames = UINT64_MAX},
        {.name = "plc",
         .kind = TRANSPORT_TCP,
         .source = "127.0.0.1:5",
         .listener = "0.0.0.0:7777",
         .primary = true,
         .instances = 1},
        {.name = "PLC.2",
         .kind = TRANSPORT_UNIX,
         .listener = "b.sock",
         .primary = true,
         .instances = 1},
        {.name = ".broker",
         .kind = TRANSPORT_INTERNAL,
         .primary = true,
         .instances = 1,
         .w_frames = 9},
};

static void expect_clients(const struct engine_client_info *const *clients, size_t n)
{
        struct bytes b = {.n = 0};

        put(&b, 0x81);
        put_text(&b, "clients");
        put(&b, 0x90 | (unsigned)n);
        for (size_t i = 0; i < n; i++)
                put_client(&b, clients[i]);
        expect_result(b.data, b.n);
}

static void test_the_list_has_all_primaries_by_name(void **state)
{
        const struct engine_client_info *const c[] = {&some_clients[5], &some_clients[4],
                                                      &some_clients[3], &some_clients[0],
                                                      &some_clients[2]};

        show(some_clients, ARRAY_SIZE(some_clients));
        call("client.list", "", 0);
        expect_clients(c, ARRAY_SIZE(c));
}

static void test_a_filter_leaves_those_that_match(void **state)
{
        const struct engine_client_info *const c[] = {&some_clients[3], &some_clients[0]};

        show(some_clients, ARRAY_SIZE(some_clients));
        call("client.list", BYTES("\x81\xa6"
                                  "filter\xa4^plc"));
        expect_clients(c, ARRAY_SIZE(c));
        call("client.list", BYTES("\x81\xa6"
                                  "filter\xa4^xyz"));
        expect_clients(NULL, 0);
}

static void test_a_list_may_be_empty(void **state)
{
        call("client.list", "", 0);
        expect_clients(NULL, 0);
}

/* The names of a reply of client.list, one after the other; each is checked to be greater than the
 * last. */
static size_t count_names(void)
{
        const uint8_t *p = bus.reply, *end = p + bus.reply_len, *last = NULL;
        size_t n = 0;

        assert_int_equal(p[0], RPC_REPLY);
        while ((p = memmem(p, (size_t)(end - p), "\x8a\xa4name", 6))) {
                p += 6;
                if (last)
                        assert_true(memcmp(last + 1, p + 1, 9) < 0);
                last = p;
                n++;
        }
        return n;
}

static void test_a_list_of_5000(void **state)
{
        static char names[5000][64];
        struct engine_client_info *clients = many_clients(ARRAY_SIZE(names), names);

        show(clients, ARRAY_SIZE(names));
        call("client.list", "", 0);
        assert_int_equal(count_names(), 5000);
        assert_memory_equal(bus.reply + RPC_REPLY_HEADER_SIZE,
                            "\x81\xa7"
                            "clients\xdc\x13\x88",
                            12);
        call("client.list", BYTES("\x81\xa6"
                                  "filter\xb0^c\\.\\d+9\\..*line"));
        assert_int_equal(count_names(), 500);
        call("client.list", BYTES("\x91\xa9\\.line\\.3"));
        assert_int_equal(count_names(), 714);
        test_free(clients);
}

/* --- Its parameters --- */

struct params {
        const char *data;
        size_t len;
};

static void test_params_are_taken_as_the_reference_takes_them(void **state)
{
        static const struct params all[] = {
                {BYTES("\x80")}, /* {} */
                {BYTES("\xde\0\0")},
                {BYTES("\xdf\0\0\0\0")},
                {BYTES("\x81\xa6"
                       "filter\xc0")}, /* {filter: nil} */
                {BYTES("\x91\xc0")},   /* [nil] */
                {BYTES("\x81\xa1x\xa1"
                       "a")}, /* other keys */
                {BYTES("\x81\5\xa1"
                       "a")},
                {BYTES("\x81\xcf\0\0\0\0\0\0\0\1\xa1"
                       "a")},
                {BYTES("\x81\xa7"
                       "filter2\x93\x80\x81\xc2\xcb\0\0\0\0\0\0\0\0\xd9\0")},
                {BYTES("\x81\xa1\xff\xc0")}, /* a key that is not UTF-8 */
                {BYTES("\x80\xc1")},         /* bytes after the end */
        };
        static const struct params only_a[] = {
                {BYTES("\x81\xa6"
                       "filter\xa2^a")},
                {BYTES("\x91\xa2^a")},
                {BYTES("\xdc\0\1\xa2^a")},
                {BYTES("\xdd\0\0\0\1\xa2^a")},
                {BYTES("\xde\0\1\xa6"
                       "filter\xd9\2^a")},
                {BYTES("\xdf\0\0\0\1\xa6"
                       "filter\xda\0\2^a")},
                {BYTES("\x81\xd9\6filter\xdb\0\0\0\2^a")},
                {BYTES("\x81\xc4\6filter\xc4\2^a")}, /* bin, for both */
                {BYTES("\x81\xc5\0\6filter\xc5\0\2^a")},
                {BYTES("\x81\xc6\0\0\0\6filter\xc6\0\0\0\2^a")},
                {BYTES("\x81\0\xa2^a")}, /* the key as a number */
                {BYTES("\x81\xcc\0\xa2^a")},
                {BYTES("\x81\xcf\0\0\0\0\0\0\0\0\xa2^a")},
                {BYTES("\x82\1\xc0\xa6"
                       "filter\xa2^a")},
                {BYTES("\x82\xa6"
                       "filter\xa2^a\xa1x\xd4\5\0")},
                {BYTES("\x82\xa1x\xc7\3\5abc\xa6"
                       "filter\xa2^a")},
                {BYTES("\x82\xa1x\xdd\0\0\0\2\x90\x80\xa6"
                       "filter\xa2^a")},
                {BYTES("\x81\xa6"
                       "filter\xa2^a\xff\xff")},
        };
        static const struct engine_client_info two[] = {
                {.name = "b", .primary = true, .instances = 1},
                {.name = "a", .primary = true, .instances = 1}};
        const struct engine_client_info *const both[] = {&two[1], &two[0]};

        show(two, ARRAY_SIZE(two));
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                call("client.list", all[i].data, all[i].len);
                expect_clients(both, 2);
        }
        for (size_t i = 0; i < ARRAY_SIZE(only_a); i++) {
                call("client.list", only_a[i].data, only_a[i].len);
                expect_clients(both, 1);
        }
}

static const struct params bad_params[] = {
        {BYTES("\xc0")}, /* nil */
        {BYTES("\xc1")},
        {BYTES("\5")},
        {BYTES("\xc3")},
        {BYTES("\xa6"
               "filter")},
        {BYTES("\xc4\0")},
        {BYTES("\xd4\5\0")},
        {BYTES("\x90")}, /* arrays of none and of two */
        {BYTES("\x92\xa1"
               "a\xa1"
               "b")},
        {BYTES("\x92\xa1"
               "a\xc0")},
        {BYTES("\xdd\xff\xff\xff\xff\xa1"
               "a")},
        {BYTES("\x91\5")},
        {BYTES("\x91\x91\xa1"
               "a")},
        {BYTES("\x82\xa6"
               "filter\xa1"
               "a\xa6"
               "filter\xa1"
               "b")}, /* twice, in any spelling */
        {BYTES("\x82\xa6"
               "filter\xc0\0\xc0")},
        {BYTES("\x82\0\xa1"
               "a\xc4\6filter\xa1"
               "a")},
        {BYTES("\x81\xa6"
               "filter\5")},
        {BYTES("\x81\xa6"
               "filter\xc2")},
        {BYTES("\x81\xa6"
               "filter\x80")},
        {BYTES("\x81\xa6"
               "filter\x91\xa1"
               "a")},
        {BYTES("\x81\xa6"
               "filter\xd4\5"
               "a")},
        {BYTES("\x81\xa6"
               "filter\xa1\xff")}, /* not UTF-8 */
        {BYTES("\x81\xa6"
               "filter\xc4\1\xff")},
        {BYTES("\x81\xc0\xa1"
               "a")}, /* keys */
        {BYTES("\x81\xff\xa1"
               "a")},
        {BYTES("\x81\xd0\0\xa1"
               "a")},
        {BYTES("\x81\xca\0\0\0\0\xa1"
               "a")},
        {BYTES("\x81\xc2\xa1"
               "a")},
        {BYTES("\x81\x90\xa1"
               "a")},
        {BYTES("\xdf\xff\xff\xff\xff")}, /* claims */
        {BYTES("\x81\xa6"
               "filter\xdb\xff\xff\xff\xff")},
        {BYTES("\x81\xa1x\xc6\xff\xff\xff\xff")},
        {BYTES("\x81\xa1x\xc9\xff\xff\xff\xff\0")},
        {BYTES("\x81\xa1x\xdf\xff\xff\xff\xff")},
        {BYTES("\x81\xa1x\xc1")},
};

static void test_bad_params_are_refused_with_a_text_and_take_no_memory(void **state)
{
        memory_count();
        for (size_t i = 0; i < ARRAY_SIZE(bad_params); i++) {
                call("client.list", bad_params[i].data, bad_params[i].len);
                expect_error(RPC_CODE_PARSE, true);
        }
        assert_int_equal(memory.n_calls, 0);
}

static void test_params_cut_anywhere_are_refused(void **state)
{
        static const char params[] = "\x83\xa1x\x92\xd9\2ab\xcd\1\2\xa6"
                                     "filter\xa1"
                                     "a\xc4\1y\xc7\2\5ab";

        for (size_t n = 1; n < sizeof(params) - 1; n++) {
                call("client.list", params, n);
                expect_error(RPC_CODE_PARSE, true);
        }
        call("client.list", params, sizeof(params) - 1);
        expect_clients(NULL, 0);
}

/* {x: [[[ ... nil ... ]]]} with that many levels in all. */
static bool takes_depth(size_t depth, uint8_t innermost)
{
        uint8_t params[1100] = {0x81, 0xa1, 'x'};
        size_t n = 3;

        for (size_t i = 1; i + 1 < depth; i++)
                params[n++] = 0x91;
        params[n++] = innermost;
        if (innermost == 0x91)
                params[n++] = 0xc0;
        call("client.list", params, n);
        return !is_error(RPC_CODE_PARSE);
}

static void test_params_may_be_1023_deep(void **state)
{
        assert_true(takes_depth(1023, 0x91));
        assert_false(takes_depth(1024, 0x91));
        assert_true(takes_depth(1023, 0x90));
        assert_false(takes_depth(1024, 0x80));
}

static void test_reading_many_params_is_paid_for(void **state)
{
        size_t n = 4 << 20;
        uint8_t *params = test_malloc(n);
        uint64_t start;

        memset(params, 0xc0, n);
        memcpy(params, "\x81\xa1x\xdd\0\x3f\xff\xf8", 8);
        start = cpu_time();
        call("client.list", params, n);
        assert_true(cpu_time() - start < CEILING);
        expect_error(RPC_CODE_PARSE, true);
        assert_true(error_says("too expensive"));
        test_free(params);
}

/* --- Memory --- */

static void test_without_memory_a_call_is_an_internal_error(void **state)
{
        static char names[300][64];
        struct engine_client_info *clients = many_clients(ARRAY_SIZE(names), names);

        fail_in_turn("test", "", 0);
        fail_in_turn("info", "", 0);
        fail_in_turn("stats", "", 0);
        show(clients, ARRAY_SIZE(names));
        fail_in_turn("client.list", "", 0);
        fail_in_turn("client.list", BYTES("\x91\xb3^(c\\.)?[\\w.]+(\\d|x)"));
        test_free(clients);
}

static void test_without_memory_there_is_no_service(void **state)
{
        struct broker_rpc *other = NULL;

        memory_fail_in(1);
        assert_int_equal(broker_rpc_new(&other), -ENOMEM);
        assert_null(other);
        assert_null(broker_rpc_free(NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_test_says_ok),
                TEST(test_info_tells_author_and_version),
                TEST(test_stats_are_as_small_as_they_can_be),
                TEST(test_uptime_is_in_whole_seconds),
                TEST(test_methods_without_params_refuse_any),
                TEST(test_unknown_methods_are_named_so),
                TEST(test_a_method_that_is_not_utf8_has_a_code_of_its_own),
                TEST(test_benchmark_answers_the_same_bytes_without_a_copy),
                TEST(test_a_reply_is_realtime_where_its_request_was),
                TEST(test_nothing_else_is_answered),
                TEST(test_the_list_has_all_primaries_by_name),
                TEST(test_a_filter_leaves_those_that_match),
                TEST(test_a_list_may_be_empty),
                TEST(test_a_list_of_5000),
                TEST(test_params_are_taken_as_the_reference_takes_them),
                TEST(test_bad_params_are_refused_with_a_text_and_take_no_memory),
                TEST(test_params_cut_anywhere_are_refused),
                TEST(test_params_may_be_1023_deep),
                TEST(test_reading_many_params_is_paid_for),
                TEST(test_without_memory_a_call_is_an_internal_error),
                TEST(test_without_memory_there_is_no_service),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
