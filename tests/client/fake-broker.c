/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every wait of the script's thread is a poll() on the socket and on an eventfd that fake_stop()
 * writes to. The script is left by longjmp(), from whatever depth.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "basic/macro.h"
#include "fake-broker.h"
#include "wire/le.h"

#define BODY_MAX ((size_t)80 << 20) /* reserved, not taken */
#define HEADER_SIZE 9
#define PROCESSED 0x40
#define DEADLINE_MS 60000

struct fake {
        fake_script script;
        void *userdata;
        size_t die_at, n_moved;
        enum fake_end how;
        int listener, fd, client_fd, stop, go, reached, ended;
        pthread_t thread;
        jmp_buf out;
        const char *wrong;
        bool persists;
        uint8_t *body;
        char dir[32], address[64];
};

/* --- The script's side --- */

/* Leaves the script when the test is over. */
static void wait_for(struct fake *fake, int fd, short events)
{
        struct pollfd p[2] = {{.fd = fake->stop, .events = POLLIN}, {.fd = fd, .events = events}};

        while (poll(p, 2, -1) < 0 && errno == EINTR)
                continue;
        if (p[0].revents)
                longjmp(fake->out, 1);
}

static void post(int fd)
{
        uint64_t one = 1;

        (void)!write(fd, &one, sizeof(one));
}

/* Semaphores: the descriptor counts down by one. */
static void take_one(int fd)
{
        uint64_t one;

        (void)!read(fd, &one, sizeof(one));
}

void fake_signal(struct fake *fake)
{
        post(fake->reached);
}

void fake_pause(struct fake *fake)
{
        wait_for(fake, fake->go, POLLIN);
        take_one(fake->go);
}

void fake_wrong(struct fake *fake, const char *why)
{
        fprintf(stderr, "fake broker: %s\n", why);
        fake->wrong = why;
        longjmp(fake->out, 1);
}

void fake_die(struct fake *fake, enum fake_end how)
{
        struct linger at_once = {.l_onoff = 1};

        switch (how) {
        case FAKE_RESET:
                (void)setsockopt(fake->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
                /* fall through */
        case FAKE_CLOSE:
                fake->fd = close_fd(fake->fd);
                break;
        case FAKE_SHUTDOWN:
                (void)shutdown(fake->fd, SHUT_RDWR);
                break;
        case FAKE_HANG:
                break;
        }
        longjmp(fake->out, 2);
}

/* How many of these bytes there are before it dies: never 0. */
static size_t allowed(struct fake *fake, size_t len)
{
        if (fake->n_moved == fake->die_at)
                fake_die(fake, fake->how);
        return MIN(len, fake->die_at - fake->n_moved);
}

/* The test knows why. */
static _Noreturn void client_has_gone(struct fake *fake)
{
        longjmp(fake->out, fake->persists ? 3 : 1);
}

void fake_persist(struct fake *fake)
{
        fake->persists = true;
}

void fake_send(struct fake *fake, const void *bytes, size_t len)
{
        const uint8_t *p = bytes;

        while (len > 0) {
                ssize_t n = send(fake->fd, p, allowed(fake, len), MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno != EAGAIN)
                        client_has_gone(fake);
                if (n < 0)
                        wait_for(fake, fake->fd, POLLOUT);
                p += MAX(n, 0);
                len -= (size_t)MAX(n, 0);
                fake->n_moved += (size_t)MAX(n, 0);
        }
}

static void take(struct fake *fake, uint8_t *ret, size_t len)
{
        while (len > 0) {
                ssize_t n = recv(fake->fd, ret, allowed(fake, len), MSG_DONTWAIT);

                if (n == 0 || (n < 0 && errno != EAGAIN))
                        client_has_gone(fake);
                if (n < 0)
                        wait_for(fake, fake->fd, POLLIN);
                ret += MAX(n, 0);
                len -= (size_t)MAX(n, 0);
                fake->n_moved += (size_t)MAX(n, 0);
        }
}

void fake_expect(struct fake *fake, const void *bytes, size_t len)
{
        take(fake, fake->body, len);
        if (memcmp(fake->body, bytes, len) != 0)
                fake_wrong(fake, "other bytes than expected");
}

bool fake_has_input(struct fake *fake)
{
        struct pollfd p = {.fd = fake->fd, .events = POLLIN};

        return poll(&p, 1, 0) > 0;
}

void fake_handshake(struct fake *fake)
{
        uint8_t len[2];

        fake_send(fake, LITERAL("\xeb\1\0"));
        fake_expect(fake, LITERAL("\xeb\1\0"));
        fake_send(fake, "\1", 1);
        take(fake, len, sizeof(len));
        take(fake, fake->body, le16_get(len));
        fake_send(fake, "\1", 1);
}

struct fake_frame fake_frame(struct fake *fake)
{
        uint8_t header[HEADER_SIZE];
        struct fake_frame f;

        do
                take(fake, header, sizeof(header));
        while (header[4] == 0);
        f = (struct fake_frame){
                .op = le32_get(header),
                .flags = header[4],
                .length = le32_get(header + 5),
                .body = fake->body,
        };
        if (f.length > BODY_MAX)
                fake_wrong(fake, "a frame longer than any test's");
        take(fake, fake->body, f.length);
        return f;
}

uint32_t fake_expect_frame(struct fake *fake, uint8_t flags, const void *body, size_t len)
{
        struct fake_frame f = fake_frame(fake);

        if (f.flags != flags)
                fake_wrong(fake, "other flags than expected");
        if (f.length != len || memcmp(f.body, body, len) != 0)
                fake_wrong(fake, "another body than expected");
        return f.op;
}

void fake_header(struct fake *fake, uint8_t kind, uint32_t length, uint8_t last)
{
        uint8_t header[6] = {[0] = kind, [5] = last};

        le32_put(header + 1, length);
        fake_send(fake, header, sizeof(header));
}

void fake_ack(struct fake *fake, uint32_t op, uint8_t code)
{
        fake_header(fake, 0xfe, op, code);
}

void fake_deliver(struct fake *fake, uint8_t kind, const void *body, size_t len)
{
        fake_header(fake, kind, (uint32_t)len, 0);
        fake_send(fake, body, len);
}

uint32_t fake_call_id(struct fake *fake, const struct fake_frame *call)
{
        const uint8_t *end = memchr(call->body, 0, call->length);

        if (!end || call->length - (size_t)(end - call->body) < 8 || end[1] != 1)
                fake_wrong(fake, "a call was expected");
        return le32_get(end + 2);
}

/* sender, 00, kind, id, and what follows: a short frame. */
static void send_rpc(struct fake *fake, const char *sender, uint8_t kind, uint32_t id,
                     const void *data, size_t len)
{
        size_t sender_len = strlen(sender) + 1;
        uint8_t body[512];

        memcpy(body, sender, sender_len);
        body[sender_len] = kind;
        le32_put(body + sender_len + 1, id);
        memcpy(body + sender_len + 5, data, len);
        fake_deliver(fake, 0x12, body, sender_len + 5 + len);
}

void fake_reply(struct fake *fake, const char *sender, uint8_t kind, uint32_t id, const void *data,
                size_t len)
{
        send_rpc(fake, sender, kind, id, data, len);
}

void fake_request(struct fake *fake, const char *sender, uint32_t id, const char *method)
{
        send_rpc(fake, sender, 1, id, method, strlen(method) + 1);
}

void fake_serve_call(struct fake *fake, const void *result, size_t len)
{
        struct fake_frame f = fake_frame(fake);
        uint32_t id = fake_call_id(fake, &f);

        fake_ack(fake, f.op, 1);
        fake_reply(fake, "you", 0x11, id, result, len);
}

/* Of a short call with the method "m". */
void fake_echo_all(struct fake *fake)
{
        for (;;) {
                struct fake_frame f = fake_frame(fake);
                const uint8_t *rpc = memchr(f.body, 0, f.length);
                bool is_call =
                        (f.flags & 0x3f) == 0x12 && f.body + f.length - rpc >= 8 && rpc[1] == 1;

                if (f.flags & PROCESSED)
                        fake_ack(fake, f.op, 1);
                if (is_call && le32_get(rpc + 2) != 0)
                        fake_reply(fake, (const char *)f.body, 0x11, le32_get(rpc + 2), rpc + 8,
                                   (size_t)(f.body + f.length - rpc) - 8);
        }
}

void fake_acknowledge_all(struct fake *fake)
{
        for (;;) {
                struct fake_frame f = fake_frame(fake);

                if (f.flags & PROCESSED)
                        fake_ack(fake, f.op, 1);
        }
}

static void accept_one(struct fake *fake)
{
        int at_once = 1;

        wait_for(fake, fake->listener, POLLIN);
        fake->fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
        (void)setsockopt(fake->fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
}

void fake_hang_up(struct fake *fake)
{
        fake->fd = close_fd(fake->fd);
}

void fake_next(struct fake *fake)
{
        fake_hang_up(fake);
        accept_one(fake);
}

/* 0: to its end; 1: it was left; 2: the broker died. */
static int play_script(struct fake *fake)
{
        int how = setjmp(fake->out);

        if (how == 3)
                fake_hang_up(fake);
        else if (how != 0)
                return how;
        if (fake->fd < 0)
                accept_one(fake);
        fake->script(fake, fake->userdata);
        if (fake->n_moved == fake->die_at)
                fake_die(fake, fake->how);
        return 0;
}

static void throw_away(struct fake *fake)
{
        if (setjmp(fake->out) != 0)
                return;
        do
                wait_for(fake, fake->fd, POLLIN);
        while (recv(fake->fd, fake->body, 65536, MSG_DONTWAIT) > 0);
}

static void *play(void *userdata)
{
        struct fake *fake = userdata;
        int how = play_script(fake);

        if (how == 1) /* nobody shall wait for what does not come */
                fake->fd = close_fd(fake->fd);
        post(fake->ended);
        if (how == 0)
                throw_away(fake);
        return NULL;
}

/* --- The test's side --- */

static void listen_unix(struct fake *fake)
{
        struct sockaddr_un to = {.sun_family = AF_UNIX};

        strcpy(fake->dir, "/tmp/busrt-fake-XXXXXX");
        assert_non_null(mkdtemp(fake->dir));
        snprintf(fake->address, sizeof(fake->address), "%s/bus.sock", fake->dir);
        strcpy(to.sun_path, fake->address);
        fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fake->listener, (struct sockaddr *)&to, sizeof(to)), 0);
        assert_int_equal(listen(fake->listener, 4), 0);
}

static void listen_tcp(struct fake *fake)
{
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(to);

        fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fake->listener, (struct sockaddr *)&to, len), 0);
        assert_int_equal(listen(fake->listener, 4), 0);
        assert_int_equal(getsockname(fake->listener, (struct sockaddr *)&to, &len), 0);
        snprintf(fake->address, sizeof(fake->address), "127.0.0.1:%d", ntohs(to.sin_port));
}

static void connect_pair(struct fake *fake)
{
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        fake->fd = fds[0];
        fake->client_fd = fds[1];
}

struct fake *fake_start_dying(enum fake_net net, fake_script script, void *userdata, size_t at,
                              enum fake_end how)
{
        struct fake *fake = calloc(1, sizeof(*fake));

        assert_non_null(fake);
        *fake = (struct fake){
                .script = script,
                .userdata = userdata,
                .die_at = at,
                .how = how,
                .listener = -1,
                .fd = -1,
                .client_fd = -1,
                .stop = eventfd(0, EFD_CLOEXEC),
                .go = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE),
                .reached = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE),
                .ended = eventfd(0, EFD_CLOEXEC),
        };
        fake->body = mmap(NULL, BODY_MAX, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert_ptr_not_equal(fake->body, MAP_FAILED);
        if (net == FAKE_UNIX)
                listen_unix(fake);
        else if (net == FAKE_TCP)
                listen_tcp(fake);
        else
                connect_pair(fake);
        assert_int_equal(pthread_create(&fake->thread, NULL, play, fake), 0);
        return fake;
}

struct fake *fake_start(enum fake_net net, fake_script script, void *userdata)
{
        return fake_start_dying(net, script, userdata, SIZE_MAX, FAKE_CLOSE);
}

static void close_all(struct fake *fake)
{
        int fds[] = {fake->listener, fake->fd,      fake->client_fd, fake->stop,
                     fake->go,       fake->reached, fake->ended};

        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                close_fd(fds[i]);
}

struct fake *fake_stop(struct fake *fake)
{
        const char *wrong;

        if (!fake)
                return NULL;
        post(fake->stop);
        assert_int_equal(pthread_join(fake->thread, NULL), 0);
        wrong = fake->wrong;
        close_all(fake);
        if (fake->dir[0]) {
                (void)unlink(fake->address);
                (void)rmdir(fake->dir);
        }
        (void)munmap(fake->body, BODY_MAX);
        free(fake);
        if (wrong)
                fail_msg("%s", wrong);
        return NULL;
}

const char *fake_address(const struct fake *fake)
{
        return fake->address;
}

int fake_take_fd(struct fake *fake)
{
        return TAKE_FD(fake->client_fd);
}

/* A script that has ended signals no more. */
void fake_wait(struct fake *fake)
{
        struct pollfd p[2] = {{.fd = fake->reached, .events = POLLIN},
                              {.fd = fake->ended, .events = POLLIN}};

        assert_true(poll(p, 2, DEADLINE_MS) > 0);
        if (!p[0].revents)
                fail_msg("the script ended early");
        take_one(fake->reached);
}

bool fake_has_signalled(struct fake *fake)
{
        struct pollfd p = {.fd = fake->reached, .events = POLLIN};

        return poll(&p, 1, 0) > 0;
}

void fake_go(struct fake *fake)
{
        post(fake->go);
}

size_t fake_await_end(struct fake *fake)
{
        struct pollfd p = {.fd = fake->ended, .events = POLLIN};

        assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
        take_one(fake->ended); /* and puts it back, for who asks again */
        post(fake->ended);
        return fake->n_moved;
}
