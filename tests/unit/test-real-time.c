/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real time: once clients have joined and subscribed, no message of any kind takes memory from the
 * system or gives it back, counted at malloc and its kin, below which there are no other ways. The
 * same traffic without real time does.
 */
#include <stdio.h>
#include <string.h>

#include "basic/macro.h"
#include "counted-malloc.h"
#include "counted-strings.h"
#include "rules-bed.h"

#define PROCESSED 0x40
#define N_RECEIVERS 40
#define LARGE (200 << 10)

struct scene {
        struct bed bed;
        struct peer sender, receivers[N_RECEIVERS];
        uint8_t large[LARGE];
};

static struct scene scene;

static void open_scene(const struct engine_config *config)
{
        struct scene *s = &scene;
        char name[16];

        *s = (struct scene){0};
        bed_open(&s->bed, config);
        s->sender = bed_join(&s->bed, "sender");
        for (int i = 0; i < N_RECEIVERS; i++) {
                struct peer *p = &s->receivers[i];

                (void)snprintf(name, sizeof(name), "group.%d", i);
                *p = bed_join(&s->bed, name);
                bed_acked(&s->bed, p, WIRE_OP_SUBSCRIBE, LITERAL("some/#\0+/+/c\0some/b/c"),
                          WIRE_OK);
                bed_acked(&s->bed, p, WIRE_OP_EXCLUDE, LITERAL("some/secret/#"), WIRE_OK);
        }
        memory_count();
}

static void close_scene(void)
{
        peer_close(&scene.sender);
        for (int i = 0; i < N_RECEIVERS; i++)
                peer_close(&scene.receivers[i]);
        bed_close(&scene.bed);
}

static size_t drain(const struct peer *p)
{
        static uint8_t bytes[64 << 10];
        size_t n = 0;
        ssize_t r;

        while ((r = peer_read(p, bytes, sizeof(bytes))) > 0) {
                n += (size_t)r;
                bed_settle(&scene.bed);
        }
        return n;
}

static void drain_all(void)
{
        bed_settle(&scene.bed);
        (void)drain(&scene.sender);
        for (int i = 0; i < N_RECEIVERS; i++)
                (void)drain(&scene.receivers[i]);
}

/* --- Traffic of all kinds --- */

static void send_messages(void)
{
        for (int i = 0; i < 100; i++) {
                peer_send(&scene.sender, WIRE_OP_MESSAGE | (i & 1 ? PROCESSED : 0),
                          LITERAL("group.0\0hello"));
                peer_send(&scene.sender, WIRE_OP_MESSAGE, LITERAL("nobody\0hello"));
                if (i % 10 == 9)
                        drain_all();
        }
}

static void publish(void)
{
        char body[64];

        for (int i = 0; i < 1000; i++) {
                int n = snprintf(body, sizeof(body), "some/%d/c%chello", i, 0);

                peer_send(&scene.sender, WIRE_OP_PUBLISH, body, (size_t)n);
                if (i % 10 == 0)
                        drain_all();
        }
        peer_send(&scene.sender, WIRE_OP_PUBLISH, LITERAL("some/secret/c\0hello"));
        peer_send(&scene.sender, WIRE_OP_PUBLISH, LITERAL("other/topic\0hello"));
        drain_all();
}

static void broadcast(void)
{
        peer_send(&scene.sender, WIRE_OP_BROADCAST, LITERAL("group.?\0hello"));
        peer_send(&scene.sender, WIRE_OP_BROADCAST, LITERAL("*\0hello"));
        peer_send(&scene.sender, WIRE_OP_BROADCAST, LITERAL("group.3\0hello"));
        drain_all();
}

/* As much at once as a socket takes. */
static void write_all(const uint8_t *bytes, size_t len)
{
        size_t n;

        for (; len > 0; bytes += n, len -= n) {
                n = MIN(len, (size_t)50000);
                peer_write(&scene.sender, bytes, n);
                bed_settle(&scene.bed);
        }
}

/* Bodies that are longer than a read, and than what is copied to each receiver. */
static void send_large(uint8_t op, const char *target)
{
        size_t len = strlen(target);

        for (size_t size = 1000; size <= LARGE; size *= 2) {
                uint8_t header[WIRE_REQUEST_HEADER_SIZE] = {1, 0, 0, 0, op};

                le32_put(header + 5, (uint32_t)size);
                memcpy(scene.large, target, len + 1);
                write_all(header, sizeof(header));
                write_all(scene.large, size);
                drain_all();
        }
}

static void send_in_pieces(void)
{
        static const char frame[] = "\x01\0\0\0\x12\x0d\0\0\0group.0\0hello";

        for (size_t i = 0; i < sizeof(frame) - 1; i++) {
                peer_write(&scene.sender, frame + i, 1);
                bed_settle(&scene.bed);
        }
        drain_all();
}

static void all_kinds(void)
{
        send_messages();
        publish();
        broadcast();
        send_large(WIRE_OP_MESSAGE, "group.1");
        send_large(WIRE_OP_PUBLISH, "some/large/c");
        send_in_pieces();
}

static void real_time_config(struct engine_config *config)
{
        bed_config(config);
        config->real_time = true;
}

static void no_message_takes_memory(void **state)
{
        struct engine_config config;
        size_t n_live;

        real_time_config(&config);
        open_scene(&config);
        n_live = memory.n_live;
        all_kinds();
        assert_int_equal(memory.n_calls, 0);
        assert_int_equal(memory.n_live, n_live);
        close_scene();
}

/* That the count counts. */
static void without_it_messages_do(void **state)
{
        open_scene(NULL);
        all_kinds();
        assert_true(memory.n_calls > 0);
        close_scene();
}

static void what_waits_for_slow_receivers_lies_in_the_reserve(void **state)
{
        static char body[1000] = "group.0";
        struct engine_config config;
        size_t n = 0;

        real_time_config(&config);
        open_scene(&config);
        for (int i = 0; i < 6000; i++) {
                peer_send(&scene.sender, WIRE_OP_MESSAGE, body, sizeof(body));
                bed_settle(&scene.bed);
        }
        while (n < (size_t)6000 * sizeof(body))
                n += drain(&scene.receivers[0]);
        drain_all();
        assert_int_equal(memory.n_calls, 0);
        close_scene();
}

static bool is_paused(const char *name)
{
        return session_is_paused(registry_find(&scene.bed.engine->registry, name, strlen(name)));
}

static void to_wait_for_slow_receivers_takes_no_memory(void **state)
{
        static char body[8000] = "some/b/c";
        struct engine_config config;

        real_time_config(&config);
        config.queue_frames = 4;
        config.slow_pace = 500 * NSEC_PER_MSEC;
        open_scene(&config);
        while (!is_paused("sender")) {
                peer_send(&scene.sender, WIRE_OP_PUBLISH, body, sizeof(body));
                bed_settle(&scene.bed);
        }
        assert_int_equal(bed_counters(&scene.bed).struck, 0);
        drain_all();
        assert_int_equal(memory.n_calls, 0);
        close_scene();
}

/* What rules allow is looked up once, and remembered: that is the warm-up. */
static void access_rules_take_memory_once(void **state)
{
        struct engine_config config;

        real_time_config(&config);
        config.access = rules_of("[*]\nAllowUsers=*\nSendTo=*\nPublishTo=#\nSubscribeTo=#\n"
                                 "BroadcastTo=*\n");
        open_scene(&config);
        access_rules_unref(config.access);
        scene.bed.config.access = NULL;
        all_kinds();
        assert_true(memory.n_calls > 0);
        memory_count();
        all_kinds();
        assert_int_equal(memory.n_calls, 0);
        close_scene();
}

static void without_memory_for_the_reserve_there_is_no_engine(void **state)
{
        size_t n_live = memory.n_live;
        struct engine_config config;
        struct engine *engine = NULL;
        size_t n = 0;
        bool failed;
        int r;

        real_time_config(&config);
        config.real_time_reserve = 1 << 20;
        do {
                memory_fail_in(++n);
                r = engine_new(&config, &engine);
                assert_true(r == 0 || (r == -ENOMEM && memory.failed));
                failed = memory.failed; /* a table may do without growing */
                memory_fail_in(0);
                engine = engine_free(engine);
        } while (failed);
        assert_true(n > 1024);
        assert_int_equal(memory.n_live, n_live);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_message_takes_memory),
                cmocka_unit_test(without_it_messages_do),
                cmocka_unit_test(what_waits_for_slow_receivers_lies_in_the_reserve),
                cmocka_unit_test(to_wait_for_slow_receivers_takes_no_memory),
                cmocka_unit_test(access_rules_take_memory_once),
                cmocka_unit_test(without_memory_for_the_reserve_there_is_no_engine),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
