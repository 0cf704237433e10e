/* SPDX-License-Identifier: Apache-2.0 */
/* The client's life: its lock, how it is made, and how it ends. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "basic/utf8.h"
#include "client/internal.h"
#include "wire/handshake.h"

#define TIMEOUT_DEFAULT (5 * USEC_PER_SEC)
#define PING_INTERVAL_DEFAULT USEC_PER_SEC
#define SEND_BUFFER_DEFAULT ((size_t)4 << 20)
#define RECEIVE_BUFFER_DEFAULT ((size_t)64 << 20)
#define MAX_FRAME_DEFAULT ((size_t)64 << 20)
#define FIRST_PAUSE_DEFAULT (USEC_PER_SEC / 20)
#define LONGEST_PAUSE_DEFAULT USEC_PER_SEC
#define FORK_MARK_SIZE 1 /* of a page */

/* --- The lock --- */

int client_lock(busrt_client *c)
{
        if (!c)
                return -EINVAL;
        if (client_forked(c))
                return -ECHILD;
        pthread_mutex_lock(&c->lock);
        return 0;
}

int client_unlock(busrt_client *c, int r)
{
        _cleanup_free_ char *text = TAKE_PTR(c->log_text);
        busrt_log_handler handler = c->on_log;
        void *data = c->on_log_data;
        enum busrt_log_level level = c->log_level;

        pthread_mutex_unlock(&c->lock);
        if (text && handler)
                handler(c, level, text, data);
        return r;
}

void client_log(busrt_client *c, enum busrt_log_level level, const char *format, ...)
{
        va_list args;

        if (!c->on_log || c->log_text)
                return;
        va_start(args, format);
        if (vasprintf(&c->log_text, format, args) < 0)
                c->log_text = NULL;
        va_end(args);
        c->log_level = level;
}

int client_is_live(const busrt_client *c)
{
        return c->state == BUSRT_STATE_CONNECTED && !c->output.broken ? 0 : -ENOTCONN;
}

bool client_in_handler(const busrt_client *c)
{
        return c->dispatching && pthread_equal(c->dispatcher, pthread_self());
}

uint64_t client_deadline(const busrt_client *c, uint64_t timeout)
{
        if (timeout == BUSRT_TIMEOUT_DEFAULT)
                timeout = c->timeout;
        return timeout == 0 ? 0 : usec_after(now_usec(), timeout);
}

/* --- Making --- */

static bool name_is_valid(const char *name, size_t len)
{
        if (len == 0 || name[0] == '.' || !utf8_is_valid(name, len))
                return false;
        for (size_t i = 0; i < len; i++)
                if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
                        return false;
        return true;
}

/* A page that the kernel wipes in a child. */
static const unsigned char *fork_mark_new(void)
{
        unsigned char *page = mmap(NULL, FORK_MARK_SIZE, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (page == MAP_FAILED)
                return NULL;
        if (madvise(page, FORK_MARK_SIZE, MADV_WIPEONFORK) < 0) {
                int saved = errno;

                (void)munmap(page, FORK_MARK_SIZE);
                errno = saved;
                return NULL;
        }
        *page = 1;
        return page;
}

static void client_free_memory(busrt_client *c)
{
        struct event *event;

        while ((event = STAILQ_FIRST(&c->spare))) {
                STAILQ_REMOVE_HEAD(&c->spare, link);
                free(container_of(event, busrt_frame, event));
        }
        input_done(&c->input);
        output_done(&c->output);
        output_done(&c->offline);
        wishes_done(&c->wishes);
        slots_done(&c->slots);
        methods_free(c->methods);
        topic_handlers_free(c->topics);
        cursors_free(c->cursors);
        free(c->log_text);
        free(c->address);
        free(c->name);
        pthread_cond_destroy(&c->changed);
        pthread_mutex_destroy(&c->lock);
        if (c->fork_mark)
                (void)munmap((void *)(uintptr_t)c->fork_mark, FORK_MARK_SIZE);
        free(c);
}

busrt_client *client_ref(busrt_client *c)
{
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
        return c;
}

busrt_client *client_unref(busrt_client *c)
{
        if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
                client_free_memory(c);
        return NULL;
}

static void client_close_fds(busrt_client *c)
{
        client_close_fd(c);
        c->epoll_fd = close_fd(c->epoll_fd);
        c->loop_fd = close_fd(c->loop_fd);
        c->poke_fd = close_fd(c->poke_fd);
}

static void client_discardp(busrt_client **c)
{
        if (!*c)
                return;
        client_close_fds(*c);
        *c = client_unref(*c);
}

static void init_lock(busrt_client *c)
{
        pthread_condattr_t attr;

        pthread_mutex_init(&c->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&c->changed, &attr);
        pthread_condattr_destroy(&attr);
}

static int init_fds(busrt_client *c)
{
        struct epoll_event event = {.events = EPOLLIN};

        c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        c->loop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        c->poke_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (c->epoll_fd < 0 || c->loop_fd < 0 || c->poke_fd < 0 ||
            epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->loop_fd, &event) < 0)
                return -errno;
        return 0;
}

/* A late reply to the last program of that name must not meet a call of this one. */
static uint32_t random_id(void)
{
        uint32_t id;

        if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != sizeof(id))
                id = (uint32_t)now_usec();
        return id;
}

static int client_make(const char *name, size_t len, busrt_client **ret)
{
        _cleanup_(client_discardp) busrt_client *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        atomic_init(&c->refs, 1);
        c->fd = c->epoll_fd = c->loop_fd = c->poke_fd = -1;
        c->timeout = TIMEOUT_DEFAULT;
        c->ping_interval = PING_INTERVAL_DEFAULT;
        c->send_buffer = SEND_BUFFER_DEFAULT;
        c->receive_buffer = RECEIVE_BUFFER_DEFAULT;
        c->max_frame = MAX_FRAME_DEFAULT;
        c->reconnect.first_pause = FIRST_PAUSE_DEFAULT;
        c->reconnect.longest_pause = LONGEST_PAUSE_DEFAULT;
        c->reconnect.give_up_at = UINT64_MAX;
        c->next_ping = UINT64_MAX;
        c->max_running = SIZE_MAX;
        c->request_timeout = BUSRT_TIMEOUT_INFINITE;
        c->slots.last_id = random_id();
        STAILQ_INIT(&c->events);
        STAILQ_INIT(&c->inbox);
        STAILQ_INIT(&c->spare);
        init_lock(c);
        c->fork_mark = fork_mark_new();
        if (!c->fork_mark)
                return -errno;
        c->name = strndup(name, len);
        if (!c->name)
                return -ENOMEM;
        r = init_fds(c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

/* dot: the name may begin with one. */
static int client_new(const char *name, bool dot, busrt_client **ret)
{
        size_t len, skip;

        if (!name || !ret)
                return -EINVAL;
        len = strlen(name);
        if (len > WIRE_NAME_MAX)
                return -ENAMETOOLONG;
        skip = dot && name[0] == '.';
        return name_is_valid(name + skip, len - skip) ? client_make(name, len, ret) : -EINVAL;
}

PUBLIC int busrt_client_new(const char *name, busrt_client **ret)
{
        return client_new(name, false, ret);
}

PUBLIC int busrt_client_new_for_stream(const char *name, busrt_client **ret)
{
        return client_new(name, true, ret);
}

PUBLIC int busrt_client_new_secondary(busrt_client *primary, const char *suffix, busrt_client **ret)
{
        _cleanup_free_ char *name = NULL;
        busrt_client *c;
        int r;

        if (!primary || !ret || (suffix && suffix[0] == '\0'))
                return -EINVAL;
        if (client_forked(primary))
                return -ECHILD;
        if (suffix)
                r = asprintf(&name, "%s%s%s", primary->name, WIRE_SECONDARY_SEPARATOR, suffix);
        else
                r = asprintf(&name, "%s%s%u", primary->name, WIRE_SECONDARY_SEPARATOR,
                             atomic_fetch_add(&primary->secondaries, 1));
        if (r < 0) {
                name = NULL;
                return -ENOMEM;
        }
        r = client_new(name, primary->name[0] == '.', &c);
        if (r < 0)
                return r;
        pthread_mutex_lock(&primary->lock);
        c->timeout = primary->timeout;
        c->ping_interval = primary->ping_interval;
        c->busy_poll = primary->busy_poll;
        c->send_buffer = primary->send_buffer;
        c->receive_buffer = primary->receive_buffer;
        c->max_frame = primary->max_frame;
        c->offline_buffer = primary->offline_buffer;
        c->reconnect.limit = primary->reconnect.limit;
        c->reconnect.first_pause = primary->reconnect.first_pause;
        c->reconnect.longest_pause = primary->reconnect.longest_pause;
        pthread_mutex_unlock(&primary->lock);
        *ret = c;
        return 0;
}

/* --- The end --- */

void client_close_socket(busrt_client *c)
{
        if (c->fd >= 0 && c->interest)
                (void)epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
        c->interest = 0;
        client_close_fd(c);
}

static void finish_pending(busrt_client *c, struct pending *item)
{
        if (item->kind == PENDING_OP)
                op_finish(container_of(item, busrt_op, pending), -ECONNRESET);
        else
                call_end(container_of(item, busrt_call, pending), -ECONNRESET);
}

void client_finish_pending(busrt_client *c)
{
        for (uint32_t i = 0; i < c->slots.size; i++)
                if (c->slots.slot[i])
                        finish_pending(c, c->slots.slot[i]);
}

/* What is left of it must not meet the next one. */
static void discard_socket(busrt_client *c)
{
        client_close_socket(c);
        if (c->state != BUSRT_STATE_CLOSED)
                input_done(&c->input);
}

void client_end_socket(busrt_client *c)
{
        client_shut_down(c);
        /* Whoever reads it may be in recv(2) now, and closes it afterwards. */
        if (c->reading)
                client_wake_reader(c);
        else
                discard_socket(c);
        client_wake_loop(c);
        client_changed(c);
}

void client_close(busrt_client *c, int error)
{
        if (c->state == BUSRT_STATE_CLOSED)
                return;
        if (error == -ECONNRESET)
                client_log(c, BUSRT_LOG_WARNING, "%s: %s closed the connection", c->name,
                           c->address);
        else if (error != -ESHUTDOWN)
                client_log(c, BUSRT_LOG_ERROR, "%s: connection to %s: %s", c->name, c->address,
                           busrt_strerror(error));
        c->state = BUSRT_STATE_CLOSED;
        c->error = error;
        c->output.start = c->output.end = 0;
        c->output.broken = true;
        c->next_ping = UINT64_MAX;
        c->generation++;
        output_done(&c->offline);
        client_finish_pending(c);
        request_end_all(c, -ECONNRESET);
        client_end_socket(c);
}

bool reader_enter(busrt_client *c)
{
        if (c->reading)
                return false;
        c->reading = true;
        return true;
}

void reader_leave(busrt_client *c)
{
        if (c->output.broken && !client_is_over(c)) {
                /* The peer takes no more. What it said before comes first: it may say why. */
                input_drain(c);
                client_lost(c, c->output.error);
        }
        c->reading = false;
        if (client_is_over(c))
                discard_socket(c);
        else
                client_update_interest(c);
        client_changed(c);
}

PUBLIC int busrt_client_disconnect(busrt_client *client)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        r = client->state == BUSRT_STATE_NEW ? -ENOTCONN : 0;
        if (r == 0)
                client_close(client, -ESHUTDOWN);
        return client_unlock(client, r);
}

PUBLIC busrt_client *busrt_client_free(busrt_client *client)
{
        if (!client)
                return NULL;
        if (client_forked(client)) {
                /* The rest may have been in any state when the process forked. */
                client->stream = (busrt_stream){0};
                client_close_fds(client);
                return NULL;
        }
        pthread_mutex_lock(&client->lock);
        client->on_log = NULL;
        client->gone = true;
        client_close(client, -ESHUTDOWN);
        if (client_in_handler(client)) {
                client->freed = true;
                return client_unlock(client, 0), NULL;
        }
        events_drop(client);
        client_close_fds(client);
        pthread_mutex_unlock(&client->lock);
        cursors_end(client);
        return client_unref(client);
}

/* --- What it is --- */

PUBLIC int busrt_client_get_state(busrt_client *client)
{
        int r = client_lock(client);

        return r < 0 ? r : client_unlock(client, (int)client->state);
}

PUBLIC int busrt_client_error(busrt_client *client)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        r = client_is_away(client) ? client->reconnect.reason : client->error;
        return client_unlock(client, r);
}

PUBLIC const char *busrt_client_get_name(busrt_client *client)
{
        return client && !client_forked(client) ? client->name : NULL;
}

PUBLIC const char *busrt_client_get_address(busrt_client *client)
{
        const char *address;

        if (client_lock(client) < 0)
                return NULL;
        address = client->address;
        (void)client_unlock(client, 0);
        return address;
}
