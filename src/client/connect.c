/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an address to a registered client: the targets of the address one after the other, then the
 * handshake (docs/protocol.md, 1), all under one deadline.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>

#include "client/internal.h"
#include "wire/frame.h"
#include "wire/handshake.h"

#define SYSTEM_SOCKET "/run/busrt/bus.sock"
#define BACKLOG_PAUSE 10000 /* microseconds until a full backlog is tried again */

/* --- Addresses --- */

/* The first of the usual ones that is there; the last where none is. */
static char *default_address(void)
{
        const char *address = secure_getenv("BUSRT_SOCKET");
        const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
        _cleanup_free_ char *user = NULL;

        if (address && address[0])
                return strdup(address);
        if (runtime && runtime[0]) {
                if (asprintf(&user, "%s/busrt/bus.sock", runtime) < 0)
                        return user = NULL;
                if (access(user, F_OK) == 0)
                        return TAKE_PTR(user);
        }
        return strdup(SYSTEM_SOCKET);
}

static int resolve(const char *text, struct connecting *ret)
{
        struct transport_address address;
        int r = transport_address_parse(text, &address);

        if (r < 0)
                return r;
        if (address.kind == TRANSPORT_FIFO)
                return -EPROTONOSUPPORT;
        return transport_resolve(&address, ret->targets);
}

/* --- The socket --- */

static void connected(busrt_client *c)
{
        const struct connecting *k = &c->connecting;

        c->connecting.pending = false;
        c->connecting.act_at = 0;
        c->connecting.phase = PHASE_GREETING;
        if (k->n_targets > 0 && k->targets[k->at].kind == TRANSPORT_TCP &&
            c->timeout < UINT64_C(1000) * INT_MAX)
                transport_give_up_after(c->fd, (unsigned)(c->timeout / 1000));
}

/* One that does not answer leaves the others their share of what is left. */
static uint64_t targets_share(const struct connecting *k, uint64_t now)
{
        uint64_t left = k->deadline > now ? k->deadline - now : 0;

        return k->at + 1 < k->n_targets ? now + left / (uint64_t)(k->n_targets - k->at) : 0;
}

/* Tries targets until one connects, or may. The last one's error is the connection's. */
static void try_targets(busrt_client *c)
{
        struct connecting *k = &c->connecting;

        for (;; k->at++) {
                int r = transport_connect(&k->targets[k->at], &k->pending);

                if (r >= 0) {
                        c->fd = r;
                        if (k->pending)
                                k->act_at = targets_share(k, now_usec());
                        else
                                connected(c);
                        return;
                }
                if (r == -EAGAIN) {
                        k->act_at = now_usec() + BACKLOG_PAUSE;
                        return;
                }
                if (k->at + 1 >= k->n_targets) {
                        client_lost(c, r);
                        return;
                }
        }
}

static void next_target(busrt_client *c)
{
        client_close_socket(c);
        c->connecting.pending = false;
        c->connecting.at++;
        try_targets(c);
}

void connect_continue(busrt_client *c)
{
        struct connecting *k = &c->connecting;
        int r;

        if (!client_is_away(c) || k->phase != PHASE_CONNECT || !k->pending)
                return;
        r = transport_connected(c->fd);
        if (r == -EINPROGRESS)
                return;
        if (r == 0)
                connected(c);
        else if (k->at + 1 >= k->n_targets)
                client_lost(c, r);
        else
                next_target(c);
}

void connect_keep_time(busrt_client *c, uint64_t now)
{
        struct connecting *k = &c->connecting;

        if (now >= k->deadline)
                client_lost(c, -ETIMEDOUT);
        else if (k->act_at && now >= k->act_at) {
                client_wake_reader(c);
                if (c->asleep && k->pending)
                        return; /* who sleeps on that socket takes the next one */
                k->act_at = 0;
                if (k->pending)
                        next_target(c);
                else
                        try_targets(c);
        }
}

/* --- The handshake --- */

static void send_greeting(busrt_client *c)
{
        struct iovec iov = {(void *)(uintptr_t)wire_greeting, sizeof(wire_greeting)};
        int r = output_send(c, &iov, 1, iov.iov_len, OUTPUT_HANDSHAKE, NULL);

        if (r < 0)
                client_lost(c, r);
}

static void send_name(busrt_client *c)
{
        uint8_t len[2];
        struct iovec iov[] = {{len, sizeof(len)}, {c->name, strlen(c->name)}};
        int r;

        le16_put(len, (uint16_t)iov[1].iov_len);
        r = output_send(c, iov, 2, sizeof(len) + iov[1].iov_len, OUTPUT_HANDSHAKE, NULL);
        if (r < 0)
                client_lost(c, r);
}

static size_t take_greeting(busrt_client *c, const uint8_t *p, size_t len)
{
        if (memcmp(p, wire_greeting, MIN(len, (size_t)WIRE_GREETING_SIZE)) != 0) {
                client_log(c, BUSRT_LOG_ERROR, "%s: what listens at %s does not speak BUS/RT %d",
                           c->name, c->address, WIRE_PROTOCOL_VERSION);
                client_lost(c, -EPROTO);
                return 0;
        }
        if (len < WIRE_GREETING_SIZE)
                return 0;
        c->connecting.phase = PHASE_VERSION;
        send_greeting(c);
        return WIRE_GREETING_SIZE;
}

static void registered(busrt_client *c)
{
        int r = reconnect_restore(c);

        if (r < 0) {
                client_lost(c, r);
                return;
        }
        c->connecting.phase = PHASE_READY;
        c->state = BUSRT_STATE_CONNECTED;
        events_tell_connected(c);
        if (c->ping_interval)
                c->next_ping = usec_after(now_usec(), c->ping_interval);
        (void)output_write(c);
        client_wake_loop(c);
        client_changed(c);
}

size_t connect_input(busrt_client *c, const uint8_t *p, size_t len)
{
        int r;

        if (c->connecting.phase == PHASE_GREETING)
                return take_greeting(c, p, len);
        r = wire_result_is_known(p[0]) ? client_errno(p[0]) : -EPROTO;
        if (r < 0)
                client_lost(c, r);
        else if (c->connecting.phase == PHASE_VERSION) {
                c->connecting.phase = PHASE_NAME;
                send_name(c);
        } else
                registered(c);
        return 1;
}

/* --- Starting --- */

static int may_connect(const busrt_client *c)
{
        switch (c->state) {
        case BUSRT_STATE_NEW:
                return 0;
        case BUSRT_STATE_CONNECTING:
                return -EALREADY;
        default:
                return -EISCONN;
        }
}

/* Names that begin with a dot belong to the broker's own process. */
static int may_connect_by_socket(busrt_client *c)
{
        int r = may_connect(c);

        return r == 0 && c->name[0] == '.' ? -EINVAL : r;
}

void connect_try(busrt_client *c, uint64_t now)
{
        struct connecting *k = &c->connecting;

        k->phase = PHASE_CONNECT;
        k->at = 0;
        k->act_at = 0;
        k->deadline = usec_after(now, c->timeout);
        c->output.broken = false;
        if (c->fd < 0)
                try_targets(c);
        else
                connected(c);
}

static void start(busrt_client *c)
{
        uint64_t now = now_usec();

        c->state = BUSRT_STATE_CONNECTING;
        if (c->reconnect.armed)
                c->reconnect.give_up_at = usec_after(now, c->reconnect.limit);
        connect_try(c, now);
        client_update_interest(c);
        client_wake_loop(c);
}

/* Resolves without the lock, and starts; patient: goes on where the first try fails, if the program
 * wants that at all. On success, and where the connection itself failed, the client is locked. */
static int connect_start(busrt_client *c, const char *address, bool patient)
{
        _cleanup_free_ char *text = address ? strdup(address) : default_address();
        struct connecting connecting = {0};
        int r;

        if (!text)
                return client_lock(c) < 0 ? -EINVAL : client_unlock(c, -ENOMEM);
        connecting.n_targets = text[0] ? resolve(text, &connecting) : -EINVAL;
        r = client_lock(c);
        if (r < 0)
                return r;
        r = may_connect_by_socket(c);
        if (r == 0)
                r = MIN(connecting.n_targets, 0);
        if (r < 0)
                return client_unlock(c, r);
        c->address = TAKE_PTR(text);
        c->connecting = connecting;
        c->reconnect.armed = patient && c->reconnect.limit > 0;
        start(c);
        return 0;
}

static bool is_settled(const busrt_client *c, const void *arg)
{
        return c->state != BUSRT_STATE_CONNECTING;
}

/* A client that was registered is, though the next frame may have ended it: what came is to be
 * read. */
static int wait_registered(busrt_client *c)
{
        int r = client_wait_for(c, is_settled, NULL, UINT64_MAX);

        return c->connecting.phase != PHASE_READY && c->error ? c->error : r;
}

PUBLIC int busrt_client_connect_start(busrt_client *client, const char *address)
{
        int r;

        if (!client)
                return -EINVAL;
        if (client_forked(client))
                return -ECHILD;
        r = connect_start(client, address, true);
        return r < 0 ? r : client_unlock(client, client->error);
}

PUBLIC int busrt_client_connect(busrt_client *client, const char *address)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        r = may_connect(client);
        if (r == 0 && client_in_handler(client))
                r = -EDEADLK;
        (void)client_unlock(client, 0);
        if (r == 0)
                r = connect_start(client, address, false);
        if (r < 0)
                return r;
        return client_unlock(client, wait_registered(client));
}

/* What is not a stream socket is refused before anything happens to it. */
static int check_stream(int fd)
{
        int type;
        socklen_t len = sizeof(type);

        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
                return fd < 0 ? -EINVAL : -errno;
        return type == SOCK_STREAM ? 0 : -EINVAL;
}

static int connect_fd(busrt_client *c, int fd)
{
        int r = may_connect_by_socket(c), flags;

        if (r == 0)
                r = client_in_handler(c) ? -EDEADLK : check_stream(fd);
        if (r < 0)
                return r;
        c->address = strdup("a given socket");
        if (!c->address)
                return -ENOMEM;
        /* The caller's number stays the caller's until all went well. */
        c->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (c->fd < 0 || (flags = fcntl(c->fd, F_GETFL)) < 0 ||
            fcntl(c->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
                r = -errno;
                c->fd = close_fd(c->fd);
                free(TAKE_PTR(c->address));
                return r;
        }
        start(c);
        return wait_registered(c);
}

PUBLIC int busrt_client_connect_fd(busrt_client *client, int fd)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        r = client_unlock(client, connect_fd(client, fd));
        if (r == 0)
                close_fd(fd);
        return r;
}

static int connect_stream(busrt_client *c, const busrt_stream *stream)
{
        int r = may_connect(c);

        if (r == 0 && client_in_handler(c))
                r = -EDEADLK;
        if (r == 0 && !(c->address = strdup("a given stream")))
                r = -ENOMEM;
        if (r < 0) {
                stream->close(stream->userdata);
                return r;
        }
        c->stream = *stream;
        c->fd = stream->fd;
        start(c);
        return wait_registered(c);
}

PUBLIC int busrt_client_connect_stream(busrt_client *client, const busrt_stream *stream)
{
        int r;

        if (!stream || stream->fd < 0 || !stream->read || !stream->write || !stream->close)
                return client && client_forked(client) ? -ECHILD : -EINVAL;
        r = client_lock(client);
        return r < 0 ? r : client_unlock(client, connect_stream(client, stream));
}
