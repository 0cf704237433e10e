/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busrt-floor: what the kernel and the client cost by themselves, for the same client in the same
 * run. It speaks the handshake, registers anybody, and then does next to nothing.
 *
 * "ack" is an epoll loop that acknowledges each frame that asks for it; with --pass a message also
 * goes to the connection that registered next (the first one follows the last). "relay" knows no
 * frames: it copies the bytes of each of its connections to the next one, through one buffer.
 *
 * It trusts its clients: busrt-load reads whenever it writes, so a write here may block.
 */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PEERS_MAX 1024U
#define EVENTS_MAX 64
#define IN_SIZE (128U * 1024)
#define RELAY_SIZE (256U * 1024)

struct peer {
        int fd;
        char name[256];
        size_t name_size; /* with its NUL */
        uint8_t *in, *out;
        size_t in_size, out_size, out_room;
};

struct floor {
        const char *address;
        int listener;
        bool poll; /* look all the time, never sleep */
        bool pass;
        uint64_t connections; /* of the relay, which waits for all of them */
        struct peer peers[PEERS_MAX];
        size_t n, n_open;
};

static const char USAGE[] =
        "Usage: busrt-floor ack|relay -B ADDRESS [--poll] [--pass] [--connections N]\n"
        "\n"
        "  ack      acknowledge what asks for it; --pass: send messages to the next connection, "
        "too\n"
        "  relay    copy the bytes of N (2) connections, each to the next one\n"
        "  --poll   look for input all the time\n";

static int listen_path(const char *path)
{
        struct sockaddr_un sun = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || strlen(path) >= sizeof(sun.sun_path))
                fail("%s: no socket there", path);
        strcpy(sun.sun_path, path);
        if (bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(fd, PEERS_MAX) < 0)
                fail("%s: %s", path, strerror(errno));
        return fd;
}

/* 127.0.0.1, whatever stands before the colon. */
static int listen_loopback(const char *address)
{
        const char *colon = strrchr(address, ':');
        struct sockaddr_in sin = {.sin_family = AF_INET};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

        if (fd < 0 || !colon)
                fail("%s: no socket there", address);
        sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        sin.sin_port = htons((uint16_t)atoi(colon + 1));
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, (const struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, PEERS_MAX) < 0)
                fail("%s: %s", address, strerror(errno));
        return fd;
}

static bool read_all(int fd, void *data, size_t size)
{
        return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

/* False when the other end is gone. */
static bool write_all(int fd, const uint8_t *data, size_t size)
{
        while (size > 0) {
                ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return false;
                data += n;
                size -= (size_t)n;
        }
        return true;
}

/* False when the client goes before it has a name: somebody only looked whether this is up. */
static bool peer_greet(struct peer *p)
{
        static const uint8_t greeting[] = {0xEB, 1, 0};
        uint8_t got[3], ok = CODE_OK;

        if (!write_all(p->fd, greeting, sizeof(greeting)) || !read_all(p->fd, got, sizeof(got)) ||
            !write_all(p->fd, &ok, 1) || !read_all(p->fd, got, 2))
                return false;
        p->name_size = (size_t)(got[0] | got[1] << 8) + 1;
        return p->name_size <= sizeof(p->name) && read_all(p->fd, p->name, p->name_size - 1) &&
               write_all(p->fd, &ok, 1);
}

/* The next client, greeted. NULL if it went away again. */
static struct peer *floor_accept(struct floor *f)
{
        struct peer *p = &f->peers[f->n];
        int one = 1;

        if (f->n == PEERS_MAX)
                fail("more than %u connections", PEERS_MAX);
        *p = (struct peer){.fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC)};
        if (p->fd < 0)
                fail("accept: %s", strerror(errno));
        if (!peer_greet(p)) {
                close(p->fd);
                return NULL;
        }
        setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        f->n++;
        f->n_open++;
        return p;
}

/* Where the next `size` bytes for this peer go. */
static uint8_t *peer_out(struct peer *p, size_t size)
{
        if (p->out_size + size > p->out_room) {
                p->out_room = (p->out_size + size) * 2;
                p->out = realloc(p->out, p->out_room);
                if (!p->out)
                        fail("out of memory");
        }
        p->out_size += size;
        return p->out + p->out_size - size;
}

static void pass_message(struct peer *from, struct peer *to, const uint8_t *frame, size_t body)
{
        const uint8_t *payload = memchr(frame + SEND_HEADER, 0, body);
        size_t size;
        uint8_t *out;

        if (!payload)
                fail("%s: a message without a target", from->name);
        payload++;
        size = body - (size_t)(payload - frame - SEND_HEADER);
        out = peer_out(to, RECV_HEADER + from->name_size + size);
        out[0] = OP_MESSAGE;
        put32(out + 1, (uint32_t)(from->name_size + size));
        out[5] = (frame[4] & QOS_REALTIME) != 0;
        memcpy(out + RECV_HEADER, from->name, from->name_size);
        memcpy(out + RECV_HEADER + from->name_size, payload, size);
}

static void acknowledge(struct floor *f, struct peer *p, const uint8_t *frame)
{
        uint8_t *out = peer_out(p, RECV_HEADER);

        out[0] = KIND_ACK;
        memcpy(out + 1, frame, 4);
        out[5] = f->pass ? CODE_OK : CODE_NOT_REGISTERED;
}

/* The whole frames of what was read. */
static void peer_parse(struct floor *f, struct peer *p)
{
        struct peer *next = &f->peers[(size_t)(p - f->peers + 1) % f->n];
        uint8_t *at = p->in;
        size_t left = p->in_size, body;

        while (left >= SEND_HEADER && left - SEND_HEADER >= (body = get32(at + 5))) {
                if (f->pass && (at[4] & 0x3F) == OP_MESSAGE)
                        pass_message(p, next, at, body);
                if (at[4] & QOS_PROCESSED)
                        acknowledge(f, p, at);
                at += SEND_HEADER + body;
                left -= SEND_HEADER + body;
        }
        if (left == IN_SIZE)
                fail("%s: a frame that is too long", p->name);
        memmove(p->in, at, left);
        p->in_size = left;
}

/* A connection that has ended keeps its place in the ring, silent, until all have. */
static void peer_end(struct floor *f, struct peer *p)
{
        if (p->fd < 0)
                return;
        close(p->fd);
        free(p->in);
        free(p->out);
        *p = (struct peer){.fd = -1};
        if (--f->n_open == 0)
                f->n = 0;
}

static void peer_read(struct floor *f, struct peer *p)
{
        ssize_t n = recv(p->fd, p->in + p->in_size, IN_SIZE - p->in_size, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                peer_end(f, p);
                return;
        }
        p->in_size += (size_t)n;
        peer_parse(f, p);
}

static void floor_watch(int epoll, int fd, struct peer *p)
{
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};

        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
                fail("epoll_ctl: %s", strerror(errno));
}

static void floor_add(struct floor *f, int epoll)
{
        struct peer *p = floor_accept(f);

        if (!p)
                return;
        p->in = xcalloc(1, IN_SIZE);
        floor_watch(epoll, p->fd, p);
}

static void floor_flush(struct floor *f)
{
        for (size_t i = 0; i < f->n; i++) {
                struct peer *p = &f->peers[i];

                if (p->out_size > 0 && !write_all(p->fd, p->out, p->out_size))
                        peer_end(f, p);
                p->out_size = 0;
        }
}

_Noreturn static void run_ack(struct floor *f)
{
        int epoll = epoll_create1(EPOLL_CLOEXEC);

        if (epoll < 0)
                fail("epoll_create1: %s", strerror(errno));
        floor_watch(epoll, f->listener, NULL);
        for (;;) {
                struct epoll_event events[EVENTS_MAX];
                int n = epoll_wait(epoll, events, EVENTS_MAX, f->poll ? 0 : -1);

                for (int i = 0; i < n; i++)
                        if (events[i].data.ptr)
                                peer_read(f, events[i].data.ptr);
                        else
                                floor_add(f, epoll);
                floor_flush(f);
        }
}

/* Ends when one of the connections does. */
static void run_relay(struct floor *f)
{
        struct pollfd fds[PEERS_MAX];
        static uint8_t buffer[RELAY_SIZE];

        while (f->n < f->connections)
                floor_accept(f);
        for (size_t i = 0; i < f->n; i++)
                fds[i] = (struct pollfd){.fd = f->peers[i].fd, .events = POLLIN};
        for (;;) {
                if (!f->poll)
                        poll(fds, f->n, -1);
                for (size_t i = 0; i < f->n; i++) {
                        ssize_t n = recv(fds[i].fd, buffer, sizeof(buffer), MSG_DONTWAIT);

                        if (n < 0 && errno == EAGAIN)
                                continue;
                        if (n <= 0 || !write_all(fds[(i + 1) % f->n].fd, buffer, (size_t)n))
                                return;
                }
        }
}

static void parse_options(struct floor *f, int argc, char **argv)
{
        static const struct option OPTIONS[] = {
                {"help", no_argument, NULL, 'h'},
                {"poll", no_argument, NULL, 'p'},
                {"pass", no_argument, NULL, 'a'},
                {"bind", required_argument, NULL, 'B'},
                {"connections", required_argument, NULL, 'n'},
                {0},
        };
        int id;

        while ((id = getopt_long(argc, argv, "hB:", OPTIONS, NULL)) != -1) {
                if (id == 'h') {
                        fputs(USAGE, stdout);
                        exit(0);
                }
                if (id == '?')
                        exit(2);
                f->poll |= id == 'p';
                f->pass |= id == 'a';
                if (id == 'B')
                        f->address = optarg;
                if (id == 'n')
                        f->connections = strtoull(optarg, NULL, 10);
        }
        if (argc - optind != 1 || !f->address || f->connections < 1 || f->connections > PEERS_MAX) {
                fputs(USAGE, stderr);
                exit(2);
        }
}

int main(int argc, char **argv)
{
        static struct floor f = {.connections = 2};

        parse_options(&f, argc, argv);
        f.listener = f.address[0] == '/' ? listen_path(f.address) : listen_loopback(f.address);
        if (strcmp(argv[optind], "ack") == 0)
                run_ack(&f);
        if (strcmp(argv[optind], "relay") == 0)
                run_relay(&f);
        else
                fail("%s: no such mode (see --help)", argv[optind]);
        return 0;
}
