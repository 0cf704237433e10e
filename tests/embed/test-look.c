/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: the program sees who is there and what goes on, ends whom it wants to, and sends in the
 * broker's own name. */
#include "embed-bed.h"

struct look {
        unsigned n, n_primary, n_local, stop_at;
        uint64_t id;      /* of `name` */
        const char *name; /* NULL: none is looked for */
        busrt_broker_client_info info;
        char listener[100];
};

static int note(const busrt_broker_client_info *info, void *userdata)
{
        struct look *look = userdata;

        look->n++;
        look->n_primary += info->primary;
        look->n_local += info->peer.local;
        if (look->name && strcmp(info->name, look->name) == 0) {
                look->id = info->id;
                look->info = *info;
                snprintf(look->listener, sizeof(look->listener), "%s",
                         info->listener ? info->listener : "");
        }
        return look->n == look->stop_at ? -1234 : 0;
}

static struct look look_for(busrt_broker *b, const char *name)
{
        struct look look = {.name = name};

        assert_int_equal(busrt_broker_foreach_client(b, note, &look), 0);
        return look;
}

static void everybody_is_seen(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c"), *s = joined_by_socket("s"),
                                      *second = NULL;
        struct look look;
        struct timespec ts;

        assert_int_equal(busrt_client_new_secondary(c, "1", &second), 0);
        assert_int_equal(busrt_broker_connect(b, second), 0);
        assert_int_equal(busrt_client_send(s, "c", IOV("hello"), ACKED, NULL), 0);
        look = look_for(b, "c");
        assert_int_equal(look.n, 4);
        assert_int_equal(look.n_primary, 3);
        assert_int_equal(look.n_local, 3);
        assert_true(look.info.primary);
        assert_true(look.info.peer.local && look.info.peer.has_uid);
        assert_int_equal(look.info.peer.uid, geteuid());
        assert_int_equal(look.info.peer.gid, getegid());
        assert_int_equal(look.info.peer.pid, getpid());
        assert_null(look.info.listener);
        assert_int_equal(look.info.queue_frames, 1);
        assert_int_equal(look.info.queue_bytes, 6 + 2 + 5);
        assert_int_equal(look.info.w_frames, 1);
        assert_int_equal(look.info.w_bytes, 7);
        clock_gettime(CLOCK_REALTIME, &ts);
        assert_true(look.info.connected_at <= (uint64_t)ts.tv_sec * SECOND + SECOND);
        assert_true(look.info.connected_at > (uint64_t)ts.tv_sec * SECOND - 600 * SECOND);
        look = look_for(b, "s");
        assert_string_equal(look.listener, place.path);
        assert_false(look.info.peer.local);
        assert_int_equal(look.info.r_frames, 1);
        assert_false(look_for(b, "c%%1").info.primary);
        assert_true(look_for(b, ".broker").info.peer.local);
        look = (struct look){.stop_at = 2};
        assert_int_equal(busrt_broker_foreach_client(b, note, &look), -1234);
        assert_int_equal(look.n, 2);
}

static void it_is_counted(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *c = NULL, *s = NULL;
        busrt_broker_stats before, now;

        now = stats_of(b);
        assert_int_equal(now.clients + now.connections + now.r_frames + now.held, 0);
        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        c = joined(b, "c");
        s = joined_by_socket("s");
        before = stats_of(b);
        assert_int_equal(before.clients, 2);
        assert_int_equal(before.connections, 2);
        assert_int_equal(busrt_client_send(c, "s", IOV("hello"), ACKED, NULL), 0);
        assert_int_equal(busrt_client_send(s, "c", IOV("hello"), ACKED, NULL), 0);
        now = stats_of(b);
        assert_int_equal(now.r_frames - before.r_frames, 2);
        assert_int_equal(now.r_bytes - before.r_bytes, 14);
        assert_int_equal(now.w_frames - before.w_frames, 4);
        assert_int_equal(now.w_bytes - before.w_bytes, 14 + 12);
        assert_true(now.held > 0);
        assert_true(now.uptime >= before.uptime);
        assert_int_equal(now.refused + now.bad + now.struck + now.dropped + now.denied, 0);
        expect_frame(c, BUSRT_KIND_MESSAGE, "s", "hello");
        expect_frame(s, BUSRT_KIND_MESSAGE, "c", "hello");
}

static void whom_it_disconnects(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c"), *s = joined_by_socket("s"), *d = NULL;
        uint64_t id = look_for(b, "c").id;

        assert_int_equal(busrt_client_send(s, "c", IOV("last"), ACKED, NULL), 0);
        assert_int_equal(busrt_broker_disconnect(b, id), 0);
        assert_int_equal(busrt_broker_disconnect(b, id), -ENOENT);
        assert_int_equal(busrt_client_send(s, "c", IOV("late"), ACKED, NULL), -EHOSTUNREACH);
        /* what was acknowledged comes before its end */
        expect_frame(c, BUSRT_KIND_MESSAGE, "s", "last");
        expect_closed(c, -ECONNRESET);
        assert_int_equal(busrt_broker_disconnect(b, look_for(b, "s").id), 0);
        expect_closed(s, -ECONNRESET);
        assert_int_equal(busrt_broker_disconnect(b, look_for(b, ".broker").id), -ENOENT);
        assert_int_equal(busrt_broker_disconnect(b, 0), -ENOENT);
        assert_int_equal(busrt_broker_disconnect(b, UINT64_MAX), -ENOENT);
        d = joined(b, "c");
        assert_true(look_for(b, "c").id > id);
}

static void what_it_sends(void **state)
{
        static const char *const topics[] = {"t/#"};
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *c = joined(b, "x.c"), *s = joined_by_socket("x.s");
        static char large[1 << 20];

        assert_int_equal(busrt_client_subscribe(s, topics, 1, ACKED, NULL), 0);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "x.c", "1", 1), 0);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "x.s", "2", 1), 0);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "nobody", "3", 1), -ENOENT);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, ".broker", "3", 1), 0);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_BROADCAST, "x.?", "4", 1), 0);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_BROADCAST, "y.?", "5", 1), 0);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_PUBLICATION, "t/1", NULL, 0), 0);
        memset(large, 'x', sizeof(large) - 1);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "x.c", large, sizeof(large) - 1),
                         0);
        expect_frame(c, BUSRT_KIND_MESSAGE, ".broker", "1");
        expect_frame(s, BUSRT_KIND_MESSAGE, ".broker", "2");
        expect_frame(c, BUSRT_KIND_BROADCAST, ".broker", "4");
        expect_frame(s, BUSRT_KIND_BROADCAST, ".broker", "4");
        expect_frame(s, BUSRT_KIND_PUBLICATION, ".broker", "");
        expect_frame(c, BUSRT_KIND_MESSAGE, ".broker", large);
        expect_nothing(c);
        expect_nothing(s);
}

/* It is never paced: who is full loses it, counted. */
static void what_a_full_receiver_loses(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c");

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_QUEUE_FRAMES, 10), 0);
        for (unsigned i = 0; i < 15; i++)
                assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "c", "1", 1), 0);
        assert_int_equal(stats_of(b).dropped, 5);
        for (unsigned i = 0; i < 10; i++)
                expect_frame(c, BUSRT_KIND_MESSAGE, ".broker", "1");
        expect_nothing(c);
}

/* Nobody is there before the first client. */
static void before_anything(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();

        assert_true(look_for(b, "c").n <= 1);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_BROADCAST, "*", "1", 1), 0);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_PUBLICATION, "t", "1", 1), 0);
        assert_int_equal(stats_of(b).w_frames, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(everybody_is_seen),          cmocka_unit_test(it_is_counted),
                cmocka_unit_test(whom_it_disconnects),        cmocka_unit_test(what_it_sends),
                cmocka_unit_test(what_a_full_receiver_loses), cmocka_unit_test(before_anything),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
