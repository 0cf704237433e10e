/* SPDX-License-Identifier: Apache-2.0 */
/* Live sessions moved into a second engine through bytes, in every state: not a byte is lost or
 * doubled. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/clock.h"
#include "bed.h"
#include "wire/handshake.h"

#define PROCESSED 0x40

struct move {
        struct engine *to;
        size_t records;
};

static int move_session(const void *record, size_t len, int fd, void *userdata)
{
        struct move *m = userdata;
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3), r = engine_import(m->to, record, len, copy);

        assert_int_equal(r, 0);
        m->records++;
        return 0;
}

/* The bed's engine is replaced by another that knows only what the records say. */
static void migrate(struct bed *bed)
{
        struct move m = {0};

        assert_int_equal(engine_quiesce(bed->engine), 0);
        assert_int_equal(engine_new(&bed->config, &m.to), 0);
        assert_int_equal(engine_export(bed->engine, move_session, &m), 0);
        assert_int_equal(engine_import_done(m.to), 0);
        engine_free(bed->engine);
        bed->engine = m.to;
        assert_int_equal(bed_counters(bed).sessions, m.records);
}

/* --- A storm of numbered messages between clients that write and read in random portions --- */

#define N_CLIENTS 6
#define N_MESSAGES 400

struct actor {
        struct peer peer;
        uint8_t *out; /* all that it will ever write */
        size_t out_len, out_at;
        uint8_t *in;
        size_t in_len, in_at;
        uint32_t next_from[N_CLIENTS]; /* the number expected from each */
        uint32_t acks;
};

static struct actor actors[N_CLIENTS];
static const size_t in_size = 64 << 20;

/* Payload: sender's index, number, fill of a random size. The number counts per receiver. */
static void write_script(struct actor *a, size_t self, unsigned *seed)
{
        uint32_t count[N_CLIENTS] = {0};
        size_t room = (size_t)N_MESSAGES * 70000;

        a->out = malloc(room);
        a->out_len = a->out_at = 0;
        for (uint32_t i = 0; i < N_MESSAGES; i++) {
                size_t to = (size_t)rand_r(seed) % N_CLIENTS, fill = (size_t)rand_r(seed) % 200,
                       len;
                uint8_t *f = a->out + a->out_len;

                if (rand_r(seed) % 20 == 0)
                        fill = (size_t)rand_r(seed) % 60000;
                len = 3 + 8 + fill;
                le32_put(f, i + 1);
                f[4] = WIRE_OP_MESSAGE | PROCESSED;
                le32_put(f + 5, (uint32_t)len);
                f[9] = 'c';
                f[10] = (uint8_t)('0' + to);
                f[11] = 0;
                le32_put(f + 12, (uint32_t)self);
                le32_put(f + 16, count[to]++);
                memset(f + 20, (int)i, fill);
                a->out_len += 9 + len;
        }
        a->in = malloc(in_size);
}

static void actor_write(struct actor *a, unsigned *seed)
{
        size_t n = (size_t)rand_r(seed) % 30000;
        ssize_t r;

        if (n > a->out_len - a->out_at)
                n = a->out_len - a->out_at;
        r = n ? send(a->peer.fd, a->out + a->out_at, n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        if (r > 0)
                a->out_at += (size_t)r;
}

static void actor_read(struct actor *a, unsigned *seed)
{
        size_t n = (size_t)rand_r(seed) % 40000;
        ssize_t r = recv(a->peer.fd, a->in + a->in_len, n, MSG_DONTWAIT);

        assert_true(r != 0 || n == 0);
        if (r > 0)
                a->in_len += (size_t)r;
        assert_true(a->in_len < in_size);
        while (a->in_len - a->in_at >= WIRE_DELIVERY_HEADER_SIZE) {
                const uint8_t *f = a->in + a->in_at;
                size_t size = wire_delivery_size(f);

                if (a->in_len - a->in_at < size)
                        break;
                if (f[0] == WIRE_KIND_ACK) {
                        assert_int_equal(f[5], WIRE_OK);
                        assert_int_equal(le32_get(f + 1), ++a->acks);
                } else {
                        uint32_t from = le32_get(f + 9);

                        assert_true(from < N_CLIENTS);
                        assert_int_equal(le32_get(f + 13), a->next_from[from]++);
                }
                a->in_at += size;
        }
}

static bool storm_is_over(void)
{
        uint32_t got = 0;

        for (size_t i = 0; i < N_CLIENTS; i++) {
                if (actors[i].out_at < actors[i].out_len || actors[i].acks < N_MESSAGES)
                        return false;
                for (size_t j = 0; j < N_CLIENTS; j++)
                        got += actors[i].next_from[j];
        }
        return got == N_CLIENTS * N_MESSAGES;
}

static void storm(unsigned seed)
{
        struct engine_config config;
        struct bed bed;
        unsigned moves = 0;

        bed_config(&config);
        config.queue_frames = 32;
        config.slow_pace = 3600 * NSEC_PER_SEC;
        bed_open(&bed, &config);
        for (size_t i = 0; i < N_CLIENTS; i++) {
                char name[] = {'c', (char)('0' + i), 0};

                actors[i] = (struct actor){.peer = bed_join(&bed, name)};
                write_script(&actors[i], i, &seed);
        }
        for (unsigned step = 0; !storm_is_over(); step++) {
                struct actor *a = &actors[(size_t)rand_r(&seed) % N_CLIENTS];

                assert_true(step < 1000000);
                actor_write(a, &seed);
                if (rand_r(&seed) % 3 == 0)
                        engine_process(bed.engine);
                actor_read(&actors[(size_t)rand_r(&seed) % N_CLIENTS], &seed);
                if (rand_r(&seed) % 20 == 0) {
                        migrate(&bed);
                        moves++;
                }
        }
        assert_true(moves > 10);
        assert_int_equal(bed_counters(&bed).clients, N_CLIENTS);
        for (size_t i = 0; i < N_CLIENTS; i++) {
                peer_close(&actors[i].peer);
                free(actors[i].out);
                free(actors[i].in);
        }
        bed_close(&bed);
}

static void a_storm_survives_many_moves(void **state)
{
        for (unsigned seed = 1; seed <= 8; seed++)
                storm(seed);
}

/* --- Single states --- */

static void a_handshake_goes_on(void **state)
{
        static const char hello[] = "\xeb\x01\0\x05\0hello\x01\0\0\0\x52\x07\0\0\0hello\0x";
        struct bed bed;
        struct peer p;

        bed_open(&bed, NULL);
        p = bed_connect(&bed, 1000);
        for (size_t i = 0; i < sizeof(hello) - 1; i++) {
                peer_write(&p, hello + i, 1);
                if (i % 2)
                        bed_settle(&bed);
                migrate(&bed);
        }
        bed_settle(&bed);
        peer_expect(&p, LITERAL("\xeb\x01\0\x01\x01\x12\x07\0\0\0\0hello\0x\xfe\x01\0\0\0\x01"));
        peer_close(&p);
        bed_close(&bed);
}

static void subscriptions_exclusions_and_secondaries_move(void **state)
{
        struct bed bed;
        struct peer a, b, second;
        uint32_t op;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        second = bed_join(&bed, "b%%1");
        peer_send(&b, WIRE_OP_SUBSCRIBE, LITERAL("t/#\0x"));
        peer_send(&b, WIRE_OP_EXCLUDE, LITERAL("t/no"));
        peer_send(&b, WIRE_OP_UNSUBSCRIBE, LITERAL(".broker/warn"));
        bed_settle(&bed);
        migrate(&bed);
        peer_send(&a, WIRE_OP_PUBLISH, LITERAL("t/no\0-"));
        peer_send(&a, WIRE_OP_PUBLISH, LITERAL(".broker/warn\0-"));
        op = peer_send(&a, WIRE_OP_PUBLISH | PROCESSED, LITERAL("t/yes\0+"));
        bed_settle(&bed);
        peer_expect(&b, LITERAL("\x01\x09\0\0\0\0a\0t/yes\0+"));
        (void)op;
        peer_close(&b);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).clients, 1);
        peer_close(&a);
        peer_close(&second);
        bed_close(&bed);
}

static struct engine_client_info info_of(struct bed *bed, const char *name)
{
        struct engine_client_info info;

        assert_int_equal(engine_find_client(bed->engine, name, strlen(name), &info), 0);
        return info;
}

/* a is paused for b, and stays so. */
static void what_a_client_has_cost_moves(void **state)
{
        static const uint8_t body[2002] = "b";
        struct engine_client_info a_before, a_after, b_before, b_after;
        struct engine_config config;
        struct peer a, b;
        struct bed bed;

        bed_config(&config);
        config.queue_frames = 8;
        config.slow_pace = 3600 * NSEC_PER_SEC;
        bed_open(&bed, &config);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        while (info_of(&bed, "b").queue_frames < 8) {
                peer_send(&a, WIRE_OP_MESSAGE, body, sizeof(body));
                bed_settle(&bed);
        }
        peer_send(&a, WIRE_OP_MESSAGE, body, sizeof(body));
        bed_settle(&bed);
        usleep(2000);
        engine_ping(bed.engine); /* time passes for the engine, too */
        bed_settle(&bed);
        a_before = info_of(&bed, "a");
        b_before = info_of(&bed, "b");
        assert_true(a_before.paced >= 2 * NSEC_PER_MSEC);
        migrate(&bed);
        a_after = info_of(&bed, "a");
        b_after = info_of(&bed, "b");
        assert_true(a_after.paced >= a_before.paced);
        assert_true(a_after.paced < a_before.paced + 60 * NSEC_PER_SEC);
        assert_int_equal(a_after.connected_at, a_before.connected_at);
        assert_true(a_after.connected_at > 0);
        assert_int_equal(b_after.queue_frames_max, 8);
        assert_int_equal(b_after.queue_bytes_max, b_before.queue_bytes_max);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

/* Every cut of a record is refused, and nothing of it stays. */
struct cut {
        struct engine *to;
        size_t refused;
};

static int cut_record(const void *record, size_t len, int fd, void *userdata)
{
        struct cut *c = userdata;

        for (size_t n = 0; n < len; n++) {
                assert_true(engine_import(c->to, record, n, fd) < 0);
                c->refused++;
        }
        return 0;
}

static void a_cut_record_is_refused(void **state)
{
        struct cut c = {0};
        struct engine_counters counters;
        struct bed bed;
        struct peer a;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        peer_send(&a, WIRE_OP_SUBSCRIBE, LITERAL("x\0y"));
        peer_write(&a,
                   "\x01\0\0\0\x12\x20\0\0\0"
                   "a\0hel",
                   14);
        bed_settle(&bed);
        assert_int_equal(engine_quiesce(bed.engine), 0);
        assert_int_equal(engine_new(&bed.config, &c.to), 0);
        assert_int_equal(engine_export(bed.engine, cut_record, &c), 0);
        assert_true(c.refused > 100);
        engine_get_counters(c.to, &counters);
        assert_int_equal(counters.held, 0);
        engine_free(c.to);
        peer_close(&a);
        bed.engine = engine_free(bed.engine);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_handshake_goes_on),
                cmocka_unit_test(subscriptions_exclusions_and_secondaries_move),
                cmocka_unit_test(what_a_client_has_cost_moves),
                cmocka_unit_test(a_cut_record_is_refused),
                cmocka_unit_test(a_storm_survives_many_moves),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
