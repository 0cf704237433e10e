/* SPDX-License-Identifier: Apache-2.0 */
/* What happens on the bus, as far as the broker announces it by publications (docs/protocol.md, 6):
 * who comes and goes, frames that were dropped, receivers that were struck, and the end. */
#include <stdio.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtctl/admin-rpc.h"
#include "busrtctl/map-read.h"

struct watch {
        admin_event_handler fn;
        void *userdata;
        bool done;
        bool gone; /* the broker has said that it stops */
        bool no_memory;
};

static void pass(struct watch *watch, const struct admin_event *event)
{
        if (!watch->done && watch->fn(event, watch->userdata) != 0)
                watch->done = true;
}

static const char *event_name(const msgpack_object *map)
{
        static const struct {
                const char *told, *name;
        } names[] = {{"reg", "connected"},
                     {"unreg", "gone"},
                     {"slow", "dropped"},
                     {"struck", "struck"},
                     {"shutdown", "shutdown"}};
        const msgpack_object *what = busrt_map_get(map, "s");

        for (size_t i = 0; what && i < ARRAY_SIZE(names); i++)
                if (busrt_object_is(what, names[i].told))
                        return names[i].name;
        return NULL;
}

/* What is no announcement of a kind known here is passed over. */
static int read_announcement(const msgpack_object *map, struct admin_memory *memory,
                             struct watch *watch)
{
        struct admin_event event = {.what = event_name(map), .detail = ""};
        char detail[64];
        uint64_t time = 0, n = 0;
        int r;

        if (!event.what)
                return 0;
        r = map_read_text(map, "d", memory, &event.client);
        if (r < 0)
                return r;
        (void)busrt_map_get_uint(map, "t", &time);
        event.time = time / NSEC_PER_USEC;
        if (busrt_map_get_uint(map, "n", &n) >= 0) {
                (void)snprintf(detail, sizeof(detail), "%llu frames dropped",
                               (unsigned long long)n);
                event.detail = detail;
        }
        if (strcmp(event.what, "shutdown") == 0)
                watch->gone = true;
        pass(watch, &event);
        return 0;
}

static void on_frame(busrt_client *client, busrt_frame *frame, void *userdata)
{
        _cleanup_(admin_memory_freep) struct admin_memory *memory = admin_memory_new();
        _cleanup_(msgpack_unpacked_destroy) msgpack_unpacked unpacked;
        struct watch *watch = userdata;
        const char *topic = busrt_frame_get_topic(frame);
        int r;

        msgpack_unpacked_init(&unpacked);
        if (!topic || strcmp(busrt_frame_get_sender(frame), BROKER_NAME) != 0)
                return;
        r = memory ? unpack_reply(frame, &unpacked) : -ENOMEM;
        if (r >= 0)
                r = read_announcement(&unpacked.data, memory, watch);
        if (r == -ENOMEM)
                watch->no_memory = watch->done = true;
}

/* However the broker went, the end is told once. */
static int end(struct admin *admin, struct watch *watch, int r)
{
        const struct admin_event event = {
                .time = clock_nsec(CLOCK_REALTIME) / NSEC_PER_USEC,
                .what = "shutdown",
                .client = "",
                .detail = "the connection ended",
        };

        if (r == -EINTR && interrupted())
                return 0;
        if (watch->gone)
                return -fail(0, "%s: the broker has stopped", admin->route);
        pass(watch, &event);
        return watch->done ? 0 : rpc_fail_connection(admin, r);
}

static int watch_until_done(struct admin *admin, struct watch *watch)
{
        static const char *const topics[] = {".broker/info", ".broker/slow", ".broker/warn"};
        int r = busrt_client_subscribe(admin->client, topics, ARRAY_SIZE(topics),
                                       BUSRT_QOS_PROCESSED, NULL);

        if (r >= 0)
                r = process_until(admin->client, UINT64_MAX, &watch->done);
        if (watch->no_memory)
                return -fail(ENOMEM, "cannot wait for events");
        if (r < 0)
                return end(admin, watch, r);
        r = busrt_client_unsubscribe(admin->client, topics, ARRAY_SIZE(topics), BUSRT_QOS_PROCESSED,
                                     NULL);
        return r < 0 ? rpc_fail_connection(admin, r) : 0;
}

int rpc_watch(struct admin *admin, admin_event_handler fn, void *userdata)
{
        struct watch watch = {.fn = fn, .userdata = userdata};
        int r = busrt_client_set_frame_handler(admin->client, on_frame, &watch);

        r = r < 0 ? rpc_fail_connection(admin, r) : watch_until_done(admin, &watch);
        (void)busrt_client_set_frame_handler(admin->client, NULL, NULL);
        return r;
}
