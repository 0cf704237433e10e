/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for the process around the engine, for calls of an administrator: it answers what it
 * is asked when the test lets it, and keeps what it was told.
 */
#pragma once

#include <poll.h>

#include "fake-engine.h"

/* --- The host --- */

static struct {
        const char *reload_error; /* NULL: it works */
        size_t n_reloads;
        const char *level;
        size_t n_denied, n_granted, n_missed;
        char what[256], client[128], sender[128], source[64], action[64], why[128]; /* last told */
        bool has_uid;
        uid_t uid;
        pid_t pid;
} host;

static void on_about(struct broker_rpc_about *ret, void *userdata)
{
        *ret = (struct broker_rpc_about){.started_at = 1700000000000000000,
                                         .max_files = 4096,
                                         .log_level = host.level,
                                         .n_access_rules = 13};
}

static int on_reload(char *error, size_t size, void *userdata)
{
        host.n_reloads++;
        if (!host.reload_error)
                return 0;
        (void)snprintf(error, size, "%s", host.reload_error);
        return -EINVAL;
}

static int on_set_log_level(const char *level, void *userdata)
{
        static const char *const levels[] = {"info", "debug"};

        for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
                if (strcmp(levels[i], level) == 0) {
                        host.level = levels[i];
                        return 0;
                }
        return -EINVAL;
}

static const struct broker_rpc_setting settings[] = {
        {"Listen", "/run/busrt/bus.sock", "command line", 0},
        {"QueueFrames", "100", "/etc/busrt/busrtd.conf", 7},
        {"QueueBytes", "16777216", "", 0},
};

static int on_foreach_setting(int (*fn)(const struct broker_rpc_setting *setting, void *userdata),
                              void *fn_userdata, bool limits, void *userdata)
{
        int r = 0;

        for (size_t i = limits; i < ARRAY_SIZE(settings) && r == 0; i++)
                r = fn(&settings[i], fn_userdata);
        return r;
}

static int on_foreach_listener(int (*fn)(enum transport_kind kind, const char *address,
                                         bool inherited, void *userdata),
                               void *fn_userdata, void *userdata)
{
        int r = fn(TRANSPORT_UNIX, "/run/busrt/bus.sock", true, fn_userdata);

        return r != 0 ? r : fn(TRANSPORT_TCP, "127.0.0.1:7777", false, fn_userdata);
}

static void note(const struct broker_rpc_deed *deed, const char *why)
{
        (void)snprintf(host.action, sizeof(host.action), "%s", deed->action);
        (void)snprintf(host.what, sizeof(host.what), "%s", deed->what);
        (void)snprintf(host.client, sizeof(host.client), "%s", deed->client);
        (void)snprintf(host.sender, sizeof(host.sender), "%s", deed->sender);
        (void)snprintf(host.source, sizeof(host.source), "%s", deed->source);
        (void)snprintf(host.why, sizeof(host.why), "%s", why);
        host.has_uid = deed->has_uid;
        host.uid = deed->uid;
        host.pid = deed->pid;
}

static void on_denied(const struct broker_rpc_deed *deed, const char *why, void *userdata)
{
        host.n_denied++;
        note(deed, why);
}

static void on_granted(const struct broker_rpc_deed *deed, void *userdata)
{
        host.n_granted++;
        note(deed, "");
}

static void on_missed(void *userdata)
{
        host.n_missed++;
}

static const struct broker_rpc_host hooks = {
        .about = on_about,
        .reload = on_reload,
        .set_log_level = on_set_log_level,
        .foreach_setting = on_foreach_setting,
        .foreach_listener = on_foreach_listener,
        .denied = on_denied,
        .granted = on_granted,
        .missed = on_missed,
};

static inline bool host_is_wanted(void)
{
        struct pollfd p = {broker_rpc_fd(rpc), POLLIN, 0};

        return poll(&p, 1, 0) > 0;
}

static inline void serve_host(void)
{
        while (host_is_wanted())
                broker_rpc_process(rpc);
}

/* --- The caller --- */

static inline void come_as(uid_t uid)
{
        bus.caller.info = (struct engine_client_info){.id = 77,
                                                      .name = "admin",
                                                      .kind = TRANSPORT_UNIX,
                                                      .primary = true,
                                                      .uid = uid,
                                                      .gid = uid,
                                                      .pid = 4711};
}

static inline void come_by_tcp(void)
{
        bus.caller.info = (struct engine_client_info){.id = 78,
                                                      .name = "far",
                                                      .kind = TRANSPORT_TCP,
                                                      .source = "192.0.2.7:40001",
                                                      .primary = true,
                                                      .uid = (uid_t)-1,
                                                      .gid = (gid_t)-1};
}

static inline uid_t stranger(void)
{
        return geteuid() + 4242;
}

static const struct engine_client_info some_clients[] = {
        {.id = 5,
         .name = "plc.1",
         .kind = TRANSPORT_UNIX,
         .listener = "/run/busrt/bus.sock",
         .primary = true,
         .uid = 1000,
         .gid = 100,
         .pid = 4242,
         .connected_at = 1700000000123456789,
         .r_frames = 1,
         .r_bytes = 200,
         .w_frames = 70000,
         .w_bytes = UINT64_C(1) << 40,
         .dropped = 6,
         .queue_frames = 300,
         .queue_bytes = 5,
         .queue_frames_max = 301,
         .queue_bytes_max = 6000,
         .paced = 7000000000,
         .instances = 2},
        {.id = 6,
         .name = "plc.1%%0",
         .kind = TRANSPORT_UNIX,
         .listener = "/run/busrt/bus.sock",
         .uid = 1000,
         .gid = 100,
         .instances = 1},
        {.id = 7,
         .name = "far",
         .kind = TRANSPORT_TCP,
         .source = "[::1]:4096",
         .listener = "[::]:7777",
         .primary = true,
         .uid = (uid_t)-1,
         .gid = (gid_t)-1,
         .instances = 1},
        {.id = 1, .name = ".broker", .kind = TRANSPORT_INTERNAL, .primary = true, .instances = 1},
};

static inline int set_up_admin(void **state)
{
        int r = set_up(state);

        memset(&host, 0, sizeof(host));
        host.level = "info";
        if (r == 0)
                broker_rpc_set_host(rpc, &hooks);
        come_as(0);
        show(some_clients, ARRAY_SIZE(some_clients));
        return r;
}

/* The call is answered by the host, and not before. */
static inline void answer_late(const char *method, const void *params, size_t len)
{
        size_t before = bus.n_replies;

        call_id(CALL_ID, method, strlen(method), params, len);
        assert_int_equal(bus.n_replies, before);
        assert_true(host_is_wanted());
        serve_host();
        assert_int_equal(bus.n_replies, before + 1);
}

static inline void call_without_reply(const char *method, const void *params, size_t len)
{
        size_t before = bus.n_replies;

        call_id(0, method, strlen(method), params, len);
        serve_host();
        assert_int_equal(bus.n_replies, before);
}

#define ADMIN_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up_admin, tear_down)
