/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/epoll.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/listener.h"
#include "busrtd/messages.h"

#define ACCEPTS_PER_TURN 64
#define PAUSE (200 * NSEC_PER_MSEC)
#define PAUSE_ACCURACY_USEC 20000
#define LINE_INTERVAL (5 * NSEC_PER_SEC) /* between two log lines about the same trouble */

struct listener {
        LIST_ENTRY(listener) link;
        const struct listener_context *context;
        enum transport_kind kind;
        int fd;
        char *name;
        struct own_file own;
        sd_event_source *io, *timer;
        bool paused;      /* looking away */
        bool troubled;    /* there was a pause, and it is not yet known to be over */
        uint64_t told_at; /* the last line about it */
};

static void listener_refuse(struct listener *l, const struct transport_peer *peer, int error)
{
        struct log_record record;
        char key[96];

        if (peer->kind == TRANSPORT_UNIX)
                (void)snprintf(key, sizeof(key), "connections of user %u", (unsigned)peer->uid);
        else
                (void)snprintf(key, sizeof(key), "connections of %.*s",
                               (int)(strrchr(peer->source, ':') - peer->source), peer->source);
        message_connection_refused(&record, l->name, peer, error);
        report_limited(l->context->report, key, &record);
}

/* A peer that has gone already is not worth a word. */
static void listener_adopt(struct listener *l, int fd)
{
        struct transport_peer peer;
        int r = transport_peer_get(fd, &peer);

        if (r < 0) {
                close_fd(fd);
                return;
        }
        transport_prepare(fd, l->kind);
        r = engine_adopt(l->context->engine, fd, &peer, l->name);
        if (r < 0) {
                listener_refuse(l, &peer, r);
                close_fd(fd);
        }
}

static void listener_fail(struct listener *l, int error)
{
        struct log_record record;

        message_listener_failed(&record, l->kind, l->name,
                                error == -EINVAL ? "it does not listen any more"
                                                 : strerrordesc_np(-error));
        report_record(l->context->report, &record);
        (void)sd_event_source_set_enabled(l->io, SD_EVENT_OFF);
}

static void listener_arm(struct listener *l, uint64_t at)
{
        (void)sd_event_source_set_time(l->timer, at / NSEC_PER_USEC);
        (void)sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
}

static void listener_pause(struct listener *l, int error)
{
        uint64_t now = clock_nsec(CLOCK_MONOTONIC);
        struct log_record record;

        if (!l->told_at || now - l->told_at >= LINE_INTERVAL) {
                l->told_at = now;
                message_accept_paused(&record, l->name, error, l->context->max_files);
                report_record(l->context->report, &record);
        }
        l->paused = l->troubled = true;
        (void)sd_event_source_set_enabled(l->io, SD_EVENT_OFF);
        listener_arm(l, now + PAUSE);
}

/* Ends a pause; if none follows until the next line may be written, the trouble is over. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct listener *l = userdata;
        struct log_record record;

        if (l->paused) {
                l->paused = false;
                listener_arm(l, MAX(l->told_at + LINE_INTERVAL,
                                    clock_nsec(CLOCK_MONOTONIC) + 2 * PAUSE));
                return sd_event_source_set_enabled(l->io, SD_EVENT_ON);
        }
        if (l->troubled) {
                l->troubled = false;
                l->told_at = clock_nsec(CLOCK_MONOTONIC);
                message_accept_resumed(&record, l->name);
                report_record(l->context->report, &record);
        }
        return 0;
}

/* There is nothing to accept. Of a UNIX socket that was shut down, only the event says so. */
static void listener_trouble(struct listener *l, int error, uint32_t revents)
{
        if (error == -EAGAIN && (revents & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)))
                listener_fail(l, -EINVAL);
        else if (transport_accept_is_over(error))
                listener_fail(l, error);
        else if (error != -EAGAIN)
                listener_pause(l, error);
}

static int on_io(sd_event_source *source, int listening_fd, uint32_t revents, void *userdata)
{
        struct listener *l = userdata;

        for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
                int fd = transport_accept(l->fd);

                if (fd < 0) {
                        listener_trouble(l, fd, revents);
                        break;
                }
                listener_adopt(l, fd);
        }
        return 0;
}

static int listener_watch(struct listener *l)
{
        sd_event *loop = l->context->loop;
        int r = sd_event_add_io(loop, &l->io, l->fd, EPOLLIN | EPOLLRDHUP, on_io, l);

        if (r >= 0)
                r = sd_event_add_time(loop, &l->timer, CLOCK_MONOTONIC, 0, PAUSE_ACCURACY_USEC,
                                      on_timer, l);
        if (r >= 0)
                r = sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
        return r;
}

int listener_new(const struct listener_context *context, struct listener_list *list,
                 enum transport_kind kind, int fd, const char *name, struct own_file *own,
                 struct listener **ret)
{
        struct listener *l = calloc(1, sizeof(*l));
        int r;

        if (!l) {
                close_fd(fd);
                return -ENOMEM;
        }
        l->context = context;
        l->kind = kind;
        l->fd = fd;
        LIST_INSERT_HEAD(list, l, link);
        l->name = strdup(name);
        r = l->name ? listener_watch(l) : -ENOMEM;
        if (r < 0) {
                listener_free(l);
                return r;
        }
        l->own = *own;
        *own = (struct own_file){0};
        *ret = l;
        return 0;
}

struct listener *listener_free(struct listener *l)
{
        if (!l)
                return NULL;
        LIST_REMOVE(l, link);
        sd_event_source_disable_unref(l->io);
        sd_event_source_disable_unref(l->timer);
        own_file_remove(&l->own);
        close_fd(l->fd);
        free(l->name);
        free(l);
        return NULL;
}
