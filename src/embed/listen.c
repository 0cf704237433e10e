/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners. They are accepted from on the loop's thread, a bounded number of connections at a
 * time. One that cannot accept, since there are no more descriptors say, looks away for a moment.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "embed/internal.h"

#define ACCEPTS_PER_TURN 64
#define PAUSE (200 * NSEC_PER_MSEC)
#define NAME_MAX_LEN 160

struct listener {
        LIST_ENTRY(listener) link;
        busrt_broker *broker;
        enum transport_kind kind;
        int fd;
        bool paused, told; /* looking away; and that has been told since it last went well */
        bool owns;         /* the socket's file, as long as it is that one: */
        dev_t dev;
        ino_t ino;
        char name[NAME_MAX_LEN]; /* its own address */
};

static struct listener *listener_free(struct listener *l)
{
        struct stat st;

        if (!l)
                return NULL;
        if (l->owns && lstat(l->name, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
                (void)unlink(l->name);
        close_fd(l->fd);
        free(l);
        return NULL;
}

void listeners_free(busrt_broker *b)
{
        struct listener *l;

        while ((l = LIST_FIRST(&b->listeners))) {
                LIST_REMOVE(l, link);
                listener_free(l);
        }
}

/* --- Connections --- */

static int adopt(busrt_broker *b, int fd, const char *listener)
{
        struct transport_peer peer;
        int r = transport_peer_get(fd, &peer);

        if (r < 0)
                return r;
        transport_prepare(fd, peer.kind);
        return engine_adopt(b->engine, fd, &peer, listener);
}

static void refuse(struct listener *l, int fd, int error)
{
        close_fd(fd);
        if (error == -EDQUOT || error == -EUSERS || error == -EBUSY || error == -ENOMEM)
                loop_tell_refused(l->broker, l->name, error);
}

static void look_away(struct listener *l, int error)
{
        (void)epoll_ctl(l->broker->epoll_fd, EPOLL_CTL_DEL, l->fd, NULL);
        if (transport_accept_is_over(error)) {
                loop_tell_listener(l->broker, l->name, "it does not listen any more");
                return;
        }
        if (!l->told)
                loop_tell_listener(l->broker, l->name, strerrordesc_np(-error));
        l->paused = l->told = true;
        __atomic_store_n(&l->broker->retry_at,
                         MIN(l->broker->retry_at, clock_nsec(CLOCK_MONOTONIC) + PAUSE),
                         __ATOMIC_RELAXED);
}

void listener_accept(struct listener *l, uint32_t revents)
{
        for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
                int fd = transport_accept(l->fd), r;

                /* Of a UNIX socket that was shut down, only the event says so. */
                if (fd == -EAGAIN && (revents & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)))
                        fd = -EINVAL;
                if (fd < 0) {
                        if (fd != -EAGAIN)
                                look_away(l, fd);
                        return;
                }
                l->told = false;
                r = adopt(l->broker, fd, l->name);
                if (r < 0)
                        refuse(l, fd, r);
        }
}

static int watch(struct listener *l)
{
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = l};

        return epoll_ctl(l->broker->epoll_fd, EPOLL_CTL_ADD, l->fd, &event) < 0 ? -errno : 0;
}

void listeners_retry(busrt_broker *b)
{
        struct listener *l;

        __atomic_store_n(&b->retry_at, NSEC_INFINITY, __ATOMIC_RELAXED);
        LIST_FOREACH (l, &b->listeners, link) {
                if (!l->paused)
                        continue;
                l->paused = false;
                if (watch(l) < 0)
                        look_away(l, -ENOMEM);
        }
}

/* --- Made --- */

static int check_stream(int fd, bool wanted_listening)
{
        int listening, type;
        socklen_t len = sizeof(int);

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
                return -errno;
        return type == SOCK_STREAM && !!listening == wanted_listening ? 0 : -EINVAL;
}

static void note_file(struct listener *l, const char *path)
{
        struct stat st;

        if (lstat(path, &st) < 0 || strlen(path) >= sizeof(l->name))
                return;
        (void)strcpy(l->name, path);
        l->dev = st.st_dev;
        l->ino = st.st_ino;
        l->owns = true;
}

/* On failure the fd stays the caller's. With the lock. */
static int listener_new(busrt_broker *b, int fd, const char *path)
{
        struct listener *l;
        int r;

        if (b->state == BROKER_ENDING)
                return -ESHUTDOWN;
        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->broker = b;
        l->fd = fd;
        if (transport_local_name(fd, l->name, sizeof(l->name)) < 0)
                l->name[0] = 0;
        if (path)
                note_file(l, path);
        r = watch(l);
        if (r < 0) {
                free(l);
                return r;
        }
        LIST_INSERT_HEAD(&b->listeners, l, link);
        loop_wake(b);
        return 0;
}

static int open_address(const struct transport_address *address, mode_t mode)
{
        switch (address->kind) {
        case TRANSPORT_UNIX:
                return transport_listen_unix(address->text, mode, NULL);
        case TRANSPORT_TCP:
                return transport_listen_tcp(address->text, NULL);
        default:
                return -EPROTONOSUPPORT;
        }
}

static int listen_at(busrt_broker *b, const struct transport_address *address, mode_t mode)
{
        bool is_unix = address->kind == TRANSPORT_UNIX;
        int r, fd = open_address(address, mode);

        if (fd < 0)
                return fd;
        r = listener_new(b, fd, is_unix ? address->text : NULL);
        if (r < 0) {
                if (is_unix)
                        (void)unlink(address->text);
                close_fd(fd);
        }
        return r;
}

PUBLIC int busrt_broker_listen(busrt_broker *broker, const char *address, mode_t mode)
{
        struct transport_address parsed;
        int r;

        if (!broker || !address || !address[0] || (mode & ~(mode_t)07777))
                return -EINVAL;
        r = transport_address_parse(address, &parsed);
        if (r < 0)
                return r;
        pthread_mutex_lock(&broker->lock);
        r = listen_at(broker, &parsed, mode);
        pthread_mutex_unlock(&broker->lock);
        return r;
}

PUBLIC int busrt_broker_listen_fd(busrt_broker *broker, int fd)
{
        int r, flags;

        if (!broker)
                return -EINVAL;
        r = check_stream(fd, true);
        if (r < 0)
                return r;
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
            fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return -errno;
        pthread_mutex_lock(&broker->lock);
        r = listener_new(broker, fd, NULL);
        pthread_mutex_unlock(&broker->lock);
        return r;
}

PUBLIC int busrt_broker_adopt(busrt_broker *broker, int fd)
{
        int r;

        if (!broker)
                return -EINVAL;
        r = check_stream(fd, false);
        if (r < 0)
                return r;
        pthread_mutex_lock(&broker->lock);
        r = broker_need_engine(broker);
        pthread_mutex_unlock(&broker->lock);
        return r < 0 ? r : adopt(broker, fd, NULL);
}
