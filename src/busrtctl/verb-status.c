/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl status: how busrtd does, at a glance. */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/client-fields.h"
#include "busrtctl/fit.h"
#include "busrtctl/label.h"
#include "busrtctl/output.h"
#include "busrtctl/text-time.h"

static const char help[] = "Usage: busrtctl [OPTION]... status [OPTION]...\n"
                           "\n"
                           "Tells how busrtd does: since when it runs, how it was reached, what it "
                           "has moved, what is\n"
                           "held for slow receivers, and what was lost or refused.\n"
                           "\n"
                           "Options:\n"
                           "  -l, --limits   the limits that are in force, too\n"
                           "      --json     one object with all of it\n"
                           "  -h, --help     this text\n";

/* Percent of the memory for queues. */
#define HELD_WARN 50
#define HELD_ALARM 90

#define KIND_WIDTH 4

struct status {
        struct settings settings;
        bool limits;
};

/* --- For people --- */

static void add_listeners(struct text *out, const struct settings *settings,
                          const struct admin_status *status)
{
        for (size_t i = 0; i < status->n_listeners; i++) {
                const struct admin_listener *listener = &status->listeners[i];

                add_label(out, settings, i == 0 ? "Listeners" : "");
                text_add_visible(out, listener->kind, strlen(listener->kind));
                text_adds(out, strlen(listener->kind) < KIND_WIDTH ? "  " : " ");
                text_add_visible(out, listener->address, strlen(listener->address));
                text_adds(out, listener->inherited ? " (from systemd)\n" : "\n");
        }
}

static void add_held(struct text *out, const struct settings *settings,
                     const struct admin_status *status)
{
        char held[TEXT_NUMBER_MAX], max[TEXT_NUMBER_MAX];
        double percent = status->queue_memory_max > 0
                                 ? 100.0 * (double)status->held / (double)status->queue_memory_max
                                 : 0;

        add_label(out, settings, "Queues");
        text_adds(out, ansi(settings, percent >= HELD_ALARM  ? ANSI_RED
                                      : percent >= HELD_WARN ? ANSI_YELLOW
                                                             : ""));
        text_addf(out, "%s held of %s (%.1f%%)%s\n", text_bytes(status->held, held),
                  text_bytes(status->queue_memory_max, max), percent, ansi(settings, ANSI_RESET));
}

static void add_limits(struct text *out, const struct settings *settings,
                       const struct admin_status *status)
{
        char number[TEXT_NUMBER_MAX];

        for (size_t i = 0; i < status->n_limits; i++) {
                add_label(out, settings, i == 0 ? "Limits" : "");
                text_add_visible(out, status->limits[i].name, strlen(status->limits[i].name));
                text_adds(out, "=");
                text_add_visible(out, status->limits[i].text, strlen(status->limits[i].text));
                text_adds(out, "\n");
        }
        add_label(out, settings, "Descriptors");
        text_addf(out, "%s at most\n", text_count(status->max_files, number));
}

static void add_start(struct text *out, const struct settings *settings,
                      const struct admin_status *status, const char *route)
{
        char span[TEXT_SPAN_MAX];

        text_addf(out, "%s%s%s busrtd ", ansi(settings, ANSI_GREEN), fit_dot(),
                  ansi(settings, ANSI_RESET));
        text_add_visible(out, status->version, strlen(status->version));
        text_adds(out, "\n");
        add_label(out, settings, "Active");
        text_adds(out, "since ");
        text_add_date(out, status->started);
        text_addf(out, "; %s ago\n", text_span(status->uptime, span));
        add_label(out, settings, "PID");
        text_addf(out, "%u\n", status->pid);
        add_label(out, settings, "Reached by");
        text_add_visible(out, route, strlen(route));
        text_adds(out, "\n");
}

static void add_status(struct text *out, const struct status *options,
                       const struct admin_status *status, const char *route)
{
        const struct settings *settings = &options->settings;
        char clients[TEXT_NUMBER_MAX];

        add_start(out, settings, status, route);
        add_listeners(out, settings, status);
        add_label(out, settings, "Clients");
        text_addf(out, "%s, on ", text_count(status->n_clients, clients));
        add_count(out, status->n_connections, "connection", "connections");
        text_adds(out, "\n");
        add_traffic(out, settings, "In", status->in_frames, status->in_bytes);
        add_traffic(out, settings, "Out", status->out_frames, status->out_bytes);
        add_held(out, settings, status);
        add_trouble(out, settings, "Dropped", status->dropped, "frame", "frames");
        add_trouble(out, settings, "Struck", status->struck, "slow receiver", "slow receivers");
        add_trouble(out, settings, "Refused", status->refused, "connection or name",
                    "connections and names");
        add_trouble(out, settings, "Denied", status->denied, "deed by the access rules",
                    "deeds by the access rules");
        add_trouble(out, settings, "Bad", status->bad_frames, "connection that broke the protocol",
                    "connections that broke the protocol");
        add_label(out, settings, "Access");
        if (status->n_access_rules > 0) {
                add_count(out, status->n_access_rules, "section of rules", "sections of rules");
                text_adds(out, "\n");
        } else {
                text_adds(out, "no rules: everybody may everything\n");
        }
        add_label(out, settings, "Log level");
        text_add_visible(out, status->log_level, strlen(status->log_level));
        text_adds(out, "\n");
        if (options->limits)
                add_limits(out, settings, status);
}

/* --- For programs --- */

static void add_string(struct text *out, const char *key, const char *value)
{
        text_addf(out, "\"%s\":", key);
        text_add_json(out, value, strlen(value));
}

static void add_json_lists(struct text *out, const struct admin_status *status)
{
        text_adds(out, ",\"listeners\":[");
        for (size_t i = 0; i < status->n_listeners; i++) {
                text_adds(out, i > 0 ? ",{" : "{");
                add_string(out, "kind", status->listeners[i].kind);
                text_adds(out, ",");
                add_string(out, "address", status->listeners[i].address);
                text_addf(out, ",\"inherited\":%s}",
                          status->listeners[i].inherited ? "true" : "false");
        }
        text_adds(out, "],\"limits\":{");
        for (size_t i = 0; i < status->n_limits; i++) {
                text_adds(out, i > 0 ? "," : "");
                add_string(out, status->limits[i].name, status->limits[i].text);
        }
        text_adds(out, "}");
}

static void add_json(struct text *out, const struct admin_status *status, const char *route)
{
        const struct {
                const char *key;
                uint64_t n;
        } numbers[] = {
                {"pid", status->pid},
                {"uptime_usec", status->uptime},
                {"in_frames", status->in_frames},
                {"in_bytes", status->in_bytes},
                {"out_frames", status->out_frames},
                {"out_bytes", status->out_bytes},
                {"dropped", status->dropped},
                {"struck", status->struck},
                {"refused", status->refused},
                {"denied", status->denied},
                {"bad_frames", status->bad_frames},
                {"connections", status->n_connections},
                {"clients", status->n_clients},
                {"held", status->held},
                {"queue_memory_max", status->queue_memory_max},
                {"max_files", status->max_files},
                {"access_rules", status->n_access_rules},
        };

        text_adds(out, "{");
        add_string(out, "version", status->version);
        text_adds(out, ",");
        add_string(out, "route", route);
        text_adds(out, ",\"started\":");
        text_add_iso(out, status->started);
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                text_addf(out, ",\"%s\":%llu", numbers[i].key, (unsigned long long)numbers[i].n);
        text_adds(out, ",");
        add_string(out, "log_level", status->log_level);
        add_json_lists(out, status);
        text_adds(out, "}\n");
}

/* --- The verb --- */

static int run(const struct status *options)
{
        _cleanup_(admin_freep) struct admin *admin = NULL;
        _cleanup_(admin_status_done) struct admin_status status = {0};
        _cleanup_(text_done) struct text out = {0};

        if (admin_open(&options->settings, &admin) < 0 || admin_get_status(admin, &status) < 0)
                return EXIT_FAILURE;
        if (options->settings.json)
                add_json(&out, &status, admin_route(admin));
        else
                add_status(&out, options, &status, admin_route(admin));
        return print_text(&out);
}

int verb_status(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"limits", no_argument, NULL, 'l'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        struct status status = {.settings = *settings};
        int c;

        while ((c = getopt_long(argc, argv, ":lh", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                if (c == 'l')
                        status.limits = true;
                else if (c == 'j')
                        status.settings.json = true;
                else
                        return option_error("status", c, argv);
        }
        if (optind < argc)
                return usage_error("status", "it takes no arguments: \"%s\"", argv[optind]);
        return run(&status);
}
