/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "busrtctl/metrics.h"

#define PREFIX "busrt_"

enum family_type { GAUGE, COUNTER, INFO };

/* name: without the prefix, and what a type adds. unit: what name ends with, or "". */
struct family {
        const char *name, *unit, *help;
        enum family_type type;
        size_t offset; /* of its value */
        double scale;  /* 0: 1 */
};

#define OF(member) offsetof(struct admin_status, member)
static const struct family families[] = {
        {"start_time_seconds", "seconds", "When the broker started, as UNIX time.", GAUGE,
         OF(started), 1e-6},
        {"connections", "", "Connections, also those without a name yet.", GAUGE,
         OF(n_connections)},
        {"clients", "", "Clients that have a name.", GAUGE, OF(n_clients)},
        {"files_limit", "", "Descriptors that the broker may have open.", GAUGE, OF(max_files)},
        {"access_rules", "", "Sections of access rules in force.", GAUGE, OF(n_access_rules)},
        {"queue_memory_bytes", "bytes", "Memory held for receivers.", GAUGE, OF(held)},
        {"queue_memory_limit_bytes", "bytes", "Memory that may be held for receivers.", GAUGE,
         OF(queue_memory_max)},
        {"in_frames", "", "Frames that clients sent into the bus.", COUNTER, OF(in_frames)},
        {"in_bytes", "bytes", "Bytes of the frames that clients sent into the bus.", COUNTER,
         OF(in_bytes)},
        {"out_frames", "", "Frames that were queued for receivers.", COUNTER, OF(out_frames)},
        {"out_bytes", "bytes", "Bytes of the frames that were queued for receivers.", COUNTER,
         OF(out_bytes)},
        {"dropped_frames", "", "Frames that were lost since a queue was full.", COUNTER,
         OF(dropped)},
        {"struck_receivers", "", "How often the policy for slow receivers struck.", COUNTER,
         OF(struck)},
        {"refused_connections", "", "Connections and names that were refused.", COUNTER,
         OF(refused)},
        {"denials", "", "What access rules did not let clients do.", COUNTER, OF(denied)},
        {"broken_connections", "", "Connections that were ended for breaking the protocol.",
         COUNTER, OF(bad_frames)},
};
#undef OF

#define OF(member) offsetof(struct admin_client, member)
static const struct family client_families[] = {
        {"client_connected_time_seconds", "seconds", "When the client joined, as UNIX time.", GAUGE,
         OF(connected), 1e-6},
        {"client_queue_frames", "", "Frames that wait for the client.", GAUGE, OF(queue_frames)},
        {"client_queue_bytes", "bytes", "Bytes that wait for the client.", GAUGE, OF(queue_bytes)},
        {"client_queue_highest_bytes", "bytes", "The most bytes that have waited for the client.",
         GAUGE, OF(queue_bytes_max)},
        {"client_in_frames", "", "Frames that the client sent into the bus.", COUNTER,
         OF(in_frames)},
        {"client_in_bytes", "bytes", "Bytes of the frames that the client sent into the bus.",
         COUNTER, OF(in_bytes)},
        {"client_out_frames", "", "Frames that were queued for the client.", COUNTER,
         OF(out_frames)},
        {"client_out_bytes", "bytes", "Bytes of the frames that were queued for the client.",
         COUNTER, OF(out_bytes)},
        {"client_dropped_frames", "", "Frames for the client that were lost.", COUNTER,
         OF(dropped)},
        {"client_paced_seconds", "seconds", "How long the client was held up as a sender.", COUNTER,
         OF(paced), 1e-6},
};
#undef OF

static const struct family build_family = {"build", "", "The version of the broker.", INFO};
static const struct family left_out_family = {
        "clients_left_out", "", "Clients for which there are no series, since they are too many.",
        GAUGE};

/* The name that its samples have. */
static void add_sample_name(struct text *out, const struct family *family)
{
        text_addf(out, PREFIX "%s%s", family->name,
                  family->type == COUNTER ? "_total"
                  : family->type == INFO  ? "_info"
                                          : "");
}

/* The name that the family has: in Prometheus' own text that of the samples. */
static void add_family_name(struct text *out, const struct metrics_style *style,
                            const struct family *family)
{
        if (style->open)
                text_addf(out, PREFIX "%s", family->name);
        else
                add_sample_name(out, family);
}

static void add_head(struct text *out, const struct metrics_style *style,
                     const struct family *family)
{
        text_adds(out, "# HELP ");
        add_family_name(out, style, family);
        text_addf(out, " %s\n# TYPE ", family->help);
        add_family_name(out, style, family);
        text_addf(out, " %s\n",
                  family->type == COUNTER               ? "counter"
                  : family->type == INFO && style->open ? "info"
                                                        : "gauge");
        if (style->open && family->unit[0]) {
                text_adds(out, "# UNIT ");
                add_family_name(out, style, family);
                text_addf(out, " %s\n", family->unit);
        }
}

/* In both formats a backslash, a quote and a newline are escaped, and nothing else is. */
static void add_label(struct text *out, const char *name, const char *value)
{
        text_addf(out, "%s=\"", name);
        for (const char *p = value; *p; p++) {
                if (*p == '\n') {
                        text_adds(out, "\\n");
                        continue;
                }
                if (*p == '\\' || *p == '"')
                        text_adds(out, "\\");
                text_add(out, p, 1);
        }
        text_adds(out, "\"");
}

static void add_client_labels(struct text *out, const struct metrics_style *style,
                              const struct admin_client *client, struct users *users)
{
        _cleanup_free_ char *visible = style->visible ? text_visible(client->name) : NULL;

        text_adds(out, "{");
        add_label(out, "client", visible ? visible : client->name);
        text_adds(out, ",");
        add_label(out, "user", client->uid == ADMIN_NO_ID ? "" : users_name(users, client->uid));
        text_adds(out, "}");
}

static void add_value(struct text *out, const struct family *family, const void *values)
{
        uint64_t value;

        memcpy(&value, (const char *)values + family->offset, sizeof(value));
        if (family->scale > 0)
                text_addf(out, " %.6f\n", (double)value * family->scale);
        else
                text_addf(out, " %llu\n", (unsigned long long)value);
}

static void add_broker(struct text *out, const struct metrics_style *style,
                       const struct admin_status *status)
{
        add_head(out, style, &build_family);
        add_sample_name(out, &build_family);
        text_adds(out, "{");
        add_label(out, "version", status->version);
        text_adds(out, "} 1\n");
        for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
                add_head(out, style, &families[i]);
                add_sample_name(out, &families[i]);
                add_value(out, &families[i], status);
        }
}

/* Those who came first, so that the same ones have series from one time to the next. */
static int compare_ids(const void *a, const void *b)
{
        const struct admin_client *x = a, *y = b;

        return (x->id > y->id) - (x->id < y->id);
}

static void add_clients(struct text *out, const struct metrics_style *style,
                        struct admin_clients *clients, struct users *users)
{
        size_t n = (size_t)MIN(clients->n, style->most);

        if (clients->n > 0)
                qsort(clients->clients, clients->n, sizeof(*clients->clients), compare_ids);
        for (size_t i = 0; i < ARRAY_SIZE(client_families); i++) {
                add_head(out, style, &client_families[i]);
                for (size_t j = 0; j < n; j++) {
                        const struct admin_client *client = &clients->clients[j];

                        add_sample_name(out, &client_families[i]);
                        add_client_labels(out, style, client, users);
                        add_value(out, &client_families[i], client);
                }
        }
        add_head(out, style, &left_out_family);
        add_sample_name(out, &left_out_family);
        text_addf(out, " %zu\n", clients->n - n);
}

void add_metrics(struct text *out, const struct metrics_style *style,
                 const struct admin_status *status, struct admin_clients *clients,
                 struct users *users)
{
        add_broker(out, style, status);
        if (style->clients)
                add_clients(out, style, clients, users);
        text_adds(out, style->open ? "# EOF\n" : "");
}
