/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: the address, the handshake, and the few blocking calls that set a measurement up.
 * The hot loops use the descriptor themselves. A broker that stays silent for ten seconds ends the
 * program.
 */
#include "load.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SILENCE_SEC 10

const uint8_t PING_FRAME[SEND_HEADER];

static bool has_suffix(const char *s, const char *suffix)
{
        size_t n = strlen(s), m = strlen(suffix);

        return n >= m && strcmp(s + n - m, suffix) == 0;
}

static bool address_is_path(const char *address)
{
        return address[0] == '/' || has_suffix(address, ".sock") ||
               has_suffix(address, ".socket") || has_suffix(address, ".ipc");
}

static int connect_path(const char *path)
{
        struct sockaddr_un sun = {.sun_family = AF_UNIX};
        int fd;

        if (strlen(path) >= sizeof(sun.sun_path))
                fail("%s: path too long for a socket", path);
        strcpy(sun.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                fail("socket: %s", strerror(errno));
        if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0)
                fail("connect to %s: %s", path, strerror(errno));
        return fd;
}

static int connect_host(const char *address)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
        const char *colon = strrchr(address, ':');
        char host[256];
        int fd, r, one = 1;

        if (!colon || (size_t)(colon - address) >= sizeof(host))
                fail("%s: neither a socket path nor host:port", address);
        snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
        r = getaddrinfo(host, colon + 1, &hints, &found);
        if (r != 0)
                fail("%s: %s", address, gai_strerror(r));
        fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) < 0)
                fail("connect to %s: %s", address, strerror(errno));
        freeaddrinfo(found);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        return fd;
}

void client_write(struct client *c, const void *data, size_t size)
{
        const uint8_t *p = data;

        while (size > 0) {
                ssize_t n = send(c->fd, p, size, MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        fail("%s: write: %s", c->name, strerror(errno));
                p += n;
                size -= (size_t)n;
        }
}

void client_read(struct client *c, void *data, size_t size)
{
        uint8_t *p = data;

        while (size > 0) {
                ssize_t n = recv(c->fd, p, size, 0);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        fail("%s: read: %s", c->name, strerror(errno));
                if (n == 0)
                        fail("%s: the broker closed the connection", c->name);
                p += n;
                size -= (size_t)n;
        }
}

static void expect_ok(struct client *c, const char *step)
{
        uint8_t code;

        client_read(c, &code, 1);
        if (code != CODE_OK)
                fail("%s: the broker refused the %s with code 0x%02x", c->name, step, code);
}

void client_connect(struct client *c, const char *address, const char *name)
{
        const struct timeval silence = {.tv_sec = SILENCE_SEC};

        if (strlen(name) >= sizeof(c->name))
                fail("%s: name too long", name);
        strcpy(c->name, name);
        c->fd = address_is_path(address) ? connect_path(address) : connect_host(address);
        setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
}

void client_open(struct client *c, const char *address, const char *name)
{
        uint8_t greeting[3], hello[2 + sizeof(c->name)];
        size_t n = strlen(name);

        client_connect(c, address, name);
        client_read(c, greeting, sizeof(greeting));
        if (greeting[0] != 0xEB || greeting[1] != 1 || greeting[2] != 0)
                fail("%s: not a broker of protocol version 1", address);
        client_write(c, greeting, sizeof(greeting));
        expect_ok(c, "greeting");
        hello[0] = (uint8_t)n;
        hello[1] = (uint8_t)(n >> 8);
        memcpy(hello + 2, name, n);
        client_write(c, hello, 2 + n);
        expect_ok(c, "name");
}

void client_close(struct client *c)
{
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
}

size_t frame_write(uint8_t *frame, uint8_t flags, const char *target, size_t payload)
{
        size_t n = strlen(target) + 1, body = n + payload;

        if (frame) {
                memset(frame, 0, SEND_HEADER + body);
                frame[4] = flags;
                put32(frame + 5, (uint32_t)body);
                memcpy(frame + SEND_HEADER, target, n);
        }
        return SEND_HEADER + body;
}

/* Reads and forgets what comes before the acknowledgement of `id`: pings and publications of the
 * broker. */
static uint8_t read_ack(struct client *c, uint32_t id)
{
        uint8_t header[RECV_HEADER], waste[256];

        for (;;) {
                uint32_t left;

                client_read(c, header, sizeof(header));
                left = get32(header + 1);
                if (header[0] == KIND_ACK && left == id)
                        return header[5];
                if (header[0] == KIND_ACK)
                        fail("%s: acknowledgement of %u, which was never asked for", c->name, left);
                while (header[0] != KIND_PING && left > 0) {
                        uint32_t n = left < sizeof(waste) ? left : (uint32_t)sizeof(waste);

                        client_read(c, waste, n);
                        left -= n;
                }
        }
}

uint8_t client_request(struct client *c, enum op op, const void *body, size_t size)
{
        const uint32_t id = 0x42525354;
        uint8_t header[SEND_HEADER];

        put32(header, id);
        header[4] = (uint8_t)op | QOS_PROCESSED;
        put32(header + 5, (uint32_t)size);
        client_write(c, header, sizeof(header));
        client_write(c, body, size);
        return read_ack(c, id);
}
