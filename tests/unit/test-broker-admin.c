/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of an administrator to `.broker` (docs/protocol.md, 6), with a stand-in for the engine and
 * one for the host. What the host is asked for comes when the test lets it: answer_late().
 */
#include <poll.h>

#include "fake-engine.h"
#include "packed.h"
#include "wire/frame.h"

#define DENIED RPC_CODE_BUS(WIRE_ACCESS)
#define BUSY RPC_CODE_BUS(WIRE_BUSY)
#define LATER_MAX 8 /* calls of one session that may wait */
#define LATER_MAX_ALL 64
#define RECORDS_MAX 256

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
        *ret = (struct broker_rpc_about){
                .started_at = 1700000000000000000, .max_files = 4096, .log_level = host.level};
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

static bool host_is_wanted(void)
{
        struct pollfd p = {broker_rpc_fd(rpc), POLLIN, 0};

        return poll(&p, 1, 0) > 0;
}

static void serve_host(void)
{
        while (host_is_wanted())
                broker_rpc_process(rpc);
}

/* --- The caller --- */

static void come_as(uid_t uid)
{
        bus.caller.info = (struct engine_client_info){.id = 77,
                                                      .name = "admin",
                                                      .kind = TRANSPORT_UNIX,
                                                      .primary = true,
                                                      .uid = uid,
                                                      .gid = uid,
                                                      .pid = 4711};
}

static void come_by_tcp(void)
{
        bus.caller.info = (struct engine_client_info){.id = 78,
                                                      .name = "far",
                                                      .kind = TRANSPORT_TCP,
                                                      .source = "192.0.2.7:40001",
                                                      .primary = true,
                                                      .uid = (uid_t)-1,
                                                      .gid = (gid_t)-1};
}

static uid_t stranger(void)
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

static int set_up_admin(void **state)
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
static void answer_late(const char *method, const void *params, size_t len)
{
        size_t before = bus.n_replies;

        call_id(CALL_ID, method, strlen(method), params, len);
        assert_int_equal(bus.n_replies, before);
        assert_true(host_is_wanted());
        serve_host();
        assert_int_equal(bus.n_replies, before + 1);
}

static void call_without_reply(const char *method, const void *params, size_t len)
{
        size_t before = bus.n_replies;

        call_id(0, method, strlen(method), params, len);
        serve_host();
        assert_int_equal(bus.n_replies, before);
}

/* --- What a client looks like --- */

static void put_field(struct bytes *b, const char *key, uint64_t value)
{
        put_text(b, key);
        put_number(b, value);
}

static void put_known(struct bytes *b, const char *key, uint64_t value, bool known)
{
        put_text(b, key);
        if (known)
                put_number(b, value);
        else
                put(b, 0xc0);
}

static void put_details(struct bytes *b, const struct engine_client_info *c, const char *primary,
                        bool masks)
{
        bool is_unix = c->kind == TRANSPORT_UNIX;

        if (masks)
                put_bytes(b, "\xde\0\x18", 3);
        else
                put_bytes(b, "\xde\0\x15", 3);
        put_field(b, "id", c->id);
        put_text(b, "name");
        put_text(b, c->name);
        put_text(b, "kind");
        put_text(b, is_unix ? "local_ipc" : "tcp");
        put_text(b, "source");
        put_text_or_nil(b, c->source);
        put_text(b, "port");
        put_text_or_nil(b, c->listener);
        put_text(b, "primary");
        put_text_or_nil(b, primary);
        put_known(b, "uid", c->uid, is_unix);
        put_known(b, "gid", c->gid, is_unix);
        put_known(b, "pid", (uint64_t)c->pid, c->pid != 0);
        put_field(b, "connected", c->connected_at);
        put_field(b, "r_frames", c->r_frames);
        put_field(b, "r_bytes", c->r_bytes);
        put_field(b, "w_frames", c->w_frames);
        put_field(b, "w_bytes", c->w_bytes);
        put_field(b, "dropped", c->dropped);
        put_field(b, "queue", c->queue_frames);
        put_field(b, "queue_bytes", c->queue_bytes);
        put_field(b, "queue_max", c->queue_frames_max);
        put_field(b, "queue_bytes_max", c->queue_bytes_max);
        put_field(b, "paced", c->paced);
        put_field(b, "instances", c->instances);
}

static void put_masks(struct bytes *b)
{
        static const char *const masks[] = {FAKE_MASKS};

        put_text(b, "secondaries");
        put(b, 0x91);
        put_text(b, FAKE_SECONDARY);
        put_text(b, "subscriptions");
        put(b, 0x90 | ARRAY_SIZE(masks));
        for (size_t i = 0; i < ARRAY_SIZE(masks); i++)
                put_text(b, masks[i]);
        put_text(b, "exclusions");
        put(b, 0x91);
        put_text(b, FAKE_EXCLUSION);
}

static void expect_one(size_t i, const char *primary)
{
        struct bytes b = {.n = 0};

        put_details(&b, &some_clients[i], primary, true);
        put_masks(&b);
        expect_result(b.data, b.n);
}

static void one_client_by_name_or_id(void **state)
{
        call("client.get", BYTES("\x81\xa4name\xa5plc.1"));
        expect_one(0, NULL);
        call("client.get", BYTES("\x81\xa2id\5"));
        expect_one(0, NULL);
        call("client.get", BYTES("\x82\xa2id\5\xa5masks\xc2"));
        expect_one(0, NULL);
        call("client.get", BYTES("\x81\xa4name\xa8plc.1%%0"));
        expect_one(1, "plc.1");
        call("client.get", BYTES("\x82\xa4name\xa3"
                                 "far\xa2id\xc0"));
        expect_one(2, NULL);
        assert_false(host_is_wanted());
}

static void expect_all(bool masks)
{
        static const size_t sorted[] = {2, 0, 1};
        struct bytes b = {.n = 0};

        put(&b, 0x81);
        put_text(&b, "clients");
        put(&b, 0x93);
        for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
                put_details(&b, &some_clients[sorted[i]], sorted[i] == 1 ? "plc.1" : NULL, masks);
                if (masks)
                        put_masks(&b);
        }
        expect_result(b.data, b.n);
}

static void all_clients_by_name_but_the_broker(void **state)
{
        call("client.get", "", 0);
        expect_all(false);
        call("client.get", BYTES("\x80"));
        expect_all(false);
        call("client.get", BYTES("\x81\xa5masks\xc2"));
        expect_all(false);
        call("client.get", BYTES("\x81\xa5masks\xc3"));
        expect_all(true);
        show(NULL, 0);
        call("client.get", "", 0);
        expect_result(BYTES("\x81\xa7"
                            "clients\x90"));
}

static void unknown_clients_are_named(void **state)
{
        static const char *const methods[] = {"client.get", "client.disconnect"};

        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                call(methods[i], BYTES("\x81\xa4name\xa5zzz\nx"));
                expect_error(RPC_CODE_NOT_FOUND, true);
                assert_true(error_says("there is no client \"zzz\nx\""));
                call(methods[i], BYTES("\x81\xa2id\xcd\1\1"));
                expect_error(RPC_CODE_NOT_FOUND, true);
                assert_true(error_says("there is no client #257"));
                call(methods[i], BYTES("\x81\xa4name\xa7.broker"));
                expect_error(RPC_CODE_NOT_FOUND, true);
                call(methods[i], BYTES("\x81\xa2id\1"));
                expect_error(RPC_CODE_NOT_FOUND, true);
                call(methods[i], BYTES("\x81\xa4name\xa0"));
                expect_error(RPC_CODE_NOT_FOUND, true);
        }
        assert_int_equal(bus.n_disconnected, 0);
        assert_false(host_is_wanted());
}

static void a_long_name_is_cut_between_characters(void **state)
{
        uint8_t params[400] = "\x81\xa4name\xda\1\x2c";

        for (size_t i = 0; i < 150; i++)
                memcpy(params + 9 + 2 * i, "é", 2);
        call("client.get", params, 9 + 300);
        expect_error(RPC_CODE_NOT_FOUND, true);
        assert_true(error_says("ééé...\""));
        memmove(params + 10, params + 9, 299);
        params[9] = 'x';
        call("client.get", params, 9 + 300);
        expect_error(RPC_CODE_INVALID_PARAMS, true); /* the last is cut */
        params[8]--;
        call("client.get", params, 9 + 299);
        expect_error(RPC_CODE_NOT_FOUND, true);
        assert_true(error_says("ééé...\""));
}

/* --- Parameters --- */

static void bad_params_are_refused_with_a_text(void **state)
{
        static const struct {
                const char *data;
                size_t len;
        } all[] = {
                {BYTES("\xc0")},
                {BYTES("\xc1")},
                {BYTES("\x90")},
                {BYTES("\x91\xa5plc.1")},
                {BYTES("\xa5plc.1")},
                {BYTES("\x81\xa4name")},
                {BYTES("\x81\xa4name\5")},
                {BYTES("\x81\xa4name\xc3")},
                {BYTES("\x81\xa4name\x80")},
                {BYTES("\x81\xa4name\xc4\1a")},
                {BYTES("\x81\xa4name\xa1\xff")},
                {BYTES("\x81\xa4name\xa5plc.")},
                {BYTES("\x81\xa2id\xa1"
                       "5")},
                {BYTES("\x81\xa2id\xff")},
                {BYTES("\x81\xa2id\xca\0\0\0\0")},
                {BYTES("\x81\xa5nane\xa5plc.1")},
                {BYTES("\x81\5\xa1"
                       "a")},
                {BYTES("\x82\xa4name\xa5plc.1\xa2id\5")},
                {BYTES("\x82\xa4name\xa5plc.1\xa4name\xa5plc.1")},
                {BYTES("\x82\xa4name\xc0\xa4name\xc0")},
                {BYTES("\x81\xa2id\5\xc0")},
                {BYTES("\xdf\xff\xff\xff\xff")},
                {BYTES("\xdf\xff\xff\xff\xff\xa2id\5")},
                {BYTES("\x81\xa4name\xdb\xff\xff\xff\xff")},
        };

        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                call("client.get", all[i].data, all[i].len);
                expect_error(RPC_CODE_INVALID_PARAMS, true);
                call("client.disconnect", all[i].data, all[i].len);
                expect_error(RPC_CODE_INVALID_PARAMS, true);
                call("log.level", all[i].data, all[i].len);
                expect_error(RPC_CODE_INVALID_PARAMS, true);
        }
        call("client.get", BYTES("\x81\xa5masks\5"));
        expect_error(RPC_CODE_INVALID_PARAMS, true);
        call("client.disconnect", BYTES("\x82\xa2id\5\xa5masks\xc3"));
        expect_error(RPC_CODE_INVALID_PARAMS, true);
        call("client.disconnect", "", 0);
        expect_error(RPC_CODE_INVALID_PARAMS, true);
        call("client.disconnect", BYTES("\x80"));
        expect_error(RPC_CODE_INVALID_PARAMS, true);
        assert_int_equal(bus.n_disconnected, 0);
        assert_false(host_is_wanted());
}

static void where_none_are_taken_any_are_refused(void **state)
{
        static const char *const methods[] = {"reload", "config.get", "status", "stats.reset"};

        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                call(methods[i], BYTES("\x80"));
                expect_error(RPC_CODE_INVALID_PARAMS, false);
        }
        assert_int_equal(bus.n_reset, 0);
        assert_false(host_is_wanted());
}

/* --- What changes something --- */

static void a_client_is_disconnected_and_that_is_told(void **state)
{
        call("client.disconnect", BYTES("\x81\xa4name\xa5plc.1"));
        expect_result(BYTES("\x81\xa2ok\xc3"));
        assert_int_equal(bus.disconnected, 5);
        serve_host();
        assert_int_equal(host.n_granted, 1);
        assert_string_equal(host.action, "org.busrt1.disconnect");
        assert_string_equal(host.what, "disconnect client \"plc.1\"");
        assert_string_equal(host.client, "plc.1");
        assert_string_equal(host.sender, "admin");
        assert_true(host.has_uid);
        assert_int_equal(host.uid, 0);
        assert_int_equal(host.pid, 4711);
        call("client.disconnect", BYTES("\x81\xa2id\6"));
        expect_result(BYTES("\x81\xa2ok\xc3"));
        assert_int_equal(bus.disconnected, 6);
        serve_host();
        assert_string_equal(host.what, "disconnect client \"plc.1%%0\"");
        assert_int_equal(host.n_denied, 0);
}

static void statistics_are_reset_and_that_is_told(void **state)
{
        call("stats.reset", "", 0);
        expect_result(BYTES("\x81\xa2ok\xc3"));
        assert_int_equal(bus.n_reset, 1);
        serve_host();
        assert_int_equal(host.n_granted, 1);
        assert_string_equal(host.action, "org.busrt1.reset-statistics");
        assert_string_equal(host.what, "reset the statistics");
}

static void a_reload_is_answered_by_the_host(void **state)
{
        answer_late("reload", "", 0);
        expect_result(BYTES("\x81\xa2ok\xc3"));
        assert_int_equal(host.n_reloads, 1);
        assert_int_equal(host.n_granted, 1);
        assert_string_equal(host.action, "org.busrt1.reload");
        assert_string_equal(host.what, "reload the configuration");
        host.reload_error = "/etc/busrt/busrtd.conf:3: no number";
        answer_late("reload", "", 0);
        expect_error(RPC_CODE_BUS(WIRE_OTHER), true);
        assert_true(error_says("/etc/busrt/busrtd.conf:3: no number"));
        assert_int_equal(host.n_granted, 1);
}

static void the_log_level_is_seen_and_set(void **state)
{
        answer_late("log.level", "", 0);
        expect_result(BYTES("\x81\xa5level\xa4info"));
        answer_late("log.level", BYTES("\x81\xa5level\xc0"));
        expect_result(BYTES("\x81\xa5level\xa4info"));
        assert_int_equal(host.n_granted, 0);
        answer_late("log.level", BYTES("\x81\xa5level\xa5"
                                       "debug"));
        expect_result(BYTES("\x81\xa5level\xa5"
                            "debug"));
        assert_int_equal(host.n_granted, 1);
        assert_string_equal(host.action, "org.busrt1.set-log-level");
        assert_string_equal(host.what, "set the log level to debug");
        answer_late("log.level", BYTES("\x81\xa5level\xa4loud"));
        expect_error(RPC_CODE_INVALID_PARAMS, true);
        call("log.level", BYTES("\x81\xa5level\xa0"));
        expect_error(RPC_CODE_INVALID_PARAMS, true);
        call("log.level", BYTES("\x81\xa5level\xd9\x14xxxxxxxxxxxxxxxxxxxx"));
        expect_error(RPC_CODE_INVALID_PARAMS, true);
        assert_int_equal(host.n_granted, 1);
}

static void what_changes_something_needs_no_reply(void **state)
{
        call_without_reply("client.disconnect", BYTES("\x81\xa4name\xa5plc.1"));
        assert_int_equal(bus.n_disconnected, 1);
        call_without_reply("client.disconnect", BYTES("\x81\xa4name\xa5plc.2"));
        assert_int_equal(bus.n_disconnected, 1);
        call_without_reply("stats.reset", "", 0);
        assert_int_equal(bus.n_reset, 1);
        call_without_reply("log.level", BYTES("\x81\xa5level\xa5"
                                              "debug"));
        assert_string_equal(host.level, "debug");
        call_without_reply("reload", "", 0);
        assert_int_equal(host.n_reloads, 1);
        assert_int_equal(host.n_granted, 4);
        host.reload_error = "x:1: y";
        call_without_reply("reload", "", 0);
        assert_int_equal(host.n_reloads, 2);
}

static void what_only_looks_does_nothing_without_a_reply(void **state)
{
        come_as(stranger());
        call_without_reply("client.get", "", 0);
        call_without_reply("config.get", "", 0);
        call_without_reply("status", "", 0);
        assert_int_equal(host.n_denied, 0);
}

/* --- What the host shows --- */

static void settings_come_with_their_places(void **state)
{
        struct bytes b = {.n = 0};

        put(&b, 0x81);
        put_text(&b, "settings");
        put(&b, 0x93);
        for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
                put(&b, 0x84);
                put_text(&b, "key");
                put_text(&b, settings[i].key);
                put_text(&b, "value");
                put_text(&b, settings[i].value);
                put_text(&b, "file");
                put_text(&b, settings[i].file);
                put_field(&b, "line", settings[i].line);
        }
        answer_late("config.get", "", 0);
        expect_result(b.data, b.n);
}

static void put_listener(struct bytes *b, const char *kind, const char *address, bool inherited)
{
        put(b, 0x83);
        put_text(b, "kind");
        put_text(b, kind);
        put_text(b, "address");
        put_text(b, address);
        put_text(b, "inherited");
        put(b, inherited ? 0xc3 : 0xc2);
}

static void put_status_lists(struct bytes *b)
{
        put_text(b, "listeners");
        put(b, 0x92);
        put_listener(b, "unix", "/run/busrt/bus.sock", true);
        put_listener(b, "tcp", "127.0.0.1:7777", false);
        put_text(b, "limits");
        put(b, 0x92);
        for (size_t i = 1; i < ARRAY_SIZE(settings); i++) {
                put(b, 0x82);
                put_text(b, "key");
                put_text(b, settings[i].key);
                put_text(b, "value");
                put_text(b, settings[i].value);
        }
}

static void the_status_has_all_numbers(void **state)
{
        struct bytes b = {.n = 0};

        bus.uptime = 90 * NSEC_PER_SEC;
        bus.counters = (struct engine_counters){1, 2000, 3, 400000, 5, 6, 7, 8, 9, 10, 11, 12};
        put_bytes(&b, "\xde\0\x13", 3);
        put_text(&b, "version");
        put_text(&b, BUSRT_VERSION);
        put_field(&b, "pid", (uint64_t)getpid());
        put_field(&b, "started", 1700000000000000000);
        put_field(&b, "uptime", 90 * NSEC_PER_SEC);
        put_field(&b, "r_frames", 1);
        put_field(&b, "r_bytes", 2000);
        put_field(&b, "w_frames", 3);
        put_field(&b, "w_bytes", 400000);
        put_field(&b, "dropped", 5);
        put_field(&b, "struck", 6);
        put_field(&b, "refused", 7);
        put_field(&b, "bad_frames", 8);
        put_field(&b, "connections", 9);
        put_field(&b, "clients", 10);
        put_field(&b, "held", 11);
        put_field(&b, "max_files", 4096);
        put_text(&b, "log_level");
        put_text(&b, "info");
        put_status_lists(&b);
        answer_late("status", "", 0);
        expect_result(b.data, b.n);
}

/* --- Who may --- */

static const struct {
        const char *method;
        const char *params;
        size_t len;
        const char *action, *what, *client;
} guarded[] = {
        {"client.get", BYTES(""), "org.busrt1.inspect", "look at the clients"},
        {"client.get", BYTES("\x81\xa4name\xa3zzz"), "org.busrt1.inspect", "look at client \"zzz\"",
         "zzz"},
        {"client.disconnect", BYTES("\x81\xa4name\xa5plc.1"), "org.busrt1.disconnect",
         "disconnect client \"plc.1\"", "plc.1"},
        {"client.disconnect", BYTES("\x81\xa2id\5"), "org.busrt1.disconnect",
         "disconnect client #5"},
        {"reload", BYTES(""), "org.busrt1.reload", "reload the configuration"},
        {"config.get", BYTES(""), "org.busrt1.inspect", "see the configuration"},
        {"status", BYTES(""), "org.busrt1.inspect", "see the status"},
        {"log.level", BYTES(""), "org.busrt1.inspect", "see the log level"},
        {"log.level",
         BYTES("\x81\xa5level\xa5"
               "debug"),
         "org.busrt1.set-log-level", "set the log level to debug"},
        {"stats.reset", BYTES(""), "org.busrt1.reset-statistics", "reset the statistics"},
};

static void expect_nothing_done(void)
{
        assert_int_equal(bus.n_disconnected, 0);
        assert_int_equal(bus.n_reset, 0);
        assert_int_equal(host.n_reloads, 0);
        assert_int_equal(host.n_granted, 0);
        assert_string_equal(host.level, "info");
}

static void expect_refusals(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(guarded); i++) {
                size_t before = host.n_denied;

                call(guarded[i].method, guarded[i].params, guarded[i].len);
                expect_error(DENIED, true);
                serve_host();
                assert_int_equal(host.n_denied, before + 1);
                assert_string_equal(host.action, guarded[i].action);
                assert_string_equal(host.what, guarded[i].what);
                assert_string_equal(host.client, guarded[i].client ? guarded[i].client : "");
        }
        expect_nothing_done();
}

static void strangers_are_refused_and_that_is_told(void **state)
{
        come_as(stranger());
        expect_refusals();
        assert_string_equal(host.sender, "admin");
        assert_true(host.has_uid);
        assert_int_equal(host.uid, stranger());
        assert_int_equal(host.pid, 4711);
        assert_string_equal(host.why, "it is neither root nor the broker's own user");
}

static void who_comes_by_tcp_is_refused(void **state)
{
        come_by_tcp();
        expect_refusals();
        assert_false(host.has_uid);
        assert_string_equal(host.source, "192.0.2.7:40001");
        assert_string_equal(host.why, "it did not come by a UNIX socket");
        bus.caller.info.uid = 0; /* whatever stands there */
        expect_refusals();
        bus.caller.info.kind = TRANSPORT_INTERNAL;
        expect_refusals();
}

static void a_refused_call_without_reply_is_told_too(void **state)
{
        come_as(stranger());
        call_without_reply("reload", "", 0);
        assert_int_equal(host.n_denied, 1);
        expect_nothing_done();
}

static void the_brokers_own_user_may(void **state)
{
        come_as(geteuid());
        call("client.disconnect", BYTES("\x81\xa2id\5"));
        expect_result(BYTES("\x81\xa2ok\xc3"));
        answer_late("reload", "", 0);
        expect_result(BYTES("\x81\xa2ok\xc3"));
        assert_int_equal(host.n_denied, 0);
}

static void without_a_host_there_are_no_such_methods(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(guarded); i++) {
                call(guarded[i].method, guarded[i].params, guarded[i].len);
                expect_error(RPC_CODE_METHOD_NOT_FOUND, false);
        }
        assert_int_equal(bus.n_disconnected + bus.n_reset, 0);
}

/* --- Bounds --- */

static void of_one_session_a_few_calls_wait(void **state)
{
        size_t before = bus.n_replies;

        for (size_t i = 0; i < LATER_MAX; i++)
                call_id(CALL_ID, "status", 6, "", 0);
        assert_int_equal(bus.n_replies, before);
        call("status", "", 0);
        expect_error(BUSY, true);
        call("reload", "", 0);
        expect_error(BUSY, true);
        call_id(0, "reload", 6, "", 0);
        call("test", "", 0); /* what the worker answers it answers */
        expect_result(BYTES("\x81\xa2ok\xc3"));
        serve_host();
        assert_int_equal(bus.n_replies, before + 3 + LATER_MAX);
        assert_int_equal(host.n_reloads, 0);
        answer_late("status", "", 0);
}

static void of_all_sessions_a_bounded_number_waits(void **state)
{
        size_t before = bus.n_replies;

        for (size_t i = 0; i < LATER_MAX_ALL; i++) {
                bus.caller.info.id = 100 + i / LATER_MAX;
                call_id(0, "reload", 6, "", 0);
        }
        bus.caller.info.id = 99;
        assert_int_equal(bus.n_replies, before);
        call("reload", "", 0);
        expect_error(BUSY, true);
        serve_host();
        assert_int_equal(host.n_reloads, LATER_MAX_ALL);
        answer_late("reload", "", 0);
}

static void refusals_are_told_up_to_a_bound_and_take_no_room_of_calls(void **state)
{
        come_as(stranger());
        for (size_t i = 0; i < RECORDS_MAX + 100; i++) {
                call("reload", "", 0);
                expect_error(DENIED, true);
        }
        come_as(0);
        call("client.disconnect", BYTES("\x81\xa2id\5")); /* what cannot be told is not done */
        expect_error(BUSY, true);
        call("stats.reset", "", 0);
        expect_error(BUSY, true);
        assert_int_equal(bus.n_disconnected + bus.n_reset, 0);
        call_id(CALL_ID, "config.get", 10, "", 0);
        serve_host();
        assert_int_equal(bus.reply[0], RPC_REPLY);
        assert_int_equal(host.n_denied, RECORDS_MAX);
        assert_int_equal(host.n_missed, 1);
        call("client.disconnect", BYTES("\x81\xa2id\5"));
        expect_result(BYTES("\x81\xa2ok\xc3"));
}

static void late_replies_come_in_order(void **state)
{
        for (uint32_t i = 1; i <= LATER_MAX; i++)
                call_id(i, i % 2 ? "status" : "config.get", i % 2 ? 6 : 10, "", 0);
        serve_host();
        assert_int_equal(bus.n_replies, LATER_MAX);
        for (uint32_t i = 0; i < LATER_MAX; i++)
                assert_int_equal(bus.ids[i], i + 1);
}

static void a_late_reply_is_realtime_where_its_request_was(void **state)
{
        uint8_t payload[16];
        size_t n = rpc_request_encode(payload, CALL_ID, "reload", 6);

        deliver(payload, n, true);
        serve_host();
        assert_true(bus.realtime);
        answer_late("reload", "", 0);
        assert_false(bus.realtime);
}

static void at_the_end_records_are_told_and_calls_dropped(void **state)
{
        size_t before;

        call("client.disconnect", BYTES("\x81\xa2id\5"));
        call_id(CALL_ID, "reload", 6, "", 0);
        come_as(stranger());
        call("reload", "", 0);
        before = bus.n_replies;
        broker_rpc_finish(rpc);
        assert_int_equal(host.n_granted, 1);
        assert_int_equal(host.n_denied, 1);
        assert_int_equal(host.n_reloads, 0);
        assert_int_equal(bus.n_replies, before);
        assert_false(host_is_wanted());
}

/* --- Memory --- */

/* Each allocation of a call that is answered late fails in turn. */
static void late_fail_in_turn(const char *method, const void *params, size_t len)
{
        size_t held = memory.n_live, n = 0;

        do {
                size_t before = bus.n_replies;

                memory_fail_in(++n);
                call_id(CALL_ID, method, strlen(method), params, len);
                serve_host();
                assert_int_equal(bus.n_replies, before + 1);
                assert_int_equal(memory.n_live, held);
                if (memory.failed)
                        expect_error(RPC_CODE_INTERNAL, true);
        } while (memory.failed);
        memory_fail_in(0);
        assert_int_equal(bus.reply[0], RPC_REPLY);
        assert_true(n > 1);
}

static void without_memory_a_call_is_an_internal_error(void **state)
{
        fail_in_turn("client.get", "", 0);
        fail_in_turn("client.get", BYTES("\x81\xa5masks\xc3"));
        fail_in_turn("client.get", BYTES("\x81\xa2id\5"));
        late_fail_in_turn("client.disconnect", BYTES("\x81\xa2id\5"));
        late_fail_in_turn("stats.reset", "", 0);
        late_fail_in_turn("status", "", 0);
        late_fail_in_turn("config.get", "", 0);
        late_fail_in_turn("log.level", "", 0);
        late_fail_in_turn("reload", "", 0);
        come_as(stranger());
        memory_fail_in(1);
        call("reload", "", 0);
        memory_fail_in(0);
        expect_error(RPC_CODE_INTERNAL, true);
}

static void where_the_worker_cannot_be_asked_nothing_breaks(void **state)
{
        size_t before;

        bus.without_memory = true;
        call("client.disconnect", BYTES("\x81\xa2id\5"));
        expect_error(RPC_CODE_INTERNAL, true);
        serve_host();
        assert_int_equal(host.n_granted, 0);
        before = bus.n_replies;
        call_id(CALL_ID, "status", 6, "", 0);
        call_id(CALL_ID, "reload", 6, "", 0);
        serve_host();
        assert_int_equal(bus.n_replies, before);
}

#define ADMIN_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up_admin, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                ADMIN_TEST(one_client_by_name_or_id),
                ADMIN_TEST(all_clients_by_name_but_the_broker),
                ADMIN_TEST(unknown_clients_are_named),
                ADMIN_TEST(a_long_name_is_cut_between_characters),
                ADMIN_TEST(bad_params_are_refused_with_a_text),
                ADMIN_TEST(where_none_are_taken_any_are_refused),
                ADMIN_TEST(a_client_is_disconnected_and_that_is_told),
                ADMIN_TEST(statistics_are_reset_and_that_is_told),
                ADMIN_TEST(a_reload_is_answered_by_the_host),
                ADMIN_TEST(the_log_level_is_seen_and_set),
                ADMIN_TEST(what_changes_something_needs_no_reply),
                ADMIN_TEST(what_only_looks_does_nothing_without_a_reply),
                ADMIN_TEST(settings_come_with_their_places),
                ADMIN_TEST(the_status_has_all_numbers),
                ADMIN_TEST(strangers_are_refused_and_that_is_told),
                ADMIN_TEST(who_comes_by_tcp_is_refused),
                ADMIN_TEST(a_refused_call_without_reply_is_told_too),
                ADMIN_TEST(the_brokers_own_user_may),
                TEST(without_a_host_there_are_no_such_methods),
                ADMIN_TEST(of_one_session_a_few_calls_wait),
                ADMIN_TEST(of_all_sessions_a_bounded_number_waits),
                ADMIN_TEST(refusals_are_told_up_to_a_bound_and_take_no_room_of_calls),
                ADMIN_TEST(late_replies_come_in_order),
                ADMIN_TEST(a_late_reply_is_realtime_where_its_request_was),
                ADMIN_TEST(at_the_end_records_are_told_and_calls_dropped),
                ADMIN_TEST(without_memory_a_call_is_an_internal_error),
                ADMIN_TEST(where_the_worker_cannot_be_asked_nothing_breaks),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
