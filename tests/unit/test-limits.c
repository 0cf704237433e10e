/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client may claim, name and ask for, at the edges: lengths at their limits and beyond,
 * names, topics and masks that are empty, endless or no text. What is refused is refused before it
 * has cost memory, and costs nobody else anything.
 */
#include <sys/socket.h>

#include "basic/macro.h"
#include "bystander.h"
#include "engine/worker.h"
#include "wire/handshake.h"

#define PROCESSED 0x40
#define MIB ((size_t)1 << 20)

struct scene {
        struct bed bed;
        struct bystanders bystanders;
        struct holdings before;
};

static void scene_open(struct scene *s, const struct engine_config *config)
{
        s->before = holdings_now();
        bed_open(&s->bed, config);
        bystanders_join(&s->bed, &s->bystanders);
}

static void scene_close(struct scene *s)
{
        bystanders_check(&s->bed, &s->bystanders);
        assert_int_equal(bed_counters(&s->bed).sessions, 2);
        bystanders_leave(&s->bystanders);
        bed_close(&s->bed);
        holdings_expect(&s->before);
}

/* --- Lengths --- */

/* A header that claims a body of that length, and not a byte of it. */
static void claim(struct peer *p, uint8_t flags, uint32_t length)
{
        uint8_t header[9] = {1, 0, 0, 0, flags};

        le32_put(header + 5, length);
        peer_write(p, header, sizeof(header));
}

/* Writes a frame that no socket takes at once. */
static void send_large(struct scene *s, struct peer *p, uint8_t flags, const uint8_t *body,
                       size_t len)
{
        claim(p, flags, (uint32_t)len);
        for (size_t at = 0; at < len;) {
                ssize_t n = send(p->fd, body + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

                at += n > 0 ? (size_t)n : 0;
                assert_int_equal(engine_process(s->bed.engine), 0);
        }
        bed_settle(&s->bed);
}

static void refuse_length(struct scene *s, uint8_t flags, uint32_t length)
{
        struct peer p = bed_join(&s->bed, "claimer");
        uint64_t held = bed_counters(&s->bed).held, bad = bed_counters(&s->bed).bad;

        claim(&p, flags, length);
        bed_settle(&s->bed);
        assert_int_equal(bed_counters(&s->bed).held, held);
        assert_int_equal(bed_counters(&s->bed).bad, bad + 1);
        if (flags & PROCESSED)
                peer_expect(&p, LITERAL("\xfe\x01\0\0\0\x72"));
        peer_expect_end(&p);
        peer_close(&p);
        bed_settle(&s->bed);
}

static void allow_length(struct scene *s, uint8_t flags, uint32_t length)
{
        struct peer p = bed_join(&s->bed, "claimer");

        claim(&p, flags, length);
        bed_settle(&s->bed);
        peer_expect(&p, NULL, 0);
        assert_true(bed_counters(&s->bed).held <= 8192);
        peer_close(&p);
        bed_settle(&s->bed);
        assert_int_equal(bed_counters(&s->bed).held, 0);
}

static const uint8_t ops[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x12, 0x13};

static void lengths_beyond_the_limit_are_refused_at_the_header(void **state)
{
        struct engine_config config;
        struct scene s;

        bed_config(&config);
        scene_open(&s, &config);
        for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
                for (unsigned qos = 0; qos < 4; qos++) {
                        uint8_t flags = (uint8_t)(ops[i] | qos << 6);

                        allow_length(&s, flags, (uint32_t)config.max_frame_size);
                        refuse_length(&s, flags, (uint32_t)config.max_frame_size + 1);
                        refuse_length(&s, flags, 0x7fffffff);
                        refuse_length(&s, flags, 0xffffffff);
                }
        scene_close(&s);
}

/* Lists may be empty; whatever names something needs at least a 00. */
static void a_length_of_zero(void **state)
{
        struct scene s;

        scene_open(&s, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
                struct peer p;

                if (ops[i] < 0x02 || ops[i] > 0x05) {
                        refuse_length(&s, ops[i], 0);
                        continue;
                }
                p = bed_join(&s.bed, "claimer");
                claim(&p, ops[i] | PROCESSED, 0);
                bed_settle(&s.bed);
                peer_expect(&p, LITERAL("\xfe\x01\0\0\0\x01"));
                peer_close(&p);
                bed_settle(&s.bed);
        }
        scene_close(&s);
}

/* However many claim the most that may be claimed, memory follows the bytes that came. */
static void claims_take_no_memory(void **state)
{
        enum { N = 200 };
        struct peer p[N];
        struct scene s;
        size_t rss;

        scene_open(&s, NULL);
        for (size_t i = 0; i < N; i++) {
                char name[16];

                snprintf(name, sizeof(name), "claimer%zu", i);
                p[i] = bed_join(&s.bed, name);
        }
        rss = resident_memory();
        for (size_t i = 0; i < N; i++)
                claim(&p[i], WIRE_OP_MESSAGE, (uint32_t)s.bed.config.max_frame_size);
        bed_settle(&s.bed);
        assert_true(bed_counters(&s.bed).held <= N * 2048);
        if (!UNDER_SANITIZER)
                assert_true(resident_memory() < rss + MIB);
        for (size_t i = 0; i < N; i++)
                peer_close(&p[i]);
        bed_settle(&s.bed);
        scene_close(&s);
}

static void send_bytes(struct scene *s, struct peer *p, const uint8_t *bytes, size_t len)
{
        for (size_t at = 0; at < len; at += 50000) {
                peer_write(p, bytes, 50000);
                bed_settle(&s->bed);
        }
}

/* Nor when a body that grows moves into a large buffer of the pool, full of what others sent: who
 * holds one pays for it. */
static void claims_pay_for_what_the_pool_gives(void **state)
{
        enum { N = 20 };
        size_t size = 2 * MIB, rss;
        uint8_t *body = calloc(1, size);
        struct peer p[N], good;
        struct scene s;

        scene_open(&s, NULL);
        good = bed_join(&s.bed, "good");
        memcpy(body, "nobody", 7);
        rss = resident_memory();
        for (size_t i = 0; i < N; i++) {
                char name[32];

                snprintf(name, sizeof(name), "claimer%zu", i);
                p[i] = bed_join(&s.bed, name);
                claim(&p[i], WIRE_OP_MESSAGE, (uint32_t)size);
                send_bytes(&s, &p[i], body, 100000);
                send_large(&s, &good, WIRE_OP_MESSAGE, body, size);
                send_bytes(&s, &p[i], body, 200000);
        }
        rss = resident_memory() - rss;
        assert_true(UNDER_SANITIZER || rss < bed_counters(&s.bed).held + 8 * MIB);
        for (size_t i = 0; i < N; i++)
                peer_close(&p[i]);
        peer_close(&good);
        free(body);
        bed_settle(&s.bed);
        scene_close(&s);
}

/* The end of a delivery's length field is nearer than that of a request's: the sender's name may be
 * longer than the target's. */
static void no_limit_lets_a_delivery_overflow(void **state)
{
        struct engine_config config;
        struct scene s;

        bed_config(&config);
        config.max_frame_size = SIZE_MAX;
        scene_open(&s, &config);
        refuse_length(&s, WIRE_OP_MESSAGE, 0xffffffff);
        refuse_length(&s, WIRE_OP_MESSAGE, 0xffffffff - 100);
        allow_length(&s, WIRE_OP_MESSAGE, 0xfffff000);
        scene_close(&s);
}

/* --- Names --- */

static struct peer ask_name(struct scene *s, uid_t uid, const char *name, size_t len, size_t sent)
{
        struct peer p = bed_connect(&s->bed, uid);
        uint8_t hello[WIRE_GREETING_SIZE + 2] = {0xeb, 1, 0};

        le16_put(hello + 3, (uint16_t)len);
        peer_write(&p, hello, sizeof(hello));
        peer_write(&p, name, sent);
        bed_settle(&s->bed);
        return p;
}

static void expect_name(struct scene *s, uid_t uid, const char *name, size_t len, uint8_t code)
{
        struct peer p = ask_name(s, uid, name, len, len);
        uint8_t want[] = {0xeb, 1, 0, 1, code};

        peer_expect(&p, want, sizeof(want));
        if (code != WIRE_OK)
                peer_expect_end(&p);
        peer_close(&p);
        bed_settle(&s->bed);
}

struct name {
        const char *text;
        size_t len;
        uint8_t code;
};

#define NAME(text, code)                                                                           \
        {                                                                                          \
                (text), sizeof(text) - 1, code                                                     \
        }

/* The client `a` of user 1000 is there. */
static const struct name names[] = {
        NAME("", 0x72),
        NAME(".", 0x72),
        NAME(".broker", 0x72),
        NAME("..", 0x72),
        NAME("a", 0x76),
        NAME("b", 0x01),
        NAME(" ", 0x01),
        NAME("b.", 0x01),
        NAME("b..c", 0x01),
        NAME("*", 0x01),
        NAME("?.*", 0x01),
        NAME("#/+", 0x01),
        NAME("a\0b", 0x72),
        NAME("\0", 0x72),
        NAME("b\n", 0x72),
        NAME("\x1b[2J", 0x72),
        NAME("b\x1f", 0x72),
        NAME("b\x7f", 0x72),
        NAME("b\xc2\x80", 0x72),
        NAME("b\xc2\x9f", 0x72),
        NAME("b\xc2\xa0", 0x01),
        NAME("\xf0\x9f\x9a\x8c", 0x01),
        NAME("\xff", 0x72),
        NAME("b\xc0\x80", 0x72),
        NAME("b\xc1\xbf", 0x72),
        NAME("b\xe0\x80\xaf", 0x72),
        NAME("b\xed\xa0\x80", 0x72),
        NAME("b\xf4\x90\x80\x80", 0x72),
        NAME("b\xe2\x82", 0x72),
        NAME("\x80", 0x72),
        NAME("%", 0x01),
        NAME("b%c", 0x01),
        NAME("%%", 0x72),
        NAME("%%0", 0x72),
        NAME("a%%", 0x72),
        NAME("a%%b%%", 0x72),
        NAME("a%%%%b", 0x72),
        NAME("a%%b", 0x01),
        NAME("a%%b%%c", 0x01),
        NAME("a%%%", 0x01),
        NAME("nobody%%1", 0x71),
};

static void names_at_the_edges(void **state)
{
        char longest[1026];
        struct scene s;
        struct peer a;

        scene_open(&s, NULL);
        a = bed_join(&s.bed, "a");
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                expect_name(&s, 1000, names[i].text, names[i].len, names[i].code);
        expect_name(&s, 1001, "a%%b", 4, WIRE_ACCESS);
        memset(longest, 'n', sizeof(longest));
        expect_name(&s, 1000, longest, 1023, WIRE_OK);
        expect_name(&s, 1000, longest, 1024, WIRE_OK);
        peer_close(&a);
        scene_close(&s);
}

/* Refused by their length alone: before a byte of them has come, and also if all have. */
static void names_that_are_too_long(void **state)
{
        static char name[65535];
        static const size_t lengths[] = {1025, 4096, 65535};
        struct scene s;

        memset(name, 'n', sizeof(name));
        scene_open(&s, NULL);
        for (size_t i = 0; i < 2 * ARRAY_SIZE(lengths); i++) {
                size_t len = lengths[i / 2];
                struct peer p = ask_name(&s, 1000, name, len, i % 2 ? len : 0);

                peer_expect(&p, LITERAL("\xeb\x01\0\x01\x72"));
                assert_int_equal(bed_counters(&s.bed).held, 0);
                peer_close(&p);
                bed_settle(&s.bed);
        }
        scene_close(&s);
}

/* The reference takes memory by 2 to the number of dots. */
static void a_name_of_many_dots(void **state)
{
        char name[1024];
        struct scene s;
        struct peer p;
        size_t rss;

        memset(name, '.', sizeof(name));
        name[0] = 'n';
        scene_open(&s, NULL);
        rss = resident_memory();
        p = ask_name(&s, 1000, name, sizeof(name), sizeof(name));
        peer_expect(&p, LITERAL("\xeb\x01\0\x01\x01"));
        if (!UNDER_SANITIZER)
                assert_true(resident_memory() < rss + MIB);
        peer_close(&p);
        bed_settle(&s.bed);
        scene_close(&s);
}

/* --- Topics and masks --- */

/* The topic as what is published and, with a listener of `#` and one of itself, as a mask. */
static void expect_topic(struct scene *s, const char *topic, size_t len, uint8_t code)
{
        struct peer p = bed_join(&s->bed, "p"), all = bed_join(&s->bed, "all");
        uint8_t ack[6] = {WIRE_KIND_ACK, 1, 0, 0, 0, code}, *body = calloc(1, len + 2), got[6];

        memcpy(body, topic, len);
        body[len + 1] = '!';
        peer_send(&all, WIRE_OP_SUBSCRIBE, LITERAL("#"));
        bed_settle(&s->bed);
        send_large(s, &p, WIRE_OP_SUBSCRIBE | PROCESSED, body, len);
        peer_expect(&p, ack, sizeof(ack));
        send_large(s, &p, WIRE_OP_PUBLISH | PROCESSED, body, len + 2);
        if (code == WIRE_OK) {
                assert_int_equal(peer_read(&all, got, 6), 6);
                assert_int_equal(le32_get(got + 1), 2 + len + 2);
                assert_int_equal(peer_read(&p, got, 6), 6);
                assert_int_equal(le32_get(got + 1), 2 + len + 2);
        } else {
                peer_expect(&p, ack, sizeof(ack));
                peer_expect(&all, NULL, 0);
        }
        free(body);
        peer_close(&p);
        peer_close(&all);
        bed_settle(&s->bed);
        assert_int_equal(bed_counters(&s->bed).held, 0);
}

static void topics_at_the_edges(void **state)
{
        size_t million = 1000000;
        char *text = malloc(million);
        struct scene s;

        scene_open(&s, NULL);
        memset(text, '/', million);
        expect_topic(&s, "", 0, WIRE_OK);
        for (size_t parts = 2; parts <= 128; parts *= 2)
                expect_topic(&s, text, parts - 1, WIRE_OK);
        expect_topic(&s, text, 128, WIRE_DATA);
        expect_topic(&s, text, 4000, WIRE_DATA);
        expect_topic(&s, text, 65536, WIRE_DATA);
        expect_topic(&s, text, million, WIRE_DATA);
        memset(text, 'x', million);
        expect_topic(&s, text, 4096, WIRE_OK);
        expect_topic(&s, text, 4097, WIRE_DATA);
        expect_topic(&s, text, 65536, WIRE_DATA);
        expect_topic(&s, "\x01\x7f", 2, WIRE_OK);
        expect_topic(&s, "a//b", 4, WIRE_OK);
        free(text);
        scene_close(&s);
}

/* With the limits out of the way depth is memory, not stack. */
static void a_topic_of_a_million_parts(void **state)
{
        size_t million = 1000000;
        char *text = malloc(million);
        struct engine_config config;
        struct scene s;

        bed_config(&config);
        config.max_topic_parts = config.max_topic_length = SIZE_MAX;
        scene_open(&s, &config);
        memset(text, '/', million);
        expect_topic(&s, text, 4000, WIRE_OK);
        expect_topic(&s, text, 65536, WIRE_OK);
        expect_topic(&s, text, million, WIRE_OK);
        free(text);
        scene_close(&s);
}

static void what_is_no_text_breaks_the_protocol(void **state)
{
        static const char *const bad[] = {"\xff", "a/\xc0\x80", "\xed\xa0\x80",
                                          "\xf8\x88\x80\x80\x80"};
        static const uint8_t lists[] = {0x02, 0x03, 0x04, 0x05};
        struct scene s;

        scene_open(&s, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(bad) * ARRAY_SIZE(lists); i++) {
                const char *text = bad[i / ARRAY_SIZE(lists)];
                struct peer p = bed_join(&s.bed, "p");

                peer_send(&p, lists[i % ARRAY_SIZE(lists)] | PROCESSED, text, strlen(text));
                bed_settle(&s.bed);
                peer_expect(&p, LITERAL("\xfe\x01\0\0\0\x72"));
                peer_expect_end(&p);
                peer_close(&p);
                bed_settle(&s.bed);
        }
        scene_close(&s);
}

/* One entry beyond a limit; the others stand. */
static void a_list_keeps_what_is_good_in_it(void **state)
{
        char list[4200] = "good\0";
        struct scene s;
        struct peer p;

        scene_open(&s, NULL);
        p = bed_join(&s.bed, "p");
        memset(list + 5, 'x', 4100);
        memcpy(list + 4105, "\0fine", 5);
        peer_send(&p, WIRE_OP_SUBSCRIBE | PROCESSED, list, 4110);
        bed_settle(&s.bed);
        peer_expect_ack(&p, 1, WIRE_DATA);
        peer_send(&p, WIRE_OP_PUBLISH, LITERAL("good\0"));
        peer_send(&p, WIRE_OP_PUBLISH, LITERAL("fine\0"));
        bed_settle(&s.bed);
        peer_expect(&p, LITERAL("\x01\x07\0\0\0\0p\0good\0\x01\x07\0\0\0\0p\0fine\0"));
        peer_close(&p);
        scene_close(&s);
}

/* As many different masks as fit. Returns the length of the list. */
static size_t many_masks(uint8_t *list, size_t size)
{
        size_t at = 0;

        for (uint32_t i = 0; at + 16 < size; i++)
                at += (size_t)sprintf((char *)list + at, "%x", i) + 1;
        return at - 1;
}

/* A frame of a few megabytes may ask for a hundred times that. What a user may hold ends it, others
 * go on subscribing, and it all comes back. */
static void subscriptions_cost_their_owner(void **state)
{
        static const uint8_t lists[] = {WIRE_OP_SUBSCRIBE, WIRE_OP_EXCLUDE};
        size_t size = 2 * MIB, len;
        uint8_t *list = malloc(size);
        struct engine_config config;
        struct scene s;

        bed_config(&config);
        config.queue_memory_max = 32 * MIB;
        scene_open(&s, &config);
        len = many_masks(list, size);
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
                struct peer greedy = bed_join(&s.bed, "greedy");
                size_t rss = resident_memory();

                send_large(&s, &greedy, lists[i] | PROCESSED, list, len);
                peer_expect_ack(&greedy, 1, WIRE_ACCESS);
                assert_true(bed_counters(&s.bed).held <= 8 * MIB + 4096);
                assert_true(bed_counters(&s.bed).held > 7 * MIB);
                assert_true(UNDER_SANITIZER || resident_memory() < rss + 16 * MIB);
                peer_send(&s.bystanders.ping, WIRE_OP_SUBSCRIBE | PROCESSED, LITERAL("x"));
                bed_settle(&s.bed);
                peer_expect_ack(&s.bystanders.ping, s.bystanders.ping.next_op, WIRE_OK);
                send_large(&s, &greedy, (uint8_t)(lists[i] + 1) | PROCESSED, list, len);
                peer_expect_ack(&greedy, 1, WIRE_OK);
                assert_true(bed_counters(&s.bed).held < 1024);
                peer_close(&greedy);
                bed_settle(&s.bed);
        }
        free(list);
        scene_close(&s);
}

/* --- What a search may cost --- */

#define PART "part" /* long enough that the topic is searched for each time */

static size_t all_masks(uint8_t *list, size_t n_parts)
{
        size_t at = 0;

        for (size_t mask = 0; mask < (size_t)1 << n_parts; mask++)
                for (size_t i = 0; i < n_parts; i++) {
                        size_t len = mask >> i & 1 ? 1 : strlen(PART);

                        memcpy(list + at, mask >> i & 1 ? "+" : PART, len);
                        at += len;
                        list[at++] = i + 1 < n_parts ? '/' : 0;
                }
        return at - 1;
}

/* The same frame many times, in one write. */
static void send_many(struct peer *p, size_t n, uint8_t flags, const void *body, size_t len)
{
        uint8_t *frames = calloc(n, 9 + len);

        for (size_t i = 0; i < n; i++) {
                uint8_t *f = frames + i * (9 + len);

                f[4] = flags;
                le32_put(f + 5, (uint32_t)len);
                memcpy(f + 9, body, len);
        }
        peer_write(p, frames, n * (9 + len));
        free(frames);
}

/* At most so many passes' worth of work is done in one. */
static void expect_passes(struct bed *bed, size_t n_frames, size_t steps)
{
        size_t per_pass = WORKER_BUDGET / steps + 1;

        assert_true(bed_settle(bed) >= n_frames / per_pass);
}

/* One client subscribes to 32768 masks that all match one topic, and another publishes on it as
 * quickly as it can. A pass ends when it has cost enough, however few frames that were. */
static void a_costly_topic_does_not_hold_the_bus(void **state)
{
        enum { PARTS = 15, FRAMES = 200 };
        size_t size = ((size_t)1 << PARTS) * PARTS * sizeof(PART), len;
        uint8_t *list = malloc(size);
        struct peer p, q;
        struct scene s;

        scene_open(&s, NULL);
        p = bed_join(&s.bed, "p");
        q = bed_join(&s.bed, "q");
        len = all_masks(list, PARTS);
        send_large(&s, &p, WIRE_OP_SUBSCRIBE | PROCESSED, list, len);
        peer_expect(&p, LITERAL("\xfe\x01\0\0\0\x01"));
        /* part/part/.../part and a 00 */
        send_many(&q, FRAMES, WIRE_OP_PUBLISH, list, PARTS * sizeof(PART));
        bystanders_check(&s.bed, &s.bystanders);
        expect_passes(&s.bed, FRAMES - BYSTANDER_PASSES, (size_t)1 << PARTS);
        free(list);
        peer_close(&p);
        peer_close(&q);
        bed_settle(&s.bed);
        scene_close(&s);
}

/* The same for a mask of names that all names must be held against, and that none matches. */
static void a_costly_broadcast_does_not_hold_the_bus(void **state)
{
        enum { CLIENTS = 400, FRAMES = 8000 };
        struct peer p[CLIENTS];
        struct scene s;

        scene_open(&s, NULL);
        for (size_t i = 0; i < CLIENTS; i++) {
                char name[32];

                snprintf(name, sizeof(name), "c%zu.x", i);
                p[i] = bed_join(&s.bed, name);
        }
        send_many(&p[0], FRAMES, WIRE_OP_BROADCAST, LITERAL("?.y\0"));
        expect_passes(&s.bed, FRAMES, CLIENTS);
        for (size_t i = 0; i < CLIENTS; i++)
                peer_close(&p[i]);
        bed_settle(&s.bed);
        scene_close(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(lengths_beyond_the_limit_are_refused_at_the_header),
                cmocka_unit_test(a_length_of_zero),
                cmocka_unit_test(claims_take_no_memory),
                cmocka_unit_test(claims_pay_for_what_the_pool_gives),
                cmocka_unit_test(no_limit_lets_a_delivery_overflow),
                cmocka_unit_test(names_at_the_edges),
                cmocka_unit_test(names_that_are_too_long),
                cmocka_unit_test(a_name_of_many_dots),
                cmocka_unit_test(topics_at_the_edges),
                cmocka_unit_test(a_topic_of_a_million_parts),
                cmocka_unit_test(what_is_no_text_breaks_the_protocol),
                cmocka_unit_test(a_list_keeps_what_is_good_in_it),
                cmocka_unit_test(subscriptions_cost_their_owner),
                cmocka_unit_test(a_costly_topic_does_not_hold_the_bus),
                cmocka_unit_test(a_costly_broadcast_does_not_hold_the_bus),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
