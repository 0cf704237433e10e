/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's own client: who calls it, and replies at once and later. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "basic/clock.h"
#include "bed.h"

#define PROCESSED 0x40
#define REALTIME 0x80
/* What a reply begins with: kind, length, realtime, sender. */
#define HEADER(len, realtime) "\x12" len "\0\0\0" realtime ".broker\0"

static struct {
        struct engine_client_info caller;
        char name[64];
        unsigned n_calls;
        bool at_once; /* it is answered by "now" */
} service;

static void on_message(struct engine *engine, struct session *from, const uint8_t *payload,
                       size_t len, bool realtime, void *userdata)
{
        service.n_calls++;
        engine_get_caller(from, &service.caller);
        strncpy(service.name, service.caller.name, sizeof(service.name) - 1);
        if (service.at_once)
                engine_reply(engine, from, "n", 1, "ow", 2, realtime);
}

static void open_with_service(struct bed *bed)
{
        static const struct engine_service own = {.message = on_message};

        memset(&service, 0, sizeof(service));
        bed_open(bed, NULL);
        engine_set_service(bed->engine, &own);
}

static void call(struct bed *bed, struct peer *p)
{
        peer_send(p, WIRE_OP_MESSAGE, LITERAL(".broker\0call"));
        bed_settle(bed);
}

static void a_service_knows_who_calls(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_service(&bed);
        a = bed_join_as(&bed, "a", 1234);
        call(&bed, &a);
        assert_int_equal(service.n_calls, 1);
        assert_string_equal(service.name, "a");
        assert_int_equal(service.caller.kind, TRANSPORT_UNIX);
        assert_int_equal(service.caller.uid, 1234);
        assert_int_equal(service.caller.r_frames, 1); /* this one */
        peer_close(&a);
        bed_close(&bed);
}

static void later_replies_come_in_order(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_service(&bed);
        a = bed_join(&bed, "a");
        call(&bed, &a);
        peer_expect(&a, NULL, 0);
        assert_int_equal(
                engine_reply_later(bed.engine, service.caller.id, "la", 2, "ter", 3, false), 0);
        assert_int_equal(
                engine_reply_later(bed.engine, service.caller.id, "last", 4, NULL, 0, true), 0);
        service.at_once = true;
        peer_send(&a, WIRE_OP_MESSAGE, LITERAL(".broker\0call"));
        bed_settle(&bed);
        peer_expect(&a, LITERAL(HEADER("\x0d", "\0") "later" HEADER("\x0c", "\1") "last" HEADER(
                                "\x0b", "\0") "now"));
        peer_close(&a);
        bed_close(&bed);
}

static void a_later_reply_counts_as_any(void **state)
{
        struct engine_counters before, after;
        struct engine_client_info info;
        struct bed bed;
        struct peer a;

        open_with_service(&bed);
        a = bed_join(&bed, "a");
        call(&bed, &a);
        before = bed_counters(&bed);
        assert_int_equal(
                engine_reply_later(bed.engine, service.caller.id, "la", 2, "ter", 3, false), 0);
        bed_settle(&bed);
        after = bed_counters(&bed);
        assert_int_equal(after.r_frames, before.r_frames + 1);
        assert_int_equal(after.r_bytes, before.r_bytes + 5);
        assert_int_equal(after.w_frames, before.w_frames + 1);
        assert_int_equal(after.w_bytes, before.w_bytes + 5);
        assert_int_equal(engine_get_client(bed.engine, service.caller.id, &info), 0);
        assert_int_equal(info.w_frames, 1);
        assert_int_equal(info.w_bytes, 5);
        peer_close(&a);
        bed_close(&bed);
}

static void who_has_gone_gets_nothing(void **state)
{
        struct engine_counters before, after;
        struct bed bed;
        struct peer a, b;
        uint64_t id;

        open_with_service(&bed);
        a = bed_join(&bed, "a");
        call(&bed, &a);
        id = service.caller.id;
        peer_close(&a);
        bed_settle(&bed);
        b = bed_join(&bed, "a"); /* by the same name, but another */
        before = bed_counters(&bed);
        assert_int_equal(engine_reply_later(bed.engine, id, "la", 2, "ter", 3, false), 0);
        assert_int_equal(engine_reply_later(bed.engine, UINT64_MAX, "la", 2, "ter", 3, false), 0);
        bed_settle(&bed);
        after = bed_counters(&bed);
        peer_expect(&b, NULL, 0);
        assert_int_equal(after.w_frames, before.w_frames);
        peer_close(&b);
        bed_close(&bed);
}

/* Between its reply's posting and its carrying out. */
static void who_goes_meanwhile_gets_nothing(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_service(&bed);
        a = bed_join(&bed, "a");
        call(&bed, &a);
        assert_int_equal(engine_disconnect(bed.engine, service.caller.id), 0);
        assert_int_equal(
                engine_reply_later(bed.engine, service.caller.id, "la", 2, "ter", 3, false), 0);
        bed_settle(&bed);
        peer_expect_end(&a);
        peer_close(&a);
        bed_close(&bed);
}

static void replies_that_nobody_served_are_freed(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_service(&bed);
        a = bed_join(&bed, "a");
        call(&bed, &a);
        peer_close(&a);
        bed_settle(&bed);
        assert_int_equal(
                engine_reply_later(bed.engine, service.caller.id, "la", 2, "ter", 3, false), 0);
        bed_close(&bed);
}

static void a_reply_comes_from_another_thread(void **state)
{
        struct pollfd readable;
        struct bed bed;
        struct peer a;

        open_with_service(&bed);
        a = bed_join(&bed, "a");
        call(&bed, &a);
        assert_int_equal(engine_start(bed.engine), 0);
        assert_int_equal(
                engine_reply_later(bed.engine, service.caller.id, "la", 2, "ter", 3, false), 0);
        readable = (struct pollfd){a.fd, POLLIN, 0};
        assert_int_equal(poll(&readable, 1, 10000), 1);
        peer_expect(&a, LITERAL(HEADER("\x0d", "\0") "later"));
        peer_close(&a);
        engine_stop(bed.engine, false);
        bed_close(&bed);
}

static void the_broker_itself_cannot_be_disconnected(void **state)
{
        struct engine_client_info info;
        struct bed bed;
        struct peer a;

        open_with_service(&bed);
        a = bed_join(&bed, "a");
        assert_int_equal(engine_find_client(bed.engine, ".broker", 7, &info), 0);
        assert_int_equal(engine_disconnect(bed.engine, info.id), 0);
        bed_settle(&bed);
        assert_int_equal(engine_find_client(bed.engine, ".broker", 7, &info), 0);
        service.at_once = true;
        call(&bed, &a);
        peer_expect(&a, LITERAL(HEADER("\x0b", "\0") "now"));
        peer_close(&a);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_service_knows_who_calls),
                cmocka_unit_test(later_replies_come_in_order),
                cmocka_unit_test(a_later_reply_counts_as_any),
                cmocka_unit_test(who_has_gone_gets_nothing),
                cmocka_unit_test(who_goes_meanwhile_gets_nothing),
                cmocka_unit_test(replies_that_nobody_served_are_freed),
                cmocka_unit_test(a_reply_comes_from_another_thread),
                cmocka_unit_test(the_broker_itself_cannot_be_disconnected),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
