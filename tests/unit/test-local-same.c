/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client in the engine's process gets what one by socket gets, byte for byte: the same frames,
 * good and bad ones, are sent through both, in whatever pieces, to receivers of both kinds.
 */
#include "local-bed.h"
#include "random.h"

#define N_SCRIPTS 3000
#define N_FRAMES 12
#define BODY_MAX 9000
#define SCRIPT_MAX (N_FRAMES * (BODY_MAX + 64))

static const char *const texts[] = {"a",   "b",     "nobody", "t", "t/1", "t/+", "#",
                                    "t/#", "x/y/z", "",       "?", "*",   "a%%1"};

static uint8_t script[SCRIPT_MAX];
static size_t frame_at[N_FRAMES + 1];

/* A text, perhaps without its 00, and something behind it. */
static size_t make_body(uint8_t *to)
{
        const char *text = texts[random_below(ARRAY_SIZE(texts))];
        size_t len = strlen(text);

        memcpy(to, text, len);
        if (random_below(200))
                to[len++] = 0;
        for (size_t n = random_below(random_below(10) ? 30 : BODY_MAX); n > 0; n--)
                to[len++] = random_below(20000) ? (uint8_t) "abcd/+"[random_below(7)] : 0xff;
        return len;
}

static uint8_t make_flags(void)
{
        static const uint8_t ops[] = {WIRE_OP_PUBLISH,   WIRE_OP_SUBSCRIBE, WIRE_OP_UNSUBSCRIBE,
                                      WIRE_OP_EXCLUDE,   WIRE_OP_UNEXCLUDE, WIRE_OP_PUBLISH_FOR,
                                      WIRE_OP_MESSAGE,   WIRE_OP_MESSAGE,   WIRE_OP_MESSAGE,
                                      WIRE_OP_BROADCAST, WIRE_OP_PUBLISH,   WIRE_OP_SUBSCRIBE};
        uint8_t op = ops[random_below(ARRAY_SIZE(ops))];

        if (random_below(300) == 0)
                op = (uint8_t)random_below(64);
        op |= (uint8_t)(random_below(4) << 6);
        return op ? op : 0x40; /* a ping has no body */
}

static void make_script(void)
{
        static uint8_t body[BODY_MAX + 64];
        size_t at = 0;

        for (size_t i = 0; i < N_FRAMES; i++) {
                size_t len = make_body(body);

                frame_at[i] = at;
                if (random_below(30) == 0)
                        at += frame_make(script + at, 0, 0, NULL, 0);
                else
                        at += frame_make(script + at, (uint32_t)i, make_flags(), body, len);
        }
        frame_at[N_FRAMES] = at;
}

/* One frame in pieces, its first of any length. */
static ssize_t write_pieces(struct local *a, const uint8_t *p, size_t len)
{
        size_t cut = random_below((unsigned)len + 1);
        struct iovec iov[] = {{(void *)p, cut}, {(void *)(p + cut), len - cut}};

        return engine_local_write(a->end, iov, 2);
}

/* Or in two writes, the first of which has all of its header. */
static ssize_t write_twice(struct local *a, const uint8_t *p, size_t len)
{
        size_t first = WIRE_REQUEST_HEADER_SIZE + random_below(50);
        ssize_t n = local_write(a, p, MIN(first, len));

        if (n < 0 || first >= len)
                return n;
        return n == (ssize_t)first ? local_write(a, p + first, len - first) : 0;
}

/* Or several whole ones in one piece. */
static void write_script(struct local *a)
{
        for (size_t i = 0, n; i < N_FRAMES; i += n) {
                const uint8_t *p = script + frame_at[i];
                unsigned how = random_below(3), many = 1 + random_below(3);
                ssize_t done;

                n = how == 0 ? MIN(many, N_FRAMES - i) : 1;
                if (how == 0)
                        done = local_write(a, p, frame_at[i + n] - frame_at[i]);
                else if (how == 1)
                        done = write_pieces(a, p, frame_at[i + 1] - frame_at[i]);
                else
                        done = write_twice(a, p, frame_at[i + 1] - frame_at[i]);
                if (done == -EPIPE)
                        return;
                if (done <= 0)
                        fail_msg("frame %zu, %u: %zd", i, how, done);
        }
}

struct outcome {
        uint8_t bytes[2][SCRIPT_MAX * 2]; /* what the sender and its peer got */
        ssize_t n[2];
        struct engine_counters counters;
        bool ended;
};

static void by_local(struct outcome *ret)
{
        struct bed bed;
        struct local l[2];

        local_bed_open(&bed);
        l[0] = local_join(&bed, "a");
        l[1] = local_join(&bed, "b");
        local_acked(&l[1], WIRE_OP_SUBSCRIBE, LITERAL("t/+"), WIRE_OK);
        write_script(&l[0]);
        bed_settle(&bed);
        for (unsigned i = 0; i < 2; i++)
                ret->n[i] = local_read(&l[i], ret->bytes[i], sizeof(ret->bytes[i]));
        ret->ended = local_read(&l[0], &(uint8_t){0}, 1) < 0;
        ret->counters = bed_counters(&bed);
        local_close(&l[0]);
        local_close(&l[1]);
        bed_close(&bed);
}

/* The receiver's buffer is large enough for all. */
static void by_socket(struct outcome *ret)
{
        struct bed bed;
        struct peer p[2];
        size_t len = frame_at[N_FRAMES], at = 0;

        local_bed_open(&bed);
        p[0] = bed_join_as(&bed, "a", geteuid());
        p[1] = bed_join_as(&bed, "b", geteuid());
        bed_acked(&bed, &p[1], WIRE_OP_SUBSCRIBE, LITERAL("t/+"), WIRE_OK);
        while (at < len) {
                ssize_t n = send(p[0].fd, script + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n <= 0 && errno != EAGAIN)
                        break;
                at += n > 0 ? (size_t)n : 0;
                bed_settle(&bed);
        }
        bed_settle(&bed);
        for (unsigned i = 0; i < 2; i++)
                ret->n[i] = peer_read(&p[i], ret->bytes[i], sizeof(ret->bytes[i]));
        ret->ended = peer_read(&p[0], &(uint8_t){0}, 1) < 0;
        ret->counters = bed_counters(&bed);
        peer_close(&p[0]);
        peer_close(&p[1]);
        bed_close(&bed);
}

static void compare(const struct outcome *a, const struct outcome *b, unsigned number)
{
        for (unsigned i = 0; i < 2; i++)
                if (MAX(a->n[i], (ssize_t)0) != MAX(b->n[i], (ssize_t)0) ||
                    (a->n[i] > 0 && memcmp(a->bytes[i], b->bytes[i], (size_t)a->n[i]) != 0))
                        fail_msg("script %u: %zd bytes and %zd, of %u", number, a->n[i], b->n[i],
                                 i);
        assert_int_equal(a->ended, b->ended);
        assert_int_equal(a->counters.r_frames, b->counters.r_frames);
        assert_int_equal(a->counters.r_bytes, b->counters.r_bytes);
        assert_int_equal(a->counters.w_frames, b->counters.w_frames);
        assert_int_equal(a->counters.w_bytes, b->counters.w_bytes);
        assert_int_equal(a->counters.bad, b->counters.bad);
}

static void the_same_bytes_come_of_the_same(void **state)
{
        static struct outcome local, socket;
        unsigned n_ended = 0;

        random_seed("local-same");
        for (unsigned i = 0; i < N_SCRIPTS; i++) {
                make_script();
                by_local(&local);
                by_socket(&socket);
                compare(&local, &socket, i);
                n_ended += local.ended;
        }
        print_message("%u scripts, of which %u ended their client\n", N_SCRIPTS, n_ended);
        assert_true(n_ended > N_SCRIPTS / 50 && n_ended < N_SCRIPTS - N_SCRIPTS / 50);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_same_bytes_come_of_the_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
