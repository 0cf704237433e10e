/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: what was acknowledged is written, however the receiver's connection ends, as long as it
 * can be written at all; and what a client has sent is carried out, however it leaves.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "bystander.h"

#define PROCESSED 0x40
#define SIZE 4000 /* of a message's payload */
#define MANY 300  /* messages: more than a socket holds */

struct scene {
        struct bed bed;
        struct bystanders bystanders;
        struct peer a, b;
        struct holdings before;
};

static void scene_open(struct scene *s, const struct engine_config *config)
{
        s->before = holdings_now();
        bed_open(&s->bed, config);
        bystanders_join(&s->bed, &s->bystanders);
        s->a = bed_join(&s->bed, "a");
        s->b = bed_join(&s->bed, "b");
}

static void scene_close(struct scene *s)
{
        bystanders_check(&s->bed, &s->bystanders);
        if (s->a.fd >= 0)
                peer_close(&s->a);
        if (s->b.fd >= 0)
                peer_close(&s->b);
        bystanders_leave(&s->bystanders);
        bed_close(&s->bed);
        holdings_expect(&s->before);
}

static void put_numbered(uint8_t frame[9 + 2 + SIZE], uint8_t flags, uint32_t number)
{
        memset(frame, 'x', 9 + 2 + SIZE);
        le32_put(frame, number);
        frame[4] = flags;
        le32_put(frame + 5, 2 + SIZE);
        memcpy(frame + 9, "b", 2);
        le32_put(frame + 11, number);
}

/* MANY numbered messages to `b`, which does not read; all are acknowledged. */
static void fill(struct scene *s)
{
        uint8_t frame[9 + 2 + SIZE];

        for (uint32_t i = 0; i < MANY; i++) {
                put_numbered(frame, WIRE_OP_MESSAGE | PROCESSED, i);
                peer_write(&s->a, frame, sizeof(frame));
                bed_settle(&s->bed);
                peer_expect_ack(&s->a, i, WIRE_OK);
        }
        assert_true(bed_counters(&s->bed).held > 0);
}

/* Everything there is for `b`, until its end or until no more comes. */
struct inbox {
        uint8_t *data;
        size_t len;
        bool ended;
};

static void receive(struct scene *s, struct inbox *in)
{
        size_t size = (size_t)2 * MANY * (SIZE + 64);

        *in = (struct inbox){.data = malloc(size)};
        for (;;) {
                ssize_t n = peer_read(&s->b, in->data + in->len, size - in->len);

                in->ended = n < 0;
                in->len += n > 0 ? (size_t)n : 0;
                if (n <= 0 && bed_settle(&s->bed) == 0)
                        break;
        }
        assert_true(in->len < size);
}

/* The numbers of the messages are 0 ... n - 1; returns where the last of them ends. */
static size_t expect_numbers(const struct inbox *in, uint32_t n)
{
        size_t at = 0;

        for (uint32_t i = 0; i < n; i++) {
                assert_true(in->len - at >= WIRE_DELIVERY_HEADER_SIZE + 2 + SIZE);
                assert_int_equal(in->data[at], WIRE_KIND_MESSAGE);
                assert_int_equal(le32_get(in->data + at + 8), i);
                at += wire_delivery_size(in->data + at);
        }
        return at;
}

static void expect_all_then(struct scene *s, const void *rest, size_t len)
{
        struct inbox in;
        size_t at;

        receive(s, &in);
        at = expect_numbers(&in, MANY);
        assert_int_equal(in.len - at, len);
        if (len)
                assert_memory_equal(in.data + at, rest, len);
        assert_true(in.ended);
        free(in.data);
        bed_settle(&s->bed);
        assert_int_equal(bed_counters(&s->bed).held, 0);
        assert_int_equal(bed_counters(&s->bed).sessions, 3);
}

/* --- What was acknowledged --- */

static void half_closed_it_still_gets_everything(void **state)
{
        struct scene s;

        scene_open(&s, NULL);
        fill(&s);
        assert_int_equal(shutdown(s.b.fd, SHUT_WR), 0);
        bed_settle(&s.bed);
        expect_all_then(&s, NULL, 0);
        scene_close(&s);
}

static void breaking_the_protocol_it_still_gets_everything(void **state)
{
        struct scene s;

        scene_open(&s, NULL);
        fill(&s);
        peer_send(&s.b, 0x20 | PROCESSED, LITERAL("what?"));
        bed_settle(&s.bed);
        expect_all_then(&s, LITERAL("\xfe\x01\0\0\0\x72"));
        scene_close(&s);
}

static uint64_t id_of(struct scene *s, const char *name)
{
        struct engine_event ev;

        do
                ev = bed_event(&s->bed, ENGINE_EVENT_REGISTERED);
        while (strcmp(ev.name, name) != 0);
        return ev.id;
}

static void disconnected_it_still_gets_everything(void **state)
{
        struct scene s;

        scene_open(&s, NULL);
        fill(&s);
        assert_int_equal(engine_disconnect(s.bed.engine, id_of(&s, "b")), 0);
        bed_settle(&s.bed);
        expect_all_then(&s, NULL, 0);
        scene_close(&s);
}

static bool heir_is_answered(void *heir)
{
        uint8_t got[8];

        return recv(((struct peer *)heir)->fd, got, sizeof(got), MSG_PEEK | MSG_DONTWAIT) == 5;
}

static void taken_over_it_still_gets_everything(void **state)
{
        struct engine_config config;
        struct peer heir;
        struct scene s;

        bed_config(&config);
        config.force_register = FORCE_REGISTER_ANY;
        scene_open(&s, &config);
        fill(&s);
        heir = bed_connect(&s.bed, 1000);
        peer_write(&heir, LITERAL("\xeb\x01\0\x01\0b"));
        bed_until(&s.bed, heir_is_answered, &heir);
        peer_expect(&heir, LITERAL("\xeb\x01\0\x01\x01"));
        peer_send(&s.a, WIRE_OP_MESSAGE, LITERAL("b\0to the heir"));
        bed_settle(&s.bed);
        peer_expect(&heir, LITERAL("\x12\x0d\0\0\0\0a\0to the heir"));
        peer_close(&heir);
        expect_all_then(&s, NULL, 0);
        scene_close(&s);
}

static void stopped_it_still_gets_everything(void **state)
{
        struct inbox in;
        struct scene s;
        size_t at;

        scene_open(&s, NULL);
        fill(&s);
        engine_stop(s.bed.engine, true);
        receive(&s, &in);
        at = expect_numbers(&in, MANY);
        assert_memory_equal(in.data + at + 6, ".broker\0.broker/warn", 21);
        assert_true(in.ended);
        assert_int_equal(bed_counters(&s.bed).sessions, 0);
        free(in.data);
        peer_close(&s.a);
        peer_close(&s.b);
        bystanders_leave(&s.bystanders);
        bed_close(&s.bed);
        holdings_expect(&s.before);
}

/* --- What was sent --- */

/* Its socket holds more than one read takes, and nobody reads what it gets for it: the first
 * acknowledgement cannot be written. */
static void what_a_closed_client_sent_is_carried_out(void **state)
{
        uint8_t frame[9 + 2 + SIZE];
        struct inbox in;
        struct scene s;
        uint32_t n = 0;

        scene_open(&s, NULL);
        for (;; n++) {
                put_numbered(frame, WIRE_OP_MESSAGE | PROCESSED, n);
                if (send(s.a.fd, frame, sizeof(frame), MSG_DONTWAIT | MSG_NOSIGNAL) !=
                    (ssize_t)sizeof(frame))
                        break;
        }
        assert_true(n * sizeof(frame) > 128 << 10);
        peer_close(&s.a);
        receive(&s, &in);
        expect_numbers(&in, n);
        free(in.data);
        assert_int_equal(bed_counters(&s.bed).sessions, 3);
        scene_close(&s);
}

/* Greeting, name, frames and the end, before the broker has even looked. */
static void a_client_may_say_everything_at_once_and_go(void **state)
{
        struct transport_peer who = {.kind = TRANSPORT_UNIX, .uid = 1000};
        struct scene s;
        int fds[2];

        scene_open(&s, NULL);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(send(fds[1],
                              LITERAL("\xeb\x01\0\x01\0q"
                                      "\1\0\0\0\x52\4\0\0\0b\0hi\2\0\0\0\x52\4\0\0\0b\0ho"),
                              0),
                         32);
        close(fds[1]);
        assert_int_equal(engine_adopt(s.bed.engine, fds[0], &who, "/bed.sock"), 0);
        bed_settle(&s.bed);
        peer_expect(&s.b, LITERAL("\x12\4\0\0\0\0q\0hi\x12\4\0\0\0\0q\0ho"));
        assert_int_equal(bed_counters(&s.bed).sessions, 4);
        scene_close(&s);
}

/* It reads nothing any more and shows it, but stays: what it sends is refused with the connection,
 * and what is for it is not kept. */
static void a_client_that_shuts_its_ears_is_let_go(void **state)
{
        struct scene s;

        scene_open(&s, NULL);
        assert_int_equal(shutdown(s.b.fd, SHUT_RD), 0);
        peer_send(&s.a, WIRE_OP_MESSAGE | PROCESSED, LITERAL("b\0hello"));
        bed_settle(&s.bed);
        peer_expect_ack(&s.a, 1, WIRE_OK);
        peer_send(&s.a, WIRE_OP_MESSAGE | PROCESSED, LITERAL("b\0hello"));
        bed_settle(&s.bed);
        peer_expect_ack(&s.a, 2, WIRE_NOT_REGISTERED);
        assert_int_equal(bed_counters(&s.bed).sessions, 3);
        assert_int_equal(bed_counters(&s.bed).held, 0);
        scene_close(&s);
}

/* --- Moving --- */

static int move_session(const void *record, size_t len, int fd, void *to)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        assert_int_equal(engine_import(to, record, len, copy), 0);
        return 0;
}

/* A request that comes when the passes are over is carried out before the sessions move. */
static void disconnected_while_all_are_moved(void **state)
{
        struct engine *to;
        struct scene s;
        uint64_t id;

        scene_open(&s, NULL);
        fill(&s);
        peer_send(&s.b, WIRE_OP_SUBSCRIBE, LITERAL("t/#"));
        bed_settle(&s.bed);
        id = id_of(&s, "b");
        assert_int_equal(engine_quiesce(s.bed.engine), 0);
        assert_int_equal(engine_disconnect(s.bed.engine, id), 0);
        assert_int_equal(engine_quiesce(s.bed.engine), 0);
        assert_int_equal(engine_new(&s.bed.config, &to), 0);
        assert_int_equal(engine_export(s.bed.engine, move_session, to), 0);
        assert_int_equal(engine_import_done(to), 0);
        engine_free(s.bed.engine);
        s.bed.engine = to;
        assert_int_equal(bed_counters(&s.bed).clients, 3);
        expect_all_then(&s, NULL, 0);
        peer_send(&s.a, WIRE_OP_PUBLISH, LITERAL("t/x\0"));
        scene_close(&s);
}

/* --- TCP --- */

/* A client over TCP on loopback. Its sockets may take much more than is written in one call. */
static struct peer join_by_tcp(struct bed *bed)
{
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
        struct peer p = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        socklen_t len = sizeof(sa);
        struct transport_peer who;

        assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
        assert_int_equal(connect(p.fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(transport_peer_get(fd, &who), 0);
        assert_int_equal(engine_adopt(bed->engine, fd, &who, "127.0.0.1:0"), 0);
        close(listener);
        peer_write(&p, LITERAL("\xeb\x01\0\x01\0t"));
        return p;
}

/* Throws away what is there. True: all that is wanted has come. */
struct gulp {
        int fd;
        size_t got, want;
};

static bool gulp(void *userdata)
{
        static uint8_t sink[256 << 10];
        struct gulp *g = userdata;
        ssize_t n;

        while ((n = recv(g->fd, sink, sizeof(sink), MSG_DONTWAIT)) > 0)
                g->got += (size_t)n;
        return g->got >= g->want;
}

/* No edge of readiness gets lost: with nothing else going on, 8 MiB at a time come through. The
 * engine's own timers are an hour away. */
static void a_quick_reader_over_tcp_never_waits(void **state)
{
        size_t len = 1 << 20;
        uint8_t *body = calloc(1, len);
        struct engine_config config;
        struct gulp g = {.want = 5};
        struct scene s;

        bed_config(&config);
        config.queue_bytes = 64 << 20;
        config.queue_memory_max = 512 << 20;
        scene_open(&s, &config);
        g.fd = join_by_tcp(&s.bed).fd;
        bed_until(&s.bed, gulp, &g);
        memcpy(body, "t", 2);
        for (unsigned i = 0; i < 40 * 8; i++) {
                uint8_t header[9] = {0, 0, 0, 0, WIRE_OP_MESSAGE};

                le32_put(header + 5, (uint32_t)len);
                peer_write(&s.a, header, sizeof(header));
                for (size_t at = 0; at < len;) {
                        ssize_t n = send(s.a.fd, body + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

                        at += n > 0 ? (size_t)n : 0;
                        bed_settle(&s.bed);
                }
                g.want += WIRE_DELIVERY_HEADER_SIZE + 2 + len - 2;
                if (i % 8 == 7)
                        bed_until(&s.bed, gulp, &g);
        }
        close(g.fd);
        free(body);
        scene_close(&s);
}

/* A child of the host's process has one, if only until it executes another program. */
static void gone_it_is_heard_no_more_though_a_copy_of_its_socket_is_open(void **state)
{
        static const struct transport_peer who = {.kind = TRANSPORT_UNIX, .uid = 1000};
        struct bed bed;
        struct peer p;
        int fds[2], copy;

        bed_open(&bed, NULL);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
        assert_int_equal(engine_adopt(bed.engine, fds[0], &who, "/bed.sock"), 0);
        p = (struct peer){.fd = fds[1]};
        assert_int_equal(bed_ask_name(&bed, &p, "a"), WIRE_OK);
        assert_int_equal(engine_disconnect(bed.engine, bed_event(&bed, ENGINE_EVENT_REGISTERED).id),
                         0);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).sessions, 0);
        peer_write(&p, "x", 1);
        assert_int_equal(bed_settle(&bed), 0);
        peer_close(&p);
        close(copy);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(half_closed_it_still_gets_everything),
                cmocka_unit_test(breaking_the_protocol_it_still_gets_everything),
                cmocka_unit_test(disconnected_it_still_gets_everything),
                cmocka_unit_test(taken_over_it_still_gets_everything),
                cmocka_unit_test(stopped_it_still_gets_everything),
                cmocka_unit_test(what_a_closed_client_sent_is_carried_out),
                cmocka_unit_test(a_client_may_say_everything_at_once_and_go),
                cmocka_unit_test(a_client_that_shuts_its_ears_is_let_go),
                cmocka_unit_test(disconnected_while_all_are_moved),
                cmocka_unit_test(gone_it_is_heard_no_more_though_a_copy_of_its_socket_is_open),
                cmocka_unit_test(a_quick_reader_over_tcp_never_waits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
