/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients in this process. Such a session has no socket: what its client sends is handled on the
 * client's own thread, as far as queueing it for the receivers and writing to their sockets, and
 * what is queued for it stays in its queue until the client takes it. The bytes are those of the
 * protocol, and all else is as with any session: names, rules, pacing, accounts, counters. Its
 * keep-alive is none: who shares a process is there.
 *
 * The client's end outlives the session, and the session is not freed while a thread of the
 * client's is at it. An eventfd tells a client that waits: write_blocked of its session is false
 * only then.
 */
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/internal.h"

/* A frame in pieces is put together there, or the beginning of a larger one. */
#define SCRATCH 4096
#define COPY_MAX 4096 /* bytes that are copied with the bus in hand */

struct engine_local {
        struct engine *engine;
        struct session *session; /* NULL: it has ended */
        struct queue rest;       /* then: what was queued for it when the engine stopped */
        struct worker guest;
        int fd;
        bool signalled;  /* fd is readable */
        bool wants_room; /* it found no room to write the last time */
        bool alone;      /* there is but one CPU: whoever sends needs it */
        unsigned pins;   /* threads of the client that are at it without the bus */
        bool looking;    /* it looks at `woken` before it goes to sleep */
        atomic_bool woken;
        unsigned patience, lull; /* the reader's alone: see there */
        uint8_t scratch[SCRATCH];
};

/* --- Guests on the bus --- */

static void guest_init(struct worker *w, struct engine *e)
{
        *w = (struct worker){.engine = e, .epoll_fd = -1, .wake_fd = -1};
        TAILQ_INIT(&w->run_queue);
        LIST_INIT(&w->unwritten);
        STAILQ_INIT(&w->graves);
        RB_INIT(&w->timers);
}

static void guest_enter(struct worker *w)
{
        worker_enter_bus(w);
        w->engine->victims.account = NULL;
        w->budget = WORKER_BUDGET;
}

/* A message costs less than looking at the clock. So a guest does only where the time matters:
 * before sockets are written and sessions leave, and where a queue is full. This clock may be late
 * by a tick, and is not set back. */
void engine_look_at_clock(struct engine *e)
{
        e->now = MAX(e->now, clock_nsec(CLOCK_MONOTONIC_COARSE));
}

static bool guest_has_work(const struct worker *w)
{
        return !LIST_EMPTY(&w->unwritten) || !STAILQ_EMPTY(&w->engine->leavers) ||
               w->engine->events_pushed;
}

static void guest_finish(struct worker *w)
{
        if (!guest_has_work(w))
                return;
        engine_look_at_clock(w->engine);
        worker_finish_pass(w);
}

/* The last time: nobody may find it as who had the bus last. */
static void guest_go(struct worker *w)
{
        guest_finish(w);
        w->engine->current = w->engine->workers;
        worker_leave_bus(w);
}

void engine_visit(struct engine *engine, void (*fn)(struct engine *engine, void *userdata),
                  void *userdata)
{
        struct worker guest;

        guest_init(&guest, engine);
        guest_enter(&guest);
        engine_look_at_clock(engine);
        fn(engine, userdata);
        guest_go(&guest);
}

/* --- Made and ended --- */

static int local_start(struct engine_local *l)
{
        bool stopping;

        guest_enter(&l->guest);
        engine_look_at_clock(l->engine);
        stopping = l->engine->stopping;
        if (!stopping) {
                l->session->local = l;
                session_start(l->session);
        }
        guest_finish(&l->guest);
        worker_leave_bus(&l->guest);
        return stopping ? -ESHUTDOWN : 0;
}

static struct engine_local *local_discard(struct engine_local *l)
{
        close_fd(l->fd);
        free(l);
        return NULL;
}

static bool is_alone(void)
{
        cpu_set_t cpus;

        return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) == 1;
}

static int local_make(struct engine *e, struct engine_local **ret)
{
        struct engine_local *l = calloc(1, sizeof(*l));
        int error;

        if (!l)
                return -ENOMEM;
        l->engine = e;
        l->alone = is_alone();
        queue_init(&l->rest);
        guest_init(&l->guest, e);
        l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (l->fd >= 0) {
                *ret = l;
                return 0;
        }
        error = errno;
        local_discard(l);
        return -error;
}

static int local_open(struct engine_local *l, const char *listener)
{
        struct transport_peer peer = {.kind = TRANSPORT_MEMORY,
                                      .has_pid = true,
                                      .uid = geteuid(),
                                      .gid = getegid(),
                                      .pid = getpid()};
        int r = session_new(l->engine, -1, &peer, listener, false, &l->session);

        if (r < 0)
                return r;
        r = local_start(l);
        if (r < 0)
                l->session = session_free(l->session);
        return r;
}

int engine_local_new(struct engine *engine, const char *listener, struct engine_local **ret)
{
        struct engine_local *l = NULL;
        int r = local_make(engine, &l);

        if (r < 0)
                return r;
        r = local_open(l, listener);
        if (r < 0)
                local_discard(l);
        else
                *ret = l;
        return r;
}

void local_ended(struct engine_local *l)
{
        local_wake(l);
        l->session = NULL;
}

void local_stop(struct engine_local *l)
{
        queue_move(&l->session->queue, &l->rest);
        session_kill(l->session, ENGINE_EVENT_GONE, NULL);
}

struct engine_local *engine_local_free(struct engine_local *l)
{
        if (!l)
                return NULL;
        guest_enter(&l->guest);
        engine_look_at_clock(l->engine);
        queue_clear(&l->rest, &l->engine->pool);
        if (l->session) {
                session_kill(l->session, ENGINE_EVENT_GONE, "closed by the client");
                l->session->local = NULL;
        }
        guest_go(&l->guest);
        return local_discard(l);
}

/* --- Waiting --- */

int engine_local_fd(const struct engine_local *l)
{
        return l->fd;
}

static void local_signal(struct engine_local *l)
{
        static const uint64_t one = 1;

        if (!l->signalled)
                (void)!write(l->fd, &one, sizeof(one));
        l->signalled = true;
}

void local_wake(struct engine_local *l)
{
        if (l->session->write_blocked)
                return;
        l->session->write_blocked = true;
        if (l->looking)
                atomic_store_explicit(&l->woken, true, memory_order_release);
        else
                local_signal(l);
}

static bool is_blocked(const struct session *s)
{
        return session_is_paused(s) || s->claiming;
}

static bool has_news(const struct engine_local *l)
{
        const struct session *s = l->session;

        return !queue_is_empty(&s->queue) || (l->wants_room && !is_blocked(s));
}

/* From now on it waits: where there is something it is told now. */
static void local_arm(struct engine_local *l)
{
        l->session->write_blocked = false;
        if (has_news(l))
                local_wake(l);
}

/* It found nothing to read, or no room. */
static ssize_t local_wait(struct engine_local *l)
{
        uint64_t count;

        if (l->signalled && !has_news(l)) {
                (void)!read(l->fd, &count, sizeof(count));
                l->signalled = false;
        }
        local_arm(l);
        return -EAGAIN;
}

bool local_is_pinned(const struct engine_local *l)
{
        return l->pins > 0;
}

/* --- What it sends --- */

/* A frame in pieces, as one. The pieces of a large one are handled one after the other behind its
 * beginning, since its body goes on in a buffer of its own; its header must be whole for that. */
static size_t consume_pieces(struct engine_local *l, const struct iovec *iov, size_t n)
{
        size_t len = 0, at = 0, skip = 0, used;

        for (; at < n && iov[at].iov_len <= SCRATCH - len; len += iov[at++].iov_len)
                if (iov[at].iov_len > 0) /* a piece of nothing may be nowhere */
                        memcpy(l->scratch + len, iov[at].iov_base, iov[at].iov_len);
        if (at < n && len > 0 && len < WIRE_REQUEST_HEADER_SIZE) {
                skip = WIRE_REQUEST_HEADER_SIZE - len;
                memcpy(l->scratch + len, iov[at].iov_base, skip);
                len += skip;
        }
        used = session_consume(l->session, l->scratch, len);
        for (; used == len && at < n; at++, skip = 0) {
                len += iov[at].iov_len - skip;
                used += session_consume(l->session, (uint8_t *)iov[at].iov_base + skip,
                                        iov[at].iov_len - skip);
        }
        return used;
}

static size_t local_consume(struct engine_local *l, const struct iovec *iov, size_t n)
{
        return n == 1 ? session_consume(l->session, iov->iov_base, iov->iov_len)
                      : consume_pieces(l, iov, n);
}

/* The session is pinned, since others may have the bus meanwhile. */
static void local_finish(struct engine_local *l)
{
        struct session *s = l->session;

        if (!guest_has_work(&l->guest))
                return;
        l->pins++;
        guest_finish(&l->guest);
        l->pins--;
        if (s->state == SESSION_DEAD)
                worker_unpinned(s);
}

/* What the pass left of a frame that is whole goes on in the next: it is with us, and nothing of it
 * with the client. */
static bool has_more(const struct engine_local *l)
{
        const struct session *s = l->session;

        return l->guest.budget <= 0 && s->state == SESSION_LIVE && s->input.assembling &&
               !is_blocked(s);
}

static ssize_t count_bytes(const struct iovec *iov, size_t n)
{
        size_t len = 0;

        while (n-- > 0)
                len += iov++->iov_len;
        return (ssize_t)len;
}

/* What must wait stays with the client, which asks again when it is told of room. Bytes that end
 * the session are taken, and all behind them, as by a socket: why it ends is still to be read. 0:
 * it takes another pass. */
static ssize_t local_handle(struct engine_local *l, const struct iovec *iov, size_t n,
                            bool *ret_more)
{
        struct session *s = l->session;
        bool ended, spent, blocked;
        size_t used;

        if (s->state < SESSION_LIVE)
                engine_look_at_clock(s->engine);
        l->wants_room = n > 0; /* else nothing of it waits with the client */
        if (session_has_input(s) && is_blocked(s))
                return local_wait(l);
        used = local_consume(l, iov, n);
        ended = s->state > SESSION_LIVE;
        spent = l->guest.budget <= 0;
        blocked = is_blocked(s);
        *ret_more = has_more(l);
        local_finish(l);
        if (s->state > SESSION_LIVE)
                return ended ? count_bytes(iov, n) : -EPIPE;
        if (used == 0 && !spent)
                return blocked ? local_wait(l) : -EINVAL;
        l->wants_room = false;
        return (ssize_t)used;
}

/* Its name was somebody's, who has left the tables when the pass ended. */
static ssize_t local_claim_again(struct engine_local *l, const struct iovec *iov, size_t n)
{
        bool more;

        l->session->claiming = false;
        return local_handle(l, iov, n, &more);
}

static ssize_t local_pass(struct engine_local *l, const struct iovec *iov, size_t n, bool *ret_more)
{
        ssize_t r = -EPIPE;

        *ret_more = false;
        guest_enter(&l->guest);
        if (l->session && l->session->state <= SESSION_LIVE)
                r = local_handle(l, iov, n, ret_more);
        if (r == -EAGAIN && l->session->claiming)
                r = local_claim_again(l, iov, n);
        worker_leave_bus(&l->guest);
        return r;
}

static bool local_go_on(struct engine_local *l)
{
        bool more = false;

        guest_enter(&l->guest);
        if (l->session && l->session->state == SESSION_LIVE) {
                (void)session_consume(l->session, l->scratch, 0);
                more = has_more(l);
                local_finish(l);
        }
        worker_leave_bus(&l->guest);
        return more;
}

ssize_t engine_local_write(struct engine_local *l, const struct iovec *iov, size_t n)
{
        bool more;
        ssize_t r;

        do
                r = local_pass(l, iov, n, &more);
        while (r == 0);
        while (more)
                more = local_go_on(l);
        return r;
}

/* --- What it takes --- */

/* A sleep and a wake-up cost more than what a peer on another CPU needs to send more. So before it
 * is told that there is nothing the client looks on, a little: up to twice as long as the last
 * time, where that was of use. And while much comes it lets more come, a little, before it takes
 * the bus from the sender: that is done for hundreds at once then, and not for each few. Both in
 * steps of what the processor waits in a loop, some 10 to 50 ns. */
#define PATIENCE_MIN 16u
#define PATIENCE_MAX 512u
#define LULL_MAX 256u
#define LULL_ENOUGH 64 /* frames at once */

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("isb" ::: "memory");
#else
        __asm__ volatile("" ::: "memory");
#endif
}

static bool look_on(struct engine_local *l)
{
        for (unsigned i = 0; i < l->patience; i++, relax())
                if (atomic_load_explicit(&l->woken, memory_order_acquire))
                        return true;
        return false;
}

static void local_look(struct engine_local *l)
{
        struct session *s = l->session;
        bool found;

        if (l->alone)
                return;
        l->patience = MAX(l->patience, PATIENCE_MIN);
        l->pins++;
        l->looking = true;
        s->write_blocked = false;
        atomic_store_explicit(&l->woken, false, memory_order_relaxed);
        worker_leave_bus(&l->guest);
        found = look_on(l);
        guest_enter(&l->guest);
        l->looking = false;
        l->pins--;
        l->patience = found ? MIN(2 * l->patience, PATIENCE_MAX) : l->patience / 2;
}

static void learn_lull(struct engine_local *l, size_t n_frames)
{
        if (n_frames <= 1 || l->alone)
                l->lull = 0;
        else if (n_frames < LULL_ENOUGH)
                l->lull = MIN(2 * l->lull + 1, LULL_MAX);
        else if (n_frames > 4 * LULL_ENOUGH)
                l->lull /= 2;
}

/* Whole segments, or a part of the first. */
static size_t copy_batch(const struct queue_batch *batch, uint8_t *to, size_t size)
{
        size_t done = MIN(batch->iov[0].iov_len, size);

        memcpy(to, batch->iov[0].iov_base, done);
        for (size_t i = 1; i < batch->n && batch->iov[i].iov_len <= size - done; i++) {
                memcpy(to + done, batch->iov[i].iov_base, batch->iov[i].iov_len);
                done += batch->iov[i].iov_len;
        }
        return done;
}

/* The session may end meanwhile, or what is queued for it move to where it stays when the engine
 * stops. */
static size_t local_copy(struct engine_local *l, uint8_t *to, size_t size)
{
        struct session *s = l->session;
        struct queue_batch batch;
        size_t n;

        queue_gather(&s->queue, &batch);
        if (MIN(batch.n_bytes, size) <= COPY_MAX)
                return copy_batch(&batch, to, size);
        s->writing = true;
        worker_leave_bus(&l->guest);
        n = copy_batch(&batch, to, size);
        guest_enter(&l->guest);
        s->writing = false;
        return n;
}

static ssize_t take_rest(struct engine_local *l, uint8_t *to, size_t size)
{
        struct queue_batch batch;
        size_t n;

        if (queue_is_empty(&l->rest))
                return 0;
        queue_gather(&l->rest, &batch);
        n = copy_batch(&batch, to, size);
        queue_written(&l->rest, &l->engine->pool, n);
        return (ssize_t)n;
}

/* It ended while it was pinned. */
static ssize_t take_of_dead(struct engine_local *l, size_t n)
{
        struct session *s = l->session;

        worker_unpinned(s);
        if (queue_is_empty(&l->rest)) {
                queue_clear(&s->queue, &s->engine->pool);
                return 0;
        }
        queue_written(&l->rest, &l->engine->pool, n);
        return (ssize_t)n;
}

/* It may go to sleep without asking again. Where much comes, it will find the descriptor readable,
 * until it has asked and found nothing: so senders need not wake it each time. */
static void may_sleep(struct engine_local *l, bool much)
{
        if (much) {
                l->session->write_blocked = true;
                local_signal(l);
        } else if (!l->signalled)
                local_arm(l);
}

static ssize_t local_take(struct engine_local *l, uint8_t *to, size_t size)
{
        struct session *s = l->session;
        size_t n, n_frames;

        if (queue_is_empty(&s->queue) && s->state == SESSION_LIVE)
                local_look(l);
        if (s->state == SESSION_DEAD)
                return take_of_dead(l, 0) + take_rest(l, to, size);
        if (queue_is_empty(&s->queue)) {
                if (s->state < SESSION_DRAINING)
                        return local_wait(l);
                session_kill(s, ENGINE_EVENT_GONE, NULL);
                return 0;
        }
        n_frames = s->queue.n_frames;
        learn_lull(l, n_frames);
        n = local_copy(l, to, size);
        if (s->state == SESSION_DEAD)
                return take_of_dead(l, n);
        queue_written(&s->queue, &s->engine->pool, n);
        pace_shrunk(s);
        may_sleep(l, n_frames > 1);
        return (ssize_t)n;
}

ssize_t engine_local_read(struct engine_local *l, void *to, size_t size)
{
        ssize_t r;

        for (unsigned i = 0; i < l->lull; i++)
                relax();
        guest_enter(&l->guest);
        if (l->session && l->session->state != SESSION_DEAD)
                r = local_take(l, to, size);
        else
                r = take_rest(l, to, size);
        guest_finish(&l->guest);
        worker_leave_bus(&l->guest);
        return r;
}
