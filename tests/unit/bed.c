/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/clock.h"
#include "bed.h"
#include "wire/handshake.h"

void bed_config(struct engine_config *config)
{
        engine_config_init(config);
        config->n_workers = 1;
        config->timeout = 3600 * NSEC_PER_SEC;
}

void bed_open(struct bed *bed, const struct engine_config *config)
{
        if (config)
                bed->config = *config;
        else
                bed_config(&bed->config);
        assert_int_equal(engine_new(&bed->config, &bed->engine), 0);
}

void bed_close(struct bed *bed)
{
        bed_settle(bed);
        if (bed_counters(bed).sessions == 0)
                assert_int_equal(bed_counters(bed).held, 0);
        bed->engine = engine_free(bed->engine);
}

static bool bed_is_ready(struct bed *bed)
{
        struct pollfd p = {.fd = engine_fd(bed->engine), .events = POLLIN};

        return poll(&p, 1, 0) > 0 || engine_timeout(bed->engine) == 0;
}

unsigned bed_settle(struct bed *bed)
{
        unsigned n = 0;

        for (; bed_is_ready(bed); n++) {
                assert_int_equal(engine_process(bed->engine), 0);
                assert_true(n < 1000000);
        }
        return n;
}

void bed_until(struct bed *bed, bool (*done)(void *), void *userdata)
{
        uint64_t end = clock_nsec(CLOCK_MONOTONIC) + 10 * NSEC_PER_SEC;

        for (;;) {
                struct pollfd p = {.fd = engine_fd(bed->engine), .events = POLLIN};
                int timeout = engine_timeout(bed->engine);

                if (done(userdata))
                        return;
                assert_true(clock_nsec(CLOCK_MONOTONIC) < end);
                (void)poll(&p, 1, timeout < 0 || timeout > 100 ? 100 : timeout);
                assert_int_equal(engine_process(bed->engine), 0);
        }
}

struct engine_counters bed_counters(struct bed *bed)
{
        struct engine_counters c;

        engine_get_counters(bed->engine, &c);
        return c;
}

struct engine_event bed_event(struct bed *bed, enum engine_event_type type)
{
        struct engine_event ev;

        while (engine_event_next(bed->engine, &ev) > 0)
                if (ev.type == type)
                        return ev;
        fail_msg("no event of type %d", type);
        return ev;
}

struct peer bed_connect(struct bed *bed, uid_t uid)
{
        return bed_connect_from(bed, &(struct transport_peer){.kind = TRANSPORT_UNIX, .uid = uid});
}

struct peer bed_connect_from(struct bed *bed, const struct transport_peer *who)
{
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        assert_int_equal(engine_adopt(bed->engine, fds[0], who, "/bed.sock"), 0);
        bed_settle(bed);
        return (struct peer){.fd = fds[1]};
}

uint8_t bed_ask_name(struct bed *bed, struct peer *p, const char *name)
{
        uint8_t answer[5], hello[WIRE_GREETING_SIZE + 2 + WIRE_NAME_MAX];
        size_t len = strlen(name);

        memcpy(hello, wire_greeting, WIRE_GREETING_SIZE);
        le16_put(hello + WIRE_GREETING_SIZE, (uint16_t)len);
        memcpy(hello + WIRE_GREETING_SIZE + 2, name, len);
        peer_write(p, hello, WIRE_GREETING_SIZE + 2 + len);
        bed_settle(bed);
        assert_int_equal(peer_read(p, answer, sizeof(answer)), sizeof(answer));
        assert_memory_equal(answer, "\xeb\x01\x00\x01", 4);
        return answer[4];
}

struct peer bed_join_as(struct bed *bed, const char *name, uid_t uid)
{
        struct peer p = bed_connect(bed, uid);

        assert_int_equal(bed_ask_name(bed, &p, name), WIRE_OK);
        return p;
}

struct peer bed_join(struct bed *bed, const char *name)
{
        return bed_join_as(bed, name, 1000);
}

void peer_write(const struct peer *p, const void *bytes, size_t len)
{
        if (len)
                assert_int_equal(send(p->fd, bytes, len, MSG_NOSIGNAL), len);
}

uint32_t peer_send(struct peer *p, uint8_t flags, const void *body, size_t len)
{
        uint8_t header[WIRE_REQUEST_HEADER_SIZE];
        uint32_t op = ++p->next_op;

        le32_put(header, op);
        header[4] = flags;
        le32_put(header + 5, (uint32_t)len);
        peer_write(p, header, sizeof(header));
        peer_write(p, body, len);
        return op;
}

ssize_t peer_read(const struct peer *p, void *buf, size_t size)
{
        size_t n = 0;

        while (n < size) {
                ssize_t r = recv(p->fd, (uint8_t *)buf + n, size - n, MSG_DONTWAIT);

                if (r <= 0)
                        return n || (r < 0 && errno == EAGAIN) ? (ssize_t)n : -1;
                n += (size_t)r;
        }
        return (ssize_t)n;
}

void peer_expect(const struct peer *p, const void *bytes, size_t len)
{
        uint8_t got[4096];
        ssize_t n = peer_read(p, got, sizeof(got));

        assert_int_equal(n, len);
        if (len)
                assert_memory_equal(got, bytes, len);
}

void peer_expect_ack(const struct peer *p, uint32_t op, uint8_t result)
{
        uint8_t ack[WIRE_DELIVERY_HEADER_SIZE], id[4];

        le32_put(id, op);
        wire_ack_encode(ack, id, result);
        peer_expect(p, ack, sizeof(ack));
}

void peer_expect_end(const struct peer *p)
{
        uint8_t byte;

        assert_int_equal(peer_read(p, &byte, 1), -1);
}

void peer_close(struct peer *p)
{
        close(p->fd);
        p->fd = -1;
}

void bed_acked(struct bed *bed, struct peer *p, uint8_t op, const void *body, size_t len,
               uint8_t result)
{
        uint32_t id = peer_send(p, op | WIRE_QOS_PROCESSED << 6, body, len);

        bed_settle(bed);
        peer_expect_ack(p, id, result);
}
