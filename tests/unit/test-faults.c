/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: when the system gives no memory, a request fails with a code, or one connection is lost;
 * never more, and never the process. One script of everything that the engine and `.broker` can do
 * is run again and again; in the first run the first allocation fails, in the next the second,
 * until a run needs no more of them.
 *
 * Libraries' own allocations are not touched (msgpack-c's zones, PCRE2).
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "broker-rpc/broker-rpc.h"
#include "bystander.h"
#include "counted-strings.h"
#include "engine/internal.h"
#include "rules-bed.h"
#include "wire/rpc.h"

/* --- The actors
 * -----------------------------------------------------------------------------------------------
 */

#define PROCESSED 0x40

enum actor_name {
        PING,
        PONG,
        A,
        B,
        B_SECOND,
        C,
        SLOW,
        UNWANTED, /* disconnected by A */
        N_ACTORS,
};

static const char *const names[N_ACTORS] = {"ping", "pong", "a",    "b",
                                            "b%%1", "c",    "slow", "unwanted"};

/* What the operation id of a request says about it. */
enum tag {
        TAG_OTHER,
        TAG_TO_B,      /* a message to b */
        TAG_PUBLISHED, /* on t/x, to b and c */
        TAG_CALL,
        N_TAGS,
};

struct actor {
        int fd;
        bool ended;
        size_t n_hello; /* bytes of the handshake's answers that are still to come */
        size_t in_len;
        uint32_t n_ok[N_TAGS]; /* acknowledged with 01 */
        uint32_t n_messages, n_publications, n_replies, n_errors;
        uint8_t in[1 << 19];
};

static struct actor actors[N_ACTORS];
static struct engine *engine;
static struct broker_rpc *rpc;
static struct engine_config config;
static struct access_rules *rules, *new_rules; /* NULL: none */
static bool cold; /* nothing is kept for the next time: every buffer is an allocation */

static void actor_frame(struct actor *a, const uint8_t *f, size_t size)
{
        switch (f[0]) {
        case WIRE_KIND_ACK:
                assert_true(f[4] < N_TAGS);
                a->n_ok[f[4]] += f[5] == WIRE_OK;
                break;
        case WIRE_KIND_MESSAGE:
                if (memcmp(f + 6, ".broker", 8) == 0) {
                        a->n_replies++;
                        a->n_errors += f[14] == RPC_ERROR;
                } else
                        a->n_messages++;
                break;
        case WIRE_KIND_PUBLICATION:
                a->n_publications += memmem(f, MIN(size, (size_t)32), "t/x", 4) != NULL;
                break;
        default:
                assert_true(f[0] == WIRE_KIND_BROADCAST || f[0] == WIRE_KIND_PING);
        }
}

/* Greeting, ok, ok; or less, and the end. */
static size_t actor_hello(struct actor *a)
{
        size_t n = MIN(a->n_hello, a->in_len);

        a->n_hello -= n;
        if (n > 0 && a->n_hello == 0)
                a->ended |= a->in[n - 1] != WIRE_OK;
        return n;
}

/* Whatever has come is whole frames, or the beginning of one. */
static void actor_read(struct actor *a)
{
        size_t at;
        ssize_t n;

        if (a->fd < 0 || a->ended)
                return;
        while ((n = recv(a->fd, a->in + a->in_len, sizeof(a->in) - a->in_len, MSG_DONTWAIT)) > 0)
                a->in_len += (size_t)n;
        a->ended = n == 0 || (errno != EAGAIN && errno != EINTR);
        at = actor_hello(a);
        while (a->in_len - at >= WIRE_DELIVERY_HEADER_SIZE &&
               a->in_len - at >= wire_delivery_size(a->in + at)) {
                actor_frame(a, a->in + at, wire_delivery_size(a->in + at));
                at += wire_delivery_size(a->in + at);
        }
        a->in_len -= at;
        memmove(a->in, a->in + at, a->in_len);
}

/* Passes until nothing is ready; all but `slow` read, and the host answers what it is asked. */
static void settle(void)
{
        struct bed bed = {.engine = engine};

        for (unsigned i = 0; i < 1000; i++) {
                unsigned n;

                broker_rpc_process(rpc);
                n = bed_settle(&bed);

                for (unsigned j = 0; j < N_ACTORS; j++)
                        if (j != SLOW)
                                actor_read(&actors[j]);
                if (n == 0)
                        return;
                if (cold)
                        buffer_pool_done(&engine->pool);
        }
        fail_msg("the engine does not come to rest");
}

static bool is_there(enum actor_name i)
{
        return actors[i].fd >= 0 && !actors[i].ended;
}

static void actor_write(struct actor *a, const void *bytes, size_t len)
{
        const uint8_t *p = bytes;

        while (len > 0 && a->fd >= 0 && !a->ended) {
                ssize_t n = send(a->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno != EAGAIN)
                        return;
                p += n > 0 ? n : 0;
                len -= n > 0 ? (size_t)n : 0;
                settle();
        }
}

static void actor_send(enum actor_name from, uint8_t flags, enum tag tag, const void *body,
                       size_t len)
{
        uint8_t header[9] = {0, 0, 0, (uint8_t)tag, flags};

        le32_put(header + 5, (uint32_t)len);
        actor_write(&actors[from], header, sizeof(header));
        actor_write(&actors[from], body, len);
        settle();
}

static void actor_join(enum actor_name i)
{
        struct transport_peer who = {.kind = TRANSPORT_UNIX,
                                     .uid = i <= PONG ? 2000 + i : geteuid()};
        struct actor *a = &actors[i];
        uint8_t hello[5 + 16] = {0xeb, 1, 0};
        int fds[2], r;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        a->fd = fds[1];
        r = engine_adopt(engine, fds[0], &who, "/bed.sock");
        if (r < 0) {
                assert_int_equal(r, -ENOMEM);
                close(fds[0]);
                a->ended = true;
                return;
        }
        hello[3] = (uint8_t)strlen(names[i]);
        memcpy(hello + 5, names[i], strlen(names[i]));
        actor_write(a, hello, 5 + strlen(names[i]));
        settle();
}

/* --- The script
 * -----------------------------------------------------------------------------------------------
 */

static void all_join(void)
{
        for (unsigned i = 0; i < N_ACTORS; i++) {
                struct actor *a = &actors[i];

                a->fd = -1;
                a->ended = false;
                a->n_hello = 5;
                a->in_len = 0;
                memset(a->n_ok, 0, sizeof(a->n_ok));
                a->n_messages = a->n_publications = a->n_replies = a->n_errors = 0;
        }
        for (unsigned i = 0; i < N_ACTORS; i++)
                actor_join(i);
        actor_read(&actors[SLOW]);
}

#define LISTS_OF_B 4 /* acknowledged with 01: it is subscribed */
#define LISTS_OF_C 1

static void lists(void)
{
        actor_send(B, WIRE_OP_SUBSCRIBE | PROCESSED, TAG_OTHER, LITERAL("t/#\0u/+/v\0w"));
        actor_send(C, WIRE_OP_SUBSCRIBE | PROCESSED, TAG_OTHER, LITERAL("t/x\0.broker/#"));
        actor_send(SLOW, WIRE_OP_SUBSCRIBE, TAG_OTHER, LITERAL("s"));
        actor_send(B, WIRE_OP_EXCLUDE | PROCESSED, TAG_OTHER, LITERAL("t/no\0t/+/no/#"));
        actor_send(B, WIRE_OP_UNEXCLUDE | PROCESSED, TAG_OTHER, LITERAL("t/no\0zzz"));
        actor_send(B, WIRE_OP_UNSUBSCRIBE | PROCESSED, TAG_OTHER, LITERAL("w\0zzz"));
}

static void traffic(void)
{
        static uint8_t large[200000] = "b\0", shared[3000] = "t/x\0";

        for (unsigned i = 0; i < 3; i++) {
                actor_send(A, WIRE_OP_MESSAGE | PROCESSED, TAG_TO_B, LITERAL("b\0hello"));
                actor_send(A, WIRE_OP_PUBLISH | PROCESSED, TAG_PUBLISHED, LITERAL("t/x\0hello"));
        }
        actor_send(A, WIRE_OP_PUBLISH | PROCESSED, TAG_PUBLISHED, shared, sizeof(shared));
        actor_send(A, WIRE_OP_MESSAGE | PROCESSED, TAG_TO_B, large, 1500);
        actor_send(A, WIRE_OP_MESSAGE | PROCESSED, TAG_TO_B, large, sizeof(large));
        actor_send(A, WIRE_OP_PUBLISH_FOR | PROCESSED, TAG_OTHER, LITERAL("u/1/v\0b\0hello"));
        actor_send(A, WIRE_OP_BROADCAST | PROCESSED, TAG_OTHER, LITERAL("?\0hello"));
        actor_send(A, WIRE_OP_BROADCAST | PROCESSED, TAG_OTHER, LITERAL("*\0hello"));
}

static void call(const void *request, size_t len)
{
        uint8_t body[512] = ".broker";

        memcpy(body + 8, request, len);
        actor_send(A, WIRE_OP_MESSAGE | PROCESSED, TAG_CALL, body, 8 + len);
}

static void calls(void)
{
        call(LITERAL("\1\1\0\0\0test\0"));
        call(LITERAL("\1\1\0\0\0info\0"));
        call(LITERAL("\1\1\0\0\0stats\0"));
        call(LITERAL("\1\1\0\0\0client.list\0"));
        call(LITERAL("\1\1\0\0\0client.list\0\x81\xa6"
                     "filter\xa7^[ab].*$"));
        call(LITERAL("\1\1\0\0\0client.list\0\x81\xa6"
                     "filter\xa1("));
        call(LITERAL("\1\1\0\0\0benchmark.test\0hello"));
        call(LITERAL("\1\1\0\0\0nonsense\0"));
}

#define CALLS_OF_ADMIN 9

/* By one who may, and one that may not. Each has its reply, if only an error. */
static void admin_calls(void)
{
        uint32_t n_replies = actors[A].n_replies, n_errors = actors[A].n_errors;

        call(LITERAL("\1\1\0\0\0client.get\0"));
        call(LITERAL("\1\1\0\0\0client.get\0\x81\xa5masks\xc3"));
        call(LITERAL("\1\1\0\0\0client.get\0\x81\xa4name\xa1"
                     "b"));
        call(LITERAL("\1\1\0\0\0status\0"));
        call(LITERAL("\1\1\0\0\0config.get\0"));
        call(LITERAL("\1\1\0\0\0log.level\0\x81\xa5level\xa4info"));
        call(LITERAL("\1\1\0\0\0reload\0"));
        call(LITERAL("\1\1\0\0\0stats.reset\0"));
        call(LITERAL("\1\1\0\0\0client.disconnect\0\x81\xa4name\xa8unwanted"));
        if (is_there(A))
                assert_int_equal(actors[A].n_replies, n_replies + CALLS_OF_ADMIN);
        if (!memory.failed)
                assert_int_equal(actors[A].n_errors, n_errors);
        if (!memory.failed)
                assert_false(is_there(UNWANTED));
        actor_send(PING, WIRE_OP_MESSAGE, TAG_OTHER, LITERAL(".broker\0\1\0\0\0\0reload\0"));
}

/* A and C may be paused by a slow receiver: until their next requests are acknowledged. */
static bool is_answered(void *userdata)
{
        uint32_t *wanted = userdata;

        settle();
        return (actors[A].ended || actors[A].n_ok[TAG_OTHER] >= wanted[0]) &&
               (actors[C].ended || actors[C].n_ok[TAG_OTHER] >= wanted[1]);
}

static void settle_pauses(void)
{
        uint32_t wanted[2] = {actors[A].n_ok[TAG_OTHER] + 1, actors[C].n_ok[TAG_OTHER] + 1};
        struct bed bed = {.engine = engine};

        actor_send(A, WIRE_OP_UNSUBSCRIBE | PROCESSED, TAG_OTHER, LITERAL("zzz"));
        actor_send(C, WIRE_OP_UNSUBSCRIBE | PROCESSED, TAG_OTHER, LITERAL("zzz"));
        bed_until(&bed, is_answered, wanted);
}

/* Fills the queue of one that does not read, by messages and by fan-out: pauses, strikes, drops and
 * what is told of them. */
static void slow_receiver(void)
{
        static uint8_t body[9000] = "slow\0", publication[9000] = "s\0";

        for (unsigned i = 0; i < 40; i++) {
                actor_send(A, WIRE_OP_MESSAGE, TAG_OTHER, body, sizeof(body));
                actor_send(C, WIRE_OP_PUBLISH, TAG_OTHER, publication, sizeof(publication));
        }
        settle_pauses();
        actor_read(&actors[SLOW]);
        settle_pauses();
}

static void requests(void)
{
        struct engine_config fresh = config;
        struct engine_event ev;

        fresh.access = new_rules;
        (void)engine_send(engine, ENGINE_SEND_MESSAGE, "b", 1, "x", 1);
        (void)engine_send(engine, ENGINE_SEND_BROADCAST, "*", 1, "x", 1);
        (void)engine_send(engine, ENGINE_SEND_PUBLICATION, "u/2/v", 5, "x", 1);
        (void)engine_configure(engine, &fresh);
        while (engine_event_next(engine, &ev) > 0)
                if (ev.type == ENGINE_EVENT_REGISTERED && strcmp(ev.name, "slow") == 0)
                        (void)engine_disconnect(engine, ev.id);
        settle();
        actor_read(&actors[SLOW]);
        settle();
}

static int move_session(const void *record, size_t len, int fd, void *to)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3), r = engine_import(to, record, len, copy);

        if (r < 0) {
                assert_int_equal(r, -ENOMEM);
                close(copy);
        }
        return 0;
}

/* Everything into a second engine, with half a frame and an unread queue. Without memory for the
 * second, or for a record, all stay where they are. */
static void move(void)
{
        struct engine *to;
        int r;

        actor_write(&actors[A], LITERAL("\0\0\0\0\x12\x20\0\0\0b\0half of it"));
        if (engine_quiesce(engine) < 0 || engine_new(&config, &to) < 0)
                return;
        r = engine_export(engine, move_session, to);
        if (r < 0) {
                assert_int_equal(r, -ENOMEM);
                engine_free(to);
                return;
        }
        assert_int_equal(engine_import_done(to), 0);
        broker_rpc_attach(rpc, to);
        engine_free(engine);
        engine = to;
        actor_write(&actors[A], "and the other half..", 20);
        settle();
}

/* --- What must be
 * -----------------------------------------------------------------------------------------------
 */

/* `slow` is disconnected by the script; a secondary goes with its primary. */
static void expect_one_lost_at_most(void)
{
        unsigned lost = 0;

        for (unsigned i = 0; i < SLOW; i++)
                lost += !is_there(i) && !(i == B_SECOND && !is_there(B));
        assert_true(lost <= memory.failed);
}

/* What was acknowledged has come, or was counted as dropped. */
static void expect_what_was_acknowledged(void)
{
        struct engine_counters c;

        engine_get_counters(engine, &c);
        if (is_there(A) && is_there(B))
                assert_true(actors[B].n_messages >= actors[A].n_ok[TAG_TO_B]);
        if (is_there(A) && is_there(B) && actors[B].n_ok[TAG_OTHER] == LISTS_OF_B)
                assert_true(actors[B].n_publications + c.dropped >= actors[A].n_ok[TAG_PUBLISHED]);
        if (is_there(A) && is_there(C) && actors[C].n_ok[TAG_OTHER] == LISTS_OF_C)
                assert_true(actors[C].n_publications + c.dropped >= actors[A].n_ok[TAG_PUBLISHED]);
        if (is_there(A))
                assert_true(actors[A].n_replies + 1 >= actors[A].n_ok[TAG_CALL]);
        if (!memory.failed) {
                assert_int_equal(actors[A].n_ok[TAG_TO_B], 5);
                assert_int_equal(actors[A].n_ok[TAG_PUBLISHED], 4);
                assert_int_equal(actors[A].n_replies, 8);
        }
}

static void expect_bystanders_talk(void)
{
        uint32_t before[2] = {actors[PING].n_messages, actors[PONG].n_messages};
        bool failure_is_near = memory.fail_in > 0;

        if (failure_is_near || !is_there(PING) || !is_there(PONG))
                return;
        actor_send(PING, WIRE_OP_MESSAGE, TAG_OTHER, LITERAL("pong\0ping"));
        actor_send(PONG, WIRE_OP_MESSAGE, TAG_OTHER, LITERAL("ping\0pong"));
        assert_int_equal(actors[PONG].n_messages, before[1] + 1);
        assert_int_equal(actors[PING].n_messages, before[0] + 1);
}

static void all_leave(void)
{
        struct engine_counters c;

        for (unsigned i = 0; i < N_ACTORS; i++)
                if (actors[i].fd >= 0)
                        actors[i].fd = close_fd(actors[i].fd);
        settle();
        engine_get_counters(engine, &c);
        assert_int_equal(c.sessions, 0);
        assert_int_equal(c.held, 0);
}

/* --- A host that can do everything at once --- */

static void host_about(struct broker_rpc_about *ret, void *userdata)
{
        *ret = (struct broker_rpc_about){.log_level = "info"};
}

static int host_reload(char *error, size_t size, void *userdata)
{
        return 0;
}

static int host_set_log_level(const char *level, void *userdata)
{
        return 0;
}

static int host_foreach_setting(int (*fn)(const struct broker_rpc_setting *setting, void *userdata),
                                void *fn_userdata, bool limits, void *userdata)
{
        static const struct broker_rpc_setting setting = {"QueueFrames", "16", "", 0};

        return fn(&setting, fn_userdata);
}

static int host_foreach_listener(int (*fn)(enum transport_kind kind, const char *address,
                                           bool inherited, void *userdata),
                                 void *fn_userdata, void *userdata)
{
        return fn(TRANSPORT_UNIX, "/bed.sock", false, fn_userdata);
}

static void host_denied(const struct broker_rpc_deed *deed, const char *why, void *userdata)
{
        assert_string_equal(deed->sender, "ping");
}

static void host_granted(const struct broker_rpc_deed *deed, void *userdata)
{
        assert_string_equal(deed->sender, "a");
}

static void host_missed(void *userdata)
{
        fail_msg("a record found no room");
}

static const struct broker_rpc_host host = {
        .about = host_about,
        .reload = host_reload,
        .set_log_level = host_set_log_level,
        .foreach_setting = host_foreach_setting,
        .foreach_listener = host_foreach_listener,
        .denied = host_denied,
        .granted = host_granted,
        .missed = host_missed,
};

static void run_script(void)
{
        int r = engine_new(&config, &engine);

        if (r < 0) {
                assert_int_equal(r, -ENOMEM);
                return;
        }
        r = broker_rpc_new(&rpc);
        if (r == 0) {
                broker_rpc_attach(rpc, engine);
                broker_rpc_set_host(rpc, &host);
                all_join();
                lists();
                traffic();
                calls();
                expect_one_lost_at_most();
                expect_what_was_acknowledged();
                slow_receiver();
                requests();
                admin_calls();
                expect_one_lost_at_most();
                expect_bystanders_talk();
                move();
                expect_one_lost_at_most();
                expect_bystanders_talk();
                all_leave();
        }
        engine = engine_free(engine);
        rpc = broker_rpc_free(rpc);
}

static void every_allocation_may_fail(enum slow_policy policy)
{
        size_t n_live = memory.n_live, n_fds = count_fds(), n;

        engine_config_init(&config);
        config.n_workers = 1;
        config.timeout = 3600 * NSEC_PER_SEC;
        config.queue_frames = 16;
        config.slow_pace = 2 * NSEC_PER_MSEC;
        config.slow_policy = policy;
        config.access = rules;
        for (n = 0, memory.failed = true; n == 1 || memory.failed; n++) {
                memory_fail_in(n); /* 0: none, to see that the script itself is good */
                run_script();
                assert_int_equal(memory.n_live, n_live);
                assert_int_equal(count_fds(), n_fds);
                if (n == 0)
                        memory.failed = true;
        }
        print_message("%zu allocations, each of which failed once\n", n - 2);
        assert_true(n > 100);
}

/* The same with access rules that allow it all, and what they remember of it. */
static void with_access_rules(void **state)
{
        static const char text[] = "[*]\nAllowUsers=*\nSendTo=* .broker\nBroadcastTo=*\n"
                                   "PublishTo=#\nSubscribeTo=# .broker/#\nReceiveFrom=*\n";

        memory_fail_in(0);
        rules = rules_of(text);
        new_rules = rules_of(text);
        every_allocation_may_fail(SLOW_DISCONNECT);
        rules = access_rules_unref(rules);
        new_rules = access_rules_unref(new_rules);
}

static void with_nothing_kept(void **state)
{
        cold = true;
        every_allocation_may_fail(SLOW_DISCONNECT);
        cold = false;
}

static void with_slow_receivers_disconnected(void **state)
{
        every_allocation_may_fail(SLOW_DISCONNECT);
}

static void with_the_newest_dropped(void **state)
{
        every_allocation_may_fail(SLOW_DROP_NEWEST);
}

static void with_the_oldest_dropped(void **state)
{
        every_allocation_may_fail(SLOW_DROP_OLDEST);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(with_nothing_kept),
                cmocka_unit_test(with_access_rules),
                cmocka_unit_test(with_slow_receivers_disconnected),
                cmocka_unit_test(with_the_newest_dropped),
                cmocka_unit_test(with_the_oldest_dropped),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
