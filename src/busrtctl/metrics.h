/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exposition formats of Prometheus: its own text, which node exporter's textfile collector
 * reads, and OpenMetrics. They differ in what a family of counters is called, in its unit, and in
 * the last line.
 */
#pragma once

#include "busrtctl/admin.h"
#include "busrtctl/text.h"
#include "busrtctl/users.h"

struct metrics_style {
        bool open;     /* OpenMetrics */
        bool visible;  /* for a terminal: names as text_add_visible() makes them */
        bool clients;  /* a series for each of them */
        uint64_t most; /* so many of them: those who have been there for longest */
};

/* clients: in any order, which is changed; NULL without style->clients. */
void add_metrics(struct text *out, const struct metrics_style *style,
                 const struct admin_status *status, struct admin_clients *clients,
                 struct users *users);
