/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/eventfd.h>

#include "basic/macro.h"
#include "broker-rpc/errand.h"

int errands_init(struct errands *e)
{
        *e = (struct errands){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
        STAILQ_INIT(&e->list);
        pthread_mutex_init(&e->lock, NULL);
        return e->fd < 0 ? -errno : 0;
}

void errands_done(struct errands *e)
{
        struct errand *errand;

        while ((errand = STAILQ_FIRST(&e->list))) {
                STAILQ_REMOVE_HEAD(&e->list, link);
                free(errand);
        }
        e->fd = close_fd(e->fd);
        pthread_mutex_destroy(&e->lock);
}

bool errand_is_record(enum errand_kind kind)
{
        return kind >= ERRAND_DENIED;
}

static size_t *counter_of(struct errands *e, enum errand_kind kind)
{
        switch (kind) {
        case ERRAND_DENIED:
                return &e->n_denied;
        case ERRAND_GRANTED:
                return &e->n_granted;
        default:
                return &e->n_calls;
        }
}

/* With the lock. */
static bool has_room(const struct errands *e, enum errand_kind kind, uint64_t session)
{
        const struct errand *errand;
        size_t n = 0;

        if (kind == ERRAND_DENIED)
                return e->n_denied < ERRAND_DENIED_MAX;
        if (kind == ERRAND_GRANTED)
                return e->n_granted < ERRAND_GRANTED_MAX;
        if (e->n_calls >= ERRAND_CALLS_MAX)
                return false;
        STAILQ_FOREACH (errand, &e->list, link)
                n += !errand_is_record(errand->kind) && errand->session == session;
        return n < ERRAND_CALLS_MAX_ONE;
}

bool errands_have_room(struct errands *e, enum errand_kind kind, uint64_t session)
{
        bool room;

        pthread_mutex_lock(&e->lock);
        room = has_room(e, kind, session);
        pthread_mutex_unlock(&e->lock);
        return room;
}

void errands_post(struct errands *e, struct errand *errand)
{
        static const uint64_t one = 1;
        bool room;

        pthread_mutex_lock(&e->lock);
        room = has_room(e, errand->kind, errand->session);
        if (room) {
                STAILQ_INSERT_TAIL(&e->list, errand, link);
                ++*counter_of(e, errand->kind);
        } else
                e->missed = true;
        (void)!write(e->fd, &one, sizeof(one));
        pthread_mutex_unlock(&e->lock);
        if (!room)
                free(errand);
}

struct errand *errands_take(struct errands *e, bool *ret_missed)
{
        struct errand *errand;
        uint64_t count;

        pthread_mutex_lock(&e->lock);
        errand = STAILQ_FIRST(&e->list);
        if (errand) {
                STAILQ_REMOVE_HEAD(&e->list, link);
                --*counter_of(e, errand->kind);
        } else
                (void)!read(e->fd, &count, sizeof(count));
        *ret_missed = e->missed;
        e->missed = false;
        pthread_mutex_unlock(&e->lock);
        return errand;
}
