/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that do nothing: they are registered and answer pings. The idle mode says when all of
 * them are registered, and when each has been pinged, by one JSON object each, and ends when its
 * time is over or its standard input is closed; whoever reads these lines measures the broker's
 * memory in between. The connect mode opens and closes one connection after the other.
 */
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 64

struct idler {
        struct client client;
        bool pinged;
};

struct crowd {
        const struct options *o;
        struct idler *idlers;
        uint64_t n, n_pinged, n_closed, pings;
        int epoll, stop;
        bool started;
        pthread_t thread;
};

static void crowd_add(struct crowd *crowd, int fd, void *ptr)
{
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = ptr};

        if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
                fail("epoll_ctl: %s", strerror(errno));
}

/* Nothing but pings and an occasional warning of the broker comes here: what begins with 00 is a
 * ping. */
static void idler_read(struct crowd *crowd, struct idler *idler)
{
        uint8_t data[1024];
        ssize_t n = recv(idler->client.fd, data, sizeof(data), MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0 && !crowd->o->mute)
                fail("%s: the broker closed the connection", idler->client.name);
        if (n <= 0) {
                crowd->n_closed++;
                client_close(&idler->client);
                return;
        }
        if (data[0] != KIND_PING)
                return;
        crowd->pings++;
        crowd->n_pinged += !idler->pinged;
        idler->pinged = true;
        if (!crowd->o->mute)
                client_write(&idler->client, PING_FRAME, sizeof(PING_FRAME));
}

/* One wait and what came of it. False when it is time to stop. */
static bool crowd_turn(struct crowd *crowd, int timeout_msec)
{
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(crowd->epoll, events, EVENTS_MAX, timeout_msec);

        for (int i = 0; i < n; i++) {
                if (!events[i].data.ptr)
                        return false;
                idler_read(crowd, events[i].data.ptr);
        }
        return true;
}

struct crowd *crowd_new(const struct options *o, uint64_t n)
{
        struct crowd *crowd = xcalloc(1, sizeof(*crowd));

        crowd->o = o;
        crowd->n = n;
        crowd->idlers = xcalloc(n, sizeof(*crowd->idlers));
        crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
        crowd->stop = eventfd(0, EFD_CLOEXEC);
        if (crowd->epoll < 0 || crowd->stop < 0)
                fail("epoll or eventfd: %s", strerror(errno));
        crowd_add(crowd, crowd->stop, NULL);
        for (uint64_t i = 0; i < n; i++) {
                struct idler *idler = &crowd->idlers[i];
                char name[32];

                snprintf(name, sizeof(name), "bench.i.%05llu", (unsigned long long)i);
                client_open(&idler->client, o->address, name);
                crowd_add(crowd, idler->client.fd, idler);
                /* Opening thousands may take longer than a broker waits for an answer to its
                 * ping. */
                if (i % EVENTS_MAX == 0)
                        crowd_turn(crowd, 0);
        }
        crowd->n_pinged = crowd->pings = 0;
        for (uint64_t i = 0; i < n; i++)
                crowd->idlers[i].pinged = false;
        return crowd;
}

static void *crowd_thread(void *arg)
{
        while (crowd_turn(arg, -1))
                ;
        return NULL;
}

void crowd_start(struct crowd *crowd)
{
        if (pthread_create(&crowd->thread, NULL, crowd_thread, crowd) != 0)
                fail("no thread for the idle clients");
        crowd->started = true;
}

struct crowd *crowd_free(struct crowd *crowd)
{
        const uint64_t one = 1;

        if (!crowd)
                return NULL;
        if (crowd->started && write(crowd->stop, &one, sizeof(one)) == sizeof(one))
                pthread_join(crowd->thread, NULL);
        for (uint64_t i = 0; i < crowd->n; i++)
                client_close(&crowd->idlers[i].client);
        close(crowd->epoll);
        close(crowd->stop);
        free(crowd->idlers);
        free(crowd);
        return NULL;
}

static void report_crowd(const struct crowd *crowd, const char *event, const struct probe *from)
{
        struct probe to;

        probe_take(&to, crowd->o);
        report_open(crowd->o);
        report_text("event", event);
        report_number("clients", crowd->n);
        report_number("pinged", crowd->n_pinged);
        report_number("closed", crowd->n_closed);
        report_cost(crowd->o, from, &to, "ping", crowd->pings);
        report_close();
}

static bool stdin_is_closed(void)
{
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
        char c;

        return poll(&p, 1, 0) > 0 && read(STDIN_FILENO, &c, 1) <= 0;
}

int mode_idle(const struct options *o)
{
        struct crowd *crowd = crowd_new(o, o->clients);
        uint64_t end = now_nsec() + (uint64_t)(o->seconds * (double)NSEC_PER_SEC);
        struct probe from;
        bool told = false;

        probe_take(&from, o);
        report_crowd(crowd, "registered", &from);
        while (now_nsec() < end && !stdin_is_closed()) {
                crowd_turn(crowd, 50);
                if (!told && crowd->n_pinged == crowd->n) {
                        report_crowd(crowd, "pinged", &from);
                        told = true;
                }
        }
        report_crowd(crowd, "end", &from);
        crowd_free(crowd);
        return 0;
}

int mode_connect(const struct options *o)
{
        uint64_t end = now_nsec() + (uint64_t)(o->seconds * (double)NSEC_PER_SEC), n = 0;
        struct probe from, to;

        probe_take(&from, o);
        while (now_nsec() < end && (o->count == 0 || n < o->count)) {
                struct client c;
                char name[32];

                snprintf(name, sizeof(name), "bench.c.%llu", (unsigned long long)n++);
                client_open(&c, o->address, name);
                client_close(&c);
        }
        probe_take(&to, o);
        report_open(o);
        report_cost(o, &from, &to, "connection", n);
        report_close();
        return 0;
}
