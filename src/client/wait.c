/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and waiting: what is due though nothing comes, who sleeps on what, and who wakes whom.
 *
 * The program polls epoll_fd, which holds the socket and loop_fd. A blocking call polls the socket
 * itself, and poke_fd: so it never takes away what wakes the program's loop.
 */
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>

#include "client/internal.h"
#include "wire/frame.h"

/* --- Waking --- */

static void signal_fd(int fd)
{
        static const uint64_t one = 1;

        if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
                return; /* full: it is readable */
}

static void drain_fd(int fd)
{
        uint64_t count;

        if (read(fd, &count, sizeof(count)) < 0)
                return; /* empty */
}

void client_wake_loop(busrt_client *c)
{
        if (!c->loop_woken) {
                c->loop_woken = true;
                signal_fd(c->loop_fd);
        }
        client_changed(c);
}

void client_loop_awake(busrt_client *c)
{
        if (c->loop_woken) {
                c->loop_woken = false;
                drain_fd(c->loop_fd);
        }
}

void client_wake_reader(busrt_client *c)
{
        if (c->asleep)
                signal_fd(c->poke_fd);
}

void client_changed(busrt_client *c)
{
        if (c->waiters > 0)
                pthread_cond_broadcast(&c->changed);
}

/* --- What the socket is watched for --- */

static bool is_full(const busrt_client *c)
{
        return c->queued >= c->receive_buffer;
}

static uint32_t wanted_events(const busrt_client *c)
{
        if (c->fd < 0 || client_is_over(c))
                return 0;
        return c->connecting.pending ? (uint32_t)EPOLLOUT : client_loop_events(c, is_full(c));
}

void client_update_interest(busrt_client *c)
{
        uint32_t wanted = wanted_events(c);
        struct epoll_event event = {.events = wanted};
        int op = wanted == 0 ? EPOLL_CTL_DEL : c->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

        if (c->fd < 0 || wanted == c->interest)
                return;
        if (epoll_ctl(c->epoll_fd, op, c->fd, &event) < 0)
                client_lost(c, -errno);
        else
                c->interest = wanted;
}

/* --- Time --- */

uint64_t client_next_time(const busrt_client *c)
{
        const busrt_call *first = RB_MIN(call_tree, (struct call_tree *)(uintptr_t)&c->calls);
        const busrt_request *request =
                RB_MIN(request_tree, (struct request_tree *)(uintptr_t)&c->deadlines);
        uint64_t t = MIN(c->next_ping, cursors_next_time(c));

        if (client_is_away(c)) {
                t = MIN(t, MIN(c->connecting.deadline, c->reconnect.give_up_at));
                if (c->connecting.act_at)
                        t = MIN(t, c->connecting.act_at);
        }
        if (request)
                t = MIN(t, request->deadline);
        return first ? MIN(t, first->deadline) : t;
}

static void send_ping(busrt_client *c)
{
        static const uint8_t ping[WIRE_REQUEST_HEADER_SIZE];
        struct iovec iov = {(void *)(uintptr_t)ping, sizeof(ping)};

        /* While bytes wait, those are the sign of life, corked or not. */
        if (output_unsent(&c->output) == 0)
                (void)output_send(c, &iov, 1, sizeof(ping), OUTPUT_FORCE, NULL);
        (void)output_write(c);
}

bool client_keep_time(busrt_client *c)
{
        uint64_t now, next = client_next_time(c);

        if (next == UINT64_MAX)
                return false;
        now = now_usec();
        if (now < next)
                return false;
        if (client_is_away(c)) {
                reconnect_keep_time(c, now);
                if (!client_is_over(c))
                        connect_keep_time(c, now);
        }
        if (now >= c->next_ping) {
                c->next_ping = usec_after(now, c->ping_interval);
                send_ping(c);
        }
        call_keep_time(c, now);
        request_keep_time(c, now);
        cursors_keep_time(c, now);
        client_update_interest(c);
        return true;
}

/* --- Sleeping --- */

static struct timespec span_until(uint64_t now, uint64_t until)
{
        uint64_t span = until > now ? MIN(until - now, USEC_PER_SEC * 3600) : 0;

        return (struct timespec){.tv_sec = (time_t)(span / USEC_PER_SEC),
                                 .tv_nsec = (long)(span % USEC_PER_SEC) * 1000};
}

/* Polls without the lock until something comes, looking again and again at first where that is
 * wanted. */
static void sleep_on(busrt_client *c, struct pollfd *fds, nfds_t n, uint64_t until)
{
        uint64_t now = now_usec(), spin = usec_after(now, c->busy_poll);
        struct timespec span;
        int r = 0;

        c->asleep = true;
        pthread_mutex_unlock(&c->lock);
        while (now < spin && now < until) {
                r = poll(fds, n, 0);
                if (r != 0)
                        break;
                sched_yield();
                now = now_usec();
        }
        if (r == 0) {
                span = span_until(now, until);
                r = ppoll(fds, n, &span, NULL);
        }
        if (r < 0)
                for (nfds_t i = 0; i < n; i++)
                        fds[i].revents = 0;
        pthread_mutex_lock(&c->lock);
        c->asleep = false;
}

/* The reader's turn: sleeps until something is to be done or the time is up, and does it. 0, or
 * -ENOMEM. */
static int read_once(busrt_client *c, uint64_t until)
{
        struct pollfd fds[] = {
                {.fd = c->poke_fd, .events = POLLIN},
                {.fd = c->fd, .events = client_poll_events(c)},
        };
        unsigned generation = c->generation;
        int r = client_is_stream(c) && !c->input.starved ? input_read(c) : 0;

        /* Of a stream asking costs less than sleeping. There may always be something: time and what
         * is to be written go on meanwhile. */
        if (r != 0 || c->generation != generation) {
                (void)output_write(c);
                (void)client_keep_time(c);
                return MIN(r, 0);
        }
        if (c->input.starved)
                until = 0; /* what is to be read next is here already */
        sleep_on(c, fds, ARRAY_SIZE(fds), MIN(until, client_next_time(c)));
        if (fds[0].revents)
                drain_fd(c->poke_fd);
        if (c->generation != generation)
                fds[1].revents = 0; /* of a socket that is over */
        if (fds[1].revents && c->connecting.pending)
                connect_continue(c);
        if (client_may_write(c, fds[1].revents))
                (void)output_write(c);
        if ((fds[1].revents & ~POLLOUT || c->input.starved) && !c->connecting.pending &&
            !client_is_over(c))
                r = input_read(c);
        (void)client_keep_time(c);
        return MIN(r, 0);
}

/* Out of memory: what came stays in the socket, or the input, until there is some. */
static void wait_for_memory(busrt_client *c)
{
        static const struct timespec pause = {.tv_nsec = 1000000};

        pthread_mutex_unlock(&c->lock);
        (void)nanosleep(&pause, NULL);
        pthread_mutex_lock(&c->lock);
}

static void wait_for_change(busrt_client *c, uint64_t until)
{
        struct timespec at = {.tv_sec = (time_t)(until / USEC_PER_SEC),
                              .tv_nsec = (long)(until % USEC_PER_SEC) * 1000};

        c->waiters++;
        if (until == UINT64_MAX)
                pthread_cond_wait(&c->changed, &c->lock);
        else
                pthread_cond_timedwait(&c->changed, &c->lock, &at);
        c->waiters--;
}

/* One look, or one sleep, of a blocking call. */
static int wait_turn(busrt_client *c, uint64_t deadline)
{
        int r;

        if (!reader_enter(c)) {
                /* Who waits for the program's loop does not read on when the inbox is full. */
                if (is_full(c) || output_unsent(&c->output) > 0)
                        client_wake_reader(c);
                if (deadline == 0)
                        return -ETIMEDOUT;
                wait_for_change(c, deadline);
                return 0;
        }
        r = read_once(c, deadline);
        reader_leave(c);
        if (r == -ENOMEM)
                wait_for_memory(c);
        return 0;
}

static int wait_until_done(busrt_client *c, wait_condition done, const void *arg, uint64_t deadline)
{
        int r = 0;

        for (bool looked = false; !done(c, arg); looked = true) {
                if (c->state != BUSRT_STATE_CONNECTED && !client_is_away(c))
                        return c->state == BUSRT_STATE_NEW ? -ENOTCONN : -ECONNRESET;
                if (r < 0)
                        return r;
                if (deadline != UINT64_MAX && (looked || deadline > 0) && now_usec() >= deadline)
                        return -ETIMEDOUT;
                r = wait_turn(c, deadline);
        }
        return 0;
}

int client_wait_for(busrt_client *c, wait_condition done, const void *arg, uint64_t deadline)
{
        int r;

        if (client_in_handler(c))
                return -EDEADLK;
        c->callers++;
        if (output_write(c) || output_unsent(&c->output) > 0)
                client_update_interest(c);
        r = wait_until_done(c, done, arg, deadline);
        c->callers--;
        return r;
}

void client_look(busrt_client *c)
{
        if (c->state == BUSRT_STATE_CONNECTED && c->output.broken && c->reconnect.limit > 0)
                client_lost(c, c->output.error);
        if (!client_is_away(c) || client_in_handler(c) || !reader_enter(c))
                return;
        (void)read_once(c, 0);
        reader_leave(c);
}

static bool is_connected(const busrt_client *c, const void *arg)
{
        return client_is_live(c) == 0;
}

PUBLIC int busrt_client_wait_connected(busrt_client *client, uint64_t timeout)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        return client_unlock(client, client_wait_for(client, is_connected, NULL,
                                                     client_deadline(client, timeout)));
}

/* --- The program's loop --- */

PUBLIC int busrt_client_get_fd(busrt_client *client)
{
        if (!client)
                return -EINVAL;
        return client_forked(client) ? -ECHILD : client->epoll_fd;
}

PUBLIC int busrt_client_get_events(busrt_client *client)
{
        if (!client)
                return -EINVAL;
        return client_forked(client) ? -ECHILD : POLLIN;
}

static uint64_t time_to_process(const busrt_client *c)
{
        bool now = (c->input.starved && !is_full(c)) || (!c->dispatching && events_wait(c));

        return now ? 0 : client_next_time(c);
}

PUBLIC int busrt_client_get_timeout(busrt_client *client, uint64_t *ret_usec)
{
        int r;

        if (!ret_usec)
                return client && client_forked(client) ? -ECHILD : -EINVAL;
        r = client_lock(client);
        if (r < 0)
                return r;
        *ret_usec = time_to_process(client);
        return client_unlock(client, 0);
}

/* Sleeps once. 1: there is something to process, or somebody reads what there is. */
static int wait_once(busrt_client *c, uint64_t deadline)
{
        struct pollfd fds[] = {
                {.fd = c->epoll_fd, .events = POLLIN},
                {.fd = c->poke_fd, .events = POLLIN},
        };
        uint64_t due = time_to_process(c);

        if (c->loop_woken || due <= now_usec())
                return 1;
        /* A call goes on reading where the loop would not. */
        if ((is_full(c) && c->callers > 0) || !reader_enter(c)) {
                wait_for_change(c, MIN(deadline, due));
                return c->loop_woken;
        }
        sleep_on(c, fds, ARRAY_SIZE(fds), MIN(deadline, due));
        if (fds[1].revents)
                drain_fd(c->poke_fd);
        reader_leave(c);
        return fds[0].revents != 0;
}

static int client_wait(busrt_client *c, uint64_t deadline)
{
        int r;

        if (client_in_handler(c))
                return -EDEADLK;
        if (c->state == BUSRT_STATE_NEW)
                return -ENOTCONN;
        do {
                if (c->state == BUSRT_STATE_CLOSED && !events_wait(c))
                        return 1; /* to be told why */
                r = wait_once(c, deadline);
        } while (r == 0 && (deadline == UINT64_MAX || now_usec() < deadline));
        return r;
}

PUBLIC int busrt_client_wait(busrt_client *client, uint64_t timeout)
{
        int r = client_lock(client);

        return r < 0 ? r
                     : client_unlock(client, client_wait(client, client_deadline(client, timeout)));
}

/* After -ENOMEM: true where it is worth another try. */
static bool may_go_on(busrt_client *c)
{
        bool closed;

        if (client_lock(c) < 0)
                return false;
        closed = c->state == BUSRT_STATE_CLOSED;
        if (!closed)
                wait_for_memory(c);
        (void)client_unlock(c, 0);
        return !closed;
}

PUBLIC int busrt_client_run(busrt_client *client)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        /* A handler may free the client. */
        client_ref(client);
        (void)client_unlock(client, 0);
        do {
                r = busrt_client_process(client);
                if (r == 0)
                        r = busrt_client_wait(client, BUSRT_TIMEOUT_INFINITE);
        } while (r >= 0 || (r == -ENOMEM && may_go_on(client)));
        client_unref(client);
        return r;
}
