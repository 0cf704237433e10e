/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an administrator's calls of `.broker` do and answer (docs/protocol.md, 6), with stand-ins
 * for the engine and for the host.
 */
#include "fake-host.h"
#include "packed.h"
#include "wire/frame.h"

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
        bus.counters = (struct engine_counters){.r_frames = 1,
                                                .r_bytes = 2000,
                                                .w_frames = 3,
                                                .w_bytes = 400000,
                                                .dropped = 5,
                                                .struck = 6,
                                                .refused = 7,
                                                .denied = 8,
                                                .bad = 9,
                                                .sessions = 10,
                                                .clients = 11,
                                                .held = 12,
                                                .passes = 13};
        put_bytes(&b, "\xde\0\x15", 3);
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
        put_field(&b, "denied", 8);
        put_field(&b, "bad_frames", 9);
        put_field(&b, "connections", 10);
        put_field(&b, "clients", 11);
        put_field(&b, "held", 12);
        put_field(&b, "max_files", 4096);
        put_text(&b, "log_level");
        put_text(&b, "info");
        put_field(&b, "access_rules", 13);
        put_status_lists(&b);
        answer_late("status", "", 0);
        expect_result(b.data, b.n);
}

/* --- Quotas --- */

static void put_use(struct bytes *b, const char *key, const struct engine_account_use *use)
{
        char name[64];

        put_field(b, key, use->used);
        (void)snprintf(name, sizeof(name), "%s_max", key);
        put_known(b, name, use->max, use->max != ENGINE_NO_LIMIT);
        (void)snprintf(name, sizeof(name), "%s_refused", key);
        put_field(b, name, use->refused);
}

static void put_quota(struct bytes *b, const struct engine_account_info *a)
{
        put_bytes(b, "\xde\0\x13", 3);
        put_text(b, "identity");
        put_text(b, a->identity);
        put_known(b, "uid", a->uid, a->uid != (uid_t)-1);
        put_use(b, "connections", &a->connections);
        put_use(b, "names", &a->names);
        put_use(b, "subscriptions", &a->subscriptions);
        put_use(b, "held", &a->memory);
        put_use(b, "handshakes", &a->handshakes);
        put_known(b, "rate_max", a->rate.max, a->rate.max != ENGINE_NO_LIMIT);
        put_field(b, "rate_refused", a->rate.refused);
}

static void quotas_are_those_of_all_or_of_one(void **state)
{
        struct bytes all = {.n = 0}, one = {.n = 0};

        put(&all, 0x81);
        put_text(&all, "quotas");
        put(&all, 0x92);
        put_quota(&all, &fake_accounts[0]);
        put_quota(&all, &fake_accounts[1]);
        call("quota.get", "", 0);
        expect_result(all.data, all.n);
        put(&one, 0x81);
        put_text(&one, "quotas");
        put(&one, 0x91);
        put_quota(&one, &fake_accounts[1]);
        call("quota.get", BYTES("\x81\xa8identity\xa6user 0"));
        expect_result(one.data, one.n);
        call("quota.get", BYTES("\x81\xa8identity\xa5user "));
        expect_result(BYTES("\x81\xa6quotas\x90"));
        call("quota.get", BYTES("\x81\xa8identity\x01"));
        expect_error(RPC_CODE_INVALID_PARAMS, true);
        assert_false(host_is_wanted());
}

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
                ADMIN_TEST(quotas_are_those_of_all_or_of_one),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
