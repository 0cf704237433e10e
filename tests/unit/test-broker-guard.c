/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may call an administrator's methods of `.broker`, how many calls may wait, and what becomes
 * of them without memory and at the end.
 */
#include "fake-host.h"
#include "wire/frame.h"

#define DENIED RPC_CODE_BUS(WIRE_ACCESS)
#define BUSY RPC_CODE_BUS(WIRE_BUSY)
#define LATER_MAX 8 /* calls of one session that may wait */
#define LATER_MAX_ALL 64
#define DENIED_MAX 256 /* records */
#define GRANTED_MAX 64

/* --- Who may --- */

static const struct {
        const char *method;
        const char *params;
        size_t len;
        const char *action, *what, *client;
} guarded[] = {
        {"client.get", BYTES(""), "org.busrt1.inspect", "look at the clients"},
        {"client.get", BYTES("\x81\xa4name\xa3zzz"), "org.busrt1.inspect", "look at client \"zzz\"",
         "zzz"},
        {"client.disconnect", BYTES("\x81\xa4name\xa5plc.1"), "org.busrt1.disconnect",
         "disconnect client \"plc.1\"", "plc.1"},
        {"client.disconnect", BYTES("\x81\xa2id\5"), "org.busrt1.disconnect",
         "disconnect client #5"},
        {"reload", BYTES(""), "org.busrt1.reload", "reload the configuration"},
        {"config.get", BYTES(""), "org.busrt1.inspect", "see the configuration"},
        {"status", BYTES(""), "org.busrt1.inspect", "see the status"},
        {"log.level", BYTES(""), "org.busrt1.inspect", "see the log level"},
        {"log.level",
         BYTES("\x81\xa5level\xa5"
               "debug"),
         "org.busrt1.set-log-level", "set the log level to debug"},
        {"stats.reset", BYTES(""), "org.busrt1.reset-statistics", "reset the statistics"},
};

static void expect_nothing_done(void)
{
        assert_int_equal(bus.n_disconnected, 0);
        assert_int_equal(bus.n_reset, 0);
        assert_int_equal(host.n_reloads, 0);
        assert_int_equal(host.n_granted, 0);
        assert_string_equal(host.level, "info");
}

static void expect_refusals(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(guarded); i++) {
                size_t before = host.n_denied;

                call(guarded[i].method, guarded[i].params, guarded[i].len);
                expect_error(DENIED, true);
                serve_host();
                assert_int_equal(host.n_denied, before + 1);
                assert_string_equal(host.action, guarded[i].action);
                assert_string_equal(host.what, guarded[i].what);
                assert_string_equal(host.client, guarded[i].client ? guarded[i].client : "");
        }
        expect_nothing_done();
}

static void strangers_are_refused_and_that_is_told(void **state)
{
        come_as(stranger());
        expect_refusals();
        assert_string_equal(host.sender, "admin");
        assert_true(host.has_uid);
        assert_int_equal(host.uid, stranger());
        assert_int_equal(host.pid, 4711);
        assert_string_equal(host.why, "it is neither root nor the broker's own user");
}

static void who_comes_by_tcp_is_refused(void **state)
{
        come_by_tcp();
        expect_refusals();
        assert_false(host.has_uid);
        assert_string_equal(host.source, "192.0.2.7:40001");
        assert_string_equal(host.why, "it did not come by a UNIX socket");
        bus.caller.info.uid = 0; /* whatever stands there */
        expect_refusals();
        bus.caller.info.kind = TRANSPORT_INTERNAL;
        expect_refusals();
}

static void a_refused_call_without_reply_is_told_too(void **state)
{
        come_as(stranger());
        call_without_reply("reload", "", 0);
        assert_int_equal(host.n_denied, 1);
        expect_nothing_done();
}

static void the_brokers_own_user_may(void **state)
{
        come_as(geteuid());
        call("client.disconnect", BYTES("\x81\xa2id\5"));
        expect_result(BYTES("\x81\xa2ok\xc3"));
        answer_late("reload", "", 0);
        expect_result(BYTES("\x81\xa2ok\xc3"));
        assert_int_equal(host.n_denied, 0);
}

static void without_a_host_there_are_no_such_methods(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(guarded); i++) {
                call(guarded[i].method, guarded[i].params, guarded[i].len);
                expect_error(RPC_CODE_METHOD_NOT_FOUND, false);
        }
        assert_int_equal(bus.n_disconnected + bus.n_reset, 0);
}

/* --- Bounds --- */

static void of_one_session_a_few_calls_wait(void **state)
{
        size_t before = bus.n_replies;

        for (size_t i = 0; i < LATER_MAX; i++)
                call_id(CALL_ID, "status", 6, "", 0);
        assert_int_equal(bus.n_replies, before);
        call("status", "", 0);
        expect_error(BUSY, true);
        call("reload", "", 0);
        expect_error(BUSY, true);
        call_id(0, "reload", 6, "", 0);
        call("test", "", 0); /* what the worker answers it answers */
        expect_result(BYTES("\x81\xa2ok\xc3"));
        serve_host();
        assert_int_equal(bus.n_replies, before + 3 + LATER_MAX);
        assert_int_equal(host.n_reloads, 0);
        answer_late("status", "", 0);
}

static void of_all_sessions_a_bounded_number_waits(void **state)
{
        size_t before = bus.n_replies;

        for (size_t i = 0; i < LATER_MAX_ALL; i++) {
                bus.caller.info.id = 100 + i / LATER_MAX;
                call_id(0, "reload", 6, "", 0);
        }
        bus.caller.info.id = 99;
        assert_int_equal(bus.n_replies, before);
        call("reload", "", 0);
        expect_error(BUSY, true);
        serve_host();
        assert_int_equal(host.n_reloads, LATER_MAX_ALL);
        answer_late("reload", "", 0);
}

static void refusals_are_told_up_to_a_bound_and_take_no_room_of_others(void **state)
{
        come_as(stranger());
        for (size_t i = 0; i < DENIED_MAX + 100; i++) {
                call("reload", "", 0);
                expect_error(DENIED, true);
        }
        come_as(0);
        call("client.disconnect", BYTES("\x81\xa2id\5"));
        expect_result(BYTES("\x81\xa2ok\xc3"));
        call_id(CALL_ID, "config.get", 10, "", 0);
        serve_host();
        assert_int_equal(bus.reply[0], RPC_REPLY);
        assert_int_equal(host.n_denied, DENIED_MAX);
        assert_int_equal(host.n_granted, 1);
        assert_int_equal(host.n_missed, 1);
}

static void what_cannot_be_told_is_not_done(void **state)
{
        for (size_t i = 0; i < GRANTED_MAX; i++) {
                call("stats.reset", "", 0);
                expect_result(BYTES("\x81\xa2ok\xc3"));
        }
        call("stats.reset", "", 0);
        expect_error(BUSY, true);
        call("client.disconnect", BYTES("\x81\xa2id\5"));
        expect_error(BUSY, true);
        assert_int_equal(bus.n_reset, GRANTED_MAX);
        assert_int_equal(bus.n_disconnected, 0);
        serve_host();
        assert_int_equal(host.n_granted, GRANTED_MAX);
        assert_int_equal(host.n_missed, 0);
        call("client.disconnect", BYTES("\x81\xa2id\5"));
        expect_result(BYTES("\x81\xa2ok\xc3"));
}

static void late_replies_come_in_order(void **state)
{
        for (uint32_t i = 1; i <= LATER_MAX; i++)
                call_id(i, i % 2 ? "status" : "config.get", i % 2 ? 6 : 10, "", 0);
        serve_host();
        assert_int_equal(bus.n_replies, LATER_MAX);
        for (uint32_t i = 0; i < LATER_MAX; i++)
                assert_int_equal(bus.ids[i], i + 1);
}

static void a_late_reply_is_realtime_where_its_request_was(void **state)
{
        uint8_t payload[16];
        size_t n = rpc_request_encode(payload, CALL_ID, "reload", 6);

        deliver(payload, n, true);
        serve_host();
        assert_true(bus.realtime);
        answer_late("reload", "", 0);
        assert_false(bus.realtime);
}

static void at_the_end_records_are_told_and_calls_dropped(void **state)
{
        size_t before;

        call("client.disconnect", BYTES("\x81\xa2id\5"));
        call_id(CALL_ID, "reload", 6, "", 0);
        come_as(stranger());
        call("reload", "", 0);
        before = bus.n_replies;
        broker_rpc_finish(rpc);
        assert_int_equal(host.n_granted, 1);
        assert_int_equal(host.n_denied, 1);
        assert_int_equal(host.n_reloads, 0);
        assert_int_equal(bus.n_replies, before);
        assert_false(host_is_wanted());
}

/* --- Memory --- */

/* Each allocation of a call that is answered late fails in turn. */
static void late_fail_in_turn(const char *method, const void *params, size_t len)
{
        size_t held = memory.n_live, n = 0;

        do {
                size_t before = bus.n_replies;

                memory_fail_in(++n);
                call_id(CALL_ID, method, strlen(method), params, len);
                serve_host();
                assert_int_equal(bus.n_replies, before + 1);
                assert_int_equal(memory.n_live, held);
                if (memory.failed)
                        expect_error(RPC_CODE_INTERNAL, true);
        } while (memory.failed);
        memory_fail_in(0);
        assert_int_equal(bus.reply[0], RPC_REPLY);
        assert_true(n > 1);
}

static void without_memory_a_call_is_an_internal_error(void **state)
{
        fail_in_turn("client.get", "", 0);
        fail_in_turn("client.get", BYTES("\x81\xa5masks\xc3"));
        fail_in_turn("client.get", BYTES("\x81\xa2id\5"));
        late_fail_in_turn("client.disconnect", BYTES("\x81\xa2id\5"));
        late_fail_in_turn("stats.reset", "", 0);
        late_fail_in_turn("status", "", 0);
        late_fail_in_turn("config.get", "", 0);
        late_fail_in_turn("log.level", "", 0);
        late_fail_in_turn("reload", "", 0);
        come_as(stranger());
        memory_fail_in(1);
        call("reload", "", 0);
        memory_fail_in(0);
        expect_error(RPC_CODE_INTERNAL, true);
}

static void where_the_worker_cannot_be_asked_nothing_breaks(void **state)
{
        size_t before;

        bus.without_memory = true;
        call("client.disconnect", BYTES("\x81\xa2id\5"));
        expect_error(RPC_CODE_INTERNAL, true);
        serve_host();
        assert_int_equal(host.n_granted, 0);
        before = bus.n_replies;
        call_id(CALL_ID, "status", 6, "", 0);
        call_id(CALL_ID, "reload", 6, "", 0);
        serve_host();
        assert_int_equal(bus.n_replies, before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ADMIN_TEST(strangers_are_refused_and_that_is_told),
                ADMIN_TEST(who_comes_by_tcp_is_refused),
                ADMIN_TEST(a_refused_call_without_reply_is_told_too),
                ADMIN_TEST(the_brokers_own_user_may),
                TEST(without_a_host_there_are_no_such_methods),
                ADMIN_TEST(of_one_session_a_few_calls_wait),
                ADMIN_TEST(of_all_sessions_a_bounded_number_waits),
                ADMIN_TEST(refusals_are_told_up_to_a_bound_and_take_no_room_of_others),
                ADMIN_TEST(what_cannot_be_told_is_not_done),
                ADMIN_TEST(late_replies_come_in_order),
                ADMIN_TEST(a_late_reply_is_realtime_where_its_request_was),
                ADMIN_TEST(at_the_end_records_are_told_and_calls_dropped),
                ADMIN_TEST(without_memory_a_call_is_an_internal_error),
                ADMIN_TEST(where_the_worker_cannot_be_asked_nothing_breaks),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
