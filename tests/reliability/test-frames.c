/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: what a client's bytes mean does not depend on how they are cut into packets, and a
 * connection that ends anywhere in them costs nothing. Every operation in every QoS is sent whole,
 * in two portions with the cut at every place, byte by byte, and cut short at every place.
 */
#include <errno.h>
#include <sys/socket.h>

#include "bystander.h"

#define PROCESSED 0x40
#define REALTIME 0x80
#define HELLO "\xeb\x01\0\x01\0a"
#define WELCOME "\xeb\x01\0\x01\x01"
#define END "\0\0\0\0\x12\x05\0\0\0b\0end"
#define END_DELIVERED "\x12\x05\0\0\0\0a\0end"

/* One frame of client `a`, and what it does. `b` has subscribed to t/#. */
struct row {
        uint8_t op;
        const char *body;
        size_t body_len;
        uint8_t ack;      /* 0: none, whatever was asked for */
        uint8_t kind;     /* of what `b` gets; 0: nothing */
        const char *to_b; /* its body */
        size_t to_b_len;
        bool breaks; /* the connection ends */
};

#define TEXT(text) (text), sizeof(text) - 1
#define NOTHING NULL, 0

static const struct row rows[] = {
        {0x00, TEXT("x\0y"), 0, 0, NOTHING, false},
        {0x00, TEXT("xy"), 0x72, 0, NOTHING, true},
        {0x01, TEXT("t/x\0pay"), 0x01, 0x01, TEXT("a\0t/x\0pay"), false},
        {0x01, TEXT("t/x\0"), 0x01, 0x01, TEXT("a\0t/x\0"), false},
        {0x01, TEXT("u\0pay"), 0x01, 0, NOTHING, false},
        {0x01, TEXT("t/x"), 0x72, 0, NOTHING, true},
        {0x01, TEXT("t/\xff\0pay"), 0x72, 0, NOTHING, true},
        {0x02, TEXT("q/1\0q/2"), 0x01, 0, NOTHING, false},
        {0x02, TEXT(""), 0x01, 0, NOTHING, false},
        {0x02, TEXT("q\0\xc0\x80"), 0x72, 0, NOTHING, true},
        {0x03, TEXT("q/1\0q/2"), 0x01, 0, NOTHING, false},
        {0x04, TEXT("q/1\0\0q/2"), 0x01, 0, NOTHING, false},
        {0x05, TEXT("q/1\0q/2\0"), 0x01, 0, NOTHING, false},
        {0x06, TEXT("t/x\0b\0pay"), 0x01, 0x01, TEXT("a\0t/x\0pay"), false},
        {0x06, TEXT("t/x\0c\0pay"), 0x01, 0, NOTHING, false},
        {0x06, TEXT("t/x\0b"), 0x72, 0, NOTHING, true},
        {0x12, TEXT("b\0hello"), 0x01, 0x12, TEXT("a\0hello"), false},
        {0x12, TEXT("b\0"), 0x01, 0x12, TEXT("a\0"), false},
        {0x12, TEXT("nobody\0hello"), 0x71, 0, NOTHING, false},
        {0x12, TEXT(".broker\0hello"), 0x01, 0, NOTHING, false},
        {0x12, TEXT("b"), 0x72, 0, NOTHING, true},
        {0x12, TEXT("\xed\xa0\x80\0hello"), 0x72, 0, NOTHING, true},
        {0x13, TEXT("b\0hello"), 0x01, 0x13, TEXT("a\0hello"), false},
        {0x13, TEXT("x.*\0hello"), 0x01, 0, NOTHING, false},
        {0x13, TEXT(""), 0x72, 0, NOTHING, true},
        {0x07, TEXT("b\0hello"), 0x72, 0, NOTHING, true},
        {0x3f, TEXT(""), 0x72, 0, NOTHING, true},
};

struct bytes {
        size_t len;
        uint8_t data[512];
};

static void add(struct bytes *b, const void *data, size_t len)
{
        assert_true(b->len + len <= sizeof(b->data));
        if (len)
                memcpy(b->data + b->len, data, len);
        b->len += len;
}

/* All that `a` writes, what it gets for it, and what `b` gets. */
struct script {
        struct bytes out, to_a, to_b;
        size_t frame_end; /* in out */
        bool breaks;
};

static void write_script(struct script *s, const struct row *row, unsigned qos)
{
        uint8_t header[9] = {7, 8, 9, 10, (uint8_t)(row->op | qos << 6)};
        uint8_t ack[6] = {WIRE_KIND_ACK, 7, 8, 9, 10, row->ack};
        uint8_t delivery[6] = {row->kind, (uint8_t)row->to_b_len, 0, 0, 0, qos & 2 ? 1 : 0};

        *s = (struct script){.breaks = row->breaks};
        le32_put(header + 5, (uint32_t)row->body_len);
        add(&s->out, TEXT(HELLO));
        add(&s->out, header, sizeof(header));
        add(&s->out, row->body, row->body_len);
        s->frame_end = s->out.len;
        add(&s->out, TEXT(END));
        add(&s->to_a, TEXT(WELCOME));
        if (row->ack && qos & 1)
                add(&s->to_a, ack, sizeof(ack));
        if (row->kind) {
                add(&s->to_b, delivery, sizeof(delivery));
                add(&s->to_b, row->to_b, row->to_b_len);
        }
        if (!row->breaks)
                add(&s->to_b, TEXT(END_DELIVERED));
}

/* `b`, which watches, and the bystanders. */
struct scene {
        struct bed bed;
        struct peer b;
        struct bystanders bystanders;
        uint64_t held; /* for the subscription of `b` */
};

static void scene_open(struct scene *s)
{
        bed_open(&s->bed, NULL);
        bystanders_join(&s->bed, &s->bystanders);
        s->b = bed_join(&s->bed, "b");
        peer_send(&s->b, WIRE_OP_SUBSCRIBE, LITERAL("t/#"));
        bed_settle(&s->bed);
        s->held = bed_counters(&s->bed).held;
}

static void scene_close(struct scene *s)
{
        peer_close(&s->b);
        bystanders_leave(&s->bystanders);
        bed_close(&s->bed);
}

/* The connection may have been ended by what came before. */
static void write_some(struct scene *s, const struct peer *a, const uint8_t *p, size_t len)
{
        while (len > 0) {
                ssize_t n = send(a->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EPIPE)
                        return;
                assert_true(n > 0 || errno == EAGAIN);
                p += n > 0 ? n : 0;
                len -= n > 0 ? (size_t)n : 0;
                bed_settle(&s->bed);
        }
}

static void expect_nothing_left(struct scene *s)
{
        bed_settle(&s->bed);
        assert_int_equal(bed_counters(&s->bed).sessions, 3);
        assert_int_equal(bed_counters(&s->bed).held, s->held);
}

static void play(struct scene *s, const struct script *script, size_t portion, size_t cut)
{
        struct peer a = bed_connect(&s->bed, 1000);
        size_t first = cut ? cut : portion;

        write_some(s, &a, script->out.data, first);
        for (size_t at = first; at < script->out.len; at += portion)
                write_some(s, &a, script->out.data + at,
                           script->out.len - at < portion ? script->out.len - at : portion);
        peer_expect(&a, script->to_a.data, script->to_a.len);
        peer_expect(&s->b, script->to_b.data, script->to_b.len);
        if (script->breaks)
                peer_expect_end(&a);
        peer_close(&a);
        expect_nothing_left(s);
}

/* Only the first n bytes come. The frame counts if it came whole. */
static void cut_short(struct scene *s, const struct script *script, size_t n)
{
        struct peer a = bed_connect(&s->bed, 1000);
        uint8_t got[64];

        write_some(s, &a, script->out.data, n);
        peer_close(&a);
        bed_settle(&s->bed);
        if (n < script->frame_end)
                peer_expect(&s->b, NULL, 0);
        else
                assert_true(peer_read(&s->b, got, sizeof(got)) >= 0);
        expect_nothing_left(s);
}

static void for_every_script(void (*fn)(struct scene *, const struct script *))
{
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                for (unsigned qos = rows[i].op == 0 ? 1 : 0; qos < 4; qos++) {
                        struct holdings before = holdings_now();
                        struct script script;
                        struct scene scene;

                        write_script(&script, &rows[i], qos);
                        scene_open(&scene);
                        fn(&scene, &script);
                        bystanders_check(&scene.bed, &scene.bystanders);
                        scene_close(&scene);
                        holdings_expect(&before);
                }
}

static void play_every_cut(struct scene *s, const struct script *script)
{
        play(s, script, script->out.len, 0);
        for (size_t cut = 1; cut < script->out.len; cut++)
                play(s, script, script->out.len, cut);
        for (size_t portion = 1; portion < 9; portion++)
                play(s, script, portion, 0);
}

static void every_frame_may_be_cut_anywhere(void **state)
{
        for_every_script(play_every_cut);
}

static void cut_short_everywhere(struct scene *s, const struct script *script)
{
        for (size_t n = 0; n < script->out.len; n++)
                cut_short(s, script, n);
}

static void every_frame_may_end_anywhere(void **state)
{
        for_every_script(cut_short_everywhere);
}

/* Pings have no body, whatever they say. */
static void pings_are_nine_bytes(void **state)
{
        struct scene s;
        struct script script = {0};

        add(&script.out, TEXT(HELLO "\1\2\3\4\0\xff\xff\xff\xff" END));
        add(&script.to_a, TEXT(WELCOME));
        add(&script.to_b, TEXT(END_DELIVERED));
        scene_open(&s);
        play_every_cut(&s, &script);
        scene_close(&s);
}

/* --- Large bodies: held once, assembled, read in place --- */

struct large {
        uint8_t op;
        size_t size; /* of the payload */
        uint8_t *frame, *delivered;
        size_t frame_len, delivered_len;
};

/* Target and topic are "t/x"; the client `t/x` is the same connection as `b`. */
static void large_make(struct large *l)
{
        const char *head = l->op == WIRE_OP_PUBLISH ? "a\0t/x" : "a",
                   *target = l->op == WIRE_OP_PUBLISH ? "t/x" : "b";
        size_t head_len = l->op == WIRE_OP_PUBLISH ? 6 : 2, target_len = strlen(target) + 1;

        l->frame_len = 9 + target_len + l->size;
        l->delivered_len = 6 + head_len + l->size;
        l->frame = calloc(1, l->frame_len);
        l->delivered = calloc(1, l->delivered_len);
        l->frame[4] = l->op | PROCESSED | REALTIME;
        le32_put(l->frame + 5, (uint32_t)(target_len + l->size));
        memcpy(l->frame + 9, target, target_len);
        wire_delivery_encode(l->delivered, l->op, (uint32_t)(head_len + l->size), true);
        memcpy(l->delivered + 6, head, head_len);
        for (size_t i = 0; i < l->size; i++)
                l->frame[9 + target_len + i] = l->delivered[6 + head_len + i] =
                        (uint8_t)(i * 31 + (i >> 8));
}

static void large_free(struct large *l)
{
        free(l->frame);
        free(l->delivered);
}

/* `b` reads while it comes, since no socket holds it all. */
static void large_receive(struct scene *s, const struct large *l, uint8_t *got)
{
        size_t have = 0;

        for (;;) {
                ssize_t n = peer_read(&s->b, got + have, l->delivered_len + 1 - have);

                assert_true(n >= 0);
                have += (size_t)n;
                if (n == 0 && bed_settle(&s->bed) == 0)
                        break;
        }
        assert_int_equal(have, l->delivered_len);
        assert_memory_equal(got, l->delivered, have);
}

static void large_play(struct scene *s, const struct large *l, struct peer *a, size_t cut,
                       uint8_t *got)
{
        write_some(s, a, l->frame, cut);
        write_some(s, a, l->frame + cut, l->frame_len - cut);
        large_receive(s, l, got);
        peer_expect(a, LITERAL("\xfe\0\0\0\0\x01"));
        assert_int_equal(bed_counters(&s->bed).held, s->held);
}

/* Around every place where something changes: the end of the header, of a small buffer, of a
 * doubled one, of a read, of a read into the body itself. */
static void large_play_all(struct large *l)
{
        static const size_t places[] = {9,    13,     969,    1047,   1920,   2048,
                                        4096, 131072, 131081, 262144, 262153, 393216};
        uint8_t *got = malloc(l->delivered_len + 1);
        struct scene s;
        struct peer a;

        scene_open(&s);
        a = bed_join(&s.bed, "a");
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
                for (size_t cut = places[i] - 3; cut < places[i] + 4; cut++)
                        if (cut < l->frame_len)
                                large_play(&s, l, &a, cut, got);
        for (size_t left = 1; left < 4; left++)
                large_play(&s, l, &a, l->frame_len - left, got);
        bystanders_check(&s.bed, &s.bystanders);
        free(got);
        peer_close(&a);
        scene_close(&s);
}

static void large_frames_may_be_cut_anywhere(void **state)
{
        static const size_t sizes[] = {955, 1010, 1030, 1100, 3000, 131059, 131070, 300000, 600000};
        static const uint8_t ops[] = {WIRE_OP_MESSAGE, WIRE_OP_PUBLISH};

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
                for (size_t j = 0; j < 2; j++) {
                        struct large l = {.op = ops[j], .size = sizes[i]};
                        struct holdings before = holdings_now();

                        large_make(&l);
                        large_play_all(&l);
                        large_free(&l);
                        holdings_expect(&before);
                }
}

static void a_large_frame_may_end_anywhere(void **state)
{
        struct large l = {.op = WIRE_OP_MESSAGE, .size = 300000};
        struct scene s;

        large_make(&l);
        scene_open(&s);
        for (size_t n = 1; n < l.frame_len; n = n * 5 / 4 + 1) {
                struct peer a = bed_join(&s.bed, "a");

                write_some(&s, &a, l.frame, n);
                assert_true(n < 32 || bed_counters(&s.bed).held > s.held);
                peer_close(&a);
                expect_nothing_left(&s);
                peer_expect(&s.b, NULL, 0);
        }
        bystanders_check(&s.bed, &s.bystanders);
        scene_close(&s);
        large_free(&l);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_frame_may_be_cut_anywhere),
                cmocka_unit_test(every_frame_may_end_anywhere),
                cmocka_unit_test(pings_are_nine_bytes),
                cmocka_unit_test(large_frames_may_be_cut_anywhere),
                cmocka_unit_test(a_large_frame_may_end_anywhere),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
