/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread, one epoll. In a turn each sender may write one batch, then every readable connection
 * is read once into a large buffer and its whole frames are checked. Level-triggered; EPOLLOUT only
 * while a socket is full. Who polls needs no epoll: every connection is tried. Any frame that is
 * wrong, early, late or twice ends the program.
 */
#include "traffic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_SIZE (256U * 1024)
#define LARGE_SIZE (64U * 1024)
#define HEAD_MAX 256U /* names and topics */
#define EVENTS_MAX 64
#define STANDSTILL_SEC 10

static void peer_arm(struct traffic *t, struct peer *p, bool out)
{
        struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = p};

        if (p->armed == out || t->o->poll)
                return;
        p->armed = out;
        if (epoll_ctl(t->epoll, EPOLL_CTL_MOD, p->client.fd, &e) < 0)
                fail("epoll_ctl: %s", strerror(errno));
}

static void peer_write(struct traffic *t, struct peer *p, const void *data, size_t size)
{
        ssize_t n = send(p->client.fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno != EAGAIN && errno != EINTR)
                fail("%s: write: %s", p->client.name, strerror(errno));
        if (n < 0)
                n = 0;
        p->out = (const uint8_t *)data + n;
        p->out_left = size - (size_t)n;
        peer_arm(t, p, p->out_left > 0);
}

/* A reader that sends nothing of its own must answer pings, or the broker takes it for dead. */
static void peer_pong(struct traffic *t, struct peer *p)
{
        if (p->out_left == 0)
                peer_write(t, p, PING_FRAME, sizeof(PING_FRAME));
}

/* How many frames the window, the acknowledgements and the phase let this sender send now. */
static uint64_t sender_room(const struct sender *s)
{
        uint64_t end = s->limit, bound;

        if (s->receivers > 0) {
                bound = (s->granules + WINDOW_GRANULES) << s->granule_shift;
                end = bound < end ? bound : end;
        }
        if (s->depth > 0) {
                bound = s->acked + s->depth;
                end = bound < end ? bound : end;
        }
        return end > s->next ? end - s->next : 0;
}

/* Writes at most one batch. True if the next may follow at once. */
static bool sender_pump(struct traffic *t, struct sender *s)
{
        uint64_t room = sender_room(s);
        uint32_t slot = (uint32_t)(s->next % s->slots), n = s->slots - slot;
        uint8_t *first = s->frames + slot * s->frame_size, *f = first;

        if (s->peer->out_left > 0 || room == 0)
                return false;
        n = n < s->batch ? n : s->batch;
        if (room < n)
                n = (uint32_t)room;
        for (uint32_t i = 0; i < n; i++, f += s->frame_size) {
                if (s->depth > 0)
                        put32(f, (uint32_t)s->next);
                put64(f + s->payload_at + 4, s->next++);
        }
        peer_write(t, s->peer, first, n * s->frame_size);
        return s->peer->out_left == 0 && room > n;
}

static void sender_ack(struct sender *s, const struct peer *p, const uint8_t *frame)
{
        if (!s)
                fail("%s: an acknowledgement, though nothing was sent", p->client.name);
        if (s->in_barrier && s->acked == s->next) {
                s->in_barrier = false;
                return;
        }
        if (s->depth == 0 || s->acked == s->next || get32(frame + 1) != (uint32_t)s->acked)
                fail("%s: acknowledgement of %u, not of %u", p->client.name, get32(frame + 1),
                     (uint32_t)s->acked);
        if (frame[5] != s->ack_code)
                fail("%s: acknowledged with code 0x%02x, not 0x%02x", p->client.name, frame[5],
                     s->ack_code);
        s->acked++;
}

static void sender_credit(struct sender *s, uint64_t granule)
{
        s->behind[granule % WINDOW_GRANULES]++;
        while (s->behind[s->granules % WINDOW_GRANULES] == s->receivers) {
                s->behind[s->granules % WINDOW_GRANULES] = 0;
                s->granules++;
        }
}

/* The broker itself publishes its warnings to everyone. */
static bool frame_is_of_broker(const uint8_t *frame, size_t size)
{
        static const char broker[] = ".broker";

        return size >= RECV_HEADER + sizeof(broker) &&
               memcmp(frame + RECV_HEADER, broker, sizeof(broker)) == 0;
}

/* Kind, length, sender and, of a publication, the topic with that index. */
static bool frame_is_of(const struct sender *s, uint32_t topic, const uint8_t *frame, size_t head)
{
        const uint8_t *sent = s->frames + topic * s->frame_size + SEND_HEADER;

        return head == s->prefix_size + s->topic_size &&
               memcmp(frame, s->prefix, s->prefix_size) == 0 &&
               memcmp(frame + s->prefix_size, sent, s->topic_size) == 0;
}

static void flow_advance(struct flow *flow, const struct receiver *r, uint32_t n_topics)
{
        if (++flow->at == r->n_topics) {
                flow->at = 0;
                flow->base += n_topics;
        }
        flow->next = flow->base + r->topics[flow->at];
}

static void receiver_frame(struct traffic *t, struct peer *p, const uint8_t *frame, size_t size)
{
        const uint8_t *payload = frame + size - t->payload;
        struct receiver *r = p->receiver;
        struct sender *s;
        struct flow *flow;
        uint32_t from;
        uint64_t seq;

        if (frame_is_of_broker(frame, size))
                return;
        if (!r || size < RECV_HEADER + t->payload || (from = get32(payload)) >= t->n_senders)
                fail("%s: a frame of %zu bytes that nobody sent", p->client.name, size);
        flow = &r->flows[from];
        s = &t->senders[from];
        if (!flow->open || !frame_is_of(s, r->topics[flow->at], frame, size - t->payload))
                fail("%s: a frame whose kind, sender or topic is wrong", p->client.name);
        seq = get64(payload + 4);
        if (seq != flow->next)
                fail("%s: frame %llu of sender %u came in place of %llu", p->client.name,
                     (unsigned long long)seq, from, (unsigned long long)flow->next);
        flow_advance(flow, r, t->n_topics);
        if (seq >> s->granule_shift != flow->next >> s->granule_shift)
                sender_credit(s, seq >> s->granule_shift);
        r->delivered++;
}

/* Handles whole frames. Returns how many bytes are left over. */
static size_t peer_parse(struct traffic *t, struct peer *p, const uint8_t *data, size_t size)
{
        const uint8_t *at = data, *end = data + size;

        while ((size_t)(end - at) >= RECV_HEADER) {
                size_t n = RECV_HEADER;

                if (*at == KIND_ACK) {
                        sender_ack(p->sender, p, at);
                } else if (*at == KIND_PING) {
                        peer_pong(t, p);
                } else {
                        n += get32(at + 1);
                        if ((size_t)(end - at) < n)
                                break;
                        receiver_frame(t, p, at, n);
                }
                at += n;
        }
        return (size_t)(end - at);
}

/* False when nothing was there. */
static bool peer_read(struct traffic *t, struct peer *p)
{
        bool large = t->frame_max > LARGE_SIZE;
        uint8_t *buffer = large ? p->tail : t->buffer;
        size_t size = p->tail_size, left;
        ssize_t n;

        if (!large)
                memcpy(buffer, p->tail, size);
        n = recv(p->client.fd, buffer + size, (large ? t->frame_max : BUFFER_SIZE) - size,
                 MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n < 0)
                fail("%s: read: %s", p->client.name, strerror(errno));
        if (n == 0)
                fail("%s: the broker closed the connection", p->client.name);
        size += (size_t)n;
        left = peer_parse(t, p, buffer, size);
        if (left >= t->frame_max)
                fail("%s: a frame that is too long", p->client.name);
        memmove(p->tail, buffer + size - left, left);
        p->tail_size = left;
        return true;
}

static void peer_event(struct traffic *t, struct peer *p, uint32_t events)
{
        if (events & EPOLLOUT)
                peer_write(t, p, p->out, p->out_left);
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                peer_read(t, p);
}

static bool traffic_all_sent(const struct traffic *t)
{
        for (uint32_t i = 0; i < t->n_senders; i++)
                if (t->senders[i].next < t->senders[i].limit)
                        return false;
        return true;
}

/* Nothing came. Has it been so for ten seconds? A wait that blocks is as long by itself. */
static bool traffic_stands(struct traffic *t)
{
        uint64_t now = now_nsec();

        if (t->idle_since == 0)
                t->idle_since = now;
        return !t->o->poll || now - t->idle_since >= STANDSTILL_SEC * NSEC_PER_SEC;
}

/* Waits, and handles what came. How many connections had something. */
static int traffic_wait(struct traffic *t, int msec)
{
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(t->epoll, events, EVENTS_MAX, msec);

        if (n < 0 && errno != EINTR)
                fail("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < n; i++)
                peer_event(t, events[i].data.ptr, events[i].events);
        return n;
}

/* The same without waiting: the connections themselves are tried, one after the other. */
static int traffic_look(struct traffic *t)
{
        int n = 0;

        for (uint32_t i = 0; i < t->n_peers; i++) {
                struct peer *p = &t->peers[i];

                if (p->out_left > 0)
                        peer_write(t, p, p->out, p->out_left);
                n += peer_read(t, p);
        }
        return n;
}

/* One turn. Whoever is sending does not wait once all is sent: then nothing may come. */
static void traffic_turn(struct traffic *t, bool sending)
{
        bool more = false;
        int n;

        for (uint32_t i = 0; i < t->n_senders; i++)
                more |= sender_pump(t, &t->senders[i]);
        more |= sending && traffic_all_sent(t);
        n = t->o->poll ? traffic_look(t) : traffic_wait(t, more ? 0 : STANDSTILL_SEC * 1000);
        if (n != 0 || more)
                t->idle_since = 0;
        else if (traffic_stands(t))
                fail("nothing moved for %d s", STANDSTILL_SEC);
}

/* Has everything that was sent been acknowledged, received, or passed by the barrier? */
static bool traffic_drained(const struct traffic *t)
{
        for (uint32_t i = 0; i < t->n_senders; i++) {
                const struct sender *s = &t->senders[i];

                if (s->peer->out_left > 0 || s->in_barrier || (s->depth > 0 && s->acked < s->next))
                        return false;
        }
        for (uint32_t i = 0; i < t->n_receivers; i++)
                for (uint32_t k = 0; k < t->n_senders; k++) {
                        const struct flow *flow = &t->receivers[i].flows[k];

                        if (flow->open && flow->next < t->senders[k].next)
                                return false;
                }
        return true;
}

/* Nobody receives and nobody acknowledges: one acknowledged operation behind the rest shows the
 * end. */
static void traffic_barrier(struct traffic *t)
{
        for (uint32_t i = 0; i < t->n_senders; i++) {
                struct sender *s = &t->senders[i];

                s->acked = s->next;
                while (s->peer->out_left > 0)
                        traffic_turn(t, false);
                s->in_barrier = true;
                peer_write(t, s->peer, s->barrier, s->barrier_size);
        }
}

void traffic_run(struct traffic *t, double seconds, uint64_t count)
{
        uint64_t deadline = now_nsec() + (uint64_t)(seconds * (double)NSEC_PER_SEC);

        for (uint32_t i = 0; i < t->n_senders; i++)
                t->senders[i].limit = count > 0 ? t->senders[i].next + count : UINT64_MAX;
        while (now_nsec() < deadline && !traffic_all_sent(t))
                traffic_turn(t, true);
        for (uint32_t i = 0; i < t->n_senders; i++)
                t->senders[i].limit = t->senders[i].next;
        if (t->n_senders > 0 && t->senders[0].depth == 0 && t->senders[0].receivers == 0)
                traffic_barrier(t);
        while (!traffic_drained(t))
                traffic_turn(t, false);
}

struct totals traffic_totals(const struct traffic *t)
{
        struct totals sum = {0};

        for (uint32_t i = 0; i < t->n_senders; i++) {
                sum.sent += t->senders[i].next;
                sum.acked += t->senders[i].acked;
        }
        for (uint32_t i = 0; i < t->n_receivers; i++)
                sum.delivered += t->receivers[i].delivered;
        return sum;
}

void traffic_start(struct traffic *t)
{
        t->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (t->epoll < 0)
                fail("epoll_create1: %s", strerror(errno));
        t->frame_max = RECV_HEADER + HEAD_MAX + t->payload;
        t->buffer = xcalloc(1, BUFFER_SIZE);
        for (uint32_t i = 0; i < t->n_peers; i++) {
                struct peer *p = &t->peers[i];
                struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};

                p->tail = xcalloc(1, t->frame_max);
                if (!t->o->poll && epoll_ctl(t->epoll, EPOLL_CTL_ADD, p->client.fd, &e) < 0)
                        fail("epoll_ctl: %s", strerror(errno));
        }
}
