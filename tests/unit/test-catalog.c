/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog, which the argument names, has an entry for whatever busrtd says, and each @FIELD@ in
 * it is one that every such record has. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "busrtd/messages.h"
#include "busrtd/real-time.h"

#define CATALOG_MAX (256 << 10)
#define ENTRY_START "\n-- "

static char *catalog;
static size_t n_checked;

/* The entry's text, which ends where the next one begins. */
static const char *find_entry(const char *message_id, size_t *ret_len)
{
        char start[64];
        const char *entry, *end;

        (void)snprintf(start, sizeof(start), ENTRY_START "%s\n", message_id);
        entry = strstr(catalog, start);
        if (!entry)
                fail_msg("no entry for %s", message_id);
        assert_null(strstr(entry + 1, start));
        entry += strlen(start);
        end = strstr(entry, ENTRY_START);
        *ret_len = end ? (size_t)(end - entry) : strlen(entry);
        return entry;
}

/* As log-sink.c writes them. */
static bool record_has(const struct log_record *r, const char *field, size_t len)
{
        const struct {
                const char *name;
                bool there;
        } fields[] = {
                {"BUSRT_LISTENER", r->listener[0]}, {"BUSRT_SESSION", r->session},
                {"BUSRT_FRAMES", r->has_frames},    {"BUSRT_RECORDS", r->records},
                {"BUSRT_FILE", r->file[0]},         {"BUSRT_LINE", r->line},
                {"BUSRT_ACTION", r->action[0]},
        };

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (strlen(fields[i].name) == len && memcmp(fields[i].name, field, len) == 0)
                        return fields[i].there;
        return false;
}

static void check(const struct log_record *record)
{
        size_t len;
        const char *entry = find_entry(record->message_id, &len), *at, *end = entry + len;

        for (at = entry; (at = memchr(at, '@', (size_t)(end - at))); at++) {
                const char *name = at + 1;

                at = memchr(name, '@', (size_t)(end - name));
                assert_non_null(at);
                if (!record_has(record, name, (size_t)(at - name)))
                        fail_msg("\"%s\" (%s) has no %.*s", record->text, record->message_id,
                                 (int)(at - name), name);
        }
        n_checked++;
}

/* What an event has at the least. */
static void check_events(void)
{
        for (int type = 0; type <= ENGINE_EVENT_RESYNC; type++)
                for (int cause = 0; cause <= ENGINE_CAUSE_NO_MEMORY; cause++) {
                        struct engine_event event = {
                                .type = (enum engine_event_type)type,
                                .cause = (enum engine_cause)cause,
                                .kind = TRANSPORT_TCP,
                                .id = 1,
                        };
                        struct log_record r;

                        if (message_event(&r, &event))
                                check(&r);
                }
}

static void check_process(void)
{
        struct config_place where = {.line = 0};
        struct engine_config config;
        struct log_record r;

        engine_config_init(&config);
        message_starting(&r), check(&r);
        message_default_socket(&r, "/run/x"), check(&r);
        message_listening(&r, TRANSPORT_TCP, "a:1", -1, false), check(&r);
        message_limits(&r, &config, 1), check(&r);
        message_real_time(&r, &(struct real_time){.policy = SCHED_FIFO}, &config), check(&r);
        message_not_locked(&r, -EPERM, 1, RLIM_INFINITY), check(&r);
        message_stopping(&r, "SIGTERM"), check(&r);
        message_failed(&r, "because"), check(&r);
        message_config_refused(&r, "because", &where), check(&r);
        message_unknown_key(&r, &(struct config_entry){"Bus", "X", "", "/x", 1}), check(&r);
        message_access_rules(&r, NULL), check(&r);
        message_reloaded(&r, "nothing"), check(&r);
        message_not_reloaded(&r, "because", &where), check(&r);
        message_worker_stalled(&r, 1), check(&r);
        message_worker_resumed(&r, 1), check(&r);
        message_suppressed(&r, "user 1", 1, 0), check(&r);
        message_records_lost(&r, 1), check(&r);
}

static void check_listeners(void)
{
        struct transport_peer peer = {.kind = TRANSPORT_UNIX};
        struct log_record r;

        message_accept_paused(&r, "/x", -EMFILE, 1), check(&r);
        message_accept_resumed(&r, "/x"), check(&r);
        message_connection_refused(&r, "/x", &peer, -ENOMEM), check(&r);
        message_fifo_line(&r, "/x", "because"), check(&r);
        message_listener_failed(&r, TRANSPORT_UNIX, "/x", "because"), check(&r);
}

static void check_administration(void)
{
        struct admin_request request = {
                .action = "a", .what = "do it", .client = "", .sender = ":1.1"};
        struct log_record r;

        message_bus_missing(&r, "org.busrt1", "because", true), check(&r);
        message_bus_taken(&r, "org.busrt1"), check(&r);
        message_bus_lost(&r, "org.busrt1", "because"), check(&r);
        message_denied(&r, &request, "because"), check(&r);
        message_granted(&r, &request), check(&r);
}

static void every_record_has_an_entry_that_fits(void **state)
{
        size_t n = 0;

        check_events();
        check_process();
        check_listeners();
        check_administration();
        for (const char *at = catalog; (at = strstr(at, ENTRY_START)); at++)
                n++;
        assert_int_equal(n, n_checked);
}

/* Other places that use the ids of some of these. */
static void records_that_share_an_entry_fit_it(void **state)
{
        struct transport_peer peer = {.kind = TRANSPORT_TCP};
        struct log_record r;

        message_listener_missing(&r, "because", ""), check(&r);
        message_connection_refused(&r, "/x", &peer, -EDQUOT), check(&r);
        message_connection_refused(&r, "/x", &peer, -EUSERS), check(&r);
        message_connection_refused(&r, "/x", &peer, -EBUSY), check(&r);
}

static char *read_file(const char *path)
{
        char *text = calloc(1, CATALOG_MAX);
        FILE *file = fopen(path, "re");
        size_t n = 0;

        if (file && text)
                n = fread(text, 1, CATALOG_MAX, file);
        if (file)
                (void)fclose(file);
        if (n == 0 || n == CATALOG_MAX) {
                free(text);
                return NULL;
        }
        return text;
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_record_has_an_entry_that_fits),
                cmocka_unit_test(records_that_share_an_entry_fit_it),
        };
        int failed;

        catalog = argc == 2 ? read_file(argv[1]) : NULL;
        if (!catalog)
                return EXIT_FAILURE;
        failed = cmocka_run_group_tests_name("catalog", tests, NULL, NULL);
        free(catalog);
        return failed;
}
