/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread, one epoll. In a turn each flow may write one batch, then every readable connection is
 * read once into a large buffer and its whole messages are checked. Level-triggered; EPOLLOUT only
 * while a socket is full. Anything that is wrong, missing, early or twice ends the program.
 */
#include "flows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_SIZE (256U * 1024)
#define REST_SLACK 4096U /* longer than anything that is no message */
#define EVENTS_MAX 64
#define STANDSTILL_MSEC 10000

static void link_arm(struct traffic *t, struct link *l, bool out)
{
        struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = l};

        if (l->armed == out)
                return;
        l->armed = out;
        if (epoll_ctl(t->epoll, EPOLL_CTL_MOD, l->client.fd, &e) < 0)
                fail("epoll_ctl: %s", strerror(errno));
}

static void link_write(struct traffic *t, struct link *l, const void *data, size_t size)
{
        ssize_t n = send(l->client.fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno != EAGAIN && errno != EINTR)
                fail("%s: write: %s", l->client.name, strerror(errno));
        if (n < 0)
                n = 0;
        l->out = (const uint8_t *)data + n;
        l->out_left = size - (size_t)n;
        link_arm(t, l, l->out_left > 0);
}

static uint64_t flow_room(const struct flow *flow)
{
        uint64_t end = flow->limit;

        for (uint32_t i = 0; i < flow->n_bounds; i++) {
                uint64_t bound = *flow->bounds[i].count + flow->bounds[i].ahead;

                end = bound < end ? bound : end;
        }
        return end > flow->next ? end - flow->next : 0;
}

/* Writes at most one batch. True if the next may follow at once. */
static bool flow_pump(struct traffic *t, struct flow *flow)
{
        uint64_t room = flow_room(flow), n = room < t->o->batch ? room : t->o->batch;
        struct link *l = flow->sender;
        uint8_t *number = flow->frames + flow->number_at;

        if (l->out_left > 0 || n == 0)
                return false;
        for (uint64_t i = 0; i < n; i++, number += flow->frame_size)
                put64(number, flow->next++);
        link_write(t, l, flow->frames, n * flow->frame_size);
        return l->out_left == 0 && room > n;
}

static void link_message(struct traffic *t, struct link *l, const uint8_t *message)
{
        uint64_t number = get64(message + l->expected_size);
        size_t tail = strlen(t->codec->tail);

        if (number != l->got)
                fail("%s: message %llu came in place of %llu", l->client.name,
                     (unsigned long long)number, (unsigned long long)l->got);
        if (memcmp(message + l->message_size - tail, t->codec->tail, tail) != 0)
                fail("%s: message %llu does not end where it should", l->client.name,
                     (unsigned long long)number);
        if (number >= l->source->next)
                fail("%s: message %llu, which nobody sent", l->client.name,
                     (unsigned long long)number);
        l->got++;
}

/* Takes what is no message. Returns its length, 0 if it is not all there. */
static size_t link_other(struct traffic *t, struct link *l, const uint8_t *data, size_t size)
{
        enum event event = EVENT_NOTHING;
        size_t n = t->codec->other(&l->client, data, size, &event);

        if (n > 0 && event == EVENT_BARRIER && !l->in_barrier)
                fail("%s: an answer, though nothing was asked", l->client.name);
        if (n > 0 && event == EVENT_BARRIER)
                l->in_barrier = false;
        if (n > 0 && event == EVENT_PING)
                l->pong_due = true;
        return n;
}

/* Handles what is whole. Returns how many bytes are left over. */
static size_t link_parse(struct traffic *t, struct link *l, const uint8_t *data, size_t size)
{
        while (size > 0) {
                size_t n = size < l->expected_size ? size : l->expected_size;

                if (l->source && memcmp(data, l->expected, n) == 0) {
                        n = l->message_size;
                        if (size < n)
                                break;
                        link_message(t, l, data);
                } else {
                        n = link_other(t, l, data, size);
                        if (n == 0)
                                break;
                }
                data += n;
                size -= n;
        }
        return size;
}

static void link_read(struct traffic *t, struct link *l)
{
        size_t size = l->rest_size, left;
        ssize_t n;

        memcpy(t->buffer, l->rest, size);
        n = recv(l->client.fd, t->buffer + size, BUFFER_SIZE, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n < 0)
                fail("%s: read: %s", l->client.name, strerror(errno));
        if (n == 0)
                fail("%s: the broker closed the connection", l->client.name);
        size += (size_t)n;
        left = link_parse(t, l, t->buffer, size);
        if (left > l->message_size + REST_SLACK)
                fail("%s: a message that is too long", l->client.name);
        memcpy(l->rest, t->buffer + size - left, left);
        l->rest_size = left;
}

static void link_event(struct traffic *t, struct link *l, uint32_t events)
{
        if (events & EPOLLOUT)
                link_write(t, l, l->out, l->out_left);
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                link_read(t, l);
        if (l->pong_due && l->out_left == 0) {
                l->pong_due = false;
                link_write(t, l, t->codec->pong, t->codec->pong_size);
        }
}

static bool traffic_all_sent(const struct traffic *t)
{
        for (uint32_t i = 0; i < t->n_flows; i++)
                if (!t->flows[i].answers && t->flows[i].next < t->flows[i].limit)
                        return false;
        return true;
}

/* One turn. Whoever is sending does not wait once all is sent: then nothing may come. */
static void traffic_turn(struct traffic *t, bool sending)
{
        struct epoll_event events[EVENTS_MAX];
        bool more = false;
        int n;

        for (uint32_t i = 0; i < t->n_flows; i++)
                more |= flow_pump(t, &t->flows[i]);
        more |= sending && traffic_all_sent(t);
        n = epoll_wait(t->epoll, events, EVENTS_MAX, more ? 0 : STANDSTILL_MSEC);
        if (n < 0 && errno != EINTR)
                fail("epoll_wait: %s", strerror(errno));
        if (n == 0 && !more)
                fail("nothing moved for %d s", STANDSTILL_MSEC / 1000);
        for (int i = 0; i < n; i++)
                link_event(t, events[i].data.ptr, events[i].events);
}

static bool traffic_drained(const struct traffic *t)
{
        for (uint32_t i = 0; i < t->n_flows; i++)
                if (flow_room(&t->flows[i]) > 0)
                        return false;
        for (uint32_t i = 0; i < t->n_links; i++) {
                const struct link *l = &t->links[i];

                if (l->out_left > 0 || l->in_barrier || (l->source && l->got < l->source->next))
                        return false;
        }
        return true;
}

/* Behind all that was sent: when it has been answered nothing is on its way to the broker, and
 * nothing that arrives later belongs to this run. */
static void traffic_barrier(struct traffic *t)
{
        while (!traffic_drained(t))
                traffic_turn(t, false);
        for (uint32_t i = 0; i < t->n_links; i++) {
                t->links[i].in_barrier = true;
                link_write(t, &t->links[i], t->codec->barrier, t->codec->barrier_size);
        }
        while (!traffic_drained(t))
                traffic_turn(t, false);
}

void traffic_run(struct traffic *t, double seconds, uint64_t count)
{
        uint64_t deadline = now_nsec() + (uint64_t)(seconds * (double)NSEC_PER_SEC);

        for (uint32_t i = 0; i < t->n_flows; i++)
                if (!t->flows[i].answers)
                        t->flows[i].limit = count > 0 ? t->flows[i].next + count : UINT64_MAX;
        while (now_nsec() < deadline && !traffic_all_sent(t))
                traffic_turn(t, true);
        for (uint32_t i = 0; i < t->n_flows; i++)
                if (!t->flows[i].answers)
                        t->flows[i].limit = t->flows[i].next;
        traffic_barrier(t);
}

void traffic_open(struct traffic *t, uint32_t links, uint32_t flows)
{
        t->links = xcalloc(links, sizeof(*t->links));
        t->flows = xcalloc(flows, sizeof(*t->flows));
        t->n_links = links;
        t->n_flows = flows;
        t->buffer = xcalloc(1, BUFFER_SIZE + HEAD_MAX + t->o->payload + REST_SLACK);
        t->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (t->epoll < 0)
                fail("epoll_create1: %s", strerror(errno));
        for (uint32_t i = 0; i < links; i++) {
                struct link *l = &t->links[i];
                struct epoll_event e = {.events = EPOLLIN, .data.ptr = l};
                char name[NAME_SIZE];

                snprintf(name, sizeof(name), "bench.%05u", i);
                t->codec->open(&l->client, t->o->address, name);
                l->rest = xcalloc(1, HEAD_MAX + t->o->payload + REST_SLACK);
                if (epoll_ctl(t->epoll, EPOLL_CTL_ADD, l->client.fd, &e) < 0)
                        fail("epoll_ctl: %s", strerror(errno));
        }
}

void flow_send(struct traffic *t, uint32_t i, uint32_t from, const struct path *p)
{
        struct flow *flow = &t->flows[i];
        size_t tail = strlen(t->codec->tail), head;
        uint8_t first[HEAD_MAX];

        flow->sender = &t->links[from];
        flow->limit = UINT64_MAX;
        flow->answers = p->route == ROUTE_REPLY;
        head = t->codec->sent_head(first, p, t->o->payload);
        flow->number_at = head + sizeof(uint32_t);
        flow->frame_size = head + t->o->payload + tail;
        flow->frames = xcalloc(t->o->batch, flow->frame_size);
        for (uint64_t k = 0; k < t->o->batch; k++) {
                uint8_t *frame = flow->frames + k * flow->frame_size;

                memcpy(frame, first, head);
                memset(frame + head, 0xEE, t->o->payload);
                put32(frame + head, i);
                memcpy(frame + head + t->o->payload, t->codec->tail, tail);
        }
}

void flow_receive(struct traffic *t, uint32_t i, uint32_t to, const struct path *p)
{
        struct link *l = &t->links[to];
        uint8_t head[HEAD_MAX];
        size_t n = t->codec->arriving_head(head, p, t->o->payload);

        l->source = &t->flows[i];
        l->expected_size = n + sizeof(uint32_t);
        l->expected = xcalloc(1, l->expected_size);
        memcpy(l->expected, head, n);
        put32(l->expected + n, i);
        l->message_size = n + t->o->payload + strlen(t->codec->tail);
        t->codec->receive(&l->client, p);
}

void flow_bound(struct flow *flow, const uint64_t *count, uint64_t ahead)
{
        flow->bounds = realloc(flow->bounds, (flow->n_bounds + 1) * sizeof(*flow->bounds));
        if (!flow->bounds)
                fail("out of memory");
        flow->bounds[flow->n_bounds++] = (struct bound){count, ahead};
}

void traffic_close(struct traffic *t)
{
        for (uint32_t i = 0; i < t->n_links; i++) {
                client_close(&t->links[i].client);
                free(t->links[i].expected);
                free(t->links[i].rest);
        }
        for (uint32_t i = 0; i < t->n_flows; i++) {
                free(t->flows[i].frames);
                free(t->flows[i].bounds);
        }
        free(t->links);
        free(t->flows);
        free(t->buffer);
        close(t->epoll);
}
